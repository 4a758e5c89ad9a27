package engine

import "text/template/parse"

// tickFunc is called in every round of every loop, because text/template can't
// be interrupted and a loop that writes nothing would never be heard of again.
const tickFunc = "_tick"

func (w *worker) tick() (string, error) {
	x := w.render
	if x.writes++; x.writes&0xff == 0 {
		return "", x.expired()
	}
	return "", nil
}

// addTicks puts a tick at the start of every loop's body. It writes nothing.
func addTicks(l *parse.ListNode) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.IfNode:
			addTicks(n.List)
			addTicks(n.ElseList)
		case *parse.WithNode:
			addTicks(n.List)
			addTicks(n.ElseList)
		case *parse.RangeNode:
			addTicks(n.List)
			addTicks(n.ElseList)
			call := &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos,
				Args: []parse.Node{parse.NewIdentifier(tickFunc).SetPos(n.Pos)}}
			tick := &parse.ActionNode{NodeType: parse.NodeAction, Pos: n.Pos, Line: n.Line,
				Pipe: &parse.PipeNode{NodeType: parse.NodePipe, Pos: n.Pos, Line: n.Line, Cmds: []*parse.CommandNode{call}}}
			n.List.Nodes = append([]parse.Node{tick}, n.List.Nodes...)
		}
	}
}

func isTick(n *parse.ActionNode) bool {
	id, ok := n.Pipe.Cmds[0].Args[0].(*parse.IdentifierNode)
	return ok && id.Ident == tickFunc
}
