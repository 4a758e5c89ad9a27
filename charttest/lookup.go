package charttest

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// newLookup answers the template function lookup from the given objects, the
// way a cluster would that has these and no others.
func newLookup(objects []runtime.Object) (func(apiVersion, kind, namespace, name string) (map[string]any, error), error) {
	var have []unstructured.Unstructured
	for i, o := range objects {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return nil, &ValuesError{Source: "Lookup", Err: fmt.Errorf("lookup object %d (%T): %w", i, o, err)}
		}
		u := unstructured.Unstructured{Object: content}
		if u.GetKind() == "" { // typed objects in Go rarely say what they are
			kinds, _, err := scheme.Scheme.ObjectKinds(o)
			if err != nil {
				return nil, &ValuesError{Source: "Lookup", Err: fmt.Errorf("lookup object %d (%T) has neither apiVersion and kind nor a type of Kubernetes' own: set its TypeMeta", i, o)}
			}
			u.SetGroupVersionKind(kinds[0])
		}
		have = append(have, u)
	}
	return func(apiVersion, kind, namespace, name string) (map[string]any, error) {
		items := []any{}
		for _, u := range have {
			if u.GetAPIVersion() != apiVersion || u.GetKind() != kind {
				continue
			}
			if namespace != "" && u.GetNamespace() != "" && u.GetNamespace() != namespace {
				continue
			}
			if name == "" {
				items = append(items, u.DeepCopy().Object)
			} else if u.GetName() == name {
				return u.DeepCopy().Object, nil
			}
		}
		if name != "" {
			return map[string]any{}, nil
		}
		return map[string]any{
			"apiVersion": apiVersion, "kind": kind + "List",
			"metadata": map[string]any{"resourceVersion": "1"}, "items": items,
		}, nil
	}, nil
}
