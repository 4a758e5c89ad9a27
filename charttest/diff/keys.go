package diff

import (
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// builder is short for the one that meanings are written to.
type builder = strings.Builder

// keysOf names the items of a list by the key that Kubernetes merges them by,
// such as "name=web". It is not ok if they have none, or not one each.
//
// Go types tell the key for strategic merge patches (patchMergeKey), which are
// what Helm sends; in some lists it takes a second field to tell items apart
// (listMapKey in the OpenAPI schema). Lists without a key, and those of custom
// resources, are taken to be named by name or metadata.name if every item has
// one of its own.
func keysOf(list []any, m member) ([]string, bool) {
	names := []string{m.merge}
	if m.merge == "" {
		names = []string{"name", "metadata.name"}
	}
	for _, name := range names {
		if name == "topologyKey" { // one alone mostly does
			if keys, ok := keysBy(name, false, list); ok {
				return keys, true
			}
		}
		if keys, ok := keysBy(name, true, list); ok {
			return keys, true
		}
	}
	return nil, false
}

// keysBy names items by one field, or by two where it takes two.
func keysBy(name string, two bool, list []any) ([]string, bool) {
	keys, seen := make([]string, len(list)), make(map[string]bool, len(list))
	for i, item := range list {
		entry, ok := item.(map[string]any)
		if !ok {
			return nil, false
		}
		value, label := entry[name], name
		if name == "metadata.name" {
			meta, _ := entry["metadata"].(map[string]any)
			value, label = meta["name"], "name"
		}
		key := ""
		switch value.(type) {
		case nil, map[string]any, []any:
			return nil, false
		case string:
			key = value.(string)
		default:
			key = scalar(value, nil)
		}
		if key == "" {
			return nil, false
		}
		if key = label + "=" + key; two {
			key += second(name, entry)
		}
		if seen[key] {
			return nil, false
		}
		keys[i], seen[key] = key, true
	}
	return keys, true
}

// second is the rest of a key of two fields, left out where it is what goes
// without saying.
func second(name string, entry map[string]any) string {
	switch name {
	case "port", "containerPort":
		if protocol := text(entry, "protocol"); protocol != "" && protocol != "TCP" {
			return ",protocol=" + protocol
		}
	case "topologyKey":
		return ",whenUnsatisfiable=" + text(entry, "whenUnsatisfiable")
	}
	return ""
}

// sequential says whether the order of a list's items matters although they
// have keys: init containers run one after the other.
func sequential(m member) bool {
	return m.merge == "name" && m.t == containersType && m.name == "initContainers"
}

var containersType = reflect.TypeFor[[]corev1.Container]()

func nameOf(item any) string {
	entry, _ := item.(map[string]any)
	return text(entry, "name")
}
