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
	err    error
}

// Points are all that could be executed of the chart's and its subcharts'
// templates.
func (c *Chart) Points() ([]Point, error) {
	c.everything.once.Do(func() {
		p := newProgram(c.source)
		if c.everything.err = p.parse(nil, true); c.everything.err == nil {
			c.everything.points = p.points(nil)
			for _, probe := range p.probes {
				if probe.kind == probeRead {
					c.everything.reads = append(c.everything.reads, probe)
				}
			}
		}
	})
	return c.everything.points, c.everything.err
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
