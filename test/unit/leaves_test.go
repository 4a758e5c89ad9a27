package unit

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/internal/values"
)

// others are values of every type but the right one, by what a field holds.
func others(typ reflect.Type) []any {
	switch {
	case typ == reflect.TypeFor[values.Quantity]():
		return []any{true, []any{"1Gi"}, map[string]any{"a": "1Gi"}, "much", -1}
	case typ.Kind() == reflect.Bool:
		return []any{"true", 1, []any{true}, map[string]any{"a": true}}
	case typ.Kind() == reflect.Int || typ.Kind() == reflect.Int64:
		return []any{"1", 1.5, true, []any{1}, map[string]any{"a": 1}}
	case typ.Kind() == reflect.String:
		return []any{1, true, []any{"a"}, map[string]any{"a": "b"}}
	case typ.Kind() == reflect.Slice:
		return []any{"a", 1, map[string]any{"a": "b"}, true}
	}
	return []any{"a", 1, []any{"a"}, true}
}

// handedOn are what Helm hands on to subcharts before it checks anything: it ends there by itself.
var handedOn = map[string]bool{"": true, "global": true, "application": true, "processing": true, "data": true, "monitoring": true}

// wrong makes values of a type in which everything at one depth is of another type: the nth of others, in turn. A depth of -1 means
// every leaf. It appends the paths of what is wrong. What is Kubernetes' own is left out.
func wrong(typ reflect.Type, path string, depth, nth int, paths *[]string) any {
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	leaf := typ.Kind() != reflect.Struct && typ.Kind() != reflect.Map && typ.Kind() != reflect.Slice
	below := func(key string) string { return strings.TrimPrefix(path+"."+key, ".") }
	switch {
	case leaf && depth < 0, !leaf && depth == 0 && !handedOn[path]:
		all := others(typ)
		*paths = append(*paths, path)
		return all[nth%len(all)]
	case leaf || typ.Kind() == reflect.Map && typ.Elem().Kind() == reflect.Interface:
		return nil
	case typ.Kind() == reflect.Map:
		if at := wrong(typ.Elem(), below("x"), depth-1, nth, paths); at != nil {
			return map[string]any{"x": at}
		}
		return nil
	case typ.Kind() == reflect.Slice:
		if at := wrong(typ.Elem(), below("0"), depth-1, nth, paths); at != nil {
			return []any{at}
		}
		return nil
	}
	fields := map[string]any{}
	for i := range typ.NumField() {
		field := typ.Field(i)
		if field.Anonymous {
			if embedded, ok := wrong(field.Type, path, depth, nth, paths).(map[string]any); ok {
				for key, value := range embedded {
					fields[key] = value
				}
			}
			continue
		}
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if at := wrong(field.Type, below(key), depth-1, nth, paths); at != nil {
			fields[key] = at
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return fields
}

// Every value of every other type is refused, under its own path, before a template is read: leaves, lists, tables, and what is in
// them.
func TestEveryValueOfAnotherTypeIsRefused(t *testing.T) {
	tried := map[string]int{}
	for depth := -1; depth < 8; depth++ {
		for nth := range 5 {
			var paths []string
			all, _ := wrong(reflect.TypeFor[values.Values](), "", min(depth, 8), nth, &paths).(map[string]any)
			if len(paths) == 0 {
				continue
			}
			_, err := studio(t).Render(t.Context(), installed, charttest.Values(all))
			var refused *charttest.SchemaError
			require.ErrorAs(t, err, &refused)
			at := map[string]bool{}
			for _, v := range refused.Violations {
				at[v.Value] = true
			}
			for _, path := range paths {
				assert.True(t, at[path], "depth %d, type %d: %s is taken", depth, nth, path)
				tried[path]++
			}
		}
	}
	for path := range handedOn {
		for _, other := range []any{"a", 1, []any{"a"}, true} {
			if path == "" {
				continue
			}
			_, err := studio(t).Render(t.Context(), installed, charttest.Values(map[string]any{path: other}))
			if assert.Error(t, err, "%s: %v", path, other) {
				assert.Contains(t, err.Error(), path)
			}
		}
	}
	assert.Greater(t, len(tried), 900, "values that were tried")
	for path, value := range leaves("", yamlFile(t, "charts/ai-film/values.yaml")) {
		assert.NotZero(t, tried[path], "%s (%v) was not tried", path, value)
	}
}

// leaves are the values of a table by path; a key of a table of the user's own goes by x.
func leaves(path string, at map[string]any) map[string]any {
	all := map[string]any{}
	for key, value := range at {
		key = strings.TrimPrefix(path+"."+key, ".")
		for _, table := range []string{".requests.", ".limits.", ".config.", ".dashboards.labels."} {
			if i := strings.LastIndex(key, table); i >= 0 {
				key = key[:i+len(table)] + "x"
			}
		}
		if below, ok := value.(map[string]any); ok && len(below) > 0 {
			for key, value := range leaves(key, below) {
				all[key] = value
			}
			continue
		}
		all[key] = fmt.Sprint(value)
	}
	return all
}
