package relay

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/ai-film/ai-film/services/comfyui/wire"
	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/limits"
)

// deleteFilm removes what a film left here and on the servers: its prompts, those that run are stopped, its history, and
// the images of servers that can delete them. It answers with the servers that could not be asked, which do it when they
// are back, and those that keep images because they have no such request, as ComfyUI has none.
func (r *Relay) deleteFilm(w http.ResponseWriter, q *http.Request) {
	name := q.PathValue("film")
	if !limits.FilmID.MatchString(name) {
		serving.WriteProblem(w, serving.Invalid("film", "give the film's id", "%q does not match %s", name, limits.FilmID))
		return
	}
	ctx := q.Context()
	ids, err := r.store.OfFilm(ctx, name)
	if err == nil {
		r.mu.Lock()
		for id, t := range r.takes {
			if t.Film == name && !t.hidden {
				ids = append(ids, id)
			}
		}
		r.mu.Unlock()
	}
	var gone []*take
	if err == nil && len(ids) > 0 {
		err = r.store.Cancel(ctx, ids, true)
		r.cancel(ctx, ids, true)
		// What another relay has it gives up at its next turn; before that it would place anew what a server forgets.
		for until := time.Now().Add(lease); err == nil && len(ids) > 0; {
			var some []*take
			if some, err = r.store.Forget(ctx, ids); err == nil {
				gone = append(gone, some...)
				ids, err = r.store.OfFilm(ctx, name)
			}
			if time.Now().After(until) {
				break // its server doesn't answer: it is taken from there later
			}
			if len(ids) > 0 {
				time.Sleep(50 * time.Millisecond)
			}
		}
	}
	if err != nil {
		unavailable(w, "postgresql", err.Error(), "delete the film again when the database is back")
		return
	}
	r.spool.forget(name)
	answer := struct {
		Prompts     int      `json:"prompts"`     // that were forgotten
		Unreachable []string `json:"unreachable"` // servers that didn't answer, and delete the film when they are back
		Kept        []string `json:"kept"`        // servers that don't delete images
	}{len(gone), []string{}, []string{}}
	var mu sync.Mutex
	var ready []*backend
	r.mu.Lock()
	for u, b := range r.backends {
		if b.ready {
			ready = append(ready, b)
		} else {
			answer.Unreachable = append(answer.Unreachable, u)
		}
	}
	r.mu.Unlock()
	ask, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, b := range ready {
		all.Go(func() {
			var remote []string
			for _, t := range gone {
				if t.Backend == b.url {
					remote = append(remote, t.Remote)
				}
			}
			if len(remote) > 0 {
				b.call(ask, "POST", "/history", map[string]any{"delete": remote}, nil)
			}
			deleted, err := b.deleteFilm(ask, name)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				answer.Unreachable = append(answer.Unreachable, b.url)
			} else if !deleted {
				answer.Kept = append(answer.Kept, b.url)
			}
		})
	}
	all.Wait()
	for _, u := range answer.Unreachable {
		if err := r.store.Owe(ctx, u, name); err != nil {
			databaseAway(w, err)
			return
		}
	}
	wire.Answer(w, http.StatusOK, answer)
}

// deleteFilm has a server remove a film's images, and tells whether it can do so at all.
func (b *backend) deleteFilm(ctx context.Context, name string) (able bool, err error) {
	err = b.call(ctx, "DELETE", "/v1/films/"+url.PathEscape(name), nil, nil)
	if refused, ok := errors.AsType[*httpError](err); ok && (refused.status == http.StatusNotFound || refused.status == http.StatusMethodNotAllowed) {
		return false, nil
	}
	return true, err
}

// settleDebts has a server that is back delete the films that were deleted while it was away.
func (r *Relay) settleDebts(ctx context.Context, b *backend) {
	ask, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	films, err := r.store.Owed(ask, b.url)
	for _, film := range films {
		if _, err = b.deleteFilm(ask, film); err == nil {
			err = r.store.Paid(ask, b.url, film)
		}
		if err != nil {
			break
		}
	}
	r.mu.Lock()
	b.indebted = err != nil
	r.mu.Unlock()
}
