package engine

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// Read is a value path that templates read.
type Read struct {
	Path  string
	Found bool // whether there was anything
	// All says that everything below counts as read, Children that what is
	// directly below does.
	All, Children bool
	// Generic says that what reads it finds its like elsewhere, as a loop over
	// tables does of which one has a key and others lack it.
	Generic bool
	// Asks says that templates only ask whether it is there: with hasKey, or
	// to refuse it.
	Asks bool
	At   Frame // where it was read first
}

// Reads returns the values that the render's templates read. It renders once
// more to find out, the first time.
func (r *Result) Reads() ([]Read, error) {
	t, err := r.traced()
	if err != nil {
		return nil, err
	}
	var all []Read
	for path, read := range t.reads.seen {
		probe := t.program.probes[read.by.probe]
		all = append(all, Read{
			Path: global(path), Found: read.found, All: read.use == usePrint, Children: read.use == useChildren,
			Generic: t.reads.hits[read.by], Asks: read.asks,
			At: Frame{Template: probe.template, Line: int(probe.line), Define: probe.define},
		})
	}
	return all, nil
}

// global gives a global value its one path: every subchart has a copy.
func global(path string) string {
	if i := strings.LastIndex(path, ".global."); i >= 0 {
		return path[i+1:]
	}
	if strings.HasSuffix(path, ".global") {
		return "global"
	}
	return path
}

// Declared are the values that the chart and those of its subcharts that took
// part in the render declare in their values files, merged.
func (r *Result) Declared() (map[string]any, error) {
	t, err := r.traced()
	if err != nil {
		return nil, err
	}
	return (&coalescer{helm: t.program.helm}).coalesceValues(t.program.chart, nil)
}

// Subcharts are the paths in the values of the subcharts that took part in the
// render, and of those that did not.
func (r *Result) Subcharts() (on, off map[string]bool, err error) {
	t, err := r.traced()
	if err != nil {
		return nil, nil, err
	}
	on, off = make(map[string]bool), make(map[string]bool)
	var visit func(ch *chart.Chart, path string, in map[string]bool)
	visit = func(ch *chart.Chart, path string, in map[string]bool) {
		for _, sub := range ch.Dependencies() {
			p := concat(path, sub.Name())
			in[p] = true
			visit(sub, p, in)
		}
	}
	visit(t.program.chart, "", on)
	var source func(ch *chart.Chart, path string)
	source = func(ch *chart.Chart, path string) {
		for _, sub := range ch.Dependencies() {
			for _, name := range namesOf(ch, sub) {
				if p := concat(path, name); !on[p] {
					off[p] = true
				}
				source(sub, concat(path, name))
			}
		}
	}
	source(r.Chart.source, "")
	return on, off, nil
}

// Gates are the values that Helm itself reads: conditions, tags, and what is
// imported from subcharts.
func (c *Chart) Gates() []string {
	var paths []string
	var visit func(ch *chart.Chart, path string)
	visit = func(ch *chart.Chart, path string) {
		for _, dep := range ch.Metadata.Dependencies {
			if dep == nil {
				continue
			}
			for _, cond := range strings.Split(strings.TrimSpace(dep.Condition), ",") {
				if cond != "" {
					paths = append(paths, concat(path, cond))
				}
			}
			if len(dep.Tags) > 0 {
				paths = append(paths, "tags")
			}
			name := dep.Name
			if dep.Alias != "" {
				name = dep.Alias
			}
			for _, imported := range dep.ImportValues {
				switch iv := imported.(type) {
				case string:
					paths = append(paths, concat(path, name+".exports."+iv))
				case map[string]any:
					if child, ok := iv["child"].(string); ok {
						paths = append(paths, concat(path, name+"."+child))
					}
				}
			}
		}
		for _, sub := range ch.Dependencies() {
			for _, name := range namesOf(ch, sub) {
				visit(sub, concat(path, name))
			}
		}
	}
	visit(c.source, "")
	return paths
}

// ValuesFile is a chart's values.yaml.
type ValuesFile struct {
	Path string // of the chart in the values; "" for the root
	File string
	Text string
}

// ValuesFiles are the values.yaml of the chart and its subcharts, parents
// first.
func (c *Chart) ValuesFiles() []ValuesFile {
	var files []ValuesFile
	var visit func(ch *chart.Chart, path, full string)
	visit = func(ch *chart.Chart, path, full string) {
		for _, raw := range ch.Raw {
			if raw.Name == chartutil.ValuesfileName {
				files = append(files, ValuesFile{path, c.Source(full + "/" + raw.Name), string(raw.Data)})
			}
		}
		for _, sub := range ch.Dependencies() {
			for _, name := range namesOf(ch, sub) {
				visit(sub, concat(path, name), full+"/charts/"+name)
			}
		}
	}
	visit(c.source, "", c.source.Name())
	return files
}

// Schemas are the paths in the values of the charts that have a schema.
func (c *Chart) Schemas() []string {
	var paths []string
	var visit func(ch *chart.Chart, path string)
	visit = func(ch *chart.Chart, path string) {
		if ch.Schema != nil {
			paths = append(paths, path)
		}
		for _, sub := range ch.Dependencies() {
			for _, name := range namesOf(ch, sub) {
				visit(sub, concat(path, name))
			}
		}
	}
	visit(c.source, "")
	return paths
}

// Refuses returns a function that says which values, by their paths, the
// schemas refuse of values that are given in full, as Declared returns them.
func (r *Result) Refuses() (func(values map[string]any) map[string]bool, error) {
	t, err := r.traced()
	if err != nil {
		return nil, err
	}
	c, ch := r.Chart, t.program.chart
	return func(values map[string]any) map[string]bool {
		refused := make(map[string]bool)
		var broken *SchemaError
		if errors.As(c.validate(ch, values), &broken) {
			for _, v := range broken.Violations {
				refused[strings.Join(v.Path, ".")] = true
			}
		}
		return refused
	}, nil
}

// Mention is a value in a template's text.
type Mention struct {
	// Fields are the keys from a table down to what is read. They begin with
	// "Values" if the table is what templates see as dot.
	Fields []string
	// Asks says that only emptiness matters: what is below isn't read.
	Asks bool
	// Executed says that some render read it, of one table at least.
	Executed bool
	// Bases are the paths of tables that renders came to its define with,
	// whether or not they came to read it of them.
	Bases []string
}

// Bases are the tables of the values that renders' defines read something of.
// They may be added to by several goroutines at once.
type Bases struct {
	mu    sync.Mutex
	paths map[define]map[string]bool
}

type define struct{ file, name string }

// Add adds those of a render.
func (b *Bases) Add(r *Result) error {
	t, err := r.traced()
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paths == nil {
		b.paths = make(map[define]map[string]bool)
	}
	for base := range t.reads.bases {
		at := define{r.Chart.Source(base.template), base.define}
		if b.paths[at] == nil {
			b.paths[at] = make(map[string]bool)
		}
		b.paths[at][global(base.path)] = true
	}
	return nil
}

// Mentions are those in the templates of the chart and all its subcharts that
// may read more than renders show.
func (c *Chart) Mentions(executed *Executed, bases *Bases) []Mention {
	var all []Mention
	reads := c.all().reads
	for i := range reads {
		p := &reads[i]
		m := Mention{Fields: p.fields, Asks: p.usage == useTruth, Executed: executed.executed(p)}
		if !slices.Contains(p.fields, "Values") {
			m.Bases = slices.Sorted(maps.Keys(bases.paths[define{c.Source(p.template), p.define}]))
		}
		if !m.Executed || m.Bases != nil {
			all = append(all, m)
		}
	}
	return all
}
