package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/ai-film/ai-film/services/comfyui/wire"
	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/limits"
)

// Routes gives every route to handle, each also under /api. work wraps those that take new work. What the relay has no
// part in (models, settings, the page itself) goes to the first server that is ready.
func (r *Relay) Routes(handle func(pattern string, h http.Handler), work func(http.Handler) http.Handler) {
	add := func(method, path string, h http.HandlerFunc) {
		for _, prefix := range []string{"", "/api"} {
			handle(method+" "+prefix+path, wire.SameOrigin(h))
		}
	}
	add("GET", "/ws", r.socket)
	add("GET", "/prompt", func(w http.ResponseWriter, _ *http.Request) { wire.Answer(w, 200, r.info()) })
	add("POST", "/prompt", work(http.HandlerFunc(r.post)).ServeHTTP)
	add("GET", "/queue", r.queue)
	add("POST", "/queue", func(w http.ResponseWriter, q *http.Request) {
		wire.ClearOrDelete(w, q, func(ids []string) error { return r.dequeue(q.Context(), ids) }, databaseAway)
	})
	add("GET", "/history", r.histories)
	add("GET", "/history/{id}", r.history)
	add("POST", "/history", func(w http.ResponseWriter, q *http.Request) {
		wire.ClearOrDelete(w, q, func(ids []string) error { return r.forget(q.Context(), ids) }, databaseAway)
	})
	add("GET", "/view", r.view)
	add("POST", "/upload/image", serving.Upload(work(http.HandlerFunc(r.upload))).ServeHTTP)
	add("POST", "/interrupt", r.interrupt)
	add("POST", "/free", r.broadcast)
	handle("DELETE /v1/films/{film}", wire.SameOrigin(r.deleteFilm))
	handle("GET /v1/servers", http.HandlerFunc(r.servers))
	handle("/", serving.Upload(wire.SameOrigin(r.proxy)))
	for _, ours := range []string{"/readyz", "/metrics"} { // of the management port, and never a server's
		handle(ours, http.NotFoundHandler())
	}
}

func (r *Relay) socket(w http.ResponseWriter, q *http.Request) {
	r.sockets.Serve(w, q, func(sid string) {
		r.sockets.Send("status", map[string]any{"status": r.info(), "sid": sid}, sid)
	}, func(sid, kind string) {
		if kind == "feature_flags" {
			r.sockets.Send("feature_flags", map[string]any{"supports_preview_metadata": false, "max_upload_size": wire.MaxUpload}, sid)
		}
	})
}

// unavailable answers that no server, or not the database, is there.
func unavailable(w http.ResponseWriter, missing, detail, remedy string) {
	p := serving.NewProblem(http.StatusServiceUnavailable, missing+" is missing", detail, remedy)
	p.Missing = []string{missing}
	w.Header().Set("Retry-After", "5")
	serving.WriteProblem(w, p)
}

func databaseAway(w http.ResponseWriter, err error) {
	unavailable(w, "postgresql", err.Error(), "ask again when the database is back")
}

// post takes a prompt. A prompt_id that is known already, with the same graph, is answered again and not executed twice.
func (r *Relay) post(w http.ResponseWriter, q *http.Request) {
	release, ok := r.bodies.Reserve(w, q, wire.MaxPrompt)
	if !ok {
		return
	}
	defer release()
	in, id, ok := wire.ReadSubmission(w, q)
	if !ok {
		return
	}
	t := &take{ID: id, Partial: in.Partial, Client: in.Client, State: waiting, moving: true,
		Submitted: time.Now(), finished: make(chan struct{})}
	var compact bytes.Buffer
	json.Compact(&compact, in.Prompt) // it was decoded: it is JSON
	t.Graph = compact.Bytes()
	t.Extra, _ = json.Marshal(in.Extra)
	if t.Film = q.Header.Get("X-Film-Id"); !limits.FilmID.MatchString(t.Film) {
		t.Film = film(t.Graph)
	}
	if in.Number != nil {
		t.Number, _ = in.Number.Float64()
	}
	known, err := r.enter(q.Context(), t, in.Number != nil, in.Front)
	switch {
	case errors.Is(err, errFull):
		w.Header().Set("Retry-After", "10")
		wire.Refuse(w, http.StatusTooManyRequests, "queue_full", "The queue is full", err.Error())
		return
	case err != nil && q.Context().Err() != nil: // the client is gone
		return
	case err != nil:
		unavailable(w, "postgresql", err.Error(), "the prompt was not taken; send it again when the database is back")
		return
	case known != nil:
		if !bytes.Equal(known.Graph, t.Graph) {
			wire.Refuse(w, 400, "prompt_id_in_use", "prompt_id belongs to another prompt", "use a new UUID for another graph")
			return
		}
		wire.Answer(w, 200, map[string]any{"prompt_id": known.ID, "number": known.Number, "node_errors": map[string]any{}})
		return
	}
	answer, err := r.send(context.WithoutCancel(q.Context()), t)
	_, nobody := errors.AsType[errNoBackend](err)
	r.mu.Lock()
	t.moving = false
	if r.options.Endpoints && nobody && !t.deleted { // it waits for a server that is yet to be there, and is checked by that
		t.Accepted, answer = true, map[string]json.RawMessage{"node_errors": json.RawMessage("{}")}
	}
	waits := t.Accepted && nobody
	r.mu.Unlock()
	if waits {
		if err = r.write(q.Context(), t, nil); err != nil {
			err = &storeError{err}
		}
	}
	if err != nil {
		r.withdraw(q.Context(), t)
		_, database := errors.AsType[*storeError](err)
		refused, isRefused := errors.AsType[*httpError](err)
		switch {
		case isRefused:
			w.Header().Set("Content-Type", refused.header.Get("Content-Type"))
			w.WriteHeader(refused.status)
			w.Write(refused.body)
		case database:
			unavailable(w, "postgresql", err.Error(), "send the prompt again, with the same prompt_id, when the database is back")
		default:
			unavailable(w, "comfyui", err.Error(), "wait until a ComfyUI server is ready (kubectl get pods -l app.kubernetes.io/name=comfyui), then send the prompt again")
		}
		return
	}
	r.announce()
	r.save(q.Context())
	wire.Answer(w, 200, map[string]any{"prompt_id": t.ID, "number": t.Number, "node_errors": answer["node_errors"]})
}

var errFull = errors.New("more prompts wait than this relay holds; try again later")

// acceptance is how long a prompt that is sent again waits for its first submission to be accepted or refused.
const acceptance = submitTimeout + lease

// enter gives a new take a place among the others, or returns the one that has its id already, once that was accepted by
// a server.
func (r *Relay) enter(ctx context.Context, t *take, numbered, front bool) (known *take, err error) {
	for until := time.Now().Add(acceptance); ; {
		r.mu.Lock()
		held := 0
		for _, o := range r.takes {
			held += o.size()
		}
		own := r.takes[t.ID]
		if own != nil {
			c := *own
			own = &c
		} else if held+t.size() > heldLimit {
			r.mu.Unlock()
			return nil, errFull
		} else {
			r.takes[t.ID] = t
		}
		r.mu.Unlock()
		if own == nil {
			if known, err = r.store.Enter(ctx, t, numbered, front); err == nil && known == nil {
				return nil, nil
			}
			r.mu.Lock()
			delete(r.takes, t.ID)
			r.mu.Unlock()
			if err != nil {
				return nil, err
			}
			own = known
		}
		// Somebody may be submitting it just now, here or through another relay: then it can still be refused.
		if (own.Accepted || own.State == done || !own.moving && own.adopted) || time.Now().After(until) {
			return own, nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// find returns a take, ours or of another relay. It is a copy, and nil if there is none; an error means that it can't be
// told now.
func (r *Relay) find(ctx context.Context, id string) (*take, error) {
	r.mu.Lock()
	t := r.takes[id]
	if t != nil {
		c := *t
		r.mu.Unlock()
		return &c, nil
	}
	r.mu.Unlock()
	if !wire.IsID(id) {
		return nil, nil
	}
	ask, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return r.store.Get(ask, id)
}

func (r *Relay) history(w http.ResponseWriter, q *http.Request) {
	id := q.PathValue("id")
	t, err := r.find(q.Context(), id)
	if err == nil && t != nil && t.State == placed { // ask now rather than when the next look is due
		r.mu.Lock()
		own, b := r.takes[id], r.backends[t.Backend]
		r.mu.Unlock()
		if own != nil && b != nil {
			ask, cancel := context.WithTimeout(q.Context(), 5*time.Second)
			if entry, failed := b.history(ask, t.Remote); failed == nil && entry != nil {
				r.finish(context.WithoutCancel(q.Context()), b, own, entry)
				t, err = r.find(q.Context(), id)
			}
			cancel()
		}
	}
	if err != nil {
		databaseAway(w, err)
		return
	}
	out := map[string]any{}
	if t != nil && t.State == done && t.Record != nil && !t.hidden {
		out[id] = t.entry()
	}
	wire.Answer(w, 200, out)
}

func (r *Relay) histories(w http.ResponseWriter, q *http.Request) {
	limit, offset, ok := wire.Page(w, q)
	if !ok {
		return
	}
	ids, err := r.store.History(q.Context(), limit, offset)
	if err != nil {
		databaseAway(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	comma := "{"
	for _, id := range ids { // one at a time: together they may be large
		t, err := r.store.Get(q.Context(), id)
		if err != nil || t == nil || t.Record == nil {
			continue
		}
		key, _ := json.Marshal(id)
		value, _ := json.Marshal(t.entry())
		io.WriteString(w, comma)
		w.Write(key)
		io.WriteString(w, ":")
		w.Write(value)
		comma = ","
	}
	if comma == "{" {
		io.WriteString(w, "{")
	}
	io.WriteString(w, "}")
}

// forget deletes history here, in the database and on the servers; nil is all of it.
func (r *Relay) forget(ctx context.Context, ids []string) error {
	gone, err := r.store.Forget(ctx, ids)
	remote := map[string][]string{}
	for _, t := range gone {
		remote[t.Backend] = append(remote[t.Backend], t.Remote)
	}
	r.each(ctx, func(ctx context.Context, b *backend) {
		if len(remote[b.url]) > 0 {
			b.call(ctx, "POST", "/history", map[string]any{"delete": remote[b.url]}, nil)
		}
	})
	return err
}

// proxy passes a request the relay has no part in to the first ready server, always the same while it lasts, since
// settings and user data are per server; to one that registered only if there is no other, and what that gives runs nothing in a
// browser that is signed in here.
func (r *Relay) proxy(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	var b *backend
	for _, u := range sortedKeys(r.backends) {
		if one := r.backends[u]; one.ready && (b == nil || b.source.remote && !one.source.remote) {
			b = one
		}
	}
	absent := r.absent()
	foreign := b != nil && b.source.remote
	r.mu.Unlock()
	if b == nil {
		unavailable(w, "comfyui", absent, "wait until a ComfyUI server is ready")
		return
	}
	base, err := url.Parse(b.url)
	if err != nil {
		serving.WriteProblem(w, err)
		return
	}
	q.Body = http.MaxBytesReader(w, q.Body, wire.MaxUpload)
	(&httputil.ReverseProxy{
		Transport: b.client.Transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(base)
			p.Out.Header.Del("Origin")        // checked here, against our own name
			p.Out.Header.Del("Authorization") // the caller's is for us
			p.Out.Header.Del("Cookie")
			for k, v := range b.header {
				p.Out.Header[k] = v
			}
		},
		ModifyResponse: func(answer *http.Response) error {
			if foreign {
				answer.Header.Del("Set-Cookie")
				answer.Header.Set("Content-Security-Policy", "sandbox")
				answer.Header.Set("X-Content-Type-Options", "nosniff")
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			b.poke()
			unavailable(w, "comfyui", b.url+": "+err.Error(), "ask again")
		},
	}).ServeHTTP(w, q)
}
