package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is for how long nothing may happen before a test gives up. It is far above what a busy machine needs.
const patience = 2 * time.Minute

// eventually waits for something to come true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("not in %s: %s", patience, what)
}

// work: a job ends with its result, its output appears whole, and asked again it is there already.
func (s *suite) work(t *testing.T) {
	s.each(t, func(t *testing.T, o Operation) {
		var seen *watch
		if o.Output != "" && s.Data != "" {
			seen = s.watch(s.body(o, nil), o.Output)
		}
		first := s.job(t.Context(), t, o, nil, nil)
		if first.State != "done" {
			t.Fatalf("%+v %+v", first, first.Problem)
		}
		if *first.Cached {
			t.Error("made before it was asked for")
		}
		if seen != nil {
			seen.end(t)
			output := s.body(o, nil)[o.Output].(string)
			r := s.record(t, output)
			if r.MadeBy != s.Sample.Service || len(r.Key) != 64 || !same(r.Result, first.Result) {
				t.Errorf("the sidecar says %+v, the stream %s", r, first.Result)
			}
			if left := s.drafts(); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		}
		again := s.job(t.Context(), t, o, nil, nil)
		if again.State != "done" || !same(again.Result, first.Result) || o.Output != "" && !*again.Cached {
			t.Errorf("asked again: %+v, not %s", again, first.Result)
		}
		if o.Output == "" || s.Data == "" {
			return
		}
		// Lost, it is made anew, and the same.
		if err := os.RemoveAll(s.path(s.body(o, nil)[o.Output].(string))); err != nil {
			t.Fatal(err)
		}
		anew := s.job(t.Context(), t, o, nil, nil)
		if anew.State != "done" || *anew.Cached || !same(anew.Result, first.Result) {
			t.Errorf("lost: %+v", anew)
		}
		if s.Management != "" {
			_, text := s.manage(t, "/metrics")
			for _, state := range []string{"done", "cached"} {
				if n := metric(text, "aifilm_jobs_total", `operation="`+o.Name+`"`, `state="`+state+`"`); n < 1 {
					t.Errorf("no job of %s counts as %s:\n%s", o.Name, state, text)
				}
			}
		}
	})
}

func same(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	json.Compact(&x, a)
	json.Compact(&y, b)
	return x.String() == y.String()
}

var sample = regexp.MustCompile(`(?m)^(\w+)\{([^}]*)\} (\S+)$`)

// metric is the sum of a metric's samples that have all labels.
func metric(text, name string, labels ...string) (sum float64) {
samples:
	for _, m := range sample.FindAllStringSubmatch(text, -1) {
		for _, l := range labels {
			if m[1] != name || !strings.Contains(m[2], l) {
				continue samples
			}
		}
		if m[1] == name {
			v, _ := strconv.ParseFloat(m[3], 64)
			sum += v
		}
	}
	return sum
}

// watch looks at an output all the time: the first that is seen of it must be all of it.
type watch struct {
	s      *suite
	output string
	before map[string]bool
	stop   chan bool
	ended  chan bool
	first  string
	other  []string
}

func (s *suite) watch(body map[string]any, field string) *watch {
	output := body[field].(string)
	var named []string // also what is made besides, such as a poster
	for _, l := range leaves("", body) {
		if p, ok := l.value.(string); ok && path.Dir(p) == path.Dir(output) {
			named = append(named, path.Base(p))
		}
	}
	ours := func(name string) bool {
		return strings.HasPrefix(name, ".") && strings.HasSuffix(name, ".tmp") ||
			slices.ContainsFunc(named, func(base string) bool { return strings.HasPrefix(name, base) })
	}
	w := &watch{s: s, output: output, before: map[string]bool{}, stop: make(chan bool), ended: make(chan bool)}
	for _, name := range w.names() {
		w.before[name] = true
	}
	go func() {
		defer close(w.ended)
		for {
			select {
			case <-w.stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
			for _, name := range w.names() {
				if !w.before[name] && !ours(name) {
					w.other = append(w.other, name)
				}
			}
			if w.first == "" {
				w.first = w.contents()
			}
		}
	}()
	return w
}

func (w *watch) names() (names []string) {
	entries, _ := os.ReadDir(filepath.Dir(w.s.path(w.output)))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// contents are the names and sizes of what stands at the output; "" if nothing does.
func (w *watch) contents() string {
	place := w.s.path(w.output)
	info, err := os.Lstat(place)
	if err != nil {
		return ""
	}
	if !info.IsDir() {
		return fmt.Sprint("a file of ", info.Size())
	}
	var all strings.Builder
	entries, err := os.ReadDir(place)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			fmt.Fprintln(&all, e.Name(), info.Size())
		}
	}
	return all.String()
}

func (w *watch) end(t *testing.T) {
	t.Helper()
	close(w.stop)
	<-w.ended
	if last := w.contents(); w.first != "" && w.first != last {
		t.Errorf("seen half-made: %q, then %q", w.first, last)
	}
	if len(w.other) > 0 {
		t.Errorf("seen besides the output: %v", w.other)
	}
}

// long is an operation that takes some seconds; ok is false where the service has none.
func (s *suite) long() (o Operation, ok bool) {
	for _, o := range s.Sample.Operations {
		if o.Long != nil && (len(o.Paths) == 0 || s.Data != "") {
			return o, true
		}
	}
	return o, false
}

// running starts a long job, with an output of its own, and returns when it runs. end gives its last line.
func (s *suite) running(ctx context.Context, t *testing.T, o Operation, name string) (end func() line) {
	t.Helper()
	begun, last := make(chan bool), make(chan line, 1)
	var once sync.Once
	go func() {
		defer once.Do(func() { close(begun) })
		last <- s.background(ctx, t, o, s.longer(o, name), func(l line) {
			if l.State == "running" {
				once.Do(func() { close(begun) })
			}
		})
	}()
	<-begun
	return func() line { return <-last }
}

// longer is what makes an operation long, with an output of its own.
func (s *suite) longer(o Operation, name string) map[string]any {
	change := map[string]any{}
	for k, v := range o.Long {
		change[k] = v
	}
	if o.Output != "" {
		good := s.body(o, nil)[o.Output].(string)
		change[o.Output] = path.Join(path.Dir(good), name+path.Ext(good))
	}
	return change
}

// background is a job whose caller may hang up: then there is no last line.
func (s *suite) background(ctx context.Context, t *testing.T, o Operation, change map[string]any, see func(line)) line {
	a := s.ask(context.WithoutCancel(ctx), t, request{path: "/v1/" + o.Name, body: s.body(o, change)})
	if a.StatusCode != 200 {
		return line{State: "refused", Problem: &a.problem}
	}
	stop := context.AfterFunc(ctx, func() { a.Body.Close() })
	defer stop()
	var last line
	d := json.NewDecoder(a.Body)
	defer a.Body.Close()
	before := time.Now()
	for {
		l := line{}
		if err := d.Decode(&l); err != nil {
			return last
		}
		if gap := time.Since(before); gap > 7*time.Second {
			t.Errorf("nothing was told for %s", gap)
		}
		before = time.Now()
		see(l)
		last = l
	}
}

// quiet waits until nothing runs or waits any more.
func (s *suite) quiet(t *testing.T) {
	t.Helper()
	if s.Management != "" {
		eventually(t, "no job runs or waits", func() bool {
			_, text := s.manage(t, "/metrics")
			return metric(text, "aifilm_queue_length") == 0
		})
	}
	if s.Data != "" {
		eventually(t, "no draft is left", func() bool { return len(s.drafts()) == 0 })
	}
}

// cancel: who hangs up ends the job, and nothing of it is left.
func (s *suite) cancel(t *testing.T) {
	o, ok := s.long()
	if !ok {
		t.Skip("no operation takes long")
	}
	for range 2 {
		ctx, hangUp := context.WithCancel(t.Context())
		end := s.running(ctx, t, o, "left")
		hangUp()
		if l := end(); l.State == "done" {
			t.Fatalf("the job was done before it could be left: %+v", l)
		}
		s.quiet(t)
		if o.Output != "" && s.Data != "" {
			output := s.body(o, s.longer(o, "left"))[o.Output].(string)
			for _, p := range []string{output, output + ".json"} {
				if _, err := os.Lstat(s.path(p)); err == nil {
					t.Errorf("%s is there, though nobody waited for it", p)
				}
			}
		}
	}
	if l := s.job(t.Context(), t, s.Sample.Operations[0], nil, nil); l.State != "done" {
		t.Errorf("the job after it: %+v %+v", l, l.Problem)
	}
}

// queue: one runs, one waits and is told its place, and a third is refused.
func (s *suite) queue(t *testing.T) {
	o, ok := s.long()
	if !ok {
		t.Skip("no operation takes long")
	}
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	first := s.running(ctx, t, o, "first")
	waiting, told := make(chan line, 1000), make(chan line, 1)
	second, leave := context.WithCancel(ctx)
	defer leave()
	go func() {
		told <- s.background(second, t, o, s.longer(o, "second"), func(l line) { waiting <- l })
	}()
	if l := <-waiting; l.State != "queued" || l.Position != 1 {
		t.Errorf("the second: %+v", l)
	}
	a := s.refused(t, "the third", request{path: "/v1/" + o.Name, body: s.body(o, s.longer(o, "third"))}, 429, "queue full", "")
	if n, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || n < 1 || n > 60 {
		t.Errorf("Retry-After: %q", a.Header.Get("Retry-After"))
	}
	// What is wrong is told all the same, and first.
	s.refused(t, "a fourth that is wrong", request{path: "/v1/" + o.Name, body: `{"no_such_field":1}`}, 422, "invalid request", "no_such_field")
	if s.Management != "" {
		if _, text := s.manage(t, "/metrics"); metric(text, "aifilm_queue_length") != 2 {
			t.Errorf("two jobs, and the queue's length is %v", metric(text, "aifilm_queue_length"))
		} else if metric(text, "aifilm_queue_oldest_seconds") <= 0 {
			t.Error("two jobs, and the oldest is no second old")
		}
		if status, _ := s.manage(t, "/readyz"); status != 200 {
			t.Errorf("a full queue is no reason not to be ready: %d", status)
		}
	}
	leave() // who waits may leave as well
	<-told
	if l := first(); l.State != "done" {
		t.Errorf("the first: %+v %+v", l, l.Problem)
	}
	s.quiet(t)
}

// disk: a full one is told before the work, or while it is done; nothing half-made stays, and with room it goes on.
func (s *suite) disk(t *testing.T) {
	o, ok := s.long()
	if !ok || !s.Small || o.Output == "" {
		t.Skip("no small disk to fill")
	}
	filler := s.path("filler")
	fill := func(leave uint64) {
		t.Helper()
		var st syscall.Statfs_t
		if err := syscall.Statfs(s.Data, &st); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(filler, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		piece := make([]byte, 64<<10)
		for left := int64(st.Bavail)*st.Bsize - int64(leave); left > 0; left -= int64(len(piece)) {
			if _, err := f.Write(piece); errors.Is(err, syscall.ENOSPC) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
		for leave == 0 { // the last page
			if _, err := f.Write(piece[:1]); err != nil {
				return
			}
		}
	}
	defer os.Remove(filler)
	full := func(what string, p *Problem) {
		t.Helper()
		if p == nil || p.Status != 507 || p.Title != "insufficient storage" || p.Remedy == "" {
			t.Errorf("%s: %+v", what, p)
		}
		s.quiet(t)
	}

	fill(1 << 20)
	before := s.listing(t)
	l := s.job(t.Context(), t, o, s.longer(o, "full"), nil)
	if l.State != "refused" {
		t.Errorf("work begins on a full disk: %+v", l)
	}
	full("before", l.Problem)
	if after := s.listing(t); after != before {
		t.Errorf("changed %s\nto\n%s", before, after)
	}
	os.Remove(filler)

	var once sync.Once
	l = s.job(t.Context(), t, o, s.longer(o, "full"), func(l line) {
		if l.State == "running" {
			once.Do(func() { fill(0) })
		}
	})
	if l.State != "failed" {
		t.Errorf("%+v", l)
	}
	full("while it works", l.Problem)
	output := s.body(o, s.longer(o, "full"))[o.Output].(string)
	if _, err := os.Lstat(s.path(output)); err == nil {
		t.Error("a half-made output is there")
	}
	os.Remove(filler)
	if l := s.job(t.Context(), t, o, s.longer(o, "full"), nil); l.State != "done" || *l.Cached {
		t.Errorf("with room again: %+v %+v", l, l.Problem)
	}
}

// stop: at SIGTERM what runs ends well, what waits and who comes is sent elsewhere, and the process ends with 0.
func (s *suite) stop(t *testing.T) {
	if s.PID == 0 {
		t.Skip("no process id is given")
	}
	o, busy := s.long()
	var first func() line
	told := make(chan line, 1)
	if busy {
		first = s.running(t.Context(), t, o, "last")
		waits := make(chan bool)
		var once sync.Once
		go func() {
			told <- s.background(t.Context(), t, o, s.longer(o, "waits"), func(line) { once.Do(func() { close(waits) }) })
			once.Do(func() { close(waits) })
		}()
		<-waits
	}
	if err := syscall.Kill(s.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if busy {
		if l := <-told; l.State != "failed" || l.Problem == nil || l.Problem.Status != 503 || l.Problem.Title != "stopping" || l.Problem.Remedy == "" {
			t.Errorf("who waited: %+v %+v", l, l.Problem)
		}
		s.refused(t, "who comes then", request{path: "/v1/" + o.Name, body: s.body(o, nil)}, 503, "stopping", "")
		if s.Management != "" {
			if status, text := s.manage(t, "/readyz"); status != 503 || !strings.Contains(text, "not ready") {
				t.Errorf("ready while stopping: %d %s", status, text)
			}
			if status, _ := s.manage(t, "/healthz"); status != 200 {
				t.Errorf("stopping is no illness: %d", status)
			}
		}
		if l := first(); l.State != "done" {
			t.Errorf("what ran: %+v %+v", l, l.Problem)
		}
	}
	if status, err := s.Ended(); status != 0 || err != nil {
		t.Errorf("ended with %d, %v", status, err)
	}
	if left := s.drafts(); s.Data != "" && len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
