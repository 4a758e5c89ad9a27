package diff_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// TestAPIServerAgrees tries every change of TestRefused on a real API server,
// with the patch that Helm sends, as a dry run. It needs the programs etcd and
// kube-apiserver, which it finds as tests built on controller-runtime's envtest
// do: KUBEBUILDER_ASSETS names their folder, or TEST_ASSET_ETCD and
// TEST_ASSET_KUBE_APISERVER the programs themselves.
func TestAPIServerAgrees(t *testing.T) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	etcd := cmp.Or(os.Getenv("TEST_ASSET_ETCD"), filepath.Join(assets, "etcd"))
	program := cmp.Or(os.Getenv("TEST_ASSET_KUBE_APISERVER"), filepath.Join(assets, "kube-apiserver"))
	if !filepath.IsAbs(etcd) || !filepath.IsAbs(program) {
		t.Skip("no etcd and kube-apiserver: KUBEBUILDER_ASSETS doesn't name their folder, absolutely")
	}
	server := startAPIServer(t, etcd, program)
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

// startAPIServer starts etcd and kube-apiserver on free ports of the loopback
// and ends them with the test.
func startAPIServer(t *testing.T, etcdProgram, program string) *apiServer {
	t.Helper()
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	keyFile, tokens := filepath.Join(dir, "accounts.key"), filepath.Join(dir, "tokens.csv")
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(block), 0o600))
	require.NoError(t, os.WriteFile(tokens, []byte("test,admin,1,system:masters\n"), 0o600))
	ports := freePorts(t, 3)
	etcd := "http://127.0.0.1:" + ports[0]
	start(t, dir, etcdProgram, "--data-dir="+filepath.Join(dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+etcd, "--advertise-client-urls="+etcd, "--listen-peer-urls=http://127.0.0.1:"+ports[1])
	start(t, dir, program, "--etcd-servers="+etcd, "--secure-port="+ports[2], "--bind-address=127.0.0.1",
		"--cert-dir="+filepath.Join(dir, "certificates"), "--service-cluster-ip-range=10.0.0.0/24", "--token-auth-file="+tokens,
		"--service-account-issuer=https://localhost", "--service-account-key-file="+keyFile, "--service-account-signing-key-file="+keyFile,
		"--disable-admission-plugins=ServiceAccount,PersistentVolumeClaimResize", "--authorization-mode=RBAC", "--allow-privileged")
	config := &rest.Config{Host: "https://127.0.0.1:" + ports[2], BearerToken: "test", QPS: 200, Burst: 400,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true}, Timeout: 20 * time.Second}
	found, err := discovery.NewDiscoveryClientForConfig(config)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := found.RESTClient().Get().AbsPath("/readyz").DoRaw(context.Background())
		return err == nil
	}, 2*time.Minute, 200*time.Millisecond, "the API server doesn't get ready; its log is in %s", dir)
	client, err := dynamic.NewForConfig(config)
	require.NoError(t, err)
	return &apiServer{client, restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found))}
}

func start(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, filepath.Base(program)+".log"))
	require.NoError(t, err)
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start(), "KUBEBUILDER_ASSETS must name a folder with etcd and kube-apiserver")
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ended := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		ended.Stop()
		_ = log.Close()
	})
}

func freePorts(t *testing.T, n int) []string {
	t.Helper()
	ports := make([]string, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		_, ports[i], err = net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
	}
	return ports
}
