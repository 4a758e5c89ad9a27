package check

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

var resourcesOrdered = &Check{
	Name: "resources",
	Why: "The API server refuses requests above limits, and extended resources such as nvidia.com/gpu whose request and limit " +
		"differ or that lack a limit.",
	Remedy: "Set requests to at most the limits; set a GPU in limits (the request follows) or alike in both.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			for _, c := range w.containers() {
				field := join(c.path, "resources")
				for name, request := range c.Resources.Requests {
					limit, limited := c.Resources.Limits[name]
					switch {
					case request.Sign() < 0:
						p.Report(w.object, join(field, "requests"), "container %q requests a negative amount of %s", c.Name, name)
					case extended(name) && !limited:
						p.Report(w.object, join(field, "requests"), "container %q requests %s but has no limit of it", c.Name, name)
					case extended(name) && request.Cmp(limit) != 0:
						p.Report(w.object, join(field, "requests"), "container %q requests %s of %s but is limited to %s; they must be equal", c.Name, request.String(), name, limit.String())
					case limited && request.Cmp(limit) > 0:
						p.Report(w.object, join(field, "requests"), "container %q requests %s of %s but is limited to %s", c.Name, request.String(), name, limit.String())
					}
				}
				for name, limit := range c.Resources.Limits {
					if extended(name) && limit.MilliValue()%1000 != 0 {
						p.Report(w.object, join(field, "limits"), "container %q asks for %s of %s, which comes in whole pieces", c.Name, limit.String(), name)
					}
				}
				if c.Resources.Limits.Memory() != nil && has(c.Resources.Limits, corev1.ResourceMemory) && c.Resources.Limits.Memory().Value() < 1<<20 && c.Resources.Limits.Memory().Sign() > 0 {
					p.Report(w.object, join(field, "limits.memory"), "container %q is limited to %s of memory: is the unit missing?", c.Name, c.Resources.Limits.Memory())
				}
			}
		}
	},
}

// extended says whether a resource is a device that a plugin offers.
func extended(name corev1.ResourceName) bool {
	s := string(name)
	return strings.Contains(s, "/") && !strings.Contains(s, "kubernetes.io/")
}
