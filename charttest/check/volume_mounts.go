package check

import appsv1 "k8s.io/api/apps/v1"

var volumeMounts = &Check{
	Name:   "volume-mounts",
	Why:    "The API server refuses a pod that mounts a volume it doesn't have, mounts two at one path, or has two volumes of one name.",
	Remedy: "Add the volume to spec.volumes, or correct the mount's name or path.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			volumes := map[string]bool{}
			if sts, ok := w.object.Typed.(*appsv1.StatefulSet); ok {
				for _, claim := range sts.Spec.VolumeClaimTemplates {
					volumes[claim.Name] = true
				}
			}
			for i, v := range w.template.Spec.Volumes {
				if volumes[v.Name] && !claimTemplate(w, v.Name) {
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

// claimTemplate says whether a StatefulSet has a claim template of that name,
// which takes the place of a volume.
func claimTemplate(w workload, name string) bool {
	sts, ok := w.object.Typed.(*appsv1.StatefulSet)
	if !ok {
		return false
	}
	for _, claim := range sts.Spec.VolumeClaimTemplates {
		if claim.Name == name {
			return true
		}
	}
	return false
}
