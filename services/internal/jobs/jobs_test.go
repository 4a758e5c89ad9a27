package jobs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/internal/volume"
)

type params struct {
	Name  string `json:"name,omitempty"`
	Count int    `json:"count,omitempty"`
	Deep  struct {
		Share float64 `json:"share"`
	} `json:"deep,omitempty"`
	List []struct {
		At *uint32 `json:"at"`
	} `json:"list,omitempty"`
}

// bench is a service with one operation, whose job each test gives.
func bench(t *testing.T, workers, limit int, timeout time.Duration, job Job) (*Queue, string) {
	q, url, _ := benchService(t, workers, limit, timeout, job)
	return q, url
}

func benchService(t *testing.T, workers, limit int, timeout time.Duration, job Job) (*Queue, string, *serving.Service) {
	t.Helper()
	s := serving.New("bench", slog.New(slog.NewTextHandler(io.Discard, nil)))
	q := New(s, workers, limit, timeout)
	q.Heartbeat = 30 * time.Millisecond
	s.Handle("POST /v1/do", s.Work(Handler(q, "do", func(_ context.Context, _ volume.Subject, p params) (Job, error) {
		if p.Name == "bad" {
			return nil, serving.Invalid("name", "use another", "is bad")
		}
		return job, nil
	})))
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return q, server.URL, s
}

// ask sends a job and returns its stream's lines as they come.
func ask(ctx context.Context, t *testing.T, url string) <-chan line {
	t.Helper()
	r, _ := http.NewRequestWithContext(ctx, "POST", url+"/v1/do", strings.NewReader(`{"name":"x"}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Film-Id", "f")
	lines := make(chan line, 1000)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		close(lines)
		return lines
	}
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%d %s", answer.StatusCode, answer.Header.Get("Content-Type"))
	}
	go func() {
		defer close(lines)
		defer answer.Body.Close()
		for s := bufio.NewScanner(answer.Body); s.Scan(); {
			var l line
			if err := json.Unmarshal(s.Bytes(), &l); err != nil {
				t.Errorf("%s: %v", s.Text(), err)
			}
			lines <- l
		}
	}()
	return lines
}

// post sends a body as it is.
func post(t *testing.T, url, kind, body string) (*http.Response, error) {
	r, _ := http.NewRequestWithContext(t.Context(), "POST", url+"/v1/do", strings.NewReader(body))
	r.Header.Set("X-Film-Id", "f")
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	return http.DefaultClient.Do(r)
}

func TestJobsAreForAFilm(t *testing.T) {
	_, url := bench(t, 1, 1, time.Minute, func(context.Context, func(float64)) (any, bool, error) { return 1, false, nil })
	for name, c := range map[string]struct {
		header http.Header
		field  string
	}{
		"a film":            {http.Header{"X-Film-Id": {"0f3c-A_1"}}, ""},
		"a shot":            {http.Header{"X-Film-Id": {"f"}, "X-Shot-Id": {"s01-01"}}, ""},
		"none":              {http.Header{}, "X-Film-Id"},
		"empty":             {http.Header{"X-Film-Id": {""}}, "X-Film-Id"},
		"two":               {http.Header{"X-Film-Id": {"a", "b"}}, "X-Film-Id"},
		"a path":            {http.Header{"X-Film-Id": {"../f"}}, "X-Film-Id"},
		"dots":              {http.Header{"X-Film-Id": {".."}}, "X-Film-Id"},
		"too long":          {http.Header{"X-Film-Id": {strings.Repeat("x", 65)}}, "X-Film-Id"},
		"not ASCII":         {http.Header{"X-Film-Id": {"fílm"}}, "X-Film-Id"},
		"an empty shot":     {http.Header{"X-Film-Id": {"f"}, "X-Shot-Id": {""}}, "X-Shot-Id"},
		"a shot of no form": {http.Header{"X-Film-Id": {"f"}, "X-Shot-Id": {"s 1"}}, "X-Shot-Id"},
	} {
		r, _ := http.NewRequestWithContext(t.Context(), "POST", url+"/v1/do", strings.NewReader(`{}`))
		r.Header = c.header
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var p serving.Problem
		b, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		json.Unmarshal(b, &p)
		if (answer.StatusCode == 200) != (c.field == "") || c.field != "" && (answer.StatusCode != 422 || p.Errors[0].Field != c.field) {
			t.Errorf("%s: %d %s", name, answer.StatusCode, b)
		}
	}
}

func last(lines <-chan line) (l line) {
	for l = range lines {
	}
	return l
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatal("not in 5 s: " + what)
}

func TestRefusals(t *testing.T) {
	_, url := bench(t, 1, 1, time.Minute, func(context.Context, func(float64)) (any, bool, error) { return 1, false, nil })
	for name, c := range map[string]struct {
		kind, body string
		status     int
		says       string
	}{
		"not JSON":       {"application/json", `{"name"`, 400, "JSON"},
		"empty":          {"application/json", ``, 400, "JSON"},
		"two values":     {"application/json", `{} {}`, 400, "JSON"},
		"not UTF-8":      {"application/json", "{\"name\":\"\xff\"}", 400, "UTF-8"},
		"a list":         {"application/json", `[]`, 422, "object"},
		"null itself":    {"application/json", `null`, 422, "object"},
		"wrong type":     {"text/plain", `{}`, 415, "application/json"},
		"no type":        {"", `{}`, 415, "application/json"},
		"with charset":   {"application/json; charset=utf-8", `{}`, 200, "done"},
		"unknown field":  {"application/json", `{"nope":1}`, 422, "nope"},
		"wrong kind":     {"application/json", `{"count":"many"}`, 422, "count"},
		"a fraction":     {"application/json", `{"count":1.5}`, 422, "count"},
		"twice":          {"application/json", `{"count":1,"count":1}`, 400, "count"},
		"twice, deep":    {"application/json", `{"nope":[{"x":{"y":1,"y":1}}]}`, 400, "twice"},
		"another case":   {"application/json", `{"Name":"x"}`, 422, `"field":"Name"`},
		"null":           {"application/json", `{"name":null}`, 422, `"field":"name"`},
		"deep missing":   {"application/json", `{"deep":{}}`, 422, `"field":"deep.share"`},
		"deep unknown":   {"application/json", `{"list":[{},{"to":1}]}`, 422, `"field":"list.1.to"`},
		"deep negative":  {"application/json", `{"list":[{"at":-1}]}`, 422, `"field":"list.0.at"`},
		"all at once":    {"application/json", `{"count":"x","nope":1,"deep":3}`, 422, `[{"field":"count","message":"want a whole number in range, not a text"},{"field":"nope","message":"is no field of this request"},{"field":"deep","message":"want an object, not a number"}]`},
		"endless number": {"application/json", `{"deep":{"share":1e999}}`, 422, `"field":"deep.share"`},
		"huge number":    {"application/json", `{"count":1e9999999999}`, 422, `"field":"count"`},
		"NaN":            {"application/json", `{"deep":{"share":NaN}}`, 400, "JSON"},
		"very deep":      {"application/json", strings.Repeat(`{"x":`, 20000) + "1" + strings.Repeat("}", 20000), 400, "JSON"},
		"quite deep":     {"application/json", strings.Repeat(`{"x":`, 9000) + "1" + strings.Repeat("}", 9000), 422, `"field":"x"`},
		"deep wrong":     {"application/json", `{"deep":{"share":[]}}`, 422, "deep.share"},
		"refused itself": {"application/json", `{"name":"bad"}`, 422, "name: is bad"},
		"too large":      {"application/json", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := post(t, url, c.kind, c.body)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			b, _ := io.ReadAll(r.Body)
			if r.StatusCode != c.status || !strings.Contains(string(b), c.says) {
				t.Errorf("%d %s", r.StatusCode, b)
			}
			if c.status >= 400 && r.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("content type %s", r.Header.Get("Content-Type"))
			}
		})
	}
}

func TestStreamTellsProgressAndEnds(t *testing.T) {
	_, url := bench(t, 1, 1, time.Minute, func(ctx context.Context, progress func(float64)) (any, bool, error) {
		for i := range 5 {
			progress(float64(i) / 4)
			time.Sleep(120 * time.Millisecond)
		}
		return map[string]int{"frames": 48}, false, nil
	})
	var progress []float64
	var end line
	for l := range ask(t.Context(), t, url) {
		if end = l; l.State == "running" {
			progress = append(progress, *l.Progress)
		}
	}
	if len(progress) < 10 { // heartbeats of 30 ms over 600 ms, progress or not
		t.Errorf("only %d lines: %v", len(progress), progress)
	}
	for i := 1; i < len(progress); i++ {
		if progress[i] < progress[i-1] {
			t.Errorf("progress goes back: %v", progress)
		}
	}
	if end.State != "done" || end.Cached == nil || *end.Cached || *end.Seconds < 0.5 || end.Result.(map[string]any)["frames"] != 48.0 {
		t.Errorf("%+v", end)
	}
}

func TestFailureAndPanicAreTheLastLine(t *testing.T) {
	fail := errors.New("no such film")
	_, url := bench(t, 1, 1, time.Minute, func(context.Context, func(float64)) (any, bool, error) {
		if fail == nil {
			panic("secret")
		}
		return nil, false, fail
	})
	if l := last(ask(t.Context(), t, url)); l.State != "failed" || l.Problem.Status != 500 || l.Problem.Detail != "no such film" {
		t.Errorf("%+v", l)
	}
	fail = nil
	if l := last(ask(t.Context(), t, url)); l.State != "failed" || strings.Contains(l.Problem.Detail, "secret") {
		t.Errorf("%+v", l)
	}
}

func TestTimeLimit(t *testing.T) {
	_, url := bench(t, 1, 1, 50*time.Millisecond, func(ctx context.Context, _ func(float64)) (any, bool, error) {
		<-ctx.Done()
		return nil, false, ctx.Err()
	})
	if l := last(ask(t.Context(), t, url)); l.State != "failed" || l.Problem.Status != 504 || !strings.Contains(l.Problem.Remedy, "JOB_TIMEOUT") {
		t.Errorf("%+v", l)
	}
}

func TestHangingUpCancelsWhetherRunningOrWaiting(t *testing.T) {
	var running atomic.Int32
	q, url := bench(t, 1, 5, time.Minute, func(ctx context.Context, _ func(float64)) (any, bool, error) {
		running.Add(1)
		defer running.Add(-1)
		<-ctx.Done()
		return nil, false, ctx.Err()
	})
	first, hangUpFirst := context.WithCancel(t.Context())
	second, hangUpSecond := context.WithCancel(t.Context())
	ask(first, t, url)
	eventually(t, "the first runs", func() bool { return running.Load() == 1 })
	waiting := ask(second, t, url)
	if l := <-waiting; l.State != "queued" || l.Position != 1 {
		t.Errorf("%+v", l)
	}
	hangUpSecond()
	eventually(t, "the second leaves the queue", func() bool { return q.Length() == 1 })
	hangUpFirst()
	eventually(t, "all is quiet", func() bool { return q.Length() == 0 && running.Load() == 0 })
}

func TestQueueIsBoundedAndFirstComeFirstServed(t *testing.T) {
	next := make(chan bool)
	q, url, service := benchService(t, 1, 2, time.Minute, func(ctx context.Context, _ func(float64)) (any, bool, error) {
		<-next
		return nil, true, nil
	})
	a := ask(t.Context(), t, url)
	eventually(t, "a runs", func() bool { return q.Length() == 1 })
	b := ask(t.Context(), t, url)
	eventually(t, "b waits", func() bool { return q.Length() == 2 })
	c := ask(t.Context(), t, url)
	eventually(t, "c waits", func() bool { return q.Length() == 3 })
	if l := <-c; l.State != "queued" || l.Position != 2 {
		t.Errorf("c: %+v", l)
	}
	r, err := post(t, url, "application/json", `{}`)
	if err != nil || r.StatusCode != 429 || r.Header.Get("Retry-After") == "" {
		t.Errorf("%v %v", r, err)
	}
	next <- true
	if l := last(a); l.State != "done" || !*l.Cached {
		t.Errorf("a: %+v", l)
	}
	for l := range c { // moves up without asking
		if l.Position == 1 {
			break
		}
	}
	next <- true
	if l := last(b); l.State != "done" {
		t.Errorf("b: %+v", l)
	}
	next <- true
	if l := last(c); l.State != "done" {
		t.Errorf("c: %+v", l)
	}
	metrics := httptest.NewRecorder()
	service.Management().ServeHTTP(metrics, httptest.NewRequest("GET", "/metrics", nil))
	text := metrics.Body.String()
	for _, want := range []string{
		`aifilm_jobs_total{operation="do",service="bench",state="cached"} 3`,
		`aifilm_jobs_total{operation="do",service="bench",state="refused"} 1`,
		`aifilm_job_seconds_count{operation="do",service="bench"} 3`,
		`aifilm_queue_length{service="bench"} 0`,
		`aifilm_queue_oldest_seconds{service="bench"} 0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestPlacesLetOneWork(t *testing.T) {
	var p Places
	free, err := p.Take(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	other, err := p.Take(t.Context(), "y")
	if err != nil {
		t.Fatal(err)
	}
	other()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Take(ctx, "x"); err == nil {
		t.Error("taken twice")
	}
	free()
	if free, err = p.Take(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	free()
}

// Many large bodies at once are refused before they fill the memory, and what they held is given back.
func TestBodiesTogetherAreBounded(t *testing.T) {
	_, url := bench(t, 1, 1, time.Minute, func(context.Context, func(float64)) (any, bool, error) { return 1, false, nil })
	var pipes []*io.PipeWriter
	answers := make(chan int, 64)
	for range 40 {
		r, w := io.Pipe()
		pipes = append(pipes, w)
		go func() {
			q, _ := http.NewRequest("POST", url+"/v1/do", r)
			q.Header.Set("X-Film-Id", "f1")
			q.Header.Set("Content-Type", "application/json")
			if a, err := http.DefaultClient.Do(q); err == nil {
				a.Body.Close()
				answers <- a.StatusCode
			}
		}()
		go w.Write([]byte(`{"name":"` + strings.Repeat("x", 1<<20-100)))
	}
	eventually(t, "one is refused", func() bool { return len(answers) > 0 })
	if status := <-answers; status != 503 {
		t.Errorf("%d", status)
	}
	if most := held.Load(); most > mostHeld+(1<<20) {
		t.Errorf("%d bytes are held", most)
	}
	for _, w := range pipes {
		w.CloseWithError(errors.New("gone"))
	}
	eventually(t, "all is given back", func() bool { return held.Load() == 0 })
}
