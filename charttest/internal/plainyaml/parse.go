package plainyaml

import (
	"strings"
)

// Parse reads a document, one without separators. It returns nil for one that
// is not plain, whether it is valid or not, and for one with nothing in it.
func Parse(text string) *Node {
	ok, tabs := printable(text)
	if !ok {
		return nil
	}
	p := &parser{src: text, tabs: tabs}
	p.advance(0, 1)
	if p.done {
		return nil
	}
	root := p.block(0)
	if p.failed || !p.done {
		return nil
	}
	return root
}

// parser stands at a line with content, of which indent columns have been
// read.
type parser struct {
	src    string
	tabs   bool // there are tabs somewhere
	start  int  // of the content that is next
	end    int  // of the line, at its newline
	line   int
	indent int // column of start
	done   bool
	failed bool
	arena  []Node
}

const maxDepth = 64

// maxKey is near the length beyond which YAML has keys marked with «?».
const maxKey = 1000

func (p *parser) node(kind Kind) *Node {
	if len(p.arena) == 0 {
		p.arena = make([]Node, 64)
	}
	n := &p.arena[0]
	p.arena = p.arena[1:]
	n.Kind, n.Line = kind, p.line
	return n
}

// fail gives up. Everything above returns as it finds the line gone.
func (p *parser) fail() *Node {
	p.failed, p.done = true, true
	return nil
}

// advance moves to the next line with content, from pos, the start of a line.
func (p *parser) advance(pos, line int) {
	for pos < len(p.src) {
		end := strings.IndexByte(p.src[pos:], '\n')
		if end < 0 {
			end = len(p.src)
		} else {
			end += pos
		}
		start := pos
		for start < end && p.src[start] == ' ' {
			start++
		}
		if start < end && p.src[start] != '#' {
			p.start, p.end, p.line, p.indent = start, end, line, start-pos
			switch c := p.src[start]; {
			case p.tabs && strings.IndexByte(p.src[start:end], '\t') >= 0:
				p.fail()
			case p.indent == 0 && (c == '%' || strings.HasPrefix(p.src[start:end], "---") || strings.HasPrefix(p.src[start:end], "...")):
				p.fail()
			}
			return
		}
		pos, line = end+1, line+1
	}
	p.done = true
}

func (p *parser) nextLine() { p.advance(p.end+1, p.line+1) }

// rest is what remains of the line.
func (p *parser) rest() string { return p.src[p.start:p.end] }

// dash says whether a sequence's item starts here.
func (p *parser) dash() bool {
	r := p.rest()
	return r[0] == '-' && (len(r) == 1 || r[1] == ' ')
}

// block reads the collection that starts here.
func (p *parser) block(depth int) *Node {
	if depth > maxDepth {
		return p.fail()
	}
	if p.dash() {
		return p.sequence(p.indent, depth)
	}
	return p.mapping(p.indent, depth)
}

func (p *parser) sequence(indent, depth int) *Node {
	n := p.node(List)
	for !p.done && p.indent == indent && p.dash() {
		var item *Node
		r := p.rest()[1:]
		content := strings.TrimLeft(r, " ")
		if content == "" || content[0] == '#' {
			item = p.below(indent, depth, false)
		} else {
			skipped := 1 + len(r) - len(content)
			p.start += skipped
			p.indent += skipped
			if _, _, ok := p.key(); ok || p.dash() {
				item = p.block(depth + 1)
			} else {
				item = p.value(content, indent, depth)
			}
		}
		n.Items = append(n.Items, item)
		if !p.done && p.indent > indent {
			return p.fail()
		}
	}
	return n
}

func (p *parser) mapping(indent, depth int) *Node {
	n := p.node(Map)
	for !p.done && p.indent == indent && !p.dash() {
		key, length, ok := p.key()
		if !ok {
			return p.fail()
		}
		for i := range n.Pairs {
			if n.Pairs[i].Key == key {
				return p.fail()
			}
		}
		pair := Pair{Key: key, Line: p.line}
		content := strings.TrimLeft(p.src[p.start+length:p.end], " ")
		if content == "" || content[0] == '#' {
			pair.Value = p.below(indent, depth, true)
		} else {
			pair.Value = p.value(content, indent, depth)
		}
		n.Pairs = append(n.Pairs, pair)
		if !p.done && p.indent > indent {
			return p.fail()
		}
	}
	return n
}

// below reads what stands under a key or dash that has nothing beside it.
func (p *parser) below(indent, depth int, inMap bool) *Node {
	empty := p.node(Null)
	p.nextLine()
	if p.done {
		return empty
	}
	// A mapping's sequence may stand at the mapping's own indentation.
	if inMap && p.indent == indent && p.dash() {
		return p.sequence(indent, depth+1)
	}
	if p.indent <= indent {
		return empty
	}
	if _, _, ok := p.key(); ok || p.dash() {
		return p.block(depth + 1)
	}
	return p.value(p.rest(), indent, depth)
}

// key reads «key:», and how long that is. Keys that mean something else than a
// string are not ok.
func (p *parser) key() (key string, length int, ok bool) {
	r := p.rest()
	if c := r[0]; c == '"' || c == '\'' {
		text, size, ok := quoted(r)
		if !ok || size >= len(r) || size > maxKey || r[size] != ':' || size+1 < len(r) && r[size+1] != ' ' {
			return "", 0, false
		}
		return text, size + 1, true
	}
	i := 0
	for i < len(r) && keyChar(r[i]) {
		i++
	}
	if i == 0 || i >= len(r) || i > maxKey || r[i] != ':' || i+1 < len(r) && r[i+1] != ' ' {
		return "", 0, false
	}
	if !word(r[:i]) {
		if sc, ok := resolve(r[:i]); !ok || sc.kind != String || sc.text != r[:i] {
			return "", 0, false
		}
	}
	return r[:i], i + 1, true
}

func keyChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '_' || c == '.' || c == '/' || c == '$'
}

// value reads a value that starts on this line with content, inside a
// collection at indent.
func (p *parser) value(content string, indent, depth int) *Node {
	switch content[0] {
	case '|':
		return p.literal(content, indent)
	case '"', '\'':
		text, size, ok := quoted(content)
		if !ok || !ends(content[size:]) {
			return p.fail()
		}
		n := p.node(String)
		n.Text = text
		p.nextLine()
		return n
	case '[', '{':
		f := flow{parser: p, src: content}
		n := f.value(depth)
		if !f.ok() || !ends(content[f.pos:]) {
			return p.fail()
		}
		p.nextLine()
		return n
	}
	text := content
	if i := strings.Index(text, " #"); i >= 0 {
		text = text[:i]
	}
	text = strings.TrimRight(text, " ")
	if !plain(text) {
		return p.fail()
	}
	sc, ok := resolve(text)
	if !ok {
		return p.fail()
	}
	n := p.node(sc.kind)
	n.Text = sc.text
	p.nextLine()
	return n
}

// ends says whether nothing but a comment remains.
func ends(s string) bool {
	t := strings.TrimLeft(s, " ")
	return t == "" || t[0] == '#' && len(t) < len(s)
}

// plain says whether text can be a plain scalar outside of flow collections.
func plain(text string) bool {
	switch text[0] {
	case '&', '*', '!', '>', '%', '@', '`', ',', ']', '}', '#', '<', '=':
		return false
	case '-', '?', ':':
		if len(text) == 1 || text[1] == ' ' {
			return false
		}
	}
	return !strings.Contains(text, ": ") && text[len(text)-1] != ':'
}

// quoted reads a quoted scalar at the start of s and returns its content and
// how much of s it takes.
func quoted(s string) (text string, size int, ok bool) {
	if s[0] == '\'' {
		for i := 1; i < len(s); i++ {
			if s[i] != '\'' {
				continue
			}
			if i+1 < len(s) && s[i+1] == '\'' {
				i++
				continue
			}
			return strings.ReplaceAll(s[1:i], "''", "'"), i + 1, true
		}
		return "", 0, false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return s[1:i], i + 1, true
		case '\\':
			return escaped(s)
		}
	}
	return "", 0, false
}

var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'n': '\n', 't': '\t', 'r': '\r'}

// escaped reads a double-quoted scalar with simple escapes.
func escaped(s string) (text string, size int, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i + 1, true
		case '\\':
			i++
			if i >= len(s) {
				return "", 0, false
			}
			c, ok := escapes[s[i]]
			if !ok {
				return "", 0, false
			}
			b.WriteByte(c)
		default:
			b.WriteByte(s[i])
		}
	}
	return "", 0, false
}

// literal reads a block after a bar.
func (p *parser) literal(header string, indent int) *Node {
	chomp := byte(0)
	rest := header[1:]
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		chomp, rest = rest[0], rest[1:]
	}
	if !ends(rest) {
		return p.fail()
	}
	n := p.node(String)
	pos, line := p.end+1, p.line+1
	var b strings.Builder
	width := -1 // of the block's indentation, once known
	blank := 0  // line breaks not yet written
	widest := 0 // leading blank line
	broken := false
	for pos < len(p.src) {
		end := strings.IndexByte(p.src[pos:], '\n')
		last := end < 0
		if last {
			end = len(p.src)
		} else {
			end += pos
		}
		text := p.src[pos:end]
		content := strings.TrimLeft(text, " ")
		lead := len(text) - len(content)
		if content == "" && (width < 0 || lead <= width) {
			widest = max(widest, lead)
			if !last {
				blank++
			}
		} else {
			if width < 0 {
				if lead <= indent || widest > lead || content[0] == '\t' {
					if lead <= indent {
						break
					}
					return p.fail()
				}
				width = lead
			}
			if lead < width {
				if content[0] == '\t' || lead > indent {
					return p.fail()
				}
				break
			}
			for ; blank > 0; blank-- {
				b.WriteByte('\n')
			}
			b.WriteString(text[width:])
			if !last {
				blank = 1
			}
			broken = true
		}
		pos, line = end+1, line+1
	}
	switch {
	case chomp == '+' || !broken && blank > 0:
		return p.fail() // rare enough
	case chomp == 0 && blank > 0:
		b.WriteByte('\n')
	}
	n.Text = b.String()
	p.advance(min(pos, len(p.src)), line)
	return n
}
