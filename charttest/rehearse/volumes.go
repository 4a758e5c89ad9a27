package rehearse

import (
	"cmp"
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ai-film/ai-film/charttest/check"
)

const (
	ofNode = "node"
	ofZone = "zone"
)

var (
	single = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, corev1.ReadWriteOncePod}
	disk   = append(slices.Clone(single), corev1.ReadOnlyMany)
)

// classes are the usual ones, by name, with what their provisioners can do.
var classes = []check.StorageClass{
	{Name: "local-path", Provisioner: "rancher.io/local-path", Modes: single, Topology: ofNode, Default: true},
	{Name: "standard-rwo", Provisioner: "pd.csi.storage.gke.io", Modes: disk, Topology: ofZone, Default: true},
	{Name: "premium-rwo", Provisioner: "pd.csi.storage.gke.io", Modes: disk, Topology: ofZone},
	{Name: "standard-rwx", Provisioner: "filestore.csi.storage.gke.io"},
	{Name: "premium-rwx", Provisioner: "filestore.csi.storage.gke.io"},
	{Name: "enterprise-rwx", Provisioner: "filestore.csi.storage.gke.io"},
	{Name: "gp2", Provisioner: "ebs.csi.aws.com", Modes: single, Topology: ofZone, Default: true},
	{Name: "gp3", Provisioner: "ebs.csi.aws.com", Modes: single, Topology: ofZone, Default: true},
	{Name: "managed-csi", Provisioner: "disk.csi.azure.com", Modes: single, Topology: ofZone, Default: true},
	{Name: "azurefile-csi", Provisioner: "file.csi.azure.com"},
	{Name: "longhorn", Provisioner: "driver.longhorn.io"},
}

// classesOf are a cluster's: those that are described or declared, and where
// none of them is the default, "standard": on one node minikube's, else one
// that serves any pod anywhere, for nothing is known.
func classesOf(known check.Cluster, pools []pool) []check.StorageClass {
	all := slices.Clone(known.StorageClasses)
	for _, external := range known.External {
		name, ok := strings.CutPrefix(external, "StorageClass/")
		if !ok || strings.ContainsAny(name, "*?[") || slices.ContainsFunc(all, func(c check.StorageClass) bool { return c.Name == name }) {
			continue
		}
		class := check.StorageClass{Name: name, Provisioner: "example.com/" + name}
		if i := slices.IndexFunc(classes, func(c check.StorageClass) bool { return c.Name == name }); i >= 0 {
			class = classes[i]
		}
		all = append(all, class)
	}
	isDefault := func(c check.StorageClass) bool { return c.Default }
	if first := slices.IndexFunc(all, isDefault); first >= 0 {
		for i := range all {
			all[i].Default = i == first
		}
	} else if len(known.StorageClasses) == 0 {
		class := check.StorageClass{Name: "standard", Provisioner: "example.com/standard", Default: true}
		if len(pools) == 1 && pools[0].max == 1 {
			class.Provisioner, class.Topology = "k8s.io/minikube-hostpath", ofNode
		}
		all = append(all, class)
	}
	return all
}

// storageClass is the class as the cluster has it.
func storageClass(c check.StorageClass) *storagev1.StorageClass {
	binding := storagev1.VolumeBindingImmediate
	if c.Topology != "" {
		binding = storagev1.VolumeBindingWaitForFirstConsumer
	}
	out := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: c.Name}, Provisioner: cmp.Or(c.Provisioner, "example.com/"+c.Name), VolumeBindingMode: &binding}
	if c.Default {
		out.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
	}
	grows := c.Topology != ofNode
	out.AllowVolumeExpansion = &grows
	return out
}

// lacks are the modes that a claim asks for and its class hasn't.
func lacks(class check.StorageClass, claim *corev1.PersistentVolumeClaim) (lacking []corev1.PersistentVolumeAccessMode) {
	for _, mode := range claim.Spec.AccessModes {
		if len(class.Modes) > 0 && !slices.Contains(class.Modes, mode) {
			lacking = append(lacking, mode)
		}
	}
	return lacking
}

func (c *cluster) class(name string) (check.StorageClass, bool) {
	i := slices.IndexFunc(c.classes, func(s check.StorageClass) bool { return s.Name == name })
	if i < 0 {
		return check.StorageClass{}, false
	}
	return c.classes[i], true
}

// provision makes the volume of a claim as its class' provisioner would: when
// the scheduler has chosen a node where that matters, bound to where the disk
// is, and not at all for a mode that it hasn't.
func (c *cluster) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if claim.Status.Phase != corev1.ClaimPending || claim.Spec.VolumeName != "" || claim.Spec.StorageClassName == nil || claim.DeletionTimestamp != nil {
		return nil
	}
	class, ok := c.class(*claim.Spec.StorageClassName)
	if !ok || len(lacks(class, claim)) > 0 {
		return nil
	}
	var affinity *corev1.VolumeNodeAffinity
	if class.Topology != "" {
		on := claim.Annotations["volume.kubernetes.io/selected-node"]
		if on == "" {
			return nil
		}
		node, err := c.client.CoreV1().Nodes().Get(ctx, on, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		} else if err != nil {
			return err
		}
		key := corev1.LabelHostname
		if class.Topology == ofZone {
			key = corev1.LabelTopologyZone
		}
		if value := node.Labels[key]; value != "" { // one zone is as good as none
			affinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{value}}}}}}}
		}
	}
	name := "pvc-" + string(claim.UID)
	mode := claim.Spec.VolumeMode
	_, err := c.client.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": cmp.Or(class.Provisioner, "example.com/"+class.Name)}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]}, AccessModes: claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete, StorageClassName: class.Name, VolumeMode: mode, NodeAffinity: affinity,
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/tmp/" + name}},
			ClaimRef:               &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
		},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// reclaim deletes a volume whose claim is gone.
func (c *cluster) reclaim(ctx context.Context, volume *corev1.PersistentVolume) error {
	if volume.Status.Phase != corev1.VolumeReleased {
		return nil
	}
	err := c.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
