package check

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	clientscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/ai-film/ai-film/charttest"
)

var apiDeprecated = &Check{
	Name:   "api-deprecated",
	Why:    "An API that is deprecated is still served, with a warning at each installation, and will be gone after some upgrade of the cluster.",
	Remedy: "Use the version named in the finding; where older Kubernetes versions are served too, choose by .Capabilities.KubeVersion.",
	Run: func(p *Pass) {
		target, ok := p.target()
		if !ok {
			return
		}
		for _, o := range p.Render.Objects {
			t, ok := o.Typed.(interface{ APILifecycleDeprecated() (int, int) })
			if !ok {
				continue
			}
			a, b := t.APILifecycleDeprecated()
			if !target.reached(a, b) {
				continue
			}
			until := ""
			if t, ok := o.Typed.(interface{ APILifecycleRemoved() (int, int) }); ok {
				c, d := t.APILifecycleRemoved()
				if target.reached(c, d) {
					continue // apiAvailable reports it
				}
				until = fmt.Sprintf(" and gone from %d.%d on", c, d)
			}
			use, ok := successor(o, target)
			if !ok {
				continue // there is nothing else to use yet
			}
			p.Report(o, "apiVersion", "%s %s is deprecated since Kubernetes %d.%d%s%s", o.APIVersion, o.Kind, a, b, until, use)
		}
	},
}

// successor says what to use in place of a deprecated type, if the version of
// Kubernetes has it.
func successor(o *charttest.Object, target kubernetes) (use string, ok bool) {
	if _, endpoints := o.Typed.(*corev1.Endpoints); endpoints {
		return "; use discovery.k8s.io/v1 EndpointSlice", true
	}
	if r, ok := o.Typed.(replaced); ok {
		if next, err := clientscheme.Scheme.New(r.APILifecycleReplacement()); err == nil {
			if n, ok := next.(interface{ APILifecycleIntroduced() (int, int) }); ok && !target.reached(n.APILifecycleIntroduced()) {
				return "", false
			}
		}
	}
	return instead(o), true
}
