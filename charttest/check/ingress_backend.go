package check

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/ai-film/ai-film/charttest"
)

var ingressBackend = &Check{
	Name:   "ingress-backend",
	Why:    "An Ingress whose backend Service or port doesn't exist answers with 503, or stops its controller from loading the rest.",
	Remedy: "Name a Service of the chart and one of its ports.",
	Run: func(p *Pass) {
		for _, o := range p.Render.Objects {
			ingress, ok := o.Typed.(*networkingv1.Ingress)
			if !ok {
				continue
			}
			if b := ingress.Spec.DefaultBackend; b != nil {
				p.backend(o, "spec.defaultBackend", b)
			}
			for i, rule := range ingress.Spec.Rules {
				if rule.HTTP == nil {
					continue
				}
				for j := range rule.HTTP.Paths {
					field := elem(join(elem("spec.rules", i), "http.paths"), j)
					p.backend(o, join(field, "backend"), &rule.HTTP.Paths[j].Backend)
				}
			}
		}
	},
}

func (p *Pass) backend(o *charttest.Object, field string, b *networkingv1.IngressBackend) {
	if b.Service == nil {
		return
	}
	target := p.index.names[[2]string{"Service", b.Service.Name}]
	if target == nil {
		// An Ingress beside no Services routes to what others installed, and
		// use-annotation is the AWS controller's name for none.
		if len(p.services()) > 0 && !p.madeByOthers("Service", b.Service.Name) && b.Service.Port.Name != "use-annotation" {
			p.Report(o, join(field, "service.name"), "routes to Service %q, which this chart doesn't make", b.Service.Name)
		}
		return
	}
	svc, ok := target.Typed.(*corev1.Service)
	if !ok || b.Service.Port.Name == "use-annotation" || b.Service.Port == (networkingv1.ServiceBackendPort{}) {
		return
	}
	for _, port := range svc.Spec.Ports {
		if b.Service.Port.Name != "" && port.Name == b.Service.Port.Name || b.Service.Port.Number != 0 && port.Port == b.Service.Port.Number {
			return
		}
	}
	want, key := any(b.Service.Port.Number), "number"
	if b.Service.Port.Name != "" {
		want, key = b.Service.Port.Name, "name"
	}
	p.Report(o, join(field, "service.port."+key), "routes to port %v of %s, which it doesn't have", want, target)
}
