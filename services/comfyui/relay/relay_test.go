package relay_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/conformance"
	"github.com/ai-film/ai-film/services/comfyui/graph"
	"github.com/ai-film/ai-film/services/comfyui/relay"
)

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
		store, err := relay.OpenPostgres(t.Context(), database, "relay-0", relay.Keep{Count: 1000, Age: time.Hour})
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
	store, err := relay.OpenPostgres(t.Context(), "postgres://studio@127.0.0.1:1/studio?connect_timeout=1", "relay-0", relay.Keep{})
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
	if _, err := relay.OpenPostgres(t.Context(), "mysql://x", "relay-0", relay.Keep{}); err == nil || !strings.Contains(err.Error(), "DATABASE_URL") {
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
	g := []byte(`{"1":{"class_type":"LoadImage","inputs":{"image":"start.png"}},"2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"copy"}}}`)
	other := newFront(t, relay.Options{Backends: a.url() + "," + late.url()}) // which never saw the upload
	other.ready(t, 2)
	busy := submit(t, &conformance.Client{Base: a.url()}, long(t, 1), "")
	until(t, "the relay knows that the first pod is busy", func() bool {
		_, text, err := other.Do(t.Context(), "GET", "/queue", nil)
		return err == nil && bytes.Contains(text, []byte(busy))
	})
	if r := wait(t, other.Client, submit(t, other.Client, g, "")); r.Status.Text != "success" {
		t.Errorf("%+v", r.Status)
	}
	if status, text, err := other.Do(t.Context(), "POST", "/prompt", map[string]any{"prompt": json.RawMessage(bytes.Replace(g, []byte("start.png"), []byte("none.png"), 1))}); err != nil || status != 400 || !bytes.Contains(text, []byte("Invalid image file")) {
		t.Errorf("an image nobody has: %d %s %v", status, text, err)
	}
	a.kill()
	f.ready(t, 1)
	if r := wait(t, f.Client, submit(t, f.Client, bytes.Replace(g, []byte("copy"), []byte("again"), 1), "")); r.Status.Text != "success" {
		t.Errorf("%+v", r.Status)
	}
}

// What a database or an encoder could choke on is refused, or kept as it is; the queue is shown whole afterwards.
func TestOddRequests(t *testing.T) {
	store, err := relay.OpenPostgres(t.Context(), startPostgres(t), "relay-0", relay.Keep{Count: 10, Age: time.Hour})
	must(t, err)
	t.Cleanup(store.Close)
	a := newPod(t)
	f := newFront(t, relay.Options{Backends: a.url(), Store: store})
	f.ready(t, 1)
	until(t, "the schema is there", func() bool { return store.Ready(t.Context()) == nil })
	g := string(take(t, 1))
	for body, want := range map[string]int{
		`{"prompt":` + g + `,"number":1e999}`:                                                400,
		`{"prompt":` + g + `,"number":-1e300}`:                                               200,
		`{"prompt":` + g + `,"number":NaN}`:                                                  400,
		`{"prompt":` + g + `,"client_id":"a\u0000b\ud800"}`:                                  200,
		`{"prompt":` + g + `,"client_id":"` + strings.Repeat("x", 300) + `"}`:                400,
		`{"prompt":` + g + `,"extra_data":{"client_id":"` + strings.Repeat("x", 300) + `"}}`: 400,
		`{"prompt":` + g + `,"extra_data":{"client_id":[1],"x":"\u0000\ud800"}}`:             200,
		`{"prompt":` + g + `,"partial_execution_targets":["7\u0000"]}`:                       400,
		`{"prompt":` + g + `,"prompt_id":"a\nb"}`:                                            400,
		`{"prompt":` + g + `,"prompt_id":["x"]}`:                                             400,
		`{"prompt":` + strings.Replace(g, "harbour", "har\xffbour", 1) + `}`:                 400,
		`{"prompt":` + strings.Replace(g, "harbour", `har\u0000\udfffbour`, 1) + `}`:         200,
		`{"prompt":` + strings.Replace(g, `"steps":5`, `"steps":0,"steps":5`, 1) + `}`:       200,
		`{"prompt":` + strings.Replace(g, "film/shot", `film/%year%-灯\"/../x`, 1) + `}`:      200,
	} {
		r, err := http.Post(f.Base+"/prompt", "application/json", strings.NewReader(body))
		must(t, err)
		text, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%.60s…%s: %d %s", body, body[max(0, len(body)-60):], r.StatusCode, text)
		}
	}
	until(t, "all is done", func() bool { return f.relay.QueueLength() == 0 })
	for _, path := range []string{"/queue", "/history", "/history/a%0Ab", "/view?filename=%FF%00.png", "/view?filename=x.png%0D%0AX-Evil:%201"} {
		status, text, err := f.Do(t.Context(), "GET", path, nil)
		if err != nil || status >= 500 || path[1] != 'v' && !json.Valid(text) {
			t.Errorf("%s: %d %.300s %v", path, status, text, err)
		}
	}
	must(t, f.JSON(t.Context(), "POST", "/history", map[string]any{"delete": []string{"a\nb", "\x00", uuid.NewString()}}, nil))
	must(t, f.JSON(t.Context(), "POST", "/queue", map[string]any{"delete": []string{"a\nb", "\x00", uuid.NewString()}}, nil))
	must(t, f.JSON(t.Context(), "POST", "/interrupt", map[string]any{"prompt_id": "a\nb\x00"}, nil))
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
	status, text, err := f.Do(t.Context(), "POST", "/prompt", map[string]any{"prompt": map[string]any{"1": strings.Repeat("x", 9<<20)}})
	if err == nil && status != http.StatusRequestEntityTooLarge {
		t.Errorf("9 MiB: %d %.200s", status, text)
	}
	if status, _, err := f.Upload(t.Context(), "huge.png", make([]byte, 101<<20), nil); err == nil && status != http.StatusRequestEntityTooLarge {
		t.Errorf("101 MiB upload: %d", status)
	}
	view(t, f.Client, wait(t, f.Client, submit(t, f.Client, take(t, 2), ""))) // still there
}

func TestNamesAndAuthorization(t *testing.T) {
	a := newPod(t)
	_, port, _ := net.SplitHostPort(a.address)
	f := newFront(t, relay.Options{Backends: "dns+http://localhost:" + port, Token: "secret", Credentials: secret(t, "bearer-token", "another's")})
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
