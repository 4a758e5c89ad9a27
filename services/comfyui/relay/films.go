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
)

// deleteFilm removes what a film left here and on the servers: its prompts, those that run are stopped, its history, and
// the images of servers that can delete them. It answers with the servers that could not be asked, which the caller may
// come back for, and those that keep images because they have no such request, as ComfyUI has none.
func (r *Relay) deleteFilm(w http.ResponseWriter, q *http.Request) {
	name := q.PathValue("film")
	if !wire.FilmID.MatchString(name) {
		serving.WriteProblem(w, serving.Invalid("film", "give the film's id", "%q does not match %s", name, wire.FilmID))
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
		Unreachable []string `json:"unreachable"` // servers that may have something of the film and didn't answer
		Kept        []string `json:"kept"`        // servers that don't delete images
	}{len(gone), []string{}, []string{}}
	var mu sync.Mutex
	r.mu.Lock()
	for u, b := range r.backends {
		if !b.ready {
			answer.Unreachable = append(answer.Unreachable, u)
		}
	}
	r.mu.Unlock()
	r.each(ctx, func(ctx context.Context, b *backend) {
		var remote []string
		for _, t := range gone {
			if t.Backend == b.url {
				remote = append(remote, t.Remote)
			}
		}
		if len(remote) > 0 {
			b.call(ctx, "POST", "/history", map[string]any{"delete": remote}, nil)
		}
		err := b.call(ctx, "DELETE", "/v1/films/"+url.PathEscape(name), nil, nil)
		refused, isRefused := errors.AsType[*httpError](err)
		mu.Lock()
		defer mu.Unlock()
		if isRefused && (refused.status == http.StatusNotFound || refused.status == http.StatusMethodNotAllowed) {
			answer.Kept = append(answer.Kept, b.url)
		} else if err != nil {
			answer.Unreachable = append(answer.Unreachable, b.url)
		}
	})
	wire.Answer(w, http.StatusOK, answer)
}
