// Package defaults fills in what the API server fills in before it admits an
// object, for the kinds that charts are made of. A test holds it to a real one.
package defaults

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// After k8s.io/kubernetes/pkg/apis/core/v1/defaults.go.

// ClaimSpec is SetDefaults_PersistentVolumeClaimSpec and the
// normalization of data sources (NormalizeDataSources).
func ClaimSpec(s *corev1.PersistentVolumeClaimSpec) {
	Or(&s.VolumeMode, corev1.PersistentVolumeFilesystem)
	switch a, b := s.DataSource, s.DataSourceRef; {
	case a != nil && b == nil:
		s.DataSourceRef = &corev1.TypedObjectReference{APIGroup: a.APIGroup, Kind: a.Kind, Name: a.Name}
	case a == nil && b != nil && (b.Namespace == nil || *b.Namespace == ""):
		s.DataSource = &corev1.TypedLocalObjectReference{APIGroup: b.APIGroup, Kind: b.Kind, Name: b.Name}
	}
}

// Pod is what pods get beyond what templates of pods do.
func Pod(s *corev1.PodSpec) {
	PodSpec(s)
	Or(&s.EnableServiceLinks, true)
	OrText(&s.ServiceAccountName, "default")
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

// PodSpec is for pods and templates of pods alike.
func PodSpec(s *corev1.PodSpec) {
	OrText(&s.DNSPolicy, corev1.DNSClusterFirst)
	OrText(&s.RestartPolicy, corev1.RestartPolicyAlways)
	OrText(&s.SchedulerName, corev1.DefaultSchedulerName)
	Or(&s.SecurityContext, corev1.PodSecurityContext{})
	Or(&s.TerminationGracePeriodSeconds, int64(corev1.DefaultTerminationGracePeriodSeconds))
	if s.ServiceAccountName == "" {
		s.ServiceAccountName = s.DeprecatedServiceAccount
	}
	s.DeprecatedServiceAccount = s.ServiceAccountName // the registry keeps both
	for _, list := range [][]corev1.Container{s.Containers, s.InitContainers} {
		for i := range list {
			container(&list[i])
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
		volume(&s.Volumes[i].VolumeSource)
	}
}

func container(c *corev1.Container) {
	pull := corev1.PullIfNotPresent
	if _, tag, ok := strings.Cut(c.Image[strings.LastIndexByte(c.Image, '/')+1:], ":"); !strings.Contains(c.Image, "@") && (!ok || tag == "latest") {
		pull = corev1.PullAlways
	}
	OrText(&c.ImagePullPolicy, pull)
	OrText(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	OrText(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		OrText(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.FieldRef != nil {
			OrText(&from.FieldRef.APIVersion, "v1")
		}
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil {
			orNumber(&p.TimeoutSeconds, 1)
			orNumber(&p.PeriodSeconds, 10)
			orNumber(&p.SuccessThreshold, 1)
			orNumber(&p.FailureThreshold, 3)
			httpGet(p.HTTPGet)
			if p.GRPC != nil {
				Or(&p.GRPC.Service, "")
			}
		}
	}
	if c.Lifecycle != nil {
		for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if h != nil {
				httpGet(h.HTTPGet)
			}
		}
	}
}

func httpGet(g *corev1.HTTPGetAction) {
	if g != nil {
		OrText(&g.Path, "/")
		OrText(&g.Scheme, corev1.URISchemeHTTP)
	}
}

func orNumber(p *int32, value int32) {
	if *p == 0 {
		*p = value
	}
}

func volume(v *corev1.VolumeSource) {
	const mode = int32(0o644)
	if *v == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	if v.Secret != nil {
		Or(&v.Secret.DefaultMode, mode)
	}
	if v.ConfigMap != nil {
		Or(&v.ConfigMap.DefaultMode, mode)
	}
	if v.HostPath != nil {
		Or(&v.HostPath.Type, corev1.HostPathUnset)
	}
	if v.DownwardAPI != nil {
		Or(&v.DownwardAPI.DefaultMode, mode)
		downward(v.DownwardAPI.Items)
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		Or(&v.Ephemeral.VolumeClaimTemplate.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	}
	if v.Projected == nil {
		return
	}
	Or(&v.Projected.DefaultMode, mode)
	for _, source := range v.Projected.Sources {
		if source.DownwardAPI != nil {
			downward(source.DownwardAPI.Items)
		}
		if source.ServiceAccountToken != nil {
			Or(&source.ServiceAccountToken.ExpirationSeconds, int64(3600))
		}
	}
}

func downward(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		if ref := items[i].FieldRef; ref != nil {
			OrText(&ref.APIVersion, "v1")
		}
	}
}

// Or sets an optional value that is left out.
func Or[T any](p **T, value T) {
	if *p == nil {
		*p = &value
	}
}

// OrText sets a text that is left out.
func OrText[T ~string](p *T, value T) {
	if *p == "" {
		*p = value
	}
}
