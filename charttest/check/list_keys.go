package check

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/ai-film/ai-film/charttest"
)

var listKeys = &Check{
	Name: "list-keys",
	Why: "Kubernetes merges lists such as env by a key (name). Of two items of one key only the last counts, and an upgrade that removes one takes both from " +
		"the live object; server-side apply, as Helm 4 uses it, refuses them.",
	Remedy: "Leave one of the two out. A later variable may add to an earlier one of its name: value: \"$(OPTS) -b\".",
	Run: func(p *Pass) {
		for _, o := range p.Render.Objects {
			if builtin(o.APIVersion) {
				p.listKeys(o, reflect.ValueOf(o.Typed), "")
			}
		}
	},
}

// listKeys walks an object for lists that are merged by a key, as its Go types
// say.
func (p *Pass) listKeys(o *charttest.Object, v reflect.Value, at string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			p.listKeys(o, v.Elem(), at)
		}
	case reflect.Slice:
		for i := range v.Len() {
			if e := v.Index(i); e.Kind() == reflect.Struct {
				p.listKeys(o, e, elem(at, i))
			}
		}
	case reflect.Struct:
		for _, f := range keyedFields(v.Type()) {
			field := v.Field(f.index)
			if field.IsZero() {
				continue
			}
			child := at
			if f.name != "" {
				child = join(at, f.name)
			}
			if f.key != "" {
				p.repeated(o, field.Interface(), f.key, child)
			}
			p.listKeys(o, field, child)
		}
	}
}

// keyedField is a field of a type that may have lists merged by a key in it.
type keyedField struct {
	index     int
	name, key string // in JSON, and of a list that is merged by it
}

var keyedByType sync.Map // reflect.Type → []keyedField

// keyedFields are those of a type: its tags are read once, not for every object.
func keyedFields(t reflect.Type) []keyedField {
	if known, ok := keyedByType.Load(t); ok {
		return known.([]keyedField)
	}
	var fields []keyedField
	if path := t.PkgPath(); path != "k8s.io/apimachinery/pkg/apis/meta/v1" && path != "k8s.io/apimachinery/pkg/api/resource" {
		for i := range t.NumField() {
			f := t.Field(i)
			inner := f.Type
			for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if !f.IsExported() || f.Name == "Status" || inner.Kind() != reflect.Struct {
				continue
			}
			field := keyedField{index: i}
			field.name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
			if f.Type.Kind() == reflect.Slice {
				field.key = f.Tag.Get("patchMergeKey")
			}
			fields = append(fields, field)
		}
	}
	keyedByType.Store(t, fields)
	return fields
}

// repeated reports the items of a list that have the key of an earlier one.
// Lists that the API server refuses then are left to fieldValid.
func (p *Pass) repeated(o *charttest.Object, list any, key, at string) {
	seen := map[string]bool{}
	twice := func(i int, id, what string) {
		if seen[id] {
			p.Report(o, elem(at, i), "%s stands twice in %s; only the last one counts, and an upgrade that removes one loses both", what, at)
		}
		seen[id] = true
	}
	switch list := list.(type) {
	case []corev1.EnvVar:
		for i, e := range list {
			if seen[e.Name] && strings.Contains(e.Value, "$("+e.Name+")") {
				continue
			}
			twice(i, e.Name, "the variable "+e.Name)
		}
	case []corev1.ContainerPort:
		for i, c := range list {
			if c.HostPort == 0 {
				twice(i, fmt.Sprint(c.ContainerPort, c.Protocol == corev1.ProtocolUDP, c.Protocol == corev1.ProtocolSCTP), fmt.Sprintf("port %d", c.ContainerPort))
			}
		}
	case []corev1.LocalObjectReference:
		for i, r := range list {
			twice(i, r.Name, fmt.Sprintf("%q", r.Name))
		}
	case []corev1.ObjectReference:
		for i, r := range list {
			twice(i, r.Name, fmt.Sprintf("%q", r.Name))
		}
	case []corev1.HostAlias:
		for i, a := range list {
			twice(i, a.IP, a.IP)
		}
	}
}
