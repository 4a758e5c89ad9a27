package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ai-film/ai-film/services/comfyui/wire"
)

const spoolLimit = 512 << 20 // bytes of uploads kept for servers that come later

// spool keeps uploads, so that a prompt can be placed on a server that was not there when its image was uploaded.
type spool struct {
	mu   sync.Mutex
	root *os.Root
}

func (s *spool) open(dir string) (err error) {
	if err = os.MkdirAll(dir, 0o770); err == nil {
		s.root, err = os.OpenRoot(dir)
	}
	if err != nil {
		err = fmt.Errorf("uploads can't be kept: %w (TMPDIR must be a directory that can be written)", err)
	}
	return err
}

// upload takes an image, lets a server choose its name, gives it to the others under that name, and keeps it.
func (r *Relay) upload(w http.ResponseWriter, q *http.Request) {
	data, err := io.ReadAll(http.MaxBytesReader(w, q.Body, wire.MaxUpload))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	first := r.choose(nil)
	absent := r.absent()
	r.mu.Unlock()
	if first == nil {
		unavailable(w, "comfyui", absent, "wait until a ComfyUI server is ready, then upload again")
		return
	}
	status, answer, err := first.post(q.Context(), q.Header.Get("Content-Type"), data)
	if err != nil {
		first.poke()
		unavailable(w, "comfyui", first.url+": "+err.Error(), "upload again")
		return
	}
	var named struct {
		Name      string `json:"name"`
		Subfolder string `json:"subfolder"`
		Type      string `json:"type"`
	}
	if status == http.StatusOK && json.Unmarshal(answer, &named) == nil && named.Type == "input" {
		q.Body = io.NopCloser(bytes.NewReader(data))
		if image, _, err := q.FormFile("image"); err == nil {
			content, _ := io.ReadAll(image)
			image.Close()
			name := path.Join(named.Subfolder, named.Name)
			if stamp := r.spool.keep(name, content); stamp != "" {
				r.mu.Lock()
				first.delivered[name] = stamp
				r.mu.Unlock()
				r.each(q.Context(), func(ctx context.Context, b *backend) {
					if b != first {
						r.hand(ctx, b, name)
					}
				})
			}
		}
		if q.MultipartForm != nil {
			q.MultipartForm.RemoveAll()
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(answer)
}

// post sends a multipart form to /upload/image.
func (b *backend) post(ctx context.Context, contentType string, form []byte) (int, []byte, error) {
	q, err := http.NewRequestWithContext(ctx, "POST", b.url+"/upload/image", bytes.NewReader(form))
	if err != nil {
		return 0, nil, err
	}
	q.Header = b.header.Clone()
	q.Header.Set("Content-Type", contentType)
	answer, err := b.client.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return answer.StatusCode, text, err
}

// keep stores an upload and returns its stamp, or "" if it can't be kept. The oldest go when there is too much.
func (s *spool) keep(name string, data []byte) string {
	if !filepath.IsLocal(name) {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root.MkdirAll(path.Dir(name), 0o770) != nil || s.root.WriteFile(name, data, 0o660) != nil {
		return ""
	}
	type entry struct {
		name string
		info fs.FileInfo
	}
	var all []entry
	var total int64
	fs.WalkDir(s.root.FS(), ".", func(n string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				all, total = append(all, entry{n, info}), total+info.Size()
			}
		}
		return nil
	})
	slices.SortFunc(all, func(a, b entry) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	for _, e := range all {
		if total <= spoolLimit || e.name == name {
			continue
		}
		s.root.Remove(e.name)
		total -= e.info.Size()
	}
	return s.stamp(name)
}

// stamp changes when the upload does; "" if there is none.
func (s *spool) stamp(name string) string {
	info, err := s.root.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano())
}

// hand gives a kept upload to a server, if that lacks it.
func (r *Relay) hand(ctx context.Context, b *backend, name string) error {
	stamp := r.spool.stamp(name)
	r.mu.Lock()
	has := b.delivered[name] == stamp
	r.mu.Unlock()
	if stamp == "" || has {
		return nil
	}
	data, err := r.spool.root.ReadFile(name)
	if err != nil {
		return nil
	}
	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	part, _ := m.CreateFormFile("image", path.Base(name))
	part.Write(data)
	m.WriteField("subfolder", strings.TrimSuffix(path.Dir(name), "."))
	m.WriteField("type", "input")
	m.WriteField("overwrite", "true")
	m.Close()
	status, answer, err := b.post(ctx, m.FormDataContentType(), form.Bytes())
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s did not take the upload %s: status %d %.200s", b.url, name, status, answer)
	}
	r.mu.Lock()
	b.delivered[name] = stamp
	r.mu.Unlock()
	return nil
}

// deliver gives a server the uploads that a graph's text inputs name.
func (r *Relay) deliver(ctx context.Context, b *backend, graph json.RawMessage) error {
	var nodes map[string]struct {
		Inputs map[string]any `json:"inputs"`
	}
	if json.Unmarshal(graph, &nodes) != nil {
		return nil // the server says what is wrong with it
	}
	for _, n := range nodes {
		for _, v := range n.Inputs {
			name, ok := v.(string)
			if !ok || len(name) > 255 || !filepath.IsLocal(strings.TrimSuffix(name, " [input]")) {
				continue
			}
			if err := r.hand(ctx, b, path.Clean(strings.TrimSuffix(name, " [input]"))); err != nil {
				return err
			}
		}
	}
	return nil
}
