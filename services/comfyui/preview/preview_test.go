package preview_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ai-film/ai-film/services/comfyui/conformance"
	"github.com/ai-film/ai-film/services/comfyui/graph"
	"github.com/ai-film/ai-film/services/comfyui/preview"
)

func start(t *testing.T, o preview.Options) *conformance.Client {
	t.Helper()
	o.Checkpoints = []string{"sd_xl_base_1.0.safetensors"}
	s, err := preview.New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Routes(mux.Handle, func(h http.Handler) http.Handler { return h })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	go s.Run(t.Context())
	return &conformance.Client{Base: server.URL}
}

func run(t *testing.T, c *conformance.Client, change func(*graph.Params)) *conformance.Record {
	t.Helper()
	p := graph.Params{Checkpoint: "sd_xl_base_1.0.safetensors", Positive: "wide shot, exterior, lake at dawn", Width: 128, Height: 72, Seed: 1, Steps: 3, CFG: 7, FilenamePrefix: "film/shot"}
	change(&p)
	g, err := graph.TextToImage(p)
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.Submit(t.Context(), g, "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What is not executed again is answered from the cache with the same file, unless the file is gone.
func TestCache(t *testing.T) {
	dir := t.TempDir()
	c := start(t, preview.Options{Dir: dir})
	same := func(*graph.Params) {}
	first := run(t, c, same)
	file := first.Outputs[graph.SaveNode].Images[0]
	if again := run(t, c, same); again.Outputs[graph.SaveNode].Images[0] != file {
		t.Errorf("cached as %+v, was %+v", again.Outputs, file)
	}
	if other := run(t, c, func(p *graph.Params) { p.Seed = 2 }); other.Outputs[graph.SaveNode].Images[0].Filename != "shot_00002_.png" {
		t.Errorf("second image: %+v", other.Outputs)
	}
	run(t, c, same)
	saved, _ := filepath.Glob(filepath.Join(dir, "output", "film", "shot_*.png"))
	for _, f := range saved {
		os.Remove(f)
	}
	r := run(t, c, same)
	if _, err := c.View(t.Context(), r.Outputs[graph.SaveNode].Images[0]); err != nil {
		t.Errorf("after its file was deleted: %v", err)
	}
}

func TestFailsInsteadOfRunningOutOfMemory(t *testing.T) {
	c := start(t, preview.Options{Dir: t.TempDir(), MaxPixels: 1 << 20})
	r := run(t, c, func(p *graph.Params) { p.Width, p.Height = 16384, 16384 })
	message := string(r.Status.Messages[len(r.Status.Messages)-1][1])
	if r.Status.Text != "error" || !strings.Contains(message, "OutOfMemoryError") || !strings.Contains(message, "smaller") || !strings.Contains(message, `"node_id":"4"`) {
		t.Errorf("%s %s", r.Status.Text, message)
	}
	if r := run(t, c, func(*graph.Params) {}); r.Status.Text != "success" {
		t.Errorf("and then: %+v", r.Status)
	}
}

func TestKeepsWithinItsDisk(t *testing.T) {
	dir := t.TempDir()
	c := start(t, preview.Options{Dir: dir, KeepBytes: 100 << 10})
	for seed := range uint64(12) {
		r := run(t, c, func(p *graph.Params) { p.Seed = seed })
		if _, err := c.View(t.Context(), r.Outputs[graph.SaveNode].Images[0]); err != nil {
			t.Fatalf("the newest image is gone: %v", err)
		}
	}
	var total int64
	saved, _ := filepath.Glob(filepath.Join(dir, "output", "film", "*"))
	for _, f := range saved {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if len(saved) >= 12 || total > 100<<10 {
		t.Errorf("%d files, %d bytes are kept", len(saved), total)
	}
}

func TestSavesInsideItsFolder(t *testing.T) {
	dir := t.TempDir()
	c := start(t, preview.Options{Dir: dir})
	for _, prefix := range []string{"../evil", "/etc/evil", "a/../../evil", `..\evil`} {
		r := run(t, c, func(p *graph.Params) { p.FilenamePrefix = prefix })
		if r.Status.Text != "error" || !bytes.Contains(r.Status.Messages[len(r.Status.Messages)-1][1], []byte("outside")) {
			t.Errorf("%s: %+v", prefix, r.Status)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "evil*")); len(found) > 0 {
		t.Errorf("written outside: %v", found)
	}
	if r := run(t, c, func(p *graph.Params) { p.FilenamePrefix = "size %width%x%height%/ü" }); r.Outputs[graph.SaveNode].Images[0].Subfolder != "size 128x72" {
		t.Errorf("%+v", r.Outputs)
	}
}

// A page elsewhere must not make a browser send prompts to a server on its own machine.
func TestRefusesOtherOrigins(t *testing.T) {
	c := start(t, preview.Options{Dir: t.TempDir()})
	for origin, want := range map[string]int{"http://evil.example": 403, c.Base: 200, "": 200} {
		c.Header = http.Header{}
		if origin != "" {
			c.Header.Set("Origin", origin)
		}
		if status, _, err := c.Do(t.Context(), "GET", "/prompt", nil); err != nil || status != want {
			t.Errorf("origin %q: status %d, want %d (%v)", origin, status, want, err)
		}
	}
}

func TestRunsInOrderOfNumber(t *testing.T) {
	dir := t.TempDir()
	o := preview.Options{Dir: dir, Checkpoints: []string{"sd_xl_base_1.0.safetensors"}}
	s, err := preview.New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Routes(mux.Handle, func(h http.Handler) http.Handler { return h })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c := &conformance.Client{Base: server.URL}
	g, _ := graph.TextToImage(graph.Params{Checkpoint: "sd_xl_base_1.0.safetensors", Width: 64, Height: 64, Steps: 1, CFG: 7, FilenamePrefix: "x"})
	var ids []string
	for _, extra := range []map[string]any{{}, {"front": true}, {"number": -5}, {"number": 0.5}} { // nothing runs yet
		extra["prompt"] = g
		var out struct {
			ID string `json:"prompt_id"`
		}
		if err := c.JSON(t.Context(), "POST", "/prompt", extra, &out); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, out.ID)
	}
	var q struct {
		Pending [][]json.RawMessage `json:"queue_pending"`
	}
	if err := c.JSON(t.Context(), "GET", "/queue", nil, &q); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, p := range q.Pending {
		var id string
		json.Unmarshal(p[1], &id)
		order = append(order, id)
	}
	if want := []string{ids[2], ids[1], ids[0], ids[3]}; strings.Join(order, " ") != strings.Join(want, " ") {
		t.Errorf("order %v, want %v", order, want)
	}
}
