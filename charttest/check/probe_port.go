package check

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var probePort = &Check{
	Name: "probe-port",
	Why: "A probe of a port by a name that its container doesn't have never passes: the pod is never ready, or is killed again and again. " +
		"Numbers are not checked: a container may listen on any, declared or not.",
	Remedy: "Probe a port by the name that the same container gives it, or by its number.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			for _, c := range w.containers() {
				p.probes(w, c)
			}
		}
	},
}

func (p *Pass) probes(w workload, c container) {
	for name, probe := range map[string]*corev1.Probe{
		"livenessProbe": c.LivenessProbe, "readinessProbe": c.ReadinessProbe, "startupProbe": c.StartupProbe,
	} {
		switch {
		case probe == nil:
		case probe.HTTPGet != nil:
			p.probed(w, c, join(c.path, name+".httpGet.port"), probe.HTTPGet.Port, "probes")
		case probe.TCPSocket != nil:
			p.probed(w, c, join(c.path, name+".tcpSocket.port"), probe.TCPSocket.Port, "probes")
		}
	}
	if c.Lifecycle == nil {
		return
	}
	for name, handler := range map[string]*corev1.LifecycleHandler{"postStart": c.Lifecycle.PostStart, "preStop": c.Lifecycle.PreStop} {
		if handler != nil && handler.HTTPGet != nil {
			p.probed(w, c, join(c.path, "lifecycle."+name+".httpGet.port"), handler.HTTPGet.Port, "calls")
		}
	}
}

// probed reports a name that the container gives to no port. The kubelet looks
// it up there alone, not in the pod's other containers.
func (p *Pass) probed(w workload, c container, field string, port intstr.IntOrString, does string) {
	if port.Type == intstr.Int || slices.ContainsFunc(c.Ports, func(have corev1.ContainerPort) bool { return have.Name == port.StrVal }) {
		return
	}
	p.Report(w.object, field, "%s port %s, which container %q doesn't declare", does, port.StrVal, c.Name)
}
