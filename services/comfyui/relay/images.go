package relay

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	_ "golang.org/x/image/webp"

	"github.com/ai-film/ai-film/services/comfyui/wire"
	"github.com/ai-film/ai-film/services/internal/serving"
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
	want.Type = cmp.Or(want.Type, "output")
	f, t, err := r.locate(q.Context(), want)
	if err != nil {
		databaseAway(w, err)
		return
	}
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
		if f, t, err = r.locate(q.Context(), want); f == nil {
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
	if err == nil && entry == nil { // one that runs has no history yet, and may have made images
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.remote[b.url+" "+f.Prompt] != ""
	}
	return true // if it can't be told, trust it
}

// locate finds whose file a name is; nil if it is none of ours.
func (r *Relay) locate(ctx context.Context, want ref) (*file, *take, error) {
	ask, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	id, err := r.store.Named(ask, want)
	if err != nil || id == "" {
		return nil, nil, err
	}
	t, err := r.find(ctx, id)
	if err != nil || t == nil {
		return nil, nil, err
	}
	for _, f := range t.Files {
		if f.Public == want {
			return &f, t, nil
		}
	}
	return nil, nil, nil
}

// fetch streams an image from a server. It returns false, with nothing written, if the server has none; last says that
// there is nobody else to ask and its answer is final.
func (r *Relay) fetch(w http.ResponseWriter, q *http.Request, b *backend, query url.Values, last bool) bool {
	ask, progress, cancel := wire.WhileMoving(q.Context(), time.Minute)
	defer cancel()
	there, err := http.NewRequestWithContext(ask, "GET", b.url+"/view?"+query.Encode(), nil)
	if err != nil {
		return false
	}
	there.Header = b.header.Clone()
	r.mu.Lock()
	remote := b.source.remote
	r.mu.Unlock()
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
	content := answer.Body.(io.Reader)
	if answer.StatusCode == http.StatusOK {
		if content, err = picture(answer.Body); err != nil {
			serving.WriteProblem(w, serving.NewProblem(http.StatusBadGateway, "not a picture", b.url+": "+err.Error(), "look at the server: it answers what no ComfyUI does"))
			return true
		}
	}
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Disposition", "Last-Modified", "Etag", "Cache-Control", "Vary"} {
		if v := answer.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if remote {
		w.Header().Set("Content-Security-Policy", "sandbox") // whatever it says it is, it runs nothing in a browser
	}
	w.WriteHeader(answer.StatusCode)
	if err := progress(w, content); err != nil { // half an image must not look like a whole one
		panic(http.ErrAbortHandler)
	}
	return true
}

// remake executes a done take again, on whichever server, and points its files to the new ones. Two who ask at once wait
// for the same remake.
func (r *Relay) remake(ctx context.Context, t *take) error {
	made := r.remakes.DoChan(t.ID, func() (any, error) {
		again := &take{ID: uuid.NewString(), Graph: t.Graph, Extra: json.RawMessage("{}"), Partial: t.Partial, Number: t.Number,
			State: waiting, hidden: true, Submitted: time.Now(), finished: make(chan struct{})}
		r.mu.Lock()
		r.takes[again.ID] = again
		r.mu.Unlock()
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Minute)
		defer cancel()
		r.place(own)
		select {
		case <-again.finished:
		case <-own.Done():
			r.cancel(context.WithoutCancel(ctx), []string{again.ID}, true)
			return nil, own.Err()
		}
		r.mu.Lock()
		files, now := append([]file{}, t.Files...), again.Files
		r.mu.Unlock()
		if again.Record == nil || len(now) == 0 {
			return nil, errors.New("the prompt did not finish")
		}
		// Both made the same graph, so their files come in the same order.
		if len(now) < len(files) {
			return nil, fmt.Errorf("it made %d files now and %d before", len(now), len(files))
		}
		for i := range files {
			files[i].Remote, files[i].Backend, files[i].Prompt = now[i].Remote, now[i].Backend, now[i].Prompt
		}
		return nil, r.store.Move(own, t.ID, files)
	})
	wait, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	select {
	case result := <-made:
		return result.Err
	case <-wait.Done():
		return wait.Err()
	}
}

// What a file that a server made may be: a longer one is cut off, and a picture that says it has more pixels is not passed on,
// since it would fill the memory of whoever decodes it.
const (
	fileLimit  = 1 << 30
	pixelLimit = 1 << 26 // 8192 × 8192
)

// picture is a file's content, once its header shows that it is no picture of absurd size.
func picture(body io.Reader) (io.Reader, error) {
	head := bufio.NewReaderSize(body, 64<<10)
	start, err := head.Peek(64 << 10)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var width, height int64
	if bytes.HasPrefix(start, []byte("\x89PNG\r\n\x1a\n")) && len(start) >= 24 { // also one that Go's decoder finds wrong
		width, height = int64(binary.BigEndian.Uint32(start[16:])), int64(binary.BigEndian.Uint32(start[20:]))
	} else if c, _, err := image.DecodeConfig(bytes.NewReader(start)); err == nil {
		width, height = int64(c.Width), int64(c.Height)
	}
	if width > pixelLimit || height > pixelLimit || width*height > pixelLimit {
		return nil, fmt.Errorf("a picture of %d × %d pixels", width, height)
	}
	return &ending{head, fileLimit}, nil
}

// ending reads up to a limit, and fails beyond it.
type ending struct {
	io.Reader
	left int64
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if e.left -= int64(n); e.left < 0 {
		return 0, fmt.Errorf("a file of more than %d MiB", int64(fileLimit>>20))
	}
	return n, err
}
