package diff

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/ai-film/ai-film/charttest/internal/defaults"
)

func splitPath(path string) []string { return strings.Split(path, ".") }

func isTrue(b *bool) bool { return b != nil && *b }

// levelConfigMap: only one that was immutable is, and then for good.
func levelConfigMap(old, now *corev1.ConfigMap) {
	if !isTrue(old.Immutable) {
		now.Immutable, now.Data, now.BinaryData = old.Immutable, old.Data, old.BinaryData
	}
}

func levelSecret(old, now *corev1.Secret) {
	defaults.OrText(&old.Type, corev1.SecretTypeOpaque)
	defaults.OrText(&now.Type, corev1.SecretTypeOpaque)
	if !isTrue(old.Immutable) {
		now.Immutable, now.Data = old.Immutable, old.Data
	}
}

// levelQuota: scopes are a set.
func levelQuota(old, now *corev1.ResourceQuota) {
	for _, q := range []*corev1.ResourceQuota{old, now} {
		slices.Sort(q.Spec.Scopes)
		q.Spec.Scopes = slices.Compact(q.Spec.Scopes)
	}
}

func levelClaim(old, now *corev1.PersistentVolumeClaim) {
	defaults.ClaimSpec(&old.Spec)
	defaults.ClaimSpec(&now.Spec)
	if old.Spec.VolumeName == "" {
		// Its volume's name is filled in when the claim is bound: nobody knows
		// to what.
		old.Spec.VolumeName = now.Spec.VolumeName
	}
	const beta = corev1.BetaStorageClassAnnotation
	oldClass, hadBeta := old.Annotations[beta]
	newClass, hasBeta := now.Annotations[beta]
	switch name := now.Spec.StorageClassName; {
	case old.Spec.StorageClassName != nil || name == nil:
	case hadBeta && *name == oldClass && (!hasBeta || newClass == oldClass):
		// validateStorageClassUpgradeFromAnnotation
		delete(old.Annotations, beta)
		delete(now.Annotations, beta)
		old.Spec.StorageClassName = name
	case !hadBeta:
		// validateStorageClassUpgradeFromNil: a claim without a class may get
		// one. If the cluster's default has filled it in, it depends on which.
		old.Spec.StorageClassName = name
	}
	had, has := old.Spec.Resources.Requests[corev1.ResourceStorage], now.Spec.Resources.Requests[corev1.ResourceStorage]
	if has.Cmp(had) > 0 { // a bound claim can grow
		setStorage(&now.Spec, had)
	}
	now.Spec.VolumeAttributesClassName = old.Spec.VolumeAttributesClassName
}

func setStorage(spec *corev1.PersistentVolumeClaimSpec, size resource.Quantity) {
	spec.Resources.Requests[corev1.ResourceStorage] = size
}

// levelVolume evens out all but the source, volumeMode and nodeAffinity.
func levelVolume(old, now *corev1.PersistentVolume) {
	defaults.Or(&old.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	defaults.Or(&now.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	if a, b := old.Spec.CSI, now.Spec.CSI; a != nil && b != nil && a.ControllerExpandSecretRef == nil {
		b.ControllerExpandSecretRef = nil // may be added
	}
	source, mode, affinity := now.Spec.PersistentVolumeSource, now.Spec.VolumeMode, now.Spec.NodeAffinity
	now.Spec = *old.Spec.DeepCopy()
	now.Spec.PersistentVolumeSource, now.Spec.VolumeMode = source, mode
	if old.Spec.NodeAffinity != nil {
		now.Spec.NodeAffinity = affinity
	}
}

// levelService follows validateUpgradeDowngradeClusterIPs,
// validateUpgradeDowngradeIPFamilies, validateLoadBalancerClassField and
// validateServiceExternalTrafficFieldsUpdate, after what the registry fills in
// (patchAllocatedValues): an address that is left out is kept, and one that is
// asked for later is never the one that was given.
func levelService(old, now *corev1.Service) {
	external := func(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeExternalName }
	if now.Spec.ClusterIP == "" || external(old) || external(now) {
		now.Spec.ClusterIP = old.Spec.ClusterIP
	}
	switch {
	case len(now.Spec.ClusterIPs) == 0, external(old), external(now):
		now.Spec.ClusterIPs = old.Spec.ClusterIPs
	case len(old.Spec.ClusterIPs) > 0 && old.Spec.ClusterIPs[0] == now.Spec.ClusterIPs[0]:
		now.Spec.ClusterIPs = old.Spec.ClusterIPs // the second may come and go
	case len(old.Spec.ClusterIPs) == 0 && old.Spec.ClusterIP == now.Spec.ClusterIPs[0]:
		now.Spec.ClusterIPs = nil
	}
	headless := func(s *corev1.Service) bool { return s.Spec.ClusterIP == corev1.ClusterIPNone }
	if a, b := old.Spec.IPFamilies, now.Spec.IPFamilies; len(a) == 0 || len(b) == 0 || a[0] == b[0] ||
		external(old) || external(now) || headless(old) || headless(now) {
		now.Spec.IPFamilies = a
	}
	balancer := func(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeLoadBalancer }
	if !balancer(old) || !balancer(now) {
		now.Spec.LoadBalancerClass = old.Spec.LoadBalancerClass
	}
	checked := func(s *corev1.Service) bool {
		return balancer(s) && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	}
	if !checked(old) || !checked(now) || now.Spec.HealthCheckNodePort == 0 {
		now.Spec.HealthCheckNodePort = old.Spec.HealthCheckNodePort
	}
}

// levelPod evens out what ValidatePodUpdate lets change.
func levelPod(old, now *corev1.Pod) {
	var pairs [][2]*corev1.Container
	for _, lists := range [][2][]corev1.Container{
		{old.Spec.Containers, now.Spec.Containers}, {old.Spec.InitContainers, now.Spec.InitContainers},
	} {
		for i := range min(len(lists[0]), len(lists[1])) {
			pairs = append(pairs, [2]*corev1.Container{&lists[0][i], &lists[1][i]})
		}
	}
	for _, c := range pairs {
		if c[1].ImagePullPolicy == "" && c[0].ImagePullPolicy == "" { // stays as it was filled in
			c[0].ImagePullPolicy, c[1].ImagePullPolicy = corev1.PullAlways, corev1.PullAlways
		}
	}
	defaults.Pod(&old.Spec)
	defaults.Pod(&now.Spec)
	for _, c := range pairs {
		c[1].Image = c[0].Image
	}
	if a, b := old.Spec.ActiveDeadlineSeconds, now.Spec.ActiveDeadlineSeconds; b != nil && (a == nil || *b <= *a) {
		now.Spec.ActiveDeadlineSeconds = a
	}
	// validateOnlyAddedTolerations
	kept := func(t corev1.Toleration) bool {
		return slices.ContainsFunc(now.Spec.Tolerations, func(other corev1.Toleration) bool { return t.MatchToleration(&other) })
	}
	if !slices.ContainsFunc(old.Spec.Tolerations, func(t corev1.Toleration) bool { return !kept(t) }) {
		now.Spec.Tolerations = old.Spec.Tolerations
	}
	if len(old.Spec.SchedulingGates) > 0 { // a pod that waits may still change where it is to go
		now.Spec.SchedulingGates, now.Spec.NodeSelector, now.Spec.Affinity = old.Spec.SchedulingGates, old.Spec.NodeSelector, old.Spec.Affinity
	}
	if a, b := old.Spec.TerminationGracePeriodSeconds, now.Spec.TerminationGracePeriodSeconds; *a < 0 && *b == 1 {
		now.Spec.TerminationGracePeriodSeconds = a
	}
}
