package diff

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// What the API server fills in, after k8s.io/kubernetes/pkg/apis/core/v1/defaults.go:
// a value that is left out where its default stood before is no change.

// defaultClaimSpec is SetDefaults_PersistentVolumeClaimSpec and the
// normalization of data sources (NormalizeDataSources).
func defaultClaimSpec(s *corev1.PersistentVolumeClaimSpec) {
	or(&s.VolumeMode, corev1.PersistentVolumeFilesystem)
	switch a, b := s.DataSource, s.DataSourceRef; {
	case a != nil && b == nil:
		s.DataSourceRef = &corev1.TypedObjectReference{APIGroup: a.APIGroup, Kind: a.Kind, Name: a.Name}
	case a == nil && b != nil && (b.Namespace == nil || *b.Namespace == ""):
		s.DataSource = &corev1.TypedLocalObjectReference{APIGroup: b.APIGroup, Kind: b.Kind, Name: b.Name}
	}
}

// defaultPod is what pods get beyond what templates of pods do.
func defaultPod(s *corev1.PodSpec) {
	defaultPodSpec(s)
	or(&s.EnableServiceLinks, true)
	orText(&s.ServiceAccountName, "default")
	s.DeprecatedServiceAccount = ""
	for _, list := range [][]corev1.Container{s.Containers, s.InitContainers} {
		for i := range list {
			r := &list[i].Resources
			for name, limit := range r.Limits {
				if _, ok := r.Requests[name]; !ok {
					if r.Requests == nil {
						r.Requests = corev1.ResourceList{}
					}
					r.Requests[name] = limit
				}
			}
		}
	}
}

func defaultPodSpec(s *corev1.PodSpec) {
	orText(&s.DNSPolicy, corev1.DNSClusterFirst)
	orText(&s.RestartPolicy, corev1.RestartPolicyAlways)
	orText(&s.SchedulerName, corev1.DefaultSchedulerName)
	or(&s.SecurityContext, corev1.PodSecurityContext{})
	or(&s.TerminationGracePeriodSeconds, int64(corev1.DefaultTerminationGracePeriodSeconds))
	if s.ServiceAccountName == "" {
		s.ServiceAccountName = s.DeprecatedServiceAccount
	}
	s.DeprecatedServiceAccount = s.ServiceAccountName // the registry keeps both
	for _, list := range [][]corev1.Container{s.Containers, s.InitContainers} {
		for i := range list {
			defaultContainer(&list[i])
			if s.HostNetwork {
				for j := range list[i].Ports {
					if p := &list[i].Ports[j]; p.HostPort == 0 {
						p.HostPort = p.ContainerPort
					}
				}
			}
		}
	}
	for i := range s.Volumes {
		defaultVolume(&s.Volumes[i].VolumeSource)
	}
}

func defaultContainer(c *corev1.Container) {
	pull := corev1.PullIfNotPresent
	if _, tag, ok := strings.Cut(c.Image[strings.LastIndexByte(c.Image, '/')+1:], ":"); !strings.Contains(c.Image, "@") && (!ok || tag == "latest") {
		pull = corev1.PullAlways
	}
	orText(&c.ImagePullPolicy, pull)
	orText(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	orText(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		orText(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.FieldRef != nil {
			orText(&from.FieldRef.APIVersion, "v1")
		}
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil {
			orNumber(&p.TimeoutSeconds, 1)
			orNumber(&p.PeriodSeconds, 10)
			orNumber(&p.SuccessThreshold, 1)
			orNumber(&p.FailureThreshold, 3)
			defaultHTTPGet(p.HTTPGet)
			if p.GRPC != nil {
				or(&p.GRPC.Service, "")
			}
		}
	}
	if c.Lifecycle != nil {
		for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if h != nil {
				defaultHTTPGet(h.HTTPGet)
			}
		}
	}
}

func defaultHTTPGet(g *corev1.HTTPGetAction) {
	if g != nil {
		orText(&g.Path, "/")
		orText(&g.Scheme, corev1.URISchemeHTTP)
	}
}

func orNumber(p *int32, value int32) {
	if *p == 0 {
		*p = value
	}
}

func defaultVolume(v *corev1.VolumeSource) {
	const mode = int32(0o644)
	if *v == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	if v.Secret != nil {
		or(&v.Secret.DefaultMode, mode)
	}
	if v.ConfigMap != nil {
		or(&v.ConfigMap.DefaultMode, mode)
	}
	if v.HostPath != nil {
		or(&v.HostPath.Type, corev1.HostPathUnset)
	}
	if v.DownwardAPI != nil {
		or(&v.DownwardAPI.DefaultMode, mode)
		defaultDownward(v.DownwardAPI.Items)
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		or(&v.Ephemeral.VolumeClaimTemplate.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	}
	if v.Projected == nil {
		return
	}
	or(&v.Projected.DefaultMode, mode)
	for _, source := range v.Projected.Sources {
		if source.DownwardAPI != nil {
			defaultDownward(source.DownwardAPI.Items)
		}
		if source.ServiceAccountToken != nil {
			or(&source.ServiceAccountToken.ExpirationSeconds, int64(3600))
		}
	}
}

func defaultDownward(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		if ref := items[i].FieldRef; ref != nil {
			orText(&ref.APIVersion, "v1")
		}
	}
}
