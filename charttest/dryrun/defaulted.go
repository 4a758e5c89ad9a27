package dryrun

import (
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ai-film/ai-film/charttest"
)

// Defaulted is an object of type T as the server would keep it: with the
// defaults of its schema, and with what admission changed. For custom
// resources T is *unstructured.Unstructured, for which a name may be
// "Kind/name". It fails if there is no such object, or the server refused it.
func Defaulted[T runtime.Object](r *Rehearsal, name string) (T, error) {
	var zero T
	var have []string
	for i, o := range r.render.Objects {
		have = append(have, o.String())
		if o.Name != name && o.String() != name || !is[T](o) {
			continue
		}
		stored := r.said[i].stored
		if stored == nil {
			return zero, fmt.Errorf("%s was refused, or not rehearsed: see Findings and Unrehearsed", o)
		}
		stored = stored.DeepCopy()
		stored.SetNamespace(o.Namespace) // not the one that stood for it
		return convert[T](stored)
	}
	return zero, &charttest.MissingError{Want: fmt.Sprintf("%v %q", reflect.TypeFor[T](), name), Have: have}
}

// Pod is a pod as the server would start it from the template of the workload
// that is called like "Deployment/web": with the account's token mounted,
// priorities resolved and limits' defaults filled in.
func Pod(r *Rehearsal, workload string) (*corev1.Pod, error) {
	var have []string
	for i, o := range r.render.Objects {
		if templateOf(o.APIVersion, o.Kind) == "" {
			continue
		}
		have = append(have, o.String())
		if o.String() != workload {
			continue
		}
		if r.said[i].pod == nil {
			return nil, fmt.Errorf("the pods of %s were refused, or not rehearsed: see Findings and Unrehearsed", o)
		}
		pod := r.said[i].pod.DeepCopy()
		pod.SetNamespace(o.Namespace)
		return convert[*corev1.Pod](pod)
	}
	return nil, &charttest.MissingError{Want: fmt.Sprintf("workload %q", workload), Have: have}
}

// is says whether objects like o are decoded into a T.
func is[T runtime.Object](o *charttest.Object) bool {
	if _, ok := o.Typed.(T); ok {
		return true
	}
	return reflect.TypeFor[T]() == reflect.TypeFor[*unstructured.Unstructured]()
}

func convert[T runtime.Object](from *unstructured.Unstructured) (T, error) {
	if same, ok := any(from).(T); ok {
		return same, nil
	}
	made := reflect.New(reflect.TypeFor[T]().Elem()).Interface().(T)
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(from.Object, made)
	return made, err
}
