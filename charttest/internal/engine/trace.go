package engine

import (
	"reflect"
	"sort"
	"strings"
)

// trace is what an instrumented render recorded: how often each probe was
// passed, which probe wrote which part of the output, and which values were
// read.
type trace struct {
	program *program
	counts  []uint32
	stack   []*recording
	outputs map[string]*recording // by template
	reads   reads
}

// recording is what one template, or one include, wrote, and who wrote it.
type recording struct {
	name     string // define or template; "" for tpl
	buf      *output
	text     string
	marks    []mark
	included []*recording
	from     []int // for each included: the index of the mark that called it
}

// mark says that from offset on, until the next mark, the output was written
// by a probe's node.
type mark struct {
	offset int
	probe  int
}

func newTrace(p *program, values map[string]any) *trace {
	t := &trace{program: p, counts: make([]uint32, len(p.probes)), outputs: make(map[string]*recording)}
	t.reads.register(values)
	return t
}

func (t *trace) open(buf *output) {
	t.stack = append(t.stack, &recording{buf: buf})
}

func (t *trace) pop(text string) *recording {
	r := t.stack[len(t.stack)-1]
	t.stack = t.stack[:len(t.stack)-1]
	r.text, r.buf = text, nil
	return r
}

func (t *trace) close(template, text string) {
	r := t.pop(text)
	r.name = template
	t.outputs[template] = r
}

func (t *trace) closeInclude(name, text string) {
	r := t.pop(text)
	r.name = name
	if len(t.stack) == 0 {
		return
	}
	outer := t.stack[len(t.stack)-1]
	outer.included = append(outer.included, r)
	outer.from = append(outer.from, len(outer.marks)-1)
}

// pass notes that the node of a probe is about to be executed.
func (t *trace) pass(probe int) {
	t.counts[probe]++
	if n := len(t.stack); n > 0 {
		r := t.stack[n-1]
		r.marks = append(r.marks, mark{r.buf.text.Len(), probe})
	}
}

// locate returns where the given line of a template's output was written: the
// place in the rendered template and, if that is an include, places further in.
func (t *trace) locate(template string, line int) []Frame {
	r, ok := t.outputs[template]
	if !ok {
		return nil
	}
	return r.locate(t.program, line, 0)
}

func (r *recording) locate(p *program, line, depth int) []Frame {
	start := 0
	for i := 1; i < line; i++ {
		n := strings.IndexByte(r.text[start:], '\n')
		if n < 0 {
			return nil
		}
		start += n + 1
	}
	content, _, _ := strings.Cut(r.text[start:], "\n")
	at := start + len(content) - len(strings.TrimLeft(content, " \t-"))
	if at >= len(r.text) {
		at = start
	}
	i := sort.Search(len(r.marks), func(i int) bool { return r.marks[i].offset > at }) - 1
	if i < 0 {
		return nil
	}
	probe := p.probes[r.marks[i].probe]
	frame := Frame{Template: probe.template, Line: int(probe.line), Define: probe.define}
	if probe.kind == probeText {
		frame.Line += strings.Count(r.text[r.marks[i].offset:at], "\n")
		return []Frame{frame}
	}
	frames := []Frame{frame}
	if depth > 20 {
		return frames
	}
	// An include's lines keep their content and order on the way through
	// indent and its like; find the line by both.
	want := strings.TrimSpace(content)
	nth := strings.Count("\n"+indentless(r.text[min(r.marks[i].offset, start):start]), "\n"+want+"\n")
	for j, inc := range r.included {
		if r.from[j] != i {
			continue
		}
		for n, l := range strings.Split(inc.text, "\n") {
			if strings.TrimSpace(l) != want {
				continue
			}
			if nth > 0 {
				nth--
				continue
			}
			return append(frames, inc.locate(p, n+1, depth+1)...)
		}
	}
	return frames
}

// indentless cuts the indentation off every line.
func indentless(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return strings.Join(lines, "\n")
}

// Locate says which templates wrote the given line (from 1) of a template's
// output, from the rendered template to the innermost define. It renders once
// more to find out, the first time.
func (r *Result) Locate(template string, line int) []Frame {
	t, err := r.traced()
	if err != nil {
		return nil
	}
	return t.locate(template, line)
}

// pointer identifies a map.
func pointer(m map[string]any) uintptr { return reflect.ValueOf(m).Pointer() }
