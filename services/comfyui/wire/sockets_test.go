package wire

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// A flood of progress is missed in part by a client that can't keep up; what may not be missed comes, in its order.
func TestProgressCrowdsOutNothing(t *testing.T) {
	var s Sockets
	open := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		s.Serve(w, q, func(string) { close(open) }, func(string, string) {})
	}))
	defer server.Close()
	c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+"/ws?clientId=slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	<-open
	const events = 200
	for i := range events { // nobody reads yet
		for range 50 {
			s.Send("progress", map[string]any{"value": i, "padding": strings.Repeat("x", 1<<10)}, "slow")
			s.SendBinary(make([]byte, 1<<10), "slow")
		}
		s.Send("executed", map[string]any{"node": fmt.Sprint(i)}, "slow")
	}
	for next := 0; next < events; {
		kind, text, err := c.Read(t.Context())
		if err != nil {
			t.Fatalf("after %d of %d events: %v", next, events, err)
		}
		var m struct {
			Type string
			Data struct{ Node string }
		}
		if kind == websocket.MessageBinary || json.Unmarshal(text, &m) != nil || m.Type != "executed" {
			continue
		}
		if m.Data.Node != fmt.Sprint(next) {
			t.Fatalf("event %s where %d was due", m.Data.Node, next)
		}
		next++
	}
}
