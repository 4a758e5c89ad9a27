package check

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ai-film/ai-film/charttest"
)

var apiAvailable = &Check{
	Name:   "api-available",
	Why:    "The API server refuses objects of a version that it doesn't serve yet, or no longer.",
	Remedy: "Use the version named in the finding; where several Kubernetes versions are served, choose by .Capabilities.KubeVersion.",
	Run: func(p *Pass) {
		major, minor, ok := kubeVersion(p.Render.Profile.KubeVersion)
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
				if a, b := t.APILifecycleIntroduced(); a > major || a == major && b > minor {
					p.report(o, "apiVersion", "%s %s is served from Kubernetes %d.%d on, not by %d.%d", o.APIVersion, o.Kind, a, b, major, minor)
				}
			}
			if t, ok := o.Typed.(interface{ APILifecycleRemoved() (int, int) }); ok {
				if a, b := t.APILifecycleRemoved(); a < major || a == major && b <= minor {
					p.report(o, "apiVersion", "%s %s is no longer served since Kubernetes %d.%d%s", o.APIVersion, o.Kind, a, b, instead(o))
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
	p.report(o, "apiVersion", "Kubernetes serves no %s in %s", o.Kind, o.APIVersion)
}

func instead(o *charttest.Object) string {
	t, ok := o.Typed.(interface {
		APILifecycleReplacement() schema.GroupVersionKind
	})
	if !ok {
		return ""
	}
	gvk := t.APILifecycleReplacement()
	return fmt.Sprintf("; use %s", gvk.GroupVersion())
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
