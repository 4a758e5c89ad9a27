package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// backend is one ComfyUI server. The relay's mutex guards the fields below the line.
type backend struct {
	url      string // base, no slash at the end
	client   *http.Client
	header   http.Header
	stop     context.CancelFunc
	kick     chan struct{}   // ask it about its queue now
	looking  sync.Mutex      // held while it is asked
	suspects map[string]bool // prompts that may have no business there; guarded by looking

	source    source
	ready     bool
	gpu       bool          // it says that it draws on one
	listening bool          // it has greeted our WebSocket: what it says from now on is heard
	appeared  time.Time     // when it was first asked
	looked    time.Time     // when it last answered what its queue is
	queue     int           // prompts it has, ours or not
	foreign   []queued      // those that are not ours
	shape     string        // its queue, to see whether it changes
	life      time.Time     // when it last showed that it works
	slowest   time.Duration // that a prompt took there, of late
	pace      time.Duration // that a prompt takes there, on average of late; zero before the first
	wedged    bool          // it has work and shows no life; until its queue changes
	balked    int           // how often it did not take a prompt or lost one since it last finished one
	shunUntil time.Time     // it gets none until then, if there is another
	since     time.Time     // of the first failure in a row; zero while it answers
	refused   bool          // nothing listens there: the process is gone, not merely slow
	gone      bool          // no longer among the addresses
	indebted  bool          // perhaps it has films to delete
	lastError string
	delivered map[string]string // uploads it has, by their stamp
}

// balk notes that it did not take a prompt, or lost it. For a while, longer each time, that prompt goes to others only,
// and others to it only if there is no better.
func (b *backend) balk(t *take) {
	b.balked++
	b.shunUntil = time.Now().Add(min(time.Second<<min(b.balked-1, 8), 2*time.Minute))
	if t.avoid == nil {
		t.avoid = map[string]time.Time{}
	}
	t.avoid[b.url] = time.Now().Add(min(time.Second<<min(t.balked+t.Lost, 8), time.Minute))
}

func (b *backend) shunned() bool { return time.Now().Before(b.shunUntil) }

// httpError is an answer that is not 200.
type httpError struct {
	status int
	body   []byte
	header http.Header
}

func (e *httpError) Error() string {
	return fmt.Sprintf("status %d: %.200s", e.status, strings.TrimSpace(string(e.body)))
}

// refusalLimit is how much is kept of an answer that is not 200, bytes: ComfyUI lists what is wrong with each node.
const refusalLimit = 4 << 20

// stream asks the server and has read read its answer.
func (b *backend) stream(ctx context.Context, method, path string, body any, read func(*scanner) error) error {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, b.url+path, reader)
	if err != nil {
		return err
	}
	r.Header = b.header.Clone()
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := b.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(answer.Body, refusalLimit))
		if err != nil {
			return err
		}
		return &httpError{answer.StatusCode, text, answer.Header}
	}
	if read == nil {
		io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection can be used again
		return nil
	}
	limited := &io.LimitedReader{R: answer.Body, N: answerLimit}
	if err := read(newScanner(limited)); err != nil {
		if limited.N <= 0 {
			err = fmt.Errorf("more than %d MiB", answerLimit>>20)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s answered what is no ComfyUI's answer to %s: %w", b.url, path, err)
	}
	io.Copy(io.Discard, io.LimitReader(limited, 64<<10))
	return nil
}

// call asks the server for JSON; into may be nil.
func (b *backend) call(ctx context.Context, method, path string, body, into any) error {
	if into == nil {
		return b.stream(ctx, method, path, body, nil)
	}
	return b.stream(ctx, method, path, body, func(s *scanner) error {
		raw, err := s.value(refusalLimit)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, into)
	})
}

// history is what became of a prompt; nil while it is not done.
func (b *backend) history(ctx context.Context, id string) (entry *historyEntry, err error) {
	err = b.stream(ctx, "GET", "/history/"+url.PathEscape(id), nil, func(s *scanner) (err error) { entry, err = readHistory(s, id); return err })
	return entry, err
}

// end takes prompts out of the server's queue and interrupts the one that runs, if it is among them: last, so that none
// of the others begins.
func (b *backend) end(ctx context.Context, ids ...string) {
	if len(ids) == 0 {
		return
	}
	b.call(ctx, "POST", "/queue", map[string]any{"delete": ids}, nil)
	b.interrupt(ctx, ids...)
}

// interrupt stops what runs if it is one of those meant: an older ComfyUI stops whatever runs.
func (b *backend) interrupt(ctx context.Context, ids ...string) {
	var there []queued
	b.stream(ctx, "GET", "/queue", nil, func(s *scanner) (err error) { there, err = readQueue(s); return err })
	for _, q := range there {
		if q.running && slices.Contains(ids, q.id) {
			b.call(ctx, "POST", "/interrupt", map[string]any{"prompt_id": q.id}, nil)
		}
	}
}

// listen keeps a WebSocket to the server under our session id and hands every message to heard; the
// first one is its greeting. lost is called when the connection ends.
func (b *backend) listen(ctx context.Context, sid string, heard func(websocket.MessageType, []byte), lost func()) {
	address := "ws" + strings.TrimPrefix(b.url, "http") + "/ws?clientId=" + url.QueryEscape(sid)
	for ctx.Err() == nil {
		dial, cancel := context.WithTimeout(ctx, 10*time.Second)
		c, _, err := websocket.Dial(dial, address, &websocket.DialOptions{HTTPClient: b.client, HTTPHeader: b.header.Clone()})
		cancel()
		if err == nil {
			c.SetReadLimit(8 << 20)
			open, end := context.WithCancel(ctx)
			go ping(open, c)
			for {
				kind, data, err := c.Read(ctx)
				if err != nil {
					break
				}
				heard(kind, data)
			}
			end()
			c.CloseNow()
			lost()
			b.poke()
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// ping closes a WebSocket whose other end is gone without a word. A server that samples may be slow to answer.
func ping(ctx context.Context, c *websocket.Conn) {
	for {
		select {
		case <-time.After(20 * time.Second):
		case <-ctx.Done():
			return
		}
		wait, cancel := context.WithTimeout(ctx, time.Minute)
		err := c.Ping(wait)
		cancel()
		if err != nil {
			c.CloseNow()
			return
		}
	}
}

// poke has the server's queue looked at soon.
func (b *backend) poke() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// String is how the server is called where an operator reads it.
func (b *backend) String() string {
	if b.source.name != "" {
		return b.source.name + " (" + b.url + ")"
	}
	return b.url
}

// leave ends what is under way with the server.
func (b *backend) leave() {
	b.stop()
	if b.source.remote {
		b.client.CloseIdleConnections()
	}
}

// source is an origin of servers: one URL, or a DNS name with one server at each address.
type source struct {
	base     *url.URL
	dns      bool
	fallback bool
	remote   bool    // named by Use: others chose the address
	name     string  // by Use
	gpu      string  // likewise
	weight   float64 // likewise; 1 for others
}

// parseSources reads BACKENDS: base URLs separated by commas; dns+http:// and dns+https:// are resolved again and again.
func parseSources(variable, text string) ([]source, error) {
	var out []source
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		plain, dns := strings.CutPrefix(item, "dns+")
		u, err := url.Parse(plain)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("%s: %q is no base URL such as http://comfyui-0:8188, dns+http://comfyui-headless:8188 or https://example.org", variable, item)
		}
		u.Path = strings.TrimSuffix(u.Path, "/")
		out = append(out, source{base: u, dns: dns, weight: 1})
	}
	return out, nil
}

// addresses resolves the sources to base URLs. A name that can't be resolved now has none.
func addresses(ctx context.Context, sources []source) (found map[string]source, missing []string) {
	found = map[string]source{}
	for _, s := range sources {
		if !s.dns {
			found[s.base.String()] = s
			continue
		}
		look, cancel := context.WithTimeout(ctx, 3*time.Second)
		hosts, err := net.DefaultResolver.LookupHost(look, s.base.Hostname())
		cancel()
		if err != nil {
			if !s.fallback { // whose absence keeps nobody waiting who has another
				missing = append(missing, fmt.Sprintf("%s does not resolve: %v", s.base.Hostname(), err))
			}
			continue
		}
		for _, h := range hosts {
			u := *s.base
			u.Host = h
			if strings.Contains(h, ":") {
				u.Host = "[" + h + "]"
			}
			if port := s.base.Port(); port != "" {
				u.Host = net.JoinHostPort(h, port)
			}
			found[u.String()] = s
		}
	}
	return found, missing
}
