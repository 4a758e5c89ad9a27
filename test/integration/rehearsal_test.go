package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gruntwork-io/terratest/modules/k8s"
	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// program builds the command charttest from the repository.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "charttest")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/charttest")
	cmd.Dir = filepath.Join(setting("AI_FILM_REPO", "../.."), "charttest")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// rehearsed is the part of a verification's report that is asked for here.
type rehearsed struct {
	Findings []struct {
		Check, Message, Object, Field, File, Remedy string
		Line                                        int
	}
	Charts []struct {
		Rehearsals []struct {
			Profile       string
			Objects, Pods int
			Unrehearsed   []struct{ Object, Reason string }
		}
	}
}

// rehearse runs charttest verify --server. It returns the exit code too.
func rehearse(t *testing.T, program, chart string) (rehearsed, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "verify", chart, "--server", "--format", "json")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	var r rehearsed
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &r), "%s%s", stdout.String(), stderr.String())
	return r, cmd.ProcessState.ExitCode()
}

// stages are the throw-away namespaces of rehearsals; leaving ones too, or not.
func stages(t *testing.T, leaving bool) (names []string) {
	t.Helper()
	client, err := k8s.GetKubernetesClientFromOptionsE(t, cluster())
	require.NoError(t, err)
	list, err := client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{LabelSelector: "ai-film.dev/rehearsal"})
	require.NoError(t, err)
	for _, n := range list.Items {
		if leaving || n.DeletionTimestamp == nil {
			names = append(names, n.Name)
		}
	}
	return names
}

// struck says that no rehearsal's namespace is left, once the cluster is done with deleting.
func struck(t *testing.T) {
	t.Helper()
	assert.Empty(t, stages(t, false))
	assert.Eventually(t, func() bool { return len(stages(t, true)) == 0 }, 2*time.Minute, time.Second, "namespaces of rehearsals are left")
}

// Every profile is rehearsed on this cluster without a finding, pods included; what only other clusters have is said.
func TestVerifyRehearsesEveryProfile(t *testing.T) {
	r, code := rehearse(t, program(t), chart)
	assert.Zero(t, code)
	assert.Empty(t, r.Findings)
	require.Len(t, r.Charts, 1)
	var profiles []string // the chart's, and those of its .verify.yaml
	elsewhere := []string{"BackendConfig/", "ManagedCertificate/", "FrontendConfig/", "PodMonitoring/", "PodMonitor/", "PrometheusRule/", "Rules/", "ScaledObject/", "StatefulSet/comfyui", "DaemonSet/dcgm-exporter",
		"Gateway/", "HTTPRoute/", "HealthCheckPolicy/", "GCPBackendPolicy/"}
	for _, h := range r.Charts[0].Rehearsals {
		profiles = append(profiles, h.Profile)
		assert.GreaterOrEqual(t, h.Objects, 30, h.Profile)
		assert.GreaterOrEqual(t, h.Pods, 9, h.Profile)
		for _, u := range h.Unrehearsed {
			assert.True(t, slices.ContainsFunc(elsewhere, func(kind string) bool { return strings.HasPrefix(u.Object, kind) }), "%s: %s", u.Object, u.Reason)
		}
	}
	assert.ElementsMatch(t, []string{"default", "dev", "k3s-single-gpu", "gke-autoscaling", "cpu", "gateway", "platform", "public", "restored", "watched"}, profiles)
	struck(t)
}

// What only a server finds is found on this one, each at its line.
func TestVerifyFindsWhatTheServerRefuses(t *testing.T) {
	archive, err := txtar.ParseFile(filepath.Join(setting("AI_FILM_REPO", "../.."), "charttest", "dryrun", "testdata", "defects.txtar"))
	require.NoError(t, err)
	dir, files := filepath.Join(t.TempDir(), "defects"), map[string]string{}
	archive.Files = append(archive.Files, txtar.File{Name: ".verify.yaml", Data: []byte(
		"apiVersions: [declared.example.org/v1]\ncluster: {podSecurity: restricted, external: [RuntimeClass/nvidia]}\n")})
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
		path := filepath.Join(dir, f.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, f.Data, 0o600))
	}
	options := k8s.NewKubectlOptions("", "", "default")
	options.Logger = logger.Discard
	policies := filepath.Join(dir, "cluster.yaml")
	t.Cleanup(func() {
		_, _ = k8s.RunKubectlAndGetOutputE(t, options, "delete", "--ignore-not-found", "--filename", policies)
	})
	out, err := k8s.RunKubectlAndGetOutputContextE(t, t.Context(), options, "apply", "--filename", policies)
	require.NoError(t, err, out)

	var r rehearsed
	path := program(t)
	assert.Eventually(t, func() bool { // until the server has taken notice of the definition and the policy
		var code int
		r, code = rehearse(t, path, dir)
		heard := fmt.Sprint(r.Findings)
		return code == 1 && strings.Contains(heard, "two-takes") && strings.Contains(heard, "longer than its film")
	}, 2*time.Minute, time.Second)
	for _, row := range strings.Split(strings.TrimSpace(files["want.txt"]), "\n") {
		want := strings.Split(row, " | ")
		require.Len(t, want, 4, row)
		found := false
		for _, f := range r.Findings {
			// Where a check of ours finds the same, it says so in its words, and the server doesn't say it again.
			said := !slices.Contains([]string{"server", "strict", "custom-resource"}, f.Check) || strings.Contains(f.Message, want[3])
			at := fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
			found = found || said && f.Object == want[0] && f.Field == strings.TrimSpace(want[1]) && at == want[2] && f.Remedy != ""
		}
		assert.True(t, found, "%s is not among %+v", row, r.Findings)
	}
	struck(t)
	for _, kind := range []string{"deployments", "pods", "statefulsets", "configmaps"} {
		out, err := k8s.RunKubectlAndGetOutputContextE(t, t.Context(), options, "get", kind, "--namespace", "default", "--output", "name")
		require.NoError(t, err)
		assert.NotContains(t, out, "insecure", kind)
		assert.NotContains(t, out, "good", kind)
	}
}

// Ctrl-C in the midst of a rehearsal leaves nothing.
func TestInterruptedRehearsalLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "templates"), 0o755))
	for name, content := range map[string]string{
		"Chart.yaml":          "apiVersion: v2\nname: long\nversion: 1.0.0\n",
		"templates/long.yaml": "{{ range until 5000 }}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: long-{{ . }}}\n{{ end }}",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	cmd := exec.CommandContext(t.Context(), program(t), "verify", dir, "--server", "--kube-version", "1.36")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return len(stages(t, false)) > 0 }, time.Minute, 20*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	assert.Equal(t, 2, exit.ExitCode(), stderr.String())
	assert.Contains(t, stderr.String(), "interrupted")
	struck(t)
}
