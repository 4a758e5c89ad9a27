package check

import (
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/ai-film/ai-film/charttest"
)

var metadataValid = &Check{
	Name:   "metadata",
	Why:    "The API server refuses names, labels and label values that break its rules.",
	Remedy: "Cut names to 63 characters and trim what is left («trunc 63 | trimSuffix \"-\"»); quote values that look like numbers.",
	Run: func(p *Pass) {
		for _, o := range p.Render.Objects {
			for _, e := range p.refused(o) {
				if ofMetadata(e.Field) && !(o.Name == "" && e.Field == "metadata.name") { // strict decoding reports that
					p.refusal(o, e)
				}
			}
			if ruled(o) {
				continue
			}
			if o.Name != "" && builtin(o.APIVersion) {
				for _, problem := range validation.IsDNS1123Subdomain(o.Name) {
					p.Report(o, "metadata.name", "name %q: %s", o.Name, problem)
				}
			}
			meta, _ := o.Content()["metadata"].(map[string]any)
			p.labels(o, "metadata.labels", meta["labels"])
			p.keys(o, "metadata.annotations", meta["annotations"])
		}
		p.derived()
	},
}

func (p *Pass) labels(o *charttest.Object, field string, v any) {
	all, _ := v.(map[string]any)
	for _, key := range sorted(all) {
		value, isString := all[key].(string)
		for _, problem := range validation.IsQualifiedName(key) {
			p.Report(o, field, "label %q: %s", key, problem)
		}
		if !isString {
			continue // strict decoding reports it
		}
		for _, problem := range validation.IsValidLabelValue(value) {
			p.Report(o, field, "label %s: value %q: %s", key, value, problem)
		}
	}
}

func (p *Pass) keys(o *charttest.Object, field string, v any) {
	all, _ := v.(map[string]any)
	for _, key := range sorted(all) {
		for _, problem := range validation.IsQualifiedName(strings.ToLower(key)) {
			p.Report(o, field, "annotation %q: %s", key, problem)
		}
	}
}

func sorted(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
