package check

import (
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var pdbTarget = &Check{
	Name: "pdb-target",
	Why: "A PodDisruptionBudget that selects no pod protects nothing; one that allows no disruption of its pods " +
		"blocks the drain of every node they are on.",
	Remedy: "Make spec.selector match the pod template's labels, and let minAvailable be less than the replicas." + podsDeclared,
	Run: func(p *Pass) {
		for _, o := range p.Render.Objects {
			pdb, ok := o.Typed.(*policyv1.PodDisruptionBudget)
			if !ok || pdb.Spec.Selector == nil {
				continue
			}
			if pdb.Spec.MinAvailable != nil && pdb.Spec.MaxUnavailable != nil {
				p.Report(o, "spec.maxUnavailable", "sets both minAvailable and maxUnavailable, which the API server refuses")
			}
			pods := p.matched(pdb.Spec.Selector)
			if len(pods) == 0 {
				if !p.podsOfOthers(o, pdb.Spec.Selector) {
					p.Report(o, "spec.selector", "selects no pod of this chart: %s", metav1.FormatLabelSelector(pdb.Spec.Selector))
				}
				continue
			}
			// With a single replica a budget of one is how some charts ask for
			// care; with several it can only be a mistake.
			replicas := 0
			for _, w := range pods {
				if w.replicas == nil || p.scaled(w) {
					replicas = 0
					break
				}
				replicas += int(*w.replicas)
			}
			if min := pdb.Spec.MinAvailable; min != nil && min.Type == intstr.Int && replicas > 1 && int(min.IntVal) >= replicas {
				p.Report(o, "spec.minAvailable", "wants %d of %d pods available at any time: no node can be drained", min.IntVal, replicas)
			}
		}
	},
}

// matched are the workloads whose pods a selector matches.
func (p *Pass) matched(selector *metav1.LabelSelector) []workload {
	var all []workload
	for _, w := range p.index.workloads {
		if selects(selector, w.template.Labels) {
			all = append(all, w)
		}
	}
	return all
}

// scaled says whether an autoscaler sets the workload's replicas.
func (p *Pass) scaled(w workload) bool {
	for _, s := range p.scalers() {
		if s.kind == w.object.Kind && s.name == w.object.Name {
			return true
		}
	}
	return false
}
