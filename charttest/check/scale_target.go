package check

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/ai-film/ai-film/charttest"
)

// scaler is a HorizontalPodAutoscaler of any version.
type scaler struct {
	object     *charttest.Object
	kind, name string // of the target
	most       int32  // replicas
	resources  map[corev1.ResourceName]string
}

func (p *Pass) scalers() []scaler {
	var all []scaler
	for _, o := range p.Render.Objects {
		switch t := o.Typed.(type) {
		case *autoscalingv1.HorizontalPodAutoscaler:
			s := scaler{o, t.Spec.ScaleTargetRef.Kind, t.Spec.ScaleTargetRef.Name, t.Spec.MaxReplicas, nil}
			if t.Spec.TargetCPUUtilizationPercentage != nil {
				s.resources = map[corev1.ResourceName]string{corev1.ResourceCPU: "spec.targetCPUUtilizationPercentage"}
			}
			all = append(all, s)
		case *autoscalingv2.HorizontalPodAutoscaler:
			s := scaler{o, t.Spec.ScaleTargetRef.Kind, t.Spec.ScaleTargetRef.Name, t.Spec.MaxReplicas, map[corev1.ResourceName]string{}}
			for i, m := range t.Spec.Metrics {
				if m.Resource != nil && m.Resource.Target.AverageUtilization != nil {
					s.resources[m.Resource.Name] = elem("spec.metrics", i)
				}
			}
			all = append(all, s)
		}
	}
	return all
}

var scaleTarget = &Check{
	Name:   "scale-target",
	Why:    "A HorizontalPodAutoscaler whose target doesn't exist, or whose pods request none of the resource it measures, never scales.",
	Remedy: "Name the workload's kind and name in spec.scaleTargetRef, and set resources.requests in each of its containers.",
	Run: func(p *Pass) {
		for _, s := range p.scalers() {
			target := p.workload(s.kind, s.name)
			if target == nil {
				if builtinWorkload(s.kind) && !p.has(s.kind, s.name) && !p.madeByOthers(s.kind, s.name) {
					p.Report(s.object, "spec.scaleTargetRef", "scales %s/%s, which this chart doesn't make", s.kind, s.name)
				}
				continue
			}
			for resource, field := range s.resources {
				if spec := target.template.Spec; spec.Resources != nil && has(spec.Resources.Requests, resource) {
					continue
				}
				for _, c := range target.containers() {
					// A limit without a request is a request of that size.
					if !c.init && !has(c.Resources.Requests, resource) && !has(c.Resources.Limits, resource) {
						p.Report(s.object, field, "measures %s use of %s, whose container %q requests none", resource, target.object, c.Name)
					}
				}
			}
		}
	},
}

func has(list corev1.ResourceList, name corev1.ResourceName) bool { _, ok := list[name]; return ok }

func builtinWorkload(kind string) bool {
	return kind == "Deployment" || kind == "StatefulSet" || kind == "ReplicaSet" || kind == "DaemonSet"
}

func (p *Pass) workload(kind, name string) *workload {
	for i, w := range p.index.workloads {
		if w.object.Kind == kind && w.object.Name == name {
			return &p.index.workloads[i]
		}
	}
	return nil
}
