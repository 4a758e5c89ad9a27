// Package verify renders a chart for every profile and Kubernetes version,
// runs the checks over what comes out, and reports what it finds. It is what
// «charttest verify» runs; tests can run it too:
//
//	result, err := verify.Run(ctx, "charts/shop", verify.Config{})
//	require.NoError(t, err)
//	require.Empty(t, result.Findings)
package verify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/dryrun"
	"github.com/ai-film/ai-film/charttest/internal/rehearsed"
)

// Result is what a verification found.
type Result struct {
	Chart    string          `json:"chart"` // its name
	Path     string          `json:"path"`  // its folder or archive
	Profiles []string        `json:"profiles"`
	Versions []string        `json:"versions"`
	Renders  int             `json:"renders"`
	Objects  int             `json:"objects"` // over all renders
	Findings []check.Finding `json:"-"`       // JSON has those of all charts in one list
	Accepted []check.Finding `json:"-"`       // suppressed, with the reason
	Elapsed  time.Duration   `json:"elapsed_ns"`
	// Unverified is why nothing can be said of one of many charts; "" if
	// something is.
	Unverified string `json:"unverified,omitempty"`

	// Branches are the share of template branches that the renders executed,
	// in percent; Coverage has it file by file.
	Branches float64             `json:"branch_coverage_percent"`
	Coverage *charttest.Coverage `json:"-"`
	// Unread are templates that can't be parsed, of subcharts that are turned
	// off: Helm doesn't mind them, and nothing can be said of their branches.
	Unread []string `json:"unread_templates,omitempty"`

	// Rehearsals are those on an API server, profile by profile.
	Rehearsals []Rehearsal `json:"rehearsals,omitempty"`
	// Upgrades are what upgrades to the chart would change, profile by profile.
	Upgrades []Upgrade `json:"upgrades,omitempty"`

	ran []*check.Check // over renders
}

// helmWarning is the rule for what Helm only logs.
const helmWarning = "helm-warning"

// Rules that are not in package check: what keeps a render from being checked.
var Rules = []*check.Check{
	{Name: "dependencies", Why: "Helm refuses a chart whose dependencies aren't in its charts folder.",
		Remedy: "Run «helm dependency build», or take the dependency out of Chart.yaml."},
	{Name: "values", Why: "Values files that can't be read make every installation with them fail.",
		Remedy: "Correct the file; the message says where."},
	{Name: "schema", Why: "Values that break values.schema.json are refused by Helm before anything is rendered.",
		Remedy: "Correct the value in the profile, or the schema if the value is right."},
	{Name: "render", Why: "A template that fails makes the installation fail.",
		Remedy: "Correct the template at the line named, or give the value that it requires."},
	{Name: helmWarning, Why: "Helm says it in a line on standard error and goes on: an object with an unknown hook is never installed, and a value of another kind than the chart's is ignored.",
		Remedy: "Give the hook a name that Helm knows (pre-install, post-install, pre-upgrade, post-upgrade, pre-delete, post-delete, pre-rollback, post-rollback, test), or the value the kind that values.yaml has."},
	{Name: "strict", Why: "The API server refuses or silently drops what isn't in an object's schema: the chart says one thing and the cluster does another.",
		Remedy: "Correct the field's spelling, place or type."},
	{Name: "coverage", Why: "A branch of a template that no profile takes is one that nobody has tried.",
		Remedy: "Add a profile (values/*.yaml, ci/*-values.yaml) that takes it, delete the branch, or lower the threshold."},
	{Name: "value-dead", Why: "A value that changes nothing misleads whoever sets it.",
		Remedy: "Use it in a template or remove it from values.yaml."},
	{Name: "value-undeclared", Why: "A value that templates read but values.yaml doesn't have can't be found by users, and a typing error in it is silent.",
		Remedy: "Declare it in values.yaml, with a comment."},
	{Name: "value-hole", Why: "The schema takes a value of the wrong type, and what comes out is broken or ignored.",
		Remedy: "Give the value its type in values.schema.json."},
	dryrun.Refused,
	{Name: "version-increment", Why: "A chart that changed under a version that is out can't be told from the one that was released. Asked for by ct.yaml " +
		"(check-version-increment), looked for with --changed-since.",
		Remedy: "Raise the version in Chart.yaml."},
	{Name: "maintainers", Why: "ct takes a chart only with maintainers who have an account where the repository is, and a deprecated one only without. " +
		"Asked for by ct.yaml (validate-maintainers).",
		Remedy: "Correct the maintainers in Chart.yaml, or set validate-maintainers: false in ct.yaml."},
	{Name: immutableField, Why: "The API server refuses to change some fields while their object exists: an upgrade that tries fails half-way, and so does " +
		"rolling it back. Looked for with --against.",
		Remedy: "Keep the field as it was, give the object another name, or delete the object before the upgrade; the finding says what that means for the kind."},
	{Name: upgradeLoss, Why: "Helm 3 upgrades by a patch that merges lists by a key, such as a variable's name or a port's number. Where the old object had two items of one key, taking one out " +
		"takes both from the live object, and no later upgrade brings it back. Looked for with --against.",
		Remedy: "Upgrade once with neither of the two, then with the one; or delete the object before the upgrade."},
	{Name: "suppression", Why: "A suppression that matches nothing hides the next finding of its kind.",
		Remedy: "Remove it from the verify configuration."},
}

// checks are all that could find something, rules included.
func (r *Result) checks() []*check.Check {
	if r.ran == nil {
		return append(Checks(nil), Rules...)
	}
	return append(slices.Clone(r.ran), Rules...)
}

func rule(name string) *check.Check {
	return Rules[slices.IndexFunc(Rules, func(c *check.Check) bool { return c.Name == name })]
}

// Run verifies the chart in a folder or an archive. Errors are those that keep
// it from starting: *charttest.LoadError, *dryrun.Error, *Error, or the
// context's. What is wrong with a chart that can be loaded is a finding.
func Run(ctx context.Context, chartPath string, config Config) (*Result, error) {
	start := time.Now()
	chart, err := charttest.Load(chartPath, config.as())
	if err != nil {
		return nil, err
	}
	schemas, err := config.schemas(ctx, chartPath)
	if err != nil {
		return nil, err
	}
	checks, err := config.checks(chartPath, schemas)
	if err != nil {
		return nil, err
	}
	versions := config.KubeVersions
	if len(versions) == 0 {
		versions = charttest.KubeVersions
	}
	result := &Result{Chart: chart.Name(), Path: chartPath, Versions: versions, Findings: []check.Finding{}, ran: checks}
	survey := chart.Survey()
	var cells []*cell
	var rows [][]*cell // of a profile each
	for i, p := range config.ProfilesOf(chart) {
		result.Profiles = append(result.Profiles, p.Name)
		var row []*cell
		for j, v := range versions {
			c := &cell{chart: chart, profile: p, version: v, cluster: config.ClusterOf(p.Name), own: i == 0, examine: config.Values && j == 0}
			c.profile.KubeVersion, c.profile.Fresh = released(v), true
			row = append(row, c)
		}
		rows, cells = append(rows, row), append(cells, row...)
	}
	var verified int
	var told sync.Mutex
	inParallel(rows, func(row []*cell) {
		verifyRow(ctx, row, result.ran, survey)
		if config.Progress != nil {
			told.Lock()
			defer told.Unlock()
			verified += len(row)
			config.Progress(verified, len(cells), "renders verified")
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, c := range cells {
		if c.err != nil {
			return nil, c.err
		}
	}
	collected := newCollection()
	if err := result.examine(ctx, survey, config, cells, collected); err != nil {
		return nil, err
	}
	for _, f := range missing(chart) {
		collected.add(f, "", "")
	}
	for _, c := range cells {
		result.Renders++
		result.Objects += c.objects
		for _, f := range c.findings {
			collected.add(f, c.profile.Name, c.version)
		}
	}
	for _, f := range config.Repository {
		f.Remedy = rule(f.Check).Remedy
		collected.add(f, "", "")
	}
	if config.Server != nil {
		if err := result.rehearse(ctx, chart, config, collected); err != nil {
			return nil, err
		}
	}
	if config.Against != nil {
		if err := result.upgrade(ctx, chart, config, collected); err != nil {
			return nil, err
		}
	}
	result.Findings, result.Accepted = config.sift(collected.findings())
	result.Elapsed = time.Since(start)
	return result, nil
}

// released gives a minor version a patch, as every cluster has one: templates
// read it, to choose the tag of an image for instance.
func released(version string) string {
	if strings.Count(version, ".") == 1 {
		return version + ".0"
	}
	return version
}

// missing reports the dependencies that aren't there.
func missing(chart *charttest.Chart) []check.Finding {
	file := filepath.Join(chart.Path(), "Chart.yaml")
	data, _ := os.ReadFile(file) // an archive has none to read
	var all []check.Finding
	for _, name := range chart.Missing() {
		f := check.Finding{Check: "dependencies", Message: fmt.Sprintf("the dependency %q isn't in the charts folder", name), Remedy: rule("dependencies").Remedy, File: file}
		for i, line := range strings.Split(string(data), "\n") {
			if fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "- ")); len(fields) > 1 && fields[0] == "name:" && strings.Trim(fields[1], `"'`) == name {
				f.Line = i + 1
			}
		}
		all = append(all, f)
	}
	return all
}

// cell is one profile rendered for one version. What it rendered isn't kept: a
// chart of many profiles would fill the memory.
type cell struct {
	chart    *charttest.Chart
	profile  charttest.Profile
	version  string
	cluster  check.Cluster
	own      bool // rendered by itself and traced, whatever other versions print
	examine  bool // what it does with the values counts
	rendered bool
	printed  [sha256.Size]byte
	objects  int
	render   *charttest.Render // for a rehearsal only
	checked  []check.Finding   // by our checks, for a rehearsal only
	findings []check.Finding
	err      error // that keeps the chart from being verified
}

// verifyRow verifies a profile for all versions: the first, the last, then those
// between. Where the first and the last print the same, so do the others, since
// templates ask whether a version is reached; they aren't rendered, but for the
// first profile, which shows what asks otherwise.
func verifyRow(ctx context.Context, row []*cell, checks []*check.Check, survey *charttest.Survey) {
	first, last := row[0], row[len(row)-1]
	r := first.verify(ctx, nil, nil, checks, survey)
	if last == first {
		return
	}
	last.verify(ctx, first, nil, checks, survey)
	if first.own || !first.rendered || !last.rendered || first.printed != last.printed {
		r = nil
	}
	for _, c := range row[1 : len(row)-1] {
		c.verify(ctx, first, r, checks, survey)
	}
}

// verify verifies one version and returns what was rendered for it. Like is what
// was rendered for the first version, if this one is known to print that too.
func (c *cell) verify(ctx context.Context, first *cell, like *charttest.Render, checks []*check.Check, survey *charttest.Survey) *charttest.Render {
	if ctx.Err() != nil {
		return nil
	}
	var r *charttest.Render
	var err error
	if like != nil {
		r, err = like.As(c.profile)
	} else if c.own || first == nil {
		r, err = survey.Render(ctx, c.profile)
	} else {
		r, err = c.chart.Render(ctx, c.profile)
	}
	if r != nil {
		c.rendered, c.objects = true, len(r.Objects)
		if like == nil {
			c.printed = r.Sum()
		}
	}
	// A version that prints what the first printed took the same branches, and
	// its findings have the same places: to look takes another render.
	known := map[string][]check.Finding{}
	same := first != nil && c.rendered && first.rendered && (like != nil || c.printed == first.printed)
	if same {
		for _, f := range first.findings {
			known[identity(f)] = append(known[identity(f)], f)
		}
	}
	if err != nil {
		c.failed(err, known)
	}
	if r == nil {
		return nil
	}
	for _, w := range r.Warnings {
		f := check.Finding{Check: helmWarning, Message: w.Message, Remedy: rule(helmWarning).Remedy, Object: w.Object(), Field: w.Value}
		c.findings = append(c.findings, located(f, known, func(f *check.Finding) {
			place := r.WarningPlace(w)
			f.File, f.Line = place.File, place.Line
		}))
	}
	for _, f := range check.Run(r, c.cluster, checks...) {
		c.findings = append(c.findings, located(f, known, (*check.Finding).Locate))
	}
	if c.own || !same {
		if err := survey.Cover(r); err != nil {
			c.err = fmt.Errorf("coverage: %w", err)
		}
	}
	if c.examine {
		if err := survey.Examine(r); err != nil {
			c.err = fmt.Errorf("values: %w", err)
		}
	}
	return r
}

// identity is what a finding has but its place.
func identity(f check.Finding) string {
	return strings.Join([]string{f.Check, f.Object, f.Field, f.Message}, "\x00")
}

// located is a finding with the place of the first known that is alike, which is
// used up, or else with its own.
func located(f check.Finding, known map[string][]check.Finding, locate func(*check.Finding)) check.Finding {
	if same := known[identity(f)]; len(same) > 0 {
		known[identity(f)] = same[1:]
		return same[0]
	}
	locate(&f)
	return f
}

// failed makes findings of the errors of a render.
func (c *cell) failed(err error, known map[string][]check.Finding) {
	add := func(name, object, field, file string, line int, message string) {
		c.findings = append(c.findings, check.Finding{Check: name, Message: message, Remedy: rule(name).Remedy, Object: object, Field: field, File: file, Line: line})
	}
	var (
		values  *charttest.ValuesError
		schema  *charttest.SchemaError
		failure *charttest.Failure
		strict  *charttest.StrictError
	)
	file := c.chart.Path()
	if len(c.profile.Files) > 0 {
		file = c.profile.Files[len(c.profile.Files)-1]
	}
	switch {
	case errors.As(err, &schema):
		for _, v := range schema.Violations {
			place := c.chart.ValuePlace(c.profile, v.Value)
			add("schema", "", v.Value, place.File, place.Line, v.String())
		}
	case errors.As(err, &strict):
		for _, p := range strict.Problems {
			f := check.Finding{Check: "strict", Message: p.Message, Remedy: rule("strict").Remedy, Object: p.Object.String(), Field: p.Field}
			c.findings = append(c.findings, located(f, known, func(f *check.Finding) {
				place := p.Place()
				f.File, f.Line = place.File, place.Line
			}))
		}
	case errors.As(err, &failure):
		at := failure.Place
		if at.File == "" {
			at.File = file
		}
		add("render", "", "", at.File, at.Line, failure.Message)
	case errors.As(err, &values):
		add("values", "", "", cmp.Or(values.Source, file), 0, err.Error())
	default:
		add("render", "", "", file, 0, err.Error())
	}
}

// inParallel calls f for each item, on every processor.
func inParallel[T any](items []T, f func(T)) {
	var wg sync.WaitGroup
	next := make(chan T)
	for range min(runtime.GOMAXPROCS(0), len(items)) {
		wg.Go(func() {
			for item := range next {
				f(item)
			}
		})
	}
	for _, item := range items {
		next <- item
	}
	close(next)
	wg.Wait()
}

// collection tells findings of many renders once each.
type collection struct {
	index map[string]int
	all   []check.Finding
}

func newCollection() *collection { return &collection{index: map[string]int{}} }

func (c *collection) add(f check.Finding, profile, version string) {
	key := fmt.Sprint(f.Check, "\x00", f.File, "\x00", f.Line, "\x00", f.Object, "\x00", f.Field, "\x00", f.Message)
	i, ok := c.index[key]
	if !ok {
		i = len(c.all)
		c.index[key] = i
		c.all = append(c.all, f)
	}
	for list, name := range map[*[]string]string{&c.all[i].Profiles: profile, &c.all[i].Versions: version} {
		if name != "" && !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
}

// findings in the order of places.
func (c *collection) findings() []check.Finding {
	slices.SortStableFunc(c.all, func(a, b check.Finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Check, b.Check))
	})
	return c.all
}

// sift parts findings into those to report and those that are accepted.
func (c Config) sift(all []check.Finding) (report, accepted []check.Finding) {
	report = []check.Finding{}
	used := make([]bool, len(c.Suppress))
next:
	for _, f := range all {
		for i, s := range c.Suppress {
			if s.matches(f) {
				used[i] = true
				f.Accepted = s.Reason
				accepted = append(accepted, f)
				continue next
			}
		}
		report = append(report, f)
	}
	for i, s := range c.Suppress {
		if !used[i] && !rehearsed.Has(s.Check) && (s.Check != "server" || c.Server != nil) && (s.Check != immutableField && s.Check != upgradeLoss || c.Against != nil) &&
			(c.Repository != nil || s.Check != "version-increment" && s.Check != "maintainers") {
			report = append(report, check.Finding{
				Check: "suppression", Message: fmt.Sprintf("suppress[%d] (%s %s) matches no finding", i, s.Check, s.Object),
				Remedy: rule("suppression").Remedy, File: ConfigFile,
			})
		}
	}
	return report, accepted
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
