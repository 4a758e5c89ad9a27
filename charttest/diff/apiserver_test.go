package diff_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/restmapper"

	"github.com/ai-film/ai-film/charttest/internal/envtest"
)

// TestAPIServerAgrees tries every change of TestRefused on a real API server,
// with the patch that Helm sends, as a dry run. Package envtest says where the
// server comes from.
func TestAPIServerAgrees(t *testing.T) {
	config := envtest.Start(t)
	found, err := discovery.NewDiscoveryClientForConfig(config)
	require.NoError(t, err)
	client, err := dynamic.NewForConfig(config)
	require.NoError(t, err)
	server := &apiServer{client, restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found))}
	for i, c := range changes {
		t.Run(fmt.Sprintf("%s/%d", c.kind, i), func(t *testing.T) {
			before, after := c.objects(t)
			for _, u := range []*unstructured.Unstructured{before, after} { // tell the cases apart
				data := encode(t, u)
				data = bytes.Replace(data, []byte(`"name":"x"`), fmt.Appendf(nil, `"name":"x-%d"`, i), 1)
				data = bytes.ReplaceAll(data, []byte("films.example.com"), fmt.Appendf(nil, "films.case-%d.example.com", i))
				data = bytes.ReplaceAll(data, []byte(`"group":"example.com"`), fmt.Appendf(nil, `"group":"case-%d.example.com"`, i))
				if c.kind == "CSIDriver" {
					data = bytes.ReplaceAll(data, []byte("example.com"), fmt.Appendf(nil, "case-%d.example.com", i))
				}
				require.NoError(t, json.Unmarshal(data, &u.Object))
			}
			err := server.upgrade(t, before, after)
			switch {
			case c.want == "":
				require.NoError(t, err, "%s", c)
			case err == nil:
				t.Errorf("%s: allowed, not refused for %s", c, c.want)
			default:
				require.True(t, apierrors.IsInvalid(err), "%s: %v", c, err)
			}
		})
	}
}

type apiServer struct {
	client dynamic.Interface
	mapper meta.RESTMapper
}

// upgrade makes the object and patches it the way Helm does (createPatch in
// helm.sh/helm/v3/pkg/kube), without keeping the result.
func (s *apiServer) upgrade(t *testing.T, before, after *unstructured.Unstructured) error {
	t.Helper()
	ctx := context.Background()
	gvk := before.GroupVersionKind()
	mapping, err := s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	require.NoError(t, err)
	var client dynamic.ResourceInterface = s.client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		client = s.client.Resource(mapping.Resource).Namespace("default")
	}
	live, err := client.Create(ctx, before, metav1.CreateOptions{})
	require.NoError(t, err, "the object before the change")
	switch gvk.Kind {
	case "PersistentVolumeClaim": // as after it was bound
		size, _, _ := unstructured.NestedString(live.Object, "spec", "resources", "requests", "storage")
		live.Object["status"] = map[string]any{"phase": "Bound", "capacity": map[string]any{"storage": size}}
		live, err = client.UpdateStatus(ctx, live, metav1.UpdateOptions{})
		require.NoError(t, err)
	case "CustomResourceDefinition":
		require.Eventually(t, func() bool {
			live, err = client.Get(ctx, before.GetName(), metav1.GetOptions{})
			return err == nil && strings.Contains(string(encode(t, live)), `"status":"True","type":"Established"`)
		}, 20*time.Second, 50*time.Millisecond)
	}
	was, will, is := encode(t, before), encode(t, after), encode(t, live)
	typed, err := clientscheme.Scheme.New(gvk)
	kind := types.StrategicMergePatchType
	var patch []byte
	if err != nil {
		kind = types.MergePatchType
		patch, err = jsonmergepatch.CreateThreeWayJSONMergePatch(was, will, is)
	} else {
		var schema strategicpatch.LookupPatchMeta
		schema, err = strategicpatch.NewPatchMetaFromStruct(typed)
		require.NoError(t, err)
		patch, err = strategicpatch.CreateThreeWayMergePatch(was, will, is, schema, true)
	}
	require.NoError(t, err)
	_, err = client.Patch(ctx, before.GetName(), kind, patch, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

func encode(t *testing.T, u *unstructured.Unstructured) []byte {
	t.Helper()
	data, err := json.Marshal(u.Object)
	require.NoError(t, err)
	return data
}
