package check

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var probePort = &Check{
	Name:   "probe-port",
	Why:    "A probe of a port that the container doesn't have never passes: the pod is never ready, or is killed again and again.",
	Remedy: "Probe a port that the container declares, best by its name.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			for _, c := range w.containers() {
				for name, probe := range map[string]*corev1.Probe{
					"livenessProbe": c.LivenessProbe, "readinessProbe": c.ReadinessProbe, "startupProbe": c.StartupProbe,
				} {
					if probe == nil {
						continue
					}
					if port, field, ok := probed(probe); ok && !declares(w, c, port) && !p.hidden(w, port) {
						p.report(w.object, join(join(c.path, name), field), "probes port %s, which container %q doesn't declare", port.String(), c.Name)
					}
				}
				if c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.HTTPGet != nil {
					if port := c.Lifecycle.PreStop.HTTPGet.Port; port.Type == intstr.String && !declares(w, c, port) {
						p.report(w.object, join(c.path, "lifecycle.preStop.httpGet.port"), "calls port %q, which container %q doesn't declare", port.StrVal, c.Name)
					}
				}
			}
		}
	},
}

// hidden says whether a number is a port that the container has without
// declaring it, as nothing forces it to: its programs are told of it, or
// another probe of the chart goes there too.
func (p *Pass) hidden(w workload, port intstr.IntOrString) bool {
	if port.Type == intstr.String {
		return false
	}
	probes := 0
	for _, other := range p.index.workloads {
		for _, c := range other.containers() {
			for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
				if probe == nil {
					continue
				}
				if to, _, ok := probed(probe); ok && to == port {
					probes++
				}
			}
		}
	}
	return probes > 1 || p.index.tells(w, port.String())
}

// probed is the port that a probe goes to, if that is the pod itself.
func probed(probe *corev1.Probe) (port intstr.IntOrString, field string, ok bool) {
	switch {
	case probe.HTTPGet != nil && probe.HTTPGet.Host == "":
		return probe.HTTPGet.Port, "httpGet.port", true
	case probe.TCPSocket != nil && probe.TCPSocket.Host == "":
		return probe.TCPSocket.Port, "tcpSocket.port", true
	case probe.GRPC != nil:
		return intstr.FromInt32(probe.GRPC.Port), "grpc.port", true
	}
	return port, "", false
}

// declares says whether a container declares a port. The kubelet looks a name
// up in the probed container alone; a number may be a neighbour's. A pod that
// declares no ports at all is given the benefit of the doubt for numbers.
func declares(w workload, c container, port intstr.IntOrString) bool {
	if port.Type == intstr.String {
		for _, have := range c.Ports {
			if have.Name == port.StrVal {
				return true
			}
		}
		return false
	}
	if len(c.Ports) == 0 || w.template.Spec.HostNetwork {
		return true
	}
	for _, neighbour := range w.containers() {
		for _, have := range neighbour.Ports {
			if have.ContainerPort == port.IntVal {
				return true
			}
		}
	}
	return false
}
