package diff

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/yaml"
)

// Style says how a diff is written.
type Style struct {
	Colour bool   // for terminals
	Width  int    // columns to fit lines into; 80 if 0
	Indent string // before each line
}

// String is the diff as plain text of 80 columns, with a line for each object
// and its changed fields below.
func (d Diff) String() string {
	var b strings.Builder
	_ = d.Write(&b, Style{})
	return b.String()
}

// Write writes the diff for people.
func (d Diff) Write(w io.Writer, style Style) error {
	for _, o := range d.Objects {
		if err := o.Write(w, style); err != nil {
			return err
		}
	}
	return nil
}

// Write writes what changes of one object.
func (o Object) Write(w io.Writer, style Style) error {
	if style.Width == 0 {
		style.Width = 80
	}
	p := printer{style: style}
	p.object(o)
	_, err := io.WriteString(w, p.String())
	return err
}

type printer struct {
	strings.Builder
	style Style
}

// signs of a change, and its colours on terminals.
var signs = map[Change]string{Added: "+", Changed: "~", Removed: "-"}
var colours = map[string]string{"+": "\x1b[32m", "-": "\x1b[31m", "~": "\x1b[33m", "@": "\x1b[36m"}

// line writes a line in the colour of its sign.
func (p *printer) line(sign, text string) {
	p.WriteString(p.style.Indent)
	if colour := colours[sign]; p.style.Colour && colour != "" {
		text = colour + text + "\x1b[0m"
	}
	p.WriteString(text + "\n")
}

func (p *printer) object(o Object) {
	sign := signs[o.Change]
	head := sign + " " + o.String()
	if o.Namespace != "" {
		head += " in " + o.Namespace
	}
	if o.Note != "" {
		head += " (" + o.Note + ")"
	}
	p.line(sign, head)
	for _, f := range o.Fields {
		p.field(f)
	}
}

const indent = "    "

func (p *printer) field(f Field) {
	old, now := f.Old, f.New
	oldText, oldIsText := old.(string)
	newText, newIsText := now.(string)
	if oldIsText && newIsText && strings.Contains(oldText+newText, "\n") {
		p.path(f.Path)
		p.hunks(oldText, newText)
		return
	}
	if single(old) && single(now) {
		var change string
		switch {
		case old == nil:
			change = "+ " + show(now)
		case now == nil:
			change = "- " + show(old)
		default:
			change = show(old) + " → " + show(now)
		}
		if one := indent + f.Path + ": " + change; utf8.RuneCountInString(one)+len(p.style.Indent) <= p.style.Width {
			p.line("", one)
			return
		}
	}
	p.path(f.Path)
	a, b := block(old), block(now)
	if len(a) == 1 && len(b) == 1 {
		a[0], b[0] = p.window(a[0], b[0])
	}
	for _, line := range a {
		p.line("-", indent+"  - "+p.cut(line))
	}
	for _, line := range b {
		p.line("+", indent+"  + "+p.cut(line))
	}
}

// path writes a field's path on a line of its own, or on several, broken before
// a dot outside of brackets, if it is longer than the line.
func (p *printer) path(path string) {
	width := max(p.style.Width-len(p.style.Indent)-len(indent)-1, 20)
	for start := indent; ; start = indent + "  " {
		if len(path) <= width {
			p.line("", start+path+":")
			return
		}
		end, depth := 0, 0
		for i, c := range path {
			switch c {
			case '[':
				depth++
			case ']':
				depth--
			case '.':
				if depth == 0 && i > 0 && (i < width || end == 0) {
					end = i
				}
			}
		}
		if end == 0 {
			p.line("", start+path+":")
			return
		}
		p.line("", start+path[:end])
		path, width = path[end:], max(p.style.Width-len(p.style.Indent)-len(indent)-3, 20)
	}
}

// hunks writes a unified diff of two texts.
func (p *printer) hunks(old, now string) {
	for _, h := range unified(old, now) {
		p.line("@", indent+"  "+h.head())
		sign := func(i int) byte {
			if i < 0 || i >= len(h.lines) {
				return ' '
			}
			return h.lines[i][0]
		}
		texts := make([]string, len(h.lines))
		for i, l := range h.lines {
			texts[i] = l[1:]
		}
		for i := range texts {
			if sign(i-1) != '-' && sign(i) == '-' && sign(i+1) == '+' && sign(i+2) != '+' { // one line for another
				texts[i], texts[i+1] = p.window(texts[i], texts[i+1])
			}
			p.line(string(sign(i)), strings.TrimRight(indent+"  "+string(sign(i))+" "+p.cut(texts[i]), " "))
		}
	}
}

// room is how many columns a value has behind its sign.
func (p *printer) room() int { return max(p.style.Width-len(p.style.Indent)-len(indent)-4, 20) }

func (p *printer) cut(line string) string {
	runes := []rune(line)
	if len(runes) <= p.room() {
		return line
	}
	return string(runes[:p.room()-1]) + "…"
}

// window cuts the beginning off two long lines that is the same in both, so
// that what differs is in sight.
func (p *printer) window(a, b string) (string, string) {
	x, y := []rune(a), []rune(b)
	if max(len(x), len(y)) <= p.room() {
		return a, b
	}
	same := 0
	for same < len(x) && same < len(y) && x[same] == y[same] {
		same++
	}
	start := same - p.room()/3
	if start <= 1 {
		return a, b
	}
	return "…" + string(x[start:]), "…" + string(y[start:])
}

// single says whether a value is written on one line.
func single(v any) bool {
	switch v := v.(type) {
	case string:
		return !strings.Contains(v, "\n")
	case map[string]any:
		return len(v) == 0
	case []any:
		for _, item := range v {
			if _, ok := item.(string); !ok {
				return false
			}
		}
		return len(v) < 6
	}
	return true
}

// show writes a value that is single. Text is quoted where it could be taken
// for something else.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "(none)"
	case string:
		return showText(v)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = show(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	if n, ok := number(v); ok {
		return n
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}

func showText(s string) string {
	var other any
	plain := s != "" && strings.TrimSpace(s) == s && !strings.ContainsAny(s, "\"\x00\x1b") && strconv.Quote(s) == `"`+s+`"`
	if plain && (s[0] == '-' || s[0] == '.' || s[0] >= '0' && s[0] <= '9' || len(s) < 6 || s[0] == '[' || s[0] == '{') {
		if yaml.Unmarshal([]byte(s), &other) == nil {
			_, plain = other.(string)
		}
	}
	if plain {
		return s
	}
	return strconv.Quote(s)
}

// block writes a value on as many lines as it takes.
func block(v any) []string {
	switch {
	case v == nil:
		return nil
	case single(v):
		return []string{show(v)}
	}
	if s, ok := v.(string); ok {
		return splitLines(s)
	}
	data, err := yaml.Marshal(v)
	if err != nil {
		return []string{fmt.Sprint(v)}
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}
