package check

import "slices"

var volumeMounts = &Check{
	Name:   "volume-mounts",
	Why:    "The API server refuses a pod that mounts a volume it doesn't have, mounts two at one path, or has two volumes of one name.",
	Remedy: "Add the volume to spec.volumes, or correct the mount's name or path.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			volumes := map[string]bool{}
			for _, claim := range w.claims {
				volumes[claim] = true
			}
			for i, v := range w.template.Spec.Volumes {
				if volumes[v.Name] && !slices.Contains(w.claims, v.Name) { // a claim takes the place of a volume
					p.Report(w.object, join(elem(join(w.spec(), "volumes"), i), "name"), "a second volume is named %q", v.Name)
				}
				volumes[v.Name] = true
			}
			for _, c := range w.containers() {
				paths := map[string]bool{}
				for i, m := range c.VolumeMounts {
					field := elem(join(c.path, "volumeMounts"), i)
					if !volumes[m.Name] {
						p.Report(w.object, join(field, "name"), "container %q mounts the volume %q, which the pod doesn't have", c.Name, m.Name)
					}
					if m.MountPath == "" {
						p.Report(w.object, field, "container %q mounts the volume %q at no path", c.Name, m.Name)
					} else if paths[m.MountPath] {
						p.Report(w.object, join(field, "mountPath"), "container %q mounts a second volume at %s", c.Name, m.MountPath)
					}
					paths[m.MountPath] = true
				}
			}
		}
	},
}
