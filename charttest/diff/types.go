package diff

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
)

// custom is the type of objects whose own is unknown: of theirs, only the
// metadata is.
type custom struct {
	metav1.ObjectMeta `json:"metadata"`
}

// scheme has the types of Kubernetes' own objects.
var scheme = sync.OnceValue(func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // two types of one name in Kubernetes' own packages
		}
	}
	return s
})

// member is a field of a Go type as JSON has it.
type member struct {
	t     reflect.Type
	name  string // in JSON
	merge string // the key by which Kubernetes merges the items of the list
}

// members of a struct by their JSON name, embedded ones included.
func members(t reflect.Type) map[string]member {
	if m, ok := memberCache.Load(t); ok {
		return m.(map[string]member)
	}
	m := map[string]member{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || f.PkgPath != "" && !f.Anonymous {
			continue
		}
		if inner := deref(f.Type); f.Anonymous && (name == "" || strings.Contains(options, "inline")) && inner.Kind() == reflect.Struct {
			maps.Copy(m, members(inner))
			continue
		}
		m[name] = member{f.Type, name, f.Tag.Get("patchMergeKey")}
	}
	memberCache.Store(t, m)
	return m
}

var memberCache sync.Map // reflect.Type → map[string]member

func deref(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// child is the type of a map's or struct's entry; its type is nil if unknown.
func child(t reflect.Type, key string) member {
	t = deref(t)
	switch {
	case t == nil || opaque[t]:
	case t.Kind() == reflect.Struct:
		return members(t)[key]
	case t.Kind() == reflect.Map:
		return member{t: pointerTo(t.Elem())} // an entry is there, even if it is empty
	}
	return member{}
}

// item is the type of a list's items.
func item(t reflect.Type) reflect.Type {
	if t = deref(t); t != nil && t.Kind() == reflect.Slice {
		return t.Elem()
	}
	return nil
}

func pointerTo(t reflect.Type) reflect.Type {
	if t == nil || t.Kind() == reflect.Pointer {
		return t
	}
	return reflect.PointerTo(t)
}

// optional says whether a type tells «left out» from «empty».
func optional(t reflect.Type) bool { return t == nil || t.Kind() == reflect.Pointer }

// opaque types hold any JSON.
var opaque = map[reflect.Type]bool{
	reflect.TypeFor[runtime.RawExtension]():                         true,
	reflect.TypeFor[apiextensionsv1.JSON]():                         true,
	reflect.TypeFor[apiextensionsv1.JSONSchemaPropsOrBool]():        true,
	reflect.TypeFor[apiextensionsv1.JSONSchemaPropsOrArray]():       true,
	reflect.TypeFor[apiextensionsv1.JSONSchemaPropsOrStringArray](): true,
	reflect.TypeFor[metav1.FieldsV1]():                              true,
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
