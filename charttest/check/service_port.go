package check

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var servicePort = &Check{
	Name:   "service-port",
	Why:    "A Service whose target port no selected container has sends connections where nobody listens.",
	Remedy: "Name the container's port and use that name as targetPort, or use the number that the container declares.",
	Run: func(p *Pass) {
		for _, o := range p.Render.Objects {
			svc, ok := o.Typed.(*corev1.Service)
			if !ok || len(svc.Spec.Selector) == 0 || svc.Spec.Type == corev1.ServiceTypeExternalName {
				continue
			}
			pods := p.selected(svc.Spec.Selector)
			if len(pods) == 0 {
				continue // serviceSelects reports it
			}
			for i, port := range svc.Spec.Ports {
				target, field := port.TargetPort, join(elem("spec.ports", i), "targetPort")
				if target == (intstr.IntOrString{}) {
					target, field = intstr.FromInt32(port.Port), join(elem("spec.ports", i), "port")
					if svc.Spec.ClusterIP == corev1.ClusterIPNone {
						continue // a headless Service's port is only told by DNS
					}
				}
				protocol := port.Protocol
				if protocol == "" {
					protocol = corev1.ProtocolTCP
				}
				if !anyListens(pods, target, protocol) {
					p.report(o, field, "targets port %s (%s), which no selected container declares", target.String(), protocol)
				}
			}
		}
	},
}

// anyListens says whether a container of the pods declares the port. Pods that
// declare no port at all may listen on any number, though not on a name.
func anyListens(pods []workload, target intstr.IntOrString, protocol corev1.Protocol) bool {
	for _, w := range pods {
		declared := false
		for _, c := range w.containers() {
			for _, port := range c.Ports {
				declared = true
				if target.Type == intstr.String && port.Name == target.StrVal {
					return true
				}
				have := port.Protocol
				if have == "" {
					have = corev1.ProtocolTCP
				}
				if target.Type == intstr.Int && port.ContainerPort == target.IntVal && have == protocol {
					return true
				}
			}
		}
		if !declared && target.Type == intstr.Int {
			return true
		}
	}
	return false
}
