package serving

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const token = "a-token-of-the-tests"

// do sends a request with the token.
func do(method, url string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return http.DefaultClient.Do(r)
}

func TestTokenIsDemanded(t *testing.T) {
	for _, people := range []bool{false, true} {
		s := newService(t, io.Discard)
		s.Token, s.People = token, people
		s.Handle("GET /x", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
		for name, c := range map[string]struct {
			path, header string
			status       int
		}{
			"none":             {"/x", "", 401},
			"right":            {"/x", "Bearer a-token-of-the-tests", 200},
			"scheme's case":    {"/x", "bearer a-token-of-the-tests", 200},
			"wrong":            {"/x", "Bearer a-token-of-the-testS", 401},
			"its beginning":    {"/x", "Bearer a-token-of-the", 401},
			"empty":            {"/x", "Bearer ", 401},
			"bare":             {"/x", "a-token-of-the-tests", 401},
			"unknown path":     {"/nothing", "", 401},
			"readiness":        {"/readyz", "", 401},
			"here no longer":   {"/readyz", "Bearer a-token-of-the-tests", 404}, // where an ingress could reach it
			"nor metrics":      {"/metrics", "Bearer a-token-of-the-tests", 404},
			"two":              {"/x", "Bearer a-token-of-the-tests, Bearer x", 401},
			"health":           {"/healthz", "", 200},
			"health with more": {"/healthz/../x", "", 401},
			"basic":            {"/x", "Basic YW55Ym9keTphLXRva2VuLW9mLXRoZS10ZXN0cw==", map[bool]int{false: 401, true: 200}[people]},
			"basic, wrong":     {"/x", "Basic YW55Ym9keTpub3BlCg==", 401},
		} {
			r := httptest.NewRequest("GET", c.path, nil)
			if c.header != "" {
				r.Header.Set("Authorization", c.header)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("%s, people %v: %d %s", name, people, w.Code, w.Body)
			}
			if w.Code == 401 && (w.Header().Get("WWW-Authenticate") == "" || w.Header().Get("Content-Type") != "application/problem+json" ||
				strings.Contains(w.Body.String(), s.Token)) {
				t.Errorf("%s: %v %s", name, w.Header(), w.Body)
			}
		}
	}
}

func TestWithoutATokenNothingIsServed(t *testing.T) {
	if os.Getenv("BE_A_SERVICE") != "" {
		Main("test", "0", func(*Service) error { t.Fatal("set up"); return nil })
		return
	}
	for _, given := range []string{"", "short", strings.Repeat("x", 15), strings.Repeat("x", 16) + "\n", "ünï" + strings.Repeat("x", 16), " " + strings.Repeat("x", 16)} {
		c := exec.Command(os.Args[0], "-test.run=^TestWithoutATokenNothingIsServed$")
		c.Env = append(os.Environ(), "BE_A_SERVICE=1", "SERVICE_TOKEN="+given)
		out, err := c.CombinedOutput()
		if c.ProcessState.ExitCode() != 1 || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "service-token of the Secret") {
			t.Errorf("%q: %v %s", given, err, out)
		}
	}
}
