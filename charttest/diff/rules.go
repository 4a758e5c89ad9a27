package diff

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ai-film/ai-film/charttest/internal/defaults"
)

// rules by kind, each after the function of Kubernetes that it follows, in
// k8s.io/kubernetes/pkg/apis/*/validation.
var rules = map[schema.GroupKind]rule{
	// apps.ValidateStatefulSetUpdate
	{Group: "apps", Kind: "StatefulSet"}: {
		fields: fields("spec"), level: typed(levelStatefulSet),
		reason: "of a StatefulSet's spec nothing can change but replicas, ordinals, template, updateStrategy, revisionHistoryLimit, " +
			"persistentVolumeClaimRetentionPolicy and minReadySeconds",
		remedy: "Keep the field as it is, or delete the StatefulSet without its pods before the upgrade makes it anew: " +
			"kubectl delete statefulset NAME --cascade=orphan. Claims that exist are not changed by it: raise their size on the claims.",
	},
	// apps.ValidateDeploymentUpdate, ValidateReplicaSetUpdate, ValidateDaemonSetSpecUpdate
	{Group: "apps", Kind: "Deployment"}: {
		fields: fields("spec.selector"), reason: "a selector can't change",
		remedy: "Keep labels that change (versions, the chart's name) out of the selector, or delete the Deployment before the upgrade: " +
			"kubectl delete deployment NAME. Its pods are gone until the new ones are ready.",
	},
	{Group: "apps", Kind: "ReplicaSet"}: {
		fields: fields("spec.selector"), reason: "a selector can't change",
		remedy: "Keep the selector as it is, or delete the ReplicaSet before the upgrade: kubectl delete replicaset NAME.",
	},
	{Group: "apps", Kind: "DaemonSet"}: {
		fields: fields("spec.selector"), reason: "a selector can't change",
		remedy: "Keep labels that change (versions, the chart's name) out of the selector, or delete the DaemonSet before the upgrade: " +
			"kubectl delete daemonset NAME. Its pods are gone until the new ones are ready.",
	},
	// apps.ValidateControllerRevisionUpdate
	{Group: "apps", Kind: "ControllerRevision"}: {
		fields: fields("data"), reason: "a revision's data can't change", remedy: renamed,
	},
	// batch.ValidateJobSpecUpdate
	{Group: "batch", Kind: "Job"}: {
		fields: fields("spec.selector", "spec.template", "spec.completions", "spec.completionMode", "spec.podFailurePolicy",
			"spec.backoffLimitPerIndex", "spec.managedBy", "spec.successPolicy"),
		level: typed(levelJob), reason: "what a Job runs can't change once it is made",
		remedy: "Make the Job a hook (helm.sh/hook: pre-upgrade,pre-install and helm.sh/hook-delete-policy: before-hook-creation), give it a " +
			"name of its own for each revision ({{ .Release.Revision }}), or delete it before the upgrade: kubectl delete job NAME.",
	},
	// core.ValidatePodUpdate
	{Kind: "Pod"}: {
		fields: fields("spec"), level: typed(levelPod),
		reason: "of a Pod's spec only images, activeDeadlineSeconds and further tolerations can change",
		remedy: "Let a Deployment or StatefulSet make the pod, or delete it before the upgrade: kubectl delete pod NAME.",
	},
	// core.ValidatePersistentVolumeClaimUpdate
	{Kind: "PersistentVolumeClaim"}: {
		fields: append(fields("spec"), []string{"metadata", "annotations", corev1.BetaStorageClassAnnotation}), level: typed(levelClaim),
		reason: "of a claim's spec only a larger storage request and the volumeAttributesClassName can change",
		remedy: "Keep the claim as it is. For another class, mode or a smaller size make a claim of another name and copy the data: " +
			"deleting PersistentVolumeClaim NAME deletes its data, unless the volume's reclaim policy is Retain.",
	},
	// core.ValidatePersistentVolumeUpdate
	{Kind: "PersistentVolume"}: {
		fields: fields("spec"), level: typed(levelVolume), reason: "a volume's source, volumeMode and nodeAffinity can't change",
		remedy: "Make a PersistentVolume of another name; deleting one with the reclaim policy Retain keeps what is on the disk.",
	},
	// core.ValidateServiceUpdate
	{Kind: "Service"}: {
		fields: fields("spec.clusterIP", "spec.clusterIPs", "spec.ipFamilies", "spec.loadBalancerClass", "spec.healthCheckNodePort"),
		level:  typed(levelService), reason: "a Service keeps its addresses and its load balancer's class, and doesn't become headless",
		remedy: "Keep the field as it is, make a Service of another name, or delete it before the upgrade: kubectl delete service NAME. " +
			"Its clients can't reach it until then, and it gets another address.",
	},
	// core.ValidateConfigMapUpdate, ValidateSecretUpdate
	{Kind: "ConfigMap"}: {
		fields: fields("immutable", "data", "binaryData"), level: typed(levelConfigMap),
		reason: "nothing can change in what is marked immutable", remedy: renamedData,
	},
	{Kind: "Secret"}: {
		fields: fields("type", "immutable", "data"), level: typed(levelSecret),
		reason: "a Secret's type can't change, and nothing in one that is marked immutable", remedy: renamedData,
	},
	// core.ValidateResourceQuotaUpdate
	{Kind: "ResourceQuota"}: {
		fields: fields("spec.scopes"), level: typed(levelQuota), reason: "a quota's scopes can't change", remedy: renamed,
	},
	// rbac.ValidateRoleBindingUpdate, ValidateClusterRoleBindingUpdate
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}: {
		fields: fields("roleRef"), level: typed(levelRoleBinding), reason: "a binding's role can't change",
		remedy: "Give the binding another name, or delete it before the upgrade: kubectl delete rolebinding NAME.",
	},
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}: {
		fields: fields("roleRef"), level: typed(levelClusterRoleBinding), reason: "a binding's role can't change",
		remedy: "Give the binding another name, or delete it before the upgrade: kubectl delete clusterrolebinding NAME.",
	},
	// storage.ValidateStorageClassUpdate
	{Group: "storage.k8s.io", Kind: "StorageClass"}: {
		fields: fields("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"), level: typed(levelStorageClass),
		reason: "a class's provisioner, parameters, reclaimPolicy and volumeBindingMode can't change",
		remedy: "Give the class another name, or delete it before the upgrade: kubectl delete storageclass NAME. Volumes that exist stay as they are.",
	},
	// storage.ValidateVolumeAttributesClassUpdate
	{Group: "storage.k8s.io", Kind: "VolumeAttributesClass"}: {
		fields: fields("driverName", "parameters"), reason: "a class's driver and parameters can't change", remedy: renamed,
	},
	// storage.ValidateCSIDriverUpdate
	{Group: "storage.k8s.io", Kind: "CSIDriver"}: {
		fields: fields("spec.attachRequired", "spec.volumeLifecycleModes"), level: typed(levelDriver),
		reason: "a driver's attachRequired and volumeLifecycleModes can't change",
		remedy: "Delete the CSIDriver before the upgrade: kubectl delete csidriver NAME.",
	},
	// storage.ValidateCSIStorageCapacityUpdate
	{Group: "storage.k8s.io", Kind: "CSIStorageCapacity"}: {
		fields: fields("nodeTopology", "storageClassName"), reason: "what a capacity is for can't change", remedy: renamed,
	},
	// scheduling.ValidatePriorityClassUpdate
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"}: {
		fields: fields("value", "preemptionPolicy"), level: typed(levelPriority),
		reason: "a PriorityClass's value and preemptionPolicy can't change",
		remedy: "Give the class another name, or delete it before the upgrade: kubectl delete priorityclass NAME. Pods that run keep their priority.",
	},
	// networking.validateIngressClassSpecUpdate
	{Group: "networking.k8s.io", Kind: "IngressClass"}: {
		fields: fields("spec.controller"), reason: "a class's controller can't change",
		remedy: "Give the class another name, or delete it before the upgrade: kubectl delete ingressclass NAME.",
	},
	// node.ValidateRuntimeClassUpdate
	{Group: "node.k8s.io", Kind: "RuntimeClass"}: {
		fields: fields("handler"), reason: "a class's handler can't change",
		remedy: "Give the class another name, or delete it before the upgrade: kubectl delete runtimeclass NAME.",
	},
	// discovery.ValidateEndpointSliceUpdate
	{Group: "discovery.k8s.io", Kind: "EndpointSlice"}: {
		fields: fields("addressType"), reason: "a slice's addressType can't change", remedy: renamed,
	},
	// resource.ValidateResourceClaimUpdate, ValidateResourceClaimTemplateUpdate
	{Group: "resource.k8s.io", Kind: "ResourceClaim"}: {
		fields: fields("spec"), reason: "a claim's spec can't change", remedy: renamed,
	},
	{Group: "resource.k8s.io", Kind: "ResourceClaimTemplate"}: {
		fields: fields("spec"), reason: "a template's spec can't change", remedy: renamed,
	},
	// certificates.ValidateClusterTrustBundleUpdate
	{Group: "certificates.k8s.io", Kind: "ClusterTrustBundle"}: {
		fields: fields("spec.signerName"), reason: "a bundle's signer can't change", remedy: renamed,
	},
	// validateCustomResourceDefinitionSpecUpdate in k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: {
		fields: fields("spec.group", "spec.scope", "spec.names.kind", "spec.names.plural"),
		reason: "a CRD's group, scope, kind and plural can't change",
		remedy: "Make another CRD and move its objects: deleting CRD NAME deletes all of them.",
	},
}

const (
	renamed     = "Give it another name, or delete it before the upgrade."
	renamedData = "Give it another name whenever its content changes, such as one that ends in a checksum of it, or delete NAME before the upgrade."
)

func fields(paths ...string) [][]string {
	all := make([][]string, len(paths))
	for i, p := range paths {
		all[i] = splitPath(p)
	}
	return all
}

// typed makes a level function of one for a type. Objects of other versions
// are compared as they are.
func typed[T runtime.Object](level func(old, now T)) func(old, now runtime.Object) {
	return func(old, now runtime.Object) {
		a, aOK := old.(T)
		b, bOK := now.(T)
		if aOK && bOK {
			level(a, b)
		}
	}
}

func levelStatefulSet(old, now *appsv1.StatefulSet) {
	for _, s := range []*appsv1.StatefulSet{old, now} {
		defaults.OrText(&s.Spec.PodManagementPolicy, appsv1.OrderedReadyPodManagement)
		for i := range s.Spec.VolumeClaimTemplates {
			claim := &s.Spec.VolumeClaimTemplates[i]
			claim.APIVersion, claim.Kind, claim.Status = "", "", corev1.PersistentVolumeClaimStatus{} // filled in or reset
			defaults.ClaimSpec(&claim.Spec)
		}
	}
	now.Spec.Replicas, now.Spec.Template, now.Spec.UpdateStrategy = old.Spec.Replicas, old.Spec.Template, old.Spec.UpdateStrategy
	now.Spec.MinReadySeconds, now.Spec.Ordinals = old.Spec.MinReadySeconds, old.Spec.Ordinals
	now.Spec.RevisionHistoryLimit = old.Spec.RevisionHistoryLimit
	now.Spec.PersistentVolumeClaimRetentionPolicy = old.Spec.PersistentVolumeClaimRetentionPolicy
}

func levelJob(old, now *batchv1.Job) {
	// SetDefaults_Job fills in completions only where parallelism is left out
	// too, and an update leaves alone what neither object mentions.
	kept := now.Spec.Completions == nil && old.Spec.Completions == nil
	if now.Spec.Completions == nil && now.Spec.Parallelism == nil && old.Spec.Parallelism != nil {
		defaults.Or(&now.Spec.Completions, 1)
		kept = false
	}
	if old.Spec.Completions == nil && old.Spec.Parallelism == nil {
		defaults.Or(&old.Spec.Completions, 1)
	}
	if kept {
		now.Spec.Completions = old.Spec.Completions
	}
	for _, j := range []*batchv1.Job{old, now} {
		defaults.Or(&j.Spec.Parallelism, 1)
		defaults.Or(&j.Spec.CompletionMode, batchv1.NonIndexedCompletion)
		defaults.PodSpec(&j.Spec.Template.Spec)
		if policy := j.Spec.PodFailurePolicy; policy != nil {
			for _, r := range policy.Rules {
				for i := range r.OnPodConditions {
					defaults.OrText(&r.OnPodConditions[i].Status, corev1.ConditionTrue)
				}
			}
		}
	}
	// validateCompletions: an Indexed Job scales both together.
	if *now.Spec.CompletionMode == batchv1.IndexedCompletion && now.Spec.Completions != nil && *now.Spec.Completions == *now.Spec.Parallelism {
		old.Spec.Completions = now.Spec.Completions
	}
	if old.Spec.Suspend != nil && *old.Spec.Suspend {
		levelSuspended(&old.Spec.Template, &now.Spec.Template)
	}
}

// levelSuspended evens out what may change in a Job that has not begun
// (validatePodTemplateUpdate), resources included, which some versions allow.
func levelSuspended(old, now *corev1.PodTemplateSpec) {
	now.Labels, now.Annotations = old.Labels, old.Annotations
	now.Spec.NodeSelector, now.Spec.Tolerations, now.Spec.SchedulingGates = old.Spec.NodeSelector, old.Spec.Tolerations, old.Spec.SchedulingGates
	for _, t := range []*corev1.PodTemplateSpec{old, now} {
		if t.Spec.Affinity != nil {
			t.Spec.Affinity.NodeAffinity = nil
			if *t.Spec.Affinity == (corev1.Affinity{}) {
				t.Spec.Affinity = nil
			}
		}
		for _, list := range [][]corev1.Container{t.Spec.Containers, t.Spec.InitContainers} {
			for i := range list {
				list[i].Resources = corev1.ResourceRequirements{}
			}
		}
	}
}

func levelRoleBinding(old, now *rbacv1.RoleBinding) {
	defaults.OrText(&old.RoleRef.APIGroup, rbacv1.GroupName)
	defaults.OrText(&now.RoleRef.APIGroup, rbacv1.GroupName)
}

func levelClusterRoleBinding(old, now *rbacv1.ClusterRoleBinding) {
	defaults.OrText(&old.RoleRef.APIGroup, rbacv1.GroupName)
	defaults.OrText(&now.RoleRef.APIGroup, rbacv1.GroupName)
}

func levelStorageClass(old, now *storagev1.StorageClass) {
	for _, c := range []*storagev1.StorageClass{old, now} {
		defaults.Or(&c.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
		defaults.Or(&c.VolumeBindingMode, storagev1.VolumeBindingImmediate)
	}
}

func levelDriver(old, now *storagev1.CSIDriver) {
	for _, d := range []*storagev1.CSIDriver{old, now} {
		defaults.Or(&d.Spec.AttachRequired, true)
		if len(d.Spec.VolumeLifecycleModes) == 0 {
			d.Spec.VolumeLifecycleModes = []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent}
		}
	}
}

func levelPriority(old, now *schedulingv1.PriorityClass) {
	defaults.Or(&old.PreemptionPolicy, corev1.PreemptLowerPriority)
	defaults.Or(&now.PreemptionPolicy, corev1.PreemptLowerPriority)
}
