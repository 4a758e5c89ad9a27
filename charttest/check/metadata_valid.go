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
			if problem := nameProblem(o); problem != "" {
				p.Report(o, "metadata.name", "name %q: %s", o.Name, problem)
			}
			meta, _ := o.Content()["metadata"].(map[string]any)
			p.labels(o, "metadata.labels", meta["labels"])
			p.keys(o, "metadata.annotations", meta["annotations"])
		}
		for _, w := range p.index.workloads {
			have := make(map[string]any, len(w.template.Labels))
			for k, v := range w.template.Labels {
				have[k] = v
			}
			if w.path != "" {
				p.labels(w.object, join(w.path, "metadata.labels"), have)
			}
		}
	},
}

func nameProblem(o *charttest.Object) string {
	if o.Name == "" || !builtin(o.APIVersion) {
		return ""
	}
	var problems []string
	switch o.Kind {
	case "Service":
		problems = validation.IsDNS1035Label(o.Name)
	case "Namespace":
		problems = validation.IsDNS1123Label(o.Name)
	case "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding":
		if strings.ContainsAny(o.Name, "/%") || o.Name == "." || o.Name == ".." {
			return "may not contain / or %"
		}
	default:
		problems = validation.IsDNS1123Subdomain(o.Name)
		// A pod's name is made of these and becomes a host name and a label.
		if limit := map[string]int{"CronJob": 52, "Job": 63, "StatefulSet": 63}[o.Kind]; limit > 0 && len(o.Name) > limit {
			problems = append(problems, "is too long for a "+o.Kind)
		}
	}
	return strings.Join(problems, "; ")
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
