package check

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/internal/served"
)

var apiAvailable = &Check{
	Name:   "api-available",
	Why:    "The API server refuses objects of a version that it doesn't serve yet, or no longer.",
	Remedy: "Use the version named in the finding; where several Kubernetes versions are served, choose by .Capabilities.KubeVersion.",
	Run: func(p *Pass) {
		target, ok := p.target()
		if !ok {
			return
		}
		for _, o := range p.Render.Objects {
			if _, untyped := o.Typed.(*unstructured.Unstructured); untyped {
				if builtin(o.APIVersion) && o.Kind != "" && o.APIVersion != "" {
					p.gone(o)
				}
				continue
			}
			if t, ok := o.Typed.(interface{ APILifecycleIntroduced() (int, int) }); ok {
				if a, b := t.APILifecycleIntroduced(); !target.reached(a, b) {
					p.Report(o, "apiVersion", "%s %s is served from Kubernetes %d.%d on, not by %d.%d", o.APIVersion, o.Kind, a, b, target.major, target.minor)
				}
			}
			if t, ok := o.Typed.(interface{ APILifecycleRemoved() (int, int) }); ok {
				if a, b := t.APILifecycleRemoved(); target.reached(a, b) {
					p.Report(o, "apiVersion", "%s %s is no longer served since Kubernetes %d.%d%s", o.APIVersion, o.Kind, a, b, instead(o))
				}
			}
		}
	},
}

// gone reports an object of Kubernetes' own groups whose type isn't among
// those of the Kubernetes libraries: it was removed long ago, or never was.
func (p *Pass) gone(o *charttest.Object) {
	if strings.HasSuffix(o.Kind, "List") || o.APIVersion == "apiregistration.k8s.io/v1" || o.APIVersion == "apiregistration.k8s.io/v1beta1" {
		return // aggregation has libraries of its own
	}
	if removed, ok := served.Removed(o.APIVersion, o.Kind); ok {
		if target, ok := p.target(); ok && target.reached(1, removed) {
			p.Report(o, "apiVersion", "%s %s is no longer served since Kubernetes 1.%d", o.APIVersion, o.Kind, removed)
		}
		return
	}
	p.Report(o, "apiVersion", "Kubernetes serves no %s in %s", o.Kind, o.APIVersion)
}

// replaced is a type that says which one took its place.
type replaced interface {
	APILifecycleReplacement() schema.GroupVersionKind
}

func instead(o *charttest.Object) string {
	t, ok := o.Typed.(replaced)
	if !ok {
		return ""
	}
	gvk := t.APILifecycleReplacement()
	return fmt.Sprintf("; use %s", gvk.GroupVersion())
}

// kubernetes is a minor version of Kubernetes.
type kubernetes struct{ major, minor int }

// reached says whether it is of the given version or a later one.
func (k kubernetes) reached(major, minor int) bool {
	return major < k.major || major == k.major && minor <= k.minor
}

// target is the version that the render is for, if it can be told.
func (p *Pass) target() (kubernetes, bool) {
	major, minor, ok := kubeVersion(p.Render.Profile.KubeVersion)
	return kubernetes{major, minor}, ok
}

// kubeVersion reads "1.36", "v1.36.3" and the like; "" is the default version.
func kubeVersion(s string) (major, minor int, ok bool) {
	if s == "" {
		s = charttest.DefaultKubeVersion
	}
	parts := strings.SplitN(strings.TrimPrefix(s, "v"), ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	major, err := strconv.Atoi(parts[0])
	if err != nil {
		return 0, 0, false
	}
	minor, err = strconv.Atoi(strings.TrimRight(parts[1], "+"))
	return major, minor, err == nil
}
