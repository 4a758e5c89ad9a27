package charttest

import (
	"strconv"
	"strings"

	yamlv3 "sigs.k8s.io/yaml/goyaml.v3"
)

// fieldLine returns the line (from 1) of a YAML document where the given field
// stands, or its nearest parent.
func fieldLine(doc, field string) int {
	line, _ := findField(doc, field)
	return line
}

// findField is fieldLine, and says whether it was the field itself.
func findField(doc, field string) (line int, exact bool) {
	var root yamlv3.Node
	if err := yamlv3.Unmarshal([]byte(doc), &root); err != nil || len(root.Content) == 0 {
		return 1, false
	}
	line, node := root.Content[0].Line, root.Content[0]
	for field != "" {
		for node.Kind == yamlv3.AliasNode {
			node = node.Alias
		}
		var next *yamlv3.Node
		at := 0
		if node.Kind == yamlv3.SequenceNode {
			index, rest, ok := cutIndex(field)
			if !ok || index >= len(node.Content) {
				return line, false
			}
			next, field = node.Content[index], rest
			at = next.Line
		} else {
			key, rest, value, ok := cutKey(node, field)
			if !ok {
				return line, false
			}
			next, field, at = value, rest, key.Line
		}
		node, line = next, at
	}
	return line, true
}

// cutIndex cuts "[3]" off the front of a field path, or "3." as in the path of
// a value.
func cutIndex(field string) (index int, rest string, ok bool) {
	if !strings.HasPrefix(field, "[") {
		digits, rest, _ := strings.Cut(field, ".")
		index, err := strconv.Atoi(digits)
		return index, rest, err == nil && index >= 0
	}
	end := strings.IndexByte(field, ']')
	if end < 0 {
		return 0, "", false
	}
	index, err := strconv.Atoi(field[1:end])
	if err != nil || index < 0 {
		return 0, "", false
	}
	return index, strings.TrimPrefix(field[end+1:], "."), true
}

// cutKey finds the key of a mapping that a field path starts with. Keys may
// have dots themselves, so the longest that fits is taken. Of duplicates it is
// the last.
func cutKey(node *yamlv3.Node, field string) (key *yamlv3.Node, rest string, value *yamlv3.Node, ok bool) {
	if node.Kind != yamlv3.MappingNode {
		return nil, "", nil, false
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		k := node.Content[i]
		if !strings.HasPrefix(field, k.Value) || k.Value == "" {
			continue
		}
		after := field[len(k.Value):]
		if after != "" && after[0] != '.' && after[0] != '[' {
			continue
		}
		if key == nil || len(k.Value) >= len(key.Value) {
			key, value, ok = k, node.Content[i+1], true
			rest = strings.TrimPrefix(after, ".")
		}
	}
	return key, rest, value, ok
}

// joinField joins two field paths.
func joinField(a, b string) string {
	if a == "" || b == "" || b[0] == '[' {
		return a + b
	}
	return a + "." + b
}
