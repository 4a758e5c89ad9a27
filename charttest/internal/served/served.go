// Package served knows which versions and kinds the API servers of each version
// of Kubernetes serve, from the lifecycles that Kubernetes' types declare.
package served

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
)

// Kinds are the versions and kinds that an API server of a version of
// Kubernetes serves without further ado, as .Capabilities.APIVersions has them
// in an installation: "apps/v1", "apps/v1/Deployment". It is nil for versions
// that can't be read.
func Kinds(kubeVersion string) []string {
	parts := strings.SplitN(strings.TrimPrefix(kubeVersion, "v"), ".", 3)
	if len(parts) < 2 {
		return nil
	}
	minor, err := strconv.Atoi(strings.TrimRight(parts[1], "+"))
	if err != nil || parts[0] != "1" {
		return nil
	}
	all, _ := servedBy.LoadOrStore(minor, sync.OnceValue(func() []string { return servedIn(minor) }))
	return all.(func() []string)()
}

var servedBy sync.Map // func() []string by minor version

// elsewhere are kinds whose types Kubernetes' libraries have elsewhere, or no
// longer have, and the minor version that stopped serving them; 0 for none.
var elsewhere = map[string]int{
	"apiregistration.k8s.io/v1/APIService": 0, "apiregistration.k8s.io/v1beta1/APIService": 22,
	"autoscaling/v2beta1/HorizontalPodAutoscaler": 25, "autoscaling/v2beta2/HorizontalPodAutoscaler": 26,
	"policy/v1beta1/PodSecurityPolicy": 25, "extensions/v1beta1/PodSecurityPolicy": 16,
	"batch/v2alpha1/CronJob": 21, // alpha, and off by default
}

// Removed says which minor version of Kubernetes stopped serving a kind that its
// libraries no longer have; ok is false if there never was one.
func Removed(apiVersion, kind string) (minor int, ok bool) {
	minor = elsewhere[apiVersion+"/"+kind]
	return minor, minor > 0
}

// scheme are Kubernetes' own types, and CRDs.
var scheme = sync.OnceValue(func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, apiextensionsv1.AddToScheme, apiextensionsv1beta1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // two types of one name in Kubernetes' own packages
		}
	}
	return s
})

// unasked are kinds that no collection of objects has: of subresources, of
// messages.
var unasked = map[string]bool{"ConversionReview": true, "Eviction": true, "RangeAllocation": true, "Scale": true, "SerializedReference": true,
	"TokenRequest": true, "WatchEvent": true}

func servedIn(minor int) []string {
	seen := map[string]bool{}
	for gvk := range scheme().AllKnownTypes() {
		if strings.HasSuffix(gvk.Kind, "List") || strings.HasSuffix(gvk.Kind, "Options") || unasked[gvk.Kind] || !servesKind(gvk, minor) {
			continue
		}
		gv := gvk.GroupVersion().String()
		seen[gv], seen[gv+"/"+gvk.Kind] = true, true
	}
	for id, removed := range elsewhere {
		if (removed == 0 || minor < removed) && !strings.Contains(id, "alpha") {
			seen[id[:strings.LastIndexByte(id, '/')]], seen[id] = true, true
		}
	}
	var all []string
	for v := range seen {
		all = append(all, v)
	}
	slices.Sort(all)
	return all
}

// servesKind says whether a minor version serves a kind: from its introduction
// until its removal. Alpha versions are off, and beta versions that came with
// 1.24 or later too, unless their group had been on before.
func servesKind(gvk schema.GroupVersionKind, minor int) bool {
	typed, err := scheme().New(gvk)
	if err != nil {
		return false
	}
	in, ok := typed.(interface{ APILifecycleIntroduced() (int, int) })
	if !ok {
		return gvk.Group == "apiextensions.k8s.io" && (gvk.Version == "v1" && minor >= 16 || gvk.Version == "v1beta1" && minor < 22)
	}
	_, introduced := in.APILifecycleIntroduced()
	if introduced > minor || strings.Contains(gvk.Version, "alpha") ||
		strings.Contains(gvk.Version, "beta") && introduced >= 24 && gvk.Group != "flowcontrol.apiserver.k8s.io" {
		return false
	}
	if out, ok := typed.(interface{ APILifecycleRemoved() (int, int) }); ok {
		if _, removed := out.APILifecycleRemoved(); removed <= minor {
			return false
		}
	}
	return true
}
