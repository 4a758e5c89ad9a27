package check

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var networkPolicyTarget = &Check{
	Name:   "network-policy-target",
	Why:    "A NetworkPolicy that selects no pod protects nothing.",
	Remedy: "Make spec.podSelector match the pod template's labels, or leave it empty to select every pod of the namespace." + podsDeclared,
	Run: func(p *Pass) {
		for _, o := range p.Render.Objects {
			policy, ok := o.Typed.(*networkingv1.NetworkPolicy)
			if !ok || len(policy.Spec.PodSelector.MatchLabels)+len(policy.Spec.PodSelector.MatchExpressions) == 0 {
				continue
			}
			if len(p.matched(&policy.Spec.PodSelector)) > 0 || p.podsOfOthers(o, &policy.Spec.PodSelector) {
				continue
			}
			p.Report(o, "spec.podSelector", "selects no pod of this chart: %s", metav1.FormatLabelSelector(&policy.Spec.PodSelector))
		}
	},
}
