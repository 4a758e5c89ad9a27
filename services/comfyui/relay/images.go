package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/wire"
)

// view serves an image from the server that has it. If that server is gone with its files, the take that made the image
// is made again: the same graph and seed give the same image.
func (r *Relay) view(w http.ResponseWriter, q *http.Request) {
	query := wire.Query(q)
	want := ref{query.Get("filename"), query.Get("subfolder"), query.Get("type")}
	for _, kind := range []string{"output", "input", "temp"} {
		if name, ok := strings.CutSuffix(want.Filename, " ["+kind+"]"); ok {
			want.Filename, want.Type = name, kind
		}
	}
	if want.Type == "" {
		want.Type = "output"
	}
	f, t := r.locate(q.Context(), want)
	if f == nil { // not made by a prompt of ours: an upload, or older than our memory
		r.mu.Lock()
		var all []*backend
		for _, u := range sortedKeys(r.backends) {
			if r.backends[u].ready {
				all = append(all, r.backends[u])
			}
		}
		absent := r.absent()
		r.mu.Unlock()
		if len(all) == 0 {
			unavailable(w, "comfyui", absent, "wait until a ComfyUI server is ready")
			return
		}
		for i, b := range all {
			if r.fetch(w, q, b, query, i == len(all)-1) {
				return
			}
		}
		return
	}
	for try := range 2 {
		r.mu.Lock()
		b := r.backends[f.Backend]
		ready := b != nil && b.ready
		r.mu.Unlock()
		// A server that was restarted at the same address has forgotten the prompt, and may have given the name to another.
		if ready && r.remembers(q.Context(), b, f) {
			there := url.Values{}
			for k, v := range query {
				there[k] = v
			}
			there.Set("filename", f.Remote.Filename)
			there.Set("subfolder", f.Remote.Subfolder)
			there.Set("type", f.Remote.Type)
			if r.fetch(w, q, b, there, try == 1) {
				return
			}
		}
		if try == 1 {
			break
		}
		if err := r.remake(q.Context(), t); err != nil {
			unavailable(w, "comfyui", fmt.Sprintf("the server that had %s is gone, and it could not be made again: %v", want.Filename, err), "ask again later, or submit the prompt again")
			return
		}
		if f, t = r.locate(q.Context(), want); f == nil {
			break
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

// remembers tells whether the process that made a file still runs.
func (r *Relay) remembers(ctx context.Context, b *backend, f *file) bool {
	ask, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	entry, err := b.history(ask, f.Prompt)
	return err != nil || entry != nil // if it can't be told, trust it
}

// locate finds whose file a name is, in memory or in the database.
func (r *Relay) locate(ctx context.Context, want ref) (*file, *take) {
	r.mu.Lock()
	t := r.takes[r.public[want]]
	if t != nil {
		defer r.mu.Unlock()
		for _, f := range t.Files {
			if f.Public == want {
				return &f, t
			}
		}
		return nil, nil
	}
	r.mu.Unlock()
	return nil, nil
}

// fetch streams an image from a server. It returns false, with nothing written, if the server has none; last says that
// there is nobody else to ask and its answer is final.
func (r *Relay) fetch(w http.ResponseWriter, q *http.Request, b *backend, query url.Values, last bool) bool {
	ask, cancel := context.WithTimeout(q.Context(), 2*time.Minute)
	defer cancel()
	there, err := http.NewRequestWithContext(ask, "GET", b.url+"/view?"+query.Encode(), nil)
	if err != nil {
		return false
	}
	there.Header = b.header.Clone()
	answer, err := b.client.Do(there)
	if err != nil {
		b.poke()
		if last {
			unavailable(w, "comfyui", b.url+": "+err.Error(), "ask again")
		}
		return last
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK && !last {
		return false
	}
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Disposition", "Last-Modified", "Etag", "Cache-Control", "Vary", "X-Content-Type-Options"} {
		if v := answer.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(answer.StatusCode)
	io.Copy(w, answer.Body)
	return true
}

// remake executes a done take again, on whichever server, and points its files to the new ones. Two who ask at once wait
// for the same remake.
func (r *Relay) remake(ctx context.Context, t *take) error {
	r.mu.Lock()
	again := r.remakes[t.ID]
	if again == nil {
		again = &take{ID: uuid.NewString(), Graph: t.Graph, Extra: json.RawMessage("{}"), Partial: t.Partial, Number: t.Number,
			State: waiting, hidden: true, Submitted: time.Now(), finished: make(chan struct{})}
		r.remakes[t.ID], r.takes[again.ID] = again, again
	}
	r.mu.Unlock()
	r.place(context.WithoutCancel(ctx))
	wait, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	select {
	case <-again.finished:
	case <-wait.Done():
		return wait.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.remakes[t.ID] == again {
		delete(r.remakes, t.ID)
		defer r.drop(again)
		if again.Record == nil || len(again.Files) == 0 {
			return errors.New("the prompt did not finish")
		}
		// Both made the same graph, so their files come in the same order.
		if len(again.Files) < len(t.Files) {
			return fmt.Errorf("it made %d files now and %d before", len(again.Files), len(t.Files))
		}
		for i := range t.Files {
			made := again.Files[i]
			t.Files[i].Remote, t.Files[i].Backend, t.Files[i].Prompt = made.Remote, made.Backend, made.Prompt
		}
		t.unsaved = true
	}
	if !slices.ContainsFunc(t.Files, func(f file) bool { return r.backends[f.Backend] != nil && r.backends[f.Backend].ready }) {
		return errors.New("the prompt did not finish")
	}
	return nil
}
