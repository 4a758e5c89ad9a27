package check

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

var serviceSelects = &Check{
	Name:   "service-selects",
	Why:    "A Service whose selector matches no pod has no endpoints: connections to it are refused.",
	Remedy: "Make spec.selector match the labels in the pod template, or leave the selector out and make the EndpointSlice." + podsDeclared,
	Run: func(p *Pass) {
		for _, o := range p.Render.Objects {
			svc, ok := o.Typed.(*corev1.Service)
			if !ok || len(svc.Spec.Selector) == 0 || svc.Spec.Type == corev1.ServiceTypeExternalName {
				continue
			}
			if len(p.index.withLabels(svc.Spec.Selector)) > 0 || p.podsOfOthers(o, &metav1.LabelSelector{MatchLabels: svc.Spec.Selector}) {
				continue
			}
			p.Report(o, "spec.selector", "selects no pod of this chart: %s", labels.Set(svc.Spec.Selector))
		}
	},
}
