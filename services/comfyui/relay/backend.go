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
	"strings"
	"time"

	"github.com/coder/websocket"
)

// backend is one ComfyUI server. The relay's mutex guards the fields below the line.
type backend struct {
	url    string // base, no slash at the end
	client *http.Client
	header http.Header
	stop   context.CancelFunc
	kick   chan struct{} // ask it about its queue now

	ready     bool
	listening bool      // it has greeted our WebSocket: what it says from now on is heard
	appeared  time.Time // when it was first asked
	queue     int       // prompts it has, ours or not
	since     time.Time // of the first failure in a row; zero while it answers
	refused   bool      // nothing listens there: the process is gone, not merely slow
	gone      bool      // no longer among the addresses
	lastError string
	delivered map[string]string // uploads it has, by their stamp
}

// httpError is an answer that is not 200.
type httpError struct {
	status int
	body   []byte
	header http.Header
}

func (e *httpError) Error() string {
	return fmt.Sprintf("status %d: %.200s", e.status, strings.TrimSpace(string(e.body)))
}

// call asks the server for JSON; into may be nil.
func (b *backend) call(ctx context.Context, method, path string, body, into any) error {
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
	text, err := io.ReadAll(io.LimitReader(answer.Body, 256<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return &httpError{answer.StatusCode, text, answer.Header}
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s answered what is no ComfyUI's answer to %s: %w", b.url, path, err)
	}
	return nil
}

// remoteQueue is a server's GET /queue; the tuples are [number, id, prompt, extra_data, outputs].
type remoteQueue struct {
	Running [][]json.RawMessage `json:"queue_running"`
	Pending [][]json.RawMessage `json:"queue_pending"`
}

func tupleID(t []json.RawMessage) string {
	var id string
	if len(t) > 1 {
		json.Unmarshal(t[1], &id)
	}
	return id
}

// historyEntry is a finished prompt in a server's GET /history/{id}.
type historyEntry struct {
	Prompt []json.RawMessage `json:"prompt"`
	record
}

func (b *backend) history(ctx context.Context, id string) (*historyEntry, error) {
	var found map[string]*historyEntry
	if err := b.call(ctx, "GET", "/history/"+url.PathEscape(id), nil, &found); err != nil {
		return nil, err
	}
	return found[id], nil
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
			c.SetReadLimit(64 << 20)
			for {
				kind, data, err := c.Read(ctx)
				if err != nil {
					break
				}
				heard(kind, data)
			}
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

// poke has the server's queue looked at soon.
func (b *backend) poke() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// source is a configured origin of servers: one URL, or a DNS name with one server at each address.
type source struct {
	base *url.URL
	dns  bool
}

// parseSources reads BACKENDS: base URLs separated by commas; dns+http:// and dns+https:// are resolved again and again.
func parseSources(text string) ([]source, error) {
	var out []source
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		plain, dns := strings.CutPrefix(item, "dns+")
		u, err := url.Parse(plain)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("BACKENDS: %q is no base URL such as http://comfyui-0:8188, dns+http://comfyui-headless:8188 or https://example.org", item)
		}
		u.Path = strings.TrimSuffix(u.Path, "/")
		out = append(out, source{u, dns})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("BACKENDS is empty: name the ComfyUI servers, such as dns+http://comfyui-headless:8188")
	}
	return out, nil
}

// addresses resolves the sources to base URLs. A name that can't be resolved now has none.
func addresses(ctx context.Context, sources []source) (urls []string, missing []string) {
	for _, s := range sources {
		if !s.dns {
			urls = append(urls, s.base.String())
			continue
		}
		look, cancel := context.WithTimeout(ctx, 3*time.Second)
		hosts, err := net.DefaultResolver.LookupHost(look, s.base.Hostname())
		cancel()
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s does not resolve: %v", s.base.Hostname(), err))
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
			urls = append(urls, u.String())
		}
	}
	return urls, missing
}
