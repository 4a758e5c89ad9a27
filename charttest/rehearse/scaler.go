package rehearse

import (
	"context"
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ai-film/ai-film/charttest/internal/controlplane"
)

// full are the scheduler's reasons that another node would take away.
var full = regexp.MustCompile(`Insufficient|Too many pods|free ports|anti-affinity|topology spread`)

// scale lets a pool grow by a node for pods that found no place, where they fit
// its nodes, and takes nodes that hold nothing away, down to the pool's minimum:
// what cluster-autoscaler does, without its waiting.
func (c *cluster) scale(ctx context.Context) error {
	waiting := false
	for _, p := range c.pods() {
		said := ""
		for _, condition := range p.Status.Conditions {
			if condition.Type == corev1.PodScheduled && condition.Reason == corev1.PodReasonUnschedulable {
				said = condition.Message
			}
		}
		if p.Spec.NodeName != "" || p.DeletionTimestamp != nil {
			continue
		}
		waiting = true
		if said == "" {
			continue // not looked at yet
		}
		for _, pool := range c.fitting(p) {
			if !pool.grows || c.size(pool) >= pool.max || c.open(pool) > 0 && !full.MatchString(said) || len(c.empty(pool)) > 0 {
				continue
			}
			before := c.size(pool)
			if err := c.addNode(ctx, pool); err != nil {
				return err
			}
			// One at a time: once it is seen, the next change asks again.
			return c.until(ctx, func() bool { return c.size(pool) > before })
		}
	}
	if waiting || c.metrics.load.Load() != idle {
		return nil
	}
	for _, n := range c.surplus() {
		if err := c.client.CoreV1().Nodes().Delete(ctx, n.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		return nil
	}
	return nil
}

// takes says whether a node is of a pool, and takes pods or soon will.
func (c *cluster) takes(n *corev1.Node, p pool) bool {
	lost := n.Labels[controlplane.Simulated] != "true"
	return n.Labels[poolLabel] == p.Name && n.DeletionTimestamp == nil && !n.Spec.Unschedulable && !lost
}

// open is how many of a pool's nodes take pods.
func (c *cluster) open(p pool) (n int) {
	for _, node := range c.nodes() {
		if c.takes(node, p) {
			n++
		}
	}
	return n
}

// empty are a pool's nodes that hold nothing, and could.
func (c *cluster) empty(p pool) []*corev1.Node {
	return slices.DeleteFunc(c.nodes(), func(n *corev1.Node) bool {
		return !c.takes(n, p) || slices.ContainsFunc(c.pods(), func(pod *corev1.Pod) bool {
			owner := metav1.GetControllerOf(pod)
			return pod.Spec.NodeName == n.Name && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed && (owner == nil || owner.Kind != "DaemonSet")
		})
	})
}

// surplus are empty nodes beyond their pool's minimum.
func (c *cluster) surplus() []*corev1.Node {
	var all []*corev1.Node
	for _, p := range c.pools {
		if n := c.size(p) - p.min; p.grows && n > 0 {
			empty := c.empty(p)
			all = append(all, empty[max(0, len(empty)-n):]...)
		}
	}
	return all
}

// roomy says whether nodes are still to go.
func (c *cluster) roomy() bool { return len(c.surplus()) > 0 }
