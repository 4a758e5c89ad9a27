package conformance

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// token: nothing but /healthz is for who doesn't bear it.
func (s *suite) token(t *testing.T) {
	wrong := map[string]string{
		"empty": "Bearer ", "wrong": "Bearer " + strings.Repeat("x", len(s.Token)), "shorter": "Bearer " + s.Token[:len(s.Token)-1],
		"longer": "Bearer " + s.Token + "x", "bare": s.Token, "another scheme": "Token " + s.Token, "no ASCII": "Bearer ünïcödé-ünïcödé",
	}
	paths := []string{"/", "/nothing", "/metrics", "/readyz", "/healthz/x"}
	for _, o := range s.Sample.Operations {
		paths = append(paths, "/v1/"+o.Name)
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			r := request{method: method, path: path, without: []string{"Authorization"}, body: "{}"}
			if a := s.refused(t, method+" "+path+" without a token", r, 401, "not authorized", ""); a.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("WWW-Authenticate: %q", a.Header.Get("WWW-Authenticate"))
			}
		}
		for what, token := range wrong {
			s.refused(t, path+", "+what, request{path: path, header: map[string]string{"Authorization": token}, body: "{}"}, 401, "not authorized", "")
		}
	}
	for _, method := range []string{"GET", "HEAD"} {
		if a := s.ask(t.Context(), t, request{method: method, path: "/healthz", without: []string{"Authorization"}}); a.StatusCode != 200 {
			t.Errorf("%s /healthz: %d", method, a.StatusCode)
		}
	}
	s.refused(t, "POST /healthz without a token", request{path: "/healthz", without: []string{"Authorization"}, body: "{}"}, 401, "not authorized", "")
}

// management: what the kubelet and Prometheus ask is on a port of its own and nowhere else.
func (s *suite) management(t *testing.T) {
	for _, path := range []string{"/readyz", "/metrics"} {
		s.refused(t, path+" on the main port", request{method: "GET", path: path}, 404, "not found", "")
	}
	if s.Management == "" {
		t.Skip("no management URL is given")
	}
	for path, want := range map[string]string{"/healthz": "", "/readyz": "ready", "/metrics": "aifilm_queue_length{"} {
		if status, text := s.manage(t, path); status != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %.300s", path, status, text)
		}
	}
	for _, o := range s.Sample.Operations {
		r, err := http.Post(s.Management+"/v1/"+o.Name, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != 404 {
			t.Errorf("%s on the management port: %d", o.Name, r.StatusCode)
		}
	}
}

func (s *suite) manage(t *testing.T, path string) (int, string) {
	t.Helper()
	r, err := http.Get(s.Management + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

func (s *suite) routes(t *testing.T) {
	for _, path := range []string{"/", "/v1", "/v1/", "/v1/nothing", "/nothing"} {
		s.refused(t, path, request{path: path, body: "{}"}, 404, "not found", "")
	}
	for _, o := range s.Sample.Operations {
		for _, method := range []string{"GET", "PUT", "DELETE", "PATCH"} {
			a := s.refused(t, method+" "+o.Name, request{method: method, path: "/v1/" + o.Name}, 405, "method not allowed", "")
			if !strings.Contains(a.Header.Get("Allow"), "POST") {
				t.Errorf("Allow: %q", a.Header.Get("Allow"))
			}
		}
	}
}

// subject: the headers say which film and shot the work is for.
func (s *suite) subject(t *testing.T) {
	bad := []string{"", " ", ".", "..", "../x", "a/b", "-x", "_x", "a b", "a.b", "ü", "x\x7f", strings.Repeat("x", 65), `"x"`, "x,y"}
	for _, o := range s.Sample.Operations {
		path, body := "/v1/"+o.Name, s.body(o, nil)
		s.refused(t, o.Name+" for no film", request{path: path, without: []string{"X-Film-Id"}, body: body}, 422, "invalid request", "X-Film-Id")
		for _, id := range bad {
			if id == "x\x7f" {
				continue // no header has it: Go's client refuses to send it
			}
			s.refused(t, o.Name+" for the film "+id, request{path: path, header: map[string]string{"X-Film-Id": id}, body: body}, 422, "invalid request", "X-Film-Id")
			if o.Output != "" && id != "" {
				s.refused(t, o.Name+" for the shot "+id, request{path: path, header: map[string]string{"X-Shot-Id": id}, body: body}, 422, "invalid request", "X-Shot-Id")
			}
		}
	}
}

func (s *suite) bodies(t *testing.T) {
	for _, o := range s.Sample.Operations {
		path := "/v1/" + o.Name
		raw, err := json.Marshal(s.body(o, nil))
		if err != nil {
			t.Fatal(err)
		}
		good := string(raw)
		for what, body := range map[string]string{
			"nothing": "", "half": good[:len(good)/2], "two": good + good, "no JSON": "output=x", "no UTF-8": `{"x":"` + "\xff" + `"}`,
			"a NaN": `{"x":NaN}`, "an infinity": `{"x":-Infinity}`, "a comment": "{} // x", "a field twice": `{"x":1,"x":1}`,
			"a deep field twice": `{"x":[{"y":1,"y":2}]}`, "a trailing comma": `{"x":1,}`, "a single quote": "{'x':1}",
			"a well": strings.Repeat("[", 100000),
		} {
			s.refused(t, o.Name+", "+what, request{path: path, body: body}, 400, "not JSON", "")
		}
		for what, body := range map[string]string{"a list": "[]", "null": "null", "a text": `"x"`, "a number": "1"} {
			s.refused(t, o.Name+", "+what, request{path: path, body: body}, 422, "invalid request", "")
		}
		for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", "json", "application/json-seq"} {
			s.refused(t, o.Name+" as "+kind, request{path: path, header: map[string]string{"Content-Type": kind}, body: good}, 415, "unsupported media type", "")
		}
		large := good[:len(good)-1] + strings.Repeat(" ", 1<<20) + "}"
		s.refused(t, o.Name+", large", request{path: path, body: large}, 413, "body too large", "")
		s.refused(t, o.Name+", large, its length untold", request{path: path, body: struct{ io.Reader }{strings.NewReader(large)}}, 413, "body too large", "")
		// What just fits is looked at.
		fits := `{"no_such_field":1}`
		fits += strings.Repeat(" ", 1<<20-len(fits))
		s.refused(t, o.Name+", as large as can be", request{path: path, body: fits}, 422, "invalid request", "no_such_field")
	}
}

// fields: one that is missing, unknown, or of the wrong type is named by its path.
func (s *suite) fields(t *testing.T) {
	for _, o := range s.Sample.Operations {
		path := "/v1/" + o.Name
		body := s.body(o, nil)
		wrong := func(what string, change map[string]any, field string) {
			t.Helper()
			s.refused(t, o.Name+": "+what+" "+field, request{path: path, body: s.body(o, change)}, 422, "invalid request", field)
		}
		wrong("unknown", map[string]any{"no_such_field": 1}, "no_such_field")
		for key := range body {
			if upper := strings.ToUpper(key); upper != key {
				wrong("in capitals", map[string]any{upper: body[key]}, upper)
			}
		}
		for _, l := range leaves("", body) {
			if slices.ContainsFunc(o.Any, func(any string) bool { return strings.HasPrefix(l.path, any+".") }) {
				continue
			}
			var others []any
			switch l.value.(type) {
			case string:
				others = []any{1, true, []any{}, map[string]any{}, nil}
			case float64, int:
				others = []any{"1", true, []any{}, map[string]any{}, nil, json.Number("1e999")}
			case []any:
				others = []any{1, "x", true, map[string]any{}, nil}
			case map[string]any:
				others = []any{1, "x", true, []any{}, nil}
				if !slices.Contains(o.Any, l.path) {
					wrong("unknown", map[string]any{l.path + ".no_such_field": 1}, l.path+".no_such_field")
				}
			}
			for _, other := range others {
				wrong("of another type", map[string]any{l.path: other}, l.path)
			}
			if n := strings.LastIndexByte(l.path, '.'); n < 0 || l.path[n+1] > '9' { // not an element of a list
				if !slices.Contains(o.Optional, l.path) {
					wrong("missing", map[string]any{l.path: missing{}}, l.path)
				}
			}
		}
		// All that is wrong is told at once.
		all := map[string]any{"no_such_field": 1}
		for _, key := range slices.Sorted(maps.Keys(body)) {
			all[key] = true
		}
		a := s.refused(t, o.Name+", all wrong", request{path: path, body: s.body(o, all)}, 422, "invalid request", "no_such_field")
		for key := range all {
			if !slices.Contains(a.problem.fields(), key) {
				t.Errorf("%s: of all that is wrong, %s is not told: %s", o.Name, key, a.text)
			}
		}
		if bytes.Contains([]byte(a.text), []byte("Traceback")) {
			t.Error(a.text)
		}
	}
}
