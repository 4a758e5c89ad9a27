package check

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

var selectorMatches = &Check{
	Name:   "selector-matches",
	Why:    "Two workloads of a kind that select the same pods fight over them; the pods of a StatefulSet have no names in DNS unless its Service is there.",
	Remedy: "Give the selector a label that only its own pods have; name the headless Service in serviceName.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			if w.once || w.old {
				continue
			}
			p.overlap(w)
			p.governing(w)
		}
	},
}

// overlap reports another workload of the same kind whose pods the selector
// takes for its own: the two fight over them.
func (p *Pass) overlap(w workload) {
	if w.selector == nil {
		return
	}
	for _, other := range p.index.withLabels(w.selector.MatchLabels) {
		if other.object == w.object || other.object.Kind != w.object.Kind || !p.sameNamespace(w.object, other.object) || other.selector == nil {
			continue
		}
		if len(w.selector.MatchExpressions) == 0 || selects(w.selector, other.template.Labels) {
			p.Report(w.object, "spec.selector", "the selector matches the pods of %s too", other.object)
		}
	}
}

// governing reports a StatefulSet that names a Service which isn't there while
// a headless one selects its pods. Without any such Service the names may not
// be wanted.
func (p *Pass) governing(w workload) {
	sts, ok := w.object.Typed.(*appsv1.StatefulSet)
	if !ok || sts.Spec.ServiceName == "" || p.has("Service", sts.Spec.ServiceName) {
		return
	}
	for _, o := range p.Render.Objects {
		svc, ok := o.Typed.(*corev1.Service)
		if ok && svc.Spec.ClusterIP == corev1.ClusterIPNone && len(svc.Spec.Selector) > 0 &&
			labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(w.template.Labels)) {
			p.Report(w.object, "spec.serviceName", "names the Service %q, which this chart doesn't make, while %s selects its pods: they get no DNS names", sts.Spec.ServiceName, o)
			return
		}
	}
}

func (p *Pass) services() (names []string) {
	for key := range p.index.names {
		if key[0] == "Service" {
			names = append(names, key[1])
		}
	}
	return names
}
