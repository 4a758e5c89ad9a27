// Package diff says what changes from one list of Kubernetes objects to
// another, the way a cluster would see it, and which of the changes its API
// server would refuse.
//
//	d := diff.Objects(before, after)
//	fmt.Print(d)                          // for people
//	for _, r := range d.Refused() { … }   // what «helm upgrade» would fail at
//
// The order of documents and of keys means nothing. Items of lists are matched
// by the keys that Kubernetes merges them by (a container's name, a mount's
// path), quantities, times and durations are compared by what they stand for,
// and a field that is left out equals one that is empty where its Go type
// can't tell them apart. Fields whose type is unknown, those of custom
// resources, are compared as they are written.
//
// What stands in Secrets is never shown, only a short digest of it.
package diff

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Change is what happens to an object.
type Change string

const (
	Added   Change = "added"
	Changed Change = "changed"
	Removed Change = "removed"
)

// Diff is what changes.
type Diff struct {
	Objects []Object `json:"objects"` // those that change, by kind, namespace and name
}

// Object is one object that changes.
type Object struct {
	Change     Change  `json:"change"`
	APIVersion string  `json:"apiVersion"` // the new one
	Kind       string  `json:"kind"`
	Namespace  string  `json:"namespace,omitempty"` // "" if it is not written, or that of the Namespace option
	Name       string  `json:"name"`
	Note       string  `json:"note,omitempty"`   // such as «kept», for reports
	Fields     []Field `json:"fields,omitempty"` // that change, by path; none if it is added or removed

	// Old and New are the objects as they were given, nothing masked; nil if
	// there is none.
	Old *unstructured.Unstructured `json:"-"`
	New *unstructured.Unstructured `json:"-"`

	nth int // of several objects that are otherwise the same
}

// String names the object as kubectl does: "StatefulSet/comfyui".
func (o Object) String() string { return o.Kind + "/" + o.Name }

// Field is one field that changes. A field that is not there is nil.
type Field struct {
	Path string `json:"path"` // such as "spec.template.spec.containers[name=web].image"
	Old  any    `json:"old,omitempty"`
	New  any    `json:"new,omitempty"`
	// At is the field in the new object with list items by their index, such
	// as "spec.template.spec.containers[0].image", or what it was part of if
	// it is gone.
	At string `json:"-"`
}

// Option changes how objects are compared.
type Option interface{ apply(*options) }

type options struct {
	masks     []Mask
	namespace string
}

// Namespace is where objects are that name no namespace.
type Namespace string

func (n Namespace) apply(o *options) { o.namespace = string(n) }

// Objects compares two lists of objects, which are not changed. Objects are the
// same if group, kind, namespace and name are; a new version of its group does
// not make it another object.
func Objects(before, after []*unstructured.Unstructured, opts ...Option) Diff {
	var o options
	for _, option := range opts {
		option.apply(&o)
	}
	o.masks = append(o.masks, secrets...)
	olds, news := o.index(before), o.index(after)
	d := Diff{Objects: []Object{}}
	for key, old := range olds {
		if now, ok := news[key]; ok {
			if fields := compareObjects(o.mask(old), o.mask(now)); len(fields) > 0 {
				d.Objects = append(d.Objects, key.object(Changed, old, now, fields))
			}
		} else {
			d.Objects = append(d.Objects, key.object(Removed, old, nil, nil))
		}
	}
	for key, now := range news {
		if _, ok := olds[key]; !ok {
			d.Objects = append(d.Objects, key.object(Added, nil, now, nil))
		}
	}
	slices.SortFunc(d.Objects, func(a, b Object) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.nth, b.nth), cmp.Compare(a.APIVersion, b.APIVersion))
	})
	return d
}

// Count is how many objects change in that way.
func (d Diff) Count(c Change) int {
	n := 0
	for _, o := range d.Objects {
		if o.Change == c {
			n++
		}
	}
	return n
}

// Empty says whether nothing changes.
func (d Diff) Empty() bool { return len(d.Objects) == 0 }

// Object returns what changes of an object, named as in "StatefulSet/comfyui",
// or nil if nothing does.
func (d Diff) Object(name string) *Object {
	for i := range d.Objects {
		if d.Objects[i].String() == name {
			return &d.Objects[i]
		}
	}
	return nil
}

// identity tells objects apart.
type identity struct {
	group, kind, namespace, name string
	nth                          int // of several objects that are otherwise the same
}

func (id identity) object(c Change, old, now *unstructured.Unstructured, fields []Field) Object {
	latest := now
	if latest == nil {
		latest = old
	}
	return Object{
		Change: c, APIVersion: text(latest.Object, "apiVersion"), Kind: id.kind, Namespace: id.namespace, Name: id.name,
		Fields: fields, Old: old, New: now, nth: id.nth,
	}
}

func (o *options) index(objects []*unstructured.Unstructured) map[identity]*unstructured.Unstructured {
	index := make(map[identity]*unstructured.Unstructured, len(objects))
	for _, u := range objects {
		if u == nil || u.Object == nil {
			continue
		}
		gv, _ := schema.ParseGroupVersion(text(u.Object, "apiVersion"))
		meta, _ := u.Object["metadata"].(map[string]any)
		id := identity{group: gv.Group, kind: text(u.Object, "kind"), namespace: text(meta, "namespace"), name: text(meta, "name")}
		if id.name == "" {
			id.name = text(meta, "generateName")
		}
		if id.namespace == o.namespace {
			id.namespace = ""
		}
		for ; index[id] != nil; id.nth++ {
		}
		index[id] = u
	}
	return index
}

// mask returns a copy with everything masked, and without a namespace that goes
// without saying.
func (o *options) mask(u *unstructured.Unstructured) map[string]any {
	content := normal(u.Object)
	meta, _ := content["metadata"].(map[string]any)
	if ns := text(meta, "namespace"); ns != "" && ns == o.namespace {
		delete(meta, "namespace")
	}
	maskObject(content, o.masks)
	return content
}

func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

// compareObjects compares two objects of one kind. apiVersion is compared like
// any field.
func compareObjects(old, now map[string]any) []Field {
	var w walk
	t := typeOf(now)
	if text(old, "apiVersion") > text(now, "apiVersion") { // the same one in both directions
		t = typeOf(old)
	}
	w.compare(place{}, place{}, old, now, t)
	slices.SortStableFunc(w.fields, func(a, b Field) int { return strings.Compare(a.Path, b.Path) })
	return w.fields
}

// typeOf is the Go type of an object, nil if it has none that is known.
func typeOf(content map[string]any) reflect.Type {
	gvk := schema.FromAPIVersionAndKind(text(content, "apiVersion"), text(content, "kind"))
	if t := scheme().AllKnownTypes()[gvk]; t != nil {
		return t
	}
	return reflect.TypeFor[custom]()
}
