// Package lost says what an upgrade with Helm 3 takes from live objects that
// the new version of the chart still has.
package lost

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	clientscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/ai-film/ai-film/charttest/diff"
)

// Item is one of a list that an upgrade takes from the live object although the
// new one has it.
type Item struct {
	Path string // of the item in the new object, such as "spec.template.spec.containers[0].env[1]"
	Key  string // the key that the list is merged by, such as "name=A"
}

// Items says what an update as in «helm upgrade» (Helm 3: a strategic merge
// patch) loses: lists are merged by a key, and where the old object had two
// items of one key, removing one removes both. The patch is computed and applied
// as Helm and the API server do. It is nil for objects that aren't changed, for
// custom resources, and where nothing is lost.
func Items(o diff.Object) []Item {
	if o.Change != diff.Changed || o.Old == nil || o.New == nil {
		return nil
	}
	old, err1 := json.Marshal(o.Old.Object)
	now, err2 := json.Marshal(o.New.Object)
	gv, err3 := schema.ParseGroupVersion(o.APIVersion)
	typed, err4 := clientscheme.Scheme.New(gv.WithKind(o.Kind))
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		return nil
	}
	meta, err := strategicpatch.NewPatchMetaFromStruct(typed)
	if err != nil {
		return nil
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(old, now, old, meta, true)
	if err != nil {
		return nil
	}
	patched, err := strategicpatch.StrategicMergePatchUsingLookupPatchMeta(old, patch, meta)
	if err != nil {
		return nil
	}
	live := reflect.New(reflect.TypeOf(typed).Elem())
	want := reflect.New(reflect.TypeOf(typed).Elem())
	if json.Unmarshal(patched, live.Interface()) != nil || json.Unmarshal(now, want.Interface()) != nil {
		return nil
	}
	return lost(want.Elem(), live.Elem(), "")
}

// lost walks the new object beside the live one.
func lost(want, live reflect.Value, path string) (all []Item) {
	switch want.Kind() {
	case reflect.Pointer:
		if !want.IsNil() && !live.IsNil() {
			return lost(want.Elem(), live.Elem(), path)
		}
	case reflect.Struct:
		t := want.Type()
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "-" || want.Field(i).IsZero() {
				continue
			}
			child := path
			if name != "" {
				child = strings.TrimPrefix(path+"."+name, ".")
			}
			if key := f.Tag.Get("patchMergeKey"); key != "" && f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
				all = append(all, lostOf(want.Field(i), live.Field(i), key, child)...)
			} else {
				all = append(all, lost(want.Field(i), live.Field(i), child)...)
			}
		}
	case reflect.Slice:
		if want.Len() == live.Len() && want.Type().Elem().Kind() == reflect.Struct {
			for i := range want.Len() {
				all = append(all, lost(want.Index(i), live.Index(i), fmt.Sprintf("%s[%d]", path, i))...)
			}
		}
	}
	return all
}

// lostOf compares two lists that are merged by a key.
func lostOf(want, live reflect.Value, key, path string) (all []Item) {
	keyOf := func(v reflect.Value) string {
		for i := range v.NumField() {
			if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); name == key {
				return fmt.Sprint(v.Field(i).Interface())
			}
		}
		return ""
	}
	have := map[string][]reflect.Value{}
	for i := range live.Len() {
		k := keyOf(live.Index(i))
		have[k] = append(have[k], live.Index(i))
	}
	for i := range want.Len() {
		item, at := want.Index(i), fmt.Sprintf("%s[%d]", path, i)
		k := keyOf(item)
		same := have[k]
		if len(same) == 0 {
			all = append(all, Item{at, key + "=" + k})
			continue
		}
		if len(same) > 1 {
			have[k] = same[1:] // in order, as far as they go
		}
		all = append(all, lost(item, same[0], at)...)
	}
	return all
}
