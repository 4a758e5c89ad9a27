package check

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/ai-film/ai-film/charttest"
)

var scope = &Check{
	Name:   "namespace",
	Why:    "An object is looked for in the namespace of whoever names it: pods find no ConfigMap, Service or account in another one, and Services select no pods there.",
	Remedy: "Leave metadata.namespace out, or give both the same; for connections to another namespace use the Service's full name.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			for _, r := range podReferences(w) {
				p.elsewhere(w.object, r)
			}
			p.pullsElsewhere(w.object, w.spec(), w.template.Spec.ImagePullSecrets)
			if sts, ok := w.object.Typed.(*appsv1.StatefulSet); ok {
				p.elsewhere(w.object, reference{"Service", sts.Spec.ServiceName, "spec.serviceName", ""})
			}
		}
		for _, s := range p.scalers() {
			p.elsewhere(s.object, reference{s.kind, s.name, "spec.scaleTargetRef", ""})
		}
		for _, o := range p.Render.Objects {
			switch t := o.Typed.(type) {
			case *corev1.ServiceAccount:
				p.pullsElsewhere(o, "", t.ImagePullSecrets)
			case *corev1.Service:
				if len(t.Spec.Selector) > 0 {
					p.selectsElsewhere(o, "spec.selector", p.index.withLabels(t.Spec.Selector))
				}
			case *policyv1.PodDisruptionBudget:
				p.selectsElsewhere(o, "spec.selector", p.matched(t.Spec.Selector))
			case *networkingv1.NetworkPolicy:
				p.selectsElsewhere(o, "spec.podSelector", p.matched(&t.Spec.PodSelector))
			case *networkingv1.Ingress:
				p.backendsElsewhere(o, t)
			case *rbacv1.RoleBinding:
				p.elsewhere(o, reference{t.RoleRef.Kind, t.RoleRef.Name, "roleRef", ""})
			}
		}
	},
}

// elsewhere reports what an object refers to by name, if the chart makes it in
// other namespaces only.
func (p *Pass) elsewhere(o *charttest.Object, r reference) {
	if r.name == "" || p.index.names[[2]string{r.kind, r.name}] == nil || p.Cluster.Declares(r.kind, r.name) {
		return
	}
	var other *charttest.Object
	for _, made := range p.Render.Objects {
		if made.Kind != r.kind || made.Name != r.name || p.index.clusterScoped(made) {
			continue
		}
		if p.sameNamespace(o, made) {
			return
		}
		other = made
	}
	if other != nil {
		p.Report(o, r.field, "refers to %s in namespace %q, but the chart makes it in %q", other, p.namespace(o), p.namespace(other))
	}
}

func (p *Pass) pullsElsewhere(o *charttest.Object, at string, secrets []corev1.LocalObjectReference) {
	for i, s := range secrets {
		p.elsewhere(o, reference{"Secret", s.Name, elem(join(at, "imagePullSecrets"), i), ""})
	}
}

func (p *Pass) selectsElsewhere(o *charttest.Object, field string, pods []workload) {
	if len(pods) == 0 || slices.ContainsFunc(pods, func(w workload) bool { return p.sameNamespace(o, w.object) }) {
		return
	}
	p.Report(o, field, "selects pods in namespace %q, but those of %s are in %q", p.namespace(o), pods[0].object, p.namespace(pods[0].object))
}

func (p *Pass) backendsElsewhere(o *charttest.Object, i *networkingv1.Ingress) {
	backend := func(b *networkingv1.IngressBackend, field string) {
		if b != nil && b.Service != nil {
			p.elsewhere(o, reference{"Service", b.Service.Name, join(field, "service.name"), ""})
		}
	}
	backend(i.Spec.DefaultBackend, "spec.defaultBackend")
	for k, r := range i.Spec.Rules {
		if r.HTTP == nil {
			continue
		}
		for n := range r.HTTP.Paths {
			backend(&r.HTTP.Paths[n].Backend, join(elem(join(elem("spec.rules", k), "http.paths"), n), "backend"))
		}
	}
	for k, t := range i.Spec.TLS {
		p.elsewhere(o, reference{"Secret", t.SecretName, join(elem("spec.tls", k), "secretName"), ""})
	}
}

// clusterKinds are Kubernetes' kinds that are in no namespace.
var clusterKinds = map[string]bool{
	"APIService": true, "CertificateSigningRequest": true, "ClusterRole": true, "ClusterRoleBinding": true, "ClusterTrustBundle": true, "CSIDriver": true, "CSINode": true,
	"CustomResourceDefinition": true, "DeviceClass": true, "FlowSchema": true, "IngressClass": true, "IPAddress": true, "MutatingAdmissionPolicy": true,
	"MutatingAdmissionPolicyBinding": true, "MutatingWebhookConfiguration": true, "Namespace": true, "Node": true, "PersistentVolume": true,
	"PodSecurityPolicy": true, "PriorityClass": true, "PriorityLevelConfiguration": true, "ResourceSlice": true, "RuntimeClass": true, "ServiceCIDR": true,
	"StorageClass": true, "StorageVersionMigration": true, "ValidatingAdmissionPolicy": true, "ValidatingAdmissionPolicyBinding": true,
	"ValidatingWebhookConfiguration": true, "VolumeAttachment": true, "VolumeAttributesClass": true,
}

// clusterScoped says whether objects of the kind are in no namespace: by
// Kubernetes' own kinds, and by the definitions that the chart makes.
func (ix *index) clusterScoped(o *charttest.Object) bool {
	if builtin(o.APIVersion) {
		return clusterKinds[o.Kind]
	}
	if ix.scopes == nil {
		ix.scopes = map[string]bool{}
		for _, d := range ix.render.Objects {
			if d.Kind != "CustomResourceDefinition" {
				continue
			}
			content := d.Content()
			group, _, _ := unstructured.NestedString(content, "spec", "group")
			kind, _, _ := unstructured.NestedString(content, "spec", "names", "kind")
			scope, _, _ := unstructured.NestedString(content, "spec", "scope")
			ix.scopes[group+"/"+kind] = scope == "Cluster"
		}
	}
	return ix.scopes[groupOf(o.APIVersion)+"/"+o.Kind]
}
