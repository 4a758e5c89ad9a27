package check

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/ai-film/ai-film/charttest"
)

var references = &Check{
	Name: "references",
	Why: "A pod that refers to a ConfigMap, Secret, claim, ServiceAccount or class that doesn't exist is never started, " +
		"or a claim is never bound.",
	Remedy: "Make the object in the chart, correct its name, mark the reference optional, or declare it as made by others " +
		"(external: [Secret/NAME] under cluster in the verify configuration). What an account of the chart may create, and what a program or an operator " +
		"is told the name of, is taken to be made by them.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			for _, r := range append(podReferences(w), claimClasses(w)...) {
				p.reference(w.object, r)
			}
		}
		for _, o := range p.Render.Objects {
			switch t := o.Typed.(type) {
			case *corev1.PersistentVolumeClaim:
				if class := t.Spec.StorageClassName; class != nil && *class != "" {
					p.reference(o, reference{"StorageClass", *class, "spec.storageClassName", ""})
				}
			case *networkingv1.Ingress:
				if class := t.Spec.IngressClassName; class != nil && *class != "" {
					p.reference(o, reference{"IngressClass", *class, "spec.ingressClassName", ""})
				}
			}
		}
	},
}

// reference is an object that another can't do without.
type reference struct {
	kind, name, field string
	key               string // in the ConfigMap or Secret; "" for any
}

// wellKnown are objects that every cluster has.
var wellKnown = map[string]bool{
	"ServiceAccount/default":                true,
	"ConfigMap/istio-ca-root-cert":          true, // istiod puts it into every namespace
	"ConfigMap/openshift-service-ca.crt":    true,
	"PriorityClass/system-cluster-critical": true,
	"PriorityClass/system-node-critical":    true,
	"ConfigMap/kube-root-ca.crt":            true,
}

func (p *Pass) reference(o *charttest.Object, r reference) {
	if r.name == "" || wellKnown[r.kind+"/"+r.name] {
		return
	}
	if made := p.index.names[[2]string{r.kind, r.name}]; made != nil {
		if r.key != "" && !hasKey(made, r.key) && !p.index.filled(made) && !p.Cluster.Declares(r.kind, r.name) {
			p.Report(o, r.field, "refers to key %q of %s, which it doesn't have", r.key, made)
		}
		return
	}
	switch r.kind {
	case "StorageClass", "IngressClass", "RuntimeClass", "PriorityClass":
		// Classes belong to the cluster; with nothing said of it, a name from
		// the user's values is taken at its word.
		if !p.Cluster.described() || p.Cluster.Declares(r.kind, r.name) {
			return
		}
	default:
		if r.kind == "PersistentVolumeClaim" && p.index.claimed(r.name) || !p.meant(r) || p.madeByOthers(r.kind, r.name) {
			return
		}
	}
	// Once is enough to say what is missing, or to be declared.
	if missing := [2]string{r.kind, r.name}; !p.missing[missing] {
		if p.missing == nil {
			p.missing = map[[2]string]bool{}
		}
		p.missing[missing] = true
		p.Report(o, r.field, "refers to %s %q, which this chart doesn't make and nobody declares as external", r.kind, r.name)
	}
}

// described says whether anything is known of the cluster.
func (c Cluster) described() bool { return len(c.Nodes) > 0 || len(c.External) > 0 }

// meant says whether a missing object looks as if the chart meant to make it:
// its name carries the release's or chart's name, or the chart makes objects of
// that kind. A chart that makes none of the kind is told its names by values.
func (p *Pass) meant(r reference) bool {
	if p.owned(r.name) || p.Cluster.described() {
		return true
	}
	return !p.index.told().texts[r.name] && p.index.any(r.kind)
}

func hasKey(o *charttest.Object, key string) bool {
	for _, field := range []string{"data", "stringData", "binaryData"} {
		if data, ok := o.Content()[field].(map[string]any); ok {
			if _, ok := data[key]; ok {
				return true
			}
		}
	}
	return false
}

// podReferences are the objects that a workload's pods can't start without.
func podReferences(w workload) []reference {
	spec, at := &w.template.Spec, w.spec()
	refs := []reference{{"ServiceAccount", spec.ServiceAccountName, join(at, "serviceAccountName"), ""}}
	if spec.PriorityClassName != "" {
		refs = append(refs, reference{"PriorityClass", spec.PriorityClassName, join(at, "priorityClassName"), ""})
	}
	if spec.RuntimeClassName != nil {
		refs = append(refs, reference{"RuntimeClass", *spec.RuntimeClassName, join(at, "runtimeClassName"), ""})
	}
	for i, v := range spec.Volumes {
		field := elem(join(at, "volumes"), i)
		switch {
		case v.ConfigMap != nil && !isTrue(v.ConfigMap.Optional):
			refs = append(refs, items("ConfigMap", v.ConfigMap.Name, join(field, "configMap"), v.ConfigMap.Items)...)
		case v.Secret != nil && !isTrue(v.Secret.Optional):
			refs = append(refs, items("Secret", v.Secret.SecretName, join(field, "secret"), v.Secret.Items)...)
		case v.PersistentVolumeClaim != nil:
			refs = append(refs, reference{"PersistentVolumeClaim", v.PersistentVolumeClaim.ClaimName, join(field, "persistentVolumeClaim.claimName"), ""})
		case v.Projected != nil:
			for j, s := range v.Projected.Sources {
				source := elem(join(field, "projected.sources"), j)
				if s.ConfigMap != nil && !isTrue(s.ConfigMap.Optional) {
					refs = append(refs, items("ConfigMap", s.ConfigMap.Name, join(source, "configMap"), s.ConfigMap.Items)...)
				}
				if s.Secret != nil && !isTrue(s.Secret.Optional) {
					refs = append(refs, items("Secret", s.Secret.Name, join(source, "secret"), s.Secret.Items)...)
				}
			}
		}
	}
	for _, c := range w.containers() {
		for i, from := range c.EnvFrom {
			field := elem(join(c.path, "envFrom"), i)
			if from.ConfigMapRef != nil && !isTrue(from.ConfigMapRef.Optional) {
				refs = append(refs, reference{"ConfigMap", from.ConfigMapRef.Name, join(field, "configMapRef.name"), ""})
			}
			if from.SecretRef != nil && !isTrue(from.SecretRef.Optional) {
				refs = append(refs, reference{"Secret", from.SecretRef.Name, join(field, "secretRef.name"), ""})
			}
		}
		for i, env := range c.Env {
			field := elem(join(c.path, "env"), i)
			if env.ValueFrom == nil {
				continue
			}
			if k := env.ValueFrom.ConfigMapKeyRef; k != nil && !isTrue(k.Optional) {
				refs = append(refs, reference{"ConfigMap", k.Name, join(field, "valueFrom.configMapKeyRef"), k.Key})
			}
			if k := env.ValueFrom.SecretKeyRef; k != nil && !isTrue(k.Optional) {
				refs = append(refs, reference{"Secret", k.Name, join(field, "valueFrom.secretKeyRef"), k.Key})
			}
		}
	}
	return refs
}

// items refers to an object once for each key that a volume takes from it.
func items(kind, name, field string, keys []corev1.KeyToPath) []reference {
	if len(keys) == 0 {
		return []reference{{kind, name, field, ""}}
	}
	var refs []reference
	for i, k := range keys {
		refs = append(refs, reference{kind, name, elem(join(field, "items"), i), k.Key})
	}
	return refs
}

func isTrue(b *bool) bool { return b != nil && *b }
