package rehearse

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ai-film/ai-film/charttest/internal/rehearsed"
)

// specOf is where a kind has its pods' specification.
func specOf(kind string) string {
	switch kind {
	case "Pod":
		return "spec"
	case "CronJob":
		return "spec.jobTemplate.spec.template.spec"
	}
	return "spec.template.spec"
}

// inspect finds what keeps the release from running, and what runs and
// shouldn't.
func (s *stage) inspect(ctx context.Context) error {
	if err := s.inspectClaims(); err != nil {
		return err
	}
	s.inspectPending()
	if err := s.inspectUnmade(ctx); err != nil {
		return err
	}
	if err := s.inspectReferences(ctx); err != nil {
		return err
	}
	s.inspectShared()
	s.inspectDevices()
	s.inspectAutoscalers()
	return nil
}

// inspectClaims finds claims that no volume is made for, or not as asked.
func (s *stage) inspectClaims() error {
	for _, c := range s.claims() {
		kind, name, prefix := s.claimOf(c)
		if c.Status.Phase == corev1.ClaimBound {
			v := s.volume(c.Spec.VolumeName)
			if v == nil {
				continue
			}
			asked, got := c.Spec.Resources.Requests[corev1.ResourceStorage], v.Spec.Capacity[corev1.ResourceStorage]
			if got.Cmp(asked) < 0 {
				s.find(rehearsed.Bound, kind, name, prefix+"spec.resources.requests.storage", "Grow it by a class that can (allowVolumeExpansion), or keep the size.",
					"the claim asks for %s; its volume has %s", asked.String(), got.String())
			}
			for _, mode := range c.Spec.AccessModes {
				if !slices.Contains(v.Spec.AccessModes, mode) {
					s.find(rehearsed.Bound, kind, name, prefix+"spec.accessModes", "", "the claim asks for %s; its volume has %v", mode, v.Spec.AccessModes)
				}
			}
			continue
		}
		if c.Spec.StorageClassName == nil {
			s.find(rehearsed.Bound, kind, name, prefix+"spec", "Name a class, or install where one is the default.", "the claim names no class, and the cluster has no default")
			continue
		}
		class, ok := s.class(*c.Spec.StorageClassName)
		if !ok {
			s.find(rehearsed.Bound, kind, name, prefix+"spec.storageClassName", "Name a class that there is, or declare it (cluster: {external: [StorageClass/"+*c.Spec.StorageClassName+"]}).",
				"the claim's class %q isn't in the cluster, which has %s", *c.Spec.StorageClassName, s.classNames())
			continue
		}
		if lacking := lacks(class, c); len(lacking) > 0 {
			s.find(rehearsed.Bound, kind, name, prefix+"spec.accessModes", "", "the claim asks for %s, which the class %s hasn't (it has %v)", lacking[0], class.Name, class.Modes)
		}
	}
	return nil
}

func (s *stage) classNames() string {
	var names []string
	for _, c := range s.classes {
		names = append(names, c.Name)
	}
	return cmp.Or(strings.Join(names, ", "), "none")
}

// claimOf is what a claim comes from: the chart's own, or a StatefulSet's template.
func (s *stage) claimOf(c *corev1.PersistentVolumeClaim) (kind, name, prefix string) {
	for _, o := range s.render.Objects {
		if o.Kind != "StatefulSet" {
			continue
		}
		templates, _ := o.Unstructured().Object["spec"].(map[string]any)["volumeClaimTemplates"].([]any)
		for i, t := range templates {
			metadata, _ := t.(map[string]any)["metadata"].(map[string]any)
			if n, _ := metadata["name"].(string); regexp.MustCompile("^" + regexp.QuoteMeta(n+"-"+o.Name) + `-\d+$`).MatchString(c.Name) {
				return o.Kind, o.Name, fmt.Sprintf("spec.volumeClaimTemplates[%d].", i)
			}
		}
	}
	return "PersistentVolumeClaim", c.Name, ""
}

// pending are pods that no node was found for, one of each owner.
func (s *stage) pending() []*corev1.Pod {
	var all []*corev1.Pod
	seen := map[string]bool{}
	for _, p := range s.pods() {
		kind, name := s.owner(p, "Pod")
		if p.Spec.NodeName != "" || p.Status.Phase != corev1.PodPending || p.DeletionTimestamp != nil || seen[kind+name] {
			continue
		}
		seen[kind+name] = true
		all = append(all, p)
	}
	return all
}

func (s *stage) inspectPending() {
	for _, p := range s.pending() {
		kind, name := s.owner(p, "Pod")
		if s.waitsForClaim(p) {
			continue // which has a finding
		}
		why := whyPending(s, p)
		rule := rehearsed.Scheduled
		switch {
		case strings.Contains(why.message, "volume"):
			rule = rehearsed.Reached
		case s.act.Name == "grow":
			rule = rehearsed.Grown
		case (s.act.Name == "upgrade" || s.act.Name == "rollback") && kind == "Deployment" && s.older(p):
			s.find(rehearsed.Rolled, kind, name, "spec.strategy", "", "its update never ends: the new pod waits for what the old one holds (%s)", why.message)
			continue
		}
		if s.hooked(kind, name) {
			rule = rehearsed.Hooked
			why.message = "Helm waits for this hook, whose pod is never scheduled: " + why.message
		}
		s.find(rule, kind, name, specOf(kind)+"."+why.field, why.remedy, "%s", why.message)
	}
}

func (s *stage) hooked(kind, name string) bool {
	o := s.render.Object(kind, name)
	return o != nil && o.Hook != nil
}

// older says whether a pod of another template of the same Deployment runs.
func (s *stage) older(p *corev1.Pod) bool {
	_, name := s.owner(p, "Pod")
	for _, q := range s.pods() {
		if k, n := s.owner(q, "Pod"); k == "Deployment" && n == name && q.Spec.NodeName != "" && q.DeletionTimestamp == nil &&
			q.Labels["pod-template-hash"] != p.Labels["pod-template-hash"] {
			return true
		}
	}
	return false
}

// waitsForClaim says whether a pod has a claim that isn't bound for a reason
// that inspectClaims tells.
func (s *stage) waitsForClaim(p *corev1.Pod) bool {
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		for _, c := range s.claims() {
			if c.Namespace != p.Namespace || c.Name != v.PersistentVolumeClaim.ClaimName || c.Status.Phase == corev1.ClaimBound {
				continue
			}
			if c.Spec.StorageClassName == nil {
				return true
			}
			class, ok := s.class(*c.Spec.StorageClassName)
			if !ok || len(lacks(class, c)) > 0 {
				return true
			}
		}
	}
	return false
}

var (
	noClaim   = regexp.MustCompile(`persistentvolumeclaim "([^"]+)" not found`)
	insuffice = regexp.MustCompile(`Insufficient ([^,.\s]+(?:\.[^,.\s]+)*(?:/[^,\s]+)?)`)
)

// whyPending is what keeps a pod from every node, and what helps.
func whyPending(s *stage, p *corev1.Pod) obstacle {
	if all, _ := s.unfit(p); len(all) > 0 {
		return all[0]
	}
	said := ""
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled {
			said = c.Message
		}
	}
	field := func(name string, is func(corev1.Volume) bool) string {
		if i := slices.IndexFunc(p.Spec.Volumes, is); i >= 0 {
			return fmt.Sprintf("volumes[%d]", i)
		}
		return name
	}
	switch {
	case said == "":
		return obstacle{"", "the scheduler hasn't looked at it: schedulerName " + p.Spec.SchedulerName, "Name a scheduler that there is."}
	case noClaim.MatchString(said):
		claim := noClaim.FindStringSubmatch(said)[1]
		return obstacle{field("volumes", func(v corev1.Volume) bool {
			return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
		}), fmt.Sprintf("its claim %s isn't there", claim), "Make the claim with the chart, before what waits for it, or declare it (cluster: {external: [PersistentVolumeClaim/" + claim + "]})."}
	case strings.Contains(said, "volume node affinity conflict"), strings.Contains(said, "PersistentVolume's node affinity"):
		return obstacle{field("volumes", func(v corev1.Volume) bool {
			return v.PersistentVolumeClaim != nil && s.pinned(p.Namespace, v.PersistentVolumeClaim.ClaimName)
		}),
			"its volumes are where it can't be: " + s.pins(p), rehearsed.Reached.Remedy}
	case strings.Contains(said, "topology spread"):
		return obstacle{"topologySpreadConstraints", "its spread allows no node: " + said, "Say whenUnsatisfiable: ScheduleAnyway, or label the nodes with the topologyKey."}
	case strings.Contains(said, "anti-affinity"):
		return obstacle{"affinity.podAntiAffinity", "its anti-affinity allows no node: " + said, "Prefer it instead of requiring it, or run no more replicas than there are nodes."}
	case strings.Contains(said, "pod affinity"):
		return obstacle{"affinity.podAffinity", "its affinity allows no node: " + said, "Prefer it instead of requiring it."}
	case strings.Contains(said, "free ports"):
		return obstacle{"containers[0].ports", "its host ports are taken on every node: " + said, "Leave hostPort out, or run no more replicas than there are nodes, the old pod gone first in an update."}
	case strings.Contains(said, "ReadWriteOncePod"):
		return obstacle{"volumes", "its volume is another pod's: " + said, rehearsed.Reached.Remedy}
	}
	if m := insuffice.FindStringSubmatch(said); m != nil {
		name := corev1.ResourceName(strings.TrimSuffix(m[1], "."))
		q := requests(p)[name]
		message := fmt.Sprintf("no node has %s of %s left", q.String(), name)
		for _, pool := range s.fitting(p) {
			if pool.grows && s.size(pool) >= pool.max {
				message += fmt.Sprintf(", and %s has its %d nodes already", pool.Name, pool.max)
			}
		}
		return obstacle{requestField(p, name), message, "Lower requests or replicas, or add nodes (count, max)."}
	}
	return obstacle{"", "the scheduler says: " + said, ""}
}

// size is how many nodes a pool has.
func (c *cluster) size(p pool) (n int) {
	for _, node := range c.nodes() {
		if node.Labels[poolLabel] == p.Name && node.DeletionTimestamp == nil {
			n++
		}
	}
	return n
}

// home is the node, or the zone, that a claim's volume is in; "" if it can be
// reached from anywhere.
func (c *cluster) home(namespace, claim string) string {
	for _, pvc := range c.claims() {
		if pvc.Namespace != namespace || pvc.Name != claim {
			continue
		}
		if v := c.volume(pvc.Spec.VolumeName); v != nil && v.Spec.NodeAffinity != nil {
			return v.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]
		}
	}
	return ""
}

func (c *cluster) pinned(namespace, claim string) bool { return c.home(namespace, claim) != "" }

// pins tells where a pod's volumes are.
func (c *cluster) pins(p *corev1.Pod) string {
	var all []string
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			if home := c.home(p.Namespace, v.PersistentVolumeClaim.ClaimName); home != "" {
				all = append(all, v.PersistentVolumeClaim.ClaimName+" is on "+home)
			}
		}
	}
	return strings.Join(all, ", ")
}

var offending = regexp.MustCompile(`^(?:Error creating: )?(?:pods "[^"]*" is forbidden: |create Pod \S+ in StatefulSet \S+ failed error: (?:pods "[^"]*" is forbidden: )?)?`)

// inspectUnmade finds workloads whose controller can't make pods, by what it
// said.
func (s *stage) inspectUnmade(ctx context.Context) error {
	for _, l := range s.workloads() {
		if l.done() {
			continue
		}
		message, err := s.lastRefusal(ctx, l)
		if err != nil {
			return err
		}
		if message == "" {
			continue
		}
		kind, name := s.owner(l.object, l.kind)
		message = offending.ReplaceAllString(message, "")
		field, remedy := specOf(kind), ""
		switch {
		case strings.Contains(message, "exceeded quota"):
			field, remedy = field+".containers[0].resources", "Ask for less, run fewer replicas, or raise the ResourceQuota."
		case strings.Contains(message, "failed quota"):
			field, remedy = field+".containers[0].resources", "Give every container the requests and limits that the ResourceQuota counts."
		case strings.Contains(message, "PriorityClass"):
			field, remedy = field+".priorityClassName", "Make the PriorityClass with the chart, or declare it (cluster: {external: [PriorityClass/x]})."
		case strings.Contains(message, "RuntimeClass"):
			field, remedy = field+".runtimeClassName", "Make the RuntimeClass with the chart, or declare it (cluster: {external: [RuntimeClass/x]})."
		case strings.Contains(message, "service account") || strings.Contains(message, "serviceaccount"):
			field, remedy = field+".serviceAccountName", "Make the ServiceAccount with the chart, or declare it (cluster: {external: [ServiceAccount/x]})."
		case strings.Contains(message, "violates PodSecurity"):
			field, remedy = field+".securityContext", "Give the pods and their containers the securityContext that the level asks for."
		case strings.Contains(message, "usage per") || strings.Contains(message, "limit to request ratio"):
			field, remedy = field+".containers[0].resources", "Ask for what the LimitRange allows, or correct it."
		}
		rule := rehearsed.Created
		if s.hooked(kind, name) {
			rule = rehearsed.Hooked
			message = "Helm waits for this hook, whose pod can't be made: " + message
		}
		s.find(rule, kind, name, field, remedy, "its pods can't be made: %s", message)
	}
	return nil
}

// lastRefusal is the latest event that says why a workload's controller could
// not make a pod; "" if it could.
func (s *stage) lastRefusal(ctx context.Context, l workload) (string, error) {
	events, err := s.client.CoreV1().Events(l.object.GetNamespace()).List(ctx, metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
	if err != nil {
		return "", err
	}
	last := corev1.Event{}
	for _, e := range events.Items {
		object := metav1.ObjectMeta{Namespace: e.InvolvedObject.Namespace, Name: e.InvolvedObject.Name}
		mine := e.InvolvedObject.UID == l.object.GetUID()
		if set, err := s.factory.Apps().V1().ReplicaSets().Lister().ReplicaSets(object.Namespace).Get(object.Name); err == nil && e.InvolvedObject.Kind == "ReplicaSet" {
			want := int32(1)
			if set.Spec.Replicas != nil {
				want = *set.Spec.Replicas
			}
			mine = mine || metav1.IsControlledBy(set, l.object) && set.Status.Replicas < want
		}
		if mine && !e.LastTimestamp.Before(&last.LastTimestamp) {
			last = e
		}
	}
	return last.Message, nil
}

// inspectReferences finds what a kubelet would wait for: Secrets and ConfigMaps
// of pods, and keys in them, that aren't there.
func (s *stage) inspectReferences(ctx context.Context) error {
	type key struct{ kind, name string }
	have := map[key]map[string]bool{}
	look := func(namespace, kind, name string) (map[string]bool, error) {
		at := key{kind, namespace + "/" + name}
		if keys, ok := have[at]; ok {
			return keys, nil
		}
		var keys map[string]bool
		var err error
		if kind == "Secret" {
			var o *corev1.Secret
			if o, err = s.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
				keys = map[string]bool{}
				for k := range o.Data {
					keys[k] = true
				}
			}
		} else {
			var o *corev1.ConfigMap
			if o, err = s.client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
				keys = map[string]bool{}
				for k := range o.Data {
					keys[k] = true
				}
				for k := range o.BinaryData {
					keys[k] = true
				}
			}
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
		have[at] = keys
		return keys, nil
	}
	seen := map[string]bool{}
	for _, p := range s.pods() {
		kind, name := s.owner(p, "Pod")
		if p.Spec.NodeName == "" || seen[kind+name] || p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded {
			continue
		}
		seen[kind+name] = true
		for _, r := range referencesOf(p) {
			keys, err := look(p.Namespace, r.kind, r.name)
			if err != nil {
				return err
			}
			switch {
			case keys == nil && s.makesLater(r.kind):
				s.log("%s/%s waits for %s %s, which a program of the chart may make: none runs here", kind, name, r.kind, r.name)
			case keys == nil:
				s.find(rehearsed.Starts, kind, name, specOf(kind)+"."+r.field, "", "its container can't start: %s %s isn't there", r.kind, r.name)
			case r.key != "" && !keys[r.key] && !s.known.Declares(r.kind, r.name):
				s.find(rehearsed.Starts, kind, name, specOf(kind)+"."+r.field, "", "its container can't start: %s %s has no key %s", r.kind, r.name, r.key)
			}
		}
	}
	return nil
}

// makesLater says whether a program of the chart may make objects of a kind:
// a role lets it. Programs don't run here.
func (s *stage) makesLater(kind string) bool {
	for _, o := range s.objects() {
		if o.Kind != "Role" && o.Kind != "ClusterRole" {
			continue
		}
		var role rbacv1.Role // a ClusterRole's rules are alike
		if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Unstructured().Object, &role) != nil {
			continue
		}
		for _, rule := range role.Rules {
			if (slices.Contains(rule.Verbs, "create") || slices.Contains(rule.Verbs, "*")) &&
				(slices.Contains(rule.Resources, strings.ToLower(kind)+"s") || slices.Contains(rule.Resources, "*")) {
				return true
			}
		}
	}
	return false
}

type reference struct{ field, kind, name, key string }

// referencesOf are what a pod can't start without.
func referencesOf(p *corev1.Pod) []reference {
	var all []reference
	need := func(optional *bool, r reference) {
		if optional == nil || !*optional {
			all = append(all, r)
		}
	}
	for i, v := range p.Spec.Volumes {
		field := fmt.Sprintf("volumes[%d]", i)
		switch {
		case v.Secret != nil:
			need(v.Secret.Optional, reference{field, "Secret", v.Secret.SecretName, ""})
		case v.ConfigMap != nil:
			need(v.ConfigMap.Optional, reference{field, "ConfigMap", v.ConfigMap.Name, ""})
		case v.Projected != nil:
			for j, source := range v.Projected.Sources {
				at := fmt.Sprintf("%s.projected.sources[%d]", field, j)
				if source.Secret != nil {
					need(source.Secret.Optional, reference{at, "Secret", source.Secret.Name, ""})
				}
				if source.ConfigMap != nil && source.ConfigMap.Name != "kube-root-ca.crt" {
					need(source.ConfigMap.Optional, reference{at, "ConfigMap", source.ConfigMap.Name, ""})
				}
			}
		}
	}
	for list, containers := range map[string][]corev1.Container{"containers": p.Spec.Containers, "initContainers": p.Spec.InitContainers} {
		for i, c := range containers {
			for j, from := range c.EnvFrom {
				at := fmt.Sprintf("%s[%d].envFrom[%d]", list, i, j)
				if from.SecretRef != nil {
					need(from.SecretRef.Optional, reference{at, "Secret", from.SecretRef.Name, ""})
				}
				if from.ConfigMapRef != nil {
					need(from.ConfigMapRef.Optional, reference{at, "ConfigMap", from.ConfigMapRef.Name, ""})
				}
			}
			for j, e := range c.Env {
				if e.ValueFrom == nil {
					continue
				}
				at := fmt.Sprintf("%s[%d].env[%d]", list, i, j)
				if r := e.ValueFrom.SecretKeyRef; r != nil {
					need(r.Optional, reference{at, "Secret", r.Name, r.Key})
				}
				if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
					need(r.Optional, reference{at, "ConfigMap", r.Name, r.Key})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b reference) int { return cmp.Compare(a.field, b.field) })
	return all
}

// inspectShared finds volumes that one node attaches and pods of others need.
func (s *stage) inspectShared() {
	for _, c := range s.claims() {
		if slices.Contains(c.Spec.AccessModes, corev1.ReadWriteMany) || slices.Contains(c.Spec.AccessModes, corev1.ReadOnlyMany) {
			continue
		}
		on := map[string]*corev1.Pod{}
		for _, p := range s.pods() {
			if p.Namespace == c.Namespace && p.Spec.NodeName != "" && p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning &&
				slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool {
					return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == c.Name
				}) {
				on[p.Spec.NodeName] = p
			}
		}
		if len(on) > 1 {
			kind, name, prefix := s.claimOf(c)
			s.find(rehearsed.Reached, kind, name, prefix+"spec.accessModes", "", "the claim is %s, and its pods are on %s: the second waits for ever with Multi-Attach",
				c.Spec.AccessModes[0], strings.Join(slices.Sorted(maps.Keys(on)), " and "))
		}
	}
}

// inspectDevices finds devices that are asked for otherwise than Kubernetes
// counts them. That requests are limits the API server sees to.
func (s *stage) inspectDevices() {
	seen := map[string]bool{}
	for _, p := range s.pods() {
		kind, name := s.owner(p, "Pod")
		if p.Spec.NodeName == "" || seen[kind+name] || kind == "DaemonSet" || p.DeletionTimestamp != nil {
			continue
		}
		i := slices.IndexFunc(s.nodes(), func(n *corev1.Node) bool { return n.Name == p.Spec.NodeName })
		if i < 0 {
			continue
		}
		node := s.nodes()[i]
		asked := requests(p)
		for resource, q := range asked {
			have := node.Status.Allocatable[resource]
			if strings.Contains(string(resource), "/") && have.Cmp(q) < 0 {
				s.find(rehearsed.Devices, kind, name, specOf(kind), "", "it asks for %s of %s and is on %s, which has %s", q.String(), resource, node.Name, have.String())
			}
		}
		seen[kind+name] = true
	}
}

// inspectAutoscalers finds those that can't do their work.
func (s *stage) inspectAutoscalers() {
	for _, h := range s.autoscalers() {
		for _, c := range h.Status.Conditions {
			if c.Status != corev1.ConditionFalse || c.Reason == "ScalingDisabled" {
				continue
			}
			switch c.Type {
			case autoscalingv2.AbleToScale:
				s.find(rehearsed.Measured, "HorizontalPodAutoscaler", h.Name, "spec.scaleTargetRef", "Name what the chart has: kind, name and apiVersion.", "it can't scale: %s", c.Message)
			case autoscalingv2.ScalingActive:
				field := "spec.metrics"
				if c.Reason == "FailedGetExternalMetric" {
					for i, m := range h.Spec.Metrics {
						if m.External != nil {
							field = fmt.Sprintf("spec.metrics[%d].external.metric", i)
						}
					}
				}
				remedy := ""
				if strings.Contains(c.Message, "external.metrics") || strings.Contains(c.Message, "custom.metrics") {
					remedy = "Install an adapter that serves the metric, and declare it (apiVersions: [external.metrics.k8s.io/v1beta1])."
				}
				s.find(rehearsed.Measured, "HorizontalPodAutoscaler", h.Name, field, remedy, "it can't read its metric: %s", c.Message)
			}
		}
	}
}
