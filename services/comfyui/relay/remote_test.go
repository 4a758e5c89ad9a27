package relay_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/conformance"
	"github.com/ai-film/ai-film/services/comfyui/endpoint"
	"github.com/ai-film/ai-film/services/comfyui/graph"
	"github.com/ai-film/ai-film/services/comfyui/relay"
	"github.com/ai-film/ai-film/services/internal/outbound"
)

// secret is credentials as a mounted Secret gives them: key, value, key, value …
func secret(t *testing.T, pairs ...string) *outbound.Credentials {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(pairs); i += 2 {
		must(t, os.WriteFile(filepath.Join(dir, pairs[i]), []byte(pairs[i+1]+"\n"), 0o600))
	}
	return outbound.NewCredentials(dir)
}

func loopback(t *testing.T) outbound.Guard {
	t.Helper()
	g, err := outbound.NewGuard("127.0.0.0/8")
	must(t, err)
	return g
}

// tunnel stands for cloudflared: a reverse proxy with latency, under an address of its own, that can be cut, and whose far end
// can be gone while the near one still answers.
type tunnel struct {
	server *httptest.Server
	conns  *connections
	gone   atomic.Bool // the far end: 530, as Cloudflare says
}

func newTunnel(t *testing.T, to string, latency time.Duration) *tunnel {
	t.Helper()
	base, err := url.Parse(to)
	must(t, err)
	p := &tunnel{}
	proxy := httputil.NewSingleHostReverseProxy(base)
	proxy.FlushInterval = -1
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p.conns = &connections{Listener: l}
	p.server = &httptest.Server{Listener: p.conns, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		time.Sleep(latency)
		if p.gone.Load() {
			http.Error(w, "error code: 1033", 530)
			return
		}
		proxy.ServeHTTP(w, q)
	})}}
	p.server.Start()
	t.Cleanup(p.cut)
	return p
}

func (p *tunnel) url() string { return p.server.URL }

// cut ends the tunnel and all that goes through it.
func (p *tunnel) cut() { p.conns.sever() }

func endpoints(urls ...string) (all []endpoint.Endpoint) {
	for i, u := range urls {
		all = append(all, endpoint.Endpoint{Name: fmt.Sprintf("colab-%d", i+1), URL: u, Weight: 1})
	}
	return all
}

// Installed without a server, prompts are taken and wait; a session draws, dies in the middle, and the next ends what it had
// under the same id, with nothing made twice that was done.
func TestSessionsComeAndGo(t *testing.T) {
	ran := countExecutions(t)
	f := newFront(t, relay.Options{Endpoints: true, Guard: loopback(t), LostAfter: 2 * time.Second, Attempts: 2})
	f.relay.Use(nil, "")
	must(t, f.relay.Ready(t.Context()))
	if s := f.relay.Status(); s.State != "waiting" || !strings.Contains(s.Why, "ai-film remote register") {
		t.Errorf("%+v", s)
	}
	done, busy := uuid.NewString(), uuid.NewString()
	post := func(id string, g json.RawMessage) {
		t.Helper()
		for range 2 { // whoever lost the answer asks again
			status, text, err := f.Do(t.Context(), "POST", "/prompt", map[string]any{"prompt": g, "prompt_id": id})
			if err != nil || status != 200 || !bytes.Contains(text, []byte(id)) {
				t.Fatalf("%d %s %v", status, text, err)
			}
		}
	}
	post(done, take(t, 1))
	if n := f.relay.QueueLength(); n != 1 {
		t.Errorf("queue: %d", n)
	}
	if s := f.relay.Status(); s.Waiting != 1 {
		t.Errorf("%+v", s)
	}
	status, text, err := f.Do(t.Context(), "GET", "/system_stats", nil)
	if err != nil || status != 503 || !strings.Contains(string(text), "registered") {
		t.Errorf("%d %s %v", status, text, err)
	}

	first := newPod(t)
	one := newTunnel(t, first.url(), 20*time.Millisecond)
	f.relay.Use(endpoints(one.url()), "")
	record := wait(t, f.Client, done)
	image := view(t, f.Client, record)
	if !strings.Contains(string(record.Status.Messages[len(record.Status.Messages)-1][1]), `"server":"colab-1"`) {
		t.Errorf("it is not told who drew: %s", record.Status.Messages)
	}

	post(busy, seconds(t, 2))
	until(t, "it runs", func() bool { return queueLength(t, first.url()) > 0 })
	one.gone.Store(true) // its tunnel ends, and again and again: that is no fault of the prompt
	for range 3 {
		f.relay.Use(nil, "")
		until(t, "it waits", func() bool { return f.relay.Status().Waiting == 1 })
		again := newTunnel(t, newPod(t).url(), 0)
		f.relay.Use(endpoints(again.url()), "")
		until(t, "the next has it", func() bool { return f.relay.Status().Waiting == 0 })
		again.cut()
	}
	second := newPod(t)
	f.relay.Use(endpoints(newTunnel(t, second.url(), 5*time.Millisecond).url()), "")
	if r := wait(t, f.Client, busy); r.Status.Text != "success" {
		t.Errorf("%+v", r.Status)
	}
	ran.mu.Lock()
	times := ran.count[done]
	ran.mu.Unlock()
	if times != 1 {
		t.Errorf("what was done was executed %d times", times)
	}
	// its server is gone: it is drawn anew, the same
	if again := view(t, f.Client, record); !bytes.Equal(again, image) {
		t.Error("the picture changed")
	}
}

// While no server elsewhere is there for long, a fall-back draws; what it draws is marked, and it ends when one is there.
func TestFallback(t *testing.T) {
	p := newPod(t)
	_, port, _ := net.SplitHostPort(p.address)
	f := newFront(t, relay.Options{Endpoints: true, Guard: loopback(t), Fallback: "dns+http://localhost:" + port, FallbackAfter: 2 * time.Second, LostAfter: time.Second})
	f.relay.Use(nil, "")
	id := submit(t, f.Client, take(t, 1), "")
	if n := queueLength(t, p.url()); n != 0 && f.relay.Status().State != "fallback" {
		t.Error("the fall-back drew at once")
	}
	r := wait(t, f.Client, id)
	view(t, f.Client, r)
	if s := f.relay.Status(); s.State != "fallback" || s.Why == "" {
		t.Errorf("%+v", s)
	}
	last := func(r *conformance.Record) string { return string(r.Status.Messages[len(r.Status.Messages)-1][1]) }
	if !strings.Contains(last(r), `"fallback":true`) {
		t.Errorf("unmarked: %s", r.Status.Messages)
	}
	f.relay.Use(endpoints(newTunnel(t, newPod(t).url(), 0).url()), "")
	until(t, "the server is there", func() bool { return f.relay.Status().State == "ready" })
	if r := wait(t, f.Client, submit(t, f.Client, take(t, 2), "")); !strings.Contains(last(r), `"fallback":false`) {
		t.Errorf("the fall-back still draws: %s", r.Status.Messages)
	}
}

// Servers in the cluster and elsewhere serve together, each in the measure of its weight.
func TestLocalAndRemoteTogether(t *testing.T) {
	local, far := newPod(t), newPod(t)
	_, port, _ := net.SplitHostPort(local.address)
	f := newFront(t, relay.Options{Backends: "dns+http://127.0.0.1:" + port, Endpoints: true, Guard: loopback(t)})
	named := endpoints(newTunnel(t, far.url(), 0).url())
	named[0].Weight = 3
	f.relay.Use(named, "")
	f.ready(t, 2)
	for _, p := range []*pod{local, far} { // so that nothing ends, and the queues show the measure
		submit(t, &conformance.Client{Base: p.url()}, long(t, 1), "")
	}
	until(t, "both are known to be busy", func() bool {
		s := f.relay.Status().Servers
		return s[0].Queue == 1 && s[1].Queue == 1
	})
	for i := range 14 {
		submit(t, f.Client, take(t, uint64(i)), "")
	}
	if l, r := queueLength(t, local.url()), queueLength(t, far.url()); r < 2*l || l < 2 {
		t.Errorf("local %d, remote %d", l, r)
	}
}

// What registers may name any address and answer anything: nothing inside is connected to, whatever the name meant before, and
// nobody is sent credentials that are not for them.
func TestServersElsewhereAreNotTrusted(t *testing.T) {
	var inside atomic.Int64
	hidden := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { inside.Add(1); io.WriteString(w, "{}") }))
	t.Cleanup(hidden.Close)
	_, port, _ := net.SplitHostPort(hidden.Listener.Addr().String())
	redirect := httptest.NewServer(http.RedirectHandler(hidden.URL, http.StatusTemporaryRedirect))
	t.Cleanup(redirect.Close)
	f := newFront(t, relay.Options{Endpoints: true, LostAfter: time.Second, Credentials: secret(t, "bearer-token", "confidential", "hosts", "gpu.example.com")})
	all := []string{"http://169.254.169.254", "http://10.96.0.1:443", "http://[fd00:ec2::254]", "http://[fe80::1%25lo]:80", redirect.URL}
	for _, host := range []string{"127.0.0.1", "localhost", "localhost.", "LOCALHOST", "a.localhost", "0.0.0.0", "127.1", "0177.0.0.1", "0x7f000001", "2130706433", "127.0.0.1.",
		"[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "127。0。0。1", "ｌｏｃａｌｈｏｓｔ", "①②⑦.⓪.⓪.①"} {
		all = append(all, "http://"+host+":"+port)
	}
	f.relay.Use(endpoints(all...), "")
	until(t, "all are refused", func() bool {
		n := 0
		for _, s := range f.relay.Status().Servers {
			if !s.Ready && s.Error != "" {
				n++
			}
		}
		return n == len(all)
	})
	for _, s := range f.relay.Status().Servers {
		if !strings.Contains(s.Error, "not a public one") && !strings.Contains(s.Error, "no such host") {
			t.Errorf("%s: %s", s.URL, s.Error)
		}
	}
	if n := inside.Load(); n != 0 {
		t.Errorf("%d requests came inside", n)
	}

	// allowed by its network, the redirecting one is asked, and not followed; and it sees no credentials
	var told atomic.Value
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		told.Store(q.Header.Get("Authorization"))
		http.Redirect(w, q, hidden.URL, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(other.Close)
	g := newFront(t, relay.Options{Endpoints: true, Guard: loopback(t), Credentials: secret(t, "bearer-token", "confidential", "hosts", "127.0.0.1")})
	g.relay.Use(endpoints(other.URL), "")
	until(t, "it answered", func() bool { return told.Load() != nil && g.relay.Status().Servers[0].Error != "" })
	if s := g.relay.Status().Servers[0]; s.Ready || !strings.Contains(s.Error, "307") {
		t.Errorf("%+v", s)
	}
	if told.Load() != "" || inside.Load() != 0 {
		t.Errorf("told %q, %d requests inside", told.Load(), inside.Load())
	}
}

// vast is a PNG of a few bytes that says it has 50000 × 50000 pixels.
var vast = []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\xc3\x50\x00\x00\xc3\x50\x08\x06\x00\x00\x00\x2e\x6f\xa3\x5e")

// A server that answers for ever, or with what would fill a memory, harms nobody.
func TestServersThatAnswerTooMuch(t *testing.T) {
	p := newPod(t)
	f := newFront(t, relay.Options{Endpoints: true, Guard: loopback(t), LostAfter: 3 * time.Second})
	f.relay.Use(endpoints(newTunnel(t, p.url(), 0).url()), "")
	f.ready(t, 1)
	r := wait(t, f.Client, submit(t, f.Client, take(t, 1), ""))
	image := r.Outputs[graph.SaveNode].Images[0]
	answer := func(each func(w http.ResponseWriter)) (int, []byte, error) {
		p.around.Store(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
			if q.URL.Path == "/view" {
				each(w)
				return
			}
			next.ServeHTTP(w, q)
		})
		return f.Do(t.Context(), "GET", "/view?filename="+image.Filename+"&subfolder="+image.Subfolder, nil)
	}
	if status, text, err := answer(func(w http.ResponseWriter) { w.Write(vast) }); err != nil || status != http.StatusBadGateway || !bytes.Contains(text, []byte("50000 × 50000")) {
		t.Errorf("%d %.200s %v", status, text, err)
	}
	if status, text, err := answer(func(w http.ResponseWriter) { // packed, too
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		z.Write(vast)
		z.Close()
	}); err == nil && status == 200 {
		t.Errorf("%d %.200s", status, text)
	}
	p.around.Store(func(w http.ResponseWriter, q *http.Request, next http.Handler) { // a page that would act as who is signed in here
		if q.URL.Path == "/view" || q.URL.Path == "/page.html" {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Set-Cookie", "session=stolen")
			io.WriteString(w, "<script>fetch('/history')</script>")
			return
		}
		next.ServeHTTP(w, q)
	})
	for _, path := range []string{"/view?filename=" + image.Filename + "&subfolder=" + image.Subfolder, "/page.html"} {
		answer, err := http.Get(f.Base + path)
		must(t, err)
		answer.Body.Close()
		if answer.Header.Get("Content-Security-Policy") != "sandbox" || answer.Header.Get("X-Content-Type-Options") != "nosniff" || answer.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %v", path, answer.Header)
		}
	}
	p.around.Store(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if q.URL.Path == "/queue" { // an endless answer
			for q.Context().Err() == nil {
				if _, err := io.WriteString(w, `{"queue_running":[`+strings.Repeat(" ", 1<<20)); err != nil {
					return
				}
			}
			return
		}
		next.ServeHTTP(w, q)
	})
	until(t, "it is given up", func() bool { return f.relay.Status().State == "waiting" })
}

// The limits of a tunnel are kept: what is larger than it lets through is refused here, with the reason.
func TestWhatATunnelDoesNotLetThrough(t *testing.T) {
	p := newPod(t)
	f := newFront(t, relay.Options{Endpoints: true, Guard: loopback(t)})
	f.relay.Use(endpoints(newTunnel(t, p.url(), 0).url()), "")
	f.ready(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	status, text, err := f.Upload(ctx, "large.png", make([]byte, 99_500_000), nil)
	if err != nil || status != http.StatusRequestEntityTooLarge || !strings.Contains(string(text), "tunnel") {
		t.Errorf("%d %.200s %v", status, text, err)
	}
}
