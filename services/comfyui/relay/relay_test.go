package relay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/conformance"
	"github.com/ai-film/ai-film/services/comfyui/graph"
	"github.com/ai-film/ai-film/services/comfyui/preview"
	"github.com/ai-film/ai-film/services/comfyui/relay"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pod is a preview server that can die, with all it holds, and come back empty at the same address.
type pod struct {
	t       *testing.T
	address string
	server  *http.Server
	cancel  context.CancelFunc
	seen    atomic.Pointer[http.Header]
}

func newPod(t *testing.T) *pod {
	p := &pod{t: t, address: "127.0.0.1:0"}
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *pod) url() string { return "http://" + p.address }

func (p *pod) start() {
	p.t.Helper()
	s, err := preview.New(preview.Options{Dir: p.t.TempDir(), Checkpoints: []string{"sd_xl_base_1.0.safetensors"}})
	must(p.t, err)
	mux := http.NewServeMux()
	s.Routes(mux.Handle, func(h http.Handler) http.Handler { return h })
	l, err := net.Listen("tcp", p.address)
	must(p.t, err)
	p.address = l.Addr().String()
	p.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := r.Header.Clone()
		p.seen.Store(&h)
		mux.ServeHTTP(w, r)
	})}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go p.server.Serve(l)
	go s.Run(ctx)
}

// kill ends the pod at once: connections break, queue, history and images are gone.
func (p *pod) kill() {
	p.server.Close()
	p.cancel()
}

// front is a relay under test.
type front struct {
	*conformance.Client
	relay *relay.Relay
	stop  func() // as SIGTERM does
}

func newFront(t *testing.T, o relay.Options) *front {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Poll == 0 {
		o.Poll = 100 * time.Millisecond
	}
	r, err := relay.New(o)
	must(t, err)
	mux := http.NewServeMux()
	r.Routes(mux.Handle, func(h http.Handler) http.Handler { return h })
	server := httptest.NewServer(mux)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	f := &front{Client: &conformance.Client{Base: server.URL}, relay: r}
	f.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		server.CloseClientConnections()
		server.Close()
	})
	t.Cleanup(f.stop)
	return f
}

func (f *front) ready(t *testing.T, want int) {
	t.Helper()
	until(t, fmt.Sprintf("%d servers ready", want), func() bool { n, _ := f.relay.BackendsReady(); return n == want })
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute in vain for: %s", what)
		}
	}
}

func take(t *testing.T, seed uint64, change ...func(*graph.Params)) json.RawMessage {
	t.Helper()
	p := graph.Params{Checkpoint: "sd_xl_base_1.0.safetensors", Positive: "wide shot, exterior, harbour at dusk", Width: 256, Height: 144,
		Seed: seed, Steps: 5, CFG: 7, FilenamePrefix: "film/shot"}
	for _, c := range change {
		c(&p)
	}
	g, err := graph.TextToImage(p)
	must(t, err)
	return g
}

// seconds is a graph that runs for a second or some.
func seconds(t *testing.T, seed uint64) json.RawMessage {
	g := take(t, seed, func(p *graph.Params) { p.Steps, p.Width, p.Height = 6000, 64, 64 })
	return bytes.Replace(g, []byte(`"batch_size":1`), []byte(`"batch_size":48`), 1)
}

// long is a graph that runs for many seconds.
func long(t *testing.T, seed uint64) json.RawMessage {
	g := take(t, seed, func(p *graph.Params) { p.Steps, p.Width, p.Height = 10000, 64, 64 })
	return bytes.Replace(g, []byte(`"batch_size":1`), []byte(`"batch_size":256`), 1) // many quick steps
}

func submit(t *testing.T, c *conformance.Client, g json.RawMessage, client string) string {
	t.Helper()
	id, err := c.Submit(t.Context(), g, client)
	must(t, err)
	return id
}

func wait(t *testing.T, c *conformance.Client, id string) *conformance.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r, err := c.Wait(ctx, id)
	must(t, err)
	return r
}

func view(t *testing.T, c *conformance.Client, r *conformance.Record) []byte {
	t.Helper()
	if r.Status.Text != "success" || len(r.Outputs[graph.SaveNode].Images) == 0 {
		t.Fatalf("no image: %+v", r.Status)
	}
	data, err := c.View(t.Context(), r.Outputs[graph.SaveNode].Images[0])
	must(t, err)
	return data
}

func TestPodDiesMidJob(t *testing.T) {
	a, b, other := newPod(t), newPod(t), newPod(t)
	g := take(t, 7, func(p *graph.Params) { p.Steps, p.Width, p.Height = 1500, 640, 360 })
	direct := &conformance.Client{Base: other.url()}
	want := view(t, direct, wait(t, direct, submit(t, direct, g, "")))
	f := newFront(t, relay.Options{Backends: a.url() + "," + b.url()})
	f.ready(t, 2)
	client := uuid.NewString()
	messages, err := f.Listen(t.Context(), client)
	must(t, err)
	id := submit(t, f.Client, g, client)
	starts, ended, killed := 0, false, false
	for m := range messages {
		if m.Text("prompt_id") != id {
			continue
		}
		if m.Type == "execution_start" {
			starts++
		}
		if m.Type == "progress" && !killed {
			killed = true
			victim := a
			if n := queueLength(t, b.url()); n > 0 {
				victim = b
			}
			victim.kill()
		}
		if m.Type == "executing" && string(m.Data["node"]) == "null" {
			ended = true
			break
		}
	}
	if !killed || !ended || starts < 2 {
		t.Errorf("killed %v, ended %v, %d starts", killed, ended, starts)
	}
	if got := view(t, f.Client, wait(t, f.Client, id)); !bytes.Equal(got, want) {
		t.Error("the other pod made another image")
	}
	f.ready(t, 1)
}

func queueLength(t *testing.T, base string) int {
	t.Helper()
	var out struct {
		Info struct {
			N int `json:"queue_remaining"`
		} `json:"exec_info"`
	}
	must(t, (&conformance.Client{Base: base}).JSON(t.Context(), "GET", "/prompt", nil, &out))
	return out.Info.N
}

// A container restarts within its pod: same address, everything forgotten.
func TestPodForgetsEverything(t *testing.T) {
	a := newPod(t)
	f := newFront(t, relay.Options{Backends: a.url()})
	f.ready(t, 1)
	finished := wait(t, f.Client, submit(t, f.Client, take(t, 1), ""))
	image := view(t, f.Client, finished)
	running, waiting := submit(t, f.Client, seconds(t, 2), ""), submit(t, f.Client, take(t, 3), "")
	until(t, "it runs", func() bool { return queueLength(t, a.url()) == 2 })
	a.kill()
	time.Sleep(300 * time.Millisecond)
	a.start()
	for _, id := range []string{waiting, running} {
		if r := wait(t, f.Client, id); r.Status.Text != "success" {
			t.Errorf("%s: %+v", id, r.Status)
		}
	}
	// the image made before the restart is made again, byte by byte
	if again := view(t, f.Client, finished); !bytes.Equal(again, image) {
		t.Error("the image made again differs")
	}
	if n := f.relay.QueueLength(); n != 0 {
		t.Errorf("queue length %d after all is done", n)
	}
}

func TestGivesUpAfterSomeAttempts(t *testing.T) {
	a := newPod(t)
	f := newFront(t, relay.Options{Backends: a.url(), Attempts: 2})
	f.ready(t, 1)
	client := uuid.NewString()
	messages, err := f.Listen(t.Context(), client)
	must(t, err)
	id := submit(t, f.Client, long(t, 1), client)
	for range 2 {
		until(t, "the pod has the prompt", func() bool { return queueLength(t, a.url()) > 0 })
		a.kill()
		time.Sleep(300 * time.Millisecond)
		a.start()
	}
	r := wait(t, f.Client, id)
	if r.Status.Text != "error" || r.Status.Completed || !strings.Contains(string(r.Status.Messages[0][1]), "BackendLost") {
		t.Errorf("status: %+v", r.Status)
	}
	for m := range messages {
		if m.Type == "execution_error" && m.Text("prompt_id") == id && strings.Contains(m.Text("exception_message"), "submit again") {
			return
		}
	}
	t.Error("the client heard of no error")
}

func TestRestartKeepsPrompts(t *testing.T) {
	database := startPostgres(t)
	a, b := newPod(t), newPod(t)
	open := func() (*front, *relay.Postgres) {
		store, err := relay.OpenPostgres(t.Context(), database)
		must(t, err)
		t.Cleanup(store.Close)
		f := newFront(t, relay.Options{Backends: a.url() + "," + b.url(), Store: store})
		f.ready(t, 2)
		until(t, "the schema is there", func() bool { return store.Ready(t.Context()) == nil })
		return f, store
	}
	f, store := open()
	seed := uint64(1<<64 - 1)
	g := take(t, seed, func(p *graph.Params) { p.Positive = "灯台 «Mära» \x00 🌊" })
	before := wait(t, f.Client, submit(t, f.Client, g, "client ü"))
	image := view(t, f.Client, before)
	own := uuid.NewString()
	post := func(f *front, id string, g json.RawMessage) (int, string) {
		status, text, err := f.Do(t.Context(), "POST", "/prompt", map[string]any{"prompt": g, "prompt_id": id})
		must(t, err)
		return status, string(text)
	}
	slow := seconds(t, 5)
	if status, text := post(f, own, slow); status != 200 || !strings.Contains(text, own) {
		t.Fatalf("own id: %d %s", status, text)
	}
	f.stop()
	store.Close()

	f, store = open()
	var id string
	must(t, json.Unmarshal(before.Prompt[1], &id))
	var after *conformance.Record
	until(t, "history is back", func() bool { after, _ = f.History(t.Context(), id); return after != nil })
	if !bytes.Equal(after.Prompt[2], before.Prompt[2]) || !bytes.Contains(after.Prompt[2], []byte(`"seed":18446744073709551615`)) {
		t.Errorf("the graph changed:\n%s\n%s", before.Prompt[2], after.Prompt[2])
	}
	if got := view(t, f.Client, after); !bytes.Equal(got, image) {
		t.Error("the image changed")
	}
	until(t, "the unfinished prompt is known", func() bool { return f.relay.QueueLength() == 1 })
	if r := wait(t, f.Client, own); r.Status.Text != "success" {
		t.Errorf("after restart: %+v", r.Status)
	}
	// asked again with the same id: the same answer and no second execution; with another graph: refused
	if status, text := post(f, own, slow); status != 200 || !strings.Contains(text, own) || f.relay.QueueLength() != 0 {
		t.Errorf("same id and graph: %d %s, queue %d", status, text, f.relay.QueueLength())
	}
	if status, text := post(f, own, take(t, 6)); status != 400 || !strings.Contains(text, "prompt_id_in_use") {
		t.Errorf("same id, other graph: %d %s", status, text)
	}

	// the relay and the pod with the work die together
	last := submit(t, f.Client, long(t, 8), "")
	until(t, "a pod has it", func() bool { return queueLength(t, a.url())+queueLength(t, b.url()) == 1 })
	victim := a
	if queueLength(t, b.url()) == 1 {
		victim = b
	}
	f.stop()
	store.Close()
	victim.kill()
	victim.start()
	f, _ = open()
	until(t, "it is placed again", func() bool { return queueLength(t, a.url())+queueLength(t, b.url()) == 1 })
	must(t, f.JSON(t.Context(), "POST", "/interrupt", map[string]any{"prompt_id": last}, nil))
	until(t, "it is interrupted", func() bool {
		f.JSON(t.Context(), "POST", "/interrupt", map[string]any{"prompt_id": last}, nil)
		r, _ := f.History(t.Context(), last)
		return r != nil && r.Status.Text == "error"
	})
}

func TestDatabaseAway(t *testing.T) {
	a := newPod(t)
	store, err := relay.OpenPostgres(t.Context(), "postgres://studio@127.0.0.1:1/studio?connect_timeout=1")
	must(t, err)
	t.Cleanup(store.Close)
	f := newFront(t, relay.Options{Backends: a.url(), Store: store})
	f.ready(t, 1)
	if store.Ready(t.Context()) == nil {
		t.Error("ready without a database")
	}
	status, text, err := f.Do(t.Context(), "POST", "/prompt", map[string]any{"prompt": take(t, 1)})
	must(t, err)
	if status != http.StatusServiceUnavailable || !strings.Contains(string(text), "postgresql") {
		t.Errorf("status %d: %s", status, text)
	}
	if n := f.relay.QueueLength(); n != 0 {
		t.Errorf("a refused prompt is in the queue: %d", n)
	}
	if _, err := relay.OpenPostgres(t.Context(), "mysql://x"); err == nil || !strings.Contains(err.Error(), "DATABASE_URL") {
		t.Errorf("wrong URL: %v", err)
	}
}

func TestSpreadsAndNamesApart(t *testing.T) {
	a, b := newPod(t), newPod(t)
	f := newFront(t, relay.Options{Backends: a.url() + "," + b.url()})
	f.ready(t, 2)
	const many = 24
	var wg sync.WaitGroup
	ids := make([]string, many)
	for i := range many { // all at once, all with the same file name prefix
		wg.Go(func() {
			id, err := f.Submit(t.Context(), take(t, uint64(i)), uuid.NewString())
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	wg.Wait()
	names, contents := map[string]bool{}, map[string]bool{}
	for _, id := range ids {
		r := wait(t, f.Client, id)
		names[r.Outputs[graph.SaveNode].Images[0].Filename] = true
		contents[string(view(t, f.Client, r))] = true
	}
	if len(names) != many || len(contents) != many {
		t.Errorf("%d names and %d images of %d prompts", len(names), len(contents), many)
	}
	for _, p := range []*pod{a, b} {
		var all map[string]json.RawMessage
		must(t, (&conformance.Client{Base: p.url()}).JSON(t.Context(), "GET", "/history", nil, &all))
		if len(all) < many/4 {
			t.Errorf("%s executed %d of %d", p.url(), len(all), many)
		}
	}
}

// A caller that lost the answer asks again with the same id, perhaps while the first request is still under way.
func TestSameIdManyTimes(t *testing.T) {
	a := newPod(t)
	f := newFront(t, relay.Options{Backends: a.url()})
	f.ready(t, 1)
	good, bad := uuid.NewString(), uuid.NewString()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			id, g, want := good, take(t, 1), 200
			if i%2 == 1 {
				id, g, want = bad, take(t, 1, func(p *graph.Params) { p.Steps = 0 }), 400
			}
			status, text, err := f.Do(t.Context(), "POST", "/prompt", map[string]any{"prompt": g, "prompt_id": id})
			if err != nil || status != want {
				t.Errorf("status %d, want %d: %s %v", status, want, text, err)
			}
		})
	}
	wg.Wait()
	view(t, f.Client, wait(t, f.Client, good))
	var all map[string]json.RawMessage
	must(t, (&conformance.Client{Base: a.url()}).JSON(t.Context(), "GET", "/history", nil, &all))
	if len(all) != 1 {
		t.Errorf("executed %d times", len(all))
	}
}

func TestMovesWaitingPromptsToANewPod(t *testing.T) {
	a := newPod(t)
	late := newPod(t)
	late.kill() // its address is known, nothing listens yet
	f := newFront(t, relay.Options{Backends: a.url() + "," + late.url()})
	f.ready(t, 1)
	busy := submit(t, f.Client, long(t, 1), "")
	quick := submit(t, f.Client, take(t, 2), "")
	late.start()
	if r := wait(t, f.Client, quick); r.Status.Text != "success" {
		t.Errorf("moved: %+v", r.Status)
	}
	if n := queueLength(t, a.url()); n != 1 {
		t.Errorf("the first pod has %d prompts, want the long one only", n)
	}
	until(t, "the long one is interrupted", func() bool {
		f.JSON(t.Context(), "POST", "/interrupt", map[string]any{"prompt_id": busy}, nil)
		r, _ := f.History(t.Context(), busy)
		return r != nil
	})
}

func TestUploadReachesPodsThatComeLater(t *testing.T) {
	a := newPod(t)
	late := newPod(t)
	late.kill()
	f := newFront(t, relay.Options{Backends: a.url() + "," + late.url()})
	f.ready(t, 1)
	source := wait(t, f.Client, submit(t, f.Client, take(t, 1), ""))
	status, text, err := f.Upload(t.Context(), "start.png", view(t, f.Client, source), nil)
	if err != nil || status != 200 {
		t.Fatalf("upload: %d %s %v", status, text, err)
	}
	late.start()
	f.ready(t, 2)
	a.kill()
	f.ready(t, 1)
	g := []byte(`{"1":{"class_type":"LoadImage","inputs":{"image":"start.png"}},"2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"copy"}}}`)
	if r := wait(t, f.Client, submit(t, f.Client, g, "")); r.Status.Text != "success" {
		t.Errorf("%+v", r.Status)
	}
}

func TestNobodyThere(t *testing.T) {
	f := newFront(t, relay.Options{Backends: "http://127.0.0.1:1"})
	until(t, "the server is known to be away", func() bool {
		err := f.relay.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "refused")
	})
	for _, path := range []string{"/prompt", "/system_stats", "/view?filename=x.png", "/object_info"} {
		method, body := "GET", any(nil)
		if path == "/prompt" {
			method, body = "POST", map[string]any{"prompt": take(t, 1)}
		}
		status, text, err := f.Do(t.Context(), method, path, body)
		must(t, err)
		var problem struct {
			Status  int      `json:"status"`
			Detail  string   `json:"detail"`
			Missing []string `json:"missing"`
			Remedy  string   `json:"remedy"`
		}
		json.Unmarshal(text, &problem)
		if status != 503 || problem.Status != 503 || len(problem.Missing) != 1 || !strings.Contains(problem.Detail, "127.0.0.1:1") || problem.Remedy == "" {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	for _, wrong := range []string{"", "comfyui:8188", "ftp://x", " , "} {
		if _, err := relay.New(relay.Options{Backends: wrong, Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "BACKENDS") {
			t.Errorf("BACKENDS=%q: %v", wrong, err)
		}
	}
}

func TestHugeAndUnicode(t *testing.T) {
	a := newPod(t)
	f := newFront(t, relay.Options{Backends: a.url()})
	f.ready(t, 1)
	g := take(t, 1, func(p *graph.Params) { p.Positive = strings.Repeat("灯台🌊 ", 300_000) })
	r := wait(t, f.Client, submit(t, f.Client, g, "клиент"))
	if !bytes.Equal(r.Prompt[2], g) {
		t.Error("a large graph came back changed")
	}
	view(t, f.Client, r)
	status, text, err := f.Do(t.Context(), "POST", "/prompt", map[string]any{"prompt": map[string]any{"1": strings.Repeat("x", 33<<20)}})
	if err == nil && status != http.StatusRequestEntityTooLarge {
		t.Errorf("33 MiB: %d %.200s", status, text)
	}
	if status, _, err := f.Upload(t.Context(), "huge.png", make([]byte, 101<<20), nil); err == nil && status != http.StatusRequestEntityTooLarge {
		t.Errorf("101 MiB upload: %d", status)
	}
	view(t, f.Client, wait(t, f.Client, submit(t, f.Client, take(t, 2), ""))) // still there
}

func TestNamesAndAuthorization(t *testing.T) {
	a := newPod(t)
	_, port, _ := net.SplitHostPort(a.address)
	f := newFront(t, relay.Options{Backends: "dns+http://localhost:" + port, Authorization: "Bearer secret"})
	until(t, "the name resolves to the server", func() bool { n, _ := f.relay.BackendsReady(); return n >= 1 })
	view(t, f.Client, wait(t, f.Client, submit(t, f.Client, take(t, 1), "")))
	must(t, f.JSON(t.Context(), "GET", "/system_stats", nil, nil))
	if h := a.seen.Load(); h.Get("Authorization") != "Bearer secret" {
		t.Errorf("header: %v", *h)
	}
	g := newFront(t, relay.Options{Backends: "dns+http://no-such-name.invalid:8188"})
	until(t, "the name is reported", func() bool {
		err := g.relay.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "no-such-name.invalid")
	})
}
