package unittest

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fatih/color"
)

// Report is what came of charts' suites.
type Report struct {
	Charts   []*ChartResult
	Coverage *Coverage // nil unless asked for
	Duration time.Duration
}

// ChartResult is what came of a chart's suites.
type ChartResult struct {
	Name, Path string
	Passed     bool
	Err        error          // no suite was run
	Broken     []*SuiteResult // files that are no suites
	Suites     []*SuiteResult // in order
}

// SuiteResult is what came of a suite.
type SuiteResult struct {
	Name, File string
	Passed     bool
	Skipped    bool
	FailFast   bool // it ended at its first failure
	Err        error
	Tests      []*TestResult // in order; nil for those not run after a failure
	Snapshots  struct{ Total, Failed, Created, Vanished uint }

	unreported bool // printed, but in no file of results
}

// TestResult is what came of a test.
type TestResult struct {
	Name       string
	Index      int
	Line       int // of the suite file; 0 if it has no name
	Passed     bool
	Skipped    bool
	Err        error // why it wasn't rendered, also if that was expected
	Assertions []*AssertionResult
	Duration   time.Duration
	Failures   []Failure
}

// Passed says whether all that was to be run was run and passed.
func (r *Report) Passed() bool {
	return !slices.ContainsFunc(r.Charts, func(c *ChartResult) bool { return !c.Passed })
}

// Failures are the places of all that failed, in order.
func (r *Report) Failures() []Failure {
	var all []Failure
	for s := range r.suites {
		for _, t := range s.Tests {
			if t != nil && !t.Passed && !t.Skipped {
				all = append(all, t.Failures...)
			}
		}
	}
	return all
}

func (r *Report) suites(yield func(*SuiteResult) bool) {
	for _, c := range r.Charts {
		for _, s := range c.Suites {
			if !s.unreported && !yield(s) {
				return
			}
		}
	}
}

// Title is what helm-unittest says first of an assertion that failed.
func (a *AssertionResult) Title() string {
	not := ""
	if a.Not {
		not = " NOT"
	}
	return fmt.Sprintf("- asserts[%d]%s `%s` fail", a.Index, not, a.Type)
}

// printer prints with indentation and perhaps in color.
type printer struct {
	w       io.Writer
	colored *bool
}

func (p *printer) line(indent int, text string) {
	fmt.Fprintln(p.w, strings.Repeat("\t", indent)+text)
}

func (p *printer) paint(text string, how ...color.Attribute) string {
	c := color.New(how...)
	if p.colored != nil && *p.colored {
		c.EnableColor()
	} else if p.colored != nil {
		c.DisableColor()
	}
	return c.Sprint(text)
}

func (p *printer) danger(text string) string    { return p.paint(text, color.FgRed) }
func (p *printer) highlight(text string) string { return p.paint(text, color.Bold) }
func (p *printer) faint(text string) string     { return p.paint(text, color.Faint) }

// Print writes the report as helm-unittest does, and a line for each failure:
// where it is in the suite's file, and which line of the templates wrote what
// is wrong. Colored nil is colored on a terminal.
func (r *Report) Print(w io.Writer, colored *bool) {
	p := &printer{w, colored}
	n := new(counts)
	for _, c := range r.Charts {
		for _, s := range c.Broken {
			s.print(p)
			n.suite(s)
		}
		n.charts.add(c.Passed, false, c.Err != nil)
		if c.Err != nil {
			p.line(0, fmt.Sprintf("\n### %s %s\n", p.danger("Error: "), c.Err))
			continue
		}
		p.line(0, fmt.Sprintf("\n### Chart [ %s ] %s\n", p.highlight(c.Name), p.faint(c.Path)))
		for _, s := range c.Suites {
			s.print(p)
			n.suite(s)
		}
	}
	for i, f := range r.Failures() {
		if i == 0 {
			p.line(0, "\nFailures:")
		}
		p.line(1, f.String())
	}
	if n.snapshots.failed > 0 {
		p.line(0, fmt.Sprintf("\nSnapshot Summary: %s in %d test suite.%s", p.danger(fmt.Sprintf("%d snapshot failed", n.snapshots.failed)),
			n.snapshotFailed, p.faint(" Check changes and use `-u` to update snapshot.")))
	}
	if r.Coverage != nil {
		r.Coverage.print(p)
	}
	p.line(0, fmt.Sprintf("\nCharts:      %s\nTest Suites: %s\nTests:       %s\nSnapshot:    %s\nTime:        %s\n",
		n.charts.text(p), n.suites.text(p), n.tests.text(p), n.snapshots.text(p), r.Duration))
}

func (s *SuiteResult) print(p *printer) {
	label := p.paint(" FAIL ", color.BgRed, color.FgWhite)
	if s.Skipped {
		label = p.paint(" SKIP ", color.BgYellow, color.FgBlack)
	} else if s.Passed {
		label = p.paint(" PASS ", color.BgGreen, color.FgBlack)
	}
	file := ""
	if s.File != "" {
		file = p.faint(filepath.ToSlash(filepath.Dir(s.File)+string(filepath.Separator))) + filepath.Base(s.File)
	}
	p.line(0, fmt.Sprintf("%s %s\t%s", label, p.highlight(s.Name), file))
	if s.Err != nil {
		p.line(1, p.highlight("- Execution Error: "))
		p.line(2, s.Err.Error()+"\n")
		return
	}
	for _, t := range s.Tests {
		if t != nil {
			t.print(p)
		}
	}
}

func (t *TestResult) print(p *printer) {
	switch {
	case t.Passed:
	case t.Skipped:
		p.line(1, p.highlight("- ")+p.paint("SKIPPED", color.BgYellow, color.FgBlack)+p.paint(fmt.Sprintf(" '%s'", t.Name), color.FgYellow))
	case t.Err != nil:
		p.line(1, p.highlight("- "+t.Name))
		p.line(2, p.highlight(fmt.Sprintf("Error: %s\n", t.Err)))
	default:
		p.line(1, p.danger(fmt.Sprintf("- %s\n", t.Name)))
		for _, a := range t.Assertions {
			if a.Passed {
				continue
			}
			p.line(2, p.danger(a.Title()))
			for _, line := range a.FailInfo {
				p.line(3, line)
			}
			p.line(0, "")
		}
	}
}

// counts are the numbers at the end of a report.
type counts struct {
	charts, suites, tests count
	snapshots             count
	snapshotFailed        int // suites with one
}

type count struct{ passed, failed, errored, skipped uint }

func (c *count) add(passed, skipped, errored bool) {
	switch {
	case skipped:
		c.skipped++
	case passed:
		c.passed++
	default:
		c.failed++
		if errored {
			c.errored++
		}
	}
}

func (c count) text(p *printer) string {
	text := ""
	if c.failed > 0 {
		text += p.danger(fmt.Sprintf("%d failed, ", c.failed))
	}
	if c.errored > 0 {
		text += fmt.Sprintf("%d errored, ", c.errored)
	}
	text += fmt.Sprintf("%d passed, ", c.passed)
	if c.skipped > 0 {
		text += fmt.Sprintf("%d skipped, ", c.skipped)
	}
	return text + fmt.Sprintf("%d total", c.passed+c.failed+c.skipped)
}

func (n *counts) suite(s *SuiteResult) {
	n.suites.add(s.Passed, s.Skipped, s.Err != nil)
	if !s.Passed && !s.Skipped && s.Snapshots.Failed > 0 {
		n.snapshotFailed++
	}
	n.snapshots.failed += s.Snapshots.Failed
	n.snapshots.passed += s.Snapshots.Total - s.Snapshots.Failed
	for _, t := range s.Tests {
		if t != nil {
			n.tests.add(t.Passed, t.Skipped && !t.Passed, t.Err != nil)
		}
	}
}
