package outbound

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// What Cloudflare's tunnels let through, with some room: bodies of 100 MB, 200 requests in flight through a quick tunnel, and
// 100 s to the first byte of an answer
// (https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/do-more-with-tunnels/trycloudflare/,
// https://developers.cloudflare.com/fundamentals/reference/connection-limits/).
const (
	MaxBody     = 99_000_000
	MaxInFlight = 180
	MaxWait     = 95 * time.Second
)

// BodyError says that a request's body is larger than a tunnel lets through.
type BodyError struct{ Length int64 }

func (e *BodyError) Error() string {
	return fmt.Sprintf("a body of %d MB does not go through a tunnel, which takes %d MB", e.Length/1e6, int64(MaxBody/1e6))
}

// Transport makes an http.RoundTripper to one server elsewhere, for the requests of one program: each connection is made to
// what the guard permits, no proxy of the environment stands in between, and the limits above are kept.
// header gives what is added to each request, nil for nothing.
func (g Guard) Transport(header func() http.Header) http.RoundTripper {
	return &limited{header: header, inFlight: make(chan struct{}, MaxInFlight), next: &http.Transport{
		DialContext: g.dialer().DialContext, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 32, IdleConnTimeout: 60 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: MaxWait, ExpectContinueTimeout: time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}}
}

// Trusted makes an http.RoundTripper to a server that the operator named: it may be anywhere, and is reached as the environment's
// proxy settings say. The limits of tunnels are kept, too.
func Trusted(header func() http.Header) http.RoundTripper {
	next := http.DefaultTransport.(*http.Transport).Clone()
	next.MaxIdleConnsPerHost, next.ResponseHeaderTimeout, next.MaxResponseHeaderBytes = 32, MaxWait, 256<<10
	next.DialContext = (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	return &limited{header: header, inFlight: make(chan struct{}, MaxInFlight), next: next}
}

type limited struct {
	next     *http.Transport
	header   func() http.Header
	inFlight chan struct{}
}

// CloseIdleConnections is called by http.Client's method of the name.
func (l *limited) CloseIdleConnections() { l.next.CloseIdleConnections() }

func (l *limited) RoundTrip(q *http.Request) (*http.Response, error) {
	if q.ContentLength > MaxBody {
		return nil, &BodyError{q.ContentLength}
	}
	select {
	case l.inFlight <- struct{}{}:
	case <-q.Context().Done():
		return nil, q.Context().Err()
	}
	release := sync.OnceFunc(func() { <-l.inFlight })
	q = q.Clone(q.Context()) // a RoundTripper changes nothing of what it is given
	if l.header != nil {
		for name, values := range l.header() {
			q.Header[name] = values
		}
	}
	if q.Body != nil && q.ContentLength <= 0 { // 0 with a body is unknown, too
		q.Body = &bounded{ReadCloser: q.Body, left: MaxBody}
	}
	answer, err := l.next.RoundTrip(q)
	if err != nil {
		release()
		return nil, err
	}
	if stream, both := answer.Body.(io.ReadWriteCloser); both { // a WebSocket
		answer.Body = &flying{ReadWriteCloser: stream, release: release}
	} else {
		answer.Body = &landing{ReadCloser: answer.Body, release: release}
	}
	return answer, nil
}

type landing struct {
	io.ReadCloser
	release func()
}

func (b *landing) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}

type flying struct {
	io.ReadWriteCloser
	release func()
}

func (b *flying) Close() error {
	defer b.release()
	return b.ReadWriteCloser.Close()
}

// bounded is a body whose length nobody told.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, &BodyError{MaxBody + 1}
	}
	return n, err
}
