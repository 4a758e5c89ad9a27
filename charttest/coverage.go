package charttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// Coverage says which parts of a chart's templates some renders executed.
type Coverage struct {
	Files []FileCoverage // by name
	// Unread are the templates that can't be parsed. Helm renders the chart all
	// the same where they are of a subchart that is turned off.
	Unread []*Failure

	texts map[string]string
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

// Cover says which parts of the templates the renders executed. Templates of
// subcharts that none of them turned on count as not executed. Each render is
// made once more, with a record of its execution.
func (c *Chart) Cover(ctx context.Context, renders ...*Render) (*Coverage, error) {
	s := c.Survey()
	for _, r := range renders {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := s.Cover(r); err != nil {
			return nil, err
		}
	}
	return s.Coverage(), nil
}

func (c *Chart) coverage(points []engine.Point) *Coverage {
	cov := &Coverage{texts: c.engine.Templates()}
	for _, f := range c.engine.Unread() {
		var failure *Failure
		if errors.As(convert(c.engine, f), &failure) {
			cov.Unread = append(cov.Unread, failure)
		}
	}
	files := make(map[string]*FileCoverage)
	for i := range points {
		p := &points[i]
		file := c.engine.Source(p.Template)
		f, ok := files[file]
		if !ok {
			f = &FileCoverage{File: file, lines: make(map[int]bool)}
			files[file] = f
		}
		if p.Branch {
			f.Branches.add(p.Count > 0)
			if p.Count == 0 {
				place := Place{Template: p.Template, File: file, Line: p.Line}
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
	return cov
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
