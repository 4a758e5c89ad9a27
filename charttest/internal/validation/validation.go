// Package validation says what the API server's validation would refuse in an
// object: values outside of a closed set, two where one may be, numbers out of
// range, names and paths out of form, fields that are required or forbidden.
//
// Kubernetes' own validation of most kinds is not to be had without its main
// module. What its libraries offer is used: the sets of values of k8s.io/api,
// the forms of names of k8s.io/apimachinery. The rest are the rules in this
// package, one function for each Go type, which a test holds to a real API
// server over every field of every kind that makes pods, and of those beside
// them.
package validation

import (
	"reflect"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Validate returns what an API server of Kubernetes 1.minor would refuse in a
// new object, given as its Go type and without defaults. It returns nil for
// types that have no rules.
func Validate(o runtime.Object, minor int) field.ErrorList {
	j := &judge{minor: minor}
	v := reflect.ValueOf(o)
	if v.Kind() != reflect.Pointer || v.IsNil() || !planOf(v.Type().Elem()).judged {
		return nil
	}
	j.walk(v.Elem(), nil)
	return j.errs
}

// judge collects what is wrong with an object.
type judge struct {
	minor  int
	errs   field.ErrorList
	claims sets.Set[string] // that a StatefulSet makes for each pod, which mounts them
}

func (j *judge) say(errs ...*field.Error) { j.errs = append(j.errs, errs...) }

// rules are what is asked of the values of a Go type. They are given the value
// as written: what the API server would fill in is not there.
var rules = map[reflect.Type]func(j *judge, v any, at *field.Path){}

func rule[T any](f func(j *judge, v *T, at *field.Path)) struct{} {
	rules[reflect.TypeFor[T]()] = func(j *judge, v any, at *field.Path) { f(j, v.(*T), at) }
	return struct{}{}
}

// plan is how to walk values of a type.
type plan struct {
	judged bool // there are rules for it, or for what it is made of
	rule   func(j *judge, v any, at *field.Path)
	values []string // the closed set, of a string
	fields []step   // to go on to, of a struct
}

type step struct {
	index int
	name  string // in JSON; "" if inlined
}

var plans sync.Map // of *plan by type

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := draw(t, map[reflect.Type]bool{})
	plans.Store(t, p)
	return p
}

func draw(t reflect.Type, within map[reflect.Type]bool) *plan {
	p := &plan{rule: rules[t], values: enums[t]}
	p.judged = p.rule != nil || p.values != nil
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		p.judged = p.judged || draw(t.Elem(), within).judged
	case reflect.Struct:
		if within[t] { // a type within itself: only its first level is known to have rules
			return p
		}
		within[t] = true
		defer delete(within, t)
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "-" || f.Name == "Status" || f.Name == "ManagedFields" || !draw(f.Type, within).judged {
				continue
			}
			p.judged = true
			p.fields = append(p.fields, step{i, name})
		}
	}
	return p
}

func (j *judge) walk(v reflect.Value, at *field.Path) {
	p := planOf(v.Type())
	if !p.judged {
		return
	}
	if p.rule != nil && v.CanAddr() {
		p.rule(j, v.Addr().Interface(), at)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if e := planOf(v.Type().Elem()); e.values != nil && v.Elem().Len() == 0 && v.Type().Elem() != reflect.TypeFor[corev1.PersistentVolumeReclaimPolicy]() {
			j.say(field.NotSupported(at, "", e.values))
		}
		j.walk(v.Elem(), at)
	case reflect.String:
		if p.values != nil && v.Len() > 0 && !slices.Contains(p.values, v.String()) {
			j.say(field.NotSupported(at, v.String(), p.values))
		}
	case reflect.Slice:
		for i := range v.Len() {
			j.walk(v.Index(i), at.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			j.walk(v.MapIndex(k), at.Key(k.String()))
		}
	case reflect.Struct:
		for _, s := range p.fields {
			child := at
			if s.name != "" {
				child = at.Child(s.name)
			}
			j.walk(v.Field(s.index), child)
		}
	}
}

// Covers says whether an object's type has rules of its own, which include its
// name, labels and annotations.
func Covers(o runtime.Object) bool {
	t := reflect.TypeOf(o)
	return t.Kind() == reflect.Pointer && rules[t.Elem()] != nil
}
