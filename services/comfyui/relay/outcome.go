package relay

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// finish files a take in history with what its server made of it, and tells whether it is there.
func (r *Relay) finish(ctx context.Context, b *backend, t *take, entry *historyEntry) bool {
	r.mu.Lock()
	if t.State != placed || t.Backend != b.url || t.outcome != nil || t.concluding {
		ended := t.State == done
		r.mu.Unlock()
		return ended
	}
	t.concluding = true
	b.balked = 0
	if took := time.Since(t.startedAt); !t.startedAt.IsZero() {
		r.drew(b, took)
		b.slowest = max(took, b.slowest*15/16)                 // what was slow once is forgotten in time
		if bytes.Contains(entry.Status, []byte(`"success"`)) { // what was interrupted says nothing of the pace
			b.pace = (3*cmp.Or(b.pace, took) + took) / 4
		}
	}
	forgotten, remote, made := t.forgotten, t.Remote, b.source
	r.mu.Unlock()
	if forgotten {
		ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		b.call(ask, "POST", "/history", map[string]any{"delete": []string{remote}}, nil)
	}
	own, err := r.rename(ctx, t, b.url, entry.Outputs)
	r.mu.Lock()
	t.concluding = false
	if err != nil {
		r.mu.Unlock()
		return false // the next look tries again
	}
	status := bytes.ReplaceAll(entry.Status, []byte(strconv.Quote(t.Remote)), []byte(strconv.Quote(t.ID)))
	if len(entry.Executed) > 0 {
		t.Outputs = entry.Executed
	}
	r.mu.Unlock()
	ok := r.conclude(ctx, t, &record{Outputs: own, Status: orNull(made.sign(status, t.ID)), Meta: orNull(entry.Meta)})
	b.poke()
	return ok
}

// sign adds a message to a prompt's status where a reader would like to know who drew it: {"server": name, "fallback": true}.
// Clients that don't know its kind pass over it.
func (s source) sign(status json.RawMessage, id string) json.RawMessage {
	if s.name == "" && !s.fallback {
		return status
	}
	var fields map[string]json.RawMessage
	var messages []json.RawMessage
	if json.Unmarshal(status, &fields) != nil || json.Unmarshal(fields["messages"], &messages) != nil {
		return status
	}
	message, _ := json.Marshal([]any{"ai_film_server", map[string]any{"prompt_id": id, "server": s.name, "fallback": s.fallback}})
	fields["messages"], _ = json.Marshal(append(messages, message))
	text, _ := json.Marshal(fields)
	return text
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

// conclude ends a take: its outcome is stored first and told after, since what a client has seen must outlive the relay.
// Where it can't be stored, the take is in the queue until it can.
func (r *Relay) conclude(ctx context.Context, t *take, outcome *record) bool {
	r.mu.Lock()
	if t.State == done || t.concluding {
		r.mu.Unlock()
		return t.State == done
	}
	if t.forgotten {
		r.mu.Unlock()
		r.withdraw(ctx, t)
		return true
	}
	t.outcome, t.concluding = outcome, true
	r.mu.Unlock()
	err := r.write(ctx, t, func(c *take) { c.State, c.Record = done, outcome })
	r.mu.Lock()
	t.concluding = false
	if err != nil {
		r.mu.Unlock()
		return false
	}
	t.State, t.Record, t.running = done, outcome, false
	if !t.hidden {
		r.count(outcome.Status)
	}
	r.remove(t)
	r.mu.Unlock()
	r.tell(t)
	r.announce()
	return true
}

// withdraw takes a take out of the queue for good. Where the store doesn't answer, it is tried again.
func (r *Relay) withdraw(ctx context.Context, t *take) {
	r.mu.Lock()
	t.deleted = true
	r.mu.Unlock()
	err := r.write(ctx, t, func(c *take) { c.State = withdrawn })
	if err != nil && !errors.Is(err, errNotOurs) {
		return
	}
	r.mu.Lock()
	t.State = done
	r.remove(t)
	r.mu.Unlock()
	r.announce()
}

// tell makes sure that the client knows its take has ended, also where the server's messages were missed.
func (r *Relay) tell(t *take) {
	r.mu.Lock()
	if t.told || t.Record == nil || t.hidden {
		r.mu.Unlock()
		return
	}
	defer r.mu.Unlock() // so that what heard passes on comes before, or not at all
	t.told = true
	client, id, rec, sent := t.Client, t.ID, *t.Record, t.sent
	t.sent = nil
	if client == "" {
		return
	}
	var outputs map[string]json.RawMessage
	json.Unmarshal(rec.Outputs, &outputs)
	for _, node := range sortedKeys(outputs) {
		if sent["executed "+node] {
			continue
		}
		r.sockets.Send("executed", map[string]any{"node": node, "display_node": node, "output": outputs[node], "prompt_id": id}, client)
	}
	var status struct {
		Messages [][]json.RawMessage `json:"messages"`
	}
	json.Unmarshal(rec.Status, &status)
	for _, m := range status.Messages {
		var event string
		if len(m) == 2 && json.Unmarshal(m[0], &event) == nil && strings.HasPrefix(event, "execution_") && !sent[event+" "] {
			r.sockets.Send(event, m[1], client)
		}
	}
	r.sockets.Send("executing", map[string]any{"node": nil, "prompt_id": id}, client)
}

// heard passes a server's message on to the client whose take it is about.
func (r *Relay) heard(ctx context.Context, b *backend, kind websocket.MessageType, data []byte) {
	if kind == websocket.MessageBinary { // a preview image belongs to what runs
		r.mu.Lock()
		b.life = time.Now()
		t := r.takes[r.current[b.url]]
		r.mu.Unlock()
		if t != nil && t.Client != "" && !t.hidden {
			r.sockets.SendBinary(data, t.Client)
		}
		return
	}
	var m struct {
		Type string                     `json:"type"`
		Data map[string]json.RawMessage `json:"data"`
	}
	if json.Unmarshal(data, &m) != nil {
		return
	}
	if m.Type == "status" {
		r.mu.Lock()
		b.listening = true
		r.mu.Unlock()
		b.poke()
		return
	}
	var remote string
	json.Unmarshal(m.Data["prompt_id"], &remote)
	r.mu.Lock()
	id := r.remote[b.url+" "+remote]
	if remote == "" {
		id = r.current[b.url] // older servers leave the id out of progress
	} else if m.Type == "execution_start" {
		r.current[b.url] = id
	}
	t := r.takes[id]
	if t == nil || t.Backend != b.url {
		r.mu.Unlock()
		return
	}
	b.life = time.Now()
	if remote != "" {
		m.Data["prompt_id"], _ = json.Marshal(t.ID)
	}
	if output, ok := m.Data["output"]; ok && m.Type == "executed" {
		r.mu.Unlock()
		named, err := r.rename(ctx, t, b.url, output)
		if err != nil {
			return // it is told at the end
		}
		m.Data["output"] = named
		r.mu.Lock()
	}
	if m.Type == "execution_start" {
		t.running, t.startedAt = true, b.life
	}
	if strings.HasPrefix(m.Type, "execut") && !t.told {
		if t.sent == nil {
			t.sent = map[string]bool{}
		}
		var node string
		json.Unmarshal(m.Data["node"], &node)
		t.sent[m.Type+" "+node] = true
	}
	terminal := m.Type == "executing" && string(m.Data["node"]) == "null"
	told, client, own := t.told || t.hidden, t.Client, t.Remote
	switch {
	case told:
	case terminal:
		t.told = true
	case client != "": // before the mutex is free, and tell tells the end
		r.sockets.Send(m.Type, m.Data, client)
	}
	r.mu.Unlock()
	if told && terminal {
		r.settle(ctx, b, t)
	}
	if told || !terminal {
		return
	}
	// A client that hears the end asks for history next: have it before passing the end on.
	ask, cancel := context.WithTimeout(ctx, 10*time.Second)
	entry, err := b.history(ask, own)
	cancel()
	// The server died with its last word, or the end can't be stored now: then it isn't the end.
	if err != nil || entry == nil || !r.finish(ctx, b, t, entry) {
		r.mu.Lock()
		t.told = false
		r.mu.Unlock()
		r.tell(t) // if a look has finished it meanwhile
		b.poke()
		return
	}
	if client != "" {
		r.sockets.Send(m.Type, m.Data, client)
	}
}

// rename gives every file in a node's output, or in the outputs of all nodes, a name that is unique among all servers,
// remembers whose it is, and returns the output with these names.
func (r *Relay) rename(ctx context.Context, t *take, backend string, output json.RawMessage) (json.RawMessage, error) {
	var tree any
	d := json.NewDecoder(bytes.NewReader(output))
	d.UseNumber()
	if d.Decode(&tree) != nil {
		return orNull(output), nil
	}
	var walk func(v any) error
	walk = func(v any) error {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				if err := walk(x); err != nil {
					return err
				}
			}
		case map[string]any:
			name, isFile := v["filename"].(string)
			kind, hasType := v["type"].(string)
			if !isFile || !hasType {
				for _, k := range sortedKeys(v) {
					if err := walk(v[k]); err != nil {
						return err
					}
				}
				return nil
			}
			folder, _ := v["subfolder"].(string)
			own, err := r.publish(ctx, t, backend, ref{name, folder, kind})
			if err != nil {
				return err
			}
			v["filename"], v["subfolder"], v["type"] = own.Filename, own.Subfolder, own.Type
		}
		return nil
	}
	if err := walk(tree); err != nil {
		slog.Warn("files could not be named", "prompt_id", t.ID, "error", err.Error())
		return nil, err
	}
	text, err := json.Marshal(tree)
	return text, err
}

// publish names a file of a take to our clients: as its server does, or with the next free counter if another take has
// that name already.
func (r *Relay) publish(ctx context.Context, t *take, backend string, remote ref) (ref, error) {
	r.naming.Lock() // a file that is announced and found in history at once has one name
	defer r.naming.Unlock()
	r.mu.Lock()
	c := *t
	r.mu.Unlock()
	for _, f := range c.Files {
		if f.Remote == remote && f.Backend == backend && f.Prompt == c.Remote {
			return f.Public, nil
		}
	}
	f := file{Remote: remote, Public: remote, Backend: backend, Prompt: c.Remote}
	if !c.hidden {
		ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		var err error
		if f, err = r.store.Name(ask, &c, f); err != nil {
			return ref{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Files = append(t.Files, f)
	return f.Public, nil
}
