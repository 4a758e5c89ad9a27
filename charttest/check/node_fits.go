package check

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

var nodeFits = &Check{
	Name:   "node-fits",
	Why:    "A pod that fits no node of the cluster, by its requests, selector and tolerations, stays pending for ever.",
	Remedy: "Lower the requests, correct nodeSelector and tolerations, or describe the nodes as they are.",
	Run: func(p *Pass) {
		if len(p.Cluster.Nodes) == 0 {
			return
		}
		for _, w := range p.index.workloads {
			var reasons []string
			for _, n := range p.Cluster.Nodes {
				reason := unfit(w, n)
				if reason == "" {
					reasons = nil
					break
				}
				reasons = append(reasons, fmt.Sprintf("%s: %s", n.Name, reason))
			}
			if len(reasons) > 0 {
				p.Report(w.object, w.spec(), "fits no node (%s)", strings.Join(reasons, "; "))
			}
		}
		if p.Cluster.singleNode() {
			p.sum(p.Cluster.Nodes[0])
		}
	},
}

// sum reports a render whose workloads together ask for more than the only
// node there is. Jobs come and go and don't count.
func (p *Pass) sum(n Node) {
	total := corev1.ResourceList{}
	for _, w := range p.index.workloads {
		if w.once || w.object.Hook != nil || unfit(w, n) != "" {
			continue
		}
		pods := max(w.pods(), 1)
		if w.object.Kind == "DaemonSet" {
			pods = 1
		}
		for name, q := range requests(w) {
			sum := total[name]
			for range pods {
				sum.Add(q)
			}
			total[name] = sum
			if have, ok := n.Allocatable[name]; ok && sum.Cmp(have) > 0 {
				before := sum.DeepCopy()
				for range pods {
					before.Sub(q)
				}
				if before.Cmp(have) <= 0 {
					p.Report(w.object, w.spec(), "with this workload the chart asks for %s of %s; the only node has %s", sum.String(), name, have.String())
				}
			}
		}
	}
}

// unfit is why a workload's pod can't be on a node of a shape; "" if it can.
func unfit(w workload, n Node) string {
	spec := &w.template.Spec
	for key, value := range spec.NodeSelector {
		if have, ok := n.Labels[key]; ok && have != value || !ok && !assumed(key, value) {
			return fmt.Sprintf("has no label %s=%s", key, value)
		}
	}
	for i := range n.Taints {
		if t := &n.Taints[i]; t.Effect != corev1.TaintEffectPreferNoSchedule && !toleratesTaint(spec.Tolerations, t) {
			return fmt.Sprintf("has the taint %s", t.ToString())
		}
	}
	for name, q := range requests(w) {
		have, ok := n.Allocatable[name]
		if !ok && !extended(name) {
			continue // not said
		}
		if q.Cmp(have) > 0 {
			return fmt.Sprintf("%s of %s asked, %s there", q.String(), name, have.String())
		}
	}
	return ""
}

// assumed are labels that a node of the usual kind has, said or not.
func assumed(key, value string) bool {
	return key == corev1.LabelOSStable && value == "linux"
}

// toleratesTaint is Toleration.ToleratesTaint over a list, without the logger
// that its newer form wants.
func toleratesTaint(all []corev1.Toleration, taint *corev1.Taint) bool {
	for _, t := range all {
		if t.Effect != "" && t.Effect != taint.Effect || t.Key != "" && t.Key != taint.Key {
			continue
		}
		if t.Operator == corev1.TolerationOpExists || t.Key != "" && t.Value == taint.Value {
			return true
		}
	}
	return false
}

// requests of a pod: the sum of its containers', or the largest init
// container's where that is more. A limit without a request is a request.
func requests(w workload) corev1.ResourceList {
	sum, largest := corev1.ResourceList{}, corev1.ResourceList{}
	for _, c := range w.containers() {
		for name, q := range effective(c.Resources) {
			if c.init {
				if have := largest[name]; q.Cmp(have) > 0 {
					largest[name] = q
				}
				continue
			}
			have := sum[name]
			have.Add(q)
			sum[name] = have
		}
	}
	for name, q := range largest {
		if have := sum[name]; q.Cmp(have) > 0 {
			sum[name] = q
		}
	}
	return sum
}

func effective(r corev1.ResourceRequirements) map[corev1.ResourceName]resource.Quantity {
	all := map[corev1.ResourceName]resource.Quantity{}
	for name, q := range r.Limits {
		all[name] = q
	}
	for name, q := range r.Requests {
		all[name] = q
	}
	return all
}

// extended says whether a resource is a device that a plugin offers.
func extended(name corev1.ResourceName) bool {
	s := string(name)
	return strings.Contains(s, "/") && !strings.Contains(s, "kubernetes.io/")
}
