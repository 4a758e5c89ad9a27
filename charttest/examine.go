package charttest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ai-film/ai-film/internal/engine"
)

// ValuesReport says what is wrong between a chart's values and its templates,
// as executing them shows it.
type ValuesReport struct {
	// Dead are declared values that no template reads, and that change nothing
	// when they are changed. The place is in values.yaml.
	Dead []ValueUse
	// Undeclared are values that templates read but that no values.yaml and no
	// schema has, not even in a comment. The place is in the template.
	Undeclared []ValueUse
	// Holes are declared values for which the schema takes something of the
	// wrong type. The place is in values.yaml.
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
func (c *Chart) ExamineValues(renders ...*Render) (*ValuesReport, error) {
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
	report := new(ValuesReport)
	var err error
	if report.Dead, err = e.dead(renders); err != nil {
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
	judged   map[string]bool // leaves whose chart took part in a render
	on, off  map[string]bool // subcharts that took part in a render, and that stood out of one
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
func (e *examination) dead(renders []*Render) ([]ValueUse, error) {
	var suspects []string
	idle := false // a subchart took part in no render; globals may be for it
	for path := range e.off {
		idle = idle || !e.on[path]
	}
	for path := range e.judged {
		if !e.read(path) && !(idle && strings.HasPrefix(path, "global.")) {
			suspects = append(suspects, path)
		}
	}
	slices.Sort(suspects)
	var found []ValueUse
	for _, path := range e.unchanging(renders, suspects, 64) {
		found = append(found, ValueUse{Path: path, Message: "no template reads it: changing it changes nothing", Place: e.place(path)})
	}
	return found, nil
}

// unchanging returns those of the paths whose values make no difference to any
// render. budget is how often it may render each.
func (e *examination) unchanging(renders []*Render, paths []string, budget int) []string {
	if len(paths) == 0 || budget <= 0 {
		return nil
	}
	change := map[string]any{}
	for _, path := range paths {
		put(change, path, other(e.declared[path]))
	}
	same := true
	for _, r := range renders {
		if text, err := r.with(change); err != nil || text != r.result.Text(true)+r.Notes {
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
	return append(e.unchanging(renders, paths[:half], budget/2), e.unchanging(renders, paths[half:], budget/2)...)
}

// with renders once more with values laid over the profile's, and returns what
// was printed.
func (r *Render) with(change map[string]any) (string, error) {
	p := r.Profile
	p.SkipSchema = true
	base, err := p.overrides().Merge()
	if err != nil {
		return "", err
	}
	release, err := p.release()
	if err != nil {
		return "", err
	}
	ctx := p.Context
	if ctx == nil {
		ctx = context.Background()
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

// wrong is a value of another type, and what it is called.
func wrong(v any) (value any, is, want string) {
	switch v.(type) {
	case bool:
		return "perhaps", "a string", "a boolean"
	case float64, int64:
		return "many", "a string", "a number"
	case string:
		return map[string]any{"a": "table"}, "a table", "a string"
	case []any:
		return "text", "a string", "a list"
	case map[string]any:
		return "text", "a string", "a table"
	}
	return nil, "", "" // null: anything may be meant
}

func (e *examination) undeclared() []ValueUse {
	var found []ValueUse
	for path, read := range e.reads {
		if path == "" || read.Found || read.At.Template == "" || strings.Contains(path, "[]") || e.mentioned(path) {
			continue
		}
		found = append(found, ValueUse{
			Path: path, Place: placeOf(e.chart.engine, read.At),
			Message: "templates read it, but no values.yaml declares it",
		})
	}
	return found
}

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

// holes tries a wrong type on every declared value that a schema is in charge
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
		bad, is, want := wrong(v)
		if bad == nil || !e.judged[path] || !slices.ContainsFunc(schemas, func(s string) bool { return s == "" || strings.HasPrefix(path, s+".") }) {
			continue
		}
		change := map[string]any{}
		put(change, path, bad)
		if ok, err := r.result.Accepts(overlay(values, change)); err != nil {
			return nil, err
		} else if ok {
			found = append(found, ValueUse{Path: path, Place: e.place(path),
				Message: fmt.Sprintf("the schema takes %s where values.yaml has %s", is, want)})
		}
	}
	return found, nil
}
