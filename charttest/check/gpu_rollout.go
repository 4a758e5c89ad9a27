package check

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var gpuRollout = &Check{
	Name: "gpu-rollout",
	Why: "A Deployment that rolls its pods by starting the new one first waits for a second GPU. Where there is none, " +
		"the old pod keeps it and the rollout never ends.",
	Remedy: "Set strategy.type Recreate, or rollingUpdate.maxUnavailable to at least 1, or use a StatefulSet.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			d, ok := w.object.Typed.(*appsv1.Deployment)
			if !ok || gpuOf(w) == "" || d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
				continue
			}
			replicas := 1
			if d.Spec.Replicas != nil {
				replicas = int(*d.Spec.Replicas)
			}
			unavailable := intstr.FromString("25%")
			if r := d.Spec.Strategy.RollingUpdate; r != nil && r.MaxUnavailable != nil {
				unavailable = *r.MaxUnavailable
			}
			if n, err := intstr.GetScaledValueFromIntOrPercent(&unavailable, replicas, false); err == nil && n == 0 && replicas > 0 {
				p.Report(w.object, "spec.strategy", "replaces its GPU pods by starting the new one first (maxUnavailable %s of %d is 0)", unavailable.String(), replicas)
			}
		}
	},
}
