package check

import (
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/ai-film/ai-film/charttest"
)

var pdbTarget = &Check{
	Name: "pdb-target",
	Why: "A PodDisruptionBudget that selects no pod protects nothing; one that allows no disruption of its pods " +
		"blocks the drain of every node they are on.",
	Remedy: "Make spec.selector match the pod template's labels, and let minAvailable be less than the replicas." + podsDeclared,
	Run: func(p *Pass) {
		covered := map[*charttest.Object]*charttest.Object{}
		for _, o := range p.Render.Objects {
			pdb, ok := o.Typed.(*policyv1.PodDisruptionBudget)
			if !ok {
				continue
			}
			s := pdb.Spec
			if s.Selector == nil {
				p.Report(o, "spec", "has no selector: it protects no pod")
				continue
			}
			switch {
			case s.MinAvailable != nil && s.MaxUnavailable != nil: // fieldValid says that
				continue
			case s.MinAvailable == nil && s.MaxUnavailable == nil:
				p.Report(o, "spec", "says neither minAvailable nor maxUnavailable: none of its pods may be evicted")
				continue
			}
			pods := p.matched(s.Selector)
			if len(pods) == 0 {
				if !p.podsOfOthers(o, s.Selector) {
					p.Report(o, "spec.selector", "selects no pod of this chart: %s", metav1.FormatLabelSelector(s.Selector))
				}
				continue
			}
			p.blocked(o, s, pods)
			for _, w := range pods {
				if other := covered[w.object]; other != nil && p.sameNamespace(o, other) {
					p.Report(o, "spec.selector", "selects the pods of %s, as %s does: a pod with two budgets can't be evicted at all", w.object, other)
					break
				}
				covered[w.object] = o
			}
		}
	},
}

// blocked reports a budget that allows no eviction while all its pods are well.
func (p *Pass) blocked(o *charttest.Object, s policyv1.PodDisruptionBudgetSpec, pods []workload) {
	if n := s.MaxUnavailable; n != nil {
		if zero(n) {
			p.Report(o, "spec.maxUnavailable", "lets %s of its pods be unavailable: no node can be drained", n)
		}
		return
	}
	if s.MinAvailable.Type == intstr.String && s.MinAvailable.StrVal == "100%" {
		p.Report(o, "spec.minAvailable", "wants all of its pods available at any time: no node can be drained")
		return
	}
	replicas, atMost := 0, ""
	for _, w := range pods {
		most := w.replicas
		if scaled := p.scaled(w); scaled != nil {
			most, atMost = scaled, "at most "
		}
		if most == nil {
			return
		}
		replicas += int(*most)
	}
	// With a single replica a budget of one is how some charts ask for care;
	// with several it can only be a mistake.
	want, err := intstr.GetScaledValueFromIntOrPercent(s.MinAvailable, replicas, true)
	if err == nil && replicas > 1 && want >= replicas {
		p.Report(o, "spec.minAvailable", "wants %d of %s%d pods available at any time%s: no node can be drained", want, atMost, replicas, rounded(s.MinAvailable))
	}
}

// rounded says what a share comes from.
func rounded(n *intstr.IntOrString) string {
	if n.Type == intstr.String {
		return " (" + n.StrVal + ", rounded up)"
	}
	return ""
}

// zero says whether a number or share is nothing.
func zero(n *intstr.IntOrString) bool {
	v, err := intstr.GetScaledValueFromIntOrPercent(n, 100, true)
	return err == nil && v == 0
}

// matched are the workloads whose pods a selector matches.
func (p *Pass) matched(selector *metav1.LabelSelector) []workload {
	var all []workload
	for _, w := range p.index.workloads {
		if w.selectedBy(selector) {
			all = append(all, w)
		}
	}
	return all
}

// scaled returns the most replicas that an autoscaler gives the workload, or nil
// if none does.
func (p *Pass) scaled(w workload) *int32 {
	for _, s := range p.scalers() {
		if s.kind == w.object.Kind && s.name == w.object.Name {
			return &s.most
		}
	}
	return nil
}
