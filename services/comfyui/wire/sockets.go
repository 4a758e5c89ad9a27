// Package wire is what ComfyUI's HTTP and WebSocket surface has in common on our two servers of it, preview and relay:
// sessions, JSON answers, and the check of a browser's origin.
package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
)

// Message is what travels over a WebSocket.
type Message struct {
	Type string `json:"type"`
	Data any    `json:"data"`
}

// Sockets holds the WebSockets of clients by session id. The zero value is ready.
type Sockets struct {
	mu    sync.Mutex
	open  map[string]*socket
	count atomic.Int64 // connections, those that another took the session of included
}

const (
	socketLimit = 1000    // of clients; ComfyUI has no limit, a small pod needs one
	clientLimit = 256     // bytes of a session id
	backlog     = 4 << 20 // bytes that wait for a client that doesn't read
)

type socket struct {
	out  chan frame
	wait atomic.Int64 // bytes in out
	drop context.CancelFunc
}

type frame struct {
	kind websocket.MessageType
	data []byte
}

// Send queues an event for one session, or for all if sid is "". A client too slow to read is disconnected, but for
// progress, which it may miss.
func (s *Sockets) Send(event string, data any, sid string) {
	text, err := json.Marshal(Message{event, data})
	if err == nil {
		s.push(frame{websocket.MessageText, text}, sid, event == "progress" || event == "progress_state")
	}
}

// SendBinary queues a binary message (a preview image) for one session; a slow client misses it.
func (s *Sockets) SendBinary(data []byte, sid string) {
	s.push(frame{websocket.MessageBinary, data}, sid, true)
}

func (s *Sockets) push(f frame, sid string, mayMiss bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, own := range s.open {
		if sid != "" && id != sid {
			continue
		}
		// What may be missed leaves room for what may not: a flood of it ends no session.
		if mayMiss && (len(own.out) >= cap(own.out)/2 || own.wait.Load()+int64(len(f.data)) > backlog/2) {
			continue
		}
		if own.wait.Load()+int64(len(f.data)) <= backlog {
			select {
			case own.out <- f:
				own.wait.Add(int64(len(f.data)))
				continue
			default:
			}
		}
		own.drop()
	}
}

// Serve runs one WebSocket until either side ends it. The session id is the query's clientId, or a new one; a client
// that comes back with its id takes its session over. hello is called once the session receives; heard gets the type of
// each message the client sends.
func (s *Sockets) Serve(w http.ResponseWriter, r *http.Request, hello func(sid string), heard func(sid, kind string)) {
	sid := r.URL.Query().Get("clientId")
	if s.count.Add(1); s.count.Load() > socketLimit {
		s.count.Add(-1)
		w.Header().Set("Retry-After", "30")
		Refuse(w, http.StatusServiceUnavailable, "busy", "Too many clients listen", fmt.Sprintf("the limit is %d", socketLimit))
		return
	}
	defer s.count.Add(-1)
	if len(sid) > clientLimit {
		Refuse(w, 400, "invalid_client_id", "clientId is too long", fmt.Sprintf("the limit is %d bytes", clientLimit))
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // SameOrigin has checked
	if err != nil {
		return
	}
	defer c.CloseNow()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if sid == "" {
		sid = strings.ReplaceAll(uuid.NewString(), "-", "")
	}
	own := &socket{out: make(chan frame, 512), drop: cancel}
	s.mu.Lock()
	if s.open == nil {
		s.open = map[string]*socket{}
	}
	s.open[sid] = own // the old socket, if any, gets nothing more
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		if s.open[sid] == own {
			delete(s.open, sid)
		}
		s.mu.Unlock()
	}()
	hello(sid)
	go func() { // reading answers pings and notices the end
		defer cancel()
		c.SetReadLimit(64 << 10)
		for {
			_, text, err := c.Read(ctx)
			if err != nil {
				return
			}
			var m struct {
				Type string `json:"type"`
			}
			if json.Unmarshal(text, &m) == nil {
				heard(sid, m.Type)
			}
		}
	}()
	for {
		select {
		case f := <-own.out:
			own.wait.Add(-int64(len(f.data)))
			write, done := context.WithTimeout(ctx, 10*time.Second)
			err := c.Write(write, f.kind, f.data)
			done()
			if err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
