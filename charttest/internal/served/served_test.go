package served

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/discovery"

	"github.com/ai-film/ai-film/charttest/internal/envtest"
)

// What is taken to be served is what a server of that version serves.
func TestServedAsAServerSays(t *testing.T) {
	client, err := discovery.NewDiscoveryClientForConfig(envtest.Start(t))
	require.NoError(t, err)
	version, err := client.ServerVersion()
	require.NoError(t, err)
	_, lists, err := client.ServerGroupsAndResources()
	require.NoError(t, err)
	have := Kinds(version.GitVersion)
	require.NotEmpty(t, have)
	want := map[string]bool{}
	for _, list := range lists {
		for _, r := range list.APIResources {
			if !strings.Contains(r.Name, "/") { // of subresources the kind is another version's
				want[list.GroupVersion], want[list.GroupVersion+"/"+r.Kind] = true, true
			}
		}
	}
	for v := range want {
		require.Contains(t, have, v, "served, but not taken for it")
	}
	for _, v := range have {
		if gv := v[:max(0, strings.LastIndexByte(v, '/'))]; slices.Contains(have, gv) && !want[v] {
			t.Errorf("%s is taken to be served, and isn't", v)
		} else if !slices.Contains(have, gv) && !want[v] {
			t.Errorf("version %s is taken to be served, and isn't", v)
		}
	}
}

func TestServedByVersion(t *testing.T) {
	for _, c := range []struct {
		version, api string
		is           bool
	}{
		{"1.33", "resource.k8s.io/v1", false},
		{"1.34", "resource.k8s.io/v1", true},
		{"1.34", "resource.k8s.io/v1/ResourceClaim", true},
		{"1.33", "resource.k8s.io/v1beta1", false},
		{"v1.36.2", "networking.k8s.io/v1/Ingress", true},
		{"1.36", "networking.k8s.io/v1beta1/Ingress", false},
		{"1.21", "networking.k8s.io/v1beta1/Ingress", true},
		{"1.24", "policy/v1beta1/PodDisruptionBudget", true},
		{"1.25", "policy/v1beta1/PodDisruptionBudget", false},
		{"1.20", "policy/v1", false},
		{"1.30", "apiregistration.k8s.io/v1/APIService", true},
		{"1.30", "apiextensions.k8s.io/v1/CustomResourceDefinition", true},
		{"1.36", "v1/Pod", true},
		{"1.36", "autoscaling/v2beta2", false},
		{"1.25", "autoscaling/v2beta2/HorizontalPodAutoscaler", true},
		{"1.24", "policy/v1beta1/PodSecurityPolicy", true},
		{"1.36", "monitoring.coreos.com/v1", false},
	} {
		require.Equal(t, c.is, slices.Contains(Kinds(c.version), c.api), "%s at %s", c.api, c.version)
	}
	require.Nil(t, Kinds("new"))
}
