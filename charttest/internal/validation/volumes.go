package validation

import (
	"net"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volumes holds a pod's volumes to their rules, and returns them by name.
func (j *judge) volumes(list []corev1.Volume, at *field.Path) map[string]*corev1.Volume {
	all := map[string]*corev1.Volume{}
	for i := range list {
		v := &list[i]
		here := at.Index(i)
		j.named(here.Child("name"), v.Name, label)
		if _, twice := all[v.Name]; twice && v.Name != "" {
			j.say(field.Duplicate(here.Child("name"), v.Name))
		}
		all[v.Name] = v
		if given := j.one(here, &v.VolumeSource, "volume type", false); len(given) == 1 && given[0] == "ephemeral" && len(v.Name) == 0 {
			j.require(false, here.Child("name"), "")
		}
	}
	return all
}

// mode is of a file.
func (j *judge) mode(at *field.Path, mode *int32) {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		j.invalid(at, *mode, "must be a number between 0 and 0777 (octal), both inclusive")
	}
}

// filled requires fields of text, given as name and text in turn.
func (j *judge) filled(at *field.Path, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		j.require(pairs[i+1] != "", at.Child(pairs[i]), "")
	}
}

// iscsi is what both forms of the source have in common.
func (j *judge) iscsi(at *field.Path, portal, iqn string, lun int32, chap bool, secret bool, initiator *string) {
	j.filled(at, "targetPortal", portal, "iqn", iqn)
	if iqn != "" {
		j.invalid(at.Child("iqn"), iqn, iqnForm(iqn)...)
	}
	within(j, at.Child("lun"), &lun, 0, 255)
	j.require(!chap || secret, at.Child("secretRef"), "")
	if initiator != nil {
		j.invalid(at.Child("initiatorName"), *initiator, iqnForm(*initiator)...)
	}
}

func iqnForm(s string) []string {
	if len(s) < 4 || s[:3] != "iqn" && s[:3] != "eui" && s[:3] != "naa" {
		return []string{"must be valid format starting with iqn, eui, or naa"}
	}
	return nil
}

func (j *judge) partition(at *field.Path, n int32) { within(j, at.Child("partition"), &n, 0, 255) }

func (j *judge) driver(at *field.Path, name string) {
	if !j.require(name != "", at, "") {
		return
	}
	if len(name) > 63 {
		j.say(field.TooLong(at, name, 63))
	}
	j.invalid(at, name, subdomain(strings.ToLower(name))...)
}

func (j *judge) secretReference(at *field.Path, r *corev1.SecretReference) {
	if r != nil {
		j.named(at.Child("name"), r.Name, subdomain)
		j.named(at.Child("namespace"), r.Namespace, label)
	}
}

func (j *judge) absolute(at *field.Path, p string) {
	if !path.IsAbs(p) {
		j.invalid(at, p, "must be an absolute path")
	}
}

func (j *judge) downward(at *field.Path, f *corev1.DownwardAPIVolumeFile) {
	if j.require(f.Path != "", at.Child("path"), "") {
		j.reserved(at.Child("path"), f.Path)
	}
	switch {
	case f.FieldRef != nil:
		j.fieldRef(at.Child("fieldRef"), f.FieldRef, sets.New("metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid"))
		if f.ResourceFieldRef != nil {
			j.invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
		}
	case f.ResourceFieldRef != nil:
		j.resourceRef(at.Child("resourceFieldRef"), f.ResourceFieldRef, true)
	default:
		j.require(false, at, "one of fieldRef and resourceFieldRef is required")
	}
	j.mode(at.Child("mode"), f.Mode)
}

func (j *judge) projected(s *corev1.ProjectedVolumeSource, at *field.Path) {
	j.mode(at.Child("defaultMode"), s.DefaultMode)
	paths := sets.Set[string]{}
	path := func(p string) {
		if p != "" && paths.Has(p) {
			j.invalid(at, p, "conflicting duplicate paths")
		}
		paths.Insert(p)
	}
	for i := range s.Sources {
		source := &s.Sources[i]
		here := at.Child("sources").Index(i)
		j.one(here, source, "volume type", false)
		if x := source.Secret; x != nil {
			j.filled(here.Child("secret"), "name", x.Name)
			for _, k := range x.Items {
				path(k.Path)
			}
		}
		if x := source.ConfigMap; x != nil {
			j.filled(here.Child("configMap"), "name", x.Name)
			for _, k := range x.Items {
				path(k.Path)
			}
		}
		if x := source.DownwardAPI; x != nil {
			for k := range x.Items {
				path(x.Items[k].Path)
			}
		}
		if x := source.ServiceAccountToken; x != nil {
			here := here.Child("serviceAccountToken")
			if e := x.ExpirationSeconds; e != nil && (*e < 600 || *e > 1<<32) {
				j.invalid(here.Child("expirationSeconds"), *e, "may not specify a duration less than 10 minutes or larger than 2^32 seconds")
			}
			if j.require(x.Path != "", here.Child("path"), "") {
				j.reserved(here.Child("path"), x.Path)
			}
		}
	}
}

// claimSpec is of a claim, of a StatefulSet's template of one, and of an
// ephemeral volume's.
func (j *judge) claimSpec(s *corev1.PersistentVolumeClaimSpec, at *field.Path) {
	j.selector(at.Child("selector"), s.Selector)
	j.require(len(s.AccessModes) > 0, at.Child("accessModes"), "at least 1 access mode is required")
	j.accessModes(at.Child("accessModes"), s.AccessModes)
	storage, ok := s.Resources.Requests[corev1.ResourceStorage]
	if !ok {
		j.require(false, at.Child("resources").Key("storage"), "")
	} else if storage.Sign() <= 0 {
		j.invalid(at.Child("resources", "requests").Key("storage"), storage.String(), "must be greater than zero")
	}
	if c := s.StorageClassName; c != nil && *c != "" {
		j.invalid(at.Child("storageClassName"), *c, subdomain(*c)...)
	}
	if c := s.VolumeAttributesClassName; c != nil && *c != "" {
		j.invalid(at.Child("volumeAttributesClassName"), *c, subdomain(*c)...)
	}
	template := at.String() != "spec"
	if d := s.DataSource; d != nil && template { // the server drops what it doesn't know from a claim
		j.dataSource(at.Child("dataSource"), d.APIGroup, d.Kind, d.Name)
	}
	if d := s.DataSourceRef; d != nil && (template || d.Namespace == nil || *d.Namespace == "") {
		j.dataSource(at.Child("dataSourceRef"), d.APIGroup, d.Kind, d.Name)
		if n := d.Namespace; n != nil && *n != "" {
			j.invalid(at.Child("dataSourceRef", "namespace"), *n, label(*n)...)
		}
	}
	if template && s.DataSource != nil && s.DataSourceRef != nil && (s.DataSourceRef.Namespace == nil || *s.DataSourceRef.Namespace == "") {
		a, b := s.DataSource, s.DataSourceRef
		if a.Kind != b.Kind || a.Name != b.Name || deref(a.APIGroup) != deref(b.APIGroup) || (a.APIGroup == nil) != (b.APIGroup == nil) {
			j.invalid(at, a.Name, "must match dataSourceRef")
		}
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (j *judge) dataSource(at *field.Path, group *string, kind, name string) {
	j.filled(at, "name", name, "kind", kind)
	if g := deref(group); g != "" {
		j.invalid(at.Child("apiGroup"), g, subdomain(g)...)
	} else if kind != "PersistentVolumeClaim" && kind != "" {
		j.invalid(at, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
	} else if kind == "" {
		j.invalid(at, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
	}
}

func (j *judge) accessModes(at *field.Path, modes []corev1.PersistentVolumeAccessMode) {
	pod, other := false, false
	for _, m := range modes {
		if m == "" {
			j.say(field.NotSupported(at, m, enumOf(m)))
		}
		pod = pod || m == corev1.ReadWriteOncePod
		other = other || m == corev1.ReadWriteOnce || m == corev1.ReadOnlyMany || m == corev1.ReadWriteMany
	}
	j.forbid(pod && other, at, "may not use ReadWriteOncePod with other access modes")
}

var _ = []struct{}{
	rule(func(j *judge, s *corev1.HostPathVolumeSource, at *field.Path) {
		if j.require(s.Path != "", at.Child("path"), "") {
			j.noBack(at.Child("path"), s.Path)
		}
		if s.Path != "" && s.Type != nil {
			j.among(at.Child("type"), string(*s.Type), "", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice")
		}
	}),
	rule(func(j *judge, s *corev1.EmptyDirVolumeSource, at *field.Path) {
		if s.SizeLimit != nil && s.SizeLimit.Sign() < 0 {
			j.forbid(true, at.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity")
		}
	}),
	rule(func(j *judge, s *corev1.GitRepoVolumeSource, at *field.Path) {
		j.filled(at, "repository", s.Repository)
		j.descending(at.Child("directory"), s.Directory)
	}),
	rule(func(j *judge, s *corev1.ISCSIVolumeSource, at *field.Path) {
		j.iscsi(at, s.TargetPortal, s.IQN, s.Lun, s.DiscoveryCHAPAuth || s.SessionCHAPAuth, s.SecretRef != nil, s.InitiatorName)
	}),
	rule(func(j *judge, s *corev1.ISCSIPersistentVolumeSource, at *field.Path) {
		j.iscsi(at, s.TargetPortal, s.IQN, s.Lun, s.DiscoveryCHAPAuth || s.SessionCHAPAuth, s.SecretRef != nil, s.InitiatorName)
		if s.SecretRef != nil {
			j.filled(at.Child("secretRef"), "name", s.SecretRef.Name)
		}
	}),
	rule(func(j *judge, s *corev1.FCVolumeSource, at *field.Path) {
		wwns, wwids := len(s.TargetWWNs) > 0, len(s.WWIDs) > 0
		j.require(wwns || wwids, at.Child("targetWWNs"), "must specify either targetWWNs or wwids, but not both")
		if wwns && wwids {
			j.invalid(at.Child("targetWWNs"), s.TargetWWNs, "targetWWNs and wwids can not be specified simultaneously")
		}
		if wwns && j.require(s.Lun != nil, at.Child("lun"), "lun is required if targetWWNs is specified") {
			within(j, at.Child("lun"), s.Lun, 0, 255)
		}
	}),
	rule(func(j *judge, s *corev1.GCEPersistentDiskVolumeSource, at *field.Path) {
		j.filled(at, "pdName", s.PDName)
		j.partition(at, s.Partition)
	}),
	rule(func(j *judge, s *corev1.AWSElasticBlockStoreVolumeSource, at *field.Path) {
		j.filled(at, "volumeID", s.VolumeID)
		j.partition(at, s.Partition)
	}),
	rule(func(j *judge, s *corev1.SecretVolumeSource, at *field.Path) {
		j.filled(at, "secretName", s.SecretName)
		j.mode(at.Child("defaultMode"), s.DefaultMode)
	}),
	rule(func(j *judge, s *corev1.ConfigMapVolumeSource, at *field.Path) {
		j.filled(at, "name", s.Name)
		j.mode(at.Child("defaultMode"), s.DefaultMode)
	}),
	rule(func(j *judge, k *corev1.KeyToPath, at *field.Path) {
		j.filled(at, "key", k.Key, "path", k.Path)
		j.reserved(at.Child("path"), k.Path)
		j.mode(at.Child("mode"), k.Mode)
	}),
	rule(func(j *judge, s *corev1.PersistentVolumeClaimVolumeSource, at *field.Path) {
		j.filled(at, "claimName", s.ClaimName)
	}),
	rule(func(j *judge, s *corev1.NFSVolumeSource, at *field.Path) {
		j.filled(at, "server", s.Server, "path", s.Path)
		j.absolute(at.Child("path"), s.Path)
	}),
	rule(func(j *judge, s *corev1.QuobyteVolumeSource, at *field.Path) {
		if j.require(s.Registry != "", at.Child("registry"), "must be a host:port pair or multiple pairs separated by commas") {
			for _, pair := range strings.Split(s.Registry, ",") {
				if _, _, err := net.SplitHostPort(pair); err != nil {
					j.invalid(at.Child("registry"), s.Registry, "must be a host:port pair or multiple pairs separated by commas")
					break
				}
			}
		}
		if s.Registry != "" && len(s.Tenant) > 64 {
			j.invalid(at.Child("tenant"), s.Tenant, "must be a UUID and may not exceed a length of 64 characters")
		}
		j.filled(at, "volume", s.Volume)
	}),
	rule(func(j *judge, s *corev1.GlusterfsVolumeSource, at *field.Path) {
		j.filled(at, "endpoints", s.EndpointsName, "path", s.Path)
	}),
	rule(func(j *judge, s *corev1.GlusterfsPersistentVolumeSource, at *field.Path) {
		j.filled(at, "endpoints", s.EndpointsName, "path", s.Path)
		if n := s.EndpointsNamespace; n != nil {
			if *n == "" {
				j.invalid(at.Child("endpointsNamespace"), *n, "if the endpointnamespace is set, it must be a valid namespace name")
			} else {
				j.invalid(at.Child("endpointsNamespace"), *n, label(*n)...)
			}
		}
	}),
	rule(func(j *judge, s *corev1.FlockerVolumeSource, at *field.Path) {
		j.require(s.DatasetName != "" || s.DatasetUUID != "", at, "one of datasetName and datasetUUID is required")
		if s.DatasetName != "" && s.DatasetUUID != "" {
			j.invalid(at, "resource", "datasetName and datasetUUID can not be specified simultaneously")
		}
		if strings.Contains(s.DatasetName, "/") {
			j.invalid(at.Child("datasetName"), s.DatasetName, "must not contain '/'")
		}
	}),
	rule(func(j *judge, s *corev1.DownwardAPIVolumeSource, at *field.Path) {
		j.mode(at.Child("defaultMode"), s.DefaultMode)
	}),
	rule(func(j *judge, f *corev1.DownwardAPIVolumeFile, at *field.Path) { j.downward(at, f) }),
	rule((*judge).projected),
	rule(func(j *judge, s *corev1.RBDVolumeSource, at *field.Path) {
		j.require(len(s.CephMonitors) > 0, at.Child("monitors"), "")
		j.filled(at, "image", s.RBDImage)
	}),
	rule(func(j *judge, s *corev1.RBDPersistentVolumeSource, at *field.Path) {
		j.require(len(s.CephMonitors) > 0, at.Child("monitors"), "")
		j.filled(at, "image", s.RBDImage)
	}),
	rule(func(j *judge, s *corev1.CinderVolumeSource, at *field.Path) {
		j.filled(at, "volumeID", s.VolumeID)
		if s.SecretRef != nil {
			j.filled(at.Child("secretRef"), "name", s.SecretRef.Name)
		}
	}),
	rule(func(j *judge, s *corev1.CinderPersistentVolumeSource, at *field.Path) {
		j.filled(at, "volumeID", s.VolumeID)
		if s.SecretRef != nil {
			j.filled(at.Child("secretRef"), "name", s.SecretRef.Name, "namespace", s.SecretRef.Namespace)
		}
	}),
	rule(func(j *judge, s *corev1.CephFSVolumeSource, at *field.Path) {
		j.require(len(s.Monitors) > 0, at.Child("monitors"), "")
	}),
	rule(func(j *judge, s *corev1.CephFSPersistentVolumeSource, at *field.Path) {
		j.require(len(s.Monitors) > 0, at.Child("monitors"), "")
	}),
	rule(func(j *judge, s *corev1.FlexVolumeSource, at *field.Path) {
		j.filled(at, "driver", s.Driver)
		j.flexOptions(at.Child("options"), s.Options)
	}),
	rule(func(j *judge, s *corev1.FlexPersistentVolumeSource, at *field.Path) {
		j.filled(at, "driver", s.Driver)
		j.flexOptions(at.Child("options"), s.Options)
	}),
	rule(func(j *judge, s *corev1.AzureFileVolumeSource, at *field.Path) {
		j.filled(at, "secretName", s.SecretName, "shareName", s.ShareName)
	}),
	rule(func(j *judge, s *corev1.AzureFilePersistentVolumeSource, at *field.Path) {
		j.filled(at, "secretName", s.SecretName, "shareName", s.ShareName)
		if n := s.SecretNamespace; n != nil && *n == "" {
			j.require(false, at.Child("secretNamespace"), "")
		}
	}),
	rule(func(j *judge, s *corev1.AzureDiskVolumeSource, at *field.Path) {
		j.filled(at, "diskName", s.DiskName, "diskURI", s.DataDiskURI)
		if s.Kind != nil && *s.Kind == corev1.AzureManagedDisk && !strings.HasPrefix(s.DataDiskURI, "/subscriptions/") {
			j.say(field.NotSupported(at.Child("diskURI"), s.DataDiskURI, []string{"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"}))
		}
		if (s.Kind == nil || *s.Kind != corev1.AzureManagedDisk) && !strings.HasPrefix(s.DataDiskURI, "https://") {
			j.say(field.NotSupported(at.Child("diskURI"), s.DataDiskURI, []string{"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"}))
		}
	}),
	rule(func(j *judge, s *corev1.VsphereVirtualDiskVolumeSource, at *field.Path) {
		j.filled(at, "volumePath", s.VolumePath)
	}),
	rule(func(j *judge, s *corev1.PhotonPersistentDiskVolumeSource, at *field.Path) {
		j.filled(at, "pdID", s.PdID)
	}),
	rule(func(j *judge, s *corev1.PortworxVolumeSource, at *field.Path) { j.filled(at, "volumeID", s.VolumeID) }),
	rule(func(j *judge, s *corev1.ScaleIOVolumeSource, at *field.Path) {
		j.filled(at, "gateway", s.Gateway, "system", s.System, "volumeName", s.VolumeName)
	}),
	rule(func(j *judge, s *corev1.ScaleIOPersistentVolumeSource, at *field.Path) {
		j.filled(at, "gateway", s.Gateway, "system", s.System, "volumeName", s.VolumeName)
	}),
	rule(func(j *judge, s *corev1.LocalVolumeSource, at *field.Path) {
		if j.require(s.Path != "", at.Child("path"), "") {
			j.noBack(at.Child("path"), s.Path)
		}
	}),
	rule(func(j *judge, s *corev1.StorageOSVolumeSource, at *field.Path) {
		j.storageOS(at, s.VolumeName, s.VolumeNamespace)
		if s.SecretRef != nil {
			j.filled(at.Child("secretRef"), "name", s.SecretRef.Name)
		}
	}),
	rule(func(j *judge, s *corev1.StorageOSPersistentVolumeSource, at *field.Path) {
		j.storageOS(at, s.VolumeName, s.VolumeNamespace)
		if s.SecretRef != nil {
			j.filled(at.Child("secretRef"), "name", s.SecretRef.Name, "namespace", s.SecretRef.Namespace)
		}
	}),
	rule(func(j *judge, s *corev1.CSIVolumeSource, at *field.Path) {
		j.driver(at.Child("driver"), s.Driver)
		if s.NodePublishSecretRef != nil {
			j.named(at.Child("nodePublishSecretRef", "name"), s.NodePublishSecretRef.Name, subdomain)
		}
	}),
	rule(func(j *judge, s *corev1.CSIPersistentVolumeSource, at *field.Path) {
		j.driver(at.Child("driver"), s.Driver)
		j.filled(at, "volumeHandle", s.VolumeHandle)
		j.secretReference(at.Child("controllerPublishSecretRef"), s.ControllerPublishSecretRef)
		j.secretReference(at.Child("controllerExpandSecretRef"), s.ControllerExpandSecretRef)
		j.secretReference(at.Child("nodePublishSecretRef"), s.NodePublishSecretRef)
		j.secretReference(at.Child("nodeExpandSecretRef"), s.NodeExpandSecretRef)
	}),
	rule(func(j *judge, s *corev1.EphemeralVolumeSource, at *field.Path) {
		j.require(s.VolumeClaimTemplate != nil, at.Child("volumeClaimTemplate"), "")
	}),
	rule(func(j *judge, t *corev1.PersistentVolumeClaimTemplate, at *field.Path) {
		at = at.Child("metadata")
		j.template(&t.ObjectMeta, at)
		for name, given := range map[string]bool{"name": t.Name != "", "generateName": t.GenerateName != "", "finalizers": t.Finalizers != nil, "ownerReferences": t.OwnerReferences != nil} {
			j.forbid(given, at.Child(name), "cannot be set")
		}
	}),
	rule((*judge).claimSpec),
	rule(func(j *judge, s *corev1.PersistentVolumeSpec, at *field.Path) {
		j.require(len(s.AccessModes) > 0, at.Child("accessModes"), "")
		j.accessModes(at.Child("accessModes"), s.AccessModes)
		j.require(len(s.Capacity) > 0, at.Child("capacity"), "")
		if _, ok := s.Capacity[corev1.ResourceStorage]; !ok || len(s.Capacity) > 1 {
			j.say(field.NotSupported(at.Child("capacity"), "", []string{"storage"}))
		}
		for r, q := range s.Capacity {
			if q.Sign() <= 0 {
				j.invalid(at.Child("capacity").Key(string(r)), q.String(), "must be greater than zero")
			}
		}
		sources := s.PersistentVolumeSource
		if sources.FlexVolume != nil && len(new(judge).one(nil, &sources, "", false)) > 1 {
			sources.FlexVolume = nil // which the server takes beside another
		}
		j.one(at, &sources, "volume type", true)
		if s.HostPath != nil && path.Clean(s.HostPath.Path) == "/" && s.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
			j.forbid(true, at.Child("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath of '/'")
		}
		if s.StorageClassName != "" {
			j.invalid(at.Child("storageClassName"), s.StorageClassName, subdomain(s.StorageClassName)...)
		}
		if c := s.VolumeAttributesClassName; c != nil {
			if j.require(*c != "", at.Child("volumeAttributesClassName"), "an empty string is disallowed") {
				j.invalid(at.Child("volumeAttributesClassName"), *c, subdomain(*c)...)
			}
			j.require(s.CSI != nil, at.Child("csi"), "has to be specified when using volumeAttributesClassName")
		}
		if s.Local != nil && (s.NodeAffinity == nil || s.NodeAffinity.Required == nil) {
			j.require(false, at.Child("nodeAffinity"), "Local volume requires node affinity")
		}
		if s.NodeAffinity != nil {
			j.require(s.NodeAffinity.Required != nil, at.Child("nodeAffinity", "required"), "must specify required node constraints")
		}
	}),
}

func (j *judge) flexOptions(at *field.Path, options map[string]string) {
	for k := range options {
		namespace, _, _ := strings.Cut(k, "/")
		n := "." + strings.ToLower(namespace)
		if strings.HasSuffix(n, ".kubernetes.io") || strings.HasSuffix(n, ".k8s.io") {
			j.invalid(at.Key(k), k, "kubernetes.io and k8s.io namespaces are reserved")
		}
	}
}

func (j *judge) storageOS(at *field.Path, name, namespace string) {
	if name == "" {
		j.require(false, at.Child("volumeName"), "")
	} else {
		j.invalid(at.Child("volumeName"), name, label(name)...)
	}
	if namespace != "" {
		j.invalid(at.Child("volumeNamespace"), namespace, label(namespace)...)
	}
}
