package engine

import (
	"bytes"
	"sort"
	"strconv"
	"sync"
	"text/template"
	"text/template/parse"
	"unsafe"
)

// probe is a point in a template that reports when it is executed.
type probe struct {
	*origin
	what   string
	fields []string // for probeRead: the fields that are read
	pos    int32    // byte in the file
	line   int32    // from 1
	number int32    // the same for a subchart's template under all its names
	kind   probeKind
	usage  usage // for probeRead: what becomes of the value
	asks   bool  // for probeRead: it only asks whether the value is there
}

// origin is where a probe is.
type origin struct {
	template string // file, as Helm prints it
	define   string
}

type probeKind uint8

const (
	probeText   probeKind = iota // literal text is about to be written
	probeAction                  // an action is about to be executed
	probeBranch                  // a branch was taken
	probeRead                    // fields of something are about to be read
)

const readFunc = "_read"

func (w *worker) addProbes(f template.FuncMap) {
	f[readFunc] = func(n int, receiver any) string {
		if t := w.render.trace; t != nil {
			t.counts[n]++
			t.reads.note(n, &t.program.probes[n], receiver)
		}
		return ""
	}
}

// passes are texts of one byte each, one a probe, that instrumented templates
// write where they pass it: the writer knows them by where they lie, and leaves
// them out. To call a function would take reflection, at every node.
type passes [][]byte // of passPage each, all spaces: what has nothing else in it is empty, as without them

const passPage = 1 << 14

// probe says which probe a text that is written stands for.
func (p passes) probe(text []byte) (n int, ok bool) {
	if len(text) != 1 {
		return 0, false
	}
	for i, page := range p {
		at := uintptr(unsafe.Pointer(unsafe.SliceData(text))) - uintptr(unsafe.Pointer(unsafe.SliceData(page)))
		if at < passPage {
			return i*passPage + int(at), true
		}
	}
	return 0, false
}

// text is that of a probe.
func (p *passes) text(probe int) []byte {
	page, at := probe/passPage, probe%passPage
	if page == len(*p) {
		*p = append(*p, bytes.Repeat([]byte(" "), passPage))
	}
	return (*p)[page][at : at+1 : at+1]
}

// span is a part of a chart's probes.
type span struct{ from, to int }

// instruments are a chart's templates with probes, each instrumented once for all
// programs that have it. Probes are added, never changed.
type instruments struct {
	mu     sync.Mutex
	byName map[string]*parsedSource
	byFile map[string]instrumentedFile
	probes []probe
	passes passes
}

// instrumentedFile is what was instrumented first of a file.
type instrumentedFile struct {
	text string
	from int
}

// parse parses a template and puts a probe before every node of it. Probes write
// nothing that is kept, so the output stays as it is.
func (i *instruments) parse(c *Chart, s *source) *parsedSource {
	i.mu.Lock()
	defer i.mu.Unlock()
	if have, ok := i.byName[s.name]; ok && have.text == s.text {
		return have
	}
	if i.byName == nil {
		i.byName, i.byFile = make(map[string]*parsedSource), make(map[string]instrumentedFile)
	}
	from := len(i.probes)
	parsed, lines := parseSource(c.helm, s), newlines(s.text)
	for _, tree := range parsed.trees {
		at := span{from: len(i.probes)}
		if tree.Root != nil {
			in := &instrumenter{instruments: i, origin: &origin{tree.ParseName, tree.Name}, tree: tree, lines: lines}
			if tree.Name != tree.ParseName {
				in.branch(tree.Root, tree.Root.Position(), "define "+strconv.Quote(tree.Name))
			} else {
				in.list(tree.Root)
			}
		}
		at.to = len(i.probes)
		parsed.spans = append(parsed.spans, at)
	}
	i.byName[s.name] = parsed
	file := c.Source(s.name)
	first, ok := i.byFile[file]
	if !ok || first.text != s.text {
		first = instrumentedFile{s.text, from}
		i.byFile[file] = first
	}
	for n := from; n < len(i.probes); n++ {
		i.probes[n].number = int32(n - from + first.from)
	}
	return parsed
}

// all are the probes so far.
func (i *instruments) all() ([]probe, passes) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.probes[:len(i.probes):len(i.probes)], i.passes[:len(i.passes):len(i.passes)]
}

type instrumenter struct {
	*instruments
	origin *origin
	tree   *parse.Tree
	lines  []int // where they end
	asking bool  // in the condition of what only refuses a value
}

func (in *instrumenter) line(pos parse.Pos) int {
	return 1 + sort.SearchInts(in.lines, int(pos))
}

// newlines are the places of the newlines in a text: a file of helpers has
// thousands of nodes, for each of which its line is looked up.
func newlines(text string) (at []int) {
	for i := range len(text) {
		if text[i] == '\n' {
			at = append(at, i)
		}
	}
	return at
}

// add registers a probe and returns its number.
func (in *instrumenter) add(pos parse.Pos, pr probe) int {
	pr.origin, pr.pos = in.origin, int32(pos)
	if pr.line == 0 {
		pr.line = int32(in.line(pos))
	}
	in.probes = append(in.probes, pr)
	return len(in.probes) - 1
}

// pass registers a probe and returns the node that tells of it.
func (in *instrumenter) pass(pos parse.Pos, pr probe) parse.Node {
	return &parse.TextNode{NodeType: parse.NodeText, Pos: pos, Text: in.passes.text(in.add(pos, pr))}
}

// read registers a probe and returns the node that hands what is read to it.
func (in *instrumenter) read(pos parse.Pos, pr probe, receiver parse.Node) parse.Node {
	n, line := in.add(pos, pr), in.line(pos)
	number := &parse.NumberNode{NodeType: parse.NodeNumber, Pos: pos, IsInt: true, Int64: int64(n), Text: strconv.Itoa(n)}
	call := []parse.Node{parse.NewIdentifier(readFunc).SetTree(in.tree).SetPos(pos), number, receiver}
	return &parse.ActionNode{NodeType: parse.NodeAction, Pos: pos, Line: line,
		Pipe: &parse.PipeNode{NodeType: parse.NodePipe, Pos: pos, Line: line,
			Cmds: []*parse.CommandNode{{NodeType: parse.NodeCommand, Pos: pos, Args: call}}}}
}

// branch instruments a list of nodes that is executed or not.
func (in *instrumenter) branch(l *parse.ListNode, pos parse.Pos, what string) {
	in.list(l)
	enter := in.pass(pos, probe{kind: probeBranch, what: what})
	l.Nodes = append([]parse.Node{enter}, l.Nodes...)
}

func (in *instrumenter) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	var out []parse.Node
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			out = append(out, in.pass(n.Pos, probe{kind: probeText, what: string(n.Text)}))
		case *parse.ActionNode:
			if isTick(n) {
				break
			}
			out = append(out, in.reads(n.Pipe, usePrint)...)
			out = append(out, in.pass(n.Pos, probe{kind: probeAction, line: int32(n.Line), what: n.String()}))
		case *parse.TemplateNode:
			if n.Pipe != nil {
				out = append(out, in.reads(n.Pipe, usePass)...)
			}
			out = append(out, in.pass(n.Pos, probe{kind: probeAction, line: int32(n.Line), what: n.String()}))
		case *parse.IfNode:
			in.asking = refuses(n.List)
			out = append(out, in.control(&n.BranchNode, "if", useTruth)...)
		case *parse.WithNode:
			out = append(out, in.control(&n.BranchNode, "with", usePass)...)
		case *parse.RangeNode:
			out = append(out, in.control(&n.BranchNode, "range", useChildren)...)
		}
		out = append(out, n)
	}
	l.Nodes = out
}

// control instruments both branches of if, with or range. One that has no
// else gets an empty one, so that its not being taken can be seen too.
func (in *instrumenter) control(b *parse.BranchNode, name string, use usage) []parse.Node {
	out := in.reads(b.Pipe, use)
	in.asking = false
	out = append(out, in.pass(b.Pos, probe{kind: probeAction, line: int32(b.Line), what: "{{" + name + " " + b.Pipe.String() + "}}"}))
	in.branch(b.List, b.Pos, name+" "+b.Pipe.String())
	if b.ElseList == nil {
		b.ElseList = &parse.ListNode{NodeType: parse.NodeList, Pos: b.Pos}
	}
	in.branch(b.ElseList, b.Pos, "else of "+name+" "+b.Pipe.String())
	return out
}
