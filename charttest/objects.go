package charttest

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// Object is one Kubernetes object that a template wrote.
type Object struct {
	APIVersion string
	Kind       string
	Name       string // "" if it has metadata.generateName or none
	Namespace  string // as written; "" if the release's
	Template   string // as in Helm's «# Source:» lines
	CRD        bool   // from a chart's crds/ folder
	Hook       *Hook  // nil if it is part of the release proper

	// Typed is the object decoded into its Go type, or into
	// *unstructured.Unstructured if none is registered. It may be shared with
	// other renders; Get and All return copies.
	Typed runtime.Object
	// YAML is the document that the template wrote.
	YAML string

	render *Render
	part   *part
	line   int // where YAML starts in the template's output
}

// Hook says when Helm creates an object that it does not manage with the
// release.
type Hook struct {
	Events         []string // such as "pre-install", "test"
	Weight         int
	DeletePolicies []string // such as "hook-succeeded"
}

// String names the object as kubectl does: "StatefulSet/comfyui".
func (o *Object) String() string { return o.Kind + "/" + o.Name }

// Content is the object as generic maps and lists. It must not be changed.
func (o *Object) Content() map[string]any { return o.part.content() }

// Unstructured returns a copy of the object as generic maps and lists.
func (o *Object) Unstructured() *unstructured.Unstructured {
	return (&unstructured.Unstructured{Object: o.part.content()}).DeepCopy()
}

// At returns the line of the template that wrote the object's field, given as
// "spec.template.spec.containers[0].image"; the field's nearest parent if
// there is none; or the object's first line for "". The first call renders
// the chart once more, with places recorded.
func (o *Object) At(field string) Place {
	if stack := o.Stack(field); len(stack) > 0 {
		return stack[0]
	}
	return Place{Template: o.Template, File: o.render.Chart.engine.Source(o.Template)}
}

// Stack is At with what stands behind it: the line of the rendered template
// first, then the line of the define that it includes, and so on inwards.
func (o *Object) Stack(field string) []Place {
	return o.stackAt(fieldLine(o.YAML, joinField(o.part.prefix, field)))
}

// stackAt is Stack for a line of the object's YAML.
func (o *Object) stackAt(line int) []Place {
	c := o.render.Chart.engine
	line += o.line - 1
	if o.CRD {
		return []Place{{Template: o.Template, File: c.Source(o.Template), Line: line}}
	}
	var stack []Place
	for _, f := range o.render.result.Locate(o.Template, line) {
		stack = append(stack, placeOf(c, f))
	}
	return stack
}

// Object returns the object of a kind and name, or nil.
func (r *Render) Object(kind, name string) *Object {
	for _, o := range r.Objects {
		if o.Kind == kind && o.Name == name {
			return o
		}
	}
	return nil
}

// MissingError says that a render has no object of a type and name.
type MissingError struct {
	Want string   // such as "*v1.StatefulSet \"comfyui\""
	Have []string // the objects that there are of that type, or all if none
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("no %s was rendered; there are: %s", e.Want, strings.Join(e.Have, ", "))
}

// Get returns a copy of the object of type T and the given name. If there is
// none, it ends the test; [Find] returns the error instead.
//
//	sts := charttest.Get[*appsv1.StatefulSet](t, r, "comfyui")
func Get[T runtime.Object](t testing.TB, r *Render, name string) T {
	t.Helper()
	o, err := Find[T](r, name)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return o
}

// Find returns a copy of the object of type T and the given name, or a
// [*MissingError]. For T = *unstructured.Unstructured it finds an object of
// any kind, the first of that name; name it "Kind/name" to be sure.
func Find[T runtime.Object](r *Render, name string) (T, error) {
	var zero T
	var have, all []string
	for _, o := range r.Objects {
		all = append(all, o.String())
		typed, ok := as[T](o)
		if !ok {
			continue
		}
		if o.Name == name || o.String() == name {
			return typed.DeepCopyObject().(T), nil
		}
		have = append(have, o.String())
	}
	if len(have) == 0 {
		have = all
	}
	return zero, &MissingError{Want: fmt.Sprintf("%v %q", reflect.TypeFor[T](), name), Have: have}
}

// All returns copies of all objects of type T, in order.
func All[T runtime.Object](r *Render) []T {
	var all []T
	for _, o := range r.Objects {
		if typed, ok := as[T](o); ok {
			all = append(all, typed.DeepCopyObject().(T))
		}
	}
	return all
}

// as returns the object as a T without copying it.
func as[T runtime.Object](o *Object) (T, bool) {
	typed, ok := o.Typed.(T)
	if !ok && reflect.TypeFor[T]() == reflect.TypeFor[*unstructured.Unstructured]() {
		typed, ok = any(&unstructured.Unstructured{Object: o.part.content()}).(T)
	}
	return typed, ok
}

func newHook(h *engine.Hook) *Hook {
	if h == nil {
		return nil
	}
	return &Hook{Events: h.Events, Weight: h.Weight, DeletePolicies: h.DeletePolicies}
}
