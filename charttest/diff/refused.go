package diff

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
)

// Refusal is a change that the API server refuses, because the field can't
// change while the object exists.
type Refusal struct {
	Object string // such as "StatefulSet/comfyui"
	Field  Field
	Reason string // what can't change, and what can
	Remedy string // how to get there all the same
}

// String is like "StatefulSet/db: spec.serviceName: a → b: …".
func (r Refusal) String() string { return fmt.Sprintf("%s: %s: %s", r.Object, r.Change(), r.Reason) }

// Change is the field with its old and new value on one line, shortened.
func (r Refusal) Change() string {
	return fmt.Sprintf("%s: %s → %s", r.Field.Path, brief(r.Field.Old), brief(r.Field.New))
}

func brief(v any) string {
	s := ""
	switch {
	case single(v):
		s = show(v)
	default:
		data, _ := json.Marshal(v)
		s = string(data)
	}
	if runes := []rune(s); len(runes) > 60 {
		s = string(runes[:59]) + "…"
	}
	return s
}

// Refused says which fields of an object the API server would refuse to change
// in an update from one to the other, as in «helm upgrade». Both are objects as
// a chart writes them, typed or unstructured; what the API server fills in by
// itself is taken into account. It returns nil for changes that are allowed, for
// objects that are not the same (by group, kind and name), and where it can't be
// sure: what admission webhooks, custom resources' own rules and quotas refuse
// is not known here.
//
// The rules are those of Kubernetes 1.34 to 1.37, which differ in what a
// suspended Job allows; where they do, nothing is said.
func Refused(old, now runtime.Object) []Refusal {
	a, err := generic(old)
	if err != nil {
		return nil
	}
	b, err := generic(now)
	if err != nil {
		return nil
	}
	id := func(u map[string]any) [3]string {
		gv, _ := schema.ParseGroupVersion(text(u, "apiVersion"))
		meta, _ := u["metadata"].(map[string]any)
		return [3]string{gv.Group, text(u, "kind"), text(meta, "name")}
	}
	if id(a) != id(b) {
		return nil
	}
	return refused(a, b)
}

// Refused says which of the changes the API server would refuse.
func (d Diff) Refused() []Refusal {
	var all []Refusal
	for _, o := range d.Objects {
		all = append(all, o.Refused()...)
	}
	return all
}

// Refused says which changes of the object the API server would refuse; none of
// a hook's, since Helm deletes it and makes it anew.
func (o Object) Refused() []Refusal {
	if o.Change != Changed || o.Hook() {
		return nil
	}
	return refused(o.Old.Object, o.New.Object)
}

// Hook says whether Helm runs the object as a hook, before or after, and not as
// part of the release.
func (o Object) Hook() bool {
	return annotation(o.Old, "helm.sh/hook") != "" || annotation(o.New, "helm.sh/hook") != ""
}

// Kept says whether Helm leaves the object in the cluster although the release
// no longer has it: helm.sh/resource-policy says so.
func (o Object) Kept() bool {
	return o.Change == Removed && annotation(o.Old, "helm.sh/resource-policy") == "keep"
}

func annotation(u *unstructured.Unstructured, key string) string {
	if u == nil {
		return ""
	}
	meta, _ := u.Object["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	return text(annotations, key)
}

func generic(o runtime.Object) (map[string]any, error) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		return u.Object, nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, err
	}
	if text(content, "kind") == "" { // typed objects in Go rarely say what they are
		kinds, _, err := scheme().ObjectKinds(o)
		if err != nil {
			return nil, err
		}
		content["apiVersion"], content["kind"] = kinds[0].ToAPIVersionAndKind()
	}
	return content, nil
}

// rule is what can't change in objects of one kind.
type rule struct {
	fields [][]string // that can't change, nor anything below
	// level sets defaults and evens out in both objects what may change, the
	// way Kubernetes' own validation does.
	level  func(old, now runtime.Object)
	reason string
	remedy string // NAME stands for the object's name
}

// refused compares two objects of one kind by the rule for it.
func refused(old, now map[string]any) []Refusal {
	gvk := schema.FromAPIVersionAndKind(text(now, "apiVersion"), text(now, "kind"))
	r, ok := rules[gvk.GroupKind()]
	if !ok || text(old, "apiVersion") != text(now, "apiVersion") {
		return nil // types of two versions can't be told apart by field
	}
	a, b := decode(gvk, normal(old)), decode(gvk, normal(now))
	if a == nil || b == nil {
		return nil
	}
	if r.level != nil {
		r.level(a, b)
	}
	before, after := encode(a), encode(b)
	if before == nil || after == nil {
		return nil
	}
	meta, _ := now["metadata"].(map[string]any)
	name := text(meta, "name")
	w := walk{ordered: true}
	for _, path := range r.fields {
		w.value(place{strings.Join(path, ".")}, place{strings.Join(path, ".")}, at(before, path), at(after, path), memberAt(a, path))
	}
	var all []Refusal
	for _, f := range w.fields {
		if gvk.Kind == "Secret" {
			f = sealed(f, now)
		}
		all = append(all, Refusal{
			Object: gvk.Kind + "/" + name, Field: f, Reason: r.reason, Remedy: strings.ReplaceAll(r.remedy, "NAME", name),
		})
	}
	return all
}

// sealed shows no secret, and finds the place of one that is written in
// stringData.
func sealed(f Field, now map[string]any) Field {
	key, ok := strings.CutPrefix(f.Path, "data.")
	if !ok {
		return f
	}
	for _, v := range []*any{&f.Old, &f.New} {
		if *v != nil {
			*v = digest(*v)
		}
	}
	if plain, ok := now["stringData"].(map[string]any); ok && plain[key] != nil {
		f.At = "stringData." + key
	}
	return f
}

// decode reads an object into its Go type; nil if it doesn't fit, which the
// API server refuses for reasons of its own.
func decode(gvk schema.GroupVersionKind, content map[string]any) runtime.Object {
	typed, err := scheme().New(gvk)
	if err != nil {
		return nil
	}
	data, err := json.Marshal(content)
	if err != nil || kjson.UnmarshalCaseSensitivePreserveInts(data, typed) != nil {
		return nil
	}
	return typed
}

func encode(o runtime.Object) map[string]any {
	data, err := json.Marshal(o)
	if err != nil {
		return nil
	}
	var content map[string]any
	if kjson.UnmarshalCaseSensitivePreserveInts(data, &content) != nil {
		return nil
	}
	return content
}

// at is the value at a path, nil if there is none.
func at(content map[string]any, path []string) any {
	var v any = content
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func memberAt(o runtime.Object, path []string) member {
	m := member{t: reflect.TypeOf(o)}
	for _, key := range path {
		m = child(m.t, key)
	}
	return m
}
