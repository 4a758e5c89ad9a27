package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	"k8s.io/client-go/rest"

	"github.com/ai-film/ai-film/charttest/internal/envtest"
	"github.com/ai-film/ai-film/charttest/internal/testfiles"
	"github.com/ai-film/ai-film/charttest/internal/upstream"
)

// shops unpacks the two versions of a chart that package verify compares.
func shops(t *testing.T) string {
	t.Helper()
	archive, err := txtar.ParseFile("../../verify/testdata/upgrade.txtar")
	require.NoError(t, err)
	dir := t.TempDir()
	testfiles.Unpack(t, dir, archive.Files)
	return dir
}

// verifying runs «charttest verify» and returns what it prints and its exit code.
func verifying(args ...string) (string, int, error) {
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append([]string{"verify"}, args...))
	err := root.Execute()
	if err == nil {
		return out.String(), 0, nil
	}
	return out.String(), exitCode(err), err
}

func TestVerifyAgainstNothing(t *testing.T) {
	dir := shops(t)
	chart := filepath.Join(dir, "new")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := envtest.Kubeconfig(t, &rest.Config{Host: "http://" + closed.Addr().String()})
	require.NoError(t, closed.Close())
	empty := filepath.Join(dir, "kubeconfig")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	t.Setenv("KUBECONFIG", empty)
	t.Setenv("HOME", dir)
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"no such path":       {[]string{"--against", "./nowhere"}, []string{"./nowhere", "no such folder or archive"}},
		"no such archive":    {[]string{"--against", "shop-9.tgz"}, []string{"no such folder or archive"}},
		"no chart":           {[]string{"--against", t.TempDir()}, []string{"not a chart"}},
		"no cluster":         {[]string{"--against", "demo"}, []string{"--against demo", "kubeconfig"}},
		"not in reach":       {[]string{"--against", "demo", "--kubeconfig", nobody}, []string{"--against demo", "not in reach", "--kube-context"}},
		"no such kubeconfig": {[]string{"--against", "demo", "--kubeconfig", filepath.Join(dir, "none")}, []string{"--against demo", "none"}},
		"no such context":    {[]string{"--against", "demo", "--kubeconfig", nobody, "--kube-context", "moon"}, []string{"moon"}},
		"namespace alone":    {[]string{"--namespace", "town"}, []string{"--against"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, code, err := verifying(append([]string{chart, "--kube-version", "1.37"}, c.args...)...)
			require.Equal(t, 2, code, "%s%v", out, err)
			for _, text := range c.says {
				require.ErrorContains(t, err, text)
			}
		})
	}
}

// A release that helm has installed, and the upgrade that the API server
// refuses in the end.
func TestVerifyAgainstRelease(t *testing.T) {
	config := envtest.Start(t)
	kubeconfig := envtest.Kubeconfig(t, config)
	program := upstream.Helm(t, 3)
	dir := shops(t)
	helm := func(args ...string) (string, error) {
		cmd := exec.Command(program, append(args, "--kubeconfig", kubeconfig, "--namespace", "town")...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	// The cluster's default class is filled in for a claim that names none, so that another is a change of it.
	standard := filepath.Join(dir, "standard")
	require.NoError(t, os.MkdirAll(filepath.Join(standard, "templates"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(standard, "Chart.yaml"), []byte("apiVersion: v2\nname: standard\nversion: 1.0.0\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(standard, "templates", "class.yaml"), []byte(`apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: example.com/disks
`), 0o644))
	out, err := helm("install", "classes", "standard", "--create-namespace")
	require.NoError(t, err, out)
	claim := func(version, class string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, version, "templates", "claim.yaml"), []byte(`apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: takes}
spec: {accessModes: [ReadWriteOnce], `+class+`resources: {requests: {storage: 1Gi}}}
`), 0o644))
	}
	claim("old", "")
	claim("new", "storageClassName: fast, ")
	out, err = helm("install", "demo", "old", "--set", "replicas=2")
	require.NoError(t, err, out)
	flags := []string{"--against", "demo", "-n", "town", "--kubeconfig", kubeconfig, "--kube-version", "1.36"}

	same, code, err := verifying(append([]string{filepath.Join(dir, "old")}, flags...)...)
	require.NoError(t, err, same)
	require.Zero(t, code)
	require.Contains(t, same, "upgrade from release demo in town, revision 1 (shop-1.0.0):\n  nothing changes\n")

	got, code, err := verifying(append([]string{filepath.Join(dir, "new")}, flags...)...)
	require.Equal(t, 1, code, "%v", err)
	require.Contains(t, got, "store.yaml:18: StatefulSet/store: an upgrade would be refused: spec.volumeClaimTemplates[name=data].spec.storageClassName: slow → fast")
	require.Contains(t, got, "kubectl delete statefulset store --cascade=orphan")
	require.Contains(t, got, "PersistentVolumeClaim/takes: an upgrade would be refused: spec.storageClassName: standard → fast")
	require.Contains(t, got, "1 added, 3 changed, 0 removed, 1 kept")
	require.NotContains(t, got, "replicas:", "the release's own values are used")
	require.NotContains(t, got, "Secret/store", "lookup finds the password")

	claim("new", "storageClassName: standard, ")
	got, _, _ = verifying(append([]string{filepath.Join(dir, "new")}, flags...)...)
	require.NotContains(t, got, "PersistentVolumeClaim/takes: an upgrade")

	out, err = helm("upgrade", "demo", "new", "--reset-then-reuse-values", "--no-hooks")
	require.Error(t, err)
	require.Contains(t, out, "updates to statefulset spec for fields other than")

	_, code, err = verifying(filepath.Join(dir, "new"), "--against", "nobody", "-n", "town", "--kubeconfig", kubeconfig, "--kube-version", "1.36")
	require.Equal(t, 2, code)
	require.ErrorContains(t, err, `no such release in namespace "town": helm list -A`)
	_, code, err = verifying(filepath.Join(dir, "new"), "--against", "demo", "--kubeconfig", kubeconfig, "--kube-version", "1.36")
	require.Equal(t, 2, code)
	require.ErrorContains(t, err, `in namespace "default"`)
	nobody := rest.CopyConfig(config)
	nobody.BearerToken = envtest.Nobody
	_, code, err = verifying(filepath.Join(dir, "new"), "--against", "demo", "-n", "town", "--kubeconfig", envtest.Kubeconfig(t, nobody), "--kube-version", "1.36")
	require.Equal(t, 2, code)
	require.ErrorContains(t, err, "may list Secrets")
	var notVerified unverified
	require.True(t, errors.As(err, &notVerified))

	for _, format := range []string{"json", "junit", "sarif", "github"} {
		out, _, _ := verifying(append([]string{filepath.Join(dir, "new"), "--format", format}, flags...)...)
		require.Contains(t, out, "release demo in town, revision 1", format)
	}
}
