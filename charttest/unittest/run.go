package unittest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/yargevad/filepathx"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// Options say what is to be run and how. The zero Options run tests/*_test.yaml
// of a chart and of the subcharts that its values turn on.
type Options struct {
	Files          []string // globs of suite files, relative to the chart: -f
	Values         []string // globs of values files for all tests: -v
	ChartTestsPath string   // folder of a chart that renders suites, relative to the chart
	Update         bool     // keep snapshots as they are now: -u
	NoSubcharts    bool     // leave out the suites of subcharts
	Strict         bool     // refuse suites with fields that aren't known
	FailFast       bool     // end a suite at its first failure, and the chart's with it: -q
	SkipSchema     bool     // don't check values against values.schema.json
	RenderPath     string   // leave what was rendered there
	Coverage       bool     // find out which branches the suites took
	StrictObjects  bool     // fail tests whose objects break their schema
}

// DefaultFiles is which files are suites unless Options say so.
const DefaultFiles = "tests/*_test.yaml"

func (o Options) files() []string {
	if len(o.Files) == 0 {
		return []string{DefaultFiles}
	}
	return o.Files
}

// Execute runs the suites of the charts in directories or archives. What goes
// wrong is in the report.
func (o Options) Execute(ctx context.Context, charts ...string) *Report {
	o.Files = o.files()
	r := &run{Options: o, ctx: ctx, start: time.Now(), kube: kubeVersion{"1", "20"}, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
	if o.Coverage {
		r.coverage = new(executed)
	}
	report := new(Report)
	for _, path := range charts {
		c := r.executeChart(path)
		report.Charts = append(report.Charts, c)
		if c.Err != nil && o.FailFast {
			break
		}
	}
	if r.coverage != nil {
		report.Coverage = r.coverage.report()
	}
	report.Duration = time.Since(r.start)
	return report
}

// run is an execution of suites.
type run struct {
	Options
	ctx         context.Context
	start       time.Time
	kube        kubeVersion   // as the latest test left it
	slots       chan struct{} // of tests that run at once
	valuesFiles sync.Map      // file → readValues
	parsed      sync.Map      // text → parsedDocuments
	coverage    *executed
}

// chartRun is the execution of one chart's suites.
type chartRun struct {
	run   *run
	chart *engine.Chart
	types *typedChart // for StrictObjects

	mu       sync.Mutex
	outcomes map[string]*outcome
	recent   []string // keys, oldest first
}

type parsedDocuments struct {
	once sync.Once
	docs []*document
	err  error
}

// documents parses a text, once: most templates write the same in most tests.
func (r *run) documents(text string) ([]*document, error) {
	entry, _ := r.parsed.LoadOrStore(text, new(parsedDocuments))
	p := entry.(*parsedDocuments)
	p.once.Do(func() { p.docs, p.err = parseDocuments(text) })
	return p.docs, p.err
}

func (r *run) executeChart(path string) *ChartResult {
	result := &ChartResult{Path: path}
	chart, err := engine.Load(path)
	if err != nil {
		result.Err = err
		return result
	}
	result.Name = chart.Name()
	if r.coverage != nil {
		r.coverage.note(chart, chart.Points())
	}
	c := &chartRun{run: r, chart: chart, outcomes: make(map[string]*outcome)}
	suites, err := c.suites(result)
	if err != nil {
		result.Err = err
		return result
	}
	if r.StrictObjects {
		if c.types, result.Err = loadTyped(path); result.Err != nil {
			return result
		}
	}
	result.Suites = c.executeSuites(suites)
	result.Passed = !slices.ContainsFunc(result.Suites, func(s *SuiteResult) bool { return !s.Passed })
	return result
}

// suites finds the suites of the chart and its subcharts.
func (c *chartRun) suites(result *ChartResult) ([]*suite, error) {
	var subcharts []engine.Subchart
	if !c.run.NoSubcharts {
		subcharts = c.chart.Subcharts()
	}
	return c.suitesOf(result, result.Path, c.chart.Name(), subcharts, c.gateValues(result.Path))
}

func (c *chartRun) suitesOf(result *ChartResult, dir, route string, subcharts []engine.Subchart, gates map[string]any) ([]*suite, error) {
	suites, err := c.suitesIn(result, dir, route)
	if err != nil {
		return nil, err
	}
	for _, sub := range subcharts {
		if gates != nil && !enabled(sub, gates) {
			continue
		}
		// What is wrong with a subchart's suites is told and fails nothing.
		below, err := c.suitesOf(result, filepath.Join(dir, "charts", sub.Name), filepath.Join(route, "charts", sub.Name), sub.Subcharts, gates)
		if err == nil {
			suites = append(suites, below...)
		}
	}
	return suites, nil
}

// suitesIn are the suites of one chart: its files, then those that a chart of
// suites renders.
func (c *chartRun) suitesIn(result *ChartResult, dir, route string) ([]*suite, error) {
	files, err := globs(dir+"/", c.run.Files)
	if err != nil {
		return nil, err
	}
	values, err := c.run.valuesOption()
	if err != nil {
		return nil, err
	}
	var rendered []*suite
	if folder := filepath.Join(dir, c.run.ChartTestsPath); c.run.ChartTestsPath != "" {
		if _, err := os.Stat(folder); err == nil {
			if rendered, err = c.renderSuites(folder, route, values); err != nil {
				return nil, err
			}
		}
	}
	var suites []*suite
	for _, file := range files {
		of, err := c.run.parseFile(file, route, values)
		if err != nil {
			result.Broken = append(result.Broken, &SuiteResult{File: file, Err: err})
			return nil, err
		}
		suites = append(suites, of...)
	}
	return append(suites, rendered...), nil
}

// globs are the files that match patterns, which are relative to base unless
// they say it themselves. ** stands for folders within folders.
func globs(base string, patterns []string) ([]string, error) {
	var files []string
	for _, pattern := range slices.Compact(slices.Clone(patterns)) {
		switch {
		case filepath.IsAbs(pattern):
			files = append(files, pattern)
			continue
		case !strings.Contains(pattern, base):
			pattern = filepath.Join(base, pattern)
		}
		matching, err := filepathx.Glob(pattern)
		if err != nil {
			return nil, err
		}
		files = append(files, matching...)
	}
	return files, nil
}

// valuesOption are the values files that all tests get.
func (r *run) valuesOption() ([]string, error) {
	var files []string
	for _, pattern := range slices.Compact(slices.Clone(r.Values)) {
		matching := []string{pattern}
		if !filepath.IsAbs(pattern) {
			var err error
			if matching, err = filepathx.Glob(pattern); err != nil {
				return nil, err
			}
		}
		for _, file := range matching {
			abs, err := filepath.Abs(file)
			if err != nil {
				return nil, err
			}
			files = append(files, abs)
		}
	}
	return files, nil
}

// gateValues are those that decide which subcharts' suites are run, or nil for
// all: the chart's own and the given files.
func (c *chartRun) gateValues(dir string) map[string]any {
	values := c.chart.Defaults()
	if values == nil {
		values = map[string]any{}
	}
	for _, file := range c.run.Values {
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		over, err := c.run.valuesFile(file)
		if err != nil {
			return nil
		}
		values = engine.MergeValues(over, values)
	}
	return values
}

// enabled says whether a subchart's suites are run: by its condition, or else
// if any of its tags is true. What isn't there or no boolean turns nothing off.
func enabled(sub engine.Subchart, values map[string]any) bool {
	if sub.Condition != "" {
		at := any(values)
		for _, key := range strings.Split(sub.Condition, ".") {
			table, ok := at.(map[string]any)
			if !ok {
				return true
			}
			if at, ok = table[key]; !ok {
				return true
			}
		}
		on, ok := at.(bool)
		return on || !ok
	}
	tags, ok := values["tags"].(map[string]any)
	if len(sub.Tags) == 0 || !ok {
		return true
	}
	return slices.ContainsFunc(sub.Tags, func(tag string) bool { return tags[tag] == true })
}

// renderSuites renders a chart whose templates are suites.
func (c *chartRun) renderSuites(folder, route string, values []string) ([]*suite, error) {
	if _, err := os.Stat(filepath.Join(folder, "Chart.yaml")); err != nil {
		return nil, err
	}
	chart, err := engine.Load(folder)
	if err != nil {
		return nil, err
	}
	out, err := chart.RenderOutputs(c.run.ctx, nil, engine.Release{Name: "TEST-SUITE-RELEASE", Namespace: "NAMESPACE"}, engine.Selection{},
		engine.Circumstances{KubeMajor: "1", KubeMinor: "20", Revision: 1})
	if err != nil {
		return nil, err
	}
	return c.parseRendered(chart.Name(), folder, route, out.Files, values)
}

// executeSuites runs the suites. Those that share a file of snapshots run one after
// the other, as each leaves it to the next; all others at once.
func (c *chartRun) executeSuites(suites []*suite) []*SuiteResult {
	results := make([][]*SuiteResult, len(suites))
	lines := make(map[string][]int)
	for i, s := range suites {
		s.polish()
		for _, t := range s.Tests {
			if t.Skip.Reason == "" {
				// As helm-unittest has it, the version that a test asks for stays
				// for those after it which ask for none.
				c.run.kube.major, c.run.kube.minor = cmp.Or(t.kube.major, c.run.kube.major), cmp.Or(t.kube.minor, c.run.kube.minor)
				t.kube = c.run.kube
			}
		}
		lines[s.snapshotFile()] = append(lines[s.snapshotFile()], i)
	}
	var group sync.WaitGroup
	for _, line := range lines {
		group.Go(func() {
			for _, i := range line {
				if results[i] = c.executeSuite(suites[i]); c.run.FailFast && !results[i][0].Passed {
					break
				}
			}
		})
	}
	group.Wait()
	var all []*SuiteResult
	for _, r := range results {
		all = append(all, r...)
		if c.run.FailFast && len(r) > 0 && r[0].FailFast {
			break
		}
	}
	return all
}

// executeSuite runs a suite. Snapshots that can't be kept are a second result.
func (c *chartRun) executeSuite(s *suite) []*SuiteResult {
	snapshots, err := readSnapshots(s.snapshotFile(), c.run.Update)
	if err != nil {
		return []*SuiteResult{{File: s.file, Err: err}}
	}
	result := &SuiteResult{Name: s.Name, File: s.file, Tests: make([]*TestResult, len(s.Tests))}
	took := make([][]taken, len(s.Tests))
	var group sync.WaitGroup
	for i, t := range s.Tests {
		if t.Skip.Reason != "" {
			result.Tests[i] = &TestResult{Name: t.Name.text, Index: i, Skipped: true, Line: t.Name.line}
			continue
		}
		c.run.slots <- struct{}{}
		group.Go(func() {
			defer func() { <-c.run.slots }()
			result.Tests[i], took[i] = c.executeTest(i, t, snapshots)
		})
	}
	group.Wait()
	skipped := 0
	for i, t := range result.Tests {
		if s.Tests[i].Skip.Reason != "" {
			skipped++
			result.Passed = result.Passed || i == 0
		} else {
			result.Passed = t.Passed && (i == 0 || result.Passed)
			snapshots.keep(took[i])
		}
		if !result.Passed && c.run.FailFast {
			result.FailFast = true
			clear(result.Tests[i+1:]) // not run, as it were
			break
		}
	}
	result.Skipped = skipped == len(s.Tests)
	result.Snapshots.Total, result.Snapshots.Created = snapshots.total, snapshots.inserted
	result.Snapshots.Failed, result.Snapshots.Vanished = snapshots.failed(), snapshots.vanished()
	all := []*SuiteResult{result}
	if err := snapshots.store(); err != nil {
		all = append(all, &SuiteResult{File: s.snapshotFile(), Err: err, unreported: true})
	}
	return all
}

// executeTest runs a test.
func (c *chartRun) executeTest(index int, t *test, snapshots *snapshots) (result *TestResult, took []taken) {
	start := time.Now()
	result = &TestResult{Name: t.Name.text, Index: index, Line: t.Name.line}
	defer func() {
		if r := recover(); r != nil {
			result.Passed, result.Err = false, fmt.Errorf("the test panicked: %v", r)
		}
		result.Duration = time.Since(start)
	}()
	o := c.outcome(t)
	result.Err = o.renderErr
	if o.broken != nil {
		result.Err = o.broken
		result.Failures = c.failuresOf(t, o, result)
		return result, nil
	}
	look := &view{
		documents: o.documents, rendered: o.rendered, renderErr: o.renderErr, postRendered: o.postRendered, outputs: o.templates,
		failFast: c.run.FailFast, skipEmpty: t.DocumentSelector != nil && t.DocumentSelector.SkipEmptyTemplates,
		test: t, snapshots: snapshots,
	}
	for i, a := range t.Assertions {
		if a == nil {
			continue
		}
		r := look.assert(i, a)
		result.Assertions = append(result.Assertions, r)
		// As helm-unittest has it: what was skipped forgets what failed before.
		result.Passed = r.Passed && (i == 0 || result.Passed || r.Skipped)
		if !result.Passed && c.run.FailFast {
			break
		}
	}
	if c.types != nil && o.rendered {
		c.checkTypes(t, o, result)
	}
	result.Skipped = len(result.Assertions) > 0 && !slices.ContainsFunc(result.Assertions, func(r *AssertionResult) bool { return !r.Skipped })
	if !result.Passed {
		result.Failures = c.failuresOf(t, o, result)
	}
	return result, look.taken
}
