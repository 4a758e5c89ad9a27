package check

var namedPorts = &Check{
	Name:   "ports",
	Why:    "Where two containers of a pod have ports of one name, a Service that asks for the name gets either.",
	Remedy: "Give each port of the pod a name of its own.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			names := map[string]string{}
			for _, c := range w.containers() {
				for i, port := range c.Ports {
					if c.init || port.Name == "" {
						continue
					}
					if other := names[port.Name]; other != "" && other != c.Name {
						p.Report(w.object, join(elem(join(c.path, "ports"), i), "name"), "containers %q and %q both have a port named %q", other, c.Name, port.Name)
					}
					names[port.Name] = c.Name
				}
			}
		}
	},
}
