package serving

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits that hold a caller who is slow, by fault or on purpose. Each is far above what the studio's own services need.
const (
	headerTime  = 10 * time.Second // for a whole header
	idleTime    = 2 * time.Minute  // between two requests: longer than callers keep connections
	headerBytes = 32 << 10
	bodyGrace   = 20 * time.Second // for the first byte of a body, and over all beside bodyPace
	bodyPace    = 64 << 10         // bytes a second that a body must make on top of that
	writeTime   = 2 * time.Minute  // in which a reader must take a piece of the answer
	connections = 512
)

// crowd keeps at most a number of connections: one more takes the place of that which has waited longest without being
// worked for, so that slow callers push each other out and not those who work.
type crowd struct {
	limit int
	mu    sync.Mutex
	known map[net.Conn]*caller
}

// caller is a connection. busy counts its requests that were let in.
type caller struct {
	conn  net.Conn
	since time.Time
	busy  int
}

type callerKey struct{}

// watch is the server's ConnState.
func (c *crowd) watch(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		if len(c.known) >= c.limit {
			c.evict()
		}
		c.of(conn).since = time.Now()
	case http.StateIdle:
		c.of(conn).since = time.Now()
	case http.StateClosed, http.StateHijacked:
		delete(c.known, conn)
	}
}

// context is the server's ConnContext; it may come before watch.
func (c *crowd) context(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return context.WithValue(ctx, callerKey{}, c.of(conn))
}

func (c *crowd) of(conn net.Conn) *caller {
	known := c.known[conn]
	if known == nil {
		known = &caller{conn: conn, since: time.Now()}
		c.known[conn] = known
	}
	return known
}

func (c *crowd) evict() {
	var oldest *caller
	for _, k := range c.known {
		if k.busy == 0 && (oldest == nil || k.since.Before(oldest.since)) {
			oldest = k
		}
	}
	if oldest != nil {
		delete(c.known, oldest.conn)
		oldest.conn.Close()
	}
}

// enter marks the request's connection as worked for until the function it returns is called.
func (c *crowd) enter(r *http.Request) (leave func()) {
	k, ok := r.Context().Value(callerKey{}).(*caller)
	if !ok {
		return func() {}
	}
	add := func(n int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		k.busy += n
	}
	add(1)
	return func() { add(-1) }
}

// paced makes a request's body end with an error when it comes slower than bodyPace after bodyGrace.
func paced(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	p := &pacedBody{ReadCloser: r.Body, control: http.NewResponseController(w), end: time.Now().Add(bodyGrace)}
	p.control.SetReadDeadline(p.end)
	r.Body = p
}

type pacedBody struct {
	io.ReadCloser
	control *http.ResponseController
	end     time.Time
}

func (p *pacedBody) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	if n > 0 {
		p.end = p.end.Add(time.Duration(n) * time.Second / bodyPace)
		p.control.SetReadDeadline(p.end)
	}
	if err == io.EOF {
		// From here on the connection is read only to learn that the caller hung up, however long that takes.
		p.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
