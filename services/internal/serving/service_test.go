package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// start serves s on loopback and returns its base URL, a function that tells it to stop, and how it ended.
func start(t *testing.T, s *Service) (url string, stop func(), ended <-chan error) {
	t.Helper()
	url, _, stop, ended = startBoth(t, s)
	return url, stop, ended
}

// startBoth returns the base URL of the management port as well.
func startBoth(t *testing.T, s *Service) (url, management string, stop func(), ended <-chan error) {
	t.Helper()
	own, apart := listen(t), listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, own, apart) }()
	t.Cleanup(cancel)
	return "http://" + own.Addr().String(), "http://" + apart.Addr().String(), cancel, done
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func get(t *testing.T, url string) (int, http.Header, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, r.Header, string(b)
}

func newService(t *testing.T, log io.Writer) *Service {
	t.Helper()
	l, err := NewLog(log, "test", "")
	if err != nil {
		t.Fatal(err)
	}
	s := New("test", l)
	s.StopDelay = 10 * time.Millisecond
	return s
}

func TestReadyNamesWhatIsMissing(t *testing.T) {
	s := newService(t, io.Discard)
	var broken error
	s.Need("postgresql", func(context.Context) error { return broken })
	s.Need("images", func(context.Context) error { return nil })
	own, url, _, _ := startBoth(t, s)
	if status, _, body := get(t, url+"/readyz"); status != 200 {
		t.Fatalf("ready: %d %s", status, body)
	}
	for _, path := range []string{"/readyz", "/metrics"} {
		if status, _, _ := get(t, own+path); status != 404 {
			t.Errorf("%s on the service's own port: %d", path, status)
		}
	}
	broken = errors.New("connection refused")
	time.Sleep(readyAge) // for so long the last answer stands
	status, header, body := get(t, url+"/readyz")
	var p Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatal(err)
	}
	if status != 503 || header.Get("Content-Type") != "application/problem+json" || len(p.Missing) != 1 || p.Missing[0] != "postgresql" ||
		p.Detail != "postgresql: connection refused" || p.Title != "not ready" || p.Status != 503 {
		t.Errorf("%d %s %s", status, header.Get("Content-Type"), body)
	}
	if status, _, _ := get(t, url+"/healthz"); status != 200 {
		t.Error("a missing dependency is no reason to be restarted")
	}
}

func TestUnknownPathAndMethodAreProblems(t *testing.T) {
	s := newService(t, io.Discard)
	s.Handle("POST /v1/x", http.NotFoundHandler())
	url, _, _ := start(t, s)
	for path, want := range map[string]int{"/nope": 404, "/v1/x": 405} {
		status, header, body := get(t, url+path)
		if status != want || header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, `"status":`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
		if want == 405 && header.Get("Allow") != "POST" {
			t.Errorf("Allow: %q", header.Get("Allow"))
		}
	}
}

func TestLogKnowsFilmAndShot(t *testing.T) {
	var out lockedBuffer
	s := newService(t, &out)
	s.Handle("GET /x", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { Log(r.Context()).Info("hello") }))
	url, _, _ := start(t, s)
	r, _ := http.NewRequest("GET", url+"/x", nil)
	r.Header.Set("X-Film-Id", "f-1")
	r.Header.Set("X-Shot-Id", "s01-02")
	if _, err := http.DefaultClient.Do(r); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if m["msg"] != "hello" {
			continue
		}
		if _, err := time.Parse(time.RFC3339, fmt.Sprint(m["time"])); err != nil || m["service"] != "test" || m["film"] != "f-1" || m["shot"] != "s01-02" || m["level"] != "INFO" {
			t.Errorf("%s", line)
		}
		return
	}
	t.Errorf("no such line in %s", out.String())
}

func TestPanicIsAProblemAndTheServiceGoesOn(t *testing.T) {
	s := newService(t, io.Discard)
	s.Handle("GET /x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh") }))
	url, management, _, _ := startBoth(t, s)
	for range 2 {
		if status, _, body := get(t, url+"/x"); status != 500 || strings.Contains(body, "oh") {
			t.Errorf("%d %s", status, body)
		}
	}
	if _, _, body := get(t, management+"/metrics"); !strings.Contains(body, `aifilm_http_requests_total{route="GET /x",service="test",status="500"} 2`) {
		t.Errorf("metrics: %s", body)
	}
}

func TestStopWaitsForWorkAndRefusesMore(t *testing.T) {
	s := newService(t, io.Discard)
	began, finish := make(chan bool), make(chan bool)
	s.Handle("POST /v1/x", s.Work(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- true
		<-finish
		fmt.Fprint(w, "whole")
	})))
	url, management, stop, ended := startBoth(t, s)
	answer := make(chan string, 1)
	go func() {
		r, err := http.Post(url+"/v1/x", "", nil)
		if err != nil {
			answer <- err.Error()
			return
		}
		b, _ := io.ReadAll(r.Body)
		answer <- string(b)
	}()
	<-began
	stop()
	for !s.Stopping() {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(30 * time.Millisecond) // past StopDelay: it is the work that keeps it
	if status, _, _ := get(t, management+"/readyz"); status != 503 {
		t.Errorf("ready while stopping: %d", status)
	}
	r, err := http.Post(url+"/v1/x", "", nil)
	if err != nil || r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("new work: %v %v", r, err)
	}
	close(finish)
	if a := <-answer; a != "whole" {
		t.Errorf("running work: %q", a)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestStopCancelsWorkThatTakesTooLong(t *testing.T) {
	s := newService(t, io.Discard)
	s.StopTimeout = 20 * time.Millisecond
	began := make(chan bool)
	s.Handle("POST /v1/x", s.Work(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- true
		<-r.Context().Done()
	})))
	url, stop, ended := start(t, s)
	go http.Post(url+"/v1/x", "", nil)
	<-began
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("does not stop")
	}
}

func TestEnvironmentIsChecked(t *testing.T) {
	for value, ok := range map[string]bool{"": true, "4": true, "0": false, "65": false, "four": false} {
		t.Setenv("WORKERS", value)
		if _, err := EnvInt("WORKERS", 1, 1, 64); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "WORKERS") {
			t.Errorf("WORKERS=%q: %v", value, err)
		}
	}
	for value, ok := range map[string]bool{"": true, "90s": true, "-1s": false, "15": false} {
		t.Setenv("JOB_TIMEOUT", value)
		if _, err := EnvDuration("JOB_TIMEOUT", time.Minute); (err == nil) != ok {
			t.Errorf("JOB_TIMEOUT=%q: %v", value, err)
		}
	}
	if _, err := NewLog(io.Discard, "x", "loud"); err == nil {
		t.Error("LOG_LEVEL=loud is accepted")
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
