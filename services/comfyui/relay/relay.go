// Package relay stands in front of one or more ComfyUI servers and is one ComfyUI to its clients. ComfyUI keeps queue,
// history and files in each process; the relay gives every prompt an id that outlives the process, sends it to the
// server with the shortest queue, resubmits what a dead server took with it, and routes history, images and WebSocket
// messages to and from whichever server has them.
//
// What a client sees is ComfyUI's API, also under /api. Prompts that were refused are answered with the server's own
// words. Where no server is left to try, a problem document says which one is missing.
package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/wire"
)

// Options configures a relay.
type Options struct {
	Backends      string        // see parseSources
	Authorization string        // header for every request to a server, "" for none
	Dir           string        // uploads are kept here
	Poll          time.Duration // how often servers are asked; 1 s if zero
	LostAfter     time.Duration // a server that doesn't answer for so long is given up; 30 s if zero
	Attempts      int           // how often a prompt is placed before it fails; 3 if zero
	HistoryLimit  int           // finished prompts kept; 1000 if zero
	Store         Store         // nil: in memory only
}

// Relay is the relay. Make it with New, then Run.
type Relay struct {
	options Options
	sources []source
	sid     string // our session on the servers
	sockets wire.Sockets
	client  *http.Client
	spool   spool

	mu       sync.Mutex
	number   float64
	takes    map[string]*take
	finished []string          // ids of done takes, oldest first
	remote   map[string]string // "url id" on a server → our id
	public   map[ref]string    // file → id of the take that made it
	backends map[string]*backend
	missing  []string          // sources without an address
	current  map[string]string // server → take whose messages it sends
	remakes  map[string]*take
}

// New reads the options; nothing is contacted yet.
func New(o Options) (*Relay, error) {
	o.Poll, o.LostAfter = cmp.Or(o.Poll, time.Second), cmp.Or(o.LostAfter, 30*time.Second)
	o.Attempts, o.HistoryLimit = cmp.Or(o.Attempts, 3), cmp.Or(o.HistoryLimit, 1000)
	sources, err := parseSources(o.Backends)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	// A deleted pod's address answers nothing at all: find out in seconds.
	transport.DialContext = (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	r := &Relay{
		options: o, sources: sources, sid: "ai-film-relay-" + uuid.NewString(), client: &http.Client{Transport: transport},
		takes: map[string]*take{}, remote: map[string]string{}, public: map[ref]string{}, backends: map[string]*backend{},
		current: map[string]string{}, remakes: map[string]*take{},
	}
	return r, r.spool.open(o.Dir)
}

// Run follows the servers until ctx ends.
func (r *Relay) Run(ctx context.Context) {
	ticker := time.NewTicker(r.options.Poll)
	defer ticker.Stop()
	for n := 0; ; n++ {
		r.resolve(ctx)
		r.adopt(ctx)
		r.place(ctx)
		r.rebalance(ctx)
		r.save(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if r.options.Store != nil { // let the next relay take over at once
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
				r.save(last)
				r.options.Store.Release(last)
				cancel()
			}
			return
		}
	}
}

// resolve brings the set of servers up to date.
func (r *Relay) resolve(ctx context.Context) {
	urls, missing := addresses(ctx, r.sources)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missing = missing
	for _, u := range urls {
		if b := r.backends[u]; b != nil {
			b.gone = false
			continue
		}
		own, stop := context.WithCancel(ctx)
		b := &backend{url: u, client: r.client, header: http.Header{}, stop: stop, appeared: time.Now(), kick: make(chan struct{}, 1), delivered: map[string]string{}}
		if r.options.Authorization != "" {
			b.header.Set("Authorization", r.options.Authorization)
		}
		r.backends[u] = b
		go b.listen(own, r.sid, func(kind websocket.MessageType, data []byte) { r.heard(ctx, b, kind, data) }, func() {
			r.mu.Lock()
			b.listening = false
			r.mu.Unlock()
		})
		go r.follow(own, b)
		slog.Info("server appeared", "backend", u)
	}
	for u, b := range r.backends {
		if !slices.Contains(urls, u) && len(missing) == 0 {
			b.gone = true
		}
	}
}

// follow asks one server about its queue, again and again.
func (r *Relay) follow(ctx context.Context, b *backend) {
	for ctx.Err() == nil {
		r.look(ctx, b)
		select {
		case <-time.After(r.options.Poll):
		case <-b.kick:
		case <-ctx.Done():
		}
	}
}

// helloWait is how long a new server has to greet our WebSocket before it is used without: prompts are then followed by
// asking alone.
const helloWait = 5 * time.Second

// look asks one server for its queue and settles what became of our takes there.
func (r *Relay) look(ctx context.Context, b *backend) {
	asked := time.Now()
	ask, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var queue remoteQueue
	if err := b.call(ask, "GET", "/queue", nil, &queue); err != nil {
		if ctx.Err() == nil {
			r.unreachable(ctx, b, err)
		}
		return
	}
	r.mu.Lock()
	if !b.ready && !b.listening && time.Since(b.appeared) < helloWait {
		r.mu.Unlock() // a prompt sent now would be executed unheard
		return
	}
	if !b.ready {
		slog.Info("server is ready", "backend", b.url)
		b.delivered = map[string]string{} // perhaps another process than before
	}
	b.ready, b.since, b.refused, b.lastError = true, time.Time{}, false, ""
	b.queue = len(queue.Running) + len(queue.Pending)
	there := map[string]bool{} // id → running
	for _, t := range queue.Pending {
		there[tupleID(t)] = false
	}
	for _, t := range queue.Running {
		there[tupleID(t)] = true
	}
	var absent []*take
	var strays []string
	if b.gone && !slices.ContainsFunc(sortedValues(r.takes), func(t *take) bool { return t.State != done && t.Backend == b.url }) {
		b.stop() // it left the addresses and has nothing of ours to finish
		delete(r.backends, b.url)
		slog.Info("server is gone", "backend", b.url)
	}
	for _, t := range r.takes {
		running, has := there[t.Remote]
		switch {
		case t.State == placed && t.Backend == b.url && !t.moving:
			t.running = running
			if !has && t.placedAt.Before(asked) {
				absent = append(absent, t)
			}
			if has && !running && t.deleted { // it was on its way there when it was taken out of the queue
				strays = append(strays, t.Remote)
			}
		case has && t.Backend != b.url && t.State != waiting:
			strays = append(strays, t.Remote) // came back with what is already done elsewhere
		}
	}
	r.mu.Unlock()
	for _, t := range absent {
		r.settle(ctx, b, t)
	}
	for _, id := range strays {
		b.call(ask, "POST", "/queue", map[string]any{"delete": []string{id}}, nil)
		b.call(ask, "POST", "/interrupt", map[string]any{"prompt_id": id}, nil)
	}
}

// settle finishes a take that left its server's queue, or places it anew if the server knows nothing of it.
func (r *Relay) settle(ctx context.Context, b *backend, t *take) {
	ask, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r.mu.Lock()
	remote := t.Remote
	r.mu.Unlock()
	entry, err := b.history(ask, remote)
	if err != nil {
		return // the next look tells
	}
	if entry != nil {
		r.finish(ctx, b, t, entry)
		return
	}
	r.mu.Lock()
	if t.State != placed || t.Backend != b.url {
		r.mu.Unlock()
		return
	}
	if t.deleted {
		r.drop(t)
		r.mu.Unlock()
		r.announce()
		return
	}
	r.mu.Unlock()
	r.lost(ctx, t, b.url+" has neither queued nor finished it: it was restarted")
}

// unreachable notes that a server doesn't answer, and in time gives it up.
func (r *Relay) unreachable(ctx context.Context, b *backend, err error) {
	r.mu.Lock()
	if b.since.IsZero() {
		b.since = time.Now()
	}
	b.lastError, b.appeared = err.Error(), time.Now()
	b.refused = errors.Is(err, syscall.ECONNREFUSED)
	silent := time.Since(b.since)
	// Sampling can make a live server slow, so silence alone is given time; a closed port or a name that is gone are not.
	dead := silent > r.options.LostAfter || (b.refused || b.gone) && silent > min(2*r.options.Poll, r.options.LostAfter)
	if b.ready && (dead || silent > 5*time.Second || b.refused) {
		b.ready = false
		slog.Warn("server does not answer", "backend", b.url, "error", b.lastError)
	}
	var orphans []*take
	if dead {
		for _, t := range r.takes {
			if t.State == placed && t.Backend == b.url && !t.moving {
				orphans = append(orphans, t)
			}
		}
		if b.gone {
			b.stop()
			delete(r.backends, b.url)
			slog.Info("server is gone", "backend", b.url)
		}
	}
	r.mu.Unlock()
	for _, t := range orphans {
		r.lost(ctx, t, b.url+" does not answer: "+err.Error())
	}
}

// lost puts a take whose server is gone back to waiting, or fails it after too many attempts.
func (r *Relay) lost(ctx context.Context, t *take, why string) {
	r.mu.Lock()
	if t.State != placed {
		r.mu.Unlock()
		return
	}
	delete(r.remote, t.Backend+" "+t.Remote)
	t.running, t.unsaved, t.lastError = false, true, why
	if t.deleted {
		r.drop(t)
		r.mu.Unlock()
		r.announce()
		return
	}
	slog.Warn("prompt lost with its server", "prompt_id", t.ID, "attempt", t.Attempt, "reason", why)
	if t.Attempt >= r.options.Attempts {
		t.Record = failure(t, "BackendLost", fmt.Sprintf(
			"The ComfyUI server executing this prompt was lost %d times, last: %s. Look at the servers' logs (out of memory?) and submit again.", t.Attempt, why))
		r.complete(t)
		r.mu.Unlock()
		r.tell(t)
		r.announce()
		return
	}
	t.State = waiting
	r.mu.Unlock()
	r.place(ctx)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func sortedValues[V any](m map[string]V) []V {
	values := make([]V, 0, len(m))
	for _, k := range sortedKeys(m) {
		values = append(values, m[k])
	}
	return values
}

// absent says which servers are missing and why.
func (r *Relay) absent() string {
	parts := slices.Clone(r.missing)
	for _, u := range sortedKeys(r.backends) {
		if b := r.backends[u]; !b.ready {
			parts = append(parts, u+": "+cmp.Or(b.lastError, "has not answered yet"))
		}
	}
	if len(parts) == 0 {
		return "no ComfyUI server is there"
	}
	return strings.Join(parts, "; ")
}

// Ready tells whether at least one server answers.
func (r *Relay) Ready(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.backends {
		if b.ready {
			return nil
		}
	}
	return errNoBackend(r.absent())
}

// QueueLength is the number of prompts that are not done.
func (r *Relay) QueueLength() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unfinished()
}

func (r *Relay) unfinished() int {
	n := 0
	for _, t := range r.takes {
		if t.State != done && !t.hidden {
			n++
		}
	}
	return n
}

// BackendsReady counts the servers that answer, and those known.
func (r *Relay) BackendsReady() (ready, known int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.backends {
		if b.ready {
			ready++
		}
	}
	return ready, len(r.backends)
}

// announce tells every client the length of the queue.
func (r *Relay) announce() {
	r.sockets.Send("status", map[string]any{"status": r.info()}, "")
}

func (r *Relay) info() any {
	return map[string]any{"exec_info": map[string]any{"queue_remaining": r.QueueLength()}}
}

// UploadDir is where a relay keeps uploads below a directory for scratch.
func UploadDir(temp string) (string, error) {
	dir := temp + "/comfyui-relay"
	return dir, os.MkdirAll(dir, 0o770)
}
