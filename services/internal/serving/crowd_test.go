package serving

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// dial connects to a base URL and sends a text.
func dial(t *testing.T, url, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(4 * BodyTime)) // a server that says nothing fails the test
	io.WriteString(c, text)
	return c
}

// told reads an answer that must be a problem.
func told(t *testing.T, c net.Conn) (int, Problem) {
	t.Helper()
	a, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Errorf("no answer: %v", err)
		return 0, Problem{}
	}
	defer a.Body.Close()
	var p Problem
	if err := json.NewDecoder(a.Body).Decode(&p); err != nil || a.Header.Get("Content-Type") != "application/problem+json" || p.Status != a.StatusCode {
		t.Errorf("no problem: %v %v", a, err)
	}
	return a.StatusCode, p
}

// A crowd sends its headers or bodies by the byte. Health is told at once, and who comes with a whole request is served.
func TestSlowCrowdLocksNobodyOut(t *testing.T) {
	for name, head := range map[string]string{
		"headers": "POST /v1/x HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"bodies":  "POST /v1/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nContent-Length: 1000000\r\n\r\n",
		"nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, io.Discard)
			s.Need("disk", func(context.Context) error { return nil })
			s.Handle("POST /v1/x", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
			url, management, _, _ := startBoth(t, s)
			const crowd = 1200 // more than there is room for, all from one address
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var wg sync.WaitGroup
			defer wg.Wait()
			defer stop()
			var held atomic.Int32
			for range crowd {
				c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				wg.Go(func() {
					defer c.Close()
					io.WriteString(c, head)
					held.Add(1)
					for ctx.Err() == nil {
						if _, err := c.Write([]byte("x")); err != nil && head != "" {
							return
						}
						select {
						case <-ctx.Done():
						case <-time.After(300 * time.Millisecond):
						}
					}
				})
			}
			for held.Load() < crowd {
				time.Sleep(time.Millisecond)
			}
			var worst time.Duration
			for range 20 {
				for _, ask := range []func() (*http.Response, error){
					func() (*http.Response, error) { return http.Get(management + "/healthz") },
					func() (*http.Response, error) { return http.Get(management + "/readyz") },
					func() (*http.Response, error) { return do("POST", url+"/v1/x", strings.NewReader("good")) },
				} {
					begun := time.Now()
					a, err := ask()
					if err != nil {
						t.Fatal(err)
					}
					a.Body.Close()
					worst = max(worst, time.Since(begun))
					if a.StatusCode != 200 {
						t.Errorf("%s: %d", a.Request.URL, a.StatusCode)
					}
				}
			}
			t.Logf("slowest answer %s", worst)
			if worst > 5*time.Second {
				t.Errorf("an answer took %s", worst)
			}
		})
	}
}

// Those who are being answered are never pushed out: who comes then is told so.
func TestFullHouse(t *testing.T) {
	l := listen(t)
	c := newCrowd(l, 3, 2)
	t.Cleanup(func() { l.Close() })
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			conn, err := c.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	url := "http://" + l.Addr().String()
	for i := range 2 {
		c.mu.Lock()
		busy := &conn{crowd: c, address: fmt.Sprint("10.0.0.", i)}
		c.conns[busy], c.of[busy.address] = struct{}{}, 1
		c.mu.Unlock()
	}
	first := dial(t, url, "")
	<-accepted
	dial(t, url, "")
	second := (<-accepted).(*conn)
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the slowest stays: %v", err)
	}
	second.work()
	if status, p := told(t, dial(t, url, "")); status != 503 || p.Title != "too many connections" {
		t.Errorf("more than there is room for: %d %+v", status, p)
	}
	second.Close()
	dial(t, url, "")
	<-accepted
}

func TestOneAddressHasItsShareOnly(t *testing.T) {
	c := newCrowd(nil, 10, 4)
	server, _ := net.Pipe()
	join := func(address string) *conn {
		one := &conn{Conn: server, crowd: c, address: address}
		one.wait()
		if !c.admit(one) {
			t.Fatalf("%s is refused", address)
		}
		return one
	}
	good := join("good")
	for range 50 {
		join("bad")
	}
	if c.of["bad"] != 4 || c.of["good"] != 1 {
		t.Errorf("%v", c.of)
	}
	for i := range 50 {
		join(fmt.Sprint("other", i%3))
	}
	if _, there := c.conns[good]; !there || len(c.conns) > 10 {
		t.Errorf("%v", c.of)
	}
	c.each = 100
	for range 50 { // the heaviest pays, not who came first
		join("bad")
	}
	if _, there := c.conns[good]; !there || len(c.conns) != 10 {
		t.Errorf("%v", c.of)
	}
}

func TestWhatTheServerRefusesIsAProblem(t *testing.T) {
	s := newService(t, io.Discard)
	url, _, _ := start(t, s)
	for text, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 20<<10) + "\r\n\r\n": "header too large",
		"nonsense\r\n\r\n":       "bad request",
		"GET / HTTP/1.1\r\n\r\n": "bad request", // no Host
		"GET / HTTP/9.9\r\n\r\n": "bad request",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: zip\r\n\r\n": "not implemented",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n":     "bad request",
	} {
		if status, p := told(t, dial(t, url, text)); p.Title != want || status < 400 || p.Detail == "" {
			t.Errorf("%.60q: %d %+v", text, status, p)
		}
	}
	fits := "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: " + strings.Repeat("x", 15<<10) + "\r\n\r\n"
	if b, _ := io.ReadAll(dial(t, url, fits)); !bytes.HasPrefix(b, []byte("HTTP/1.1 200 OK")) {
		t.Errorf("%s", b)
	}
}

// pacedPipe is a request with a body that a test writes, to a handler.
func pacedPipe(t *testing.T, h http.Handler) (url string) {
	s := newService(t, io.Discard)
	s.Handle("POST /v1/x", h)
	url, _, _ = start(t, s)
	return url
}

func TestSlowHeadersAndBodiesAreToldSo(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for the limits")
	}
	read := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			WriteProblem(w, err)
		}
	})
	url := pacedPipe(t, read)
	upload := pacedPipe(t, Upload(read))
	begin := "POST /v1/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nContent-Length: 10000000\r\n\r\n"
	trickle := func(t *testing.T, url, head string, bytes int) (int, Problem, time.Duration) {
		c := dial(t, url, head)
		begun := time.Now()
		stop := make(chan bool)
		defer close(stop)
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
					c.Write(make([]byte, bytes))
				}
			}
		}()
		status, p := told(t, c)
		return status, p, time.Since(begun)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for name, c := range map[string]struct {
		url, head string
		bytes     int
		least     time.Duration
		title     string
	}{
		"header":             {url, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: ", 0, HeaderTime, "request too slow"},
		"body":               {url, begin, 1, BodyTime, "request too slow"},
		"upload by the byte": {upload, begin, 1, BodyTime, "request too slow"},
		"upload that stands": {upload, begin, 0, BodyTime, "request too slow"},
	} {
		wg.Go(func() {
			status, p, took := trickle(t, c.url, c.head, c.bytes)
			if status != 408 || p.Title != c.title || took < c.least-time.Second {
				t.Errorf("%s: %d %+v after %s", name, status, p, took)
			}
		})
	}
	wg.Go(func() { // 35 s for what a job's body would have 30 s
		r, w := io.Pipe()
		go func() {
			for range 117 {
				time.Sleep(300 * time.Millisecond)
				w.Write(make([]byte, 20<<10))
			}
			w.Close()
		}()
		a, err := do("POST", upload+"/v1/x", r)
		if err != nil || a.StatusCode != 200 {
			t.Errorf("an upload that moves: %v %v", a, err)
		}
	})
}

// A reader who takes nothing doesn't hold a stream's maker for ever.
func TestReaderWhoTakesNothingIsGone(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for the limit")
	}
	ended := make(chan error, 1)
	s := newService(t, io.Discard)
	s.Handle("GET /stream", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				ended <- err
				return
			}
		}
	}))
	url, _, _ := start(t, s)
	dial(t, url, "GET /stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+token+"\r\n\r\n")
	select {
	case <-ended:
	case <-time.After(WriteTime * 4):
		t.Error("the handler still writes")
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
	for range PerAddress + 50 {
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

func TestCheckThatHangsIsNamed(t *testing.T) {
	t.Parallel()
	s := newService(t, io.Discard)
	hangs := make(chan bool)
	defer close(hangs)
	s.Need("disk", func(context.Context) error { <-hangs; return nil })
	s.Need("postgresql", func(context.Context) error { return nil })
	_, management, _, _ := startBoth(t, s)
	status, _, body := get(t, management+"/readyz")
	if status != 503 || !strings.Contains(body, `"missing":["disk"]`) {
		t.Errorf("%d %s", status, body)
	}
	if status, _, _ := get(t, management+"/healthz"); status != 200 {
		t.Error("a disk that hangs is no reason to be restarted")
	}
}
