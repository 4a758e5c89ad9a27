package relay

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ai-film/ai-film/services/comfyui/wire"
)

// queue merges the queues of the servers with what waits for one.
func (r *Relay) queue(w http.ResponseWriter, q *http.Request) {
	var mu sync.Mutex
	queues := map[string]remoteQueue{}
	r.each(q.Context(), func(ctx context.Context, b *backend) {
		var one remoteQueue
		if b.call(ctx, "GET", "/queue", nil, &one) == nil {
			mu.Lock()
			queues[b.url] = one
			mu.Unlock()
		}
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	type item struct {
		number float64
		tuple  any
	}
	var running, pending []item
	shown := map[string]bool{}
	for _, u := range sortedKeys(queues) {
		for list, into := range map[*[][]json.RawMessage]*[]item{ptr(queues[u].Running): &running, ptr(queues[u].Pending): &pending} {
			for _, tuple := range *list {
				var it item
				if id, ours := r.remote[u+" "+tupleID(tuple)]; ours && r.takes[id] != nil {
					t := r.takes[id]
					if t.hidden || t.State == done {
						continue
					}
					shown[id] = true
					it = item{t.Number, t.tuple()}
				} else {
					json.Unmarshal(tuple[0], &it.number)
					it.tuple = tuple
				}
				*into = append(*into, it)
			}
		}
	}
	for _, t := range r.takes {
		// Its server is silent, or finished it a moment ago: it is ours to show until history has it.
		if t.State != done && !t.hidden && !t.deleted && !shown[t.ID] {
			pending = append(pending, item{t.Number, t.tuple()})
		}
	}
	slices.SortStableFunc(pending, func(a, b item) int {
		if a.number < b.number {
			return -1
		}
		if a.number > b.number {
			return 1
		}
		return 0
	})
	tuples := func(items []item) []any {
		out := []any{}
		for _, i := range items {
			out = append(out, i.tuple)
		}
		return out
	}
	wire.Answer(w, 200, map[string]any{"queue_running": tuples(running), "queue_pending": tuples(pending)})
}

func ptr[T any](v T) *T { return &v }

// remove takes prompts out of the queue; nil is all of them. What already runs goes on, as in ComfyUI.
func (r *Relay) remove(ctx context.Context, ids []string) {
	all := ids == nil
	remote := map[string][]string{}
	r.mu.Lock()
	for id, t := range r.takes {
		if t.State == done || t.hidden || !all && !slices.Contains(ids, id) {
			continue
		}
		if t.State == waiting && !t.moving {
			r.drop(t)
			continue
		}
		t.deleted = true
		remote[t.Backend] = append(remote[t.Backend], t.Remote)
	}
	r.mu.Unlock()
	r.each(ctx, func(ctx context.Context, b *backend) {
		body := map[string]any{"delete": remote[b.url]}
		if all {
			body = map[string]any{"clear": true}
		} else if len(remote[b.url]) == 0 {
			return
		}
		b.call(ctx, "POST", "/queue", body, nil)
		r.look(ctx, b)
	})
	r.announce()
}

// interrupt stops what runs: the prompt named, or everything.
func (r *Relay) interrupt(w http.ResponseWriter, q *http.Request) {
	var in struct {
		ID string `json:"prompt_id"`
	}
	raw, _ := io.ReadAll(http.MaxBytesReader(w, q.Body, 1<<20))
	json.Unmarshal(raw, &in)
	r.mu.Lock()
	target, remote := "", in.ID
	if t := r.takes[in.ID]; t != nil && t.State == placed {
		target, remote = t.Backend, t.Remote
	}
	r.mu.Unlock()
	r.each(q.Context(), func(ctx context.Context, b *backend) {
		if in.ID == "" {
			b.call(ctx, "POST", "/interrupt", nil, nil)
			return
		}
		if target != "" && target != b.url {
			return
		}
		// An older ComfyUI stops whatever runs: make sure it is the one that is meant.
		var queue remoteQueue
		if b.call(ctx, "GET", "/queue", nil, &queue) == nil && slices.ContainsFunc(queue.Running, func(t []json.RawMessage) bool { return tupleID(t) == remote }) {
			b.call(ctx, "POST", "/interrupt", map[string]any{"prompt_id": remote}, nil)
		}
	})
}

// broadcast sends a request with a small JSON body to every server.
func (r *Relay) broadcast(w http.ResponseWriter, q *http.Request) {
	var body json.RawMessage
	if !wire.Body(w, q, 1<<20, &body) {
		return
	}
	r.each(q.Context(), func(ctx context.Context, b *backend) { b.call(ctx, "POST", "/free", body, nil) })
}

// each calls f for every ready server at once and waits, at most 10 s.
func (r *Relay) each(ctx context.Context, f func(context.Context, *backend)) {
	r.mu.Lock()
	var ready []*backend
	for _, b := range r.backends {
		if b.ready {
			ready = append(ready, b)
		}
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, b := range ready {
		wg.Go(func() { f(ctx, b) })
	}
	wg.Wait()
}
