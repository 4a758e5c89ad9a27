package engine

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"text/template"

	"github.com/BurntSushi/toml"
	"github.com/Masterminds/sprig/v3"
	"helm.sh/helm/v3/pkg/chartutil"
	"sigs.k8s.io/yaml"
	goyaml "sigs.k8s.io/yaml/goyaml.v3"

	"github.com/ai-film/ai-film/charttest/internal/plainyaml"
)

// functions are the template functions without state of their own: sprig's
// without those that read the environment, and Helm's. The map is shared; it
// must not be changed.
var functions = sync.OnceValue(func() template.FuncMap {
	f := sprig.TxtFuncMap()
	delete(f, "env")
	delete(f, "expandenv")
	maps.Copy(f, template.FuncMap{
		"toToml":        toTOML,
		"fromToml":      fromTOML,
		"toYaml":        toYAML,
		"toYamlPretty":  toYAMLPretty,
		"fromYaml":      fromYAML,
		"fromYamlArray": fromYAMLArray,
		"toJson":        toJSON,
		"fromJson":      fromJSON,
		"fromJsonArray": fromJSONArray,
		"deepCopy":      deepCopy(f["deepCopy"].(func(any) any)),
		"fail":          fail,
		"required":      required,
		// Bound to a worker before they are ever called.
		"include": func(string, any) (string, error) { return "", nil },
		"tpl":     func(string, any) (string, error) { return "", nil },
		"lookup":  func(string, string, string, string) (map[string]any, error) { return map[string]any{}, nil },
	})
	return f
})

// functions are those that look at the worker's current render.
func (w *worker) functions() template.FuncMap {
	f := template.FuncMap{
		"lookup":        w.lookup,
		"getHostByName": w.getHostByName,
		"fromYaml":      w.program.fragments.fromYAML,
		tickFunc:        w.tick,
	}
	w.addRandom(f)
	w.addProbes(f)
	return f
}

// deepCopy copies tables, files and what YAML consists of by itself: reflection,
// which sprig goes by, takes a hundred times as long, byte by byte of a file.
func deepCopy(other func(any) any) func(any) any {
	var of func(any) any
	table := func(m map[string]any) map[string]any {
		out := make(map[string]any, len(m))
		for key, item := range m {
			out[key] = of(item)
		}
		return out
	}
	of = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			if v != nil {
				return table(v)
			}
		case chartutil.Values:
			if v != nil {
				return chartutil.Values(table(v))
			}
		case files:
			out := make(files, len(v))
			for name, data := range v {
				out[name] = bytes.Clone(data)
			}
			return out
		case string, bool, float64:
			return v
		case []any:
			if v != nil {
				out := make([]any, len(v))
				for i, item := range v {
					out[i] = of(item)
				}
				return out
			}
		case nil:
			return nil
		}
		return other(v)
	}
	return func(v any) any {
		if v == nil {
			return other(v) // panics
		}
		return of(v)
	}
}

func fail(msg string) (string, error) {
	return "", &refusal{msg, Failed}
}

func required(warn string, val any) (any, error) {
	if s, ok := val.(string); val == nil || ok && s == "" {
		return val, &refusal{warn, Required}
	}
	return val, nil
}

func (w *worker) lookup(apiVersion, kind, namespace, name string) (map[string]any, error) {
	if w.render.release.Lookup == nil {
		return map[string]any{}, nil
	}
	return w.render.release.Lookup(apiVersion, kind, namespace, name)
}

func (w *worker) getHostByName(name string) string {
	if !w.render.release.EnableDNS {
		return ""
	}
	return functions()["getHostByName"].(func(string) string)(name)
}

// The conversions below answer errors as Helm's do: with an empty string, or
// with the error as a value.

func toYAML(v any) string {
	if values, ok := v.(chartutil.Values); ok {
		v = map[string]any(values)
	}
	if text, ok := plainyaml.Marshal(v); ok {
		return text
	}
	data, err := yaml.Marshal(v)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(data), "\n")
}

func toYAMLPretty(v any) string {
	var data bytes.Buffer
	encoder := goyaml.NewEncoder(&data)
	encoder.SetIndent(2)
	if err := encoder.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSuffix(data.String(), "\n")
}

// fragments remember the YAML that templates read back from their own includes,
// which is mostly the same from render to render. The tables are never handed
// out, as templates may change theirs.
type fragments struct{ byText generations[map[string]any] }

// fragmentBytes bounds the text remembered, twice.
const fragmentBytes = 1 << 20

func (f *fragments) fromYAML(text string) map[string]any {
	return copyMapDeep(f.byText.get(text, fragmentBytes, fromYAML))
}

func fromYAML(str string) map[string]any {
	if n := plainyaml.Parse(str); n != nil && n.Kind == plainyaml.Map {
		return n.Value(false).(map[string]any)
	}
	m := map[string]any{}
	if err := yaml.Unmarshal([]byte(str), &m); err != nil {
		m["Error"] = err.Error()
	}
	return m
}

func fromYAMLArray(str string) []any {
	if n := plainyaml.Parse(str); n != nil && n.Kind == plainyaml.List {
		return n.Value(false).([]any)
	}
	a := []any{}
	if err := yaml.Unmarshal([]byte(str), &a); err != nil {
		a = []any{err.Error()}
	}
	return a
}

func toTOML(v any) string {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(v); err != nil {
		return err.Error()
	}
	return b.String()
}

func fromTOML(str string) map[string]any {
	m := make(map[string]any)
	if err := toml.Unmarshal([]byte(str), &m); err != nil {
		m["Error"] = err.Error()
	}
	return m
}

func toJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(data)
}

func fromJSON(str string) map[string]any {
	m := make(map[string]any)
	if err := json.Unmarshal([]byte(str), &m); err != nil {
		m["Error"] = err.Error()
	}
	return m
}

func fromJSONArray(str string) []any {
	a := []any{}
	if err := json.Unmarshal([]byte(str), &a); err != nil {
		a = []any{err.Error()}
	}
	return a
}
