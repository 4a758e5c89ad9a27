package preview

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"runtime/debug"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ai-film/ai-film/services/comfyui/nodes"
)

// errInterrupted is ComfyUI's InterruptProcessingException.
var errInterrupted = errors.New("processing interrupted")

// executor runs prompts one at a time and remembers the outputs of the last one's nodes.
type executor struct {
	server *Server
	cache  map[string]*cached // by the hash of a node and all it depends on
	forget atomic.Bool        // empty the cache before the next prompt
}

// cached is what a node put out.
type cached struct {
	outputs []any
	ui      map[string]any // for history and the client; nil if it shows nothing
	files   []string       // on which ui relies
}

// Run works off the queue until ctx ends.
func (s *Server) Run(ctx context.Context) {
	for {
		if j := s.queue.take(); j != nil {
			s.work.run(j)
			continue
		}
		select {
		case <-s.queue.wake:
		case <-time.After(10 * time.Minute):
			s.files.mu.Lock()
			s.files.prune()
			s.files.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// run executes one prompt and files it in history.
func (e *executor) run(j *job) {
	s, start := e.server, time.Now()
	s.mu.Lock()
	s.client = j.clientID
	s.mu.Unlock()
	if e.forget.Swap(false) {
		e.cache = map[string]*cached{}
	}
	x := &execution{executor: e, job: j, keys: map[string]string{}, values: map[string]*cached{}, outputs: map[string]any{}, meta: map[string]any{},
		wanted: map[string]int{}, held: map[*image.RGBA]bool{}}
	for _, n := range j.prompt.Nodes {
		for name := range n.Inputs {
			if link, ok := n.LinkOf(name); ok {
				x.wanted[link.Node]++
			}
		}
	}
	x.say("execution_start", map[string]any{"prompt_id": j.id}, false)
	x.reuse()
	failed := x.all(j.outputs)
	if failed == nil {
		x.say("execution_success", map[string]any{"prompt_id": j.id}, false)
	}
	s.mu.Lock()
	s.node = ""
	s.mu.Unlock()
	state := "success"
	if failed != nil {
		state = "error"
	}
	s.queue.finish(&record{Outputs: x.outputs, Meta: x.meta,
		Status: status{Text: state, Completed: failed == nil, Messages: x.messages}})
	if j.clientID != "" {
		s.sockets.Send("executing", map[string]any{"node": nil, "prompt_id": j.id}, j.clientID)
	}
	slog.Info("executed", "prompt_id", j.id, "state", state, "seconds", time.Since(start).Seconds())
}

// all executes output nodes. A fault of ours ends the prompt, not the server.
func (x *execution) all(outputs []string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic", "prompt_id", x.job.id, "error", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("a fault in preview: %v", p)
		}
	}()
	for _, id := range outputs {
		if err := x.node(id); err != nil {
			return err
		}
	}
	return nil
}

// execution is one prompt being executed.
type execution struct {
	*executor
	job      *job
	keys     map[string]string  // of nodes
	values   map[string]*cached // of nodes done
	executed []string
	outputs  map[string]any
	meta     map[string]any
	messages []any
	wanted   map[string]int       // by how many inputs a node's outputs are still wanted
	held     map[*image.RGBA]bool // pictures among values
	bytes    int                  // of held
}

// hold counts the pictures that a node put out. Where there are too many, those that no node wants any more are let go,
// from the cache, too.
func (x *execution) hold(c *cached) error {
	limit := 16 * x.server.options.MaxPixels // four of the largest pictures
	if x.count(c); x.bytes <= limit {
		return nil
	}
	x.cache, x.held, x.bytes = map[string]*cached{}, map[*image.RGBA]bool{}, 0
	for id, v := range x.values {
		if x.wanted[id] > 0 || v.ui != nil {
			x.cache[x.key(id)] = v
			x.count(v)
		} else {
			x.values[id] = &cached{}
		}
	}
	if x.count(c); x.bytes > limit {
		return outOfMemory(fmt.Sprintf("the pictures of this graph are more than the %d MiB this preview server holds at once", limit>>20))
	}
	return nil
}

func (x *execution) count(c *cached) {
	for _, out := range c.outputs {
		var all []*image.RGBA
		switch out := out.(type) {
		case latent:
			all = out.images
		case images:
			all = out
		case mask:
			all = []*image.RGBA{out.of}
		}
		for _, img := range all {
			if !x.held[img] {
				x.held[img] = true
				x.bytes += len(img.Pix)
			}
		}
	}
}

// say sends an event to the prompt's client (or, where broadcast, to everyone if it has none) and keeps it for history.
func (x *execution) say(event string, data map[string]any, broadcast bool) {
	data["timestamp"] = time.Now().UnixMilli()
	x.messages = append(x.messages, []any{event, data})
	if x.job.clientID != "" || broadcast {
		x.server.sockets.Send(event, data, x.job.clientID)
	}
}

// reuse drops from the cache what this prompt has no use for, and tells the client what it need not execute.
func (x *execution) reuse() {
	kept, ids := map[string]*cached{}, []string{}
	for _, id := range x.job.prompt.Order {
		key := x.key(id)
		c := x.cache[key]
		if c == nil {
			continue
		}
		if !x.server.files.have(c.files) { // the saved image is gone: make it again
			continue
		}
		kept[key] = c
		x.count(c)
		ids = append(ids, id)
	}
	x.cache = kept
	x.say("execution_cached", map[string]any{"nodes": ids, "prompt_id": x.job.id}, false)
}

// key hashes a node with everything it depends on.
func (x *execution) key(id string) string {
	if key, ok := x.keys[id]; ok {
		return key
	}
	x.keys[id] = "cycle" // can't be met among nodes that passed validation
	node := x.job.prompt.Nodes[id]
	var parts []any
	for _, name := range sorted(node.Inputs) {
		value := node.Inputs[name]
		if link, ok := node.LinkOf(name); ok && x.job.prompt.Nodes[link.Node] != nil {
			value = []any{x.key(link.Node), link.Slot}
		}
		parts = append(parts, name, value)
	}
	if name, ok := node.Inputs["image"].(string); ok && node.ClassType == "LoadImage" {
		parts = append(parts, x.server.files.stamp(name))
	}
	text, _ := json.Marshal([]any{node.ClassType, parts})
	sum := sha256.Sum256(text)
	x.keys[id] = hex.EncodeToString(sum[:])
	return x.keys[id]
}

func sorted(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// node executes a node after those it depends on. Whatever it returns was told to the client.
func (x *execution) node(id string) error {
	if x.values[id] != nil {
		return nil
	}
	if c := x.cache[x.key(id)]; c != nil {
		x.values[id] = c
		x.show(id, c)
		return nil
	}
	node := x.job.prompt.Nodes[id]
	definition := x.server.catalog.Definition(node.ClassType)
	inputs := map[string]any{}
	for _, in := range definition.Inputs {
		link, linked := node.LinkOf(in.Name)
		if !linked {
			inputs[in.Name] = node.Inputs[in.Name]
			continue
		}
		if err := x.node(link.Node); err != nil {
			return err
		}
		outputs := x.values[link.Node].outputs
		inputs[in.Name] = outputs[(link.Slot+len(outputs))%len(outputs)]
	}
	s := x.server
	s.mu.Lock()
	s.node = id
	s.mu.Unlock()
	if x.job.clientID != "" {
		s.sockets.Send("executing", map[string]any{"node": id, "display_node": id, "prompt_id": x.job.id}, x.job.clientID)
	}
	c, err := x.call(id, node.ClassType, inputs)
	for name := range node.Inputs {
		if link, ok := node.LinkOf(name); ok {
			x.wanted[link.Node]--
		}
	}
	if err == nil {
		err = x.hold(c)
	}
	if err != nil {
		x.fail(id, node, inputs, err)
		return err
	}
	x.values[id], x.cache[x.key(id)] = c, c
	x.executed = append(x.executed, id)
	x.show(id, c)
	return nil
}

// call runs a node's function; a panic in it is an error of the prompt, not of the server.
func (x *execution) call(id, class string, inputs map[string]any) (c *cached, err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic", "node", class, "error", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("a fault in %s: %v", class, p)
		}
	}()
	if x.interrupted() {
		return nil, errInterrupted
	}
	f, ok := functions[class]
	if !ok {
		return nil, fmt.Errorf("%s is not drawn by preview", class)
	}
	return f(x, id, inputs)
}

func (x *execution) interrupted() bool {
	x.server.mu.Lock()
	defer x.server.mu.Unlock()
	return x.server.interrupted == x.job
}

// progress tells the client about a step of a node, and notices an interruption.
func (x *execution) progress(id string, value, of int) error {
	if x.job.clientID != "" {
		x.server.sockets.Send("progress", map[string]any{"value": value, "max": of, "prompt_id": x.job.id, "node": id}, x.job.clientID)
	}
	if x.interrupted() {
		return errInterrupted
	}
	return nil
}

// show tells client and history what an output node put out.
func (x *execution) show(id string, c *cached) {
	if c.ui == nil || x.outputs[id] != nil {
		return
	}
	x.outputs[id] = c.ui
	x.meta[id] = map[string]any{"node_id": id, "display_node": id, "parent_node": nil, "real_node_id": id}
	if x.job.clientID != "" {
		x.server.sockets.Send("executed", map[string]any{"node": id, "display_node": id, "output": c.ui, "prompt_id": x.job.id}, x.job.clientID)
	}
}

func (x *execution) fail(id string, node *nodes.Node, inputs map[string]any, err error) {
	executed := append([]string{}, x.executed...)
	data := map[string]any{"prompt_id": x.job.id, "node_id": id, "node_type": node.ClassType, "executed": executed}
	if errors.Is(err, errInterrupted) {
		x.say("execution_interrupted", data, true)
		return
	}
	current := map[string]any{}
	for name, value := range inputs {
		switch value.(type) {
		case string, json.Number, bool, nil:
			current[name] = []any{value}
		default:
			current[name] = []any{fmt.Sprintf("<%s>", strings.TrimPrefix(fmt.Sprintf("%T", value), "preview."))}
		}
	}
	kind := "RuntimeError"
	if _, ok := errors.AsType[outOfMemory](err); ok {
		kind = "torch.OutOfMemoryError"
	}
	data["exception_message"], data["exception_type"] = err.Error()+"\n", kind
	data["traceback"], data["current_inputs"], data["current_outputs"] = []string{}, current, executed
	x.say("execution_error", data, false)
}
