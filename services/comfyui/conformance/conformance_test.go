package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/graph"
)

var (
	address    = flag.String("url", os.Getenv("COMFYUI_URL"), "base URL of the ComfyUI server to test; empty starts our own")
	token      = flag.String("token", os.Getenv("COMFYUI_TOKEN"), "bearer token that the server demands; empty sends none, ComfyUI itself takes none")
	checkpoint = flag.String("checkpoint", "", "checkpoint to use; empty takes the first the server has")
	patience   = flag.Duration("patience", time.Hour, "how long all prompts may take together")
)

func TestConformance(t *testing.T) {
	servers := map[string]string{"given": *address}
	if *address == "" {
		a, b, c := startPreview(t), startPreview(t), startPreview(t)
		servers = map[string]string{"preview": a, "relay": startRelay(t, b, c)}
	}
	for name, base := range servers {
		for _, prefix := range []string{"", "/api"} {
			t.Run(name+prefix, func(t *testing.T) { conforms(t, base, prefix) })
		}
	}
}

// The real ComfyUI is the reference. The relay in front of it shows both; -url holds it to the suite by itself.
func TestTheRelayInFrontOfComfyUI(t *testing.T) {
	if *address != "" {
		t.Skip("it has a server of its own")
	}
	conforms(t, startRelay(t, startComfyUI(t)), "")
}

// conforms holds the server at a URL to the suite.
func conforms(t *testing.T, base, prefix string) {
	c := &Client{Base: base, Prefix: prefix}
	if *token != "" {
		c.Header = http.Header{"Authorization": {"Bearer " + *token}}
	}
	s := newSuite(t, c)
	t.Run("asks for the state", s.state)
	t.Run("knows its nodes", s.objectInfo)
	t.Run("executes a graph and reports on the WebSocket", s.execute)
	t.Run("gives the same bytes for the same graph and seed", s.deterministic)
	t.Run("refuses wrong graphs as ComfyUI does", s.refuses)
	t.Run("keeps a queue", s.queue)
	t.Run("interrupts", s.interrupt)
	t.Run("cancels one prompt and leaves the others", s.cancel)
	t.Run("has every prompt in its queue or in history", s.whereabouts)
	t.Run("serves uploads as what they are not", s.harmless)
	t.Run("takes uploads and loads them", s.upload)
	t.Run("views only what is inside its folders", s.view)
	t.Run("forgets history", s.forget)
	t.Run("takes any text", s.text)
	t.Run("greets a client that comes back", s.reconnect)
	t.Run("refuses broken requests", s.broken)
}

type suite struct {
	*Client
	ctx        context.Context
	checkpoint string
	film       string // folder of this run's images
}

func newSuite(t *testing.T, c *Client) *suite {
	ctx, cancel := context.WithTimeout(t.Context(), *patience)
	t.Cleanup(cancel)
	s := &suite{Client: c, ctx: ctx, checkpoint: *checkpoint, film: "conformance-" + uuid.NewString()[:8]}
	if s.checkpoint == "" {
		var names []string
		if err := c.JSON(ctx, "GET", "/models/checkpoints", nil, &names); err != nil || len(names) == 0 {
			t.Fatalf("the server has no checkpoint (%v, %v): put one into its models folder", names, err)
		}
		s.checkpoint = names[0]
	}
	return s
}

func (s *suite) params() graph.Params {
	return graph.Params{Checkpoint: s.checkpoint, Positive: "wide shot, exterior, harbour at dusk, calm mood", Negative: "text, watermark",
		Width: 128, Height: 72, Seed: rand.Uint64(), Steps: 6, CFG: 7, FilenamePrefix: s.film + "/shot"}
}

func (s *suite) graph(t *testing.T, change func(*graph.Params)) json.RawMessage {
	t.Helper()
	p := s.params()
	if change != nil {
		change(&p)
	}
	g, err := graph.TextToImage(p)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// long is a graph that keeps a server busy until it is interrupted: samplers in a row, of as many steps as they take. One alone is
// done in a few seconds by preview, before a busy machine has come to interrupting it.
func (s *suite) long(t *testing.T) json.RawMessage {
	t.Helper()
	g := edit(t, s.graph(t, func(p *graph.Params) { p.Seed, p.Steps, p.Width, p.Height = 7, 10000, 64, 64 }), "4", "batch_size", 64)
	var tree map[string]map[string]any
	must(t, json.Unmarshal(g, &tree))
	last := graph.SamplerNode
	for i := range 100 {
		node := map[string]any{}
		must(t, json.Unmarshal(edited(t, tree[graph.SamplerNode]), &node))
		node["inputs"].(map[string]any)["latent_image"] = []any{last, 0}
		last = fmt.Sprint(100 + i)
		tree[last] = node
	}
	return edit(t, edited(t, tree), "6", "samples", []any{last, 0})
}

func edited(t *testing.T, tree any) json.RawMessage {
	t.Helper()
	out, err := json.Marshal(tree)
	must(t, err)
	return out
}

// edit changes one input of a node; nil deletes it.
func edit(t *testing.T, g json.RawMessage, node, input string, value any) json.RawMessage {
	t.Helper()
	var tree map[string]map[string]any
	d := json.NewDecoder(bytes.NewReader(g))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		t.Fatal(err)
	}
	inputs := tree[node]["inputs"].(map[string]any)
	if value == nil {
		delete(inputs, input)
	} else {
		inputs[input] = value
	}
	return edited(t, tree)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *suite) submit(t *testing.T, g json.RawMessage, client string) string {
	t.Helper()
	id, err := s.Submit(s.ctx, g, client)
	must(t, err)
	return id
}

// make executes a graph and returns its record and first image.
func (s *suite) make(t *testing.T, g json.RawMessage) (*Record, []byte) {
	t.Helper()
	id := s.submit(t, g, "")
	r, err := s.Wait(s.ctx, id)
	must(t, err)
	if r.Status.Text != "success" || !r.Status.Completed || len(r.Outputs[graph.SaveNode].Images) == 0 {
		t.Fatalf("prompt did not succeed: %+v", r.Status)
	}
	data, err := s.View(s.ctx, r.Outputs[graph.SaveNode].Images[0])
	must(t, err)
	return r, data
}

func (s *suite) remaining(t *testing.T) int {
	t.Helper()
	var out struct {
		Info struct {
			Remaining *int `json:"queue_remaining"`
		} `json:"exec_info"`
	}
	must(t, s.JSON(s.ctx, "GET", "/prompt", nil, &out))
	if out.Info.Remaining == nil {
		t.Fatal("GET /prompt has no exec_info.queue_remaining")
	}
	return *out.Info.Remaining
}

// idle waits until nothing is queued.
func (s *suite) idle(t *testing.T) {
	t.Helper()
	for s.remaining(t) > 0 {
		if s.ctx.Err() != nil {
			t.Fatal("the queue did not empty")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *suite) state(t *testing.T) {
	s.remaining(t)
	var stats struct {
		System  map[string]any   `json:"system"`
		Devices []map[string]any `json:"devices"`
	}
	must(t, s.JSON(s.ctx, "GET", "/system_stats", nil, &stats))
	if stats.System["comfyui_version"] == nil || len(stats.Devices) == 0 {
		t.Errorf("system_stats: %+v", stats)
	}
	var embeddings []string
	must(t, s.JSON(s.ctx, "GET", "/embeddings", nil, &embeddings))
	if status, _, err := s.Do(s.ctx, "GET", "/models/no-such-folder", nil); err != nil || status != http.StatusNotFound {
		t.Errorf("unknown model folder: status %d, %v", status, err)
	}
	must(t, s.JSON(s.ctx, "POST", "/free", map[string]any{"unload_models": true, "free_memory": true}, nil))
	var history map[string]*Record
	must(t, s.JSON(s.ctx, "GET", "/history/"+uuid.NewString(), nil, &history))
	if len(history) != 0 {
		t.Errorf("history of an unknown id: %v", history)
	}
}

func (s *suite) objectInfo(t *testing.T) {
	var all, one, none map[string]struct {
		Input map[string]map[string]json.RawMessage `json:"input"`
		Out   []string                              `json:"output"`
	}
	must(t, s.JSON(s.ctx, "GET", "/object_info", nil, &all))
	for _, name := range []string{"CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler", "VAEDecode", "SaveImage", "LoadImage", "VAEEncode", "LoraLoader", "PreviewImage"} {
		if _, ok := all[name]; !ok {
			t.Errorf("object_info lacks %s", name)
		}
	}
	must(t, s.JSON(s.ctx, "GET", "/object_info/KSampler", nil, &one))
	for _, name := range []string{"model", "seed", "steps", "cfg", "sampler_name", "scheduler", "positive", "negative", "latent_image", "denoise"} {
		if _, ok := one["KSampler"].Input["required"][name]; !ok {
			t.Errorf("KSampler lacks the input %s", name)
		}
	}
	if !slices.Equal(one["KSampler"].Out, []string{"LATENT"}) || len(one) != 1 {
		t.Errorf("KSampler: %+v", one)
	}
	must(t, s.JSON(s.ctx, "GET", "/object_info/NoSuchNode", nil, &none))
	if len(none) != 0 {
		t.Errorf("unknown node: %v", none)
	}
}

func (s *suite) execute(t *testing.T) {
	client := uuid.NewString()
	messages, err := s.Listen(s.ctx, client)
	must(t, err)
	hello := <-messages
	if hello.Type != "status" || hello.Text("sid") != client {
		t.Fatalf("first message: %+v", hello)
	}
	id := s.submit(t, s.graph(t, nil), client)
	var seen []string
	nodes := map[string]bool{}
	progress := 0
	for m := range messages {
		if m.Type == "status" || m.Text("prompt_id") != id {
			continue
		}
		seen = append(seen, m.Type)
		switch m.Type {
		case "executing":
			nodes[m.Text("node")] = true
		case "progress":
			var value, of int
			json.Unmarshal(m.Data["value"], &value)
			json.Unmarshal(m.Data["max"], &of)
			if of != 6 || value < progress {
				t.Errorf("progress %d of %d after %d", value, of, progress)
			}
			progress = value
		case "executed":
			if m.Text("node") != graph.SaveNode || !bytes.Contains(m.Data["output"], []byte("filename")) {
				t.Errorf("executed: %s", m.Data["output"])
			}
		case "execution_error", "execution_interrupted":
			t.Fatalf("%s: %s", m.Type, m.Data)
		}
		if m.Type == "executing" && string(m.Data["node"]) == "null" {
			break
		}
	}
	last := -1
	for _, event := range []string{"execution_start", "execution_cached", "executing", "progress", "executed", "execution_success"} {
		at := slices.Index(seen, event)
		if at <= last {
			t.Errorf("%s at %d, after %d: %v", event, at, last, slices.Compact(seen))
		}
		last = at
	}
	if progress != 6 || !nodes[graph.SamplerNode] || !nodes[graph.SaveNode] {
		t.Errorf("progress ended at %d; nodes %v", progress, nodes)
	}
	r, err := s.History(s.ctx, id) // the end was announced: history has it
	must(t, err)
	if r == nil || !r.Status.Completed || len(r.Prompt) < 5 || len(r.Outputs[graph.SaveNode].Images) != 1 {
		t.Fatalf("history: %+v", r)
	}
	if tuple := string(r.Prompt[1]); tuple != fmt.Sprintf("%q", id) {
		t.Errorf("history's prompt names %s, want %s", tuple, id)
	}
	if !bytes.Contains(r.Prompt[3], []byte(client)) {
		t.Errorf("extra_data lost the client: %s", r.Prompt[3])
	}
	made := r.Outputs[graph.SaveNode].Images[0]
	if made.Type != "output" || made.Subfolder != s.film || !strings.HasPrefix(made.Filename, "shot_") {
		t.Errorf("image is %+v", made)
	}
	data, err := s.View(s.ctx, made)
	must(t, err)
	img, err := png.Decode(bytes.NewReader(data))
	must(t, err)
	if got := img.Bounds().Size(); got != image.Pt(128, 72) {
		t.Errorf("image is %v", got)
	}
	if !bytes.Contains(data, []byte("tEXtprompt\x00{")) {
		t.Error("the PNG does not carry its prompt")
	}
}

func (s *suite) deterministic(t *testing.T) {
	p := s.params()
	seed := p.Seed
	g := s.graph(t, func(p *graph.Params) { p.Seed = seed })
	_, first := s.make(t, g)
	must(t, s.JSON(s.ctx, "POST", "/free", map[string]any{"unload_models": true, "free_memory": true}, nil))
	_, second := s.make(t, g)
	if !bytes.Equal(first, second) {
		t.Error("the same graph and seed gave different bytes")
	}
	_, other := s.make(t, s.graph(t, func(p *graph.Params) { p.Seed = seed + 1 }))
	_, words := s.make(t, s.graph(t, func(p *graph.Params) { p.Seed, p.Positive = seed, "close shot, interior, library at night" }))
	if pixels(t, first) == pixels(t, other) || pixels(t, first) == pixels(t, words) {
		t.Error("another seed or prompt gave the same picture")
	}
}

func pixels(t *testing.T, data []byte) string {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(data))
	must(t, err)
	out := image.NewRGBA(img.Bounds())
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			out.Set(x, y, img.At(x, y))
		}
	}
	return string(out.Pix)
}

type listed struct {
	Running [][]json.RawMessage `json:"queue_running"`
	Pending [][]json.RawMessage `json:"queue_pending"`
}

func ids(list [][]json.RawMessage) []string {
	var out []string
	for _, t := range list {
		var id string
		json.Unmarshal(t[1], &id)
		out = append(out, id)
	}
	return out
}

func (s *suite) listed(t *testing.T) listed {
	t.Helper()
	var q listed
	must(t, s.JSON(s.ctx, "GET", "/queue", nil, &q))
	return q
}

// queue keeps every server behind the address busy, so that more prompts wait, in the order of their numbers.
func (s *suite) queue(t *testing.T) {
	s.idle(t)
	var busy, waiting []string
	for range 2 {
		busy = append(busy, s.submit(t, s.long(t), ""))
	}
	s.settled(t)
	for range 3 {
		waiting = append(waiting, s.submit(t, s.long(t), ""))
	}
	if n := s.remaining(t); n < 4 {
		t.Errorf("queue_remaining is %d", n)
	}
	q := s.listed(t)
	if len(q.Running) == 0 {
		t.Fatalf("nothing runs: %v", q)
	}
	for _, id := range waiting {
		if !slices.Contains(ids(q.Pending), id) {
			t.Errorf("%s does not wait: running %v, pending %v", id, ids(q.Running), ids(q.Pending))
		}
	}
	if len(q.Pending[0]) < 5 || !bytes.Contains(q.Pending[0][2], []byte("KSampler")) {
		t.Errorf("pending entry: %s", q.Pending[0])
	}
	must(t, s.JSON(s.ctx, "POST", "/queue", map[string]any{"delete": []string{waiting[1]}}, nil))
	if q = s.listed(t); slices.Contains(ids(q.Pending), waiting[1]) || !slices.Contains(ids(q.Pending), waiting[2]) {
		t.Errorf("after delete: %v", ids(q.Pending))
	}
	must(t, s.JSON(s.ctx, "POST", "/queue", map[string]any{"clear": true}, nil))
	for _, id := range ids(s.listed(t).Pending) {
		if slices.Contains(waiting, id) {
			t.Errorf("%s still waits after clear", id)
		}
	}
	s.stopAll(t)
	for _, id := range waiting[1:] {
		if r, err := s.History(s.ctx, id); err != nil || r != nil {
			t.Errorf("a deleted prompt is in history: %v %v", r, err)
		}
	}
	_ = busy
}

// stopAll interrupts until nothing is left.
func (s *suite) stopAll(t *testing.T) {
	t.Helper()
	for s.remaining(t) > 0 {
		must(t, s.JSON(s.ctx, "POST", "/interrupt", nil, nil))
		time.Sleep(50 * time.Millisecond)
		if s.ctx.Err() != nil {
			t.Fatal("the queue did not empty")
		}
	}
}

func (s *suite) interrupt(t *testing.T) {
	s.idle(t)
	client := uuid.NewString()
	messages, err := s.Listen(s.ctx, client)
	must(t, err)
	id := s.submit(t, s.long(t), client)
	interrupted := false
	for m := range messages {
		if m.Text("prompt_id") != id {
			continue
		}
		if m.Type == "executing" && m.Text("node") == graph.SamplerNode {
			must(t, s.JSON(s.ctx, "POST", "/interrupt", map[string]any{"prompt_id": uuid.NewString()}, nil)) // another's: nothing happens
			must(t, s.JSON(s.ctx, "POST", "/interrupt", map[string]any{"prompt_id": id}, nil))
		}
		if m.Type == "execution_interrupted" {
			interrupted = true
			if m.Text("node_id") != graph.SamplerNode || m.Text("node_type") != "KSampler" {
				t.Errorf("execution_interrupted: %s", m.Data)
			}
		}
		if m.Type == "execution_success" {
			t.Error("the prompt ended as if nothing had happened")
		}
		if m.Type == "executing" && string(m.Data["node"]) == "null" {
			break
		}
	}
	if !interrupted {
		t.Error("no execution_interrupted")
	}
	r, err := s.Wait(s.ctx, id)
	must(t, err)
	if r.Status.Text != "error" || r.Status.Completed || len(r.Outputs) != 0 {
		t.Errorf("history: %+v", r)
	}
	s.make(t, s.graph(t, nil)) // and the next one runs
}
