package relay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	conns   *connections
	cancel  context.CancelFunc
	seen    atomic.Pointer[http.Header]
	around  atomic.Value // a func(http.ResponseWriter, *http.Request, http.Handler) that answers in its place
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
		if around, ok := p.around.Load().(func(http.ResponseWriter, *http.Request, http.Handler)); ok {
			around(w, r, mux)
			return
		}
		mux.ServeHTTP(w, r)
	})}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.conns = &connections{Listener: l}
	go p.server.Serve(p.conns)
	go s.Run(ctx)
}

// kill ends the pod at once: connections break, queue, history and images are gone.
func (p *pod) kill() {
	p.conns.sever()
	p.server.Close()
	p.cancel()
}

// connections remembers what it accepted: a server's Close leaves WebSockets open, a dead process doesn't.
type connections struct {
	net.Listener
	mu   sync.Mutex
	open []net.Conn
}

func (c *connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.mu.Lock()
		c.open = append(c.open, conn)
		c.mu.Unlock()
	}
	return conn, err
}

func (c *connections) sever() {
	c.Listener.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		conn.Close()
	}
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
	for deadline := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited five minutes in vain for: %s", what)
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
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
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
