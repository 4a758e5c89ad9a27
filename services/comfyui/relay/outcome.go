package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// finish files a take in history with what its server made of it.
func (r *Relay) finish(ctx context.Context, b *backend, t *take, entry *historyEntry) {
	r.mu.Lock()
	if t.State == done || t.Backend != b.url {
		r.mu.Unlock()
		return
	}
	own := r.rename(t, b.url, entry.record.Outputs)
	status := bytes.ReplaceAll(entry.Status, []byte(strconv.Quote(t.Remote)), []byte(strconv.Quote(t.ID)))
	if len(entry.Prompt) > 4 {
		t.Outputs = entry.Prompt[4]
	}
	t.Record = &record{Outputs: own, Status: orNull(status), Meta: orNull(entry.Meta)}
	r.complete(t)
	r.mu.Unlock()
	b.poke()
	r.tell(t)
	r.announce()
	r.save(ctx)
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

// complete marks a take as done and forgets the oldest ones beyond the limit. The mutex is held.
func (r *Relay) complete(t *take) {
	if t.State == done {
		return
	}
	t.State, t.running, t.unsaved = done, false, true
	close(t.finished)
	if t.hidden {
		return
	}
	r.finished = append(r.finished, t.ID)
	for len(r.finished) > r.options.HistoryLimit {
		if old := r.takes[r.finished[0]]; old != nil {
			r.drop(old)
		} else {
			r.finished = r.finished[1:]
		}
	}
}

// drop forgets a take. The mutex is held.
func (r *Relay) drop(t *take) {
	delete(r.takes, t.ID)
	delete(r.remote, t.Backend+" "+t.Remote)
	for _, f := range t.Files {
		delete(r.public, f.Public)
	}
	r.finished = slices.DeleteFunc(r.finished, func(id string) bool { return id == t.ID })
	if t.State != done {
		t.State = done
		close(t.finished)
	}
	if r.options.Store != nil && !t.hidden {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			r.options.Store.Delete(ctx, t.ID)
		}()
	}
}

// tell makes sure that the client knows its take has ended, also where the server's messages were missed.
func (r *Relay) tell(t *take) {
	r.mu.Lock()
	if t.told || t.Record == nil || t.hidden {
		r.mu.Unlock()
		return
	}
	t.told = true
	client, id, rec, sent := t.Client, t.ID, *t.Record, t.sent
	t.sent = nil
	r.mu.Unlock()
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
	if remote != "" {
		m.Data["prompt_id"], _ = json.Marshal(t.ID)
	}
	if output, ok := m.Data["output"]; ok && m.Type == "executed" {
		m.Data["output"] = r.rename(t, b.url, output)
	}
	if m.Type == "execution_start" {
		t.running = true
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
	told, client, own := t.told, t.Client, t.Remote
	if terminal && !told && !t.hidden {
		t.told = true
	}
	r.mu.Unlock()
	if told || t.hidden {
		if terminal {
			r.settle(ctx, b, t)
		}
		return
	}
	if terminal {
		// A client that hears the end asks for history next: have it before passing the end on.
		ask, cancel := context.WithTimeout(ctx, 10*time.Second)
		entry, err := b.history(ask, own)
		cancel()
		if err != nil || entry == nil { // the server died with its last word: it isn't the end
			r.mu.Lock()
			t.told = false
			r.mu.Unlock()
			r.tell(t) // if a look has finished it meanwhile
			b.poke()
			return
		}
		r.finish(ctx, b, t, entry)
	}
	if client != "" {
		r.sockets.Send(m.Type, m.Data, client)
	}
}

// rename gives every file in a node's output, or in the outputs of all nodes, a name that is unique among all servers,
// remembers whose it is, and returns the output with these names. The mutex is held.
func (r *Relay) rename(t *take, backend string, output json.RawMessage) json.RawMessage {
	var tree any
	d := json.NewDecoder(bytes.NewReader(output))
	d.UseNumber()
	if d.Decode(&tree) != nil {
		return orNull(output)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			name, isFile := v["filename"].(string)
			kind, hasType := v["type"].(string)
			if !isFile || !hasType {
				for _, k := range sortedKeys(v) {
					walk(v[k])
				}
				return
			}
			folder, _ := v["subfolder"].(string)
			own := r.publish(t, backend, ref{name, folder, kind})
			v["filename"], v["subfolder"], v["type"] = own.Filename, own.Subfolder, own.Type
		}
	}
	walk(tree)
	text, _ := json.Marshal(tree)
	return text
}

var counter = regexp.MustCompile(`^(.*_)(\d{5,})(_\.[^.]+)$`)

// publish names a file of a take to our clients: as its server does, or with the next free counter if another take has
// that name already.
func (r *Relay) publish(t *take, backend string, remote ref) ref {
	for _, f := range t.Files {
		if f.Remote == remote && f.Backend == backend && f.Prompt == t.Remote {
			return f.Public
		}
	}
	own := remote
	for n := 1; ; n++ {
		if _, taken := r.public[own]; !taken {
			break
		}
		if m := counter.FindStringSubmatch(own.Filename); m != nil {
			i, _ := strconv.Atoi(m[2])
			own.Filename = fmt.Sprintf("%s%05d%s", m[1], i+1, m[3])
		} else {
			ext := path.Ext(remote.Filename)
			own.Filename = fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(remote.Filename, ext), n, ext)
		}
	}
	r.public[own] = t.ID
	t.Files = append(t.Files, file{own, remote, backend, t.Remote})
	return own
}
