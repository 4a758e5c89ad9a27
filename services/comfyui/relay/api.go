package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/wire"
	"github.com/ai-film/ai-film/services/internal/serving"
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
		wire.ClearOrDelete(w, q, func(ids []string) { r.remove(q.Context(), ids) })
	})
	add("GET", "/history", r.histories)
	add("GET", "/history/{id}", r.history)
	add("POST", "/history", func(w http.ResponseWriter, q *http.Request) {
		wire.ClearOrDelete(w, q, func(ids []string) { r.forget(q.Context(), ids) })
	})
	add("GET", "/view", r.view)
	add("POST", "/upload/image", work(http.HandlerFunc(r.upload)).ServeHTTP)
	add("POST", "/interrupt", r.interrupt)
	add("POST", "/free", r.broadcast)
	handle("/", wire.SameOrigin(r.proxy))
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

// post takes a prompt. A prompt_id that is known already, with the same graph, is answered again and not executed twice.
func (r *Relay) post(w http.ResponseWriter, q *http.Request) {
	in, id, ok := wire.ReadSubmission(w, q)
	if !ok {
		return
	}
	t := &take{ID: id, Partial: in.Partial, Client: in.Client, State: waiting, moving: true,
		Submitted: time.Now(), finished: make(chan struct{})}
	var compact bytes.Buffer
	json.Compact(&compact, in.Prompt) // it was decoded: it is JSON
	t.Graph = compact.Bytes()
	if in.Extra == nil {
		in.Extra = map[string]json.RawMessage{}
	}
	if in.Client != "" {
		in.Extra["client_id"], _ = json.Marshal(in.Client)
	} else if id, ok := in.Extra["client_id"]; ok {
		json.Unmarshal(id, &t.Client)
	}
	t.Extra, _ = json.Marshal(in.Extra)

	known, err := r.enter(q.Context(), t, in.Number, in.Front)
	if err != nil {
		return // the client is gone
	}
	if known != nil {
		if !bytes.Equal(known.Graph, t.Graph) {
			wire.Refuse(w, 400, "prompt_id_in_use", "prompt_id belongs to another prompt", "use a new UUID for another graph")
			return
		}
		wire.Answer(w, 200, map[string]any{"prompt_id": known.ID, "number": known.Number, "node_errors": map[string]any{}})
		return
	}
	giveUp := func() {
		r.mu.Lock()
		t.moving = false
		r.drop(t)
		r.mu.Unlock()
	}
	if r.options.Store != nil {
		if err := r.options.Store.Save(q.Context(), t); err != nil {
			giveUp()
			unavailable(w, "postgresql", err.Error(), "the prompt was not taken; send it again when the database is back")
			return
		}
	}
	answer, err := r.send(context.WithoutCancel(q.Context()), t)
	if err != nil {
		giveUp()
		if refused, ok := errors.AsType[*httpError](err); ok {
			w.Header().Set("Content-Type", refused.header.Get("Content-Type"))
			w.WriteHeader(refused.status)
			w.Write(refused.body)
			return
		}
		unavailable(w, "comfyui", err.Error(), "wait until a ComfyUI server is ready (kubectl get pods -l app.kubernetes.io/name=comfyui), then send the prompt again")
		return
	}
	r.mu.Lock()
	t.moving = false
	r.mu.Unlock()
	r.announce()
	r.save(q.Context())
	wire.Answer(w, 200, map[string]any{"prompt_id": t.ID, "number": t.Number, "node_errors": answer["node_errors"]})
}

// enter gives a new take its number and a place among the others, or returns the one that has its id already, once that
// was accepted by a server.
func (r *Relay) enter(ctx context.Context, t *take, number *json.Number, front bool) (known *take, err error) {
	for {
		if known = r.find(ctx, t.ID); known != nil && !known.moving {
			return known, nil
		}
		r.mu.Lock()
		if r.takes[t.ID] == nil && known == nil {
			if number != nil {
				t.Number, _ = number.Float64()
			} else {
				t.Number = r.number
				if front {
					t.Number = -t.Number
				}
				r.number++
			}
			r.takes[t.ID] = t
			r.mu.Unlock()
			return nil, nil
		}
		r.mu.Unlock()
		select { // somebody else is just submitting it
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// find returns a take from memory or, if another relay had it, from the database. It is a copy.
func (r *Relay) find(ctx context.Context, id string) *take {
	r.mu.Lock()
	t := r.takes[id]
	if t != nil {
		c := *t
		r.mu.Unlock()
		return &c
	}
	r.mu.Unlock()
	if r.options.Store == nil || uuid.Validate(id) != nil {
		return nil
	}
	t, err := r.options.Store.Get(ctx, id)
	if err != nil {
		return nil
	}
	return t
}

func (r *Relay) history(w http.ResponseWriter, q *http.Request) {
	id := q.PathValue("id")
	t := r.find(q.Context(), id)
	if t != nil && t.State == placed { // ask now rather than when the next look is due
		r.mu.Lock()
		own, b := r.takes[id], r.backends[t.Backend]
		r.mu.Unlock()
		if own != nil && b != nil {
			ask, cancel := context.WithTimeout(q.Context(), 5*time.Second)
			if entry, err := b.history(ask, t.Remote); err == nil && entry != nil {
				r.finish(context.WithoutCancel(q.Context()), b, own, entry)
				t = r.find(q.Context(), id)
			}
			cancel()
		}
	}
	out := map[string]any{}
	if t != nil && t.Record != nil {
		out[id] = t.entry()
	}
	wire.Answer(w, 200, out)
}

func (r *Relay) histories(w http.ResponseWriter, q *http.Request) {
	limit, offset := -1, -1
	for name, value := range map[string]*int{"max_items": &limit, "offset": &offset} {
		if text := q.URL.Query().Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				wire.Refuse(w, 400, "bad_request", name+" must be a whole number", name+"="+text)
				return
			}
			*value = n
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	from := max(0, offset)
	if offset < 0 && limit >= 0 {
		from = max(0, len(r.finished)-limit)
	}
	out := []byte{'{'}
	for i, id := range r.finished[min(from, len(r.finished)):] {
		if limit >= 0 && i >= limit {
			break
		}
		if i > 0 {
			out = append(out, ',')
		}
		key, _ := json.Marshal(id)
		value, _ := json.Marshal(r.takes[id].entry())
		out = append(append(append(out, key...), ':'), value...)
	}
	wire.Answer(w, 200, json.RawMessage(append(out, '}')))
}

// forget deletes history here, in the database and on the servers; nil is all of it.
func (r *Relay) forget(ctx context.Context, ids []string) {
	r.mu.Lock()
	if ids == nil {
		ids = slices.Clone(r.finished)
	}
	for _, id := range ids {
		if t := r.takes[id]; t != nil && t.State == done {
			r.drop(t)
		}
	}
	r.mu.Unlock()
	r.each(ctx, func(ctx context.Context, b *backend) {
		b.call(ctx, "POST", "/history", map[string]any{"delete": ids}, nil)
	})
}

// proxy passes a request the relay has no part in to the first ready server, always the same while it lasts, since
// settings and user data are per server.
func (r *Relay) proxy(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	var b *backend
	for _, u := range sortedKeys(r.backends) {
		if r.backends[u].ready {
			b = r.backends[u]
			break
		}
	}
	absent := r.absent()
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
	(&httputil.ReverseProxy{
		Transport: b.client.Transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(base)
			p.Out.Header.Del("Origin") // checked here, against our own name
			for k, v := range b.header {
				p.Out.Header[k] = v
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			b.poke()
			unavailable(w, "comfyui", b.url+": "+err.Error(), "ask again")
		},
	}).ServeHTTP(w, q)
}
