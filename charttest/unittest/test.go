package unittest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ai-film/ai-film/charttest"
)

// Run runs the chart's suites as subtests: one for each file and suite, below
// it one for each test. Snapshots that changed are kept if the environment has
// CHARTTEST_UPDATE=1, which charttest's own snapshots go by, too. Of several
// Options the first counts.
func Run(t *testing.T, chart *charttest.Chart, options ...Options) {
	t.Helper()
	var o Options
	if len(options) > 0 {
		o = options[0]
	}
	o.Update = o.Update || os.Getenv("CHARTTEST_UPDATE") == "1"
	report := o.Execute(t.Context(), chart.Path())
	for _, c := range report.Charts {
		if c.Err != nil {
			t.Errorf("suites of %s: %v", c.Path, c.Err)
		}
		if c.Err == nil && len(c.Suites) == 0 {
			t.Errorf("%s has no suites: none of its files is %v", c.Path, o.files())
		}
		for _, s := range c.Suites {
			name := s.File
			if rel, err := filepath.Rel(chart.Path(), name); err == nil {
				name = rel
			}
			t.Run(filepath.ToSlash(name)+"/"+s.Name, s.test)
		}
	}
	if report.Coverage != nil {
		t.Logf("branches taken: %v", report.Coverage.Branches)
	}
}

func (s *SuiteResult) test(t *testing.T) {
	if s.Err != nil {
		t.Fatal(s.Err)
	}
	for _, r := range s.Tests {
		if r == nil {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			if r.Skipped {
				t.Skip(r.text())
			}
			if r.Passed {
				return
			}
			for _, f := range r.Failures {
				t.Error(f)
			}
			for _, a := range r.Assertions {
				if !a.Passed && r.Err == nil {
					t.Errorf("%s\n%s", a.Title(), strings.Join(a.FailInfo, "\n"))
				}
			}
		})
	}
}
