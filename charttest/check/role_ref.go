package check

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ai-film/ai-film/charttest"
)

var roleRef = &Check{
	Name:   "role-ref",
	Why:    "A binding to a role or an account that doesn't exist grants nothing: the pod is refused at run time.",
	Remedy: "Name a role of the chart (or a ClusterRole of the cluster) and the ServiceAccount that its pods use, in its namespace.",
	Run: func(p *Pass) {
		for _, o := range p.Render.Objects {
			switch t := o.Typed.(type) {
			case *rbacv1.RoleBinding:
				p.binding(o, t.RoleRef, t.Subjects)
			case *rbacv1.ClusterRoleBinding:
				p.binding(o, t.RoleRef, t.Subjects)
			}
		}
	},
}

func (p *Pass) binding(o *charttest.Object, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
	if ref.Name != "" && ref.Kind == "Role" && !p.has("Role", ref.Name) && p.index.any("Role") && p.namespace(o) == p.releaseNamespace() && !p.madeByOthers("Role", ref.Name) {
		// Roles of other namespaces, such as extension-apiserver-authentication-reader, are the cluster's.
		p.Report(o, "roleRef", "binds Role %q, which this chart doesn't make", ref.Name)
	}
	for i, s := range subjects {
		if s.Kind != rbacv1.ServiceAccountKind {
			continue
		}
		account := p.index.names[[2]string{"ServiceAccount", s.Name}]
		field := elem("subjects", i)
		switch {
		case account == nil && p.owned(s.Name) && p.namespaceOf(s) == p.namespace(o) && !p.madeByOthers("ServiceAccount", s.Name):
			p.Report(o, join(field, "name"), "binds ServiceAccount %q, which this chart doesn't make", s.Name)
		case account != nil && s.Namespace != "" && s.Namespace != p.namespace(account):
			p.Report(o, join(field, "namespace"), "binds ServiceAccount %q in namespace %q, but the chart makes it in %q", s.Name, s.Namespace, p.namespace(account))
		}
	}
}

func (p *Pass) namespaceOf(s rbacv1.Subject) string {
	if s.Namespace != "" {
		return s.Namespace
	}
	return p.releaseNamespace()
}

// owned says whether a name is made up of the release's or the chart's, as
// names of the chart's own objects are. Others are told by the user, and so is
// one that stands in the values letter by letter.
func (p *Pass) owned(name string) bool {
	if p.index.told().texts[name] {
		return false
	}
	release := p.Render.Profile.Release
	if release == "" {
		release = "release-name"
	}
	return strings.Contains(name, release) || strings.Contains(name, p.Render.Chart.Name())
}

// any says whether the render makes objects of a kind.
func (ix *index) any(kind string) bool {
	for key := range ix.names {
		if key[0] == kind {
			return true
		}
	}
	return false
}
