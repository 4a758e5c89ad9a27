package crd

import (
	"strings"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/ai-film/ai-film/charttest/check"
)

// Name of the check.
const Name = "custom-resource"

// Check holds the custom resources of a render to the definitions that the
// chart brings, then to those of s, which may be nil. What has no definition is
// not judged.
func (s *Schemas) Check() *check.Check {
	var own sync.Map // definition as it was decoded, shared by renders → *definition
	return &check.Check{
		Name:   Name,
		Why:    "The API server refuses a custom resource that breaks the schema of its definition, and drops fields that aren't in it. Definitions come from the chart and from what schemas names; rules in CEL are for --server.",
		Remedy: "Correct the field's spelling, type or value, or use the version of the definition that the chart is for.",
		Run: func(p *check.Pass) {
			for _, o := range p.Render.Objects {
				if _, custom := o.Typed.(*unstructured.Unstructured); !custom || o.APIVersion == "" || o.Kind == "" {
					continue
				}
				content := o.Content()
				var problems []Problem
				var err error
				if d := brought(p, &own, content); d != nil {
					_, version := groupVersion(o.APIVersion)
					problems, err = d.problems(content, version)
				} else if s != nil {
					problems, _, err = s.Problems(content)
				}
				if err != nil {
					p.Report(o, "apiVersion", "can't be judged: %s", err)
				}
				for _, problem := range problems {
					p.Report(o, problem.Field, "%s", problem.Message)
				}
			}
		},
	}
}

// brought is the definition that the chart itself brings for an object.
func brought(p *check.Pass, own *sync.Map, content map[string]any) *definition {
	apiVersion, _ := content["apiVersion"].(string)
	kind, _ := content["kind"].(string)
	group, _ := groupVersion(apiVersion)
	for _, o := range p.Render.Objects {
		switch t := o.Typed.(type) {
		case *apiextensionsv1.CustomResourceDefinition:
			if t.Spec.Group != group || t.Spec.Names.Kind != kind {
				continue
			}
		case *apiextensionsv1beta1.CustomResourceDefinition:
			if t.Spec.Group != group || t.Spec.Names.Kind != kind {
				continue
			}
		default:
			continue
		}
		if d, ok := own.Load(o.Typed); ok {
			return d.(*definition)
		}
		crd, err := internal(o.Typed)
		if err != nil {
			return nil // strict decoding says what is wrong with it
		}
		d, _ := own.LoadOrStore(o.Typed, &definition{from: o.At("").String(), crd: crd})
		return d.(*definition)
	}
	return nil
}

func groupVersion(apiVersion string) (group, version string) {
	group, version, _ = strings.Cut(apiVersion, "/")
	return group, version
}
