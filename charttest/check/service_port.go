package check

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var servicePort = &Check{
	Name: "service-port",
	Why: "A Service whose target port is a name that no selected container gives to a port of its protocol has no endpoints there. " +
		"Numbers are not checked: a container may listen on any, declared or not.",
	Remedy: "Give the container's port that name and protocol, or target its number.",
	Run: func(p *Pass) {
		for _, o := range p.Render.Objects {
			svc, ok := o.Typed.(*corev1.Service)
			if !ok || len(svc.Spec.Selector) == 0 || svc.Spec.Type == corev1.ServiceTypeExternalName {
				continue
			}
			pods := p.index.withLabels(svc.Spec.Selector)
			if len(pods) == 0 {
				continue // serviceSelects reports it
			}
			for i, port := range svc.Spec.Ports {
				if p := protocol(port.Protocol); p != corev1.ProtocolTCP && p != corev1.ProtocolUDP && p != corev1.ProtocolSCTP {
					continue // fieldValid reports it
				}
				if target := port.TargetPort; target.Type == intstr.String && target.StrVal != "" && !anyNames(pods, target.StrVal, protocol(port.Protocol)) {
					p.Report(o, join(elem("spec.ports", i), "targetPort"), "targets port %s (%s), which no selected container declares", target.StrVal, protocol(port.Protocol))
				}
			}
		}
	},
}

// anyNames says whether a container of the pods gives a port of that protocol
// the name, as the controller of endpoints looks it up.
func anyNames(pods []workload, name string, of corev1.Protocol) bool {
	for _, w := range pods {
		for _, c := range w.containers() {
			for _, port := range c.Ports {
				if !c.init && port.Name == name && protocol(port.Protocol) == of {
					return true
				}
			}
		}
	}
	return false
}

// protocol is a port's, with Kubernetes' default.
func protocol(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}
