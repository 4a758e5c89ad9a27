package engine

import (
	"fmt"
	"strings"

	"github.com/pkg/errors"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// coalescer lays user values over a chart's defaults and its subcharts',
// precisely as chartutil.CoalesceValues does, including which nested tables
// are shared between scopes. It exists because Helm's copies through
// reflection, which costs a quarter of a render, and prints its warnings to
// the process's log, where a test can't see them. A differential test holds
// the two together.
type coalescer struct {
	helm     Helm
	warnings []Warning
}

// Warning is what Helm logs of a render that it goes on with, in its words: of
// a value, or of a document of a template.
type Warning struct {
	Text     string
	Value    string // path from the root of the values; "" if it is about a document
	Manifest Manifest

	logged bool // by Helm's own code, which is at work there
}

// Logged says whether Helm's own code has printed the warning.
func (w Warning) Logged() bool { return w.logged }

func (c *coalescer) warn(value, format string, args ...any) {
	if _, path, ok := strings.Cut(value, "."); ok { // without the chart's own name
		value = path
	}
	c.warnings = append(c.warnings, Warning{Text: fmt.Sprintf(format, args...), Value: value})
}

func (c *coalescer) coalesceValues(ch *chart.Chart, vals map[string]any) (chartutil.Values, error) {
	dest := copyMapDeep(vals)
	if dest == nil {
		dest = map[string]any{}
	}
	out, err := c.chart(ch, dest, "")
	return out, err
}

func (c *coalescer) chart(ch *chart.Chart, dest map[string]any, prefix string) (map[string]any, error) {
	c.values(ch, dest, prefix)
	for _, sub := range ch.Dependencies() {
		name := sub.Name()
		given, ok := dest[name]
		if !ok {
			given = make(map[string]any)
			dest[name] = given
		}
		table, ok := given.(map[string]any)
		if !ok {
			return dest, errors.Errorf("type mismatch on %s: %t", name, given)
		}
		subPrefix := concat(prefix, ch.Metadata.Name)
		c.globals(table, dest, subPrefix)
		coalesced, err := c.chart(sub, table, subPrefix)
		dest[name] = coalesced
		if err != nil {
			return dest, err
		}
	}
	return dest, nil
}

func (c *coalescer) globals(dest, src map[string]any, prefix string) {
	dg, ok := tableOr(dest, chartutil.GlobalKey)
	if !ok {
		c.warn(concat(prefix, chartutil.GlobalKey), "warning: skipping globals because destination %s is not a table.", chartutil.GlobalKey)
		return
	}
	sg, ok := tableOr(src, chartutil.GlobalKey)
	if !ok {
		c.warn(concat(prefix, chartutil.GlobalKey), "warning: skipping globals because source %s is not a table.", chartutil.GlobalKey)
		return
	}
	for key, val := range sg {
		table, isTable := val.(map[string]any)
		have, exists := dg[key]
		if isTable {
			// One level only, as in Helm: tables inside a global table are
			// shared by all scopes, and a template that changes one changes
			// it for all.
			vv := make(map[string]any, len(table))
			for k, v := range table {
				vv[k] = v
			}
			if !exists {
				dg[key] = vv
			} else if haveTable, ok := have.(map[string]any); !ok {
				c.warn(concat(prefix, chartutil.GlobalKey+"."+key), "Conflict: cannot merge map onto non-map for %q. Skipping.", key)
			} else {
				c.tables(vv, haveTable, concat(prefix, key), true)
				dg[key] = vv
			}
		} else if _, haveTable := have.(map[string]any); exists && haveTable {
			c.warn(concat(prefix, chartutil.GlobalKey+"."+key), "key %s is table. Skipping", key)
		} else {
			dg[key] = val
		}
	}
	dest[chartutil.GlobalKey] = dg
}

// tableOr returns the table at key, an empty one if there is none, and false
// if something else is there.
func tableOr(m map[string]any, key string) (map[string]any, bool) {
	v, ok := m[key]
	if !ok {
		return make(map[string]any), true
	}
	t, ok := v.(map[string]any)
	return t, ok
}

func (c *coalescer) values(ch *chart.Chart, v map[string]any, prefix string) {
	subPrefix := concat(prefix, ch.Metadata.Name)
	for key, def := range ch.Values {
		value, ok := v[key]
		if !ok {
			if def != nil || !c.helm.four() {
				v[key] = c.helm.cleaned(def)
			}
			continue
		}
		if value == nil {
			delete(v, key) // null takes a default away
			continue
		}
		dest, ok := value.(map[string]any)
		if !ok {
			continue
		}
		src, ok := def.(map[string]any)
		if !ok {
			if def != nil {
				c.warn(concat(subPrefix, key), "warning: skipped value for %s.%s: Not a table.", subPrefix, key)
			}
			continue
		}
		// For a subchart's table nulls are kept, for the subchart to apply.
		merge := false
		for _, sub := range ch.Dependencies() {
			if sub.Name() == key {
				merge = true
			}
		}
		defaults := copyMapDeep(src)
		if !merge {
			defaults = c.helm.cleaned(src).(map[string]any)
		}
		c.tables(dest, defaults, concat(subPrefix, key), merge)
	}
}

func (c *coalescer) tables(dst, src map[string]any, prefix string, merge bool) {
	if src == nil || dst == nil {
		return
	}
	var set map[string]bool // keys with a default before nulls are laid over
	for key, val := range dst {
		if val == nil {
			if set == nil {
				set = make(map[string]bool)
				for k, v := range src {
					if v != nil {
						set[k] = true
					}
				}
			}
			src[key] = nil
		}
	}
	for key, val := range src {
		dv, ok := dst[key]
		if ok && !merge && dv == nil && set[key] {
			delete(dst, key)
			continue
		}
		if !ok {
			dst[key] = val
			continue
		}
		table, isTable := val.(map[string]any)
		destTable, destIsTable := dv.(map[string]any)
		switch {
		case isTable && destIsTable:
			c.tables(destTable, table, concat(prefix, key), merge)
		case isTable:
			c.warn(concat(prefix, key), "warning: cannot overwrite table with non table for %s (%v)", concat(prefix, key), val)
		case destIsTable && val != nil:
			c.warn(concat(prefix, key), "warning: destination for %s is a table. Ignoring non-table value (%v)", concat(prefix, key), val)
		}
	}
}

// switches warns of conditions and tags of dependencies that are neither true
// nor false, as Helm does while it resolves them: it takes no notice of them.
func (c *coalescer) switches(ch *chart.Chart, vals map[string]any, at string) {
	for _, dep := range ch.Metadata.Dependencies {
		for _, condition := range strings.Split(strings.TrimSpace(dep.Condition), ",") {
			v, err := chartutil.Values(vals).PathValue(condition)
			if err != nil {
				continue
			}
			if _, ok := v.(bool); ok {
				break
			}
			c.warnings = append(c.warnings, Warning{Text: fmt.Sprintf("Warning: Condition path '%s' for chart %s returned non-bool value", condition, dep.Name), Value: concat(at, condition), logged: true})
		}
		tags, _ := vals["tags"].(map[string]any)
		for _, tag := range dep.Tags {
			if v, ok := tags[tag]; ok && at == "" {
				if _, ok := v.(bool); !ok {
					c.warnings = append(c.warnings, Warning{Text: fmt.Sprintf("Warning: Tag '%s' for chart %s returned non-bool value", tag, dep.Name), Value: concat("tags", tag), logged: true})
				}
			}
		}
	}
	for _, sub := range ch.Dependencies() {
		if below, ok := vals[sub.Name()].(map[string]any); ok {
			c.switches(sub, below, concat(at, sub.Name()))
		}
	}
}

func concat(a, b string) string {
	if a == "" {
		return b
	}
	return a + "." + b
}

// copyMapDeep copies plain values: the types that YAML, JSON and --set yield.
func copyMapDeep(m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = copyAny(v)
	}
	return out
}

func copyAny(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return copyMapDeep(v)
	case []any:
		if v == nil {
			return v
		}
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = copyAny(item)
		}
		return out
	}
	return v
}
