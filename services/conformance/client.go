package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Problem is an error as RFC 9457 and the contract have it.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy"`
	Errors []struct {
		Field   string `json:"field"`
		Message string `json:"message"`
	} `json:"errors"`
}

func (p Problem) fields() (names []string) {
	for _, e := range p.Errors {
		names = append(names, e.Field)
	}
	return names
}

// titles is the contract's table of what job services have in common.
var titles = map[int][]string{
	400: {"bad request", "not JSON"}, 401: {"not authorized"}, 404: {"not found"}, 405: {"method not allowed"}, 408: {"request too slow"},
	409: {"output is not ours", "output contested"}, 413: {"body too large"}, 415: {"unsupported media type"}, 422: {"invalid request", "unreadable media"},
	429: {"queue full"}, 431: {"header too large"}, 500: {"internal error"}, 501: {"not implemented"}, 503: {"stopping", "not ready", "too many connections"},
	504: {"time limit exceeded"}, 507: {"insufficient storage"},
}

// line is a line of a job's stream.
type line struct {
	State    string          `json:"state"`
	Position int             `json:"position"`
	Progress *float64        `json:"progress"`
	Cached   *bool           `json:"cached"`
	Seconds  *float64        `json:"seconds"`
	Result   json.RawMessage `json:"result"`
	Problem  *Problem        `json:"problem"`

	at time.Time
}

// request is what is asked of a service; what is left empty is as it should be.
type request struct {
	method, path string // POST, /v1/<operation>
	header       map[string]string
	without      []string // headers
	body         any      // a string is sent as it is
}

// answer is what came back: a problem, or a stream that is still to be read.
type answer struct {
	*http.Response
	problem Problem
	text    string
}

// client gives up where a service tells nothing.
var client = &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: patience, MaxIdleConnsPerHost: 8}}

// ask sends a request and reads its answer, unless that is a stream.
func (s *suite) ask(ctx context.Context, t *testing.T, r request) answer {
	t.Helper()
	var body io.Reader
	switch b := r.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	case io.Reader:
		body = b
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(raw)
	}
	method := r.method
	if method == "" {
		method = http.MethodPost
	}
	q, err := http.NewRequestWithContext(ctx, method, s.URL+r.path, body)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{"Authorization": "Bearer " + s.Token, "Content-Type": "application/json", "X-Film-Id": s.film} {
		q.Header.Set(k, v)
	}
	for k, v := range r.header {
		q.Header.Set(k, v)
	}
	for _, k := range r.without {
		q.Header.Del(k)
	}
	a, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	if a.StatusCode == 200 && strings.HasPrefix(a.Header.Get("Content-Type"), "application/x-ndjson") {
		return answer{Response: a}
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := answer{Response: a, text: string(b)}
	if a.StatusCode >= 400 && method != http.MethodHead {
		if err := json.Unmarshal(b, &out.problem); err != nil {
			t.Errorf("%s %s: %d is told by no JSON: %v\n%.300s", method, r.path, a.StatusCode, err, b)
		}
		s.sound(t, out)
	}
	return out
}

// sound checks a refusal against what all of them have in common.
func (s *suite) sound(t *testing.T, a answer) {
	t.Helper()
	if kind := a.Header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("a problem of the type %q: %s", kind, a.text)
	}
	p := a.problem
	if p.Status != a.StatusCode || a.Header.Get("Retry-After") == "" && (p.Status == 429 || p.Status == 503) {
		t.Errorf("%d and %v: %s", a.StatusCode, a.Header, a.text)
	}
	s.soundProblem(t, &p)
}

func (s *suite) soundProblem(t *testing.T, p *Problem) {
	t.Helper()
	if p == nil {
		t.Error("no problem where there should be one")
		return
	}
	if p.Type != "about:blank" || p.Detail == "" || (p.Status == 422 && p.Title == "invalid request" && len(p.Errors) == 0) {
		t.Errorf("not as the contract has it: %+v", *p)
	}
	if known := titles[p.Status]; p.Status != 500 && p.Status != 422 && !slices.Contains(known, p.Title) {
		t.Errorf("%d is called %q, not one of %q", p.Status, p.Title, known)
	}
	for _, e := range p.Errors {
		if e.Message == "" || strings.ContainsAny(e.Field, "[]") {
			t.Errorf("a field's error: %+v", e)
		}
	}
}

// refused asks and wants a problem of a status and title, and of a field where one is given.
func (s *suite) refused(t *testing.T, what string, r request, status int, title, field string) answer {
	t.Helper()
	a := s.ask(t.Context(), t, r)
	if a.problem.Status == 0 && a.StatusCode == 200 {
		a.Body.Close()
	}
	if a.StatusCode != status || title != "" && a.problem.Title != title || field != "" && !slices.Contains(a.problem.fields(), field) {
		t.Errorf("%s: want %d %q of %q, got %d: %.500s", what, status, title, field, a.StatusCode, a.text)
	}
	return a
}

// stream reads the lines of a job to the last. see may be nil; it is told each line as it comes.
func (s *suite) stream(t *testing.T, a answer, see func(line)) (lines []line) {
	t.Helper()
	if a.StatusCode != 200 {
		t.Errorf("no stream: %d %.500s", a.StatusCode, a.text)
		return []line{{State: "refused", Problem: &a.problem}}
	}
	defer a.Body.Close()
	scan := bufio.NewScanner(a.Body)
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		l := line{at: time.Now()}
		if err := json.Unmarshal(scan.Bytes(), &l); err != nil {
			t.Errorf("no line of JSON: %v: %.300s", err, scan.Text())
		}
		if see != nil {
			see(l)
		}
		lines = append(lines, l)
	}
	if len(lines) == 0 {
		t.Error("a stream without a line")
		return []line{{}}
	}
	s.ordered(t, lines)
	return lines
}

// ordered checks what every stream has in common: queued, then running, then one last line; none later than 5 s.
func (s *suite) ordered(t *testing.T, lines []line) {
	t.Helper()
	rank := map[string]int{"queued": 1, "running": 2, "done": 3, "failed": 3}
	for i, l := range lines {
		switch {
		case rank[l.State] == 0, i > 0 && rank[l.State] < rank[lines[i-1].State], (rank[l.State] == 3) != (i == len(lines)-1):
			t.Errorf("line %d of %d is %+v", i+1, len(lines), l)
		case l.State == "queued" && l.Position < 1, l.State == "running" && (l.Progress == nil || *l.Progress < 0 || *l.Progress > 1),
			l.State == "done" && (l.Cached == nil || l.Seconds == nil || l.Result == nil || l.Problem != nil), l.State == "failed" && (l.Seconds == nil || l.Result != nil):
			t.Errorf("%+v", l)
		case l.State == "failed":
			s.soundProblem(t, l.Problem)
		}
		if i > 0 {
			// The contract's 5 s, and what a busy machine adds to them.
			if gap := l.at.Sub(lines[i-1].at); gap > 7*time.Second {
				t.Errorf("nothing was told for %s", gap)
			}
		}
	}
}

// job asks for an operation and returns its last line; a refusal is a line too.
func (s *suite) job(ctx context.Context, t *testing.T, o Operation, change map[string]any, see func(line)) line {
	t.Helper()
	a := s.ask(ctx, t, request{path: "/v1/" + o.Name, body: s.body(o, change)})
	if a.StatusCode != 200 {
		return line{State: "refused", Problem: &a.problem}
	}
	lines := s.stream(t, a, see)
	return lines[len(lines)-1]
}

// body is the operation's request with changes; a value of nil takes a field away. Keys are paths: "soundtrack.cues.0.mood".
func (s *suite) body(o Operation, change map[string]any) map[string]any {
	body := s.filled(o.Body).(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(change)) {
		set(body, strings.Split(key, "."), s.filled(change[key]))
	}
	return body
}

// filled is a deep copy of a sample's value with this run's ids.
func (s *suite) filled(v any) any {
	switch v := v.(type) {
	case string:
		return s.fill(v)
	case map[string]any:
		out := map[string]any{}
		for k, w := range v {
			out[k] = s.filled(w)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, w := range v {
			out[i] = s.filled(w)
		}
		return out
	}
	return v
}

// missing as a change takes the field away, where null is a value.
type missing struct{}

func set(in any, path []string, v any) {
	switch in := in.(type) {
	case map[string]any:
		if len(path) > 1 {
			set(in[path[0]], path[1:], v)
		} else if _, away := v.(missing); away {
			delete(in, path[0])
		} else {
			in[path[0]] = v
		}
	case []any:
		n, err := strconv.Atoi(path[0])
		if err != nil || n >= len(in) {
			return
		}
		if len(path) > 1 {
			set(in[n], path[1:], v)
		} else {
			in[n] = v
		}
	}
}

// leaf is a field of a body, at any depth.
type leaf struct {
	path  string
	value any
}

// leaves are all fields of a body: objects and lists, and what is in them.
func leaves(path string, v any) (all []leaf) {
	if path != "" {
		all = append(all, leaf{path, v})
		path += "."
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			all = append(all, leaves(path+k, v[k])...)
		}
	case []any:
		for i := range v {
			all = append(all, leaves(path+strconv.Itoa(i), v[i])...)
		}
	}
	return all
}
