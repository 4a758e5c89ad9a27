package plainyaml

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// FromJSON reads JSON into nodes, which then have no lines. It returns nil if
// data is not JSON. Of duplicate keys the last counts.
func FromJSON(data []byte) *Node {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return fromValue(v)
}

func fromValue(v any) *Node {
	switch v := v.(type) {
	case bool:
		if v {
			return &Node{Kind: Bool, Text: "true"}
		}
		return &Node{Kind: Bool, Text: "false"}
	case json.Number:
		return &Node{Kind: Number, Text: v.String()}
	case string:
		return &Node{Kind: String, Text: v}
	case []any:
		n := &Node{Kind: List, Items: make([]*Node, len(v))}
		for i, item := range v {
			n.Items[i] = fromValue(item)
		}
		return n
	case map[string]any:
		n := &Node{Kind: Map, Pairs: make([]Pair, 0, len(v))}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			n.Pairs = append(n.Pairs, Pair{Key: k, Value: fromValue(v[k])})
		}
		return n
	}
	return &Node{Kind: Null}
}
