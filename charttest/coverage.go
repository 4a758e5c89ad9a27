package charttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// Coverage says which parts of a chart's templates some renders executed.
type Coverage struct {
	Files []FileCoverage // by name

	points map[pointKey]*engine.Point
	texts  map[string]string
}

// FileCoverage is the coverage of one template file, whose subchart may have
// been rendered under several names.
type FileCoverage struct {
	File     string   // on disk
	Branches Share    // of branches of if, with and range, and of defines
	Lines    Share    // of lines with an action or with text
	Missed   []Missed // branches never taken, by line
	lines    map[int]bool
}

// Share is a part of a whole.
type Share struct{ Hit, All int }

// Percent is the share in percent; of nothing it is 100.
func (s Share) Percent() float64 {
	if s.All == 0 {
		return 100
	}
	return 100 * float64(s.Hit) / float64(s.All)
}

func (s Share) String() string { return fmt.Sprintf("%.1f%% (%d of %d)", s.Percent(), s.Hit, s.All) }

func (s *Share) add(hit bool) {
	s.All++
	if hit {
		s.Hit++
	}
}

// Missed is a branch that was never taken.
type Missed struct {
	Place  Place
	Branch string // such as "else of if .Values.ingress.enabled"
}

type pointKey struct {
	file string
	pos  int
	text string
}

// Cover says which parts of the templates the renders executed. Templates of
// subcharts that none of them turned on count as not executed. Each render is
// made once more, with a record of its execution.
func (c *Chart) Cover(ctx context.Context, renders ...*Render) (*Coverage, error) {
	cov := &Coverage{points: make(map[pointKey]*engine.Point), texts: c.engine.Templates()}
	all, err := c.engine.Points()
	if err != nil {
		return nil, convert(c.engine, err)
	}
	cov.add(c, all)
	for _, r := range renders {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		points, err := r.result.Covered()
		if err != nil {
			return nil, convert(c.engine, err)
		}
		cov.add(c, points)
	}
	cov.sum()
	return cov, nil
}

func (cov *Coverage) add(c *Chart, points []engine.Point) {
	for i := range points {
		p := &points[i]
		key := pointKey{c.engine.Source(p.Template), p.Pos, p.Text}
		if have, ok := cov.points[key]; ok {
			have.Count += p.Count
		} else {
			mine := *p
			cov.points[key] = &mine
		}
	}
}

func (cov *Coverage) sum() {
	files := make(map[string]*FileCoverage)
	for key, p := range cov.points {
		f, ok := files[key.file]
		if !ok {
			f = &FileCoverage{File: key.file, lines: make(map[int]bool)}
			files[key.file] = f
		}
		if p.Branch {
			f.Branches.add(p.Count > 0)
			if p.Count == 0 {
				place := Place{Template: p.Template, File: key.file, Line: p.Line}
				f.Missed = append(f.Missed, Missed{Place: place, Branch: p.Text})
			}
			continue
		}
		// A text's lines are those with something in them.
		for i, line := range strings.Split(p.Text, "\n") {
			if strings.TrimSpace(line) != "" {
				f.lines[p.Line+i] = f.lines[p.Line+i] || p.Count > 0
			}
			if strings.HasPrefix(p.Text, "{{") {
				break
			}
		}
	}
	for _, f := range files {
		for _, hit := range f.lines {
			f.Lines.add(hit)
		}
		slices.SortFunc(f.Missed, func(a, b Missed) int {
			if a.Place.Line != b.Place.Line {
				return a.Place.Line - b.Place.Line
			}
			return strings.Compare(a.Branch, b.Branch)
		})
		cov.Files = append(cov.Files, *f)
	}
	slices.SortFunc(cov.Files, func(a, b FileCoverage) int { return strings.Compare(a.File, b.File) })
}

// Branches is the share of branches taken in all files.
func (cov *Coverage) Branches() Share {
	var s Share
	for _, f := range cov.Files {
		s.Hit, s.All = s.Hit+f.Branches.Hit, s.All+f.Branches.All
	}
	return s
}

// Lines is the share of lines executed in all files.
func (cov *Coverage) Lines() Share {
	var s Share
	for _, f := range cov.Files {
		s.Hit, s.All = s.Hit+f.Lines.Hit, s.All+f.Lines.All
	}
	return s
}

// Require fails the test if fewer than that many percent of the branches were
// taken, and names those that were not.
func (cov *Coverage) Require(t testing.TB, percent float64) {
	t.Helper()
	if share := cov.Branches(); share.Percent() < percent {
		t.Errorf("template branches taken: %v, want %.1f%%\n%s", share, percent, cov.missing(40))
	}
}

// missing lists branches never taken, at most that many.
func (cov *Coverage) missing(most int) string {
	var lines []string
	for _, f := range cov.Files {
		for _, m := range f.Missed {
			lines = append(lines, fmt.Sprintf("  %s: never taken: %s", m.Place, m.Branch))
		}
	}
	if more := len(lines) - most; more > 0 {
		lines = append(lines[:most], fmt.Sprintf("  and %d more", more))
	}
	return strings.Join(lines, "\n")
}
