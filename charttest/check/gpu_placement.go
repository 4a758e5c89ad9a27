package check

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

var gpuPlacement = &Check{
	Name: "gpu-placement",
	Why: "Nodes with GPUs are tainted so that only GPU work lands on them: a GPU pod without the toleration is never scheduled there, " +
		"and a pod that selects or tolerates GPU nodes without asking for a GPU takes their place from those that need one.",
	Remedy: "Set the GPU limit, the toleration of its taint and the selector of its nodes together.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			if w.object.Kind == "DaemonSet" {
				continue // drivers and exporters serve every node
			}
			spec := &w.template.Spec
			gpu := gpuOf(w)
			accelerator := ""
			for key := range spec.NodeSelector {
				if key == "cloud.google.com/gke-accelerator" || strings.HasPrefix(key, "nvidia.com/gpu") {
					accelerator = key
				}
			}
			tolerated := false
			for i, t := range spec.Tolerations {
				if t.Key != "nvidia.com/gpu" {
					tolerated = tolerated || t.Key == "" && t.Operator == corev1.TolerationOpExists
					continue
				}
				tolerated = true
				if gpu == "" && accelerator == "" {
					p.Report(w.object, elem(join(w.spec(), "tolerations"), i), "tolerates GPU nodes but no container asks for a GPU")
				}
			}
			switch {
			case accelerator != "" && gpu == "":
				p.Report(w.object, join(w.spec(), "nodeSelector"), "selects GPU nodes (%s) but no container asks for a GPU", accelerator)
			case accelerator == "cloud.google.com/gke-accelerator" && !tolerated:
				p.Report(w.object, join(w.spec(), "nodeSelector"), "selects GPU nodes (%s) but doesn't tolerate their taint nvidia.com/gpu", accelerator)
			}
		}
	},
}

// gpuOf is the GPU resource that a workload's pods ask for, or "".
func gpuOf(w workload) corev1.ResourceName {
	for _, c := range w.containers() {
		for _, list := range []corev1.ResourceList{c.Resources.Limits, c.Resources.Requests} {
			for name, q := range list {
				if isGPU(name) && !q.IsZero() {
					return name
				}
			}
		}
	}
	return ""
}

func isGPU(name corev1.ResourceName) bool {
	s := string(name)
	return strings.HasSuffix(s, "/gpu") || strings.HasPrefix(s, "gpu.") || strings.HasPrefix(s, "nvidia.com/mig-")
}
