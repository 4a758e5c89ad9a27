package plainyaml

import (
	"strconv"
	"unicode/utf8"
)

// Kind is the type of a value in JSON's sense.
type Kind uint8

const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Map
)

// Node is a value in a document.
type Node struct {
	Kind  Kind
	Text  string // a string's content; of a number or bool its JSON
	Line  int    // where it starts, from 1
	Items []*Node
	Pairs []Pair
}

// Pair is an entry of a mapping.
type Pair struct {
	Key   string
	Line  int // of the key
	Value *Node
}

// Get returns the value of a mapping's key, or nil.
func (n *Node) Get(key string) *Node {
	if n == nil || n.Kind != Map {
		return nil
	}
	for i := range n.Pairs {
		if n.Pairs[i].Key == key {
			return n.Pairs[i].Value
		}
	}
	return nil
}

// AppendJSON appends the value as JSON.
func (n *Node) AppendJSON(b []byte) []byte {
	switch n.Kind {
	case Null:
		return append(b, "null"...)
	case String:
		return appendString(b, n.Text)
	case List:
		b = append(b, '[')
		for i, item := range n.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.AppendJSON(b)
		}
		return append(b, ']')
	case Map:
		b = append(b, '{')
		for i := range n.Pairs {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, n.Pairs[i].Key)
			b = append(b, ':')
			b = n.Pairs[i].Value.AppendJSON(b)
		}
		return append(b, '}')
	}
	return append(b, n.Text...)
}

func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		start = i + 1
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// Value returns the value as generic maps and lists. Integers are int64 where
// they fit if ints is set, as Kubernetes has them, and float64 otherwise, as
// encoding/json has them.
func (n *Node) Value(ints bool) any {
	switch n.Kind {
	case Bool:
		return n.Text == "true"
	case Number:
		if ints {
			if i, err := strconv.ParseInt(n.Text, 10, 64); err == nil {
				return i
			}
		}
		f, _ := strconv.ParseFloat(n.Text, 64)
		return f
	case String:
		return n.Text
	case List:
		list := make([]any, len(n.Items))
		for i, item := range n.Items {
			list[i] = item.Value(ints)
		}
		return list
	case Map:
		m := make(map[string]any, len(n.Pairs))
		for i := range n.Pairs {
			m[n.Pairs[i].Key] = n.Pairs[i].Value.Value(ints)
		}
		return m
	}
	return nil
}

// printable says whether s has only characters that YAML takes as they are,
// and no breaks other than newlines. Tabs are reported apart: they are text in
// some places and mistakes in others.
func printable(s string) (ok, tabs bool) {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= ' ' && c < 0x7f || c == '\n':
			i++
		case c == '\t':
			tabs = true
			i++
		case c < utf8.RuneSelf:
			return false, false
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError || r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffe || r == 0xffff {
				return false, false
			}
			i += size
		}
	}
	return true, tabs
}
