package engine

import (
	"encoding/binary"
	"sort"
	"strconv"
	"text/template"
	"text/template/parse"
	"unsafe"
)

// probe is a point in a template that reports when it is executed.
type probe struct {
	kind     probeKind
	template string // file, as Helm prints it
	define   string
	pos      int // byte in the file
	line     int // from 1
	what     string
	fields   []string // for probeRead: the fields that are read
	usage    usage    // for probeRead: what becomes of the value
	asks     bool     // for probeRead: it only asks whether the value is there
}

type probeKind int

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
type passes struct{ bytes []byte }

// probe says which probe a text that is written stands for.
func (p *passes) probe(text []byte) (n int, ok bool) {
	if len(text) != 1 || len(p.bytes) == 0 {
		return 0, false
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(text))) - uintptr(unsafe.Pointer(unsafe.SliceData(p.bytes)))
	return int(at), at < uintptr(len(p.bytes))
}

// instrument puts a probe before every node of every template. Probes write
// nothing that is kept, so the output stays as it is.
func (p *program) instrument(root *template.Template) {
	var texts []*parse.TextNode // of probes that are passed
	defer func() {
		p.passes.bytes = make([]byte, len(p.probes))
		for _, t := range texts {
			n := int(binary.LittleEndian.Uint32(t.Text))
			t.Text = p.passes.bytes[n : n+1 : n+1]
		}
	}()
	lines := make(map[string][]int, len(p.templates))
	for _, s := range p.templates {
		lines[s.name] = newlines(s.text)
	}
	for _, t := range root.Templates() {
		if t.Tree == nil || t.Tree.Root == nil {
			continue
		}
		in := &instrumenter{program: p, passes: &texts, tree: t.Tree, lines: lines[t.Tree.ParseName]}
		if t.Tree.Name != t.Tree.ParseName {
			in.branch(t.Tree.Root, t.Tree.Root.Position(), "define "+strconv.Quote(t.Tree.Name))
		} else {
			in.list(t.Tree.Root)
		}
	}
}

type instrumenter struct {
	program *program
	passes  *[]*parse.TextNode
	tree    *parse.Tree
	lines   []int // where they end
	asking  bool  // in the condition of what only refuses a value
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
	pr.template, pr.define, pr.pos = in.tree.ParseName, in.tree.Name, int(pos)
	if pr.line == 0 {
		pr.line = in.line(pos)
	}
	in.program.probes = append(in.program.probes, pr)
	return len(in.program.probes) - 1
}

// pass registers a probe and returns the node that tells of it, for now with
// its number.
func (in *instrumenter) pass(pos parse.Pos, pr probe) parse.Node {
	text := &parse.TextNode{NodeType: parse.NodeText, Pos: pos, Text: binary.LittleEndian.AppendUint32(nil, uint32(in.add(pos, pr)))}
	*in.passes = append(*in.passes, text)
	return text
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
			out = append(out, in.pass(n.Pos, probe{kind: probeAction, line: n.Line, what: n.String()}))
		case *parse.TemplateNode:
			if n.Pipe != nil {
				out = append(out, in.reads(n.Pipe, usePass)...)
			}
			out = append(out, in.pass(n.Pos, probe{kind: probeAction, line: n.Line, what: n.String()}))
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
	out = append(out, in.pass(b.Pos, probe{kind: probeAction, line: b.Line, what: "{{" + name + " " + b.Pipe.String() + "}}"}))
	in.branch(b.List, b.Pos, name+" "+b.Pipe.String())
	if b.ElseList == nil {
		b.ElseList = &parse.ListNode{NodeType: parse.NodeList, Pos: b.Pos}
	}
	in.branch(b.ElseList, b.Pos, "else of "+name+" "+b.Pipe.String())
	return out
}
