package relay

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ai-film/ai-film/services/comfyui/wire"
)

// queue shows what the servers execute and what waits, ours, other relays' and what was sent to a server past us, of
// which only number and id are known.
func (r *Relay) queue(w http.ResponseWriter, q *http.Request) {
	elsewhere, err := r.store.Unfinished(q.Context())
	if err != nil {
		unavailable(w, "postgresql", err.Error(), "ask again when the database is back")
		return
	}
	r.each(q.Context(), func(ctx context.Context, b *backend) {
		r.mu.Lock()
		fresh := time.Since(b.looked) < 200*time.Millisecond
		r.mu.Unlock()
		if !fresh {
			r.look(ctx, b)
		}
	})
	type item struct {
		number float64
		id     string
		tuple  []any // nil: the store has it
	}
	var running, pending []item
	shown, active := map[string]bool{}, map[string]bool{}
	r.mu.Lock()
	for _, t := range r.takes {
		shown[t.ID] = true
		switch {
		case t.hidden:
		case t.running && t.State == placed:
			running = append(running, item{t.Number, t.ID, t.tuple()})
		case !t.deleted:
			pending = append(pending, item{t.Number, t.ID, t.tuple()})
		}
	}
	for _, id := range elsewhere {
		shown[id] = shown[id] || r.takes[id] != nil
	}
	for _, b := range r.backends {
		for _, f := range b.foreign {
			if f.running {
				active[f.id] = true
			}
			if shown[f.id] || slices.Contains(elsewhere, f.id) || r.remote[b.url+" "+f.id] != "" {
				continue
			}
			shown[f.id] = true
			one := item{f.number, f.id, []any{f.number, f.id, map[string]any{}, map[string]any{}, []string{}}}
			if f.running {
				running = append(running, one)
			} else {
				pending = append(pending, one)
			}
		}
	}
	r.mu.Unlock()
	for _, id := range elsewhere {
		if shown[id] {
			continue
		}
		if active[id] {
			running = append(running, item{id: id})
		} else {
			pending = append(pending, item{id: id})
		}
	}
	slices.SortStableFunc(pending, func(a, b item) int { return cmp.Compare(a.number, b.number) })
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	list := func(items []item) {
		comma := ""
		for _, i := range items {
			if i.tuple == nil { // one at a time: together they may be large
				t, err := r.store.Get(q.Context(), i.id)
				if err != nil || t == nil || t.State == done {
					continue
				}
				i.tuple = t.tuple()
			}
			io.WriteString(w, comma)
			json.NewEncoder(w).Encode(i.tuple)
			comma = ","
		}
	}
	io.WriteString(w, `{"queue_running":[`)
	list(running)
	io.WriteString(w, `],"queue_pending":[`)
	list(pending)
	io.WriteString(w, "]}")
}

// dequeue is POST /queue: it takes prompts out of the queue; nil is all of them. What already runs goes on, as in
// ComfyUI.
func (r *Relay) dequeue(ctx context.Context, ids []string) error {
	err := r.store.Cancel(ctx, ids, false)
	others := r.cancel(ctx, ids, false)
	body := map[string]any{"delete": others} // another relay's, or sent to a server past us
	if ids == nil {
		body = map[string]any{"clear": true}
	}
	if ids == nil || len(others) > 0 {
		r.each(ctx, func(ctx context.Context, b *backend) {
			b.call(ctx, "POST", "/queue", body, nil)
			r.look(ctx, b)
		})
	}
	r.announce()
	return err
}

// cancel takes our takes out of the queue, nil is all of them; where they are to be forgotten, those that run are
// stopped and nothing is kept of them. What a silent server has is taken from it when it is back. It returns the ids that
// are none of ours.
func (r *Relay) cancel(ctx context.Context, ids []string, forget bool) (others []string) {
	all := ids == nil
	remote := map[string][]string{}
	var now []*take
	r.mu.Lock()
	for _, id := range ids {
		if r.takes[id] == nil {
			others = append(others, id)
		}
	}
	for id, t := range r.takes {
		if t.hidden || !all && !slices.Contains(ids, id) || t.deleted && (t.forgotten || !forget) {
			continue
		}
		t.deleted, t.forgotten = true, t.forgotten || forget
		t.interrupted = t.interrupted || forget
		if t.State == waiting && !t.moving {
			now = append(now, t)
		} else if t.Remote != "" {
			remote[t.Backend] = append(remote[t.Backend], t.Remote)
		}
	}
	r.mu.Unlock()
	for _, t := range now {
		r.withdraw(ctx, t)
	}
	r.each(ctx, func(ctx context.Context, b *backend) {
		if len(remote[b.url]) == 0 {
			return
		}
		b.call(ctx, "POST", "/queue", map[string]any{"delete": remote[b.url]}, nil)
		if forget {
			b.interrupt(ctx, remote[b.url]...)
		}
		r.look(ctx, b)
	})
	return others
}

// interrupt stops what runs: the prompt named, or everything. A prompt that ran on a server that was lost, and waits for
// another, runs in its client's eyes: it is stopped, too.
func (r *Relay) interrupt(w http.ResponseWriter, q *http.Request) {
	var in struct {
		ID string `json:"prompt_id"`
	}
	raw, _ := io.ReadAll(http.MaxBytesReader(w, q.Body, 64<<10))
	json.Unmarshal(raw, &in)
	ctx := q.Context()
	if in.ID == "" {
		r.each(ctx, func(ctx context.Context, b *backend) { b.call(ctx, "POST", "/interrupt", nil, nil) })
		return
	}
	t, err := r.find(ctx, in.ID)
	if err != nil {
		unavailable(w, "postgresql", err.Error(), "ask again when the database is back")
		return
	}
	target, remote := "", in.ID
	if t != nil && t.State == placed {
		target, remote = t.Backend, t.Remote
	}
	r.mu.Lock()
	own := r.takes[in.ID]
	stop := false
	if own != nil && !own.hidden {
		stop = own.State == waiting && own.Lost > 0 && !own.moving
		own.interrupted = own.interrupted || own.running || stop
	}
	r.mu.Unlock()
	if stop {
		r.conclude(ctx, own, ended(in.ID, "execution_interrupted", map[string]any{}))
		return
	}
	r.each(ctx, func(ctx context.Context, b *backend) {
		if target == "" || target == b.url {
			b.interrupt(ctx, remote)
		}
	})
}

// broadcast sends a request with a small JSON body to every server.
func (r *Relay) broadcast(w http.ResponseWriter, q *http.Request) {
	var body json.RawMessage
	if !wire.Body(w, q, 64<<10, &body) {
		return
	}
	r.each(q.Context(), func(ctx context.Context, b *backend) { b.call(ctx, "POST", "/free", body, nil) })
}

// each calls f for every ready server at once and waits, at most 5 s.
func (r *Relay) each(ctx context.Context, f func(context.Context, *backend)) {
	r.mu.Lock()
	var ready []*backend
	for _, b := range r.backends {
		if b.ready {
			ready = append(ready, b)
		}
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, min(5*time.Second, r.options.LostAfter))
	defer cancel()
	var wg sync.WaitGroup
	for _, b := range ready {
		wg.Go(func() { f(ctx, b) })
	}
	wg.Wait()
}
