package relay_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/conformance"
	"github.com/ai-film/ai-film/services/comfyui/graph"
	"github.com/ai-film/ai-film/services/comfyui/relay"
	"github.com/ai-film/ai-film/services/internal/freeport"
)

// TestIdentity: preview and relay work for who has the token, as a bearer or as the password of HTTP Basic, WebSockets
// included, and tell a stranger nothing; the relay shows its token to servers found by name only.
func TestIdentity(t *testing.T) {
	p := newProcess(t, "comfyui-preview")
	stranger := newPod(t)
	port := p.Base[strings.LastIndex(p.Base, ":")+1:]
	r := newProcess(t, "comfyui-relay", "BACKENDS=dns+http://localhost:"+port+","+stranger.url())
	until(t, "both servers are ready", func() bool {
		status, text, err := r.Do(t.Context(), "GET", "/system_stats", nil)
		return err == nil && status == 200 && len(text) > 0
	})
	for _, server := range []*process{p, r} {
		server.works(t, 1)
		bare := &conformance.Client{Base: server.Base}
		for path, method := range map[string]string{"/prompt": "GET", "/queue": "POST", "/interrupt": "POST", "/view?filename=x": "GET", "/upload/image": "POST",
			"/ws?clientId=x": "GET", "/history": "GET", "/object_info": "GET", "/v1/films/x": "DELETE", "/": "GET", "/metrics": "GET", "/readyz": "GET"} {
			for _, header := range []string{"", "Bearer wrong-wrong-wrong-wrong", "Bearer " + token[1:], "Basic " + base64.StdEncoding.EncodeToString([]byte(token+":"))} {
				bare.Header = http.Header{}
				if header != "" {
					bare.Header.Set("Authorization", header)
				}
				status, text, err := bare.Do(t.Context(), method, path, nil)
				if err != nil || status != 401 || !strings.Contains(string(text), `"not authorized"`) {
					t.Errorf("%s %s with %q: %d %s %v", method, path, header, status, text, err)
				}
			}
		}
		for _, path := range []string{"/metrics", "/readyz", "/api/readyz"} {
			if status, _, _ := server.Do(t.Context(), "GET", path, nil); status != 404 {
				t.Errorf("%s on the main port: %d", path, status)
			}
		}
		bare.Header = http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+token))}}
		must(t, bare.JSON(t.Context(), "GET", "/prompt", nil, nil))
		messages, err := bare.Listen(t.Context(), "me")
		must(t, err)
		if m := <-messages; m.Type != "status" {
			t.Errorf("greeting: %+v", m)
		}
		bare.Header.Set("Origin", "http://evil.example") // a page elsewhere, in a browser that knows the password
		if _, err := bare.Listen(t.Context(), "me"); err == nil {
			t.Error("a WebSocket of another origin")
		}
		for _, headers := range []http.Header{{"Origin": {"http://evil.example"}}, {"Origin": {"null"}}, {"Origin": {"http://127.0.0.1:1"}}, {"Sec-Fetch-Site": {"cross-site"}}} {
			headers.Set("Authorization", bare.Header.Get("Authorization"))
			c := &conformance.Client{Base: server.Base, Header: headers}
			if status, _, err := c.Do(t.Context(), "POST", "/interrupt", nil); err != nil || status != 403 {
				t.Errorf("%v: %d %v", headers, status, err)
			}
		}
	}
	if h := stranger.seen.Load(); h == nil || strings.Contains(h.Get("Authorization"), token) {
		t.Errorf("a server given by URL was told %v", h)
	}
	command := exec.Command(program(t, "comfyui-relay"))
	command.Env = []string{"BACKENDS=http://127.0.0.1:1", "SERVICE_TOKEN=short", "TMPDIR=" + t.TempDir(), "PORT=" + freeport.Loopback(t)}
	if out, err := command.CombinedOutput(); err == nil || command.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "SERVICE_TOKEN") {
		t.Errorf("with a short token: %v %s", err, out)
	}
}

// TestDeleteFilm: of a deleted film nothing is left, neither here nor on the servers, whichever relay had its prompts;
// other films are whole.
func TestDeleteFilm(t *testing.T) {
	database := startPostgres(t)
	a, b := newPod(t), newPod(t)
	var fronts []*front
	for _, name := range []string{"relay-0", "relay-1"} {
		store, err := relay.OpenPostgres(t.Context(), database, name, relay.Keep{Count: 1000, Age: time.Hour})
		must(t, err)
		t.Cleanup(store.Close)
		f := newFront(t, relay.Options{Backends: a.url() + "," + b.url(), Store: store, Name: name})
		f.ready(t, 2)
		until(t, "the schema is there", func() bool { return store.Ready(t.Context()) == nil })
		fronts = append(fronts, f)
	}
	one, two := fronts[0], fronts[1]
	gone := func(g *graph.Params) { g.FilenamePrefix = "gone/shot" }
	var records []*conformance.Record
	for seed := range uint64(4) {
		records = append(records, wait(t, one.Client, submit(t, fronts[seed%2].Client, take(t, seed, gone), "")))
	}
	kept := wait(t, one.Client, submit(t, one.Client, take(t, 9, func(g *graph.Params) { g.FilenamePrefix = "gone-too/shot" }), ""))
	status, text, err := one.Upload(t.Context(), "start.png", view(t, one.Client, records[0]), map[string]string{"subfolder": "gone"})
	if err != nil || status != 200 {
		t.Fatalf("%d %s %v", status, text, err)
	}
	var busy []string
	for seed := range uint64(4) { // of both relays; some run, some wait
		g := json.RawMessage(strings.Replace(string(long(t, seed)), "film/shot", "gone/shot", 1))
		busy = append(busy, submit(t, fronts[seed%2].Client, g, ""))
	}
	until(t, "the servers have them", func() bool { return queueLength(t, a.url())+queueLength(t, b.url()) == 4 })

	var answer struct {
		Prompts           int
		Unreachable, Kept []string
	}
	must(t, one.JSON(t.Context(), "DELETE", "/v1/films/gone", nil, &answer))
	if answer.Prompts != 4 || len(answer.Unreachable) != 0 || len(answer.Kept) != 0 {
		t.Errorf("%+v", answer)
	}
	until(t, "nothing runs", func() bool {
		return queueLength(t, a.url())+queueLength(t, b.url())+one.relay.QueueLength()+two.relay.QueueLength() == 0
	})
	bases := []string{a.url(), b.url(), one.Base, two.Base}
	for _, base := range bases {
		c := &conformance.Client{Base: base}
		for _, path := range []string{"/history", "/queue"} {
			_, text, err := c.Do(t.Context(), "GET", path, nil)
			must(t, err)
			if strings.Contains(string(text), "gone/shot") {
				t.Errorf("%s%s has it: %.300s", base, path, text)
			}
		}
		for _, name := range append([]conformance.Image{{Filename: "start.png", Subfolder: "gone", Type: "input"}}, records[0].Outputs[graph.SaveNode].Images[0], records[1].Outputs[graph.SaveNode].Images[0]) {
			if _, err := c.View(t.Context(), name); err == nil {
				t.Errorf("%s has %v", base, name)
			}
		}
	}
	for _, id := range busy {
		if r, err := two.History(t.Context(), id); err != nil || r != nil {
			t.Errorf("what ran is kept: %v %v", r, err)
		}
	}
	view(t, two.Client, kept)

	// a server that is away deletes the film when it is back
	made := wait(t, one.Client, submit(t, one.Client, take(t, 30, func(g *graph.Params) { g.FilenamePrefix = "later/shot" }), ""))
	view(t, one.Client, made)
	var hung atomic.Bool
	for _, p := range []*pod{a, b} {
		p.around.Store(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if hung.Load() {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}
	hung.Store(true)
	one.ready(t, 0)
	must(t, two.JSON(t.Context(), "DELETE", "/v1/films/later", nil, &answer))
	if answer.Prompts != 1 || len(answer.Unreachable) != 2 {
		t.Errorf("%+v", answer)
	}
	hung.Store(false)
	for _, base := range bases[:2] {
		until(t, base+" has deleted it", func() bool {
			_, err := (&conformance.Client{Base: base}).View(t.Context(), made.Outputs[graph.SaveNode].Images[0])
			return err != nil
		})
	}
	one.ready(t, 2)
	for _, path := range []string{"/v1/films/..", "/v1/films/a%2Fb", "/v1/films/.", "/v1/films/" + strings.Repeat("x", 65)} {
		if status, _, err := one.Do(t.Context(), "DELETE", path, nil); err != nil || status < 300 || status >= 500 {
			t.Errorf("%s: %d %v", path, status, err)
		}
	}
	// the film's id may also be told in the header, where no node saves to its folder
	id := uuid.NewString()
	c := *one.Client
	c.Header = http.Header{"X-Film-Id": {"other"}}
	if status, text, err := c.Do(t.Context(), "POST", "/prompt", map[string]any{"prompt": take(t, 20), "prompt_id": id}); err != nil || status != 200 {
		t.Fatalf("%d %s %v", status, text, err)
	}
	wait(t, one.Client, id)
	must(t, two.JSON(t.Context(), "DELETE", "/v1/films/other", nil, &answer))
	if r, err := one.History(t.Context(), id); err != nil || r != nil || answer.Prompts != 1 {
		t.Errorf("%+v %v %v", answer, r, err)
	}
}
