package check

var memoryUnit = &Check{
	Name:   "memory-unit",
	Why:    "Memory without a unit is in bytes: a container that is limited to 512 of them is killed as it starts.",
	Remedy: "Write the unit: 512Mi.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			for _, c := range w.containers() {
				if limit := c.Resources.Limits.Memory(); limit.Sign() > 0 && limit.Value() < 1<<20 {
					p.Report(w.object, join(c.path, "resources.limits.memory"), "container %q is limited to %s of memory: is the unit missing?", c.Name, limit)
				}
			}
		}
	},
}
