package relay

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/wire"
	"github.com/ai-film/ai-film/services/internal/outbound"
)

const spoolLimit = 512 << 20 // bytes of uploads kept for servers that come later

// spool keeps uploads, so that a prompt can be placed on a server that was not there when its image was uploaded.
type spool struct {
	mu   sync.Mutex
	root *os.Root
}

// arriving is the folder of uploads that are not whole yet.
const arriving = ".arriving"

func (s *spool) open(dir string) (err error) {
	if err = os.MkdirAll(dir, 0o770); err == nil {
		s.root, err = os.OpenRoot(dir)
	}
	if err == nil {
		s.root.RemoveAll(arriving)
		err = s.root.MkdirAll(arriving, 0o770)
	}
	if err != nil {
		err = fmt.Errorf("uploads can't be kept: %w (TMPDIR must be a directory that can be written)", err)
	}
	return err
}

// upload takes an image, lets a server choose its name, gives it to the others under that name, and keeps it. It goes
// through the disk: none is held in memory.
func (r *Relay) upload(w http.ResponseWriter, q *http.Request) {
	temp := path.Join(arriving, uuid.NewString())
	file, err := r.spool.root.OpenFile(temp, os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o660)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInsufficientStorage)
		return
	}
	defer r.spool.root.Remove(temp)
	defer file.Close()
	form, status, err := wire.ReadUpload(w, q, file)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	var first *backend
	var named uploaded
	var answer []byte
	var tried []*backend
	for why := ""; ; {
		r.mu.Lock()
		first = r.choose(nil, tried)
		absent := r.absent()
		r.mu.Unlock()
		if first == nil {
			unavailable(w, "comfyui", cmp.Or(why, absent), "wait until a ComfyUI server is ready, then upload again")
			return
		}
		tried = append(tried, first)
		status, answer, err = first.post(q.Context(), form, file)
		if err == nil && (status >= 400 && status < 500 || status == http.StatusOK && json.Unmarshal(answer, &named) == nil && named.Name != "" && named.Type != "") {
			break
		}
		if err == nil {
			err = fmt.Errorf("status %d %.200s", status, answer)
		}
		why = fmt.Sprintf("%s did not take the upload: %v", first.url, err)
		first.poke()
	}
	if status == http.StatusOK && named.Type == "input" {
		name := path.Join(named.Subfolder, named.Name)
		if stamp := r.spool.keep(temp, name); stamp != "" {
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
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(answer)
}

// uploaded is what a server answers to an upload.
type uploaded struct {
	Name      string `json:"name"`
	Subfolder string `json:"subfolder"`
	Type      string `json:"type"`
}

// post sends an image to /upload/image, straight from its file.
func (b *backend) post(ctx context.Context, form wire.Upload, content *os.File) (int, []byte, error) {
	info, err := content.Stat()
	if err != nil {
		return 0, nil, err
	}
	ctx, progress, cancel := wire.WhileMoving(ctx, time.Minute)
	defer cancel()
	body, kind, length := form.Body(io.NewSectionReader(content, 0, info.Size()), info.Size())
	if !b.source.dns && length > outbound.MaxBody {
		return http.StatusRequestEntityTooLarge, []byte(strconv.Quote((&outbound.BodyError{Length: length}).Error())), nil
	}
	pipe, in := io.Pipe()
	go func() { in.CloseWithError(progress(in, body)) }()
	defer pipe.Close()
	q, err := http.NewRequestWithContext(ctx, "POST", b.url+"/upload/image", pipe)
	if err != nil {
		return 0, nil, err
	}
	q.Header, q.ContentLength = b.header.Clone(), length
	q.Header.Set("Content-Type", kind)
	answer, err := b.client.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	return answer.StatusCode, text, err
}

// keep gives an upload that has arrived its name and returns its stamp, or "" if it can't be kept. The oldest go when there
// is too much.
func (s *spool) keep(temp, name string) string {
	if !filepath.IsLocal(name) || strings.HasPrefix(path.Clean(name), arriving) {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root.MkdirAll(path.Dir(name), 0o770) != nil || s.root.Rename(temp, name) != nil {
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
		if total <= spoolLimit || e.name == name || strings.HasPrefix(e.name, arriving) {
			continue
		}
		s.root.Remove(e.name)
		total -= e.info.Size()
	}
	return s.stamp(name)
}

// forget deletes the uploads of a film: those in its folder.
func (s *spool) forget(film string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root.RemoveAll(film)
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
	file, err := r.spool.root.Open(name)
	if err != nil {
		return nil
	}
	defer file.Close()
	form := wire.Upload{Name: path.Base(name), Fields: map[string]string{
		"subfolder": strings.TrimSuffix(path.Dir(name), "."), "type": "input", "overwrite": "true"}}
	status, answer, err := b.post(ctx, form, file)
	if err != nil {
		return err
	}
	if status == http.StatusRequestEntityTooLarge { // it never will: the prompt's client is told
		return &httpError{status, fmt.Appendf(nil, "the upload %s: %s", name, answer), http.Header{}}
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
	var failed error
	inputs(graph, func(_, name string) {
		name = strings.TrimSuffix(name, " [input]")
		if failed == nil && filepath.IsLocal(name) {
			failed = r.hand(ctx, b, path.Clean(name))
		}
	})
	return failed
}

// gather collects uploads that a graph names and that another server has: they came through another relay, or before ours
// was started. It tells whether there were any.
func (r *Relay) gather(ctx context.Context, except *backend, graph json.RawMessage) (found bool) {
	r.mu.Lock()
	var others []*backend
	for _, u := range sortedKeys(r.backends) {
		if b := r.backends[u]; b.ready && b != except {
			others = append(others, b)
		}
	}
	r.mu.Unlock()
	inputs(graph, func(input, name string) {
		name = path.Clean(strings.TrimSuffix(name, " [input]"))
		if input != "image" || !filepath.IsLocal(name) || r.spool.stamp(name) != "" {
			return
		}
		for _, b := range others {
			if r.collect(ctx, b, name) {
				found = true
				return
			}
		}
	})
	return found
}

// collect fetches an upload from a server that has it, and keeps it.
func (r *Relay) collect(ctx context.Context, b *backend, name string) bool {
	ctx, progress, cancel := wire.WhileMoving(ctx, 20*time.Second)
	defer cancel()
	query := url.Values{"type": {"input"}, "filename": {path.Base(name)}, "subfolder": {strings.TrimSuffix(path.Dir(name), ".")}}
	q, err := http.NewRequestWithContext(ctx, "GET", b.url+"/view?"+query.Encode(), nil)
	if err != nil {
		return false
	}
	q.Header = b.header.Clone()
	answer, err := b.client.Do(q)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return false
	}
	temp := path.Join(arriving, uuid.NewString())
	defer r.spool.root.Remove(temp)
	file, err := r.spool.root.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o660)
	if err != nil {
		return false
	}
	limited := &io.LimitedReader{R: answer.Body, N: wire.MaxUpload}
	err = progress(file, limited)
	if file.Close() != nil || err != nil || limited.N == 0 {
		return false
	}
	stamp := r.spool.keep(temp, name)
	r.mu.Lock()
	b.delivered[name] = stamp
	r.mu.Unlock()
	return stamp != ""
}
