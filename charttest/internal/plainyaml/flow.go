package plainyaml

import "strings"

// flow reads a flow collection on one line.
type flow struct {
	*parser
	src    string
	pos    int
	broken bool
}

func (f *flow) ok() bool { return !f.broken }

func (f *flow) fail() *Node {
	f.broken = true
	return nil
}

func (f *flow) spaces() {
	for f.pos < len(f.src) && f.src[f.pos] == ' ' {
		f.pos++
	}
}

// peek is the next character, or 0 at the end of the line.
func (f *flow) peek() byte {
	if f.pos < len(f.src) {
		return f.src[f.pos]
	}
	return 0
}

func (f *flow) value(depth int) *Node {
	if depth > maxDepth {
		return f.fail()
	}
	switch f.peek() {
	case '[':
		return f.list(depth)
	case '{':
		return f.mapping(depth)
	}
	sc, ok := f.scalar()
	if !ok {
		return f.fail()
	}
	n := f.node(sc.kind)
	n.Text = sc.text
	return n
}

func (f *flow) list(depth int) *Node {
	n := f.node(List)
	f.pos++
	f.spaces()
	if f.peek() == ']' {
		f.pos++
		return n
	}
	for !f.broken {
		f.spaces()
		n.Items = append(n.Items, f.value(depth+1))
		f.spaces()
		switch f.peek() {
		case ',':
			f.pos++
		case ']':
			f.pos++
			return n
		default:
			return f.fail()
		}
	}
	return nil
}

func (f *flow) mapping(depth int) *Node {
	n := f.node(Map)
	f.pos++
	f.spaces()
	if f.peek() == '}' {
		f.pos++
		return n
	}
	for !f.broken {
		f.spaces()
		quotedKey := f.peek() == '"' || f.peek() == '\''
		key, ok := f.scalar()
		if !ok || key.kind != String || len(key.text) > maxKey/6 || f.peek() != ':' {
			return f.fail()
		}
		f.pos++
		if !quotedKey && f.peek() != ' ' {
			return f.fail()
		}
		for i := range n.Pairs {
			if n.Pairs[i].Key == key.text {
				return f.fail()
			}
		}
		f.spaces()
		n.Pairs = append(n.Pairs, Pair{Key: key.text, Line: f.line, Value: f.value(depth + 1)})
		f.spaces()
		switch f.peek() {
		case ',':
			f.pos++
		case '}':
			f.pos++
			return n
		default:
			return f.fail()
		}
	}
	return nil
}

// scalar reads a quoted scalar, or a plain one made of harmless characters.
func (f *flow) scalar() (scalar, bool) {
	if c := f.peek(); c == '"' || c == '\'' {
		text, size, ok := quoted(f.src[f.pos:])
		f.pos += size
		return scalar{String, text}, ok
	}
	start := f.pos
	for f.pos < len(f.src) && (keyChar(f.src[f.pos]) || f.src[f.pos] == ' ' && f.pos > start || f.src[f.pos] == '+') {
		f.pos++
	}
	text := strings.TrimRight(f.src[start:f.pos], " ")
	if text == "" || text == "-" || strings.HasPrefix(text, "- ") {
		return scalar{}, false
	}
	return resolve(text)
}
