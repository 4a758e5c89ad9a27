package check

import (
	"strconv"
	"strings"
)

// join appends a field's name to a path.
func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// elem appends a list's index to a path.
func elem(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// builtin says whether an apiVersion is one of Kubernetes' own groups, which
// have no dot or end in .k8s.io and are not custom resources under that name.
func builtin(apiVersion string) bool {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return true // core
	}
	if !strings.Contains(group, ".") {
		return true // apps, batch, policy, autoscaling, extensions
	}
	switch group {
	case "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "authentication.k8s.io",
		"authorization.k8s.io", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io",
		"flowcontrol.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "rbac.authorization.k8s.io",
		"resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io":
		return true
	}
	return false
}

// groupOf is the group of an apiVersion; "" for core.
func groupOf(apiVersion string) string {
	if group, _, ok := strings.Cut(apiVersion, "/"); ok {
		return group
	}
	return ""
}
