package check

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// told is what the user said in so many words, and what the programs in the
// pods are told.
type told struct {
	texts      map[string]bool // strings in the values
	containers map[string]bool // containers that stand in the values as a whole
	configured map[string]bool // numbers in the render's ConfigMaps
}

func (ix *index) told() *told {
	if ix.tolds != nil {
		return ix.tolds
	}
	t := &told{texts: map[string]bool{}, containers: map[string]bool{}, configured: map[string]bool{}}
	t.values(ix.render.Values())
	for _, o := range ix.render.Objects {
		if cm, ok := o.Typed.(*corev1.ConfigMap); ok {
			for _, text := range cm.Data {
				numbers(text, t.configured)
			}
		}
	}
	ix.tolds = t
	return t
}

func (t *told) values(v any) {
	switch v := v.(type) {
	case string:
		t.texts[v] = true
	case []any:
		for _, item := range v {
			t.values(item)
		}
	case map[string]any:
		if name, ok := v["name"].(string); ok && v["image"] != nil {
			t.containers[name] = true
		}
		for _, item := range v {
			t.values(item)
		}
	}
}

// tells says whether a workload's programs are told of a port, by an argument,
// a variable, an annotation or a configuration file: then they are taken to
// listen there, declared or not.
func (ix *index) tells(w workload, port string) bool {
	if ix.told().configured[port] {
		return true
	}
	found := map[string]bool{}
	for _, c := range w.containers() {
		for _, text := range append(append([]string{}, c.Command...), c.Args...) {
			numbers(text, found)
		}
		for _, e := range c.Env {
			numbers(e.Value, found)
		}
	}
	for _, text := range w.template.Annotations {
		numbers(text, found)
	}
	return found[port]
}

// numbers adds the runs of digits in a text that could be ports.
func numbers(text string, to map[string]bool) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r < '0' || r > '9' }) {
		if len(word) > 1 && len(word) < 6 {
			to[word] = true
		}
	}
}
