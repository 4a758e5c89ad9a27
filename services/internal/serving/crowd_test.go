package serving

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestTokenIsDemanded(t *testing.T) {
	for _, people := range []bool{false, true} {
		s := newService(t, io.Discard)
		s.Token, s.People = "0123456789abcdef", people
		s.Handle("GET /x", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
		for name, c := range map[string]struct {
			path, header string
			status       int
		}{
			"none":             {"/x", "", 401},
			"right":            {"/x", "Bearer 0123456789abcdef", 200},
			"scheme's case":    {"/x", "bearer 0123456789abcdef", 200},
			"wrong":            {"/x", "Bearer 0123456789abcdeF", 401},
			"its beginning":    {"/x", "Bearer 0123456789", 401},
			"empty":            {"/x", "Bearer ", 401},
			"bare":             {"/x", "0123456789abcdef", 401},
			"unknown path":     {"/nothing", "", 401},
			"readiness":        {"/readyz", "", 401},
			"health":           {"/healthz", "", 200},
			"health with more": {"/healthz/../x", "", 401},
			"basic":            {"/x", "Basic YW55Ym9keTowMTIzNDU2Nzg5YWJjZGVm", map[bool]int{false: 401, true: 200}[people]},
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

func TestNoServiceWithoutToken(t *testing.T) {
	for token, ok := range map[string]bool{"": false, "too short": false, "0123456789abcdef": true} {
		t.Setenv("SERVICE_TOKEN", token)
		if _, err := Token(); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "SERVICE_TOKEN") {
			t.Errorf("%q: %v", token, err)
		}
	}
}

// TestSlowCallers holds far more connections than the service keeps, each with a request that never gets whole, and asks
// meanwhile as a caller in earnest and as the kubelet.
func TestSlowCallers(t *testing.T) {
	s := newService(t, io.Discard)
	s.Token = "0123456789abcdef"
	s.Handle("POST /v1/x", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	}))
	url, management, _, _ := startBoth(t, s)
	address := strings.TrimPrefix(url, "http://")
	for i := range 3 * connections {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		switch i % 3 {
		case 0: // nothing at all
		case 1:
			fmt.Fprint(c, "POST /v1/x HTTP/1.1\r\nHos")
		case 2:
			fmt.Fprint(c, "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx")
		}
	}
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), headerTime)
		r, _ := http.NewRequestWithContext(ctx, "POST", url+"/v1/x", strings.NewReader("whole"))
		r.Header.Set("Authorization", "Bearer "+s.Token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(answer.Body); string(b) != "whole" {
			t.Errorf("%d %s", answer.StatusCode, b)
		}
		answer.Body.Close()
		cancel()
		if status, _, _ := get(t, management+"/healthz"); status != 200 {
			t.Error(status)
		}
	}
	s.crowd.mu.Lock()
	defer s.crowd.mu.Unlock()
	if n := len(s.crowd.known); n > connections+1 {
		t.Errorf("%d connections are kept", n)
	}
}

// TestWorkIsNotPushedOut fills the service while a request is worked for.
func TestWorkIsNotPushedOut(t *testing.T) {
	s := newService(t, io.Discard)
	began, finish := make(chan bool), make(chan bool)
	s.Handle("POST /v1/x", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- true
		<-finish
		fmt.Fprint(w, "whole")
	}))
	url, _, _ := start(t, s)
	answer := make(chan string)
	go func() {
		r, err := http.Post(url+"/v1/x", "", strings.NewReader("x"))
		if err != nil {
			answer <- err.Error()
			return
		}
		b, _ := io.ReadAll(r.Body)
		answer <- string(b)
	}()
	<-began
	for range connections + 50 {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	close(finish)
	if a := <-answer; a != "whole" {
		t.Error(a)
	}
}

func TestBodyIsPaced(t *testing.T) {
	inner, _ := io.Pipe()
	r := httptest.NewRequest("POST", "/", inner)
	paced(httptest.NewRecorder(), r)
	p := r.Body.(*pacedBody)
	first := p.end
	p.ReadCloser = io.NopCloser(strings.NewReader(strings.Repeat("x", 3*bodyPace)))
	if n, err := io.Copy(io.Discard, p); n != 3*bodyPace || err != nil {
		t.Fatal(n, err)
	}
	if d := p.end.Sub(first); d < 2900*time.Millisecond || d > 3*time.Second {
		t.Errorf("three seconds' worth of bytes earn %s", d)
	}
}

func TestReadinessAsksOnce(t *testing.T) {
	s := newService(t, io.Discard)
	var asked, at, most atomic.Int32
	s.Need("postgresql", func(context.Context) error {
		asked.Add(1)
		most.Store(max(most.Load(), at.Add(1)))
		defer at.Add(-1)
		time.Sleep(20 * time.Millisecond)
		return nil
	})
	began := time.Now()
	done := make(chan bool)
	for range 500 {
		go func() {
			s.Management().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/readyz", nil))
			done <- true
		}()
	}
	for range 500 {
		<-done
	}
	if allowed := int32(time.Since(began)/readyAge) + 1; asked.Load() > allowed || most.Load() != 1 {
		t.Errorf("asked %d times, %d at once", asked.Load(), most.Load())
	}
}
