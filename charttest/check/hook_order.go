package check

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ai-film/ai-film/charttest"
)

var hookOrder = &Check{
	Name: "hook-order",
	Why: "Helm runs hooks before or after it makes what is no hook. A pod of a pre-install hook that uses an object of the release waits for it " +
		"until the installation times out, and so does one whose object is deleted before it.",
	Remedy: "Make what the hook uses a hook of the same event with a lower weight, use a later event (post-install), or leave the annotation off.",
	Run: func(p *Pass) {
		for _, w := range p.index.workloads {
			for _, r := range podReferences(w) {
				if used := p.index.names[[2]string{r.kind, r.name}]; used != nil && !used.CRD {
					p.hookUses(w.object, r.field, used)
				}
			}
			for i, s := range w.template.Spec.ImagePullSecrets {
				if used := p.index.names[[2]string{"Secret", s.Name}]; used != nil {
					p.hookUses(w.object, elem(join(w.spec(), "imagePullSecrets"), i), used)
				}
			}
			p.hookRights(w)
		}
	},
}

// hookUses reports an object that isn't there when its user is made.
func (p *Pass) hookUses(o *charttest.Object, field string, used *charttest.Object) {
	if o.Hook == nil {
		// What is deleted again before the release is made, or made for another
		// occasion.
		switch h := used.Hook; {
		case h == nil:
		case on(used, "post-install") || on(used, "post-upgrade"): // made in the end; pods wait for it
		case on(used, "pre-install") && slices.Contains(h.DeletePolicies, "hook-succeeded"):
			p.Report(o, field, "uses %s, a hook that Helm deletes (hook-succeeded) before it makes %s", used, o)
		case !on(used, "pre-install") && !on(used, "pre-upgrade"):
			p.Report(o, field, "uses %s, a hook that is made only for %v", used, h.Events)
		}
		return
	}
	if on(o, "pre-install") {
		switch {
		case used.Hook == nil:
			p.Report(o, field, "is a pre-install hook and uses %s, which is made after it", used)
		case !on(used, "pre-install"):
			p.Report(o, field, "is a pre-install hook and uses %s, which is a hook of %v only", used, used.Hook.Events)
		case used.Hook.Weight > o.Hook.Weight:
			p.Report(o, field, "is a hook of weight %d and uses %s, of weight %d: it is made after it", o.Hook.Weight, used, used.Hook.Weight)
		}
	} else if on(o, "post-delete") && used.Hook == nil && !kept(used) {
		p.Report(o, field, "is a post-delete hook and uses %s, which is deleted before it", used)
	}
}

// hookRights reports the account of a pre-install hook that gets its rights
// after it.
func (p *Pass) hookRights(w workload) {
	name := w.template.Spec.ServiceAccountName
	account := p.index.names[[2]string{"ServiceAccount", name}]
	if account == nil || account.Hook == nil || !on(w.object, "pre-install") || !on(account, "pre-install") {
		return
	}
	var late *charttest.Object
	for _, o := range p.Render.Objects {
		var subjects []rbacv1.Subject
		switch t := o.Typed.(type) {
		case *rbacv1.RoleBinding:
			subjects = t.Subjects
		case *rbacv1.ClusterRoleBinding:
			subjects = t.Subjects
		}
		if !slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool { return s.Kind == rbacv1.ServiceAccountKind && s.Name == name }) {
			continue
		}
		if on(o, "pre-install") {
			return // at least some of them
		}
		late = o
	}
	if late != nil {
		p.Report(w.object, join(w.spec(), "serviceAccountName"), "is a pre-install hook, and its account gets its rights by %s, which is made after it", late)
	}
}

func on(o *charttest.Object, event string) bool {
	return o.Hook != nil && slices.Contains(o.Hook.Events, event)
}

// kept says whether Helm leaves an object where it is.
func kept(o *charttest.Object) bool {
	meta, _ := o.Content()["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	return annotations["helm.sh/resource-policy"] == "keep"
}
