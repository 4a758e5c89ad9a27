package serving

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"
)

// observed logs and counts the requests to h, and turns a panic into 500 where the answer has not begun.
func (s *Service) observed(route string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		r = withLog(r, s.Log)
		answer := &observedAnswer{ResponseWriter: w, control: http.NewResponseController(w)}
		defer func() {
			p := recover()
			begun := answer.status != 0
			if p != nil && p != http.ErrAbortHandler {
				Log(r.Context()).Error("panic", "error", fmt.Sprint(p), "stack", string(debug.Stack()))
				if answer.status == 0 {
					WriteProblem(answer, fmt.Errorf("a fault in %s, see its log", s.Name))
				}
			}
			seconds := time.Since(start).Seconds()
			s.requests.WithLabelValues(route, strconv.Itoa(answer.status)).Inc()
			s.seconds.WithLabelValues(route).Observe(seconds)
			Log(r.Context()).Info("answered", "method", r.Method, "path", r.URL.Path, "status", answer.status, "seconds", seconds)
			if p == http.ErrAbortHandler || p != nil && begun { // half an answer must not look like a whole one
				panic(http.ErrAbortHandler)
			}
		}()
		h.ServeHTTP(answer, r)
	})
}

// observedAnswer remembers the status. It passes on Flush and Hijack, which streams and WebSockets need.
type observedAnswer struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
}

func (a *observedAnswer) WriteHeader(status int) {
	if a.status == 0 || a.status < 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *observedAnswer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

func (a *observedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *observedAnswer) Flush() { a.control.Flush() }

func (a *observedAnswer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.status = http.StatusSwitchingProtocols
	conn, buffered, err := a.control.Hijack()
	if err == nil {
		conn.SetDeadline(time.Time{}) // whoever takes it sets their own
	}
	return conn, buffered, err
}

// statusOnly takes an answer for its status and header alone.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }
