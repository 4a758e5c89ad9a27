package check

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

var podSecurity = &Check{
	Name:   "pod-security",
	Why:    "A namespace that enforces the Pod Security level «restricted» refuses pods that don't comply; Deployments then have none.",
	Remedy: "Set runAsNonRoot: true, seccompProfile.type: RuntimeDefault, and in each container allowPrivilegeEscalation: false and capabilities.drop: [ALL].",
	Run: func(p *Pass) {
		level, said := p.Cluster.PodSecurity, true
		if level == "" {
			level, said = p.customary(), false
		}
		if level != "restricted" {
			return
		}
		for _, w := range p.index.workloads {
			for _, v := range violations(w) {
				// Containers that users add are held to what is said of the
				// cluster, not to the custom of the chart.
				if said || v.container == "" || !p.index.told().containers[v.container] {
					p.report(w.object, v.field, "%s", v.message)
				}
			}
		}
	},
}

// customary is the level that most pods of the render keep.
func (p *Pass) customary() string {
	comply := 0
	for _, w := range p.index.workloads {
		if len(violations(w)) == 0 {
			comply++
		}
	}
	if comply*2 > len(p.index.workloads) {
		return "restricted"
	}
	return "privileged"
}

type violation struct{ field, message, container string }

// violations of the level «restricted» as of
// https://kubernetes.io/docs/concepts/security/pod-security-standards/.
func violations(w workload) []violation {
	var all []violation
	container := ""
	bad := func(field, message string) { all = append(all, violation{field, message, container}) }
	spec, at := &w.template.Spec, w.spec()
	if spec.HostNetwork {
		bad(join(at, "hostNetwork"), "uses the host's network")
	}
	if spec.HostPID {
		bad(join(at, "hostPID"), "sees the host's processes")
	}
	if spec.HostIPC {
		bad(join(at, "hostIPC"), "shares the host's IPC")
	}
	for i, v := range spec.Volumes {
		if s := v.VolumeSource; s.ConfigMap == nil && s.CSI == nil && s.DownwardAPI == nil && s.EmptyDir == nil &&
			s.Ephemeral == nil && s.PersistentVolumeClaim == nil && s.Projected == nil && s.Secret == nil && s.Image == nil &&
			s != (corev1.VolumeSource{}) {
			bad(elem(join(at, "volumes"), i), "volume "+v.Name+" is of a kind that is not allowed")
		}
	}
	pod := spec.SecurityContext
	if pod == nil {
		pod = &corev1.PodSecurityContext{}
	}
	for _, c := range w.containers() {
		own := c.SecurityContext
		if own == nil {
			own = &corev1.SecurityContext{}
		}
		container = c.Name
		field, name := join(c.path, "securityContext"), "container "+c.Name+" "
		if isTrue(own.Privileged) {
			bad(join(field, "privileged"), name+"is privileged")
		}
		if own.AllowPrivilegeEscalation == nil || *own.AllowPrivilegeEscalation {
			bad(field, name+"may escalate its privileges (allowPrivilegeEscalation)")
		}
		if own.Capabilities == nil || !slices.Contains(own.Capabilities.Drop, "ALL") {
			bad(field, name+"doesn't drop all capabilities")
		}
		if own.Capabilities != nil {
			for _, add := range own.Capabilities.Add {
				if add != "NET_BIND_SERVICE" {
					bad(join(field, "capabilities.add"), name+"adds the capability "+string(add))
				}
			}
		}
		if nonRoot := first(own.RunAsNonRoot, pod.RunAsNonRoot); !isTrue(nonRoot) {
			bad(field, name+"may run as root (runAsNonRoot)")
		}
		if user := first(own.RunAsUser, pod.RunAsUser); user != nil && *user == 0 {
			bad(field, name+"runs as user 0")
		}
		profile := first(own.SeccompProfile, pod.SeccompProfile)
		if profile == nil || profile.Type == corev1.SeccompProfileTypeUnconfined {
			bad(field, name+"has no seccomp profile (seccompProfile)")
		}
		for _, port := range c.Ports {
			if port.HostPort != 0 {
				bad(join(c.path, "ports"), name+"takes a port of the host")
				break
			}
		}
	}
	return all
}

// first is what a container says, or else its pod.
func first[T any](container, pod *T) *T {
	if container != nil {
		return container
	}
	return pod
}
