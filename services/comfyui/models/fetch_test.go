package models

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// host is a server of files that can misbehave; it counts what it is asked.
type host struct {
	*httptest.Server
	content []byte
	handle  func(w http.ResponseWriter, r *http.Request, nth int) bool // true: it has answered

	mu    sync.Mutex
	asked []*http.Request
}

func newHost(t *testing.T, bytes int, handle func(http.ResponseWriter, *http.Request, int) bool) *host {
	t.Helper()
	h := &host{content: make([]byte, bytes), handle: handle}
	random := rand.NewChaCha8([32]byte{1})
	random.Read(h.content)
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.asked = append(h.asked, r)
		nth := len(h.asked)
		h.mu.Unlock()
		if h.handle != nil && h.handle(w, r, nth) {
			return
		}
		w.Header().Set("ETag", `"one"`)
		http.ServeContent(w, r, "model.safetensors", time.Time{}, strings.NewReader(string(h.content)))
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *host) requests() []*http.Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*http.Request(nil), h.asked...)
}

// cut sends so many bytes of what it promised and breaks the connection.
func (h *host) cut(w http.ResponseWriter, from, bytes int) {
	w.Header().Set("ETag", `"one"`)
	w.Header().Set("Content-Length", fmt.Sprint(len(h.content)-from))
	if from > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(h.content)-1, len(h.content)))
		w.WriteHeader(http.StatusPartialContent)
	}
	w.Write(h.content[from : from+bytes])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

func (h *host) list(change ...func(*Model)) List {
	m := Model{Name: "one", URL: h.URL + "/model.safetensors", Path: "checkpoints/one.safetensors", SHA256: sum(h.content), Bytes: int64(len(h.content))}
	for _, c := range change {
		c(&m)
	}
	return List{Models: []Model{m}, AllowHTTP: true}
}

func fetcher(t *testing.T, log io.Writer) Fetcher {
	return Fetcher{Dir: t.TempDir(), Pause: time.Millisecond, Attempts: 4, Spare: 1, Report: time.Nanosecond, Log: slog.New(slog.NewJSONHandler(log, nil))}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in: %v", text, err)
		}
	}
}

func holds(t *testing.T, f Fetcher, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(f.Dir, path))
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the server has: %d bytes, want %d", path, len(got), len(want))
	}
	if left, _ := filepath.Glob(filepath.Join(f.Dir, "*", ".*.part*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFetchedOnceAndKnownAgain(t *testing.T) {
	h := newHost(t, 3<<20, nil)
	var log bytes.Buffer
	f := fetcher(t, &log)
	must(t, f.Fetch(t.Context(), h.list()))
	holds(t, f, "checkpoints/one.safetensors", h.content)
	if !strings.Contains(log.String(), `"msg":"coming"`) || !strings.Contains(log.String(), `"percent"`) {
		t.Error("no progress in the log")
	}
	must(t, f.Await(t.Context(), h.list(), time.Hour))
	must(t, f.Fetch(t.Context(), h.list()))
	must(t, os.Remove(filepath.Join(f.Dir, "checkpoints", ".one.safetensors.json"))) // known by its checksum alone
	must(t, f.Fetch(t.Context(), h.list()))
	if n := len(h.requests()); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// What is there and is another file is replaced, whatever its time and size say.
func TestAnotherFileIsReplaced(t *testing.T) {
	h := newHost(t, 1<<16, nil)
	f := fetcher(t, io.Discard)
	must(t, f.Fetch(t.Context(), h.list()))
	file := filepath.Join(f.Dir, "checkpoints", "one.safetensors")
	must(t, os.WriteFile(file, bytes.Repeat([]byte("x"), 1<<16), 0o644))
	if err := f.Await(ended(), h.list(), time.Hour); err == nil {
		t.Error("taken for the right one")
	}
	must(t, f.Fetch(t.Context(), h.list()))
	holds(t, f, "checkpoints/one.safetensors", h.content)
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestBrokenOffAndTakenUpAgain(t *testing.T) {
	var h *host
	h = newHost(t, 1<<20, func(w http.ResponseWriter, r *http.Request, nth int) bool {
		if nth <= 6 { // more often than Attempts, but each brings something
			var from int
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			h.cut(w, from, 100_000)
		}
		return false
	})
	f := fetcher(t, io.Discard)
	must(t, f.Fetch(t.Context(), h.list()))
	holds(t, f, "checkpoints/one.safetensors", h.content)
	for i, r := range h.requests() {
		if i > 0 && (r.Header.Get("Range") == "" || r.Header.Get("If-Range") != `"one"`) {
			t.Errorf("request %d asks for all of it again: %v", i+1, r.Header)
		}
	}
}

// The next process takes up what a killed one left.
func TestTakenUpByAnotherProcess(t *testing.T) {
	var h *host
	h = newHost(t, 1<<20, func(w http.ResponseWriter, r *http.Request, nth int) bool {
		if nth == 1 {
			h.cut(w, 0, 1<<19)
		}
		return false
	})
	f := fetcher(t, io.Discard)
	f.Attempts = 1
	refused(t, f.Fetch(t.Context(), h.list()), "one: ")
	must(t, f.Fetch(t.Context(), h.list()))
	holds(t, f, "checkpoints/one.safetensors", h.content)
	if asked := h.requests()[1].Header.Get("Range"); asked != fmt.Sprintf("bytes=%d-", 1<<19) {
		t.Errorf("asked for %q", asked)
	}
}

// A part that is complete needs no byte more, only its checksum.
func TestPartThatIsComplete(t *testing.T) {
	h := newHost(t, 1<<16, nil)
	f := fetcher(t, io.Discard)
	dir := filepath.Join(f.Dir, "checkpoints")
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, ".one.safetensors.part"), h.content, 0o644))
	n, _ := json.Marshal(note{URL: h.list().Models[0].URL, SHA256: sum(h.content), ETag: `"one"`})
	must(t, os.WriteFile(filepath.Join(dir, ".one.safetensors.part.json"), n, 0o644))
	must(t, f.Fetch(t.Context(), h.list()))
	holds(t, f, "checkpoints/one.safetensors", h.content)
}

func TestServersThatMisbehave(t *testing.T) {
	for name, c := range map[string]struct {
		handle func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool
		says   []string // none: it is fetched all the same
		asked  int      // 0: any number
	}{
		"ignores Range": {
			handle: func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool {
				if nth == 1 {
					h.cut(w, 0, 1000)
				}
				w.Write(h.content)
				return true
			},
		},
		"always cuts at the same place and ignores Range": {
			handle: func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool { h.cut(w, 0, 1000); return true },
			says:   []string{"unexpected EOF", "after 4 attempts"},
		},
		"gives another part than was asked for": {
			handle: func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool {
				if nth == 1 {
					h.cut(w, 0, 1000)
				}
				if nth == 2 {
					h.cut(w, 500, 1000)
				}
				return false
			},
		},
		"goes on with another file": {
			handle: func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool {
				if nth == 1 {
					h.cut(w, 0, 1000)
				}
				if nth == 2 {
					w.Header().Set("Content-Range", fmt.Sprintf("bytes 1000-%d/%d", len(h.content)-1, len(h.content)))
					w.WriteHeader(http.StatusPartialContent)
					w.Write(bytes.Repeat([]byte("x"), len(h.content)-1000))
					return true
				}
				return false
			},
		},
		"says it is shorter than it is": {
			handle: func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool {
				w.Header().Set("Content-Length", "5000")
				w.Write(h.content[:5000])
				return true
			},
			says: []string{"SHA-256", "check the url"}, asked: 1,
		},
		"says it is longer than it is": {
			handle: func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool {
				w.Header().Set("Content-Length", fmt.Sprint(len(h.content)+1000))
				w.Write(h.content)
				return true
			},
			says: []string{"unexpected EOF"},
		},
		"has other bytes": {
			handle: func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool {
				w.Write(bytes.Repeat([]byte("x"), len(h.content)))
				return true
			},
			says: []string{"another file", "sha256"}, asked: 1,
		},
		"has a page": {
			handle: func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				fmt.Fprint(w, "<p>Sign in")
				return true
			},
			says: []string{"a page came"}, asked: 1,
		},
		"is busy for a while": {
			handle: func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool {
				codes := []int{503, 429, 500}
				if nth <= len(codes) {
					w.WriteHeader(codes[nth-1])
				}
				return nth <= len(codes)
			},
		},
		"is busy for ever": {
			handle: func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool { w.WriteHeader(503); return true },
			says:   []string{"503", "after 4 attempts"}, asked: 4,
		},
		"wants a token": {
			handle: func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool { w.WriteHeader(401); return true },
			says:   []string{"401", "wants a token"}, asked: 1,
		},
		"has none": {
			handle: func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool { w.WriteHeader(404); return true },
			says:   []string{"404"}, asked: 1,
		},
		"redirects to itself": {
			handle: func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool {
				http.Redirect(w, r, "/again", http.StatusFound)
				return true
			},
			says: []string{"redirected without an end"},
		},
		"sends nothing": {
			handle: func(h *host, w http.ResponseWriter, r *http.Request, nth int) bool {
				if nth == 1 {
					w.Header().Set("Content-Length", fmt.Sprint(len(h.content)))
					w.Write(h.content[:10])
					w.(http.Flusher).Flush()
					<-r.Context().Done()
					return true
				}
				return false
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var h *host
			h = newHost(t, 1<<16, func(w http.ResponseWriter, r *http.Request, nth int) bool { return c.handle(h, w, r, nth) })
			f := fetcher(t, io.Discard)
			if name == "sends nothing" {
				f.Stall = 300 * time.Millisecond
			}
			err := f.Fetch(t.Context(), h.list())
			if c.says == nil {
				must(t, err)
				holds(t, f, "checkpoints/one.safetensors", h.content)
			} else {
				refused(t, err, append(c.says, "one: ")...)
				if strings.Contains(err.Error(), h.URL) {
					t.Errorf("the url, which may hold a token, is in: %v", err)
				}
				if _, err := os.Stat(filepath.Join(f.Dir, "checkpoints", "one.safetensors")); err == nil {
					t.Error("it was put in its place")
				}
			}
			if n := len(h.requests()); c.asked != 0 && n != c.asked {
				t.Errorf("asked %d times, want %d", n, c.asked)
			}
		})
	}
}

// The token is shown to the host it is for and to no other, not even to the same machine's next port.
func TestTokenStaysWithItsHost(t *testing.T) {
	storage := newHost(t, 1<<16, nil)
	var seen []string
	front := newHost(t, 0, func(w http.ResponseWriter, r *http.Request, nth int) bool {
		seen = append(seen, r.Header.Get("Authorization"))
		if r.URL.Path == "/second" {
			http.Redirect(w, r, storage.URL+"/blob?signature=1", http.StatusTemporaryRedirect)
		} else {
			http.Redirect(w, r, "/second", http.StatusFound)
		}
		return true
	})
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte("hf_secret\n"), 0o600))
	var log bytes.Buffer
	f := fetcher(t, &log)
	list := storage.list(func(m *Model) { m.URL, m.TokenFile = front.URL+"/file?key=hidden", file })
	must(t, f.Fetch(t.Context(), list))
	holds(t, f, "checkpoints/one.safetensors", storage.content)
	if fmt.Sprint(seen) != "[Bearer hf_secret Bearer hf_secret]" {
		t.Errorf("its host saw %q", seen)
	}
	for _, r := range storage.requests() {
		for name, value := range r.Header {
			if strings.Contains(fmt.Sprint(value), "hf_secret") || strings.Contains(fmt.Sprint(value), "hidden") {
				t.Errorf("the other host saw %s: %s", name, value)
			}
		}
	}
	if strings.Contains(log.String(), "hf_secret") || strings.Contains(log.String(), "hidden") {
		t.Errorf("it is in the log: %s", log.String())
	}
	list.Models[0].TokenFile = file + "-not"
	list.Models[0].SHA256 = sum([]byte("other"))
	refused(t, f.Fetch(t.Context(), list), "its token", "no such file")
}

// Never from https to http, allowed or not: who stands on the way could change the one into the other.
func TestNoRedirectToPlainHTTP(t *testing.T) {
	plain := newHost(t, 10, nil)
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	t.Cleanup(secure.Close)
	for _, allow := range []bool{false, true} {
		f := fetcher(t, io.Discard)
		f.Client = secure.Client()
		list := plain.list(func(m *Model) { m.URL = secure.URL + "/x" })
		list.AllowHTTP = allow
		refused(t, f.Fetch(t.Context(), list), "redirected from https to http")
	}
	if n := len(plain.requests()); n != 0 {
		t.Errorf("followed %d times", n)
	}
}

func TestSeveralAtOnce(t *testing.T) {
	var now, most int
	var mu sync.Mutex
	together := make(chan struct{})
	h := newHost(t, 1<<12, func(w http.ResponseWriter, r *http.Request, nth int) bool {
		mu.Lock()
		if now++; now > most {
			most = now
		}
		if nth == 3 {
			close(together)
		}
		mu.Unlock()
		<-together // three are under way before the first may end
		mu.Lock()
		now--
		mu.Unlock()
		return strings.HasSuffix(r.URL.Path, "none") && func() bool { w.WriteHeader(404); return true }()
	})
	list := List{AllowHTTP: true}
	for i := range 7 {
		list.Models = append(list.Models, h.list(func(m *Model) { m.Name, m.Path = fmt.Sprint("m", i), fmt.Sprint("loras/", i) }).Models...)
	}
	list.Models[2].URL = h.URL + "/none"
	f := fetcher(t, io.Discard)
	f.Parallel = 3
	refused(t, f.Fetch(t.Context(), list), "m2: ", "404")
	if most != 3 {
		t.Errorf("%d at once", most)
	}
	for i := range 7 { // one that fails keeps none of the others
		if _, err := os.Stat(filepath.Join(f.Dir, "loras", fmt.Sprint(i))); (err == nil) == (i == 2) {
			t.Errorf("m%d: %v", i, err)
		}
	}
}

func TestDiskIsCheckedFirst(t *testing.T) {
	h := newHost(t, 1<<20, nil)
	f := fetcher(t, io.Discard)
	f.free = func() (int64, error) { return 1 << 20, nil }
	refused(t, f.Fetch(t.Context(), h.list()), "has 1.0 MiB free", "larger")
	if n := len(h.requests()); n != 0 {
		t.Errorf("asked %d times before", n)
	}
	// Nobody said how large it is: the server does, before the first byte is written.
	refused(t, f.Fetch(t.Context(), h.list(func(m *Model) { m.Bytes = 0 })), "one: ", "has 1.0 MiB free")
	// And where it doesn't either, writing ends before the disk is full.
	endless := newHost(t, 1<<20, func(w http.ResponseWriter, r *http.Request, nth int) bool {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				break
			}
		}
		return true
	})
	f.free = func() (int64, error) {
		info, err := os.Stat(filepath.Join(f.Dir, "checkpoints", ".one.safetensors.part"))
		if err != nil {
			return 1 << 30, nil
		}
		return 40<<20 - info.Size(), nil
	}
	refused(t, f.Fetch(t.Context(), endless.list(func(m *Model) { m.Bytes = 0 })), "free")
}

// A disk that is full all the same: the real one, of a small file system.
func TestDiskRunsFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		if errors.Is(err, syscall.EPERM) && os.Getuid() != 0 {
			t.Skip("only root mounts a file system")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	h := newHost(t, 3<<20, nil)
	f := fetcher(t, io.Discard)
	f.Dir = dir
	refused(t, f.Fetch(t.Context(), h.list()), "free") // by the file system's own figures
	f.free = func() (int64, error) { return 1 << 30, nil }
	err := f.Fetch(t.Context(), h.list())
	refused(t, err, "no space left")
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=8m")) // the volume was made larger
	must(t, f.Fetch(t.Context(), h.list()))
	holds(t, f, "checkpoints/one.safetensors", h.content)
	if r := h.requests(); r[len(r)-1].Header.Get("Range") == "" {
		t.Error("began anew")
	}
}

// Two processes at one volume: the second waits, and finds the work done.
func TestTwoAtOneVolume(t *testing.T) {
	h := newHost(t, 1<<20, nil)
	first, second := fetcher(t, io.Discard), fetcher(t, io.Discard)
	second.Dir = first.Dir
	errs := make(chan error, 2)
	go func() { errs <- first.Fetch(t.Context(), h.list()) }()
	go func() { errs <- second.Fetch(t.Context(), h.list()) }()
	must(t, <-errs)
	must(t, <-errs)
	holds(t, first, "checkpoints/one.safetensors", h.content)
}

// No path of a list leads out of the directory of models, symbolic links included.
func TestNothingIsWrittenElsewhere(t *testing.T) {
	h := newHost(t, 10, nil)
	f := fetcher(t, io.Discard)
	outside := t.TempDir()
	must(t, os.Symlink(outside, filepath.Join(f.Dir, "checkpoints")))
	refused(t, f.Fetch(t.Context(), h.list()), "one: ", "escapes")
	if files, _ := os.ReadDir(outside); len(files) > 0 {
		t.Errorf("wrote %v", files)
	}
}

func TestListsAreRefused(t *testing.T) {
	good := `{"name":"a","url":"https://example.com/a","path":"loras/a"}`
	if _, err := Parse([]byte(`{"models":[` + good + `]}`)); err != nil {
		t.Fatal(err)
	}
	for text, says := range map[string]string{
		`{"models":[` + good + `,` + good + `]}`:                                        "two models have this name",
		`{"models":[` + good + `,{"name":"b","url":"https://h/b","path":"Loras/A"}]}`:   "in the way of a's",
		`{"models":[` + good + `,{"name":"b","url":"https://h/b","path":"loras/a/b"}]}`: "in the way of a's",
		`{"models":[{"name":"a","url":"http://h/a","path":"a"}]}`:                       "plain http",
		`{"models":[{"name":"a","url":"ftp://h/a","path":"a"}]}`:                        "want https",
		`{"models":[{"name":"a","url":"file:///etc/passwd","path":"a"}]}`:               "want https",
		`{"models":[{"name":"a","url":"https://u:p@h/a","path":"a"}]}`:                  "a password in it",
		`{"models":[{"name":"a","url":"https://h/%zz","path":"a"}]}`:                    "can't be read",
		`{"models":[{"url":"https://h/a","path":"a"}]}`:                                 "no name",
		`{"models":[{"name":"a","url":"https://h/a","path":"a","sha256":"abc"}]}`:       "64 hexadecimal",
		`{"models":[{"name":"a","url":"https://h/a","path":"a","bytes":-1}]}`:           "-1 bytes",
		`{"models":[{"name":"a","url":"https://h/a","path":"a","sum":"x"}]}`:            `unknown field "sum"`,
		`{"models":`: "unexpected EOF",
	} {
		_, err := Parse([]byte(text))
		refused(t, err, says)
	}
	for _, path := range []string{"", ".", "/a", "../a", "a/../../b", "a/../b", "a//b", "a/", "./a", ".hidden", "a/.b", `a\b`, "a\nb", strings.Repeat("a", 201)} {
		data, _ := json.Marshal(List{Models: []Model{{Name: "a", URL: "https://h/a", Path: path}}})
		_, err := Parse(data)
		refused(t, err, "path")
	}
}

// Without a checksum the first file is taken, is told, and is known from then on.
func TestWithoutAChecksum(t *testing.T) {
	h := newHost(t, 1<<16, nil)
	var log bytes.Buffer
	f := fetcher(t, &log)
	list := h.list(func(m *Model) { m.SHA256 = "" })
	must(t, f.Fetch(t.Context(), list))
	must(t, f.Fetch(t.Context(), list))
	must(t, f.Await(t.Context(), list, time.Hour))
	if len(h.requests()) != 1 || !strings.Contains(log.String(), sum(h.content)) {
		t.Errorf("asked %d times; %s", len(h.requests()), log.String())
	}
}

// Await goes on when the last of them is there.
func TestAwait(t *testing.T) {
	h := newHost(t, 1<<16, nil)
	f := fetcher(t, io.Discard)
	refused(t, f.Await(ended(), h.list(), time.Hour), "still missing: one")
	done := make(chan error)
	go func() { done <- f.Await(t.Context(), h.list(), time.Millisecond) }()
	must(t, f.Fetch(t.Context(), h.list()))
	must(t, <-done)
}
