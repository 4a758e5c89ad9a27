package engine

import (
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

	number int // its probe's
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
	p.each(func(i int, probe *probe) {
		if probe.kind == probeRead {
			return
		}
		point := Point{
			Frame: Frame{Template: probe.template, Line: int(probe.line), Define: probe.define},
			Pos:   int(probe.pos), Text: probe.what, Branch: probe.kind == probeBranch, number: int(probe.number),
		}
		if counts != nil {
			point.Count = counts[i]
		}
		points = append(points, point)
	})
	return points
}

// each calls f for the probes of the program's own templates.
func (p *program) each(f func(i int, probe *probe)) {
	for _, own := range p.own {
		for i := own.from; i < own.to; i++ {
			f(i, &p.probes[i])
		}
	}
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
		e.unread = p.parseWhatCan(c)
		e.points = p.points(nil)
		p.each(func(_ int, probe *probe) {
			if probe.kind == probeRead {
				e.reads = append(e.reads, *probe)
			}
		})
	})
	return e
}

// Executed adds up what renders executed, without keeping them. It may be added
// to by several goroutines at once.
type Executed struct {
	mu     sync.Mutex
	counts []uint32 // by a probe's number
}

// Add adds what a render executed. It renders once more to find out, the first
// time.
func (e *Executed) Add(r *Result) error {
	t, err := r.traced()
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(t.counts); n > len(e.counts) {
		e.counts = append(e.counts, make([]uint32, n-len(e.counts))...)
	}
	for i, n := range t.counts {
		e.counts[t.program.probes[i].number] += n
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
		n := p.number
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
func (e *Executed) executed(p *probe) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return int(p.number) < len(e.counts) && e.counts[p.number] > 0
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
