package preview

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
)

// hub holds the WebSockets by session id.
type hub struct {
	mu      sync.Mutex
	sockets map[string]*socket
}

type socket struct {
	out  chan []byte
	drop context.CancelFunc
}

// message is what travels over a WebSocket.
type message struct {
	Type string `json:"type"`
	Data any    `json:"data"`
}

// send queues an event for one session, or for all if sid is "". A client too slow to read is disconnected, but for
// progress, which it may miss.
func (h *hub) send(event string, data any, sid string) {
	text, err := json.Marshal(message{event, data})
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, s := range h.sockets {
		if sid != "" && id != sid {
			continue
		}
		select {
		case s.out <- text:
		default:
			if event != "progress" {
				s.drop()
			}
		}
	}
}

// serve runs one WebSocket. A client that comes back with its id takes its session over.
func (s *Server) socket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // browsers are checked by sameOrigin
	if err != nil {
		return
	}
	defer c.CloseNow()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	sid := r.URL.Query().Get("clientId")
	if sid == "" {
		sid = strings.ReplaceAll(uuid.NewString(), "-", "")
	}
	own := &socket{out: make(chan []byte, 1024), drop: cancel}
	s.hub.mu.Lock()
	s.hub.sockets[sid] = own // the old socket, if any, gets nothing more
	s.hub.mu.Unlock()
	defer func() {
		s.hub.mu.Lock()
		if s.hub.sockets[sid] == own {
			delete(s.hub.sockets, sid)
		}
		s.hub.mu.Unlock()
	}()
	s.hub.send("status", map[string]any{"status": s.queueInfo(), "sid": sid}, sid)
	if client, node := s.current(); client == sid && node != "" {
		s.hub.send("executing", map[string]any{"node": node}, sid)
	}
	go func() { // reading answers pings and notices the end
		defer cancel()
		c.SetReadLimit(1 << 20)
		for {
			_, text, err := c.Read(ctx)
			if err != nil {
				return
			}
			var m struct {
				Type string `json:"type"`
			}
			if json.Unmarshal(text, &m) == nil && m.Type == "feature_flags" {
				s.hub.send("feature_flags", s.features(), sid)
			}
		}
	}()
	for {
		select {
		case text := <-own.out:
			write, done := context.WithTimeout(ctx, 10*time.Second)
			err := c.Write(write, websocket.MessageText, text)
			done()
			if err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
