package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gruntwork-io/terratest/modules/helm"
	"github.com/gruntwork-io/terratest/modules/k8s"
	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// Every profile is taken by a real API server, admission included, in a namespace that enforces Pod Security `restricted`;
// ComfyUI asks for the GPU where the profile has one.
func TestProfilesAreAdmitted(t *testing.T) {
	const namespace = "ai-film-dry-run"
	options := k8s.NewKubectlOptions("", "", namespace)
	options.Logger = logger.Discard
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := k8s.RunKubectlAndGetOutputContextE(t, t.Context(), options, args...)
		require.NoError(t, err, out)
		return out
	}
	if _, err := k8s.GetNamespaceContextE(t, t.Context(), options, namespace); err != nil {
		kubectl("create", "namespace", namespace)
	}
	t.Cleanup(func() {
		_, _ = k8s.RunKubectlAndGetOutputE(t, options, "delete", "namespace", namespace, "--wait=false")
	})
	kubectl("label", "--overwrite", "namespace", namespace,
		"pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted")
	version := regexp.MustCompile(`"gitVersion": *"(v[0-9.]+)`).FindStringSubmatch(kubectl("get", "--raw", "/version"))
	require.Len(t, version, 2)

	profiles := map[string]struct {
		gpu          string
		runtimeClass string
		accelerator  string
	}{
		"default": {gpu: "1"}, "dev": {gpu: "0"}, "k3s-single-gpu": {gpu: "1", runtimeClass: "nvidia"},
		"gke-autoscaling": {gpu: "1", accelerator: "nvidia-tesla-t4"},
	}
	files, err := filepath.Glob(filepath.Join(chart, "values", "*.yaml"))
	require.NoError(t, err)
	require.Len(t, files, len(profiles)-1, "a profile without a test")
	for name, want := range profiles {
		t.Run(name, func(t *testing.T) {
			args := []string{release, chart, "--namespace", namespace, "--kube-version", version[1], "--no-hooks"}
			if name != "default" {
				args = append(args, "--values", filepath.Join(chart, "values", name+".yaml"))
			}
			manifest, err := helm.RunHelmCommandAndGetStdOutContextE(t, t.Context(), helmIn(namespace), "template", args...)
			require.NoError(t, err)
			file := filepath.Join(t.TempDir(), "manifest.yaml")
			require.NoError(t, os.WriteFile(file, []byte(withoutGKE(manifest)), 0o600))
			out, err := k8s.RunKubectlAndGetOutputContextE(t, t.Context(), options, "apply", "--dry-run=server", "--filename", file)
			require.NoError(t, err, out)
			assert.NotContains(t, out, "PodSecurity", out)
			assert.GreaterOrEqual(t, strings.Count(out, "created (server dry run)"), 30, out)

			objects := kubectl("apply", "--dry-run=server", "--filename", file, "--output", "json")
			var list struct{ Items []json.RawMessage }
			begin := strings.Index(objects, "{") // the server's warnings come before
			require.GreaterOrEqual(t, begin, 0, objects)
			require.NoError(t, json.Unmarshal([]byte(objects[begin:]), &list))
			found := false
			for _, item := range list.Items {
				var object struct {
					Kind     string
					Metadata struct{ Name string }
					Spec     struct{ Template corev1.PodTemplateSpec }
				}
				if json.Unmarshal(item, &object) != nil || object.Kind != "StatefulSet" || object.Metadata.Name != "comfyui" {
					continue
				}
				found = true
				pod := object.Spec.Template.Spec
				limit, request := pod.Containers[0].Resources.Limits["nvidia.com/gpu"], pod.Containers[0].Resources.Requests["nvidia.com/gpu"]
				assert.Equal(t, want.gpu, limit.String())
				assert.Equal(t, want.gpu, request.String())
				assert.Equal(t, want.accelerator, pod.NodeSelector["cloud.google.com/gke-accelerator"])
				if want.runtimeClass != "" {
					require.NotNil(t, pod.RuntimeClassName)
					assert.Equal(t, want.runtimeClass, *pod.RuntimeClassName)
				}
			}
			assert.True(t, found, "StatefulSet comfyui")
		})
	}
}

var googles = regexp.MustCompile(`(?m)^apiVersion: (cloud\.google|networking\.gke|monitoring\.googleapis)\.`)

// withoutGKE leaves out the documents of kinds that only GKE has.
func withoutGKE(manifest string) string {
	var kept []string
	for _, document := range strings.Split(manifest, "\n---\n") {
		if !googles.MatchString(document) {
			kept = append(kept, document)
		}
	}
	return strings.Join(kept, "\n---\n")
}
