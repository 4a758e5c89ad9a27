package relay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/conformance"
	"github.com/ai-film/ai-film/services/comfyui/graph"
	"github.com/ai-film/ai-film/services/internal/freeport"
)

const token = "a-token-of-the-tests"

// program builds a command of ours once for all tests.
func program(t *testing.T, name string) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	if programs.dir == "" {
		dir, err := os.MkdirTemp("", "comfyui-")
		must(t, err)
		programs.dir = dir
	}
	file := filepath.Join(programs.dir, name)
	if _, err := os.Stat(file); err != nil {
		if out, err := exec.Command("go", "build", "-o", file, "../cmd/"+name).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return file
}

var programs struct {
	sync.Mutex
	dir string
}

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(programs.dir)
	os.Exit(code)
}

// process is a command of ours that can be killed and started again at the same address.
type process struct {
	*conformance.Client
	t       *testing.T
	file    string
	env     []string
	mu      sync.Mutex
	command *exec.Cmd
	log     *os.File
}

// newProcess starts a command with an environment and waits until it answers.
func newProcess(t *testing.T, name string, env ...string) *process {
	t.Helper()
	port := freeport.Loopback(t)
	log, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
	must(t, err)
	p := &process{t: t, file: program(t, name), log: log, Client: &conformance.Client{Base: "http://127.0.0.1:" + port, Header: http.Header{"Authorization": {"Bearer " + token}}},
		env: append([]string{"PORT=" + port, "MANAGEMENT_PORT=" + freeport.Loopback(t), "SERVICE_TOKEN=" + token, "TMPDIR=" + t.TempDir(), "POLL=200ms"}, env...)}
	t.Cleanup(func() {
		p.kill()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s, its last words:\n%s", name, text[max(0, len(text)-8000):])
		}
	})
	p.start()
	p.answers()
	return p
}

func (p *process) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.command = exec.Command(p.file)
	p.command.Env, p.command.Stdout, p.command.Stderr = p.env, p.log, p.log
	if err := p.command.Start(); err != nil {
		p.t.Error(err)
	}
}

// kill is SIGKILL.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.command != nil && p.command.Process != nil {
		p.command.Process.Kill()
		p.command.Wait()
		p.command = nil
	}
}

// restart is SIGKILL, and back after a pause.
func (p *process) restart(pause time.Duration) {
	p.kill()
	time.Sleep(pause)
	p.start()
}

func (p *process) answers() {
	p.t.Helper()
	until(p.t, p.file+" answers", func() bool {
		status, _, err := p.Do(p.t.Context(), "GET", "/healthz", nil)
		return err == nil && status == 200
	})
}

// persistent asks again for as long as the process is away or not ready.
func (p *process) persistent(ctx context.Context, method, path string, body any) (int, []byte) {
	for {
		status, text, err := p.Do(ctx, method, path, body)
		if err == nil && status < 500 && status != http.StatusTooManyRequests {
			return status, text
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Appendf(nil, "%v %s", err, text)
		}
	}
}

// known tells whether a prompt is in the queue, and its record if it is in history. It is in one of them: what left the
// queue between the two questions is in history.
func (p *process) known(ctx context.Context, id string) (*conformance.Record, error) {
	_, text := p.persistent(ctx, "GET", "/queue", nil)
	var queue struct {
		Running [][]json.RawMessage `json:"queue_running"`
		Pending [][]json.RawMessage `json:"queue_pending"`
	}
	if err := json.Unmarshal(text, &queue); err != nil {
		return nil, fmt.Errorf("queue: %w in %.200s", err, text)
	}
	listed := 0
	for _, tuple := range append(queue.Running, queue.Pending...) {
		if string(tuple[1]) == `"`+id+`"` {
			listed++
		}
	}
	if listed > 1 {
		return nil, fmt.Errorf("%s is %d times in the queue", id, listed)
	}
	_, text = p.persistent(ctx, "GET", "/history/"+id, nil)
	var history map[string]*conformance.Record
	if err := json.Unmarshal(text, &history); err != nil {
		return nil, fmt.Errorf("history: %w in %.200s", err, text)
	}
	if history[id] == nil && listed == 0 {
		return nil, fmt.Errorf("%s is neither in the queue nor in history", id)
	}
	return history[id], nil
}

// executions counts how often previews of this process executed a prompt, by their log.
type executions struct {
	slog.Handler
	mu    sync.Mutex
	count map[string]int
}

func (e *executions) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "executed" {
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "prompt_id" {
				e.mu.Lock()
				e.count[a.Value.String()]++
				e.mu.Unlock()
			}
			return true
		})
	}
	return nil
}

func (e *executions) Enabled(context.Context, slog.Level) bool { return true }

func countExecutions(t *testing.T) *executions {
	e := &executions{Handler: slog.NewTextHandler(os.Stderr, nil), count: map[string]int{}}
	before := slog.Default()
	slog.SetDefault(slog.New(e))
	t.Cleanup(func() { slog.SetDefault(before) })
	return e
}

// TestSIGKILL kills the relay's process at random moments and at each step of a prompt's way, and has it back after a
// moment. Every prompt ends once, is executed once, is always in the queue or in history, and its image is its own.
func TestSIGKILL(t *testing.T) {
	ran := countExecutions(t)
	a, b := newPod(t), newPod(t)
	r := newProcess(t, "comfyui-relay", "DATABASE_URL="+startPostgres(t), "BACKENDS="+a.url()+","+b.url())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()

	const random, each = 32, 4
	var kills atomic.Int64
	points := map[string]*atomic.Int64{} // where it is to be killed → how often still
	for _, point := range []string{"before its server has the prompt", "after its server took the prompt", "before it learns the outcome", "while an image is fetched"} {
		points[point] = &atomic.Int64{}
	}
	at := func(point string) {
		if points[point].Add(-1) == 0 {
			kills.Add(1)
			r.restart(time.Duration(rand.IntN(200)) * time.Millisecond)
		}
	}
	for _, p := range []*pod{a, b} {
		p.around.Store(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
			switch {
			case q.Method == "POST" && q.URL.Path == "/prompt":
				at("before its server has the prompt")
				next.ServeHTTP(w, q)
				at("after its server took the prompt")
			case strings.HasPrefix(q.URL.Path, "/history/"):
				at("before it learns the outcome")
				next.ServeHTTP(w, q)
			case q.URL.Path == "/view":
				at("while an image is fetched")
				next.ServeHTTP(w, q)
			default:
				next.ServeHTTP(w, q)
			}
		})
	}

	stop := make(chan struct{})
	ids := make(chan string, 10000)
	var clients sync.WaitGroup
	for c := range 4 {
		clients.Go(func() {
			for seed := uint64(c) << 32; ; seed++ {
				select {
				case <-stop:
					return
				case <-ctx.Done():
					return
				default:
				}
				id := uuid.NewString()
				if err := film(ctx, t, r, id, seed); err != nil {
					t.Errorf("after %d kills: %v", kills.Load(), err)
					return
				}
				ids <- id
			}
		})
	}
	for range random {
		select {
		case <-time.After(time.Duration(50+rand.IntN(500)) * time.Millisecond):
		case <-ctx.Done():
		}
		kills.Add(1)
		r.restart(time.Duration(rand.IntN(300)) * time.Millisecond)
		r.answers()
	}
	for point, left := range points {
		for range each {
			before := kills.Load()
			left.Store(1 + rand.Int64N(3))
			until(t, "killed "+point, func() bool { return kills.Load() > before || t.Failed() })
		}
	}
	close(stop)
	clients.Wait()
	close(ids)
	made := 0
	for id := range ids {
		made++
		ran.mu.Lock()
		n := ran.count[id]
		ran.mu.Unlock()
		if n != 1 {
			t.Errorf("%s was executed %d times", id, n)
		}
	}
	t.Logf("%d kills, %d prompts", kills.Load(), made)
	if kills.Load() < random+each*int64(len(points)) || made < 40 {
		t.Errorf("%d kills, %d prompts", kills.Load(), made)
	}
	if _, text := r.persistent(ctx, "GET", "/queue", nil); string(text) != `{"queue_running":[],"queue_pending":[]}` {
		t.Errorf("left in the queue: %.500s", text)
	}
}

// film does what a caller does who is never sure: submits, asks, fetches, each again and again.
func film(ctx context.Context, t *testing.T, r *process, id string, seed uint64) error {
	g := take(t, seed, func(p *graph.Params) { p.Width, p.Height, p.Steps = 64, 64, 40 })
	status, text := r.persistent(ctx, "POST", "/prompt", map[string]any{"prompt": g, "prompt_id": id, "client_id": "test"})
	if status != 200 || !bytes.Contains(text, []byte(id)) {
		return fmt.Errorf("POST /prompt: %d %s", status, text)
	}
	var name conformance.Image
	for seen := 0; seen < 3; { // what was once in history stays there, under the same name
		record, err := r.known(ctx, id)
		if err != nil {
			return err
		}
		if record == nil {
			if seen > 0 {
				return errors.New(id + " left history")
			}
			continue
		}
		if record.Status.Text != "success" || len(record.Outputs[graph.SaveNode].Images) != 1 {
			return fmt.Errorf("%s: %+v", id, record.Status)
		}
		if now := record.Outputs[graph.SaveNode].Images[0]; seen == 0 {
			name = now
		} else if now != name {
			return fmt.Errorf("%s: its image was %v and is %v", id, name, now)
		}
		seen++
	}
	status, image := r.persistent(ctx, "GET", "/view?filename="+name.Filename+"&subfolder="+name.Subfolder+"&type=output", nil)
	if status != 200 || !bytes.Contains(image, fmt.Appendf(nil, `"seed":%d,`, seed)) {
		return fmt.Errorf("%s: image %v is another's: %d, %d bytes", id, name, status, len(image))
	}
	return nil
}

// TestReplicas: two relays on one database answer alike, and when one is killed the other takes over what it had.
func TestReplicas(t *testing.T) {
	a := newPod(t)
	env := []string{"DATABASE_URL=" + startPostgres(t), "BACKENDS=" + a.url()}
	one := newProcess(t, "comfyui-relay", env...)
	two := newProcess(t, "comfyui-relay", env...)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	g := long(t, 1)
	busy, next, short := uuid.NewString(), uuid.NewString(), take(t, 2)
	post := func(p *process, id string, g json.RawMessage) {
		t.Helper()
		if status, text := p.persistent(ctx, "POST", "/prompt", map[string]any{"prompt": g, "prompt_id": id}); status != 200 || !bytes.Contains(text, []byte(id)) {
			t.Fatalf("%d %s", status, text)
		}
	}
	alike := func(path string) {
		t.Helper()
		_, left := one.persistent(ctx, "GET", path, nil)
		_, right := two.persistent(ctx, "GET", path, nil)
		if !bytes.Equal(bytes.Join(bytes.Fields(left), nil), bytes.Join(bytes.Fields(right), nil)) {
			t.Errorf("%s differs:\n%s\n%s", path, left, right)
		}
	}
	post(one, busy, g)
	until(t, "it runs", func() bool {
		_, text := two.persistent(ctx, "GET", "/queue", nil)
		return bytes.Contains(text, []byte(`{"queue_running":[[`))
	})
	post(one, next, short)
	post(two, next, short) // idempotent wherever it is asked
	if status, text := two.persistent(ctx, "POST", "/prompt", map[string]any{"prompt": take(t, 3), "prompt_id": next}); status != 400 || !strings.Contains(string(text), "prompt_id_in_use") {
		t.Errorf("same id, another graph: %d %s", status, text)
	}
	alike("/queue")
	until(t, "both count alike", func() bool { return queueLengthOf(t, two) == 2 })
	one.kill()
	began := time.Now()
	for _, id := range []string{busy, next} {
		if _, err := two.known(ctx, id); err != nil {
			t.Error(err)
		}
		post(two, id, map[string]json.RawMessage{busy: g, next: short}[id])
	}
	// what the dead one had is interrupted through the living one, and what waited behind it is done
	if status, text := two.persistent(ctx, "POST", "/interrupt", map[string]any{"prompt_id": busy}); status != 200 {
		t.Errorf("interrupt: %d %s", status, text)
	}
	var ended *conformance.Record
	for _, id := range []string{busy, next} {
		until(t, id+" has ended", func() bool {
			r, err := two.known(ctx, id)
			must(t, err)
			ended = r
			return r != nil
		})
		if want := map[string]string{busy: "error", next: "success"}[id]; ended.Status.Text != want {
			t.Errorf("%+v", ended.Status)
		}
	}
	t.Logf("taken over and done %v after the kill", time.Since(began).Round(time.Millisecond))
	one.start()
	one.answers()
	until(t, "it has its servers", func() bool { s, _ := one.persistent(ctx, "GET", "/system_stats", nil); return s == 200 })
	for _, path := range []string{"/queue", "/history", "/history?max_items=1", "/history/" + next} {
		alike(path)
	}
	image := ended.Outputs[graph.SaveNode].Images[0]
	alike("/view?filename=" + image.Filename + "&subfolder=" + image.Subfolder)

	// two prompts that name their files alike on one server are told apart by both
	post(one, uuid.NewString(), g)
	gone := uuid.NewString()
	post(two, gone, take(t, 9))
	if status, _ := one.persistent(ctx, "POST", "/queue", map[string]any{"delete": []string{gone}}); status != 200 {
		t.Errorf("delete: %d", status)
	}
	until(t, "the other relay's prompt is out of the queue", func() bool { return queueLengthOf(t, two) == 1 && queueLength(t, a.url()) == 1 })
	one.persistent(ctx, "POST", "/interrupt", nil)
	until(t, "all ended", func() bool { return queueLengthOf(t, one) == 0 && queueLengthOf(t, two) == 0 })
}

func queueLengthOf(t *testing.T, p *process) int {
	t.Helper()
	var out struct {
		Info struct {
			N int `json:"queue_remaining"`
		} `json:"exec_info"`
	}
	must(t, p.JSON(t.Context(), "GET", "/prompt", nil, &out))
	return out.Info.N
}
