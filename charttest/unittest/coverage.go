package unittest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// Coverage says which branches of the templates the suites took.
type Coverage struct {
	Branches charttest.Share
	Missed   []charttest.Missed // branches never taken, by file and line
}

// executed collects what renders executed.
type executed struct {
	mu     sync.Mutex
	points map[point]*branch
}

type point struct {
	file string
	pos  int
	text string
}

type branch struct {
	engine.Point
	file string
}

// add notes what a render executed.
func (e *executed) add(c *engine.Chart, out *engine.Outputs) {
	if points, _ := out.Covered(); points != nil {
		e.note(c, points)
	}
}

func (e *executed) note(c *engine.Chart, points []engine.Point) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.points == nil {
		e.points = make(map[point]*branch)
	}
	for _, p := range points {
		if !p.Branch {
			continue
		}
		key := point{c.Source(p.Template), p.Pos, p.Text}
		if have, ok := e.points[key]; ok {
			have.Count += p.Count
		} else {
			e.points[key] = &branch{p, key.file}
		}
	}
}

func (e *executed) report() *Coverage {
	cov := new(Coverage)
	for _, b := range slices.SortedFunc(maps.Values(e.points), func(a, b *branch) int {
		return cmp.Or(strings.Compare(a.file, b.file), a.Line-b.Line, a.Pos-b.Pos, strings.Compare(a.Text, b.Text))
	}) {
		cov.Branches.All++
		if b.Count > 0 {
			cov.Branches.Hit++
			continue
		}
		cov.Missed = append(cov.Missed, charttest.Missed{
			Place: charttest.Place{Template: b.Template, File: b.file, Line: b.Line}, Branch: b.Text,
		})
	}
	return cov
}

// print lists the share of branches and those that were never taken.
func (cov *Coverage) print(p *printer) {
	p.line(0, fmt.Sprintf("\nBranches:    %s", cov.Branches))
	for _, m := range cov.Missed {
		p.line(1, fmt.Sprintf("%s: never taken: %s", m.Place, m.Branch))
	}
}
