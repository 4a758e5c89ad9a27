package relay

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"syscall"
	"time"
)

// place sends waiting takes to servers, first come first.
func (r *Relay) place(ctx context.Context) {
	r.mu.Lock()
	var due []*take
	for _, t := range r.takes {
		if t.State == waiting && !t.moving && t.outcome == nil && !t.concluding && !t.deleted {
			t.moving = true
			due = append(due, t)
		}
	}
	r.mu.Unlock()
	slices.SortFunc(due, func(a, b *take) int { return cmp.Compare(a.Number, b.Number) })
	for _, t := range due {
		_, err := r.send(ctx, t)
		r.mu.Lock()
		t.moving = false
		refused, isRefused := errors.AsType[*httpError](err)
		unwanted := t.State == waiting && t.deleted
		why := t.lastError
		r.mu.Unlock()
		switch {
		case isRefused:
			r.conclude(ctx, t, failure(t.ID, "PromptRefused", fmt.Sprintf("%s: the server that took over this prompt refuses it: %s", cmp.Or(why, "taken over from a relay that ended"), refused.body)))
		case unwanted:
			r.withdraw(ctx, t)
		}
	}
}

// choose is the ready server that is to be done with one more prompt first, not among those tried nor those that the take
// should avoid; one that failed just now comes last. Fall-backs are chosen only when no other has been there for long. t may
// be nil. The mutex is held.
func (r *Relay) choose(t *take, tried []*backend) *backend {
	load := map[string]int{}
	for _, t := range r.takes {
		if t.State == placed || t.moving {
			load[t.Backend]++
		}
	}
	var fit []*backend
	for _, u := range sortedKeys(r.backends) {
		b := r.backends[u]
		if b.ready && !b.gone && !slices.Contains(tried, b) && (!b.source.fallback || r.fallsBack()) && (t == nil || time.Now().After(t.avoid[u])) {
			fit = append(fit, b)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	usual := r.usualPace()
	return slices.MinFunc(fit, func(a, b *backend) int {
		if x, y := a.shunned(), b.shunned(); x != y {
			if x {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.next(load[a.url], usual), b.next(load[b.url], usual))
	})
}

// fallsBack tells whether those who draw in place of the proper servers are to draw now. The mutex is held.
func (r *Relay) fallsBack() bool { return time.Since(r.primary) > r.options.FallbackAfter }

// usualPace is what a prompt takes on a server that has not finished one yet: what it takes elsewhere. The mutex is held.
func (r *Relay) usualPace() time.Duration {
	var sum, n time.Duration
	for _, b := range r.backends {
		if b.pace > 0 {
			sum, n = sum+b.pace, n+1
		}
	}
	if n == 0 {
		return time.Second
	}
	return sum / n
}

// next is how soon the server would be done with one more prompt, for comparing. Its pace tells only so much of a prompt of another
// kind: so one that has nothing to do goes first unless it is much slower.
func (b *backend) next(load int, usual time.Duration) float64 {
	n := max(b.queue, load)
	if n > 0 {
		return 10 * b.until(n+1, usual)
	}
	return b.until(1, usual)
}

// until is how long n prompts take the server, about, divided by its weight: one of weight 2 gets as much as two of its pace.
func (b *backend) until(n int, usual time.Duration) float64 {
	return float64(n) * max(cmp.Or(b.pace, usual).Seconds(), 1) / cmp.Or(b.source.weight, 1) // less than a second is chance
}

// errNoBackend says that no server is ready; its text names what is missing.
type errNoBackend string

func (e errNoBackend) Error() string { return string(e) }

// send places a take, which the caller has marked as moving, on the best server, trying others if that one fails. It
// returns the server's answer; an *httpError is its refusal of the graph.
func (r *Relay) send(ctx context.Context, t *take) (map[string]json.RawMessage, error) {
	var tried []*backend
	gathered := false
	for {
		r.mu.Lock()
		b := r.choose(t, tried)
		if b == nil || t.deleted {
			err := error(errNoBackend(r.absent()))
			if t.Backend != "" { // perhaps it is there after all; where it is found later it is taken back
				t.Backend, t.unsaved = "", true
			}
			r.mu.Unlock()
			return nil, err
		}
		tried = append(tried, b)
		t.Backend, t.Remote, t.placedAt = b.url, t.ID, time.Now()
		r.remote[b.url+" "+t.ID] = t.ID // its first messages may come before its answer
		r.mu.Unlock()
		// Who takes over after our death looks there first.
		if err := r.write(ctx, t, nil); err != nil {
			r.mu.Lock()
			delete(r.remote, b.url+" "+t.ID)
			t.Backend = ""
			r.mu.Unlock()
			return nil, &storeError{err}
		}
		answer, err := r.submit(ctx, b, t)
		r.mu.Lock()
		if err == nil {
			var id string
			json.Unmarshal(answer["prompt_id"], &id)
			if id != t.ID { // an older ComfyUI chooses the id itself
				delete(r.remote, b.url+" "+t.ID)
				r.remote[b.url+" "+id] = t.ID
			}
			t.Remote, t.placedAt, t.Accepted, t.unsaved = id, time.Now(), true, true
			if t.State == waiting {
				t.State = placed
			}
			b.queue++
			r.mu.Unlock()
			b.poke()
			return answer, nil
		}
		delete(r.remote, b.url+" "+t.ID)
		refused, isRefused := errors.AsType[*httpError](err)
		if isRefused && (refused.status == http.StatusBadRequest || refused.status == http.StatusRequestEntityTooLarge) {
			r.mu.Unlock()
			if !gathered && bytes.Contains(refused.body, []byte("custom_validation_failed")) && r.gather(ctx, b, t.Graph) {
				gathered, tried = true, tried[:len(tried)-1] // once more, with what it lacked
				continue
			}
			return nil, err
		}
		b.lastError = err.Error()
		if errors.Is(err, syscall.ECONNREFUSED) {
			b.ready = false
		}
		b.balk(t)
		if isRefused && !(b.source.remote && passing(refused.status)) { // a server that is well, but for this prompt
			if t.balked++; t.balked >= maxBalks {
				r.mu.Unlock()
				return nil, &httpError{http.StatusBadRequest, fmt.Appendf(nil, "%s answered %v", b.url, err), http.Header{}}
			}
		}
		r.mu.Unlock()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		slog.Warn("server did not take a prompt", "backend", b.url, "prompt_id", t.ID, "error", err.Error())
		b.poke()
	}
}

// passing tells whether an answer is rather of what stands before a server elsewhere than of the server: a tunnel without an
// other end (Cloudflare's 520 to 530), a login that its credentials don't pass, a limit.
func passing(status int) bool {
	switch status {
	case 401, 403, 404, 407, 429, 502, 503, 504:
		return true
	}
	return status >= 520 && status <= 530
}

// maxBalks is how often servers may fail to answer properly to a prompt before it is given up.
const maxBalks = 20

// storeError says that the store doesn't answer.
type storeError struct{ error }

// submitTimeout is how long a server has to check a graph. While it samples it may be slow to answer, but a client waits.
const submitTimeout = 20 * time.Second

// submit posts a take to one server, after the uploads its graph needs.
func (r *Relay) submit(ctx context.Context, b *backend, t *take) (map[string]json.RawMessage, error) {
	if err := r.deliver(ctx, b, t.Graph); err != nil {
		return nil, err
	}
	var extra map[string]json.RawMessage
	json.Unmarshal(t.Extra, &extra)
	delete(extra, "client_id")
	body := map[string]any{"prompt": t.Graph, "prompt_id": t.ID, "client_id": r.sid, "number": t.Number, "extra_data": extra}
	if t.Partial != nil {
		body["partial_execution_targets"] = t.Partial
	}
	ask, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	var answer map[string]json.RawMessage
	return answer, b.call(ask, "POST", "/prompt", body, &answer)
}

// rebalance moves a waiting prompt from the longest queue to a server that has nothing to do, such as one that was just
// added.
func (r *Relay) rebalance(ctx context.Context) {
	r.mu.Lock()
	var idle *backend
	load := map[string][]*take{}
	for _, t := range r.takes {
		if t.State == placed && !t.moving && !t.running && !t.deleted && !t.hidden && !t.concluding && t.outcome == nil && time.Since(t.placedAt) > 2*r.options.Poll {
			load[t.Backend] = append(load[t.Backend], t)
		}
	}
	var busiest *backend
	usual := r.usualPace()
	for _, u := range sortedKeys(r.backends) {
		b := r.backends[u]
		if !b.ready || b.shunned() {
			continue
		}
		proper := !b.source.fallback || r.fallsBack()
		if b.queue == 0 && proper && !b.gone && (idle == nil || b.until(1, usual) < idle.until(1, usual)) {
			idle = b
		}
		if (b.queue > 1 || !proper) && len(load[u]) > 0 && (busiest == nil || b.until(b.queue, usual) > busiest.until(busiest.queue, usual)) {
			busiest = b
		}
	}
	// A slow server that has nothing to do is no help to a fast one that will be done sooner.
	if idle == nil || busiest == nil || !busiest.source.fallback && idle.until(1, usual) > busiest.until(busiest.queue, usual) {
		r.mu.Unlock()
		return
	}
	t := slices.MaxFunc(load[busiest.url], func(a, b *take) int { return cmp.Compare(a.Number, b.Number) })
	t.moving = true
	r.mu.Unlock()
	moved := r.takeBack(ctx, busiest, t)
	r.mu.Lock()
	t.moving = false
	if moved {
		delete(r.remote, busiest.url+" "+t.Remote)
		t.State = waiting
		busiest.queue--
	}
	r.mu.Unlock()
	if moved {
		slog.Info("prompt moved to an idle server", "prompt_id", t.ID, "from", busiest.url, "to", idle.url)
		r.place(ctx)
	}
}

// takeBack removes a prompt from a server's queue and makes sure that it neither runs nor ran there.
func (r *Relay) takeBack(ctx context.Context, b *backend, t *take) bool {
	ask, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if b.call(ask, "POST", "/queue", map[string]any{"delete": []string{t.Remote}}, nil) != nil {
		return false
	}
	var there []queued
	if b.stream(ask, "GET", "/queue", nil, func(s *scanner) (err error) { there, err = readQueue(s); return err }) != nil ||
		slices.ContainsFunc(there, func(q queued) bool { return q.id == t.Remote }) {
		return false
	}
	entry, err := b.history(ask, t.Remote)
	return err == nil && entry == nil
}
