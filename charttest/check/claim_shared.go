package check

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/ai-film/ai-film/charttest"
)

var claimShared = &Check{
	Name: "claim-shared",
	Why: "A volume that one node at a time can mount (ReadWriteOnce) and that pods on several nodes use leaves all but one node's pods " +
		"waiting with Multi-Attach errors.",
	Remedy: "Use ReadWriteMany, one claim for each pod, strategy Recreate for a single pod, or keep the pods on one node; on a single-node cluster describe it so.",
	Run: func(p *Pass) {
		p.rolling()
		if p.Cluster.singleNode() {
			return
		}
		for _, o := range p.Render.Objects {
			claim, ok := o.Typed.(*corev1.PersistentVolumeClaim)
			if !ok || len(claim.Spec.AccessModes) == 0 || shareable(claim.Spec.AccessModes) {
				continue
			}
			pods, users := 0, []*charttest.Object{}
			for _, w := range p.index.workloads {
				if !mounts(w, o.Name) || w.object.Hook != nil || pinned(w) {
					continue
				}
				users = append(users, w.object)
				switch n := w.pods(); {
				case n < 0:
					pods += 2 // every node
				case p.scaled(w) != nil:
					pods += 2
				default:
					pods += n
				}
			}
			if pods < 2 || len(users) == 1 && users[0].Kind == "CronJob" {
				continue
			}
			if len(users) == 1 {
				p.Report(o, "spec.accessModes", "is %s, but up to %d pods of %s use it", claim.Spec.AccessModes[0], pods, users[0])
			} else {
				p.Report(o, "spec.accessModes", "is %s, but %s, %s%s use it", claim.Spec.AccessModes[0], users[0], users[1], more(len(users)-2))
			}
		}
	},
}

// rolling reports a Deployment whose new pod is started before the old one
// ends, where both need a volume that only one of them can have: on another
// node, or (ReadWriteOncePod) anywhere.
func (p *Pass) rolling() {
	for _, w := range p.index.workloads {
		d, ok := w.object.Typed.(*appsv1.Deployment)
		if !ok || d.Spec.Replicas != nil && *d.Spec.Replicas != 1 || p.scaled(w) != nil || !startsFirst(d) {
			continue // with several replicas the claim is shared anyhow
		}
		for _, v := range w.template.Spec.Volumes {
			if v.PersistentVolumeClaim == nil {
				continue
			}
			made := p.index.names[[2]string{"PersistentVolumeClaim", v.PersistentVolumeClaim.ClaimName}]
			if made == nil || !p.sameNamespace(w.object, made) {
				continue
			}
			claim, ok := made.Typed.(*corev1.PersistentVolumeClaim)
			if !ok || len(claim.Spec.AccessModes) == 0 || shareable(claim.Spec.AccessModes) {
				continue
			}
			mode := claim.Spec.AccessModes[0]
			if mode == corev1.ReadWriteOnce && (p.Cluster.singleNode() || pinned(w)) {
				continue
			}
			p.Report(w.object, "spec.strategy", "starts a new pod before the old one ends (RollingUpdate), and %s is %s: on another node the new one waits for the volume, and the rollout never ends", made, mode)
			break
		}
	}
}

// startsFirst says whether a rollout of a single pod starts the new one before
// it ends the old one.
func startsFirst(d *appsv1.Deployment) bool {
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return false
	}
	r := d.Spec.Strategy.RollingUpdate
	if r == nil || r.MaxUnavailable == nil {
		return true // 25 % of one, rounded down
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(r.MaxUnavailable, 1, false)
	return err == nil && n == 0
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return " and others"
}

func shareable(modes []corev1.PersistentVolumeAccessMode) bool {
	for _, m := range modes {
		if m == corev1.ReadWriteMany || m == corev1.ReadOnlyMany {
			return true
		}
	}
	return false
}

func mounts(w workload, claim string) bool {
	for _, v := range w.template.Spec.Volumes {
		if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim {
			return true
		}
	}
	return false
}

// pinned says whether pods are kept on one node or together with others.
func pinned(w workload) bool {
	spec := w.template.Spec
	if spec.NodeName != "" || spec.NodeSelector[corev1.LabelHostname] != "" {
		return true
	}
	if spec.Affinity != nil && spec.Affinity.PodAffinity != nil {
		for _, term := range spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
			if term.TopologyKey == corev1.LabelHostname {
				return true
			}
		}
	}
	return false
}

// claimClasses are the storage classes of claims that are made for each pod: by
// a StatefulSet, or with an ephemeral volume.
func claimClasses(w workload) (refs []reference) {
	add := func(class *string, field string) {
		if class != nil && *class != "" {
			refs = append(refs, reference{"StorageClass", *class, join(field, "spec.storageClassName"), ""})
		}
	}
	if sts, ok := w.object.Typed.(*appsv1.StatefulSet); ok {
		for i, c := range sts.Spec.VolumeClaimTemplates {
			add(c.Spec.StorageClassName, elem("spec.volumeClaimTemplates", i))
		}
	}
	for i, v := range w.template.Spec.Volumes {
		if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
			add(v.Ephemeral.VolumeClaimTemplate.Spec.StorageClassName, join(elem(join(w.spec(), "volumes"), i), "ephemeral.volumeClaimTemplate"))
		}
	}
	return refs
}
