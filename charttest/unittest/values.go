package unittest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// userValues are the test's values as JSON: files, then what the suite sets,
// then what the test sets, scoped to the chart that the suite is of.
func (r *run) userValues(t *test) ([]byte, error) {
	routes := strings.Split(filepath.ToSlash(t.suite.route), "/charts/")
	base := map[string]any{}
	for _, file := range t.Values {
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(t.suite.file), file)
		}
		value, err := r.valuesFile(file)
		if err != nil {
			return nil, err
		}
		base = engine.MergeValues(scoped(routes, value), base)
	}
	for _, set := range []map[string]any{t.suite.Set, t.Set} {
		for _, path := range slices.Sorted(maps.Keys(set)) {
			value, err := setValue(path, set[path])
			if err != nil {
				return nil, err
			}
			base = engine.MergeValues(scoped(routes, value), base)
		}
	}
	data, err := json.Marshal(base)
	if err != nil {
		return nil, fmt.Errorf("error marshaling into JSON: %w", err)
	}
	return data, nil
}

type readValues struct {
	values map[string]any
	err    error
}

// valuesFile reads a values file, once. The values must not be changed.
func (r *run) valuesFile(file string) (map[string]any, error) {
	if have, ok := r.valuesFiles.Load(file); ok {
		return have.(readValues).values, have.(readValues).err
	}
	v := readValues{values: map[string]any{}}
	var text []byte
	if text, v.err = os.ReadFile(file); v.err == nil {
		if err := yaml.Unmarshal(text, &v.values); err != nil {
			v.err = fmt.Errorf("failed to parse %s: %s", file, err)
		}
	}
	r.valuesFiles.Store(file, v)
	return v.values, v.err
}

// scoped puts the values of a subchart where its parents have them.
func scoped(routes []string, values map[string]any) map[string]any {
	for i := len(routes) - 1; i > 0; i-- {
		outer := map[string]any{routes[i]: values}
		if global, ok := values["global"]; ok {
			outer["global"] = global
		}
		values = outer
	}
	return values
}

// setValue is a table with a value at a path such as a.b[0].c or
// a.annotations[example.org/x].
func setValue(path string, value any) (map[string]any, error) {
	steps, err := setPath(path)
	if err != nil {
		return nil, err
	}
	for _, step := range slices.Backward(steps) {
		switch step := step.(type) {
		case string:
			value = map[string]any{step: value}
		case int:
			list := make([]any, step+1)
			list[step] = value
			value = list
		}
	}
	table, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("invalid path %q", path)
	}
	return table, nil
}

// setPath cuts a path into keys and indexes, and refuses what helm-unittest
// refuses. A [ after a key opens an index, elsewhere a key with dots in it.
func setPath(path string) ([]any, error) {
	if path == "" {
		return nil, errors.New("set path is empty")
	}
	const (
		key = iota
		index
		denotation // after a ]
		escaped
	)
	var steps []any
	state, verbatim := key, ""
	for rest := path; ; {
		n := strings.IndexAny(rest, ".[],{}=")
		if n < 0 {
			switch {
			case rest != "" && state == key:
				return append(steps, rest), nil
			case rest == "" && state == denotation:
				return steps, nil
			}
			return nil, errors.New("unexpected end of")
		}
		text, last := rest[:n], rest[n]
		rest = rest[n+1:]
		switch {
		case strings.IndexByte(",{}=", last) >= 0:
			return nil, fmt.Errorf("invalid token found %c", last)
		case state == key && last == '.':
			steps = append(steps, text)
		case state == key && last == '[' && text == "":
			state, verbatim = escaped, ""
		case state == key && last == '[':
			steps, state = append(steps, text), index
		case state == key:
			return nil, fmt.Errorf("invalid key %c", last)
		case state == index && last == ']':
			i, err := strconv.Atoi(text)
			if err != nil {
				return nil, err
			}
			if i < 0 {
				return nil, fmt.Errorf("negative index in %q", path)
			}
			steps, state = append(steps, i), denotation
		case state == index:
			return nil, errors.New("missing index value")
		case state == denotation && last == '.':
			state = key
		case state == denotation && last == '[':
			state = index
		case state == denotation:
			return nil, fmt.Errorf("invalid denotation token %c", last)
		case last == '.':
			verbatim += text + "."
		case last == ']':
			steps, state = append(steps, verbatim+text), denotation
		default:
			return nil, fmt.Errorf("invalid escaping token %c", last)
		}
	}
}
