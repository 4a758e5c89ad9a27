// Package jobstest is what the tests of the job services share: the whole service on loopback, over volumes of its own,
// with the real programs behind it.
package jobstest

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ai-film/ai-film/services/internal/jobs"
	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/internal/volume"
)

// Bench is one service under test.
type Bench struct {
	*testing.T
	Dir, URL string
	Volume   *volume.Volume
}

// New serves what setup adds, with one worker and so many places in the queue. programs must be on the PATH.
func New(t *testing.T, name string, limit int, programs []string, setup func(*serving.Service, *jobs.Queue, *volume.Volume)) *Bench {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Fatalf("these tests need the real thing: apt-get install %s", name)
		}
	}
	dir := t.TempDir()
	for _, d := range []string{"images/films/f/s", "videos/films/f"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o770); err != nil {
			t.Fatal(err)
		}
	}
	v, err := volume.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := serving.New(name, slog.New(slog.NewTextHandler(io.Discard, nil)))
	setup(s, jobs.New(s, 1, limit, 10*time.Minute), v)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return &Bench{t, dir, server.URL, v}
}

// Film is the film that all jobs are for; images/films/f/s and videos/films/f are there.
const Film = "f"

// Line is a line of a job's stream, or the problem of a request that was refused (State "refused").
type Line struct {
	State    string
	Progress float64
	Cached   bool
	Result   map[string]any
	Problem  serving.Problem
}

// Ask sends a request and gives each line to see (nil for none); it returns the last.
func (b *Bench) Ask(ctx context.Context, operation string, body any, see func(Line)) (last Line) {
	b.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		b.Error(err)
	}
	r, err := http.NewRequestWithContext(ctx, "POST", b.URL+"/v1/"+operation, strings.NewReader(string(raw)))
	if err != nil {
		b.Error(err)
		return last
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Film-Id", Film)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return Line{State: "broken"}
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		last.State = "refused"
		if err := json.NewDecoder(answer.Body).Decode(&last.Problem); err != nil || last.Problem.Status != answer.StatusCode {
			b.Errorf("%d without a problem: %v", answer.StatusCode, err)
		}
		return last
	}
	for s := bufio.NewScanner(answer.Body); s.Scan(); {
		last = Line{}
		if err := json.Unmarshal(s.Bytes(), &last); err != nil {
			b.Errorf("%s: %v", s.Text(), err)
		}
		if see != nil {
			see(last)
		}
	}
	return last
}

// Done asks and wants it done.
func (b *Bench) Done(operation string, body any) Line {
	b.Helper()
	l := b.Ask(b.Context(), operation, body, nil)
	if l.State != "done" {
		b.Fatalf("%s: %+v", operation, l)
	}
	return l
}

// Path is a path on the volume as the operating system takes it.
func (b *Bench) Path(p string) string { return filepath.Join(b.Dir, filepath.FromSlash(p)) }

// Left lists what a directory of the volume holds, drafts too.
func (b *Bench) Left(dir string) (names []string) {
	b.Helper()
	entries, err := os.ReadDir(b.Path(dir))
	if err != nil && !os.IsNotExist(err) {
		b.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Child waits for a child process of this one that has a text in its command line, and returns its id.
func (b *Bench) Child(text string) (pid int) {
	b.Helper()
	b.Eventually("a child with "+text, func() bool {
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		for _, d := range dirs {
			stat, _ := os.ReadFile(d + "/stat")
			line, _ := os.ReadFile(d + "/cmdline")
			_, after, _ := strings.Cut(string(stat), ") ")
			fields := strings.Fields(after) // state, parent, …
			if len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) && strings.Contains(string(line), text) {
				pid, _ = strconv.Atoi(filepath.Base(d))
				return true
			}
		}
		return false
	})
	return pid
}

// Kill kills a process as the kernel does when memory runs out.
func (b *Bench) Kill(pid int) {
	b.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		b.Fatal(err)
	}
}

// Alive tells whether a process lives. A dead one without a parent stays listed where process 1 waits for none, as in many
// containers.
func Alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, state, found := strings.Cut(string(stat), ") ") // no program of ours has a parenthesis in its name
	return err == nil && found && state[0] != 'Z'
}

// Eventually fails the test if something doesn't come true within a minute.
func (b *Bench) Eventually(what string, is func() bool) {
	b.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	b.Fatal("not in a minute: " + what)
}
