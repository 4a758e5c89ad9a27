package relay_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/relay"
)

// troubled is a server that speaks ComfyUI's API wrongly; a path that is not given is answered as an idle one would.
type troubled map[string]http.HandlerFunc

func (s troubled) start(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if strings.HasPrefix(path, "/history/") {
			path = "/history/"
		}
		if h := s[r.Method+" "+path]; h != nil {
			h(w, r)
			return
		}
		switch path {
		case "/ws":
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			c.Write(r.Context(), websocket.MessageText, []byte(`{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}},"sid":"x"}}`))
			c.Read(r.Context())
		case "/queue":
			fmt.Fprint(w, `{"queue_running":[],"queue_pending":[]}`)
		default:
			fmt.Fprint(w, "{}")
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// endless writes a JSON answer of 4 GB, as long as somebody reads it.
func endless(open, element string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, open)
		chunk := strings.Repeat(element+",", 1<<20/len(element))
		for range 4 << 10 {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	}
}

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

// hang answers when its caller is gone.
func hang(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// Whatever one server does, the prompts are made by another. The troubled one is tried first: the other
// comes later.
func TestTroubledServers(t *testing.T) {
	accept := func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			ID string `json:"prompt_id"`
		}
		json.NewDecoder(r.Body).Decode(&in)
		fmt.Fprintf(w, `{"prompt_id":%q,"number":1,"node_errors":{}}`, in.ID)
	}
	for name, s := range map[string]troubled{
		"never answers":                       {"GET /queue": hang, "GET /ws": hang, "POST /prompt": hang},
		"takes no prompt":                     {"POST /prompt": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }},
		"is a login page":                     {"GET /queue": say("<html>"), "POST /prompt": say("<html>")},
		"sends elsewhere":                     {"POST /prompt": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }},
		"breaks off":                          {"POST /prompt": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		"answers the prompt with garbage":     {"POST /prompt": say(`{"prompt_id": `)},
		"forgets what it took":                {"POST /prompt": accept},
		"has an endless queue":                {"GET /queue": endless(`{"queue_running":[`, `[0,"x",{},{},[]]`)},
		"has an endless word in its queue":    {"GET /queue": endless(`{"queue_running":[[0,"`, `aaaaaaaaaaaaaaaa`)},
		"has an endless graph in its queue":   {"GET /queue": endless(`{"queue_running":[[0,"x",[`, `[[[[]]]]`)},
		"answers the prompt without end":      {"POST /prompt": endless(`{"prompt_id":["`, `aaaaaaaaaaaaaaaa`)},
		"refuses without end":                 {"POST /prompt": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); endless("{", `"":0`)(w, r) }},
		"has endless history":                 {"POST /prompt": accept, "GET /history/": endless(`{"`, `aaaaaaaaaaaaaaaa`)},
		"has history that is no history":      {"POST /prompt": accept, "GET /history/": say(`[1,2,3]`)},
		"has history that is half an outcome": {"POST /prompt": accept, "GET /history/": say(`{"outputs`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := newPod(t)
			good.kill()
			var asked atomic.Int64
			path := "GET /queue"
			if s["POST /prompt"] != nil && s["GET /queue"] == nil {
				path = "POST /prompt"
			}
			trouble := s[path]
			s[path] = func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				trouble(w, r)
			}
			f := newFront(t, relay.Options{Backends: s.start(t) + "," + good.url(), LostAfter: time.Second})
			var all sync.WaitGroup
			for seed := range uint64(3) {
				all.Go(func() {
					id, g := uuid.NewString(), take(t, seed)
					var last string
					until(t, "it is taken", func() bool {
						status, text, err := f.Do(t.Context(), "POST", "/prompt", map[string]any{"prompt": g, "prompt_id": id})
						last = fmt.Sprintf("%d %.400s %v", status, text, err)
						return status == 200
					})
					if r := wait(t, f.Client, id); r.Status.Text != "success" {
						t.Errorf("%+v; %s", r.Status, last)
					}
				})
			}
			until(t, "the server has shown what it is", func() bool { return asked.Load() > 0 })
			good.start()
			all.Wait()
			until(t, "an upload is taken", func() bool {
				status, text, err := f.Upload(t.Context(), "start.png", []byte("picture"), nil)
				return err == nil && status == 200 && bytes.Contains(text, []byte(`"start.png"`))
			})
		})
	}
}

// A server that has a prompt in work for ever is given up by the pace of its prompts; it is asked to end it, and the
// prompt is made elsewhere under its id.
func TestWedgedServer(t *testing.T) {
	for _, state := range []string{"running", "pending"} {
		t.Run(state, func(t *testing.T) {
			var mu sync.Mutex
			has, deleted, interrupted := "", "", ""
			s := troubled{
				"POST /prompt": func(w http.ResponseWriter, r *http.Request) {
					var in struct {
						ID string `json:"prompt_id"`
					}
					json.NewDecoder(r.Body).Decode(&in)
					mu.Lock()
					defer mu.Unlock()
					has = in.ID
					fmt.Fprintf(w, `{"prompt_id":%q,"number":1,"node_errors":{}}`, in.ID)
				},
				"GET /queue": func(w http.ResponseWriter, _ *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					lists := map[string]any{"queue_running": []any{}, "queue_pending": []any{}}
					if has != "" {
						lists["queue_"+state] = []any{[]any{1, has, map[string]any{}, map[string]any{}, []any{}}}
					}
					json.NewEncoder(w).Encode(lists)
				},
				"POST /queue": func(_ http.ResponseWriter, r *http.Request) {
					text, _ := io.ReadAll(r.Body)
					mu.Lock()
					defer mu.Unlock()
					deleted = string(text)
				},
				"POST /interrupt": func(_ http.ResponseWriter, r *http.Request) {
					text, _ := io.ReadAll(r.Body)
					mu.Lock()
					defer mu.Unlock()
					interrupted = string(text)
				},
			}
			good := newPod(t)
			good.kill()
			f := newFront(t, relay.Options{Backends: s.start(t) + "," + good.url(), StallAfter: 300 * time.Millisecond})
			f.ready(t, 1)
			id := submit(t, f.Client, take(t, 1), "")
			good.start()
			if r := wait(t, f.Client, id); r.Status.Text != "success" {
				t.Errorf("%+v", r.Status)
			}
			f.ready(t, 1) // what still has its prompt gets no other
			if err := f.relay.Ready(t.Context()); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if has != id || !strings.Contains(deleted, id) || state == "running" && !strings.Contains(interrupted, id) {
				t.Errorf("it had %s; deleted %q, interrupted %q", has, deleted, interrupted)
			}
		})
	}
}

// A pod that is slow but shows that it works is left alone, however long it takes.
func TestSlowServerIsNotWedged(t *testing.T) {
	a := newPod(t)
	f := newFront(t, relay.Options{Backends: a.url(), StallAfter: 500 * time.Millisecond, Attempts: 1})
	f.ready(t, 1)
	g := bytes.Replace(long(t, 1), []byte(`"batch_size":256`), []byte(`"batch_size":64`), 1)
	if r := wait(t, f.Client, submit(t, f.Client, g, "")); r.Status.Text != "success" {
		t.Errorf("%s", r.Status.Messages)
	}
}

// A pod that hangs and comes back has had its prompts made elsewhere, or cancelled: nothing of them is left in its queue.
func TestCancelledAndMovedPromptsAreTakenBack(t *testing.T) {
	var hung atomic.Bool
	a, b := newPod(t), newPod(t)
	b.kill()
	release := make(chan struct{})
	a.around.Store(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if hung.Load() {
			select {
			case <-release:
			case <-r.Context().Done():
				return
			}
		}
		next.ServeHTTP(w, r)
	})
	f := newFront(t, relay.Options{Backends: a.url() + "," + b.url(), LostAfter: 500 * time.Millisecond})
	f.ready(t, 1)
	busy := submit(t, f.Client, bytes.Replace(long(t, 1), []byte(`"batch_size":256`), []byte(`"batch_size":1024`), 1), "") // outlasts all this
	cancelled, moved := submit(t, f.Client, take(t, 2), ""), submit(t, f.Client, take(t, 3), "")
	hung.Store(true)
	must(t, f.JSON(t.Context(), "POST", "/queue", map[string]any{"delete": []string{cancelled}}, nil))
	must(t, f.JSON(t.Context(), "POST", "/interrupt", map[string]any{"prompt_id": busy}, nil))
	b.start()
	if r := wait(t, f.Client, moved); r.Status.Text != "success" {
		t.Errorf("%+v", r.Status)
	}
	if r := wait(t, f.Client, busy); r.Status.Text != "error" || !strings.Contains(string(r.Status.Messages[0][0]), "execution_interrupted") {
		t.Errorf("interrupted while its server hung: %+v", r.Status)
	}
	hung.Store(false)
	close(release)
	until(t, "the pod that came back has nothing left to do", func() bool { return queueLength(t, a.url()) == 0 })
	f.ready(t, 2)
	var all map[string]json.RawMessage
	must(t, f.JSON(t.Context(), "GET", "/history", nil, &all))
	if all[cancelled] != nil || len(all) != 2 || f.relay.QueueLength() != 0 {
		t.Errorf("history %v, queue %d", len(all), f.relay.QueueLength())
	}
	for _, p := range []*pod{a, b} {
		must(t, f.JSON(t.Context(), "GET", "/queue", nil, nil))
		var there map[string]json.RawMessage
		c := *f.Client
		c.Base = p.url()
		must(t, c.JSON(t.Context(), "GET", "/history", nil, &there))
		if there[cancelled] != nil {
			t.Error("what was cancelled was executed")
		}
	}
}

// The server's own words come through, and nothing of a refused prompt stays.
func TestRefusedIsNotKept(t *testing.T) {
	a := newPod(t)
	f := newFront(t, relay.Options{Backends: a.url()})
	f.ready(t, 1)
	id := uuid.NewString()
	bad := json.RawMessage(bytes.Replace(take(t, 1), []byte(`"steps":5`), []byte(`"steps":0`), 1))
	for range 2 {
		status, text, err := f.Do(t.Context(), "POST", "/prompt", map[string]any{"prompt": bad, "prompt_id": id})
		must(t, err)
		if status != 400 || !bytes.Contains(text, []byte("value_smaller_than_min")) {
			t.Errorf("%d %s", status, text)
		}
	}
	status, text, err := f.Do(t.Context(), "POST", "/prompt", map[string]any{"prompt": take(t, 1), "prompt_id": id}) // mended, the same id
	must(t, err)
	if status != 200 {
		t.Errorf("%d %s", status, text)
	}
	wait(t, f.Client, id)
}
