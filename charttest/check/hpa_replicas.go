package check

var hpaReplicas = &Check{
	Name:   "hpa-replicas",
	Why:    "A workload that is scaled by a HorizontalPodAutoscaler and sets replicas too is set back to that number at each upgrade.",
	Remedy: "Leave spec.replicas out of the workload while its autoscaler is enabled.",
	Run: func(p *Pass) {
		for _, s := range p.scalers() {
			if w := p.workload(s.kind, s.name); w != nil && w.replicas != nil {
				p.Report(w.object, "spec.replicas", "sets replicas, which %s also does", s.object)
			}
		}
	},
}
