package rehearse

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/internal/controlplane"
)

// poolLabel names a node's pool.
const poolLabel = "charttest.dev/pool"

// pool is nodes of one shape.
type pool struct {
	check.Node
	min, max int
	grows    bool
}

// usual are the nodes where nothing is said of them: as many as are needed.
var usual = []check.Node{{Name: "node", Min: 3, Max: 100}}

// pools are the nodes of a cluster, with what was left unsaid.
func pools(nodes []check.Node) []pool {
	if len(nodes) == 0 {
		nodes = usual
	}
	var all []pool
	for i, n := range nodes {
		n.Name = cmp.Or(n.Name, fmt.Sprintf("pool-%d", i+1))
		p := pool{Node: n, min: n.Count, max: n.Count}
		if n.Count == 0 {
			p.min, p.max, p.grows = n.Min, cmp.Or(n.Max, 10), true
			if n.Min == 0 && n.Max == 0 {
				p.min = 1
			}
		}
		p.Allocatable = corev1.ResourceList{"cpu": resource.MustParse("4"), "memory": resource.MustParse("16Gi"),
			"pods": resource.MustParse("110"), "ephemeral-storage": resource.MustParse("100Gi")}
		maps.Copy(p.Allocatable, n.Allocatable)
		maps.DeleteFunc(p.Allocatable, func(_ corev1.ResourceName, q resource.Quantity) bool { return q.IsZero() })
		all = append(all, p)
	}
	return all
}

// String is like "t4 ×1..10 (4 CPU, 12Gi, 1 nvidia.com/gpu)".
func (p pool) String() string {
	size := fmt.Sprintf("×%d", p.min)
	if p.grows {
		size += fmt.Sprintf("..%d", p.max)
	}
	cpu, memory := p.Allocatable[corev1.ResourceCPU], p.Allocatable[corev1.ResourceMemory]
	shape := []string{cpu.String() + " CPU", memory.String()}
	for _, name := range slices.Sorted(maps.Keys(p.Allocatable)) {
		if q := p.Allocatable[name]; strings.Contains(string(name), "/") {
			shape = append(shape, q.String()+" "+string(name))
		}
	}
	return fmt.Sprintf("%s %s (%s)", p.Name, size, strings.Join(shape, ", "))
}

// node is a node of the pool, as a machine would register itself.
func (p pool) node(name string) *corev1.Node {
	labels := map[string]string{
		corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
		corev1.LabelInstanceTypeStable: p.Name, controlplane.Simulated: "true", poolLabel: p.Name,
	}
	maps.Copy(labels, p.Labels)
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"}},
		Spec:       corev1.NodeSpec{Taints: slices.Clone(p.Taints)},
		Status:     corev1.NodeStatus{Allocatable: p.Allocatable, Capacity: p.Allocatable},
	}
}

// addNode makes a node of a pool, with the lowest free number.
func (c *cluster) addNode(ctx context.Context, p pool) error {
	for i := 1; ; i++ {
		_, err := c.client.CoreV1().Nodes().Create(ctx, p.node(fmt.Sprintf("%s-%d", p.Name, i)), metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
}

// obstacle is why a pod can't be on any node of a shape, however empty.
type obstacle struct {
	field   string // of the pod's spec
	message string
	remedy  string
}

// obstacles are what keeps a pod from nodes of a pool for ever.
func (p pool) obstacles(pod *corev1.Pod) []obstacle {
	var all []obstacle
	node := p.node(p.Name + "-1")
	if ok, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); err == nil && !ok {
		field, wants := "nodeSelector", fmt.Sprint(pod.Spec.NodeSelector)
		if len(pod.Spec.NodeSelector) == 0 || matches(pod.Spec.NodeSelector, node.Labels) {
			field, wants = "affinity.nodeAffinity", "the node affinity"
		} else {
			for _, key := range slices.Sorted(maps.Keys(pod.Spec.NodeSelector)) {
				if want := pod.Spec.NodeSelector[key]; node.Labels[key] != want {
					wants = key + "=" + want
				}
			}
		}
		all = append(all, obstacle{field, "no node matches " + wants, "Correct the selector, or label the nodes so (nodes in .verify.yaml)."})
	}
	for i := range p.Taints {
		t := &p.Taints[i]
		if t.Effect != corev1.TaintEffectPreferNoSchedule && !tolerates(pod, t) {
			all = append(all, obstacle{"tolerations", fmt.Sprintf("it doesn't tolerate %s of the nodes %s", t.ToString(), p.Name),
				fmt.Sprintf("Add the toleration {key: %s, operator: Exists, effect: %s}.", t.Key, t.Effect)})
		}
	}
	for name, q := range requests(pod) {
		have := p.Allocatable[name]
		if q.Cmp(have) <= 0 {
			continue
		}
		there := have.String()
		if have.IsZero() {
			there = "none"
		}
		all = append(all, obstacle{requestField(pod, name), fmt.Sprintf("it asks for %s of %s; nodes of %s have %s", q.String(), name, p.Name, there),
			"Ask for what a node has, or describe larger nodes in .verify.yaml; a pool of these can't grow for it."})
	}
	slices.SortFunc(all, func(a, b obstacle) int { return cmp.Compare(a.field, b.field) })
	return all
}

func matches(want, have map[string]string) bool {
	for k, v := range want {
		if have[k] != v {
			return false
		}
	}
	return true
}

func tolerates(pod *corev1.Pod, taint *corev1.Taint) bool {
	for _, t := range pod.Spec.Tolerations {
		if (t.Effect == "" || t.Effect == taint.Effect) && (t.Key == "" || t.Key == taint.Key) &&
			(t.Operator == corev1.TolerationOpExists || t.Key != "" && t.Value == taint.Value) {
			return true
		}
	}
	return false
}

// requests of a pod: the sum of its containers', or the largest init
// container's where that is more.
func requests(pod *corev1.Pod) corev1.ResourceList {
	sum := corev1.ResourceList{}
	for _, c := range pod.Spec.Containers {
		for name, q := range c.Resources.Requests {
			have := sum[name]
			have.Add(q)
			sum[name] = have
		}
	}
	for _, c := range pod.Spec.InitContainers {
		for name, q := range c.Resources.Requests {
			if have := sum[name]; q.Cmp(have) > 0 {
				sum[name] = q
			}
		}
	}
	return sum
}

// requestField is where a pod asks for most of a resource.
func requestField(pod *corev1.Pod, name corev1.ResourceName) string {
	field, most := "containers", resource.Quantity{}
	for list, containers := range map[string][]corev1.Container{"containers": pod.Spec.Containers, "initContainers": pod.Spec.InitContainers} {
		for i, c := range containers {
			if q, ok := c.Resources.Requests[name]; ok && q.Cmp(most) > 0 {
				of := "requests"
				if strings.Contains(string(name), "/") { // devices are mostly given as limits alone
					of = "limits"
				}
				field, most = fmt.Sprintf("%s[%d].resources.%s.%s", list, i, of, name), q
			}
		}
	}
	return field
}

// unfit are the obstacles of the pool that comes nearest to holding a pod, and
// that pool; none where one could.
func (c *cluster) unfit(pod *corev1.Pod) ([]obstacle, pool) {
	var least []obstacle
	var nearest pool
	for i, p := range c.pools {
		all := p.obstacles(pod)
		if i == 0 || len(all) < len(least) {
			least, nearest = all, p
		}
	}
	return least, nearest
}

// fitting are the pools whose nodes could hold a pod.
func (c *cluster) fitting(pod *corev1.Pod) (fit []pool) {
	for _, p := range c.pools {
		if len(p.obstacles(pod)) == 0 {
			fit = append(fit, p)
		}
	}
	return fit
}

// setUnschedulable cordons a node, or not any more.
func (c *cluster) setUnschedulable(ctx context.Context, node string, unschedulable bool) error {
	return c.patchNode(ctx, node, fmt.Sprintf(`{"spec":{"unschedulable":%t}}`, unschedulable))
}

func (c *cluster) patchNode(ctx context.Context, node, patch string, subresources ...string) error {
	_, err := c.client.CoreV1().Nodes().Patch(ctx, node, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, subresources...)
	return err
}

// lose makes a node fall silent: kwok plays it no longer, and what Kubernetes
// concludes after 40 s of silence is said at once.
func (c *cluster) lose(ctx context.Context, node string) error {
	if err := c.patchNode(ctx, node, fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, controlplane.Simulated)); err != nil {
		return err
	}
	return c.patchNode(ctx, node, `{"status":{"conditions":[{"type":"Ready","status":"False","reason":"Lost","message":"the rehearsal took it away"}]}}`, "status")
}

// restore lets a lost node come back.
func (c *cluster) restore(ctx context.Context, node string) error {
	return c.patchNode(ctx, node, fmt.Sprintf(`{"metadata":{"labels":{%q:"true"}}}`, controlplane.Simulated))
}
