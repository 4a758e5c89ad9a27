package dryrun_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/dryrun"
	"github.com/ai-film/ai-film/charttest/internal/controlplane"
	"github.com/ai-film/ai-film/charttest/internal/envtest"
)

// api is the API server of all tests; nil if there are no programs for it.
var api *controlplane.ControlPlane

func TestMain(m *testing.M) {
	var err error
	if api, err = envtest.Run(); err != nil && !errors.Is(err, envtest.ErrNoPrograms) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if api != nil {
		api.Stop()
	}
	os.Exit(code)
}

// connect connects to the API server, or skips the test.
func connect(t *testing.T) *dryrun.Server {
	t.Helper()
	needServer(t)
	s, err := dryrun.Connect(t.Context(), api.Config)
	require.NoError(t, err)
	return s
}

func needServer(t *testing.T) {
	t.Helper()
	if api == nil {
		t.Skipf("there is no API server to rehearse on: %v", envtest.ErrNoPrograms)
	}
}

// apply makes objects for the time of a test.
func apply(t *testing.T, manifests string) {
	t.Helper()
	client, err := dynamic.NewForConfig(api.Config)
	require.NoError(t, err)
	for _, o := range parse(t, manifests) {
		var of dynamic.ResourceInterface = client.Resource(resourceOf(o))
		if o.GetNamespace() != "" {
			of = client.Resource(resourceOf(o)).Namespace(o.GetNamespace())
		}
		_, err := of.Create(t.Context(), o, metav1.CreateOptions{})
		require.NoError(t, err)
		t.Cleanup(func() { _ = of.Delete(context.Background(), o.GetName(), metav1.DeleteOptions{}) })
	}
}

func resourceOf(o *unstructured.Unstructured) schema.GroupVersionResource {
	gvk := o.GroupVersionKind()
	plural := strings.ToLower(gvk.Kind) + "s"
	if strings.HasSuffix(plural, "ys") {
		plural = strings.TrimSuffix(plural, "ys") + "ies"
	} else if strings.HasSuffix(plural, "sss") || strings.HasSuffix(plural, "ss") {
		plural = strings.TrimSuffix(plural, "s") + "es"
	}
	return gvk.GroupVersion().WithResource(plural)
}

// inventory is every object in the cluster with the version it has, but for
// throw-away namespaces that are being deleted: no controller finishes that
// here.
func inventory(t *testing.T) map[string]string {
	t.Helper()
	config := rest.CopyConfig(api.Config)
	config.WarningHandler, config.QPS = rest.NoWarnings{}, -1
	client, err := dynamic.NewForConfig(config)
	require.NoError(t, err)
	asking, err := discovery.NewDiscoveryClientForConfig(api.Config)
	require.NoError(t, err)
	lists, err := asking.ServerPreferredResources()
	require.NoError(t, err)
	all, leaving := map[string]string{}, map[string]bool{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		require.NoError(t, err)
		for _, r := range list.APIResources {
			if !slices.Contains(r.Verbs, "list") || r.Name == "events" || r.Name == "leases" || r.Name == "flowschemas" || r.Name == "prioritylevelconfigurations" {
				continue
			}
			objects, err := client.Resource(gv.WithResource(r.Name)).List(t.Context(), metav1.ListOptions{})
			require.NoError(t, err)
			for _, o := range objects.Items {
				if o.GetLabels()[dryrun.Label] != "" && o.GetDeletionTimestamp() != nil {
					leaving[o.GetName()] = true
					continue
				}
				all[o.GetNamespace()+"|"+r.Name+"/"+o.GetName()] = o.GetResourceVersion()
			}
		}
	}
	for key := range all {
		if namespace, _, _ := strings.Cut(key, "|"); leaving[namespace] {
			delete(all, key)
		}
	}
	return all
}

func parse(t *testing.T, manifests string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for _, doc := range bytes.Split([]byte(manifests), []byte("\n---\n")) {
		o := &unstructured.Unstructured{}
		require.NoError(t, yaml.Unmarshal(doc, &o.Object))
		all = append(all, o)
	}
	return all
}
