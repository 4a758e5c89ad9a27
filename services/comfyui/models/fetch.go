package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Fetcher fetches lists of models into one directory.
type Fetcher struct {
	// Dir is the directory of models.
	Dir string
	// Parallel is how many are fetched at once; 0 for 3.
	Parallel int
	// Attempts is how often in a row a download may break off without a byte more; 0 for 8.
	Attempts int
	// Pause is the wait after the first failure; it doubles up to a minute. 0 for a second.
	Pause time.Duration
	// Stall is after how long without a byte a download is broken off; 0 for a minute.
	Stall time.Duration
	// Spare is how much of the disk stays free, bytes; 0 for 256 MiB.
	Spare int64
	// Report is how often progress is logged; 0 for 10 s.
	Report time.Duration
	// Log takes progress; nil for slog's default.
	Log *slog.Logger
	// Client sends the requests; nil for one of its own. Its CheckRedirect is replaced.
	Client *http.Client

	free func() (int64, error) // in place of the disk's own answer
}

// Fetch brings all models of a list to their places, several at once, and returns what could not be brought, each with its
// name. What is there already, with the right checksum, is left as it is. Nothing is asked for where the disk would not
// hold it all.
func (f Fetcher) Fetch(ctx context.Context, list List) error {
	f = f.complete(list)
	if err := os.MkdirAll(f.Dir, 0o775); err != nil {
		return err
	}
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	w := &work{Fetcher: f, root: root}
	var missing []*download
	var need int64
	for _, m := range list.Models {
		d := &download{work: w, Model: m, log: f.Log.With("model", m.Name)}
		there, err := d.there(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if there {
			d.log.Info("is there", "path", m.Path)
			continue
		}
		need += max(0, m.Bytes-d.partial())
		missing = append(missing, d)
	}
	if err := w.room(need); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(f.Parallel)
	faults := make([]error, len(missing))
	for i, d := range missing {
		group.Go(func() error {
			if err := d.run(ctx); err != nil {
				d.log.Error("can't be fetched", "error", err)
				faults[i] = fmt.Errorf("%s: %w", d.Name, err)
			}
			return nil
		})
	}
	group.Wait()
	return errors.Join(faults...)
}

// Await returns when all models of a list are at their places, checked by a Fetch. It looks every so often and logs what
// it waits for.
func (f Fetcher) Await(ctx context.Context, list List, every time.Duration) error {
	f = f.complete(list)
	var told time.Time
	for {
		var missing []string
		if root, err := os.OpenRoot(f.Dir); err == nil {
			w := &work{Fetcher: f, root: root}
			for _, m := range list.Models {
				if !(&download{work: w, Model: m, log: f.Log}).known() {
					missing = append(missing, m.Name)
				}
			}
			root.Close()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		} else {
			missing = []string{f.Dir}
		}
		if len(missing) == 0 {
			return nil
		}
		if time.Since(told) > 30*time.Second {
			told = time.Now()
			f.Log.Info("waiting for models that are being fetched", "missing", missing)
		}
		if err := sleep(ctx, every); err != nil {
			return fmt.Errorf("%w; still missing: %s", err, strings.Join(missing, ", "))
		}
	}
}

func (f Fetcher) complete(list List) Fetcher {
	f.Parallel = positive(f.Parallel, 3)
	f.Attempts = positive(f.Attempts, 8)
	f.Pause = positive(f.Pause, time.Second)
	f.Stall = positive(f.Stall, time.Minute)
	f.Spare = positive(f.Spare, 256<<20)
	f.Report = positive(f.Report, 10*time.Second)
	if f.Log == nil {
		f.Log = slog.Default()
	}
	client := http.Client{Transport: http.DefaultTransport}
	if f.Client != nil {
		client = *f.Client
	}
	client.CheckRedirect = redirects(list.AllowHTTP)
	f.Client = &client
	if f.free == nil {
		f.free = func() (int64, error) {
			var s unix.Statfs_t
			err := unix.Statfs(f.Dir, &s)
			return int64(s.Bavail) * s.Bsize, err
		}
	}
	return f
}

func positive[T int | int64 | time.Duration](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}

// redirects lets a download be sent elsewhere, as hosts of models do to their storage, but the token goes to the host it is
// for alone, and never back to plain HTTP.
func redirects(allowHTTP bool) func(*http.Request, []*http.Request) error {
	return func(r *http.Request, via []*http.Request) error {
		first := via[0].URL
		switch {
		case len(via) > 10:
			return &final{errors.New("it is redirected without an end")}
		case r.URL.Scheme != "https" && !(allowHTTP && r.URL.Scheme == "http" && first.Scheme == "http"):
			return &final{fmt.Errorf("it is redirected from %s to %s on %s", first.Scheme, r.URL.Scheme, r.URL.Host)}
		}
		r.Header.Del("Referer") // which would tell the next host what the first one's URL carries
		if r.URL.Host != first.Host || r.URL.Scheme != first.Scheme {
			r.Header.Del("Authorization")
		}
		return nil
	}
}

// final is a failure that another attempt would only repeat.
type final struct{ error }

func (e *final) Unwrap() error { return e.error }

// work is one Fetch.
type work struct {
	Fetcher
	root *os.Root

	mu       sync.Mutex
	reserved int64 // bytes that downloads under way still want
}

// room says whether the disk takes so many bytes beside what others of this Fetch still want.
func (w *work) room(need int64) error {
	free, err := w.free()
	if err != nil {
		return fmt.Errorf("how much room %s has: %w", w.Dir, err)
	}
	w.mu.Lock()
	reserved := w.reserved
	w.mu.Unlock()
	if need > 0 && need+reserved+w.Spare > free {
		return &final{fmt.Errorf("%s has %s free, and %s are needed beside %s that stay free: make the volume of models larger, or the list shorter",
			w.Dir, size(free), size(need+reserved), size(w.Spare))}
	}
	return nil
}

func (w *work) reserve(bytes int64) {
	w.mu.Lock()
	w.reserved += bytes
	w.mu.Unlock()
}

// download is one model on its way.
type download struct {
	*work
	Model
	log *slog.Logger
}

// note is what is remembered beside a file in the making, to know that what comes is more of the same, and beside a
// finished one, to know it again without reading it.
type note struct {
	URL      string    `json:"url,omitempty"`
	ETag     string    `json:"etag,omitempty"`
	SHA256   string    `json:"sha256,omitempty"`
	Bytes    int64     `json:"bytes"`
	Modified time.Time `json:"modified,omitzero"`
}

func (d *download) beside(end string) string {
	dir, name := path.Split(d.Path)
	return dir + "." + name + end
}

func (d *download) read(file string) (n note) {
	if data, err := d.root.ReadFile(file); err == nil {
		json.Unmarshal(data, &n) // what can't be read says nothing
	}
	return n
}

func (d *download) write(file string, n note) error {
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := d.root.WriteFile(file+".new", data, 0o664); err != nil {
		return err
	}
	return d.root.Rename(file+".new", file)
}

// partial is how many bytes of the file are there from an earlier attempt.
func (d *download) partial() int64 {
	if info, err := d.root.Stat(d.beside(".part")); err == nil {
		return info.Size()
	}
	return 0
}

// known says whether the file is there and was checked, by what stands in the note beside it.
func (d *download) known() bool {
	info, err := d.root.Stat(d.Path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	n := d.read(d.beside(".json"))
	return n.SHA256 != "" && n.Bytes == info.Size() && n.Modified.Equal(info.ModTime()) && (d.SHA256 == "" || d.SHA256 == n.SHA256)
}

// there says whether the file is there and right, reading all of it if need be.
func (d *download) there(ctx context.Context) (bool, error) {
	if d.known() {
		return true, nil
	}
	info, err := d.root.Stat(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s is no file: something else stands in its place", d.Path)
	}
	d.log.Info("is there; its checksum is being computed", "path", d.Path, "bytes", info.Size())
	file, err := d.root.Open(d.Path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, reader{ctx, file, nil}); err != nil {
		return false, err
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	if d.SHA256 != "" && sum != d.SHA256 {
		d.log.Warn("what is there is another file and will be replaced", "path", d.Path, "has", sum, "wanted", d.SHA256)
		return false, nil
	}
	return true, d.write(d.beside(".json"), note{SHA256: sum, Bytes: info.Size(), Modified: info.ModTime()})
}

// run fetches the file, in as many attempts as bring something.
func (d *download) run(ctx context.Context) error {
	if dir := path.Dir(d.Path); dir != "." {
		if err := d.root.MkdirAll(dir, 0o775); err != nil {
			return err
		}
	}
	file, err := d.root.OpenFile(d.beside(".part"), os.O_RDWR|os.O_CREATE, 0o664)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := d.lock(ctx, file); err != nil {
		return err
	}
	if there, err := d.there(ctx); there || err != nil { // somebody else's work, while this one waited
		return err
	}
	for failed := 0; ; {
		had := d.partial()
		sum, at, err := d.attempt(ctx, file)
		if err == nil && d.SHA256 != "" && sum != d.SHA256 {
			err = fmt.Errorf("what came has the SHA-256 %s, and %s was wanted", sum, d.SHA256)
			if e := d.restart(file); e != nil {
				return e
			}
			if at == 0 { // else it may be what an earlier attempt left
				return fmt.Errorf("%w: the server has another file; check the url and the sha256", err)
			}
		}
		if err == nil {
			return d.publish(file, sum)
		}
		var f *final
		if ctx.Err() != nil || errors.As(err, &f) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return err
		}
		if failed++; d.partial() > had {
			failed = 1
		}
		if failed >= d.Attempts {
			return fmt.Errorf("%w (after %d attempts that brought nothing)", err, failed)
		}
		pause := min(d.Pause<<(failed-1), time.Minute)
		var later *later
		if errors.As(err, &later) {
			pause = max(pause, min(later.after, 5*time.Minute))
		}
		pause += rand.N(pause/4 + 1)
		d.log.Warn("broke off; another attempt follows", "error", err, "bytes", d.partial(), "seconds", pause.Seconds())
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// lock takes the file in the making for this process: a pod that is thought dead may write on beside the next one.
func (d *download) lock(ctx context.Context, file *os.File) error {
	for told := false; ; told = true {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOLCK) {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("lock %s: %w", d.beside(".part"), err)
		}
		if !told {
			d.log.Info("another process fetches it; waiting for its end")
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

func (d *download) restart(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	if err := d.root.Remove(d.beside(".part.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// attempt asks for what is missing, writes what comes and returns the SHA-256 of the whole file, and at which byte it went on.
func (d *download) attempt(ctx context.Context, file *os.File) (sum string, at int64, err error) {
	if n := d.read(d.beside(".part.json")); n.URL != d.URL || n.SHA256 != d.SHA256 { // what is there is of another file
		if err := d.restart(file); err != nil {
			return "", 0, err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(d.Stall, func() { cancel(fmt.Errorf("no byte came for %s", d.Stall)) })
	defer stalled.Stop()

	response, at, err := d.ask(ctx, file)
	if err != nil {
		return "", at, cause(ctx, err)
	}
	hash := sha256.New()
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", at, err
	}
	if at > 0 {
		stalled.Stop()
		if _, err := io.CopyN(hash, reader{ctx, file, nil}, at); err != nil {
			return "", at, cause(ctx, err)
		}
		stalled.Reset(d.Stall)
	}
	if response == nil { // all of it was there
		return hex.EncodeToString(hash.Sum(nil)), at, nil
	}
	defer response.Body.Close()
	total := int64(-1)
	if response.ContentLength >= 0 {
		total = at + response.ContentLength
	}
	claimed := max(total-at, d.Bytes-at, 0)
	if err := d.room(claimed); err != nil {
		return "", at, err
	}
	d.reserve(claimed)
	defer func() { d.reserve(-claimed) }()

	p := &progress{log: d.log, every: d.Report, at: at, from: at, total: max(total, d.Bytes), began: time.Now(), told: time.Now()}
	_, err = io.Copy(io.MultiWriter(file, hash), reader{ctx, response.Body, func(n int) error {
		stalled.Reset(d.Stall)
		came := min(int64(n), claimed)
		claimed -= came
		d.reserve(-came)
		if p.add(n); total < 0 && claimed == 0 && p.at%(16<<20) < int64(n) { // nobody said how much comes
			if err := d.room(1); err != nil {
				return errors.Join(err, d.restart(file))
			}
		}
		return nil
	}})
	if err == nil && total >= 0 && p.at != total {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", at, cause(ctx, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), at, nil
}

// ask sends the request, for what comes after the part that is there if the server knows of that. It returns the answer
// and at which byte it begins; no answer where nothing is missing.
func (d *download) ask(ctx context.Context, file *os.File) (*http.Response, int64, error) {
	at := d.partial()
	before := d.read(d.beside(".part.json"))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL, nil)
	if err != nil {
		return nil, 0, &final{err}
	}
	request.Header.Set("Accept-Encoding", "identity") // bytes are counted and hashed as they lie there
	request.Header.Set("User-Agent", "ai-film-models")
	if at > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
		if before.ETag != "" {
			request.Header.Set("If-Range", before.ETag)
		}
	}
	if d.TokenFile != "" {
		token, err := os.ReadFile(d.TokenFile)
		if err != nil {
			return nil, 0, &final{fmt.Errorf("its token: %w", err)}
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	response, err := d.Client.Do(request)
	if err != nil {
		return nil, 0, plain(err)
	}
	keep := false
	defer func() {
		if !keep {
			io.CopyN(io.Discard, response.Body, 4096)
			response.Body.Close()
		}
	}()
	etag := response.Header.Get("ETag")
	if strings.HasPrefix(etag, "W/") { // says nothing of bytes
		etag = ""
	}
	fresh := func() error {
		if err := d.restart(file); err != nil {
			return err
		}
		return d.write(d.beside(".part.json"), note{URL: d.URL, ETag: etag, SHA256: d.SHA256, Bytes: response.ContentLength})
	}
	switch response.StatusCode {
	case http.StatusOK: // all of it, whether it was asked for or not
		if kind := response.Header.Get("Content-Type"); strings.HasPrefix(kind, "text/html") {
			return nil, 0, &final{errors.New("a page came in place of the file: want the URL of the file itself, and a token where the host asks people to sign in")}
		}
		if at > 0 {
			d.log.Info("the server begins anew", "bytes", at)
		}
		keep = true
		return response, 0, fresh()
	case http.StatusPartialContent:
		var from, to, total int64
		content := response.Header.Get("Content-Range")
		if n, _ := fmt.Sscanf(content, "bytes %d-%d/%d", &from, &to, &total); n < 2 || from != at || response.ContentLength >= 0 && to-from+1 != response.ContentLength ||
			before.ETag != "" && etag != "" && before.ETag != etag || before.Bytes > 0 && total > 0 && before.Bytes != total {
			d.log.Warn("the server's part is none of this file's; beginning anew", "content-range", content, "bytes", at)
			return nil, at, errors.Join(d.restart(file), fmt.Errorf("asked for bytes %d- and was given %q", at, content))
		}
		d.log.Info("goes on", "bytes", at)
		keep = true
		return response, at, nil
	case http.StatusRequestedRangeNotSatisfiable:
		var total int64
		if n, _ := fmt.Sscanf(response.Header.Get("Content-Range"), "bytes */%d", &total); n == 1 && total == at {
			return nil, at, nil
		}
		return nil, at, errors.Join(d.restart(file), errors.New("the server has less than what is there; beginning anew"))
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, 0, &final{fmt.Errorf("%s answers %s: the file wants a token, or its owner's licence to be accepted with that account; see tokenSecret", request.URL.Host, response.Status)}
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusTooEarly:
		return nil, 0, wait(request, response)
	}
	if response.StatusCode >= 500 {
		return nil, 0, wait(request, response)
	}
	return nil, 0, &final{fmt.Errorf("%s answers %s", request.URL.Host, response.Status)}
}

// publish puts the finished file in its place, and beside it what it is known by.
func (d *download) publish(file *os.File, sum string) error {
	if err := file.Sync(); err != nil {
		return err
	}
	if err := d.root.Rename(d.beside(".part"), d.Path); err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := d.write(d.beside(".json"), note{SHA256: sum, Bytes: info.Size(), Modified: info.ModTime()}); err != nil {
		return err
	}
	if err := d.root.Remove(d.beside(".part.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if dir, err := d.root.Open(path.Dir(d.Path)); err == nil {
		dir.Sync()
		dir.Close()
	}
	d.log.Info("fetched", "path", d.Path, "bytes", info.Size(), "sha256", sum)
	if d.SHA256 == "" {
		d.log.Warn("its sha256 isn't given, so nothing says that this is the right file; put the one above into the values")
	}
	return nil
}

// later is an answer that asks for patience.
type later struct {
	error
	after time.Duration
}

func wait(request *http.Request, response *http.Response) error {
	after, _ := time.ParseDuration(response.Header.Get("Retry-After") + "s")
	return &later{fmt.Errorf("%s answers %s", request.URL.Host, response.Status), after}
}

// plain takes the URL out of a client's error: it may carry what is nobody's to read.
func plain(err error) error {
	var u interface{ Unwrap() error }
	if errors.As(err, &u) && u.Unwrap() != nil {
		return u.Unwrap()
	}
	return err
}

// cause says why a context ended in place of that it did.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return context.Cause(ctx)
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// reader reads until its context ends and tells how much came.
type reader struct {
	ctx  context.Context
	from io.Reader
	came func(int) error
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, context.Cause(r.ctx)
	}
	n, err := r.from.Read(p)
	if n > 0 && r.came != nil {
		if e := r.came(n); e != nil {
			return n, e
		}
	}
	return n, err
}

// progress logs how far a download is.
type progress struct {
	log             *slog.Logger
	every           time.Duration
	at, from, total int64
	began, told     time.Time
}

func (p *progress) add(n int) {
	p.at += int64(n)
	if time.Since(p.told) < p.every {
		return
	}
	p.told = time.Now()
	rate := float64(p.at-p.from) / time.Since(p.began).Seconds()
	values := []any{"bytes", p.at, "MBps", float64(int(rate/1e5)) / 10}
	if p.total > p.at && rate > 0 {
		values = append(values, "of", p.total, "percent", 100*p.at/p.total, "left", time.Duration(float64(p.total-p.at)/rate*1e9).Round(time.Second).String())
	}
	p.log.Info("coming", values...)
}

// size is an amount of bytes for people.
func size(bytes int64) string {
	if bytes < 1<<30 {
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
}
