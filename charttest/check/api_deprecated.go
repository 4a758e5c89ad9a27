package check

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
)

var apiDeprecated = &Check{
	Name:   "api-deprecated",
	Why:    "An API that is deprecated is still served, with a warning at each installation, and will be gone after some upgrade of the cluster.",
	Remedy: "Use the version named in the finding; where older Kubernetes versions are served too, choose by .Capabilities.KubeVersion.",
	Run: func(p *Pass) {
		major, minor, ok := kubeVersion(p.Render.Profile.KubeVersion)
		if !ok {
			return
		}
		reached := func(a, b int) bool { return a < major || a == major && b <= minor }
		for _, o := range p.Render.Objects {
			t, ok := o.Typed.(interface{ APILifecycleDeprecated() (int, int) })
			if !ok {
				continue
			}
			a, b := t.APILifecycleDeprecated()
			if !reached(a, b) {
				continue
			}
			until := ""
			if t, ok := o.Typed.(interface{ APILifecycleRemoved() (int, int) }); ok {
				c, d := t.APILifecycleRemoved()
				if reached(c, d) {
					continue // apiAvailable reports it
				}
				until = fmt.Sprintf(" and gone from %d.%d on", c, d)
			}
			use, ok := successor(o.Typed, reached)
			if !ok {
				continue // there is nothing else to use yet
			}
			p.report(o, "apiVersion", "%s %s is deprecated since Kubernetes %d.%d%s%s", o.APIVersion, o.Kind, a, b, until, use)
		}
	},
}

// successor says what to use in place of a deprecated type, if the version of
// Kubernetes has it.
func successor(t runtime.Object, reached func(major, minor int) bool) (use string, ok bool) {
	if _, endpoints := t.(*corev1.Endpoints); endpoints {
		return "; use discovery.k8s.io/v1 EndpointSlice", true
	}
	r, ok := t.(interface {
		APILifecycleReplacement() schema.GroupVersionKind
	})
	if !ok {
		return "", true
	}
	gvk := r.APILifecycleReplacement()
	if next, err := clientscheme.Scheme.New(gvk); err == nil {
		if n, ok := next.(interface{ APILifecycleIntroduced() (int, int) }); ok && !reached(n.APILifecycleIntroduced()) {
			return "", false
		}
	}
	return fmt.Sprintf("; use %s", gvk.GroupVersion()), true
}
