package defaults

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
)

// Content returns a copy of an object with the defaults of its kind, or the
// object itself where they aren't known.
func Content(u *unstructured.Unstructured) *unstructured.Unstructured {
	typed, err := scheme.Scheme.New(u.GroupVersionKind())
	if err != nil || runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, typed) != nil || !object(typed) {
		return u
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return u
	}
	delete(content, "status") // typed objects have an empty one
	return &unstructured.Unstructured{Object: content}
}

// object fills in a kind's defaults, after the defaults.go of its group in
// k8s.io/kubernetes/pkg/apis. It is false for kinds that it doesn't know.
func object(o runtime.Object) bool {
	quarter := intstr.FromString("25%")
	switch o := o.(type) {
	case *appsv1.Deployment:
		s := &o.Spec
		Or(&s.Replicas, 1)
		OrText(&s.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
		if s.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
			Or(&s.Strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
			Or(&s.Strategy.RollingUpdate.MaxUnavailable, quarter)
			Or(&s.Strategy.RollingUpdate.MaxSurge, quarter)
		}
		Or(&s.RevisionHistoryLimit, 10)
		Or(&s.ProgressDeadlineSeconds, 600)
		PodSpec(&s.Template.Spec)
	case *appsv1.StatefulSet:
		s := &o.Spec
		Or(&s.Replicas, 1)
		OrText(&s.PodManagementPolicy, appsv1.OrderedReadyPodManagement)
		OrText(&s.UpdateStrategy.Type, appsv1.RollingUpdateStatefulSetStrategyType)
		if s.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType {
			Or(&s.UpdateStrategy.RollingUpdate, appsv1.RollingUpdateStatefulSetStrategy{})
			Or(&s.UpdateStrategy.RollingUpdate.Partition, 0)
		}
		Or(&s.RevisionHistoryLimit, 10)
		Or(&s.PersistentVolumeClaimRetentionPolicy, appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{})
		OrText(&s.PersistentVolumeClaimRetentionPolicy.WhenDeleted, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
		OrText(&s.PersistentVolumeClaimRetentionPolicy.WhenScaled, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
		for i := range s.VolumeClaimTemplates {
			c := &s.VolumeClaimTemplates[i]
			c.APIVersion, c.Kind = "v1", "PersistentVolumeClaim"
			OrText(&c.Status.Phase, corev1.ClaimPending)
			ClaimSpec(&c.Spec)
		}
		PodSpec(&s.Template.Spec)
	case *appsv1.DaemonSet:
		s := &o.Spec
		OrText(&s.UpdateStrategy.Type, appsv1.RollingUpdateDaemonSetStrategyType)
		if s.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
			Or(&s.UpdateStrategy.RollingUpdate, appsv1.RollingUpdateDaemonSet{})
			Or(&s.UpdateStrategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
			Or(&s.UpdateStrategy.RollingUpdate.MaxSurge, intstr.FromInt32(0))
		}
		Or(&s.RevisionHistoryLimit, 10)
		PodSpec(&s.Template.Spec)
	case *batchv1.Job:
		jobSpec(&o.Spec)
		if len(o.Labels) == 0 {
			o.Labels = o.Spec.Template.Labels
		}
	case *batchv1.CronJob:
		s := &o.Spec
		OrText(&s.ConcurrencyPolicy, batchv1.AllowConcurrent)
		Or(&s.Suspend, false)
		Or(&s.SuccessfulJobsHistoryLimit, 3)
		Or(&s.FailedJobsHistoryLimit, 1)
		PodSpec(&s.JobTemplate.Spec.Template.Spec) // the rest is for the Jobs it makes
	case *corev1.Pod:
		Pod(&o.Spec)
	case *corev1.Service:
		service(&o.Spec)
	case *corev1.Secret:
		OrText(&o.Type, corev1.SecretTypeOpaque)
		for key, text := range o.StringData {
			if o.Data == nil {
				o.Data = map[string][]byte{}
			}
			o.Data[key] = []byte(text)
		}
		o.StringData = nil
	case *corev1.PersistentVolumeClaim:
		ClaimSpec(&o.Spec)
		OrText(&o.Status.Phase, corev1.ClaimPending)
	case *networkingv1.NetworkPolicy:
		if len(o.Spec.PolicyTypes) == 0 {
			o.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
			if len(o.Spec.Egress) > 0 {
				o.Spec.PolicyTypes = append(o.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
			}
		}
		for _, rule := range o.Spec.Ingress {
			for i := range rule.Ports {
				Or(&rule.Ports[i].Protocol, corev1.ProtocolTCP)
			}
		}
		for _, rule := range o.Spec.Egress {
			for i := range rule.Ports {
				Or(&rule.Ports[i].Protocol, corev1.ProtocolTCP)
			}
		}
	case *autoscalingv2.HorizontalPodAutoscaler:
		Or(&o.Spec.MinReplicas, 1)
	case *rbacv1.RoleBinding:
		OrText(&o.RoleRef.APIGroup, rbacv1.GroupName)
		subjects(o.Subjects)
	case *rbacv1.ClusterRoleBinding:
		OrText(&o.RoleRef.APIGroup, rbacv1.GroupName)
		subjects(o.Subjects)
	default:
		return false
	}
	return true
}

func jobSpec(s *batchv1.JobSpec) {
	if s.Completions == nil && s.Parallelism == nil {
		Or(&s.Completions, 1)
	}
	Or(&s.Parallelism, 1)
	Or(&s.BackoffLimit, 6)
	Or(&s.CompletionMode, batchv1.NonIndexedCompletion)
	Or(&s.Suspend, false)
	Or(&s.PodReplacementPolicy, batchv1.TerminatingOrFailed)
	if s.PodFailurePolicy != nil {
		*s.PodReplacementPolicy = batchv1.Failed
		for _, rule := range s.PodFailurePolicy.Rules {
			for i := range rule.OnPodConditions {
				OrText(&rule.OnPodConditions[i].Status, corev1.ConditionTrue)
			}
		}
	}
	Or(&s.ManualSelector, false)
	PodSpec(&s.Template.Spec)
}

func service(s *corev1.ServiceSpec) {
	OrText(&s.Type, corev1.ServiceTypeClusterIP)
	OrText(&s.SessionAffinity, corev1.ServiceAffinityNone)
	if s.Type == corev1.ServiceTypeExternalName {
		return
	}
	Or(&s.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	if s.Type != corev1.ServiceTypeClusterIP {
		OrText(&s.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if s.Type == corev1.ServiceTypeLoadBalancer {
		Or(&s.AllocateLoadBalancerNodePorts, true)
	}
	for i := range s.Ports {
		p := &s.Ports[i]
		OrText(&p.Protocol, corev1.ProtocolTCP)
		if p.TargetPort == (intstr.IntOrString{}) {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
}

func subjects(all []rbacv1.Subject) {
	for i := range all {
		if all[i].Kind != rbacv1.ServiceAccountKind && strings.TrimSpace(all[i].APIGroup) == "" {
			all[i].APIGroup = rbacv1.GroupName
		}
	}
}
