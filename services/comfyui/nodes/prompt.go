package nodes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Prompt is a graph in ComfyUI's API format: nodes by id, in the order they were sent.
type Prompt struct {
	Order []string
	Nodes map[string]*Node
	Raw   json.RawMessage // as sent, compact
}

// Node is one node of a prompt. Inputs hold a link as [Link]; every other value as encoding/json decodes it, with
// json.Number for numbers so that seeds up to 2⁶⁴−1 survive.
type Node struct {
	ClassType string // "" if absent
	Title     string // _meta.title, "" if absent
	Inputs    map[string]any
	HasInputs bool
}

// Link points at one output of another node.
type Link struct {
	Node string
	Slot int
}

// MaxNodes is how many nodes a graph may have. ComfyUI has no limit, a small pod needs one.
const MaxNodes = 25000

// ParsePrompt decodes a graph. It fails when raw is not an object of objects, or has too many.
func ParsePrompt(raw json.RawMessage) (*Prompt, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return nil, err
	}
	p := &Prompt{Nodes: map[string]*Node{}, Raw: compact.Bytes()}
	ids, values, err := orderedObject(p.Raw)
	if err != nil {
		return nil, errors.New("the prompt must be an object of nodes by id")
	}
	if len(ids) > MaxNodes {
		return nil, fmt.Errorf("the graph has %d nodes, more than %d", len(ids), MaxNodes)
	}
	for i, id := range ids {
		var fields struct {
			ClassType any             `json:"class_type"`
			Inputs    json.RawMessage `json:"inputs"`
			Meta      struct {
				Title any `json:"title"`
			} `json:"_meta"`
		}
		if err := decode(values[i], &fields); err != nil {
			return nil, fmt.Errorf("node %q must be an object with class_type and inputs", id)
		}
		node := &Node{Inputs: map[string]any{}}
		node.ClassType, _ = fields.ClassType.(string)
		node.Title, _ = fields.Meta.Title.(string)
		if len(fields.Inputs) > 0 {
			if err := decode(fields.Inputs, &node.Inputs); err != nil {
				return nil, fmt.Errorf("inputs of node %q must be an object", id)
			}
			node.HasInputs = true
		}
		if _, twice := p.Nodes[id]; !twice {
			p.Order = append(p.Order, id)
		}
		p.Nodes[id] = node
	}
	return p, nil
}

// link reads [node id, slot]. Python's server takes any list for a link and fails later if it isn't one; ok is false then.
func link(value any) (l Link, ok bool) {
	list, isList := value.([]any)
	if !isList || len(list) != 2 {
		return l, false
	}
	switch id := list[0].(type) {
	case string:
		l.Node = id
	case json.Number:
		l.Node = id.String()
	default:
		return l, false
	}
	slot, isNumber := list[1].(json.Number)
	if !isNumber {
		return l, false
	}
	n, err := slot.Int64()
	l.Slot = int(n)
	return l, err == nil
}

// LinkOf returns the link that an input holds, if it holds one.
func (n *Node) LinkOf(input string) (Link, bool) { return link(n.Inputs[input]) }

func decode(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(into)
}

// orderedObject splits a JSON object into its keys and raw values, in order.
func orderedObject(raw []byte) (keys []string, values []json.RawMessage, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	open, err := d.Token()
	if err != nil {
		return nil, nil, err
	}
	if open != json.Delim('{') {
		return nil, nil, errors.New("not an object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, nil, err
		}
		keys = append(keys, key.(string))
		values = append(values, value)
	}
	return keys, values, nil
}
