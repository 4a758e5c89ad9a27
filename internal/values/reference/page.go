package reference

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/ai-film/ai-film/internal/values"
)

const preface = `# Values

Every value of the chart ` + "`charts/ai-film`" + `, its default and what it means. The defaults are the reference architecture; the
profiles in ` + "`charts/ai-film/values/`" + ` change what a laptop, a k3s box or GKE needs. A misspelt key, a wrong type or a number out of
range is refused by ` + "`values.schema.json`" + `; what cannot work together is refused by ` + "`templates/_validation.tpl`" + `, with the remedy.

This page is generated from ` + "`internal/values`" + `; ` + "`make docs`" + ` writes it anew.
`

// page is the reference for people: a table for each service and each group of values that concern all.
func page(docs docs, defaults map[string]any) ([]byte, error) {
	out := bytes.NewBufferString(preface)
	err := each(reflect.TypeFor[values.Values](), func(owner reflect.Type, field reflect.StructField, key string) error {
		doc, err := docs.of(owner, field)
		if err != nil {
			return err
		}
		if field.Type.Kind() != reflect.Struct {
			_, err = fmt.Fprintf(out, "\n## %s\n\nDefault `%s`. %s\n", key, show(defaults[key]), doc)
			return err
		}
		fmt.Fprintf(out, "\n## %s\n\n%s\n", key, doc)
		below, _ := defaults[key].(map[string]any)
		if !isLayer(field.Type) {
			return table(out, docs, field.Type, key, below)
		}
		return each(field.Type, func(owner reflect.Type, field reflect.StructField, service string) error {
			doc, err := docs.of(owner, field)
			if err != nil {
				return err
			}
			if field.Type.Kind() != reflect.Struct {
				_, err = fmt.Fprintf(out, "\n`%s.%s` (default `%s`): %s\n", key, service, show(below[service]), strings.ToLower(doc[:1])+doc[1:])
				return err
			}
			fmt.Fprintf(out, "\n### %s.%s\n\n%s\n", key, service, doc)
			its, _ := below[service].(map[string]any)
			return table(out, docs, field.Type, key+"."+service, its)
		})
	})
	if err != nil {
		return nil, err
	}
	fmt.Fprint(out, "\n## Every pod\n\nWhat each service takes beside its own values, for its pods; for ComfyUI's servers and, below `relay`, its relay.\n\n| | default | |\n|---|---|---|\n")
	application, _ := defaults["application"].(map[string]any)
	flask, _ := application["flask"].(map[string]any)
	err = rows(out, docs, pod, "", flask)
	return out.Bytes(), err
}

// pod is the type of what every service takes for its pods, which the page tells once.
var pod = reflect.TypeFor[values.Pod]()

func isLayer(typ reflect.Type) bool {
	for _, layer := range layers() {
		if layer.typ == typ {
			return true
		}
	}
	return false
}

func table(out *bytes.Buffer, docs docs, typ reflect.Type, path string, defaults map[string]any) error {
	fmt.Fprintf(out, "\n| `%s.` | default | |\n|---|---|---|\n", path)
	return rows(out, docs, typ, "", defaults)
}

func rows(out *bytes.Buffer, docs docs, typ reflect.Type, prefix string, defaults map[string]any) error {
	return each(typ, func(owner reflect.Type, field reflect.StructField, key string) error {
		if owner == pod && typ != pod {
			return nil
		}
		doc, err := docs.of(owner, field)
		if err != nil {
			return err
		}
		if below, ok := defaults[key].(map[string]any); ok && field.Type.Kind() == reflect.Struct && len(below) > 0 {
			fmt.Fprintf(out, "| `%s%s` | | %s |\n", prefix, key, doc)
			return rows(out, docs, field.Type, prefix+key+".", below)
		}
		bounds, err := parseBounds(field.Tag.Get("schema"))
		if err != nil {
			return err
		}
		if words := bounds.words(); words != "" {
			doc += " " + strings.ToUpper(words[:1]) + words[1:] + "."
		}
		if defaults == nil { // of what has a name of the user's own
			_, err = fmt.Fprintf(out, "| `%s%s` | | %s |\n", prefix, key, doc)
			return err
		}
		_, err = fmt.Fprintf(out, "| `%s%s` | `%s` | %s |\n", prefix, key, show(defaults[key]), doc)
		if err == nil && field.Type.Kind() == reflect.Map && field.Type.Elem().Kind() == reflect.Struct {
			return rows(out, docs, field.Type.Elem(), prefix+key+".NAME.", nil)
		}
		return err
	})
}

// show is a default as YAML would have it on one line.
func show(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(data)
}
