package engine

import (
	"fmt"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// gates are the values that decide which subcharts take part: the paths in
// conditions, and tags. Helm resolves dependencies by merging all values of
// all charts over and over; what comes out depends on these few alone, so
// they are resolved on a chart that has nothing else, and the rest is done
// once for every combination that occurs.
type gates struct {
	fixed bool // no conditions and no tags: always the same subcharts
	keep  keys
}

// keys is a set of value paths, as a tree. A nil entry keeps everything
// below; an empty one keeps only what kind of thing is there.
type keys map[string]keys

func (k keys) add(path []string) {
	for i, key := range path {
		next, ok := k[key]
		if ok && next == nil {
			return
		}
		if i == len(path)-1 {
			k[key] = nil
			return
		}
		if !ok {
			next = keys{}
			k[key] = next
		}
		k = next
	}
}

func (k keys) table(name string) keys {
	next, ok := k[name]
	if !ok {
		next = keys{}
		k[name] = next
	}
	return next
}

func findGates(root *chart.Chart) gates {
	g := gates{fixed: true, keep: keys{}}
	global := false
	var visit func(ch *chart.Chart, path []string, at keys)
	visit = func(ch *chart.Chart, path []string, at keys) {
		for _, dep := range ch.Metadata.Dependencies {
			if dep == nil {
				continue
			}
			if len(dep.Tags) > 0 {
				g.fixed = false
				g.keep.add([]string{"tags"})
			}
			for _, cond := range strings.Split(strings.TrimSpace(dep.Condition), ",") {
				if cond == "" {
					continue
				}
				g.fixed = false
				full := append(append([]string{}, path...), strings.Split(cond, ".")...)
				g.keep.add(full)
				for _, part := range full {
					global = global || part == chartutil.GlobalKey
				}
			}
		}
		for _, sub := range ch.Dependencies() {
			for _, name := range namesOf(ch, sub) {
				below := append(path[:len(path):len(path)], name)
				if at != nil {
					visit(sub, below, at.table(name))
				} else {
					visit(sub, below, nil)
				}
			}
		}
	}
	visit(root, nil, g.keep)
	if global {
		g.keep["global"] = nil
		keepGlobal(g.keep)
	}
	return g
}

func keepGlobal(k keys) {
	for _, below := range k {
		if below != nil {
			below["global"] = nil
			keepGlobal(below)
		}
	}
}

// prune copies of v what k keeps.
func (k keys) prune(v map[string]any) map[string]any {
	out := make(map[string]any)
	for key, below := range k {
		val, ok := v[key]
		if !ok {
			continue
		}
		if table, isTable := val.(map[string]any); isTable && below != nil {
			out[key] = below.prune(table)
		} else {
			out[key] = val
		}
	}
	return out
}

// resolve returns a key that names the combination of subcharts that vals turn
// on. Equal keys mean equal charts after Helm's dependency processing.
func (c *Chart) resolve(vals map[string]any) (key string, err error) {
	if c.gates.fixed {
		return "", nil
	}
	skeleton := cloneChart(c.source, func(ch *chart.Chart, at keys) map[string]any {
		// Helm also lays a subchart's defaults at the root when it looks up
		// the subchart's own conditions.
		return union(at, c.gates.keep).prune(ch.Values)
	}, c.gates.keep, true)
	if err := c.helm.processDependencies(skeleton, c.gates.keep.prune(vals)); err != nil {
		return "", err
	}
	var b strings.Builder
	signature(&b, skeleton)
	return b.String(), nil
}

func signature(b *strings.Builder, ch *chart.Chart) {
	for _, dep := range ch.Metadata.Dependencies {
		fmt.Fprintf(b, "%q", dep.Name)
	}
	b.WriteByte('(')
	for _, sub := range ch.Dependencies() {
		fmt.Fprintf(b, "%q", sub.Name())
		signature(b, sub)
	}
	b.WriteByte(')')
}

// cloneChart copies what Helm's dependency processing changes, so that the
// original stays as it was loaded.
func cloneChart(ch *chart.Chart, values func(*chart.Chart, keys) map[string]any, at keys, bare bool) *chart.Chart {
	md := *ch.Metadata
	if ch.Metadata.Dependencies != nil {
		md.Dependencies = make([]*chart.Dependency, len(ch.Metadata.Dependencies))
		for i, dep := range ch.Metadata.Dependencies {
			if dep == nil {
				continue
			}
			d := *dep
			d.ImportValues = append([]any(nil), dep.ImportValues...)
			if bare {
				d.ImportValues = nil
			}
			md.Dependencies[i] = &d
		}
	}
	out := &chart.Chart{Metadata: &md, Values: ch.Values}
	if values != nil {
		out.Values = values(ch, at)
	}
	if !bare {
		out.Lock, out.Templates, out.Schema, out.Files = ch.Lock, ch.Templates, ch.Schema, ch.Files
	}
	subs := make([]*chart.Chart, len(ch.Dependencies()))
	for i, sub := range ch.Dependencies() {
		below := keys{}
		for _, name := range namesOf(ch, sub) {
			for k, v := range at[name] {
				if old, ok := below[k]; ok && (old == nil || v == nil) {
					below[k] = nil
				} else if ok {
					below[k] = union(old, v)
				} else {
					below[k] = v
				}
			}
		}
		subs[i] = cloneChart(sub, values, below, bare)
	}
	out.SetDependencies(subs...)
	return out
}

func union(a, b keys) keys {
	out := keys{}
	for k, v := range a {
		out[k] = v
	}
	for k, v := range b {
		old, ok := out[k]
		switch {
		case !ok:
			out[k] = v
		case old == nil || v == nil:
			out[k] = nil
		default:
			out[k] = union(old, v)
		}
	}
	return out
}

// process returns the chart as Helm renders it with vals.
func (c *Chart) process(vals map[string]any) (*chart.Chart, error) {
	clone := cloneChart(c.source, nil, nil, false)
	if err := c.helm.processDependencies(clone, vals); err != nil {
		return nil, err
	}
	return clone, nil
}
