package diff

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// place is where a walk has got to in one object or both.
type place struct{ path string }

func (p place) field(name string) place {
	if p.path == "" {
		return place{name}
	}
	return place{p.path + "." + name}
}

func (p place) item(name string) place { return place{p.path + "[" + name + "]"} }
func (p place) index(i int) place      { return p.item(strconv.Itoa(i)) }

// walk collects what differs between two values.
type walk struct {
	fields  []Field
	ordered bool // mind the order of all lists
}

// compare walks down two values of a type. p is where they are for people, at
// is where the new one is by index.
func (w *walk) compare(p, at place, old, now any, t reflect.Type) {
	w.value(p, at, old, now, member{t: t})
}

func (w *walk) meaning(v any, m member) string {
	var b builder
	writer{&b, w.ordered}.value(v, m)
	return b.String()
}

func (w *walk) value(p, at place, old, now any, m member) {
	if w.meaning(old, m) == w.meaning(now, m) {
		return
	}
	oldMap, oldIsMap := mapping(old, m)
	newMap, newIsMap := mapping(now, m)
	if oldIsMap && newIsMap {
		keys := maps.Clone(oldMap)
		if keys == nil {
			keys = map[string]any{}
		}
		maps.Copy(keys, newMap)
		for _, key := range sortedKeys(keys) {
			below := at
			if _, ok := newMap[key]; ok {
				below = at.field(key)
			}
			w.value(p.field(key), below, oldMap[key], newMap[key], child(m.t, key))
		}
		return
	}
	oldList, oldIsList := old.([]any)
	newList, newIsList := now.([]any)
	if oldIsList && newIsList {
		w.lists(p, at, oldList, newList, m)
		return
	}
	w.fields = append(w.fields, Field{Path: p.path, Old: old, New: now, At: at.path})
}

// mapping takes a map for what it is, and nothing at all for an empty one where
// the type is that of a map with any keys: labels that are added are told one
// by one.
func mapping(v any, m member) (map[string]any, bool) {
	if v == nil && m.t != nil && m.t.Kind() == reflect.Map {
		return nil, true
	}
	asMap, ok := v.(map[string]any)
	return asMap, ok
}

// lists compares the items of two lists, matched by key if they have keys, or
// aligned where they agree.
func (w *walk) lists(p, at place, old, now []any, m member) {
	before := len(w.fields)
	for _, pair := range match(old, now, m, w.ordered) {
		var a, b any
		below := at
		if pair.old >= 0 {
			a = old[pair.old]
		}
		if pair.new >= 0 {
			b = now[pair.new]
			below = at.index(pair.new)
		}
		name := pair.name
		if name == "" {
			name = strconv.Itoa(max(pair.old, pair.new))
		}
		w.value(p.item(name), below, a, b, member{t: pointerTo(item(m.t))})
	}
	if len(w.fields) == before { // the same items in another order
		w.fields = append(w.fields, Field{Path: p.path, Old: names(old, m), New: names(now, m), At: at.path})
	}
}

// names are the items of a list by their keys, or the items.
func names(list []any, m member) any {
	keys, ok := keysOf(list, m)
	if !ok {
		return list
	}
	named := make([]any, len(keys))
	for i, k := range keys {
		named[i] = k
	}
	return named
}

// pair is an item of the old and one of the new list that belong together; -1
// is none.
type pair struct {
	old, new int
	name     string // by its key; "" if it has none
}

func match(old, now []any, m member, ordered bool) []pair {
	oldKeys, ok := keysOf(old, m)
	newKeys, alsoOK := keysOf(now, m)
	if !ok || !alsoOK {
		return align(meanings(old, m, ordered), meanings(now, m, ordered))
	}
	var pairs []pair
	var gone, fresh []int
	for i, key := range oldKeys {
		if j := slices.Index(newKeys, key); j >= 0 {
			pairs = append(pairs, pair{i, j, key})
		} else {
			gone = append(gone, i)
		}
	}
	for j, key := range newKeys {
		if !slices.Contains(oldKeys, key) {
			fresh = append(fresh, j)
		}
	}
	// A port of the same name is still the same to its reader, though
	// Kubernetes merges ports by number.
	for _, i := range gone {
		j := slices.IndexFunc(fresh, func(j int) bool { name := nameOf(now[j]); return name != "" && name == nameOf(old[i]) })
		if j < 0 {
			pairs = append(pairs, pair{i, -1, oldKeys[i]})
			continue
		}
		pairs = append(pairs, pair{i, fresh[j], "name=" + nameOf(old[i])})
		fresh = slices.Delete(fresh, j, j+1)
	}
	for _, j := range fresh {
		pairs = append(pairs, pair{-1, j, newKeys[j]})
	}
	return pairs
}
