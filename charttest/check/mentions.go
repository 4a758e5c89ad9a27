package check

import "strings"

// mentions says whether something in the render is told the name of an object
// other than by referring to it: an argument of a Job that makes it, a
// Certificate's secretName, a role that may read it. Then it is made there.
func (ix *index) mentions(name string) bool {
	if ix.mentioned == nil {
		ix.mentioned = make(map[string]bool)
		for _, o := range ix.render.Objects {
			if !builtin(o.APIVersion) {
				ix.collect(o.Content()["spec"])
			}
			ix.collect(o.Content()["rules"])
		}
		for _, w := range ix.workloads {
			for _, c := range w.containers() {
				for _, arg := range append(append([]string{}, c.Command...), c.Args...) {
					ix.words(arg)
				}
				for _, env := range c.Env {
					ix.words(env.Value)
				}
			}
		}
	}
	return ix.mentioned[name]
}

func (ix *index) collect(v any) {
	switch t := v.(type) {
	case string:
		ix.words(t)
	case []any:
		for _, e := range t {
			ix.collect(e)
		}
	case map[string]any:
		for _, e := range t {
			ix.collect(e)
		}
	}
}

// words remembers the parts of a text that could be names of objects.
func (ix *index) words(text string) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool {
		return !(r == '-' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z')
	}) {
		ix.mentioned[word] = true
	}
}
