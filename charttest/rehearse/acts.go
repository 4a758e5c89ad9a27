package rehearse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/internal/controlplane"
	"github.com/ai-film/ai-film/charttest/internal/rehearsed"
)

// script has the acts in their order.
var script = []step{
	{"install", (*stage).install},
	{"grow", (*stage).grow},
	{"shrink", (*stage).shrink},
	{"drain", (*stage).drain},
	{"lose", (*stage).loseOne},
	{"upgrade", (*stage).upgrade},
	{"rollback", (*stage).rollBack},
	{"uninstall", (*stage).uninstall},
	{"reinstall", (*stage).reinstall},
}

// helmed has Helm do something. Where it waits for what never comes, that is
// found; errOver says that there is nothing to go on with.
func (s *stage) helmed(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	for {
		ended := false
		var failed error
		err := s.settle(ctx, func() bool {
			select {
			case failed = <-done:
				ended = true
			default:
			}
			return ended
		})
		switch {
		case ended && failed == nil:
			return nil
		case ended:
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			s.refused(failed)
			return errOver
		case !errors.Is(err, errStalled):
			return err
		}
		before := len(s.act.Findings)
		if s.hooksWait() {
			if err := s.inspect(ctx); err != nil {
				return err
			}
			if len(s.act.Findings) == before {
				s.hooksFound()
			}
			return errOver
		}
	}
}

// hooksWait says whether a hook's Job is under way.
func (s *stage) hooksWait() bool {
	for _, j := range s.jobs() {
		if !finished(j) && s.hooked("Job", j.Name) {
			return true
		}
	}
	return slices.ContainsFunc(s.pods(), func(p *corev1.Pod) bool { return s.hooked("Pod", p.Name) && p.Status.Phase != corev1.PodSucceeded })
}

func (s *stage) hooksFound() {
	for _, j := range s.jobs() {
		if !finished(j) && s.hooked("Job", j.Name) {
			s.find(rehearsed.Hooked, "Job", j.Name, "", "", "Helm waits for this hook, which never ends")
		}
	}
}

var (
	ofObject  = regexp.MustCompile(`(?:cannot patch|failed to create resource|could not (?:create|update|delete))?\s*"([^"]+)" with kind (\w+)`)
	imported  = regexp.MustCompile(`(\w+) "([^"]+)" in namespace "[^"]*" exists and cannot be imported`)
	noMatches = regexp.MustCompile(`no matches for kind "(\w+)" in version "([^"]+)"`)
	already   = regexp.MustCompile(`(\w+)\.?[\w.]* "([^"]+)" already exists`)
	ofField   = regexp.MustCompile(`: ([a-z][A-Za-z]*(?:\.[A-Za-z]+|\[[^\]]*\])*): (?:Invalid value|Required value|Forbidden|Unsupported value|Duplicate value|Too long|field is immutable)`)
)

// refused makes findings of what Helm says, which may be of several objects.
func (s *stage) refused(err error) {
	for _, message := range strings.Split(err.Error(), " && ") {
		message, _, _ = strings.Cut(message, "\n@@") // then comes how Go prints the object
		s.refusal(err, strings.Join(strings.Fields(message), " "))
	}
}

func (s *stage) refusal(err error, message string) {
	kind, name, field, remedy := "", "", "", ""
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		d := status.Status().Details
		kind, name = s.kindNamed(d.Kind, d.Name), d.Name
		for _, c := range d.Causes {
			field = c.Field
			break
		}
	}
	if m := ofObject.FindStringSubmatch(message); m != nil {
		kind, name = m[2], m[1]
	} else if m := imported.FindStringSubmatch(message); m != nil {
		kind, name = m[1], m[2]
		remedy = "Keep it with Helm's labels and annotations (as an object of the release that has helm.sh/resource-policy: keep), or delete it in a hook."
	} else if m := noMatches.FindStringSubmatch(message); m != nil {
		kind = m[1]
		remedy = fmt.Sprintf("Install what brings %s before, or declare it (apiVersions: [%s]).", m[1], m[2])
		for _, o := range s.objects() {
			if o.Kind == kind && o.APIVersion == m[2] {
				name, field = o.Name, "apiVersion"
				break
			}
		}
	} else if m := already.FindStringSubmatch(message); m != nil && kind == "" {
		kind, name = s.kindNamed(strings.TrimSuffix(m[1], "s"), m[2]), m[2]
	}
	if apierrors.IsAlreadyExists(err) || strings.Contains(message, "already exists") {
		remedy = "Let Helm delete the hook before it makes it anew: helm.sh/hook-delete-policy: before-hook-creation."
	}
	if m := ofField.FindStringSubmatch(message); m != nil && field == "" {
		field = m[1]
	}
	if strings.Contains(message, "field is immutable") || strings.Contains(message, "updates to statefulset spec for fields other than") || strings.Contains(message, "is immutable after creation") {
		remedy = "Keep the field as it was, give the object another name, or delete it before the upgrade."
		if field == "" {
			field = "spec"
		}
	}
	if kind == "" {
		kind, name = "Chart", s.chart.Name()
	}
	s.find(rehearsed.Refused, kind, name, field, remedy, "Helm can't %s it: %s", does[s.act.Name], message)
}

// does is what Helm does in an act.
var does = map[string]string{"install": "install", "upgrade": "upgrade", "rollback": "roll back", "uninstall": "uninstall", "reinstall": "install"}

// kindNamed is how the chart writes a kind that the API server names as it likes.
func (s *stage) kindNamed(kind, name string) string {
	for _, o := range s.objects() {
		if o.Name == name && (strings.EqualFold(o.Kind, kind) || strings.EqualFold(o.Kind+"s", kind) || strings.EqualFold(o.Kind+"es", kind)) {
			return o.Kind
		}
	}
	return kind
}

func (s *stage) objects() []*charttest.Object {
	if s.render == nil {
		return nil
	}
	return s.render.Objects
}

// wellSettled waits until all runs and every autoscaler knows its metric; what
// keeps it from that is found.
func (s *stage) wellSettled(ctx context.Context, also func() bool) (bool, error) {
	err := s.settle(ctx, func() bool { return s.running() && s.measured() && (also == nil || also()) })
	if err != nil && !errors.Is(err, errStalled) {
		return false, err
	}
	before := len(s.act.Findings)
	if failed := s.inspect(ctx); failed != nil {
		return false, failed
	}
	if err != nil && len(s.act.Findings) == before && !s.running() {
		s.unexplained()
	}
	return err == nil, nil
}

// unexplained finds what doesn't run for no reason that is known.
func (s *stage) unexplained() {
	for _, l := range s.workloads() {
		if !l.done() {
			kind, name := s.owner(l.object, l.kind)
			s.find(rehearsed.Scheduled, kind, name, "", "See what «kubectl describe» says of it in a cluster.", "%d of its %d pods run, and nothing happens any more", l.ready, l.wanted)
		}
	}
}

func (s *stage) measured() bool {
	for _, h := range s.autoscalers() {
		active := false
		for _, c := range h.Status.Conditions {
			active = active || c.Type == autoscalingv2.ScalingActive && (c.Status == corev1.ConditionTrue || c.Reason == "ScalingDisabled")
		}
		if !active || h.Status.DesiredReplicas != h.Status.CurrentReplicas {
			return false
		}
	}
	return true
}

func (s *stage) install(ctx context.Context) error {
	if err := s.renderWith(ctx, s.chart, false); err != nil {
		return err
	}
	if err := s.furnish(ctx, s.render, s.known, s.profile.APIVersions); err != nil {
		return err
	}
	if err := s.metrics.yield(ctx, s.cluster, s.render); err != nil {
		return err
	}
	if err := s.helmed(ctx, func(ctx context.Context) error { return s.helm.install(ctx, s.chart.Path(), s.profile) }); err != nil {
		return err
	}
	whole, err := s.wellSettled(ctx, nil)
	if err != nil {
		return err
	}
	s.tellPlaces()
	if s.secrets, err = s.secretsNow(ctx); err != nil {
		return err
	}
	if !whole && !s.running() {
		return errOver
	}
	return nil
}

// tellPlaces logs what runs where, and the claims.
func (s *stage) tellPlaces() {
	on := map[string][]string{}
	for _, p := range s.pods() {
		if p.Status.Phase == corev1.PodRunning {
			_, name := s.owner(p, "Pod")
			on[p.Spec.NodeName] = append(on[p.Spec.NodeName], name)
		}
	}
	for _, node := range slices.Sorted(maps.Keys(on)) {
		s.log("%s: %s", node, tally(on[node]))
	}
	for _, c := range s.claims() {
		size := c.Status.Capacity[corev1.ResourceStorage]
		class := ""
		if c.Spec.StorageClassName != nil {
			class = *c.Spec.StorageClassName
		}
		s.log("claim %s: %s, %s of %s, %s", c.Name, strings.ToLower(string(c.Status.Phase)), size.String(), class, c.Spec.AccessModes[0])
	}
}

// tally is names with how often each is there.
func tally(names []string) string {
	count := map[string]int{}
	for _, n := range names {
		count[n]++
	}
	var all []string
	for _, n := range slices.Sorted(maps.Keys(count)) {
		if count[n] > 1 {
			n = fmt.Sprintf("%s ×%d", n, count[n])
		}
		all = append(all, n)
	}
	return strings.Join(all, ", ")
}

// skip says why there is nothing to try an act on.
func (s *stage) skip(why string) error {
	s.act.Outcome = Skipped
	s.log("%s", why)
	return nil
}

const nothingScales = "the chart has no HorizontalPodAutoscaler"

func (s *stage) grow(ctx context.Context) error {
	if len(s.autoscalers()) == 0 {
		return s.skip(nothingScales)
	}
	if err := s.hasten(ctx); err != nil {
		return err
	}
	nodes := len(s.nodes())
	s.metrics.load.Store(busy)
	full, err := s.wellSettled(ctx, func() bool { return !s.below((*stage).most) })
	if err != nil {
		return err
	}
	for _, h := range s.autoscalers() {
		s.log("%s: %d of at most %d replicas", h.Spec.ScaleTargetRef.Name, h.Status.CurrentReplicas, h.Spec.MaxReplicas)
		if !full && len(s.act.Findings) == 0 && h.Status.CurrentReplicas < h.Spec.MaxReplicas {
			s.find(rehearsed.Grown, "HorizontalPodAutoscaler", h.Name, "spec.maxReplicas", "", "under load it stays at %d of %d replicas", h.Status.CurrentReplicas, h.Spec.MaxReplicas)
		}
	}
	s.log("%d nodes, of %d before", len(s.nodes()), nodes)
	return nil
}

func (s *stage) most(h *autoscalingv2.HorizontalPodAutoscaler) bool {
	return h.Status.CurrentReplicas == h.Spec.MaxReplicas
}

func (s *stage) least(h *autoscalingv2.HorizontalPodAutoscaler) bool {
	least := int32(1)
	if h.Spec.MinReplicas != nil {
		least = *h.Spec.MinReplicas
	}
	return h.Status.CurrentReplicas == least
}

// below says whether an autoscaler isn't yet where it is to come to.
func (s *stage) below(there func(*stage, *autoscalingv2.HorizontalPodAutoscaler) bool) bool {
	return slices.ContainsFunc(s.autoscalers(), func(h *autoscalingv2.HorizontalPodAutoscaler) bool { return !there(s, h) })
}

// hasten makes a minute of the autoscalers' a second: windows and periods, not
// what they may do.
func (s *stage) hasten(ctx context.Context) error {
	quick := func(rules *autoscalingv2.HPAScalingRules, otherwise []autoscalingv2.HPAScalingPolicy) *autoscalingv2.HPAScalingRules {
		if rules == nil {
			rules = &autoscalingv2.HPAScalingRules{}
		}
		rules = rules.DeepCopy()
		none := int32(0)
		rules.StabilizationWindowSeconds = &none
		if len(rules.Policies) == 0 {
			rules.Policies = otherwise
		}
		for i := range rules.Policies {
			rules.Policies[i].PeriodSeconds = 1
		}
		return rules
	}
	for _, h := range s.autoscalers() {
		behavior := autoscalingv2.HorizontalPodAutoscalerBehavior{}
		if h.Spec.Behavior != nil {
			behavior = *h.Spec.Behavior
		}
		behavior.ScaleUp = quick(behavior.ScaleUp, []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PodsScalingPolicy, Value: 4}, {Type: autoscalingv2.PercentScalingPolicy, Value: 100}})
		behavior.ScaleDown = quick(behavior.ScaleDown, []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PercentScalingPolicy, Value: 100}})
		patch, err := json.Marshal(map[string]any{"spec": map[string]any{"behavior": behavior}})
		if err != nil {
			return err
		}
		if _, err := s.client.AutoscalingV2().HorizontalPodAutoscalers(h.Namespace).Patch(ctx, h.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) shrink(ctx context.Context) error {
	if len(s.autoscalers()) == 0 {
		return s.skip(nothingScales)
	}
	nodes := len(s.nodes())
	s.metrics.load.Store(idle)
	if _, err := s.wellSettled(ctx, func() bool { return !s.below((*stage).least) && !s.roomy() }); err != nil {
		return err
	}
	for _, h := range s.autoscalers() {
		s.log("%s: %d replicas", h.Spec.ScaleTargetRef.Name, h.Status.CurrentReplicas)
		if len(s.act.Findings) == 0 && !s.least(h) {
			s.find(rehearsed.Shrunk, "HorizontalPodAutoscaler", h.Name, "spec.behavior", "", "without load it stays at %d replicas", h.Status.CurrentReplicas)
		}
	}
	s.log("%d nodes, of %d before", len(s.nodes()), nodes)
	return nil
}

// movable are a node's pods that a drain moves.
func (s *stage) movable(node string) []*corev1.Pod {
	return slices.DeleteFunc(s.pods(), func(p *corev1.Pod) bool {
		c := metav1.GetControllerOf(p)
		return p.Spec.NodeName != node || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed || c != nil && c.Kind == "DaemonSet"
	})
}

var ofBudget = regexp.MustCompile(`disruption budget (\S+) needs`)

func (s *stage) drain(ctx context.Context) error {
	var names []string
	for _, n := range s.nodes() {
		names = append(names, n.Name)
	}
	for _, name := range names {
		if !slices.ContainsFunc(s.nodes(), func(n *corev1.Node) bool { return n.Name == name }) {
			continue // the autoscaler had it go
		}
		if err := s.drainOne(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) drainOne(ctx context.Context, node string) error {
	if err := s.setUnschedulable(ctx, node, true); err != nil {
		return err
	}
	moved := len(s.movable(node))
	blocked := map[string]string{} // what the server said, by budget
	var failed error
	err := s.settle(ctx, func() bool {
		clear(blocked)
		left := s.movable(node)
		for _, p := range left {
			if p.DeletionTimestamp != nil {
				continue
			}
			err := s.client.PolicyV1().Evictions(p.Namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace}})
			switch {
			case apierrors.IsTooManyRequests(err):
				said := err.Error()
				var status apierrors.APIStatus
				if errors.As(err, &status) && status.Status().Details != nil {
					for _, c := range status.Status().Details.Causes {
						said = c.Message
					}
				}
				budget := ""
				if m := ofBudget.FindStringSubmatch(said); m != nil {
					budget = m[1]
				}
				blocked[budget] = said
			case err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err):
				failed = err
				return true
			}
		}
		return len(left) == 0
	})
	if failed != nil {
		return fmt.Errorf("evict from %s: %w", node, failed)
	}
	switch {
	case errors.Is(err, errStalled):
		for _, budget := range slices.Sorted(maps.Keys(blocked)) {
			s.find(rehearsed.Drained, "PodDisruptionBudget", budget, s.budgetField(budget), "", "«kubectl drain %s» never ends: %s", node, strings.TrimSuffix(blocked[budget], "."))
		}
	case err != nil:
		return err
	default:
		if err := s.whileAway(ctx, node, moved); err != nil {
			return err
		}
	}
	if err := s.setUnschedulable(ctx, node, false); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	_, err = s.wellSettled(ctx, nil)
	return err
}

func (s *stage) budgetField(name string) string {
	if o := s.render.Object("PodDisruptionBudget", name); o != nil {
		spec, _ := o.Content()["spec"].(map[string]any)
		for _, field := range []string{"minAvailable", "maxUnavailable"} {
			if _, ok := spec[field]; ok {
				return "spec." + field
			}
		}
	}
	return "spec"
}

// whileAway looks where the pods of a node are while it is away.
func (s *stage) whileAway(ctx context.Context, node string, moved int) error {
	err := s.settle(ctx, s.running)
	if err != nil && !errors.Is(err, errStalled) {
		return err
	}
	waiting := s.pending()
	s.log("%s: %d pods moved, %d wait for it", node, max(moved-len(waiting), 0), len(waiting))
	for _, p := range waiting {
		if pins := s.pins(p); pins != "" && s.others(p, node) {
			kind, name := s.owner(p, "Pod")
			why := whyPending(s, p)
			s.find(rehearsed.Reached, kind, name, specOf(kind)+"."+why.field, "", "while %s is away its pod can't be elsewhere, though nodes have room: %s", node, pins)
		}
	}
	return nil
}

// others says whether another node than one could hold a pod.
func (s *stage) others(p *corev1.Pod, than string) bool {
	fit := s.fitting(p)
	return slices.ContainsFunc(s.nodes(), func(n *corev1.Node) bool {
		return n.Name != than && ready(n) && !n.Spec.Unschedulable && slices.ContainsFunc(fit, func(q pool) bool { return q.Name == n.Labels[poolLabel] })
	})
}

// loseOne loses the node with most pods, until it comes back.
func (s *stage) loseOne(ctx context.Context) error {
	node, most := "", -1
	for _, n := range s.nodes() {
		if n := n.Name; len(s.movable(n)) > most {
			node, most = n, len(s.movable(n))
		}
	}
	if node == "" {
		return s.skip("there is no node")
	}
	alone := len(s.nodes()) == 1
	if err := s.lose(ctx, node); err != nil {
		return err
	}
	// What ran there is given up, and Deployments have others; StatefulSets wait
	// for the node, since its pod may still write.
	err := s.settle(ctx, func() bool { return !alone && len(s.movable(node)) == 0 })
	if err != nil && !errors.Is(err, errStalled) {
		return err
	}
	waiting := slices.DeleteFunc(s.movable(node), func(p *corev1.Pod) bool {
		return metav1.GetControllerOf(p) != nil && metav1.GetControllerOf(p).Kind == "ReplicaSet"
	})
	if alone {
		s.log("%s lost with %d pods, which wait for its return", node, most)
	} else {
		s.log("%s lost with %d pods; %d of them wait for its return", node, most, len(waiting)+len(s.pending()))
	}
	for _, p := range s.pending() {
		if pins := s.pins(p); pins != "" && s.others(p, node) {
			kind, name := s.owner(p, "Pod")
			s.find(rehearsed.Reached, kind, name, specOf(kind)+"."+whyPending(s, p).field, "", "with %s lost its pod can't be elsewhere, though nodes have room: %s", node, pins)
		}
	}
	if err := s.restore(ctx, node); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	_, err = s.wellSettled(ctx, func() bool {
		return !slices.ContainsFunc(s.nodes(), func(n *corev1.Node) bool { return n.Labels[controlplane.Simulated] == "true" && !ready(n) })
	})
	return err
}

func (s *stage) upgrade(ctx context.Context) error {
	stamp := "upgrade"
	before := s.secrets
	if s.config.From != "" {
		if err := s.installFrom(ctx); err != nil {
			return err
		}
		stamp = ""
	}
	if err := s.renderWith(ctx, s.chart, true); err != nil {
		return err
	}
	if err := s.helmed(ctx, func(ctx context.Context) error { return s.helm.upgrade(ctx, s.chart.Path(), s.profile, stamp) }); err != nil {
		return err
	}
	if _, err := s.wellSettled(ctx, nil); err != nil {
		return err
	}
	if !s.running() {
		return errOver
	}
	if s.config.From == "" {
		if err := s.compareSecrets(ctx, before, "an upgrade with the same values gives it a new content"); err != nil {
			return err
		}
		s.log("every pod replaced")
	}
	return nil
}

// installFrom installs the previous version of the chart instead of what is
// there.
func (s *stage) installFrom(ctx context.Context) error {
	if err := s.helmed(ctx, s.helm.uninstall); err != nil {
		return err
	}
	for _, c := range s.claims() {
		if err := s.client.CoreV1().PersistentVolumeClaims(c.Namespace).Delete(ctx, c.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	if err := s.settle(ctx, func() bool { return len(s.pods()) == 0 && len(s.claims()) == 0 }); err != nil {
		return &Error{Message: "what was installed before doesn't go", Err: err, Remedy: "rehearse without --from first, and see to its findings"}
	}
	old, err := charttest.Load(s.config.From)
	if err != nil {
		return err
	}
	if err := s.renderWith(ctx, old, false); err != nil {
		return err
	}
	if err := s.helmed(ctx, func(ctx context.Context) error { return s.helm.install(ctx, s.config.From, s.profile) }); err != nil {
		return err
	}
	if err := s.settle(ctx, s.running); err != nil && !errors.Is(err, errStalled) {
		return err
	}
	s.log("installed %s-%s to upgrade from", old.Name(), old.Version())
	return nil
}

func (s *stage) rollBack(ctx context.Context) error {
	if err := s.helmed(ctx, func(ctx context.Context) error { return s.helm.rollback(ctx, 0) }); err != nil {
		return err
	}
	if _, err := s.wellSettled(ctx, nil); err != nil {
		return err
	}
	if !s.running() {
		return errOver
	}
	return nil
}

const (
	policy = "helm.sh/resource-policy"
	keep   = "keep"
)

func (s *stage) uninstall(ctx context.Context) error {
	// What Helm deletes is what it installed last, values that were made up then included.
	if err := s.helmed(ctx, s.helm.uninstall); err != nil {
		return err
	}
	groups, err := restmapper.GetAPIGroupResources(s.client.Discovery())
	if err != nil {
		return err
	}
	mapper := restmapper.NewDiscoveryRESTMapper(groups)
	type left struct {
		object     *charttest.Object
		finalizers []string
	}
	var still []left
	var failed error
	err = s.settle(ctx, func() bool {
		still = nil
		for _, o := range s.objects() {
			content := o.Unstructured()
			if o.Hook != nil || o.CRD || o.Name == "" || content.GetAnnotations()[policy] == keep {
				continue
			}
			gvk := schema.FromAPIVersionAndKind(o.APIVersion, o.Kind)
			mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
			if err != nil {
				continue // the definition went with it
			}
			var client dynamic.ResourceInterface = s.dynamic.Resource(mapping.Resource)
			if mapping.Scope.Name() == "namespace" {
				namespace := s.profile.Namespace
				if o.Namespace != "" {
					namespace = o.Namespace
				}
				client = s.dynamic.Resource(mapping.Resource).Namespace(namespace)
			}
			live, err := client.Get(ctx, o.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				failed = err
				return true
			}
			still = append(still, left{o, live.GetFinalizers()})
		}
		return len(still) == 0 && len(s.pods()) == 0
	})
	if failed != nil && !apierrors.IsNotFound(failed) {
		return failed
	}
	if err != nil && !errors.Is(err, errStalled) {
		return err
	}
	for _, l := range still {
		field, why := "", "stays"
		if len(l.finalizers) > 0 {
			field, why = "metadata.finalizers", "never goes: it waits for whoever takes the finalizer "+l.finalizers[0]+" out"
		}
		s.find(rehearsed.Left, l.object.Kind, l.object.Name, field, "", "after the uninstallation it %s", why)
	}
	var kept []string
	for _, c := range s.claims() {
		kept = append(kept, c.Name)
	}
	if len(kept) > 0 {
		s.log("claims kept: %s", strings.Join(kept, ", "))
	}
	return nil
}

func (s *stage) reinstall(ctx context.Context) error {
	kept := map[string]string{}
	for _, c := range s.claims() {
		kept[c.Namespace+"/"+c.Name] = c.Spec.VolumeName
	}
	if err := s.renderWith(ctx, s.chart, false); err != nil {
		return err
	}
	if err := s.helmed(ctx, func(ctx context.Context) error { return s.helm.install(ctx, s.chart.Path(), s.profile) }); err != nil {
		return err
	}
	if _, err := s.wellSettled(ctx, nil); err != nil {
		return err
	}
	again := 0
	for _, c := range s.claims() {
		if was := kept[c.Namespace+"/"+c.Name]; was != "" && was == c.Spec.VolumeName {
			again++
		}
	}
	s.log("%d claims with what was in them", again)
	if len(kept) == 0 {
		return nil
	}
	return s.compareSecrets(ctx, s.secrets, "a new installation gives it a new content")
}

// secretsNow are the contents of the release's Secrets.
func (s *stage) secretsNow(ctx context.Context) (map[string]map[string][]byte, error) {
	list, err := s.client.CoreV1().Secrets(s.profile.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	all := map[string]map[string][]byte{}
	for _, secret := range list.Items {
		if secret.Type != "helm.sh/release.v1" && s.render.Object("Secret", secret.Name) != nil {
			all[secret.Name] = secret.Data
		}
	}
	return all, nil
}

// compareSecrets finds Secrets that changed under pods with claims, which
// remember what was in them.
func (s *stage) compareSecrets(ctx context.Context, before map[string]map[string][]byte, why string) error {
	now, err := s.secretsNow(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		for _, key := range slices.Sorted(maps.Keys(before[name])) {
			is, ok := now[name][key]
			if !ok || bytes.Equal(is, before[name][key]) {
				continue
			}
			for _, p := range s.pods() {
				claim := ""
				for _, v := range p.Spec.Volumes {
					if v.PersistentVolumeClaim != nil {
						claim = v.PersistentVolumeClaim.ClaimName
					}
				}
				uses := slices.ContainsFunc(referencesOf(p), func(r reference) bool {
					return r.kind == "Secret" && r.name == name && (r.key == "" || r.key == key)
				})
				if claim == "" || !uses {
					continue
				}
				kind, owner := s.owner(p, "Pod")
				o := s.render.Object("Secret", name)
				field := "data." + key
				if content := o.Content(); content["stringData"] != nil {
					field = "stringData." + key
				}
				s.find(rehearsed.Kept, "Secret", name, field, "", "%s, while the volume of %s (%s/%s) remembers the old one", why, claim, kind, owner)
				break
			}
		}
	}
	return nil
}
