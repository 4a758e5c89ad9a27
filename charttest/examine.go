package charttest

import (
	"context"
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
	e := &examination{chart: c, files: c.engine.ValuesFiles(), declared: map[string]any{},
		reads: map[string]engine.Read{}, judged: map[string]bool{},
		on: map[string]bool{}, off: map[string]bool{}}
	for _, r := range renders {
		if err := e.add(r); err != nil {
			return nil, convert(c.engine, err)
		}
	}
	for _, path := range c.engine.Gates() {
		e.reads[path] = engine.Read{Path: path, Found: true, All: true}
	}
	results := make([]*engine.Result, len(renders))
	for i, r := range renders {
		results[i] = r.result
	}
	var err error
	if e.mentions, err = c.engine.Mentions(results); err != nil {
		return nil, convert(c.engine, err)
	}
	report := new(ValuesReport)
	if report.Dead, err = e.dead(ctx, renders); err != nil {
		return nil, convert(c.engine, err)
	}
	report.Undeclared = e.undeclared()
	if report.Holes, err = e.holes(renders); err != nil {
		return nil, convert(c.engine, err)
	}
	for _, list := range [][]ValueUse{report.Dead, report.Undeclared, report.Holes} {
		slices.SortFunc(list, func(a, b ValueUse) int { return strings.Compare(a.Path, b.Path) })
	}
	return report, nil
}

type examination struct {
	chart    *Chart
	files    []engine.ValuesFile
	declared map[string]any // by leaf path
	reads    map[string]engine.Read
	judged   map[string]bool  // leaves whose chart took part in a render
	on, off  map[string]bool  // subcharts that took part in a render, and that stood out of one
	mentions []engine.Mention // what renders may not have shown
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
func (e *examination) dead(ctx context.Context, renders []*Render) ([]ValueUse, error) {
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
	for _, path := range e.unchanging(ctx, renders, suspects, 64) {
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
	for _, m := range e.mentions {
		for _, base := range m.Bases {
			for i := range m.Fields {
				at := joinField(base, strings.Join(m.Fields[i:], "."))
				if _, read := e.reads[at]; !read && (path == at || !m.Asks && strings.HasPrefix(path, at+".")) {
					return true
				}
			}
		}
		if m.Executed {
			continue
		}
		fields := m.Fields
		at := slices.Index(fields, "Values")
		if at < 0 && (len(fields) == 0 || beside[fields[0]]) {
			continue
		}
		fields = fields[at+1:]
		for _, p := range paths {
			for i := range p {
				n := min(len(fields), len(p)-i)
				if slices.Equal(fields[:n], p[i:i+n]) && (at < 0 && n > 0 || at >= 0 && i == 0) && !(m.Asks && n < len(p)-i) {
					return true
				}
			}
		}
	}
	return false
}

// beside are what templates see besides the values.
var beside = map[string]bool{"Release": true, "Chart": true, "Capabilities": true, "Files": true, "Template": true, "Subcharts": true}

// unchanging returns those of the paths whose values make no difference to any
// render. budget is how often it may render each.
func (e *examination) unchanging(ctx context.Context, renders []*Render, paths []string, budget int) []string {
	if len(paths) == 0 || budget <= 0 {
		return nil
	}
	change := map[string]any{}
	for _, path := range paths {
		put(change, path, other(e.declared[path]))
	}
	same := true
	for _, r := range renders {
		if text, err := r.with(ctx, change); err != nil || text != r.result.Text(true)+r.Notes {
			same = false
			break
		}
	}
	switch {
	case same:
		return paths
	case len(paths) == 1:
		return nil
	}
	half := len(paths) / 2
	return append(e.unchanging(ctx, renders, paths[:half], budget/2), e.unchanging(ctx, renders, paths[half:], budget/2)...)
}

// with renders once more with values laid over the profile's, and returns what
// was printed.
func (r *Render) with(ctx context.Context, change map[string]any) (string, error) {
	p := r.Profile
	p.SkipSchema = true
	base, err := p.overrides(r.Chart.getters).Merge()
	if err != nil {
		return "", err
	}
	release, err := p.release()
	if err != nil {
		return "", err
	}
	result, err := r.Chart.engine.Render(ctx, overlay(base, change), release)
	if err != nil {
		return "", err
	}
	return result.Text(true) + result.Notes, nil
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
	for p := range e.declared {
		if strings.HasPrefix(p, path+".") {
			return true
		}
	}
	key := path[strings.LastIndexByte(path, '.')+1:]
	for _, f := range e.files {
		for _, line := range strings.Split(f.Text, "\n") {
			comment, ok := strings.CutPrefix(strings.TrimLeft(line, " "), "#")
			if ok && strings.HasPrefix(strings.TrimLeft(comment, "# -"), key+":") {
				return true
			}
		}
	}
	return false
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
// of.
func (e *examination) holes(renders []*Render) ([]ValueUse, error) {
	schemas := e.chart.engine.Schemas()
	var found []ValueUse
	if len(schemas) == 0 || len(renders) == 0 {
		return nil, nil
	}
	r := renders[0]
	values, err := r.result.Declared()
	if err != nil {
		return nil, err
	}
	if ok, err := r.result.Accepts(values); err != nil || !ok {
		return nil, err // refused as they are: nothing can be learnt from it
	}
	for path, v := range e.declared {
		bad, want := wrong(v)
		// What is in a table that templates hand on as a whole, such as a
		// securityContext, has its types from Kubernetes.
		if _, read := e.reads[path]; !read || bad == nil || !e.judged[path] ||
			!slices.ContainsFunc(schemas, func(s string) bool { return s == "" || strings.HasPrefix(path, s+".") }) {
			continue
		}
		takes := true
		for _, b := range bad {
			change := map[string]any{}
			put(change, path, b)
			if takes, err = r.result.Accepts(overlay(values, change)); err != nil {
				return nil, err
			} else if !takes {
				break
			}
		}
		if takes {
			found = append(found, ValueUse{Path: path, Place: e.place(path),
				Message: "the schema takes anything where values.yaml has " + want})
		}
	}
	return found, nil
}
