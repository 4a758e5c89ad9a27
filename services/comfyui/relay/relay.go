// Package relay stands in front of one or more ComfyUI servers and is one ComfyUI to its clients. ComfyUI keeps queue,
// history and files in each process; the relay gives every prompt an id that outlives the process, sends it to the
// server with the shortest queue, resubmits what a dead server took with it, and routes history, images and WebSocket
// messages to and from whichever server has them.
//
// What a client sees is ComfyUI's API, also under /api. Prompts that were refused are answered with the server's own
// words. Where no server is left to try, a problem document says which one is missing.
//
// With a database, a prompt that was answered with 200 is never lost: it is in the queue or in history of every relay
// on that database, whichever of them took it and whether that one still lives, and it ends once. Which server is to get
// it is written before it is sent, how it ended before that is told. Whoever lost the answer asks again with the same
// prompt_id. Without a database the same holds for as long as the relay's process lives; queue and history end with it.
package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"github.com/ai-film/ai-film/services/comfyui/endpoint"
	"github.com/ai-film/ai-film/services/comfyui/wire"
	"github.com/ai-film/ai-film/services/internal/outbound"
)

// Options configures a relay.
type Options struct {
	Backends      string                // see parseSources
	Endpoints     bool                  // further servers are named by Use: while there is none, prompts wait
	Guard         outbound.Guard        // where servers that Use names may be
	Credentials   *outbound.Credentials // what servers given by URL are told; nil for nothing
	Fallback      string                // servers that draw when no other has been there for FallbackAfter; see parseSources
	FallbackAfter time.Duration         // 10 min if zero
	Token         string                // the studio's token, for servers found by name (dns+), "" for none
	Name          string                // of this relay, kept over its restarts; "" for one of its own
	Dir           string                // uploads are kept here
	Poll          time.Duration         // how often servers are asked; 1 s if zero
	LostAfter     time.Duration         // a server that doesn't answer for so long is given up; 30 s if zero
	StallAfter    time.Duration         // the least time without a sign of life after which a server at work is given up; 5 min if zero
	Attempts      int                   // with how many lost servers a prompt fails; 3 if zero
	HistoryLimit  int                   // finished prompts kept where there is no Store; 1000 if zero
	Store         Store                 // nil: in memory only
}

// Relay is the relay. Make it with New, then Run.
type Relay struct {
	options Options
	sources []source
	sid     string // our session on the servers
	sockets wire.Sockets
	inside  http.RoundTripper // to servers found by name
	changed chan struct{}     // Use was called
	spool   spool
	store   Store
	bodies  *wire.Budget
	remakes singleflight.Group
	naming  sync.Mutex
	counts  counts
	finding sync.Mutex // held while the set of servers is brought up to date

	mu        sync.Mutex
	takes     map[string]*take  // ours that are not done, and remakes
	remote    map[string]string // "url id" on a server → our id
	backends  map[string]*backend
	missing   []string          // sources without an address
	current   map[string]string // server → take whose messages it sends
	strangers map[string]bool   // ids that the store calls ours and we don't know
	elsewhere int               // unfinished takes of other relays
	named     []source          // what Use named last
	known     bool              // it was called
	unnamed   string            // why it names nothing, or not all
	primary   time.Time         // when a server that is no fall-back was last there
}

// heldLimit is how many bytes of prompts that are not done a relay holds.
const heldLimit = 48 << 20

// New reads the options; nothing is contacted yet.
func New(o Options) (*Relay, error) {
	o.Poll, o.LostAfter = cmp.Or(o.Poll, time.Second), cmp.Or(o.LostAfter, 30*time.Second)
	o.StallAfter = cmp.Or(o.StallAfter, 5*time.Minute)
	o.Attempts, o.HistoryLimit = cmp.Or(o.Attempts, 3), cmp.Or(o.HistoryLimit, 1000)
	o.FallbackAfter = cmp.Or(o.FallbackAfter, 10*time.Minute)
	sources, err := parseSources("BACKENDS", o.Backends)
	if err != nil {
		return nil, err
	}
	reserve, err := parseSources("FALLBACK", o.Fallback)
	if err != nil {
		return nil, err
	}
	for _, s := range reserve {
		s.fallback = true
		sources = append(sources, s)
	}
	if len(sources) == len(reserve) && !o.Endpoints {
		return nil, errors.New("BACKENDS is empty: name the ComfyUI servers, such as dns+http://comfyui-headless:8188, or with ENDPOINTS the ConfigMap that does")
	}
	if o.Credentials == nil {
		o.Credentials = outbound.NewCredentials("")
	}
	if o.Store == nil {
		o.Store = newMemory(o.HistoryLimit)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	transport.MaxResponseHeaderBytes = 256 << 10
	// A deleted pod's address answers nothing at all: find out in seconds.
	transport.DialContext = (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	r := &Relay{
		options: o, sources: sources, sid: "ai-film-relay-" + uuid.NewSHA1(uuid.NameSpaceURL, []byte(cmp.Or(o.Name, uuid.NewString()))).String(),
		inside: transport, changed: make(chan struct{}, 1), primary: time.Now(),
		store: o.Store, bodies: wire.NewBudget(), counts: newCounts(),
		takes: map[string]*take{}, remote: map[string]string{}, backends: map[string]*backend{}, current: map[string]string{},
	}
	return r, r.spool.open(o.Dir)
}

// Run follows the servers until ctx ends.
func (r *Relay) Run(ctx context.Context) {
	var beating sync.WaitGroup
	beating.Go(func() { r.every(ctx, min(r.options.Poll, time.Second), func() { r.turn(ctx) }) })
	beating.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-r.changed:
				r.resolve(ctx)
			case <-ctx.Done():
			}
		}
	})
	r.every(ctx, r.options.Poll, func() {
		r.resolve(ctx)
		r.orphans(ctx)
		r.place(ctx)
		r.rebalance(ctx)
		r.save(ctx)
	})
	beating.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	r.save(last)
	r.store.Release(last) // the next relay takes over at once
	r.mu.Lock()
	if _, only := r.store.(*memory); !only {
		r.takes = map[string]*take{} // from now on we answer from the store
	}
	r.mu.Unlock()
}

// every calls f now, and each time the interval is over, until ctx ends.
func (r *Relay) every(ctx context.Context, interval time.Duration, f func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		f()
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// Use names the servers that are used from now on beside those of the options; why says what keeps others from being used,
// "" if nothing. A server that is no longer named gets no more prompts, and finishes what it has if it can.
func (r *Relay) Use(all []endpoint.Endpoint, why string) {
	var named []source
	for _, e := range all {
		u, err := url.Parse(e.URL)
		if err != nil { // it was checked where it was read
			continue
		}
		named = append(named, source{base: u, name: e.Name, gpu: e.GPU, weight: e.Weight, remote: true})
	}
	r.mu.Lock()
	r.named, r.unnamed, r.known = named, why, true
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// Unnamed says why it can't be told which servers Use would name; those named before stay.
func (r *Relay) Unnamed(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unnamed = why
}

// resolve brings the set of servers up to date.
func (r *Relay) resolve(ctx context.Context) {
	r.finding.Lock()
	defer r.finding.Unlock()
	r.mu.Lock()
	sources := append(slices.Clone(r.named), r.sources...)
	r.mu.Unlock()
	found, missing := addresses(ctx, sources)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missing = missing
	for u, s := range found {
		if b := r.backends[u]; b != nil {
			b.gone, b.source = false, s
			continue
		}
		own, stop := context.WithCancel(ctx)
		b := &backend{url: u, source: s, client: r.clientFor(s), header: http.Header{}, stop: stop, appeared: time.Now(), life: time.Now(),
			kick: make(chan struct{}, 1), delivered: map[string]string{}}
		if s.dns && r.options.Token != "" {
			b.header.Set("Authorization", "Bearer "+r.options.Token)
		}
		r.backends[u] = b
		go b.listen(own, r.sid, func(kind websocket.MessageType, data []byte) { r.heard(ctx, b, kind, data) }, func() {
			r.mu.Lock()
			b.listening = false
			r.mu.Unlock()
		})
		go r.follow(own, b)
		slog.Info("server appeared", "backend", u, "name", s.name)
	}
	for u, b := range r.backends {
		if _, there := found[u]; !there && (!b.source.dns || len(missing) == 0) {
			b.gone = true
		}
	}
}

// clientFor makes the client for the servers of a source. What the studio's own servers trust is not told to those of others,
// nor the other way round, and a server that sends us elsewhere is followed nowhere.
func (r *Relay) clientFor(s source) *http.Client {
	transport := r.inside
	switch {
	case s.remote:
		transport = r.options.Guard.Transport(r.options.Credentials.For(s.base, false))
	case !s.dns:
		transport = outbound.Trusted(r.options.Credentials.For(s.base, true))
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
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
	b.looking.Lock()
	defer b.looking.Unlock()
	asked := time.Now()
	ask, cancel := context.WithTimeout(ctx, min(10*time.Second, r.options.LostAfter))
	defer cancel()
	var there []queued
	if err := b.stream(ask, "GET", "/queue", nil, func(s *scanner) (err error) { there, err = readQueue(s); return err }); err != nil {
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
	b.looked, b.since, b.refused, b.queue = asked, time.Time{}, false, len(there)
	if !b.source.fallback && !b.gone && !b.wedged {
		r.primary = asked
	}
	if shape := fmt.Sprint(there); shape != b.shape {
		b.shape, b.life, b.wedged = shape, asked, false
	}
	if !b.ready && !b.wedged {
		slog.Info("server is ready", "backend", b.url)
		b.delivered = map[string]string{} // perhaps another process than before
		b.ready, b.lastError, b.indebted = true, "", true
	}
	indebted := b.indebted
	b.indebted = false
	remains := map[string]queued{}
	var foreign []queued
	for _, q := range there {
		remains[q.id] = q
		if _, ours := r.remote[b.url+" "+q.id]; !ours {
			foreign = append(foreign, q)
		}
	}
	b.foreign = foreign
	var here, absent []*take
	var strays []string
	for _, t := range r.takes {
		q, has := remains[t.Remote]
		switch {
		case t.State == placed && t.Backend == b.url && !t.moving:
			here = append(here, t)
			if q.running || t.startedAt.Before(asked) { // it may have begun since the server was asked
				t.running = q.running
			}
			if q.running && t.startedAt.IsZero() {
				t.startedAt = asked
			}
			t.adopted = t.adopted && !has
			if !has && t.placedAt.Before(asked) {
				absent = append(absent, t)
			}
			// It was on its way there when it was taken out of the queue, or the server did not hear that it is to end.
			if has && !q.running && t.deleted || q.running && (t.forgotten || t.interrupted) {
				strays = append(strays, t.Remote)
			}
		case has && t.Backend != b.url && t.State == placed && !t.moving:
			strays = append(strays, t.Remote) // came back with what is already executed elsewhere
		}
	}
	wedged := false
	if len(here) == len(absent) { // nothing of ours to wait for
		b.life = asked
	} else if silent := time.Since(b.life); !b.wedged && silent > r.patience(b) {
		wedged, b.wedged, b.ready = true, true, false
		b.lastError = fmt.Sprintf("has prompts in its queue and gave no sign of life for %v: it is wedged, restart it", silent.Round(time.Second))
	}
	if b.gone && len(here) == 0 {
		b.leave() // the addresses, and has nothing of ours to finish
		delete(r.backends, b.url)
		slog.Info("server is gone", "backend", b.url)
	}
	why := b.url + " " + b.lastError
	r.mu.Unlock()
	if indebted {
		go r.learn(ctx, b)
		go r.settleDebts(ctx, b)
	}
	for _, t := range absent {
		r.settle(ctx, b, t)
	}
	b.end(ask, append(strays, r.strays(ask, b, foreign)...)...)
	if wedged {
		slog.Error("server is wedged", "backend", b.url, "reason", why)
		var all []string
		for _, t := range here {
			all = append(all, t.Remote)
		}
		b.end(ask, all...)
		for _, t := range here {
			r.lost(ctx, t, why, remains[t.Remote].running)
		}
	}
}

// patience is for how long a server with work may show no sign of life: no message about it, no change in its queue. It
// goes by the slowest of its prompts so far; before the first is done a server may have to load its models.
func (r *Relay) patience(b *backend) time.Duration {
	if b.slowest == 0 {
		return 4 * r.options.StallAfter
	}
	return max(r.options.StallAfter, 10*b.slowest)
}

// strays are those of the prompts in a server's queue that no relay's client sent there by itself, and that the store
// knows to be done, withdrawn, or executed elsewhere. Each was seen there before: what just ended is none.
func (r *Relay) strays(ctx context.Context, b *backend, foreign []queued) (ids []string) {
	var unknown []string
	for _, q := range foreign {
		if wire.IsID(q.id) {
			unknown = append(unknown, q.id)
		}
	}
	before := b.suspects
	b.suspects = map[string]bool{}
	if len(unknown) == 0 {
		return nil
	}
	at, err := r.store.Whereabouts(ctx, unknown)
	if err != nil {
		return nil
	}
	for id, url := range at {
		if url != b.url {
			b.suspects[id] = true
			if before[id] {
				ids = append(ids, id)
			}
		}
	}
	return ids
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
		r.mu.Lock()
		if t.unsettled.IsZero() {
			t.unsettled = time.Now()
		}
		patience := time.Since(t.unsettled) > r.options.LostAfter
		r.mu.Unlock()
		if patience && ctx.Err() == nil {
			r.lost(ctx, t, b.url+" does not tell what became of it: "+err.Error(), true)
		}
		return // the next look tells
	}
	if entry != nil {
		r.finish(ctx, b, t, entry)
		return
	}
	r.lost(ctx, t, b.url+" has neither queued nor finished it: it was restarted", true)
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
	remote := b.source.remote
	var orphans []*take
	if dead {
		for _, t := range r.takes {
			if t.State == placed && t.Backend == b.url && !t.moving {
				orphans = append(orphans, t)
			}
		}
		if b.gone {
			b.leave()
			delete(r.backends, b.url)
			slog.Info("server is gone", "backend", b.url)
		}
	}
	r.mu.Unlock()
	for _, t := range orphans {
		r.lost(ctx, t, b.url+" does not answer: "+err.Error(), !remote) // a session or a tunnel that ends says nothing of the prompt
	}
}

// orphans places anew what is on servers that are no longer among the addresses.
func (r *Relay) orphans(ctx context.Context) {
	r.mu.Lock()
	var due []*take
	for _, t := range r.takes {
		if t.State == placed && !t.moving && r.backends[t.Backend] == nil && len(r.missing) == 0 && (r.known || !r.options.Endpoints) {
			due = append(due, t)
		}
	}
	r.mu.Unlock()
	for _, t := range due {
		r.lost(ctx, t, t.Backend+" is no longer among the servers", !r.options.Endpoints)
	}
}

// lost puts a take whose server is gone back to waiting, or ends it: it was cancelled meanwhile, or too many servers were
// lost with it. What was taken over from another relay may never have come to its server: that doesn't count.
func (r *Relay) lost(ctx context.Context, t *take, why string, counts bool) {
	r.mu.Lock()
	if t.State != placed || t.outcome != nil || t.concluding || r.takes[t.ID] != t {
		r.mu.Unlock()
		return
	}
	delete(r.remote, t.Backend+" "+t.Remote)
	if counts && !t.adopted && !t.deleted {
		t.Lost++
		if b := r.backends[t.Backend]; b != nil {
			b.balk(t) // others first, if there are any
		}
	}
	t.running, t.adopted, t.unsaved, t.lastError, t.startedAt, t.unsettled = false, false, true, why, time.Time{}, time.Time{}
	t.State = waiting
	var outcome *record
	switch {
	case t.deleted:
		r.mu.Unlock()
		r.withdraw(ctx, t)
		return
	case t.interrupted:
		outcome = ended(t.ID, "execution_interrupted", map[string]any{})
	case t.Lost >= r.options.Attempts:
		outcome = failure(t.ID, "BackendLost", fmt.Sprintf(
			"The ComfyUI server executing this prompt was lost %d times, last: %s. Look at the servers' logs (out of memory?) and submit again.", t.Lost, why))
	}
	if outcome == nil {
		r.counts.resubmitted.Inc()
	}
	slog.Warn("prompt lost with its server", "prompt_id", t.ID, "times", t.Lost, "reason", why)
	r.mu.Unlock()
	if outcome != nil {
		r.conclude(ctx, t, outcome)
		return
	}
	r.place(ctx)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// absent says which servers are missing and why. The mutex is held.
func (r *Relay) absent() string {
	parts := slices.Clone(r.missing)
	for _, u := range sortedKeys(r.backends) {
		switch b := r.backends[u]; {
		case b.gone:
		case !b.ready:
			parts = append(parts, b.String()+": "+cmp.Or(b.lastError, "has not answered yet"))
		case b.shunned():
			parts = append(parts, b.String()+": failed a prompt just now: "+b.lastError)
		}
	}
	if r.unnamed != "" {
		parts = append(parts, r.unnamed)
	}
	if len(parts) == 0 {
		if r.options.Endpoints && len(r.named) == 0 {
			return "no ComfyUI server is registered; register one with «ai-film remote register»"
		}
		return "no ComfyUI server is there"
	}
	return strings.Join(parts, "; ")
}

// Ready tells whether prompts are taken: at least one server answers, or they may wait for one.
func (r *Relay) Ready(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.options.Endpoints {
		return nil
	}
	for _, b := range r.backends {
		if b.ready {
			return nil
		}
	}
	return errNoBackend(r.absent())
}

// QueueLength is the number of prompts that are not done, those of other relays on the same database included.
func (r *Relay) QueueLength() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.elsewhere
	for _, t := range r.takes {
		if !t.hidden && !(t.deleted && !t.running) {
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
