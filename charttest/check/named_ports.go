package check

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

var namedPorts = &Check{
	Name:   "ports",
	Why:    "The API server refuses ports that repeat or are out of range; a container's port name that repeats in a pod makes Services pick one of the two.",
	Remedy: "Give each port its own name (15 lower-case letters at most) and number.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			names := map[string]string{}
			for _, c := range w.containers() {
				if c.init {
					continue
				}
				seen := map[string]bool{}
				for i, port := range c.Ports {
					field := elem(join(c.path, "ports"), i)
					if port.ContainerPort < 1 || port.ContainerPort > 65535 {
						p.Report(w.object, field, "container %q: containerPort %d is not between 1 and 65535", c.Name, port.ContainerPort)
					}
					if port.Name == "" {
						continue
					}
					for _, problem := range validation.IsValidPortName(port.Name) {
						p.Report(w.object, join(field, "name"), "container %q: port name %q %s", c.Name, port.Name, problem)
					}
					if seen[port.Name] {
						p.Report(w.object, join(field, "name"), "container %q has a second port named %q", c.Name, port.Name)
					} else if other := names[port.Name]; other != "" {
						p.Report(w.object, join(field, "name"), "containers %q and %q both have a port named %q", other, c.Name, port.Name)
					}
					seen[port.Name], names[port.Name] = true, c.Name
				}
			}
		}
		for _, o := range p.Render.Objects {
			svc, ok := o.Typed.(*corev1.Service)
			if !ok {
				continue
			}
			if len(svc.Spec.Ports) == 0 && svc.Spec.ClusterIP != corev1.ClusterIPNone && svc.Spec.Type != corev1.ServiceTypeExternalName {
				p.Report(o, "spec", "has no ports")
			}
			names, numbers := map[string]bool{}, map[string]bool{}
			for i, port := range svc.Spec.Ports {
				field := elem("spec.ports", i)
				if port.Port < 1 || port.Port > 65535 {
					p.Report(o, join(field, "port"), "port %d is not between 1 and 65535", port.Port)
				}
				if port.Name == "" && len(svc.Spec.Ports) > 1 {
					p.Report(o, field, "has no name, which a Service with several ports must give each")
				} else if names[port.Name] {
					p.Report(o, join(field, "name"), "a second port is named %q", port.Name)
				}
				number := fmt.Sprint(port.Port, "/", cmp.Or(port.Protocol, corev1.ProtocolTCP))
				if numbers[number] {
					p.Report(o, join(field, "port"), "port %d stands twice", port.Port)
				}
				names[port.Name], numbers[number] = true, true
			}
		}
	},
}
