package validation

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	pathvalidation "k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// segment is a name that is one segment of a URL's path.
func segment(name string, prefix bool) []string {
	if prefix {
		return pathvalidation.IsValidPathSegmentPrefix(name)
	}
	return pathvalidation.IsValidPathSegmentName(name)
}

// workload is what kinds with a selector have in common.
func (j *judge) workload(kind string, selector *metav1.LabelSelector, t *corev1.PodTemplateSpec) {
	at := field.NewPath("spec", "selector")
	j.selector(at, selector)
	if selector == nil {
		j.require(false, at, "")
	} else if len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		j.invalid(at, "", "empty selector is invalid for "+kind)
	} else if s, err := metav1.LabelSelectorAsSelector(selector); err == nil && !s.Matches(labels.Set(t.Labels)) {
		j.invalid(at, metav1.FormatLabelSelector(selector), "`selector` does not match template `labels`")
	}
	if p := t.Spec.RestartPolicy; p != "" && p != corev1.RestartPolicyAlways && slices.Contains(enumOf(p), string(p)) {
		j.say(field.NotSupported(field.NewPath("spec", "template", "spec", "restartPolicy"), p, []string{"Always"}))
	}
	j.forbid(t.Spec.ActiveDeadlineSeconds != nil, field.NewPath("spec", "template", "spec", "activeDeadlineSeconds"), "activeDeadlineSeconds in "+kind+" is not Supported")
}

func (j *judge) jobSpec(s *batchv1.JobSpec, at *field.Path) {
	least(j, at.Child("parallelism"), s.Parallelism, 0)
	least(j, at.Child("completions"), s.Completions, 0)
	least(j, at.Child("activeDeadlineSeconds"), s.ActiveDeadlineSeconds, 0)
	least(j, at.Child("backoffLimit"), s.BackoffLimit, 0)
	least(j, at.Child("ttlSecondsAfterFinished"), s.TTLSecondsAfterFinished, 0)
	least(j, at.Child("backoffLimitPerIndex"), s.BackoffLimitPerIndex, 0)
	least(j, at.Child("maxFailedIndexes"), s.MaxFailedIndexes, 0)
	const many = 100000
	indexed := s.CompletionMode != nil && *s.CompletionMode == batchv1.IndexedCompletion
	if indexed {
		if s.Completions == nil && (s.Parallelism != nil || at.String() != "spec") { // which is 1 if neither is given
			j.require(false, at.Child("completions"), "when completion mode is Indexed")
		}
		if s.Parallelism != nil && *s.Parallelism > many {
			j.invalid(at.Child("parallelism"), *s.Parallelism, fmt.Sprintf("must be less than or equal to %d when completion mode is Indexed", many))
		}
	}
	if !indexed {
		if s.BackoffLimitPerIndex != nil {
			j.invalid(at.Child("backoffLimitPerIndex"), *s.BackoffLimitPerIndex, "requires indexed completion mode")
		}
		if s.MaxFailedIndexes != nil {
			j.invalid(at.Child("maxFailedIndexes"), *s.MaxFailedIndexes, "requires indexed completion mode")
		}
		if s.SuccessPolicy != nil {
			j.invalid(at.Child("successPolicy"), "", "requires indexed completion mode")
		}
	}
	if s.MaxFailedIndexes != nil && s.BackoffLimitPerIndex == nil {
		j.require(false, at.Child("backoffLimitPerIndex"), "when maxFailedIndexes is specified")
	}
	if s.MaxFailedIndexes != nil && s.Completions != nil && *s.MaxFailedIndexes > *s.Completions {
		j.invalid(at.Child("maxFailedIndexes"), *s.MaxFailedIndexes, "must be less than or equal to completions")
	}
	if indexed && s.BackoffLimitPerIndex != nil && s.Completions != nil && *s.Completions > many && s.MaxFailedIndexes == nil {
		j.require(false, at.Child("maxFailedIndexes"), "must be specified when completions is above 100000")
	}
	if m := s.ManagedBy; m != nil {
		if len(*m) > 63 {
			j.say(field.TooLong(at.Child("managedBy"), *m, 63))
		}
		j.invalid(at.Child("managedBy"), *m, domainPrefixed(*m)...)
	}
	t := at.Child("template", "spec")
	switch p := s.Template.Spec.RestartPolicy; p {
	case corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure:
	case "", corev1.RestartPolicyAlways:
		j.require(p != "", t.Child("restartPolicy"), `valid values: "OnFailure", "Never"`)
		if p != "" {
			j.say(field.NotSupported(t.Child("restartPolicy"), p, []string{"OnFailure", "Never"}))
		}
	}
	if s.PodFailurePolicy != nil && s.Template.Spec.RestartPolicy != corev1.RestartPolicyNever {
		j.invalid(t.Child("restartPolicy"), s.Template.Spec.RestartPolicy, "only \"Never\" is supported when podFailurePolicy is specified")
	}
	j.failurePolicy(s, at)
	if p := s.SuccessPolicy; p != nil && indexed {
		here := at.Child("successPolicy", "rules")
		if len(p.Rules) == 0 {
			j.require(false, here, "at least one rules must be specified when the successPolicy is specified")
		}
		if len(p.Rules) > 20 {
			j.say(field.TooMany(here, len(p.Rules), 20))
		}
		for i, r := range p.Rules {
			j.require(r.SucceededCount != nil || r.SucceededIndexes != nil, here.Index(i), "at least one of succeededCount or succeededIndexes must be specified")
			if r.SucceededCount != nil {
				least(j, here.Index(i).Child("succeededCount"), r.SucceededCount, 1)
				if s.Completions != nil && *r.SucceededCount > *s.Completions {
					j.invalid(here.Index(i).Child("succeededCount"), *r.SucceededCount, "must be less than or equal to the number of specified completions")
				}
			}
		}
	}
	if s.ManualSelector == nil || !*s.ManualSelector {
		if s.Selector != nil && at.String() != "spec" {
			j.invalid(at.Child("selector"), "", "`selector` will be auto-generated")
		} else if s.Selector != nil && len(s.Selector.MatchLabels)+len(s.Selector.MatchExpressions) > 0 {
			j.invalid(at.Child("selector"), "", "`selector` not auto-generated")
		}
	}
	j.selector(at.Child("selector"), s.Selector)
	if s.ManualSelector != nil && *s.ManualSelector && at.String() == "spec" {
		if s.Selector == nil {
			j.require(false, at.Child("selector"), "")
		} else if sel, err := metav1.LabelSelectorAsSelector(s.Selector); err == nil && !sel.Matches(labels.Set(s.Template.Labels)) {
			j.invalid(at.Child("selector"), metav1.FormatLabelSelector(s.Selector), "`selector` does not match template `labels`")
		}
	}
	if r := s.PodReplacementPolicy; r != nil && s.PodFailurePolicy != nil && *r != batchv1.Failed && slices.Contains(enumOf(*r), string(*r)) {
		j.say(field.NotSupported(at.Child("podReplacementPolicy"), *r, []string{"Failed"}))
	}
}

func domainPrefixed(s string) []string {
	prefix, rest, ok := strings.Cut(s, "/")
	if !ok || prefix == "" || rest == "" {
		return []string{"must be a domain-prefixed path (such as \"acme.io/foo\")"}
	}
	return subdomain(prefix)
}

func (j *judge) failurePolicy(s *batchv1.JobSpec, at *field.Path) {
	p := s.PodFailurePolicy
	if p == nil {
		return
	}
	at = at.Child("podFailurePolicy", "rules")
	if len(p.Rules) > 20 {
		j.say(field.TooMany(at, len(p.Rules), 20))
	}
	names := sets.Set[string]{}
	for _, c := range s.Template.Spec.Containers {
		names.Insert(c.Name)
	}
	for _, c := range s.Template.Spec.InitContainers {
		names.Insert(c.Name)
	}
	for i, r := range p.Rules {
		here := at.Index(i)
		switch r.Action {
		case "":
			j.require(false, here.Child("action"), "valid values: Count, FailIndex, FailJob, Ignore")
		case batchv1.PodFailurePolicyActionFailIndex:
			if s.BackoffLimitPerIndex == nil {
				j.invalid(here.Child("action"), r.Action, "requires the backoffLimitPerIndex to be set")
			}
		}
		if e := r.OnExitCodes; e != nil {
			ex := here.Child("onExitCodes")
			j.require(e.Operator != "", ex.Child("operator"), "valid values: In, NotIn")
			if c := e.ContainerName; c != nil && !names.Has(*c) {
				j.invalid(ex.Child("containerName"), *c, "must be one of the container or initContainer names in the pod template")
			}
			if len(e.Values) == 0 {
				j.invalid(ex.Child("values"), e.Values, "at least one value is required")
			}
			if len(e.Values) > 255 {
				j.say(field.TooMany(ex.Child("values"), len(e.Values), 255))
			}
			for k, v := range e.Values {
				if v == 0 && e.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn {
					j.invalid(ex.Child("values").Index(k), v, "must not be 0 for the In operator")
				}
				for m := range k {
					if e.Values[m] == v {
						j.say(field.Duplicate(ex.Child("values").Index(k), v))
						break
					}
				}
			}
			if !slices.IsSorted(e.Values) {
				j.invalid(ex.Child("values"), e.Values, "must be ordered")
			}
		}
		for k, c := range r.OnPodConditions {
			ex := here.Child("onPodConditions").Index(k)
			j.invalid(ex.Child("type"), c.Type, qualified(string(c.Type))...)
		}
		if r.OnExitCodes != nil && len(r.OnPodConditions) > 0 {
			j.invalid(here, field.OmitValueType{}, "specifying both OnExitCodes and OnPodConditions is not supported")
		}
		if r.OnExitCodes == nil && len(r.OnPodConditions) == 0 {
			j.invalid(here, field.OmitValueType{}, "specifying one of OnExitCodes and OnPodConditions is required")
		}
	}
}

func dnsLabelName(s string, prefix bool) []string { return apivalidation.NameIsDNSLabel(s, prefix) }

// serviceName is relaxed from 1.36 on: it may begin with a digit.
func (j *judge) serviceName(s string, prefix bool) []string {
	if j.minor >= 36 {
		return apivalidation.NameIsDNSLabel(s, prefix)
	}
	return apivalidation.NameIsDNS1035Label(s, prefix)
}

var _ = []struct{}{
	rule(func(j *judge, d *appsv1.Deployment, at *field.Path) {
		j.meta(&d.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		s, at := &d.Spec, field.NewPath("spec")
		least(j, at.Child("replicas"), s.Replicas, 0)
		least(j, at.Child("minReadySeconds"), &s.MinReadySeconds, 0)
		least(j, at.Child("revisionHistoryLimit"), s.RevisionHistoryLimit, 0)
		deadline := int32(600)
		if s.ProgressDeadlineSeconds != nil {
			deadline = *s.ProgressDeadlineSeconds
			least(j, at.Child("progressDeadlineSeconds"), s.ProgressDeadlineSeconds, 0)
		}
		if deadline <= s.MinReadySeconds {
			j.invalid(at.Child("progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds")
		}
		at = at.Child("strategy")
		u := s.Strategy.RollingUpdate
		if s.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
			j.forbid(u != nil, at.Child("rollingUpdate"), "may not be specified when strategy `type` is 'Recreate'")
		} else if u != nil {
			at = at.Child("rollingUpdate")
			j.part(at.Child("maxUnavailable"), u.MaxUnavailable, true)
			j.part(at.Child("maxSurge"), u.MaxSurge, false)
			if none(u.MaxUnavailable) && none(u.MaxSurge) {
				j.invalid(at.Child("maxUnavailable"), u.MaxUnavailable.String(), "may not be 0 when `maxSurge` is 0")
			}
		}
		j.workload("deployment", s.Selector, &s.Template)
	}),
	rule(func(j *judge, d *appsv1.StatefulSet, at *field.Path) {
		j.meta(&d.ObjectMeta, dnsLabelName)
		j.claims = sets.New[string]()
		for i, c := range d.Spec.VolumeClaimTemplates {
			j.named(field.NewPath("spec", "volumeClaimTemplates").Index(i).Child("metadata", "name"), c.Name, label)
			j.claims.Insert(c.Name)
		}
		s, at := &d.Spec, field.NewPath("spec")
		least(j, at.Child("replicas"), s.Replicas, 0)
		least(j, at.Child("minReadySeconds"), &s.MinReadySeconds, 0)
		if s.ServiceName != "" {
			j.invalid(at.Child("serviceName"), s.ServiceName, label(s.ServiceName)...)
		}
		if s.Ordinals != nil {
			least(j, at.Child("ordinals", "start"), &s.Ordinals.Start, 0)
		}
		u := s.UpdateStrategy.RollingUpdate
		at = at.Child("updateStrategy", "rollingUpdate")
		if s.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType && u != nil {
			j.invalid(at, "", "only allowed for updateStrategy 'RollingUpdate'")
		} else if u != nil {
			least(j, at.Child("partition"), u.Partition, 0)
		}
		j.workload("statefulset", s.Selector, &s.Template)
	}),
	rule(func(j *judge, d *appsv1.DaemonSet, at *field.Path) {
		j.meta(&d.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		s, at := &d.Spec, field.NewPath("spec")
		least(j, at.Child("minReadySeconds"), &s.MinReadySeconds, 0)
		least(j, at.Child("revisionHistoryLimit"), s.RevisionHistoryLimit, 0)
		if u := s.UpdateStrategy.RollingUpdate; u != nil && s.UpdateStrategy.Type != appsv1.OnDeleteDaemonSetStrategyType {
			at := at.Child("updateStrategy", "rollingUpdate")
			j.part(at.Child("maxUnavailable"), u.MaxUnavailable, true)
			j.part(at.Child("maxSurge"), u.MaxSurge, true)
			surge := u.MaxSurge != nil && !none(u.MaxSurge)
			switch {
			case u.MaxUnavailable == nil && surge:
				j.invalid(at.Child("maxUnavailable"), "1", "may not be set when `maxSurge` is non-zero: it is 1 unless given as 0")
			case !none(u.MaxUnavailable) && surge:
				j.invalid(at.Child("maxSurge"), u.MaxSurge.String(), "may not be set when maxUnavailable is non-zero")
			case none(u.MaxUnavailable) && !surge:
				j.invalid(at.Child("maxUnavailable"), u.MaxUnavailable.String(), "cannot be 0 when maxSurge is 0")
			}
		}
		j.workload("daemonset", s.Selector, &s.Template)
	}),
	rule(func(j *judge, d *appsv1.ReplicaSet, at *field.Path) {
		j.meta(&d.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		least(j, field.NewPath("spec", "replicas"), d.Spec.Replicas, 0)
		least(j, field.NewPath("spec", "minReadySeconds"), &d.Spec.MinReadySeconds, 0)
		j.workload("replicaset", d.Spec.Selector, &d.Spec.Template)
	}),
	rule(func(j *judge, d *batchv1.Job, at *field.Path) {
		j.meta(&d.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		for _, problem := range validation.IsValidLabelValue(d.Name) {
			j.invalid(field.NewPath("metadata", "name"), d.Name, "is the value of the label batch.kubernetes.io/job-name of its pods: "+problem)
		}
		if s := &d.Spec; s.CompletionMode != nil && *s.CompletionMode == batchv1.IndexedCompletion && s.Completions != nil && *s.Completions > 0 {
			last := fmt.Sprintf("%s-%d", d.Name, *s.Completions-1)
			for _, problem := range validation.IsDNS1123Label(last) {
				j.invalid(field.NewPath("metadata", "name"), d.Name, fmt.Sprintf("its last pod's host name %q: %s", last, problem))
			}
		}
	}),
	rule((*judge).jobSpec),
	rule(func(j *judge, d *batchv1.CronJob, at *field.Path) {
		j.meta(&d.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		if len(d.Name) > 52 {
			j.invalid(field.NewPath("metadata", "name"), d.Name, "must be no more than 52 characters")
		}
		s, at := &d.Spec, field.NewPath("spec")
		if j.require(s.Schedule != "", at.Child("schedule"), "") {
			if _, err := cron.ParseStandard(s.Schedule); err != nil {
				j.invalid(at.Child("schedule"), s.Schedule, err.Error())
			}
			if strings.Contains(s.Schedule, "TZ") {
				j.invalid(at.Child("schedule"), s.Schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
			}
		}
		if z := s.TimeZone; z != nil {
			switch {
			case *z == "":
				j.invalid(at.Child("timeZone"), *z, "timeZone must be nil or non-empty string")
			case strings.EqualFold(*z, "local"):
				j.invalid(at.Child("timeZone"), *z, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")
			default:
				if _, err := time.LoadLocation(*z); err != nil {
					j.invalid(at.Child("timeZone"), *z, err.Error())
				}
			}
		}
		least(j, at.Child("startingDeadlineSeconds"), s.StartingDeadlineSeconds, 0)
		least(j, at.Child("successfulJobsHistoryLimit"), s.SuccessfulJobsHistoryLimit, 0)
		least(j, at.Child("failedJobsHistoryLimit"), s.FailedJobsHistoryLimit, 0)
		j.template(&s.JobTemplate.ObjectMeta, at.Child("jobTemplate", "metadata"))
		if m := s.JobTemplate.Spec.ManualSelector; m != nil && *m {
			j.say(field.NotSupported(at.Child("jobTemplate", "spec", "manualSelector"), *m, []string{"nil", "false"}))
		}
	}),
	rule((*judge).service),
	rule(func(j *judge, c *corev1.ConfigMap, at *field.Path) {
		j.meta(&c.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		size := 0
		for k, v := range c.Data {
			j.invalid(field.NewPath("data").Key(k), k, validation.IsConfigMapKey(k)...)
			if _, twice := c.BinaryData[k]; twice {
				j.invalid(field.NewPath("data").Key(k), k, "duplicate of key present in binaryData")
			}
			size += len(v)
		}
		for k, v := range c.BinaryData {
			j.invalid(field.NewPath("binaryData").Key(k), k, validation.IsConfigMapKey(k)...)
			size += len(v)
		}
		if size > 1<<20 {
			j.say(field.TooLong(field.NewPath(""), "", 1<<20))
		}
	}),
	rule((*judge).secret),
	rule(func(j *judge, a *corev1.ServiceAccount, at *field.Path) {
		j.meta(&a.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	}),
	rule(func(j *judge, n *corev1.Namespace, at *field.Path) {
		j.clusterMeta(&n.ObjectMeta, dnsLabelName)
		for i, f := range n.Spec.Finalizers {
			j.finalizer(field.NewPath("spec", "finalizers").Index(i), string(f))
		}
	}),
	rule(func(j *judge, c *corev1.PersistentVolumeClaim, at *field.Path) {
		if at == nil {
			j.meta(&c.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		}
	}),
	rule(func(j *judge, v *corev1.PersistentVolume, at *field.Path) {
		j.clusterMeta(&v.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	}),
	rule((*judge).limitRange),
	rule(func(j *judge, q *corev1.ResourceQuota, at *field.Path) {
		j.meta(&q.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		for r, n := range q.Spec.Hard {
			here := field.NewPath("spec", "hard").Key(string(r))
			j.quotaResource(here, string(r))
			j.amount(here, string(r), n)
		}
		j.quotaScopes(&q.Spec, field.NewPath("spec"))
	}),
	rule(func(j *judge, b *policyv1.PodDisruptionBudget, at *field.Path) {
		j.plainMeta(&b.ObjectMeta, segment)
		at = field.NewPath("spec")
		if b.Spec.MinAvailable != nil && b.Spec.MaxUnavailable != nil {
			j.invalid(at.Child("maxUnavailable"), b.Spec.MaxUnavailable.String(), "minAvailable and maxUnavailable cannot be both set")
		}
		j.part(at.Child("minAvailable"), b.Spec.MinAvailable, true)
		j.part(at.Child("maxUnavailable"), b.Spec.MaxUnavailable, true)
		j.selector(at.Child("selector"), b.Spec.Selector)
	}),
	rule(func(j *judge, h *autoscalingv1.HorizontalPodAutoscaler, at *field.Path) {
		j.meta(&h.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		at = field.NewPath("spec")
		j.scale(at, h.Spec.MinReplicas, h.Spec.MaxReplicas, 1)
		j.scaleTarget(at.Child("scaleTargetRef"), h.Spec.ScaleTargetRef.Kind, h.Spec.ScaleTargetRef.Name)
		if p := h.Spec.TargetCPUUtilizationPercentage; p != nil && *p < 1 {
			j.invalid(at.Child("targetCPUUtilizationPercentage"), *p, "must be greater than 0")
		}
	}),
	rule(func(j *judge, h *autoscalingv2.HorizontalPodAutoscaler, at *field.Path) {
		j.meta(&h.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		at = field.NewPath("spec")
		low := int32(1)
		if j.minor >= 37 {
			low = 0 // an Object or External metric can wake them
		}
		if j.minor >= 36 {
			if h.Spec.MinReplicas != nil && *h.Spec.MinReplicas == 0 && !slices.ContainsFunc(h.Spec.Metrics, func(m autoscalingv2.MetricSpec) bool { return m.Object != nil || m.External != nil }) {
				j.forbid(true, at.Child("metrics"), "must specify at least one Object or External metric to support scaling to zero replicas")
			}
			if gv, err := schema.ParseGroupVersion(h.Spec.ScaleTargetRef.APIVersion); err != nil || gv.Group == "" {
				j.invalid(at.Child("scaleTargetRef", "apiVersion"), h.Spec.ScaleTargetRef.APIVersion, "apiVersion must specify API group")
			}
		}
		j.scale(at, h.Spec.MinReplicas, h.Spec.MaxReplicas, low)
		j.scaleTarget(at.Child("scaleTargetRef"), h.Spec.ScaleTargetRef.Kind, h.Spec.ScaleTargetRef.Name)
	}),
	rule((*judge).metric),
	rule(func(j *judge, r *autoscalingv2.HPAScalingRules, at *field.Path) {
		if s := r.StabilizationWindowSeconds; s != nil && (*s < 0 || *s > 3600) {
			j.invalid(at.Child("stabilizationWindowSeconds"), *s, "must be between 0 and 3600 (one hour)")
		}
		if r.Tolerance != nil {
			j.quantity(at.Child("tolerance"), *r.Tolerance)
		}
		if r.Policies != nil && len(r.Policies) == 0 {
			j.require(false, at.Child("policies"), "must specify at least one Policy")
		}
		for i, p := range r.Policies {
			here := at.Child("policies").Index(i)
			if p.Type != autoscalingv2.PodsScalingPolicy && p.Type != autoscalingv2.PercentScalingPolicy {
				j.say(field.NotSupported(here.Child("type"), p.Type, []string{"Percent", "Pods"}))
			}
			if p.Value <= 0 {
				j.invalid(here.Child("value"), p.Value, "must be greater than zero")
			}
			if p.PeriodSeconds <= 0 || p.PeriodSeconds > 1800 {
				j.invalid(here.Child("periodSeconds"), p.PeriodSeconds, "must be greater than zero, and at most 1800")
			}
		}
	}),
	rule((*judge).ingress),
	rule(func(j *judge, c *networkingv1.IngressClass, at *field.Path) {
		j.clusterMeta(&c.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		at = field.NewPath("spec")
		if j.require(c.Spec.Controller != "", at.Child("controller"), "") {
			if len(c.Spec.Controller) > 250 {
				j.say(field.TooLong(at.Child("controller"), "", 250))
			}
			j.invalid(at.Child("controller"), c.Spec.Controller, domainPrefixed(c.Spec.Controller)...)
		}
		if p := c.Spec.Parameters; p != nil {
			at = at.Child("parameters")
			if g := p.APIGroup; g != nil {
				j.invalid(at.Child("apiGroup"), *g, subdomain(*g)...)
			}
			if j.require(p.Kind != "", at.Child("kind"), "") {
				j.invalid(at.Child("kind"), p.Kind, segment(p.Kind, false)...)
			}
			if j.require(p.Name != "", at.Child("name"), "") {
				j.invalid(at.Child("name"), p.Name, segment(p.Name, false)...)
			}
			if p.Scope != nil {
				j.among(at.Child("scope"), *p.Scope, "Cluster", "Namespace")
				if *p.Scope == "Namespace" {
					j.require(deref(p.Namespace) != "", at.Child("namespace"), "`parameters.scope` is set to 'Namespace'")
				}
			}
			if p.Namespace != nil && (p.Scope == nil || *p.Scope == "Cluster") {
				j.forbid(true, at.Child("namespace"), "`parameters.scope` is set to 'Cluster'")
			}
			if p.Namespace != nil && *p.Namespace != "" && p.Scope != nil && *p.Scope == "Namespace" {
				j.invalid(at.Child("namespace"), *p.Namespace, label(*p.Namespace)...)
			}
		}
	}),
	rule((*judge).networkPolicy),
	rule(func(j *judge, r *rbacv1.Role, at *field.Path) {
		j.meta(&r.ObjectMeta, segment)
		for i := range r.Rules {
			j.policyRule(&r.Rules[i], field.NewPath("rules").Index(i), true)
		}
	}),
	rule(func(j *judge, r *rbacv1.ClusterRole, at *field.Path) {
		j.clusterMeta(&r.ObjectMeta, segment)
		for i := range r.Rules {
			j.policyRule(&r.Rules[i], field.NewPath("rules").Index(i), false)
		}
		if a := r.AggregationRule; a != nil {
			here := field.NewPath("aggregationRule", "clusterRoleSelectors")
			j.require(len(a.ClusterRoleSelectors) > 0, here, "at least one clusterRoleSelector required if aggregationRule is non-nil")
			for i := range a.ClusterRoleSelectors {
				j.selector(here.Index(i), &a.ClusterRoleSelectors[i])
			}
		}
	}),
	rule(func(j *judge, b *rbacv1.RoleBinding, at *field.Path) {
		j.meta(&b.ObjectMeta, segment)
		j.binding(b.RoleRef, b.Subjects, true)
	}),
	rule(func(j *judge, b *rbacv1.ClusterRoleBinding, at *field.Path) {
		j.clusterMeta(&b.ObjectMeta, segment)
		j.binding(b.RoleRef, b.Subjects, false)
	}),
	rule(func(j *judge, c *schedulingv1.PriorityClass, at *field.Path) {
		j.clusterMeta(&c.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		if strings.HasPrefix(c.Name, "system-") && c.Name != "system-node-critical" && c.Name != "system-cluster-critical" {
			j.forbid(true, field.NewPath("metadata", "name"), "priority class names with 'system-' prefix are reserved for system use only")
		}
		if c.Value > 1000000000 && !strings.HasPrefix(c.Name, "system-") {
			j.forbid(true, field.NewPath("value"), "maximum allowed value of a user defined priority is 1000000000")
		}
	}),
	rule(func(j *judge, c *storagev1.StorageClass, at *field.Path) {
		j.clusterMeta(&c.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		if j.require(c.Provisioner != "", field.NewPath("provisioner"), "") {
			j.invalid(field.NewPath("provisioner"), c.Provisioner, qualified(strings.ToLower(c.Provisioner))...)
		}
		if len(c.Parameters) > 512 {
			j.say(field.TooLong(field.NewPath("parameters"), "", 512))
		}
		for k := range c.Parameters {
			if k == "" {
				j.invalid(field.NewPath("parameters"), k, "field can not be empty.")
			}
		}
		if p := c.ReclaimPolicy; p != nil && *p == corev1.PersistentVolumeReclaimRecycle {
			j.say(field.NotSupported(field.NewPath("reclaimPolicy"), *p, []string{"Delete", "Retain"}))
		}
		for i, t := range c.AllowedTopologies {
			seen := sets.Set[string]{}
			for k, e := range t.MatchLabelExpressions {
				here := field.NewPath("allowedTopologies").Index(i).Child("matchLabelExpressions").Index(k)
				j.require(len(e.Values) > 0, here.Child("values"), "")
				j.invalid(here.Child("key"), e.Key, qualified(e.Key)...)
				if seen.Has(e.Key) {
					j.say(field.Duplicate(here.Child("key"), e.Key))
				}
				seen.Insert(e.Key)
			}
		}
	}),
}

func (j *judge) scale(at *field.Path, minimum *int32, maximum, low int32) {
	if minimum != nil && *minimum < low {
		j.invalid(at.Child("minReplicas"), *minimum, fmt.Sprintf("must be greater than or equal to %d", low))
	}
	if maximum < 1 {
		j.invalid(at.Child("maxReplicas"), maximum, "must be greater than 0")
	}
	if minimum != nil && maximum < *minimum {
		j.invalid(at.Child("maxReplicas"), maximum, "must be greater than or equal to `minReplicas`")
	}
}

func (j *judge) scaleTarget(at *field.Path, kind, name string) {
	if j.require(kind != "", at.Child("kind"), "") {
		j.invalid(at.Child("kind"), kind, segment(kind, false)...)
	}
	if j.require(name != "", at.Child("name"), "") {
		j.invalid(at.Child("name"), name, segment(name, false)...)
	}
}

func (j *judge) metric(m *autoscalingv2.MetricSpec, at *field.Path) {
	given := map[autoscalingv2.MetricSourceType]bool{"Object": m.Object != nil, "Pods": m.Pods != nil, "Resource": m.Resource != nil,
		"External": m.External != nil, "ContainerResource": m.ContainerResource != nil}
	names := map[autoscalingv2.MetricSourceType]string{"Object": "object", "Pods": "pods", "Resource": "resource", "External": "external", "ContainerResource": "containerResource"}
	if m.Type == "" {
		j.require(false, at.Child("type"), "must specify a metric source type")
	} else if names[m.Type] == "" {
		j.say(field.NotSupported(at.Child("type"), m.Type, []string{"ContainerResource", "External", "Object", "Pods", "Resource"}))
	}
	n := 0
	for t, is := range given {
		if is {
			n++
			j.forbid(t != m.Type && names[m.Type] != "", at.Child(names[t]), "must populate the given metric source only")
		}
	}
	if n > 1 && names[m.Type] == "" {
		j.forbid(true, at, "may not specify more than 1 metric source")
	}
	if names[m.Type] != "" && !given[m.Type] {
		j.require(false, at.Child(names[m.Type]), "must populate information for the given metric source")
	}
	target := func(t *autoscalingv2.MetricTarget, at *field.Path, utilization bool, value bool) {
		switch t.Type {
		case "":
			j.require(false, at.Child("type"), "must specify a metric target type")
		case "Utilization", "Value", "AverageValue":
		default:
			j.invalid(at.Child("type"), t.Type, "must be either Utilization, Value, or AverageValue")
		}
		if t.AverageUtilization != nil && *t.AverageUtilization < 1 {
			j.invalid(at.Child("averageUtilization"), *t.AverageUtilization, "must be greater than 0")
		}
		if t.Value != nil && t.Value.Sign() != 1 {
			j.invalid(at.Child("value"), t.Value.String(), "must be positive")
		}
		if t.AverageValue != nil && t.AverageValue.Sign() != 1 {
			j.invalid(at.Child("averageValue"), t.AverageValue.String(), "must be positive")
		}
		switch {
		case utilization:
			if t.AverageUtilization == nil && t.AverageValue == nil {
				j.require(false, at.Child("averageUtilization"), "must set either a target raw value or a target utilization")
			}
			j.forbid(t.AverageUtilization != nil && t.AverageValue != nil, at.Child("averageValue"), "may not set both a target raw value and a target utilization")
		case value:
			if t.Value == nil && t.AverageValue == nil {
				j.require(false, at.Child("averageValue"), "must set either a target value or averageValue")
			}
		default:
			if t.AverageValue == nil || t.AverageValue.Sign() != 1 {
				j.require(false, at.Child("averageValue"), "must specify a positive target averageValue")
			}
		}
	}
	identifier := func(n string, s *metav1.LabelSelector, at *field.Path) {
		if j.require(n != "", at.Child("name"), "") {
			j.invalid(at.Child("name"), n, segment(n, false)...)
		}
	}
	if r := m.Resource; r != nil {
		here := at.Child("resource")
		j.require(r.Name != "", here.Child("name"), "must specify a resource name")
		target(&r.Target, here.Child("target"), true, false)
	}
	if r := m.ContainerResource; r != nil {
		here := at.Child("containerResource")
		if j.require(r.Name != "", here.Child("name"), "must specify a resource name") {
			j.containerResource(here.Child("name"), string(r.Name))
		}
		j.named(here.Child("container"), r.Container, label)
		target(&r.Target, here.Child("target"), true, false)
	}
	if r := m.Pods; r != nil {
		identifier(r.Metric.Name, r.Metric.Selector, at.Child("pods", "metric"))
		target(&r.Target, at.Child("pods", "target"), false, false)
	}
	if r := m.Object; r != nil {
		if _, err := schema.ParseGroupVersion(r.DescribedObject.APIVersion); err != nil && j.minor >= 36 {
			j.invalid(at.Child("object", "describedObject", "apiVersion"), r.DescribedObject.APIVersion, err.Error())
		}
		j.scaleTarget(at.Child("object", "describedObject"), r.DescribedObject.Kind, r.DescribedObject.Name)
		identifier(r.Metric.Name, r.Metric.Selector, at.Child("object", "metric"))
		target(&r.Target, at.Child("object", "target"), false, true)
	}
	if r := m.External; r != nil {
		identifier(r.Metric.Name, r.Metric.Selector, at.Child("external", "metric"))
		target(&r.Target, at.Child("external", "target"), false, true)
		j.forbid(r.Target.Value != nil && r.Target.AverageValue != nil, at.Child("external", "target", "value"), "may not set both a target value for metric and a per-pod target")
	}
}

func (j *judge) service(s *corev1.Service, _ *field.Path) {
	j.meta(&s.ObjectMeta, j.serviceName)
	at, spec := field.NewPath("spec"), &s.Spec
	headless := spec.ClusterIP == corev1.ClusterIPNone || len(spec.ClusterIPs) > 0 && spec.ClusterIPs[0] == corev1.ClusterIPNone
	external := spec.Type == corev1.ServiceTypeExternalName
	kind := cmpOr(string(spec.Type), "ClusterIP")
	if len(spec.Ports) == 0 && !headless && !external {
		j.require(false, at.Child("ports"), "")
	}
	if headless && (kind == "LoadBalancer" || kind == "NodePort") {
		j.invalid(at.Child("clusterIP"), "None", "may not be set to 'None' for "+kind+" services")
	}
	if external {
		j.forbid(spec.ClusterIP != "" || len(spec.ClusterIPs) > 0, at.Child("clusterIP"), "may not be set for ExternalName services")
		j.forbid(len(spec.IPFamilies) > 0, at.Child("ipFamilies"), "may not be set for ExternalName services")
		j.forbid(spec.IPFamilyPolicy != nil, at.Child("ipFamilyPolicy"), "may not be set for ExternalName services")
		name := strings.TrimSuffix(spec.ExternalName, ".")
		if j.require(name != "", at.Child("externalName"), "") {
			j.invalid(at.Child("externalName"), name, subdomain(name)...)
		}
	}
	names, numbers, nodePorts := sets.Set[string]{}, sets.Set[string]{}, sets.Set[string]{}
	for i, p := range spec.Ports {
		here := at.Child("ports").Index(i)
		if p.Name == "" {
			j.require(len(spec.Ports) == 1, here.Child("name"), "")
		} else {
			j.invalid(here.Child("name"), p.Name, label(p.Name)...)
			if names.Has(p.Name) {
				j.say(field.Duplicate(here.Child("name"), p.Name))
			}
			names.Insert(p.Name)
		}
		j.invalid(here.Child("port"), p.Port, validation.IsValidPortNum(int(p.Port))...)
		target := p.TargetPort
		if !(target.IntVal == 0 && target.StrVal == "") {
			j.port(here.Child("targetPort"), target)
		}
		if p.AppProtocol != nil {
			j.invalid(here.Child("appProtocol"), *p.AppProtocol, qualified(*p.AppProtocol)...)
		}
		protocol := cmpOr(string(p.Protocol), "TCP")
		if key := fmt.Sprintf("%d/%s", p.Port, protocol); numbers.Has(key) {
			j.say(field.Duplicate(here, key))
		} else {
			numbers.Insert(key)
		}
		if p.NodePort != 0 {
			j.forbid(kind == "ClusterIP", here.Child("nodePort"), "may not be used when `type` is 'ClusterIP'")
			key := fmt.Sprintf("%d/%s", p.NodePort, protocol)
			if nodePorts.Has(key) {
				j.say(field.Duplicate(here.Child("nodePort"), p.NodePort))
			}
			nodePorts.Insert(key)
		}
	}
	j.labels(at.Child("selector"), spec.Selector)
	c := spec.SessionAffinityConfig
	if spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		if c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil && (*c.ClientIP.TimeoutSeconds <= 0 || *c.ClientIP.TimeoutSeconds > 86400) {
			j.invalid(at.Child("sessionAffinityConfig", "clientIP", "timeoutSeconds"), *c.ClientIP.TimeoutSeconds, "must be greater than 0 and less than 86400")
		}
	}
	for i, ip := range spec.ExternalIPs {
		j.ip(at.Child("externalIPs").Index(i), ip)
		if a, err := netip.ParseAddr(ip); err == nil && (a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast()) {
			j.invalid(at.Child("externalIPs").Index(i), ip, "may not be unspecified, loopback or link-local")
		}
	}
	j.clusterIPs(spec, at, external)
	if len(spec.LoadBalancerSourceRanges) > 0 {
		here := at.Child("loadBalancerSourceRanges")
		j.forbid(kind != "LoadBalancer", here, "may only be used when `type` is 'LoadBalancer'")
		for i, r := range spec.LoadBalancerSourceRanges {
			j.cidr(here.Index(i), strings.TrimSpace(r))
		}
	} else if v, ok := s.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey]; ok {
		here := field.NewPath("metadata", "annotations").Key(corev1.AnnotationLoadBalancerSourceRangesKey)
		j.forbid(kind != "LoadBalancer", here, "may only be used when `type` is 'LoadBalancer'")
		for _, r := range strings.Split(v, ",") {
			if r = strings.TrimSpace(r); r != "" {
				j.cidr(here, r)
			}
		}
	}
	j.forbid(spec.AllocateLoadBalancerNodePorts != nil && kind != "LoadBalancer", at.Child("allocateLoadBalancerNodePorts"), "may only be used when `type` is 'LoadBalancer'")
	if l := spec.LoadBalancerClass; l != nil {
		if kind != "LoadBalancer" {
			j.forbid(true, at.Child("loadBalancerClass"), "may only be used when `type` is 'LoadBalancer'")
		} else {
			j.invalid(at.Child("loadBalancerClass"), *l, qualified(*l)...)
		}
	}
	reachable := kind == "LoadBalancer" || kind == "NodePort" || kind == "ClusterIP" && len(spec.ExternalIPs) > 0
	if !reachable && spec.ExternalTrafficPolicy != "" {
		j.invalid(at.Child("externalTrafficPolicy"), spec.ExternalTrafficPolicy, "may only be set for externally-accessible services")
	}
	if spec.HealthCheckNodePort != 0 && !(kind == "LoadBalancer" && spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal) {
		j.invalid(at.Child("healthCheckNodePort"), spec.HealthCheckNodePort, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")
	}
	if d := spec.TrafficDistribution; d != nil {
		j.among(at.Child("trafficDistribution"), *d, "PreferClose", "PreferSameNode", "PreferSameZone")
	}
}

// clusterIPs are at most two, of two families. Which of them a cluster has
// isn't known.
func (j *judge) clusterIPs(s *corev1.ServiceSpec, at *field.Path, external bool) {
	if external {
		return
	}
	if s.ClusterIP == "" && len(s.ClusterIPs) > 0 {
		j.invalid(at.Child("clusterIPs"), s.ClusterIPs, "must be empty when `clusterIP` is not specified")
	}
	if s.ClusterIP != "" && len(s.ClusterIPs) > 0 && s.ClusterIPs[0] != s.ClusterIP {
		j.invalid(at.Child("clusterIPs"), s.ClusterIPs, "first value must match `clusterIP`")
	}
	if len(s.ClusterIPs) > 2 {
		j.invalid(at.Child("clusterIPs"), s.ClusterIPs, "may only hold up to 2 values")
	}
	if len(s.IPFamilies) > 2 {
		j.invalid(at.Child("ipFamilies"), s.IPFamilies, "may only hold up to 2 values")
	}
	seen := sets.Set[string]{}
	for i, f := range s.IPFamilies {
		if f == "" {
			j.say(field.NotSupported(at.Child("ipFamilies").Index(i), f, enumOf(f)))
		}
		if seen.Has(string(f)) {
			j.say(field.Duplicate(at.Child("ipFamilies").Index(i), f))
		}
		seen.Insert(string(f))
	}
	if s.ClusterIP != "" && s.ClusterIP != corev1.ClusterIPNone {
		j.ip(at.Child("clusterIP"), s.ClusterIP)
	}
	for i, ip := range s.ClusterIPs {
		switch {
		case ip == corev1.ClusterIPNone && len(s.ClusterIPs) > 1:
			j.invalid(at.Child("clusterIPs"), s.ClusterIPs, "'None' must be the first and only value")
		case ip != corev1.ClusterIPNone:
			j.ip(at.Child("clusterIPs").Index(i), ip)
		}
	}
}

var secretKeys = map[corev1.SecretType][]string{
	corev1.SecretTypeDockercfg:        {corev1.DockerConfigKey},
	corev1.SecretTypeDockerConfigJson: {corev1.DockerConfigJsonKey},
	corev1.SecretTypeSSHAuth:          {corev1.SSHAuthPrivateKey},
	corev1.SecretTypeTLS:              {corev1.TLSCertKey, corev1.TLSPrivateKeyKey},
}

func (j *judge) secret(s *corev1.Secret, _ *field.Path) {
	j.meta(&s.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	has := func(key string) bool {
		_, a := s.Data[key]
		_, b := s.StringData[key]
		return a || b
	}
	size := 0
	for k, v := range s.Data {
		j.invalid(field.NewPath("data").Key(k), k, validation.IsConfigMapKey(k)...)
		size += len(v)
	}
	for k, v := range s.StringData {
		j.invalid(field.NewPath("data").Key(k), k, validation.IsConfigMapKey(k)...)
		size += len(v)
	}
	if size > 1<<20 {
		j.say(field.TooLong(field.NewPath("data"), "", 1<<20))
	}
	for _, k := range secretKeys[s.Type] {
		j.require(has(k), field.NewPath("data").Key(k), "")
	}
	switch s.Type {
	case corev1.SecretTypeBasicAuth:
		j.require(has("username") || has("password"), field.NewPath("data").Key("username"), "")
	case corev1.SecretTypeServiceAccountToken:
		j.require(s.Annotations[corev1.ServiceAccountNameKey] != "", field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey), "")
	case corev1.SecretTypeDockercfg, corev1.SecretTypeDockerConfigJson:
		for _, k := range secretKeys[s.Type] {
			if v, ok := s.StringData[k]; ok {
				j.json(field.NewPath("data").Key(k), v)
			} else if v, ok := s.Data[k]; ok {
				j.json(field.NewPath("data").Key(k), string(v))
			}
		}
	}
}

func (j *judge) limitRange(l *corev1.LimitRange, _ *field.Path) {
	if l.Name != "" { // the server gives one
		j.meta(&l.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	}
	types := sets.Set[string]{}
	for i, item := range l.Spec.Limits {
		at := field.NewPath("spec", "limits").Index(i)
		j.invalid(at.Child("type"), item.Type, qualified(string(item.Type))...)
		if t := string(item.Type); !strings.Contains(t, "/") && !slices.Contains([]string{"Pod", "Container", "PersistentVolumeClaim"}, t) {
			j.invalid(at.Child("type"), t, "must be a standard limit type or fully qualified")
		}
		if types.Has(string(item.Type)) {
			j.say(field.Duplicate(at.Child("type"), item.Type))
		}
		types.Insert(string(item.Type))
		if item.Type == corev1.LimitTypePod {
			j.forbid(len(item.Default) > 0, at.Child("default"), "may not be specified when `type` is 'Pod'")
			j.forbid(len(item.DefaultRequest) > 0, at.Child("defaultRequest"), "may not be specified when `type` is 'Pod'")
		}
		if item.Type == corev1.LimitTypePersistentVolumeClaim {
			_, low := item.Min["storage"]
			_, high := item.Max["storage"]
			j.require(low || high, at, "either minimum or maximum storage value is required, but neither was provided")
		}
		lists := map[string]corev1.ResourceList{"max": item.Max, "min": item.Min, "default": item.Default, "defaultRequest": item.DefaultRequest, "maxLimitRequestRatio": item.MaxLimitRequestRatio}
		for name, list := range lists {
			for r, q := range list {
				here := at.Child(name).Key(string(r))
				if item.Type == corev1.LimitTypePod || item.Type == corev1.LimitTypeContainer {
					j.containerResource(here, string(r))
				} else {
					j.resourceName(here, string(r))
				}
				if name == "maxLimitRequestRatio" {
					if q.CmpInt64(1) < 0 {
						j.invalid(here, q.String(), "must be greater than or equal to 1")
					}
				}
			}
		}
		ordered := func(a, b string) {
			for r, q := range lists[a] {
				if other, ok := lists[b][r]; ok && q.Cmp(other) > 0 {
					j.invalid(at.Child(a).Key(string(r)), q.String(), fmt.Sprintf("%s value is greater than %s value %s", a, b, other.String()))
				}
			}
		}
		ordered("min", "max")
		ordered("defaultRequest", "max")
		ordered("default", "max")
		ordered("defaultRequest", "default")
		ordered("min", "default")
		ordered("min", "defaultRequest")
	}
}

func (j *judge) resourceName(at *field.Path, name string) {
	j.invalid(at, name, qualified(name)...)
	if !strings.Contains(name, "/") && len(qualified(name)) == 0 && !slices.Contains(standard, name) && !isHuge(name) {
		j.invalid(at, name, "must be a standard resource type or fully qualified")
	}
}

// standard are the resources that Kubernetes counts itself.
var standard = append([]string{"cpu", "memory", "ephemeral-storage", "storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage",
	"limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.storage"}, countable...)

func (j *judge) quotaResource(at *field.Path, name string) {
	if strings.Contains(name, "/") && len(qualified(name)) == 0 {
		return
	}
	j.invalid(at, name, qualified(name)...)
	if len(qualified(name)) == 0 && !slices.Contains(standard, name) && !isHuge(strings.TrimPrefix(name, "requests.")) || name == "storage" {
		j.invalid(at, name, "must be a standard resource for quota")
	}
}

// scopes that a quota may have, and whether they are of pods.
var quotaScopes = map[corev1.ResourceQuotaScope]bool{corev1.ResourceQuotaScopeTerminating: true, corev1.ResourceQuotaScopeNotTerminating: true,
	corev1.ResourceQuotaScopeBestEffort: true, corev1.ResourceQuotaScopeNotBestEffort: true, corev1.ResourceQuotaScopePriorityClass: true,
	corev1.ResourceQuotaScopeCrossNamespacePodAffinity: true, corev1.ResourceQuotaScopeVolumeAttributesClass: false}

func (j *judge) quotaScopes(s *corev1.ResourceQuotaSpec, at *field.Path) {
	scope := func(at *field.Path, scope corev1.ResourceQuotaScope) {
		ofPods, known := quotaScopes[scope]
		if scope == "" { // of others, the closed set says so
			j.invalid(at, scope, "unsupported scope")
		}
		for r := range s.Hard {
			name := string(r)
			pods := slices.Contains([]string{"pods", "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"}, name) ||
				strings.HasSuffix(name, "ephemeral-storage") || isHuge(strings.TrimPrefix(name, "requests."))
			claims := name == "persistentvolumeclaims" || name == "requests.storage"
			bestEffort := scope == corev1.ResourceQuotaScopeBestEffort
			if known && slices.Contains(standard, name) && (ofPods && !pods || !ofPods && !claims || bestEffort && name != "pods") {
				j.invalid(at, scope, "unsupported scope applied to resource "+name)
			}
		}
	}
	conflict := func(at *field.Path, have func(corev1.ResourceQuotaScope) bool) {
		if have(corev1.ResourceQuotaScopeBestEffort) && have(corev1.ResourceQuotaScopeNotBestEffort) || have(corev1.ResourceQuotaScopeTerminating) && have(corev1.ResourceQuotaScopeNotTerminating) {
			j.invalid(at, "", "conflicting scopes")
		}
	}
	for i, c := range s.Scopes {
		scope(at.Child("scopes").Index(i), c)
	}
	conflict(at.Child("scopes"), func(c corev1.ResourceQuotaScope) bool { return slices.Contains(s.Scopes, c) })
	if s.ScopeSelector == nil {
		return
	}
	at = at.Child("scopeSelector", "matchExpressions")
	var all []corev1.ResourceQuotaScope
	for i, r := range s.ScopeSelector.MatchExpressions {
		here := at.Index(i)
		all = append(all, r.ScopeName)
		scope(here.Child("scopeName"), r.ScopeName)
		if r.ScopeName != corev1.ResourceQuotaScopePriorityClass && r.ScopeName != corev1.ResourceQuotaScopeVolumeAttributesClass && r.Operator != corev1.ScopeSelectorOpExists {
			if _, known := quotaScopes[r.ScopeName]; known {
				j.invalid(here.Child("operator"), r.Operator, "must be 'Exists' for this scope")
			}
		}
		switch r.Operator {
		case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
			j.require(len(r.Values) > 0, here.Child("values"), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")
		case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
			if len(r.Values) > 0 {
				j.invalid(here.Child("values"), r.Values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector")
			}
		default:
			j.invalid(here.Child("operator"), r.Operator, "not a valid selector operator")
		}
	}
	conflict(at, func(c corev1.ResourceQuotaScope) bool { return slices.Contains(all, c) })
}

func (j *judge) policyRule(r *rbacv1.PolicyRule, at *field.Path, namespaced bool) {
	j.require(len(r.Verbs) > 0, at.Child("verbs"), "verbs must contain at least one value")
	if len(r.NonResourceURLs) > 0 {
		if namespaced {
			j.invalid(at.Child("nonResourceURLs"), r.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs")
		}
		if len(r.APIGroups)+len(r.Resources)+len(r.ResourceNames) > 0 {
			j.invalid(at.Child("nonResourceURLs"), r.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs")
		}
		return
	}
	j.require(len(r.APIGroups) > 0, at.Child("apiGroups"), "resource rules must supply at least one api group")
	j.require(len(r.Resources) > 0, at.Child("resources"), "resource rules must supply at least one resource")
}

func (j *judge) binding(ref rbacv1.RoleRef, subjects []rbacv1.Subject, namespaced bool) {
	at := field.NewPath("roleRef")
	if ref.APIGroup != "" {
		j.among(at.Child("apiGroup"), ref.APIGroup, rbacv1.GroupName)
	}
	if namespaced {
		j.among(at.Child("kind"), ref.Kind, "Role", "ClusterRole")
	} else {
		j.among(at.Child("kind"), ref.Kind, "ClusterRole")
	}
	if j.require(ref.Name != "", at.Child("name"), "") {
		j.invalid(at.Child("name"), ref.Name, segment(ref.Name, false)...)
	}
	for i, s := range subjects {
		here := field.NewPath("subjects").Index(i)
		j.require(s.Name != "", here.Child("name"), "")
		switch s.Kind {
		case rbacv1.ServiceAccountKind:
			if s.Name != "" {
				j.invalid(here.Child("name"), s.Name, subdomain(s.Name)...)
			}
			if s.APIGroup != "" {
				j.say(field.NotSupported(here.Child("apiGroup"), s.APIGroup, []string{""}))
			}
			if !namespaced {
				j.require(s.Namespace != "", here.Child("namespace"), "")
			}
		case rbacv1.UserKind, rbacv1.GroupKind:
			if s.APIGroup != "" {
				j.among(here.Child("apiGroup"), s.APIGroup, rbacv1.GroupName)
			}
		default:
			j.say(field.NotSupported(here.Child("kind"), s.Kind, []string{"ServiceAccount", "User", "Group"}))
		}
	}
}

func (j *judge) ingress(i *networkingv1.Ingress, _ *field.Path) {
	j.meta(&i.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	at, s := field.NewPath("spec"), &i.Spec
	if len(s.Rules) == 0 && s.DefaultBackend == nil {
		j.invalid(at, "", "either `defaultBackend` or `rules` must be specified")
	}
	if s.DefaultBackend != nil {
		j.backend(at.Child("defaultBackend"), s.DefaultBackend)
	}
	for k, r := range s.Rules {
		here := at.Child("rules").Index(k)
		j.host(here.Child("host"), r.Host)
		if r.HTTP == nil {
			continue
		}
		here = here.Child("http", "paths")
		j.require(len(r.HTTP.Paths) > 0, here, "")
		for n := range r.HTTP.Paths {
			p, here := &r.HTTP.Paths[n], here.Index(n)
			switch {
			case p.PathType == nil:
				j.require(false, here.Child("pathType"), "pathType must be specified")
				continue
			case *p.PathType == networkingv1.PathTypeExact, *p.PathType == networkingv1.PathTypePrefix:
				if !strings.HasPrefix(p.Path, "/") {
					j.invalid(here.Child("path"), p.Path, "must be an absolute path")
				}
				for _, bad := range []string{"//", "/./", "/../", "%2f", "%2F"} {
					if strings.Contains(p.Path, bad) {
						j.invalid(here.Child("path"), p.Path, "must not contain '"+bad+"'")
					}
				}
				for _, bad := range []string{"/..", "/."} {
					if strings.HasSuffix(p.Path, bad) {
						j.invalid(here.Child("path"), p.Path, "cannot end with '"+bad+"'")
					}
				}
			case *p.PathType == networkingv1.PathTypeImplementationSpecific:
				if p.Path != "" && !strings.HasPrefix(p.Path, "/") {
					j.invalid(here.Child("path"), p.Path, "must be an absolute path")
				}
			}
			j.backend(here.Child("backend"), &p.Backend)
		}
	}
	for k, t := range s.TLS {
		for n, h := range t.Hosts {
			if here := at.Child("tls").Index(k).Child("hosts").Index(n); strings.Contains(h, "*") {
				j.invalid(here, h, validation.IsWildcardDNS1123Subdomain(h)...)
			} else {
				j.invalid(here, h, subdomain(h)...)
			}
		}
		if t.SecretName != "" {
			j.invalid(at.Child("tls").Index(k).Child("secretName"), t.SecretName, subdomain(t.SecretName)...)
		}
	}
	if c := s.IngressClassName; c != nil {
		j.invalid(at.Child("ingressClassName"), *c, subdomain(*c)...)
		if _, both := i.Annotations["kubernetes.io/ingress.class"]; both {
			j.invalid(field.NewPath("metadata", "annotations").Child("kubernetes.io/ingress.class"), *c, "can not be set when the class field is also set")
		}
	}
}

func (j *judge) host(at *field.Path, host string) {
	switch {
	case host == "":
	case len(validation.IsValidIPForLegacyField(at, host, false, nil)) == 0:
		j.invalid(at, host, "must be a DNS name, not an IP address")
	case strings.Contains(host, "*"):
		j.invalid(at, host, validation.IsWildcardDNS1123Subdomain(host)...)
	default:
		j.invalid(at, host, subdomain(host)...)
	}
}

func (j *judge) backend(at *field.Path, b *networkingv1.IngressBackend) {
	if r := b.Resource; r != nil {
		if b.Service != nil {
			j.invalid(at, "", "cannot set both resource and service backends")
			return
		}
		j.filled(at.Child("resource"), "kind", r.Kind, "name", r.Name)
		return
	}
	if b.Service == nil {
		j.require(false, at, "")
		return
	}
	at = at.Child("service")
	if j.require(b.Service.Name != "", at.Child("name"), "") {
		j.invalid(at.Child("name"), b.Service.Name, j.serviceName(b.Service.Name, false)...)
	}
	p, at := b.Service.Port, at.Child("port")
	switch {
	case p.Name != "" && p.Number != 0:
		j.invalid(at, "", "cannot set both port name & port number")
	case p.Name != "":
		j.invalid(at.Child("name"), p.Name, validation.IsValidPortName(p.Name)...)
	case p.Number != 0:
		j.invalid(at.Child("number"), p.Number, validation.IsValidPortNum(int(p.Number))...)
	default:
		j.require(false, at, "port name or number is required")
	}
}

func (j *judge) networkPolicy(n *networkingv1.NetworkPolicy, _ *field.Path) {
	j.meta(&n.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	at, s := field.NewPath("spec"), &n.Spec
	j.selector(at.Child("podSelector"), &s.PodSelector)
	ports := func(at *field.Path, list []networkingv1.NetworkPolicyPort) {
		for i, p := range list {
			here := at.Child("ports").Index(i)
			if p.Port != nil {
				j.port(here.Child("port"), *p.Port)
			}
			if p.EndPort == nil {
				continue
			}
			switch {
			case p.Port == nil:
				j.invalid(here.Child("endPort"), *p.EndPort, "may not be specified when `port` is not specified")
			case p.Port.Type == 1:
				j.invalid(here.Child("endPort"), *p.EndPort, "may not be specified when `port` is non-numeric")
			case *p.EndPort < p.Port.IntVal:
				j.invalid(here.Child("endPort"), *p.EndPort, "must be greater than or equal to `port`")
			default:
				j.invalid(here.Child("endPort"), *p.EndPort, validation.IsValidPortNum(int(*p.EndPort))...)
			}
		}
	}
	peers := func(at *field.Path, list []networkingv1.NetworkPolicyPeer) {
		for i, p := range list {
			here := at.Index(i)
			j.selector(here.Child("podSelector"), p.PodSelector)
			j.selector(here.Child("namespaceSelector"), p.NamespaceSelector)
			if p.PodSelector == nil && p.NamespaceSelector == nil && p.IPBlock == nil {
				j.require(false, here, "must specify a peer")
			}
			if p.IPBlock != nil {
				j.forbid(p.PodSelector != nil || p.NamespaceSelector != nil, here, "may not specify both ipBlock and another peer")
				if !j.require(p.IPBlock.CIDR != "", here.Child("ipBlock", "cidr"), "") {
					continue
				}
				j.cidr(here.Child("ipBlock", "cidr"), p.IPBlock.CIDR)
				whole, err := netip.ParsePrefix(p.IPBlock.CIDR)
				if err != nil {
					continue
				}
				for k, e := range p.IPBlock.Except {
					at := here.Child("ipBlock", "except").Index(k)
					j.cidr(at, e)
					if part, err := netip.ParsePrefix(e); err == nil && (!whole.Contains(part.Addr()) || part.Bits() <= whole.Bits()) {
						j.invalid(at, e, "must be a strict subset of `cidr`")
					}
				}
			}
		}
	}
	for i, r := range s.Ingress {
		ports(at.Child("ingress").Index(i), r.Ports)
		peers(at.Child("ingress").Index(i).Child("from"), r.From)
	}
	for i, r := range s.Egress {
		ports(at.Child("egress").Index(i), r.Ports)
		peers(at.Child("egress").Index(i).Child("to"), r.To)
	}
	if len(s.PolicyTypes) > 2 {
		j.invalid(at.Child("policyTypes"), s.PolicyTypes, "may not specify more than two policyTypes")
	}
	for i, t := range s.PolicyTypes {
		if t == "" {
			j.say(field.NotSupported(at.Child("policyTypes").Index(i), t, []string{"Ingress", "Egress"}))
		}
	}
}
