package engine

import (
	"text/template/parse"

	"helm.sh/helm/v3/pkg/chartutil"
)

// usage is what a template does with something it reads.
type usage uint8

const (
	usePrint    usage = iota // writes it, or hands it to a function: all of it counts
	useTruth                 // asks whether it is set or empty
	useChildren              // walks over it: what is directly in it counts
	usePass                  // hands it on, to be read elsewhere
)

// reads are the value paths that a render read.
type reads struct {
	paths map[uintptr]string // maps that are part of the values → path
	seen  map[string]*read
	hits  map[hit]bool // what found something, at whichever path
	bases map[base]bool
}

// base is a table of the values that a define read something of.
type base struct{ template, define, path string }

// hit is one field of a probe's fields.
type hit struct{ probe, field int }

// read is a value path that was read.
type read struct {
	by    hit   // the first that read it
	use   usage // the widest use made of it
	found bool  // whether there was anything
	asks  bool  // nothing but asks whether there is
}

func (r *reads) register(values map[string]any) {
	r.paths = make(map[uintptr]string)
	r.seen = make(map[string]*read)
	r.hits = make(map[hit]bool)
	r.bases = make(map[base]bool)
	r.walk(values, "")
}

func (r *reads) walk(v any, path string) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := r.paths[pointer(v)]; ok {
			return
		}
		r.paths[pointer(v)] = path
		for k, item := range v {
			r.walk(item, concat(path, k))
		}
	case []any:
		for _, item := range v {
			r.walk(item, path+"[]")
		}
	}
}

func (r *reads) note(n int, p *probe, receiver any) {
	cur := receiver
	fields := p.fields
	if m, ok := cur.(chartutil.Values); ok {
		cur = map[string]any(m)
	}
	for i, field := range fields {
		if vs, ok := cur.(chartutil.Values); ok {
			cur = map[string]any(vs)
		}
		m, ok := cur.(map[string]any)
		if !ok {
			return
		}
		next, found := m[field]
		if at, ok := r.paths[pointer(m)]; ok {
			r.bases[base{p.template, p.define, at}] = true
			use := usePass
			if i == len(fields)-1 {
				use = p.usage
			}
			r.mark(concat(at, field), hit{n, i}, use, found, p.asks && use == p.usage)
		}
		cur = next
	}
	// A part of the values may be reached by other ways than through them: as
	// dot, or out of a dict.
	if m, ok := cur.(map[string]any); ok {
		if path, ok := r.paths[pointer(m)]; ok {
			r.mark(path, hit{n, len(fields)}, p.usage, true, false)
		}
	}
}

func (r *reads) mark(path string, by hit, use usage, found, asks bool) {
	r.hits[by] = r.hits[by] || found
	seen, ok := r.seen[path]
	if !ok {
		r.seen[path] = &read{by, use, found, asks}
		return
	}
	seen.use = min(seen.use, use)
	seen.found = seen.found || found
	seen.asks = seen.asks && asks
}

// reads returns the probes for everything that a pipeline reads.
func (in *instrumenter) reads(pipe *parse.PipeNode, use usage) []parse.Node {
	if pipe == nil {
		return nil
	}
	if len(pipe.Decl) > 0 && use == usePrint {
		use = usePass // bound to a variable, whose reads are seen by themselves
	}
	var out []parse.Node
	for i, cmd := range pipe.Cmds {
		// What stands before a bar is the last argument of what follows.
		then := use
		if i < len(pipe.Cmds)-1 {
			then = argumentUse(pipe.Cmds[i+1], use)
		}
		out = append(out, in.commandReads(cmd, then)...)
	}
	return out
}

func (in *instrumenter) commandReads(cmd *parse.CommandNode, use usage) []parse.Node {
	var out []parse.Node
	if len(cmd.Args) == 1 {
		return in.nodeReads(cmd.Args[0], nil, use)
	}
	if fields, receiver := indexed(cmd); receiver != nil {
		if cmd.Args[0].(*parse.IdentifierNode).Ident == "hasKey" {
			defer func(was bool) { in.asking = was }(in.asking)
			in.asking = true
		}
		return in.nodeReads(receiver, fields, use)
	}
	for i, arg := range cmd.Args {
		if i == 0 {
			if _, ok := arg.(*parse.IdentifierNode); ok {
				continue
			}
		}
		out = append(out, in.nodeReads(arg, nil, argumentUse(cmd, use))...)
	}
	return out
}

// indexed recognises index, get, hasKey and dig with literal keys, which are
// field accesses by another name.
func indexed(cmd *parse.CommandNode) (fields []string, receiver parse.Node) {
	id, ok := cmd.Args[0].(*parse.IdentifierNode)
	if !ok || len(cmd.Args) < 3 {
		return nil, nil
	}
	var keys []parse.Node
	switch id.Ident {
	case "index", "get", "hasKey":
		receiver, keys = cmd.Args[1], cmd.Args[2:]
	case "dig": // keys, a default, and what to dig in
		receiver, keys = cmd.Args[len(cmd.Args)-1], cmd.Args[1:len(cmd.Args)-2]
	default:
		return nil, nil
	}
	for _, arg := range keys {
		s, ok := arg.(*parse.StringNode)
		if !ok {
			return nil, nil
		}
		fields = append(fields, s.Text)
	}
	return fields, receiver
}

// refuses says whether a branch does nothing but call fail.
func refuses(l *parse.ListNode) bool {
	for _, n := range l.Nodes {
		action, ok := n.(*parse.ActionNode)
		if !ok {
			continue
		}
		last := action.Pipe.Cmds[len(action.Pipe.Cmds)-1]
		if id, ok := last.Args[0].(*parse.IdentifierNode); ok && id.Ident == "fail" {
			return true
		}
	}
	return false
}

// argumentUse says what a function does with its arguments.
func argumentUse(cmd *parse.CommandNode, use usage) usage {
	id, ok := cmd.Args[0].(*parse.IdentifierNode)
	if !ok {
		return usePrint
	}
	switch id.Ident {
	case "include", "tpl", "dict", "list", "tuple", "set", "append", "prepend":
		return usePass
	case "default", "coalesce", "ternary", "and", "or", "required":
		return use
	case "not", "empty", "kindIs", "kindOf", "typeIs", "typeOf":
		return useTruth
	case "keys", "values", "pick", "omit", "hasKey", "len":
		return useChildren
	}
	return usePrint
}

func (in *instrumenter) nodeReads(n parse.Node, then []string, use usage) []parse.Node {
	emit := func(receiver parse.Node, fields []string) []parse.Node {
		all := append(append([]string{}, fields...), then...)
		pr := probe{kind: probeRead, fields: all, usage: use, what: n.String(), asks: in.asking}
		return []parse.Node{in.read(n.Position(), pr, receiver)}
	}
	switch n := n.(type) {
	case *parse.DotNode:
		return emit(n, nil)
	case *parse.FieldNode:
		return emit(&parse.DotNode{NodeType: parse.NodeDot, Pos: n.Pos}, n.Ident)
	case *parse.VariableNode:
		bare := &parse.VariableNode{NodeType: parse.NodeVariable, Pos: n.Pos, Ident: n.Ident[:1]}
		return emit(bare, n.Ident[1:])
	case *parse.ChainNode:
		// The inner pipeline is not evaluated twice: what it returns may be a
		// part of the values or not, so all of it counts as read.
		return in.nodeReads(n.Node, nil, usePrint)
	case *parse.PipeNode:
		if len(then) > 0 {
			use = usePrint
		}
		return in.reads(n, use)
	}
	return nil
}
