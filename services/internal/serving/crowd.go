package serving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of every server. A header of 16 KiB has HeaderTime, a body BodyTime more (but see Upload), and a reader who takes
// nothing for WriteTime is gone. Whoever waits for nothing but its own caller makes way when there are Connections, or an
// address has PerAddress of them: a crowd of slow callers can't lock others out, and one address can't push the others out.
// (netutil.LimitListener would let the crowd keep its places and the others wait.)
const (
	HeaderTime = 10 * time.Second
	BodyTime   = 30 * time.Second
	IdleTime   = 75 * time.Second // longer than proxies keep a connection, so that they and not we close it
	WriteTime  = 30 * time.Second

	Connections, PerAddress = 1000, 500
	managementConnections   = 64

	maxHeader    = 16 << 10
	socketBuffer = 64 << 10 // what the kernel keeps for a connection each way counts against the container's memory
)

// crowd is the connections of a listener.
type crowd struct {
	net.Listener
	total, each int

	mu    sync.Mutex
	conns map[*conn]struct{}
	of    map[string]int // address → connections
}

func newCrowd(l net.Listener, total, each int) *crowd {
	return &crowd{Listener: l, total: total, each: each, conns: map[*conn]struct{}{}, of: map[string]int{}}
}

// Accept waits for a connection that there is room for, or makes room.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		raw, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if tcp, ok := raw.(*net.TCPConn); ok {
			tcp.SetReadBuffer(socketBuffer)
			tcp.SetWriteBuffer(socketBuffer)
		}
		address := raw.RemoteAddr().String()
		if host, _, err := net.SplitHostPort(address); err == nil {
			address = host
		}
		one := &conn{Conn: raw, crowd: c, address: address}
		one.wait()
		if c.admit(one) {
			return one, nil
		}
		raw.SetDeadline(time.Now().Add(time.Second))
		raw.Write(refusal(NewProblem(http.StatusServiceUnavailable, "too many connections",
			"all connections are being answered", "ask again in a moment"), "Retry-After: 1\r\n"))
		raw.Close()
	}
}

func (c *crowd) admit(one *conn) bool {
	c.mu.Lock()
	address := one.address
	full := c.of[address] >= c.each
	if !full && len(c.conns) >= c.total {
		full = true
		for a, n := range c.of {
			if n > c.of[address] {
				address = a
			}
		}
	}
	var slowest *conn
	if full {
		for other := range c.conns {
			if since := other.waiting.Load(); other.address == address && since != 0 &&
				(slowest == nil || since < slowest.waiting.Load()) {
				slowest = other
			}
		}
	}
	if slowest != nil {
		c.leave(slowest)
	}
	if !full || slowest != nil {
		c.conns[one] = struct{}{}
		c.of[one.address]++
	}
	c.mu.Unlock()
	if slowest != nil {
		slowest.Conn.Close()
	}
	return !full || slowest != nil
}

// leave forgets a connection; c.mu is held.
func (c *crowd) leave(one *conn) {
	if _, there := c.conns[one]; !there {
		return
	}
	delete(c.conns, one)
	if c.of[one.address]--; c.of[one.address] == 0 {
		delete(c.of, one.address)
	}
}

// state is http.Server's hook.
func (c *crowd) state(raw net.Conn, state http.ConnState) {
	if one, ok := raw.(*conn); ok && state == http.StateIdle {
		one.answering.Store(false)
		one.got.Store(false)
		one.wait()
	}
}

// conn is a connection that knows since when it waits for its caller, gives each write its time, and says as problems what
// net/http says of a header in plain text or not at all.
type conn struct {
	net.Conn
	crowd     *crowd
	address   string
	waiting   atomic.Int64 // nanoseconds of a clock that doesn't jump; 0 while we are at work for it
	got       atomic.Bool  // a byte of the request has come
	answering atomic.Bool  // a handler has the request
	closing   sync.Once
}

var began = time.Now().Add(-time.Second)

func (c *conn) wait() {
	if c != nil {
		c.waiting.Store(int64(time.Since(began)))
	}
}

func (c *conn) work() {
	if c != nil {
		c.waiting.Store(0)
	}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.got.Store(true)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && c.got.Load() && !c.answering.Load() {
		c.Conn.SetWriteDeadline(time.Now().Add(time.Second))
		c.Conn.Write(refusal(tooSlow("header", HeaderTime), ""))
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	c.Conn.SetWriteDeadline(time.Now().Add(WriteTime))
	if !c.answering.Load() && bytes.HasPrefix(b, []byte("HTTP/1.1 ")) { // http.Server itself refuses the header
		if _, err := c.Conn.Write(plainRefusal(b)); err != nil {
			return 0, err
		}
		return len(b), nil
	}
	c.wait()
	defer c.work()
	return c.Conn.Write(b)
}

func (c *conn) Close() error {
	c.closing.Do(func() {
		c.crowd.mu.Lock()
		defer c.crowd.mu.Unlock()
		c.crowd.leave(c)
	})
	return c.Conn.Close()
}

// plainRefusal makes a problem of what http.Server answers to a header that it doesn't take.
func plainRefusal(answer []byte) []byte {
	head, body, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	status := http.StatusBadRequest
	if fields := bytes.Fields(head); len(fields) > 1 {
		if n, err := strconv.Atoi(string(fields[1])); err == nil {
			status = n
		}
	}
	switch status {
	case http.StatusRequestHeaderFieldsTooLarge:
		return refusal(NewProblem(status, "header too large", fmt.Sprintf("the header is larger than %d bytes", maxHeader), "send fewer and shorter headers"), "")
	case http.StatusNotImplemented:
		return refusal(NewProblem(status, "not implemented", string(body), "send HTTP/1.1"), "")
	}
	return refusal(NewProblem(http.StatusBadRequest, "bad request", string(body), "send HTTP/1.1"), "")
}

// refusal is a whole answer, for where there is no ResponseWriter.
func refusal(p *Problem, headers string) []byte {
	body := p.encoded()
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n%sConnection: close\r\n\r\n%s",
		p.Status, http.StatusText(p.Status), len(body), headers, body)
}

func tooSlow(part string, limit time.Duration) *Problem {
	return NewProblem(http.StatusRequestTimeout, "request too slow", fmt.Sprintf("its %s was not there within %g s", part, limit.Seconds()), "send it again, at once")
}

type connKey struct{}

// connOf is the connection that a request came on, nil where the server is not ours.
func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}

// An upload may take its time while it moves: after BodyTime at least uploadRate bytes a second in all, and never nothing
// for BodyTime.
const uploadRate = 16 << 10

// Upload wraps a handler whose requests have large bodies: instead of the whole within BodyTime, the body must keep moving.
func Upload(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b, ok := r.Body.(*pacedBody); ok {
			b.upload = true
		}
		h.ServeHTTP(w, r)
	})
}

// pacedBody is a request's body that must come in time. A body that doesn't is the problem «request too slow», 408.
type pacedBody struct {
	body interface {
		Read([]byte) (int, error)
		Close() error
	}
	control *http.ResponseController
	conn    *conn
	begun   time.Time
	read    int64
	upload  bool
}

// taken marks a request as being answered, and gives its body its time.
func taken(w http.ResponseWriter, r *http.Request) *http.Request {
	if c := connOf(r.Context()); c != nil {
		c.answering.Store(true)
		c.work()
	}
	return paced(w, r)
}

func paced(w http.ResponseWriter, r *http.Request) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	b := &pacedBody{body: r.Body, control: http.NewResponseController(w), conn: connOf(r.Context()), begun: time.Now()}
	b.control.SetReadDeadline(b.begun.Add(BodyTime)) // also for a body that nobody reads: net/http would, to its end
	r = r.WithContext(r.Context())                   // net/http knows its own body by its type
	r.Body = b
	return r
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.upload {
		least := b.begun.Add(BodyTime + time.Duration(b.read)*time.Second/uploadRate)
		if stall := time.Now().Add(BodyTime); stall.Before(least) {
			least = stall
		}
		b.control.SetReadDeadline(least)
	}
	b.conn.wait()
	n, err := b.body.Read(p)
	b.conn.work()
	b.read += int64(n)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = tooSlow("body", BodyTime)
	case err != nil:
		b.control.SetReadDeadline(time.Time{}) // from now on only the caller's hanging up is waited for
	}
	return n, err
}

func (b *pacedBody) Close() error { return b.body.Close() }
