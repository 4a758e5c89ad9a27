package engine

import (
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/chart"
)

// Point is a part of a template that is executed or not.
type Point struct {
	Frame
	Pos    int    // byte in the file
	Text   string // of the action or text, or which branch it is
	Branch bool   // a branch of if, with or range, or a define; else an action or text
	Count  uint32 // how often it was executed
}

// Covered returns what the render executed of the templates it had. It renders
// once more to find out, the first time.
func (r *Result) Covered() ([]Point, error) {
	t, err := r.traced()
	if err != nil {
		return nil, err
	}
	return t.program.points(t.counts), nil
}

// points are the program's probes that cover something.
func (p *program) points(counts []uint32) []Point {
	var points []Point
	for i, probe := range p.probes {
		if probe.kind == probeRead {
			continue
		}
		point := Point{
			Frame: Frame{Template: probe.template, Line: probe.line, Define: probe.define},
			Pos:   probe.pos, Text: probe.what, Branch: probe.kind == probeBranch,
		}
		if counts != nil {
			point.Count = counts[i]
		}
		points = append(points, point)
	}
	return points
}

// everything is the chart with all the subcharts it carries, whatever turns
// them on.
type everything struct {
	once   sync.Once
	points []Point
	reads  []probe
	unread []*Failure
}

// Points are all that could be executed of the chart's and its subcharts'
// templates, and Unread says which of these can't be parsed: Helm renders a
// chart whose broken subchart is turned off.
func (c *Chart) Points() []Point { return c.all().points }

// Unread are the failures to parse a template.
func (c *Chart) Unread() []*Failure { return c.all().unread }

func (c *Chart) all() *everything {
	e := &c.everything
	e.once.Do(func() {
		p := newProgram(c.helm, c.source)
		e.unread = p.parseWhatCan()
		e.points = p.points(nil)
		for _, probe := range p.probes {
			if probe.kind == probeRead {
				e.reads = append(e.reads, probe)
			}
		}
	})
	return e
}

// Executed adds up what renders executed, without keeping them. It may be added
// to by several goroutines at once.
type Executed struct {
	mu     sync.Mutex
	counts []uint32 // by the chart's number of a probe
}

// Add adds what a render executed. It renders once more to find out, the first
// time.
func (e *Executed) Add(r *Result) error {
	t, err := r.traced()
	if err != nil {
		return err
	}
	numbers := t.program.numbers(r.Chart)
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := r.Chart.probes.len(); n > len(e.counts) {
		e.counts = append(e.counts, make([]uint32, n-len(e.counts))...)
	}
	for i, n := range t.counts {
		e.counts[numbers[i]] += n
	}
	return nil
}

// Points are all that could be executed of the chart's templates, with how
// often it was. The same text of a subchart under several names is one.
func (e *Executed) Points(c *Chart) []Point {
	all := c.all()
	e.mu.Lock()
	defer e.mu.Unlock()
	var points []Point
	seen := make(map[int]bool)
	for _, p := range all.points {
		n := c.probes.number(p.key(c))
		if seen[n] {
			continue
		}
		seen[n] = true
		if n < len(e.counts) {
			p.Count = e.counts[n]
		}
		points = append(points, p)
	}
	return points
}

// executed says whether any render executed a probe.
func (e *Executed) executed(c *Chart, p *probe) bool {
	n := c.probes.number(p.key(c))
	e.mu.Lock()
	defer e.mu.Unlock()
	return n < len(e.counts) && e.counts[n] > 0
}

// probeKey names a probe in all programs that have its template.
type probeKey struct {
	file   string
	pos    int
	kind   probeKind
	what   string
	fields string
}

func (p *probe) key(c *Chart) probeKey {
	k := probeKey{file: c.Source(p.template), pos: p.pos, kind: p.kind, what: p.what, fields: strings.Join(p.fields, ".")}
	if k.kind == probeText {
		k.kind = probeAction // a point doesn't tell them apart
	}
	return k
}

func (p *Point) key(c *Chart) probeKey {
	k := probeKey{file: c.Source(p.Template), pos: p.Pos, kind: probeAction, what: p.Text}
	if p.Branch {
		k.kind = probeBranch
	}
	return k
}

// numbering gives the probes of a chart's programs their numbers.
type numbering struct {
	mu    sync.Mutex
	byKey map[probeKey]int
}

func (n *numbering) number(key probeKey) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	i, ok := n.byKey[key]
	if !ok {
		if n.byKey == nil {
			n.byKey = make(map[probeKey]int)
		}
		i = len(n.byKey)
		n.byKey[key] = i
	}
	return i
}

func (n *numbering) len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.byKey)
}

// numbers are those of the program's probes.
func (p *program) numbers(c *Chart) []int {
	p.number.Do(func() {
		p.numbered = make([]int, len(p.probes))
		for i := range p.probes {
			p.numbered[i] = c.probes.number(p.probes[i].key(c))
		}
	})
	return p.numbered
}

// Templates returns the text of every template of the chart and its
// subcharts, by the file it was read from.
func (c *Chart) Templates() map[string]string {
	texts := make(map[string]string)
	var visit func(ch *chart.Chart)
	visit = func(ch *chart.Chart) {
		for _, t := range ch.Templates {
			if t != nil {
				texts[c.Source(ch.ChartFullPath()+"/"+t.Name)] = string(t.Data)
			}
		}
		for _, sub := range ch.Dependencies() {
			visit(sub)
		}
	}
	visit(c.source)
	return texts
}
