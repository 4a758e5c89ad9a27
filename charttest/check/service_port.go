package check

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/ai-film/ai-film/charttest"
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
			pods := p.index.withLabels(svc.Spec.Selector)
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
				if !anyListens(pods, target, protocol) && !p.undeclared(o, pods, port, target) {
					p.report(o, field, "targets port %s (%s), which no selected container declares", target.String(), protocol)
				}
			}
		}
	},
}

// undeclared says whether a number is taken for a port that pods have without
// declaring it, as nothing forces them to. It is not if a declared port stands
// idle that the Service may have meant.
func (p *Pass) undeclared(o *charttest.Object, pods []workload, port corev1.ServicePort, target intstr.IntOrString) bool {
	if target.Type == intstr.String {
		return false
	}
	for _, w := range pods {
		if p.index.tells(w, target.String()) {
			return true
		}
	}
	for _, w := range pods {
		for _, c := range w.containers() {
			for _, have := range c.Ports {
				meant := have.Name != "" && have.Name == port.Name || have.ContainerPort == port.Port
				if meant || !p.targeted(w, have) {
					return false
				}
			}
		}
	}
	return true
}

// targeted says whether a Service leads to a container's port.
func (p *Pass) targeted(w workload, have corev1.ContainerPort) bool {
	for _, o := range p.Render.Objects {
		svc, ok := o.Typed.(*corev1.Service)
		if !ok || len(svc.Spec.Selector) == 0 || !labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(w.template.Labels)) {
			continue
		}
		for _, port := range svc.Spec.Ports {
			target := port.TargetPort
			if target == (intstr.IntOrString{}) {
				target = intstr.FromInt32(port.Port)
			}
			if target.Type == intstr.Int && target.IntVal == have.ContainerPort || target.Type == intstr.String && target.StrVal == have.Name {
				return true
			}
		}
	}
	return false
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
