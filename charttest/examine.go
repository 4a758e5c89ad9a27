package charttest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// ValuesReport says what is wrong between a chart's values and its templates,
// as executing them shows it.
type ValuesReport struct {
	// Dead are declared values that no template reads, not even in a branch
	// that no render took, and that change nothing when they are changed. The
	// place is in values.yaml.
	Dead []ValueUse
	// Undeclared are values that templates read but that no values.yaml and no
	// schema has, not even in a comment. The place is in the template.
	Undeclared []ValueUse
	// Holes are declared values that templates read by themselves and whose
	// type no schema says: it takes anything. The place is in values.yaml.
	Holes []ValueUse
}

// ValueUse is a value of a chart and what is the matter with it.
type ValueUse struct {
	Path    string // from the root of the values, such as "flask.replicas"
	Message string
	Place   Place
}

func (v ValueUse) String() string { return fmt.Sprintf("%s: %s: %s", v.Place, v.Path, v.Message) }

// ExamineValues finds the values that are dead, undeclared or unguarded, going
// by what the renders executed: a value counts as dead only if each of the
// renders leaves it alone, so they should be of all profiles. Values of
// subcharts that took part in none of them are not judged.
func (c *Chart) ExamineValues(ctx context.Context, renders ...*Render) (*ValuesReport, error) {
	s := c.Survey()
	for _, r := range renders {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := s.Examine(r); err != nil {
			return nil, err
		}
	}
	return s.Values(ctx)
}

// examination is what renders did with the values.
type examination struct {
	chart    *Chart
	files    []engine.ValuesFile
	declared map[string]any // by leaf path
	reads    map[string]engine.Read
	judged   map[string]bool // leaves whose chart took part in a render
	on, off  map[string]bool // subcharts that took part in a render, and that stood out of one
	bases    engine.Bases
	executed engine.Executed
	mentions []engine.Mention // what renders may not have shown
	unreads  *unread          // lazily
	tables   map[string]bool  // lazily: tables of the declared values
	comments map[string]bool  // lazily: keys in comments of the values files
	printed  []printed
	first    map[string]any                              // values of the first render
	refuses  func(values map[string]any) map[string]bool // by its schemas
}

// printed is what a profile printed, for comparison.
type printed struct {
	profile Profile
	sum     [sha256.Size]byte
}

func (c *Chart) examination() *examination {
	return &examination{chart: c, files: c.engine.ValuesFiles(), declared: map[string]any{},
		reads: map[string]engine.Read{}, judged: map[string]bool{},
		on: map[string]bool{}, off: map[string]bool{}}
}

// report judges the values by the renders that were added.
func (e *examination) report(ctx context.Context) (*ValuesReport, error) {
	for _, path := range e.chart.engine.Gates() {
		e.reads[path] = engine.Read{Path: path, Found: true, All: true}
	}
	e.mentions = e.chart.engine.Mentions(&e.executed, &e.bases)
	report := new(ValuesReport)
	var err error
	if report.Dead, err = e.dead(ctx); err != nil {
		return nil, err
	}
	report.Undeclared = e.undeclared()
	if report.Holes, err = e.holes(ctx); err != nil {
		return nil, err
	}
	for _, list := range [][]ValueUse{report.Dead, report.Undeclared, report.Holes} {
		slices.SortFunc(list, func(a, b ValueUse) int { return strings.Compare(a.Path, b.Path) })
	}
	return report, nil
}

func (e *examination) add(r *Render) error {
	declared, err := r.result.Declared()
	if err != nil {
		return err
	}
	on, off, err := r.result.Subcharts()
	if err != nil {
		return err
	}
	if err := e.executed.Add(r.result); err != nil {
		return err
	}
	if err := e.bases.Add(r.result); err != nil {
		return err
	}
	e.printed = append(e.printed, printed{r.Profile, r.Sum()})
	if e.refuses == nil {
		e.first = declared
		if e.refuses, err = r.result.Refuses(); err != nil {
			return err
		}
	}
	maps.Copy(e.on, on)
	maps.Copy(e.off, off)
	leaves(declared, "", func(path string, v any) {
		if strings.Contains(path, ".global.") || strings.HasSuffix(path, ".global") {
			return // a subchart's copy
		}
		e.declared[path] = v
		for p := range off {
			if strings.HasPrefix(path, p+".") {
				return
			}
		}
		e.judged[path] = true
	})
	reads, err := r.result.Reads()
	if err != nil {
		return err
	}
	for _, read := range reads {
		have, ok := e.reads[read.Path]
		if ok {
			read.All, read.Children, read.Found = read.All || have.All, read.Children || have.Children, read.Found || have.Found
			read.Generic, read.Asks = read.Generic || have.Generic, read.Asks && have.Asks
			read.At = have.At
		}
		e.reads[read.Path] = read
	}
	return nil
}

// leaves calls f for everything in the values that is no table with something
// in it.
func leaves(values map[string]any, prefix string, f func(path string, v any)) {
	for k, v := range values {
		path := joinField(prefix, k)
		if table, ok := v.(map[string]any); ok && len(table) > 0 {
			leaves(table, path, f)
			continue
		}
		f(path, v)
	}
}

// read says whether templates read the leaf.
func (e *examination) read(path string) bool {
	if _, ok := e.reads[path]; ok {
		return true
	}
	direct := true
	for i := strings.LastIndexByte(path, '.'); i >= 0; i = strings.LastIndexByte(path[:i], '.') {
		if r, ok := e.reads[path[:i]]; ok && (r.All || r.Children && direct) {
			return true
		}
		direct = false
	}
	return e.reads[""].All
}

// dead finds the leaves that nothing read, and makes sure by changing them all
// at once: if anything changes, the ones that did it are found by halving.
func (e *examination) dead(ctx context.Context) ([]ValueUse, error) {
	var suspects []string
	idle := false // a subchart took part in no render; globals may be for it
	for path := range e.off {
		idle = idle || !e.on[path]
	}
	absent := e.chart.Missing() // whose values are for later
	idle = idle || len(absent) > 0
	for path := range e.judged {
		parent, key := "", path
		if i := strings.LastIndexByte(path, '.'); i >= 0 {
			parent, key = path[:i], path[i+1:]
		}
		if key == "enabled" && (parent == "" || e.on[parent]) {
			continue // a condition for charts that have this one as a dependency
		}
		if slices.ContainsFunc(absent, func(name string) bool { return strings.HasPrefix(path, name+".") }) {
			continue
		}
		if !e.read(path) && !(idle && strings.HasPrefix(path, "global.")) && !e.untested(path) {
			suspects = append(suspects, path)
		}
	}
	slices.Sort(suspects)
	var found []ValueUse
	for _, path := range e.unchanging(ctx, suspects) {
		found = append(found, ValueUse{Path: path, Message: "no template reads it: changing it changes nothing", Place: e.place(path)})
	}
	return found, nil
}

// untested says whether a branch that no render took may read the leaf: it
// names the leaf, or a table around it, or keys like those of its path of
// something that can't be told. So may a define that renders came to with the
// table around the leaf.
func (e *examination) untested(path string) bool {
	paths := [][]string{strings.Split(path, ".")}
	for _, subcharts := range []map[string]bool{e.on, e.off} {
		for sub := range subcharts {
			if rest, ok := strings.CutPrefix(path, sub+"."); ok {
				paths = append(paths, strings.Split(rest, "."))
			}
		}
	}
	return e.unread().reads(path, paths)
}

// unread are mentions of values that no render showed to be read, so that each
// suspect is held to the few that may be of it.
type unread struct {
	exact, tables map[string]bool             // paths that a define reads of the tables it was given, and those of which it reads all
	everything    bool                        // all the values are
	root, any     map[string][]engine.Mention // by the first field: of the values, and of a table that can't be told
}

func (e *examination) unread() *unread {
	if e.unreads != nil {
		return e.unreads
	}
	u := &unread{exact: map[string]bool{}, tables: map[string]bool{}, root: map[string][]engine.Mention{}, any: map[string][]engine.Mention{}}
	for _, m := range e.mentions {
		for _, base := range m.Bases {
			for i := range m.Fields {
				at := joinField(base, strings.Join(m.Fields[i:], "."))
				if _, read := e.reads[at]; !read {
					u.exact[at] = true
					u.tables[at] = u.tables[at] || !m.Asks
				}
			}
		}
		if m.Executed {
			continue
		}
		at := slices.Index(m.Fields, "Values")
		if at < 0 && (len(m.Fields) == 0 || beside[m.Fields[0]]) {
			continue
		}
		list := u.any
		if at >= 0 {
			list = u.root
		}
		if m.Fields = m.Fields[at+1:]; len(m.Fields) > 0 {
			list[m.Fields[0]] = append(list[m.Fields[0]], m)
		} else if !m.Asks {
			u.everything = true
		}
	}
	e.unreads = u
	return u
}

// reads says whether a mention may be of a value: its path, and its keys from
// the roots of the charts it belongs to.
func (u *unread) reads(path string, roots [][]string) bool {
	if u.everything || u.exact[path] {
		return true
	}
	for i := range path {
		if path[i] == '.' && u.tables[path[:i]] {
			return true
		}
	}
	for _, keys := range roots {
		for i := range keys {
			lists := [][]engine.Mention{u.any[keys[i]], nil}
			if i == 0 {
				lists[1] = u.root[keys[i]]
			}
			for _, m := range slices.Concat(lists...) {
				n := min(len(m.Fields), len(keys)-i)
				if slices.Equal(m.Fields[:n], keys[i:i+n]) && !(m.Asks && n < len(keys)-i) {
					return true
				}
			}
		}
	}
	return false
}

// beside are what templates see besides the values.
var beside = map[string]bool{"Release": true, "Chart": true, "Capabilities": true, "Files": true, "Template": true, "Subcharts": true}

// unchanging returns those of the paths whose values make no difference to the
// profiles, or to some of many. All are changed at once; where a profile prints something else, the
// ones that did it are looked for in that profile alone, so that many profiles
// cost little more than a render each.
func (e *examination) unchanging(ctx context.Context, paths []string) []string {
	for i := range min(len(e.printed), maxTried) {
		budget := maxHalvings
		paths = e.unchangingIn(ctx, e.printed[i*len(e.printed)/min(len(e.printed), maxTried)], paths, &budget)
	}
	return paths
}

// maxTried bounds the profiles in which values are changed, to make sure of what
// the reads of all of them say.
const maxTried = 8

// maxHalvings bounds the renders that look for what made a profile print
// something else; what is left undecided then isn't reported.
const maxHalvings = 128

func (e *examination) unchangingIn(ctx context.Context, p printed, paths []string, budget *int) []string {
	if *budget--; len(paths) == 0 || *budget < 0 {
		return nil
	}
	change := map[string]any{}
	for _, path := range paths {
		put(change, path, other(e.declared[path]))
	}
	profile := p.profile
	profile.SkipSchema = true
	if sum, err := e.chart.print(ctx, profile, change); err == nil && sum == p.sum {
		return paths
	} else if len(paths) == 1 {
		return nil
	}
	half := len(paths) / 2
	return append(e.unchangingIn(ctx, p, paths[:half:half], budget), e.unchangingIn(ctx, p, paths[half:], budget)...)
}

// print renders a profile with values laid over all others, and returns the sum
// of what is printed.
func (c *Chart) print(ctx context.Context, p Profile, change map[string]any) (sum [sha256.Size]byte, err error) {
	base, err := p.overrides(c).Merge()
	if err != nil {
		return sum, err
	}
	release, err := p.release()
	if err != nil {
		return sum, err
	}
	result, err := c.engine.Render(ctx, overlay(base, change), release)
	if err != nil {
		return sum, err
	}
	return result.Sum(), nil
}

// put sets the value at a leaf's path.
func put(into map[string]any, path string, v any) {
	for {
		key, rest, ok := strings.Cut(path, ".")
		if !ok {
			into[key] = v
			return
		}
		next, ok := into[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			into[key] = next
		}
		into, path = next, rest
	}
}

// other is another value of the same type.
func other(v any) any {
	switch v := v.(type) {
	case bool:
		return !v
	case float64:
		return v + 1
	case int64:
		return v + 1
	case string:
		return v + "-changed"
	case []any:
		return append(append([]any{}, v...), "changed")
	case map[string]any:
		return map[string]any{"changed": "changed"}
	}
	return "changed"
}

// wrong are values of other types than a declared value's, and what that is
// called. A schema that takes all of them says nothing of the type; one that
// takes some means to, for instance a number or a string.
func wrong(v any) (values []any, want string) {
	text, list, table := any("text"), any([]any{"a", "list"}), any(map[string]any{"a": "table"})
	switch v.(type) {
	case bool:
		return []any{text, list, table}, "a boolean"
	case float64, int64:
		return []any{text, list, table}, "a number"
	case string:
		return []any{list, table}, "a string"
	case []any:
		return []any{text, table}, "a list"
	case map[string]any:
		return []any{text, list}, "a table"
	}
	return nil, "" // null: anything may be meant
}

func (e *examination) undeclared() []ValueUse {
	var found []ValueUse
	for path, read := range e.reads {
		if path == "" || read.Found || read.Generic || read.Asks || read.At.Template == "" ||
			strings.Contains(path, "[]") || conventional[path[strings.LastIndexByte(path, '.')+1:]] || e.mentioned(path) {
			continue
		}
		found = append(found, ValueUse{
			Path: path, Place: placeOf(e.chart.engine, read.At),
			Message: "templates read it, but no values.yaml declares it",
		})
	}
	return found
}

// conventional are values that every chart reads, as «helm create» has it, and
// the table that is shared with subcharts.
var conventional = map[string]bool{"nameOverride": true, "fullnameOverride": true, "namespaceOverride": true, "global": true}

// mentioned says whether the value is declared after all: as a table with
// something in it, by another profile, in a comment, or below a table that is
// left empty for the user to fill.
func (e *examination) mentioned(path string) bool {
	for p := path; ; {
		if v, ok := e.declared[p]; ok {
			_, table := v.(map[string]any)
			return p == path || table || v == nil
		}
		i := strings.LastIndexByte(p, '.')
		if i < 0 {
			break
		}
		p = p[:i]
	}
	if e.tables == nil {
		e.indexDeclared()
	}
	return e.tables[path] || e.comments[path[strings.LastIndexByte(path, '.')+1:]]
}

func (e *examination) indexDeclared() {
	e.tables, e.comments = map[string]bool{}, map[string]bool{}
	for p := range e.declared {
		for i := range p {
			if p[i] == '.' {
				e.tables[p[:i]] = true
			}
		}
	}
	for _, f := range e.files {
		for line := range strings.Lines(f.Text) {
			if comment, ok := strings.CutPrefix(strings.TrimLeft(line, " "), "#"); ok {
				if key, _, ok := strings.Cut(strings.TrimLeft(comment, "# -"), ":"); ok {
					e.comments[key] = true
				}
			}
		}
	}
}

// place finds the line that declares a value.
func (e *examination) place(path string) Place {
	place, exact := e.chart.declared(path)
	if !exact {
		place.Line = 0
	}
	return place
}

// holes tries wrong types on every declared value that a schema is in charge
// of: on all of them at once, and one by one where the schema's answer is about
// the table around them.
func (e *examination) holes(ctx context.Context) ([]ValueUse, error) {
	schemas := e.chart.engine.Schemas()
	if len(schemas) == 0 || e.refuses == nil || len(e.refuses(e.first)) > 0 {
		return nil, nil // refused as they are: nothing can be learnt from it
	}
	open := map[string][]any{} // what is to be tried, while nothing was refused
	for path, v := range e.declared {
		bad, _ := wrong(v)
		// What is in a table that templates hand on as a whole, such as a
		// securityContext, has its types from Kubernetes.
		if _, read := e.reads[path]; read && bad != nil && e.judged[path] &&
			slices.ContainsFunc(schemas, func(s string) bool { return s == "" || strings.HasPrefix(path, s+".") }) {
			open[path] = bad
		}
	}
	for round := range 3 {
		change := map[string]any{}
		for path, bad := range open {
			if round < len(bad) {
				put(change, path, bad[round])
			}
		}
		refused := e.refuses(overlay(e.first, change))
		for path := range maps.Clone(refused) { // one below a value is of it
			for i := range path {
				if path[i] == '.' && open[path[:i]] != nil {
					refused[path[:i]] = true
				}
			}
		}
		for _, path := range slices.Sorted(maps.Keys(open)) {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if round >= len(open[path]) {
				continue
			}
			no, unsure := refuses(refused, path)
			if unsure && !no {
				alone := map[string]any{}
				put(alone, path, open[path][round])
				no = len(e.refuses(overlay(e.first, alone))) > 0
			}
			if no {
				delete(open, path)
			}
		}
	}
	var found []ValueUse
	for path := range open {
		_, want := wrong(e.declared[path])
		found = append(found, ValueUse{Path: path, Place: e.place(path), Message: "the schema takes anything where values.yaml has " + want})
	}
	return found, nil
}

// refuses says whether a value is among those refused, or else a table around
// it is, which may or may not be for the value's sake.
func refuses(refused map[string]bool, path string) (no, unsure bool) {
	if refused[path] {
		return true, false
	}
	unsure = refused[""]
	for i := range path {
		unsure = unsure || path[i] == '.' && refused[path[:i]]
	}
	return false, unsure
}
