package integration

import (
	"strings"
	"testing"

	"github.com/gruntwork-io/terratest/modules/k8s"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Every workload is there under its name, with its pods Ready.
func TestPodsAreReady(t *testing.T) {
	v := installed(t)
	client, err := k8s.GetKubernetesClientFromOptionsE(t, cluster())
	require.NoError(t, err)
	ready := map[string]int{}
	deployments, err := client.AppsV1().Deployments(namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, d := range deployments.Items {
		ready[d.Name] = int(d.Status.ReadyReplicas)
	}
	sets, err := client.AppsV1().StatefulSets(namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, s := range sets.Items {
		ready[s.Name] = int(s.Status.ReadyReplicas)
	}
	running := pods(t)
	for name, want := range workloads(v) {
		assert.GreaterOrEqual(t, ready[name], want, "%s: pods ready", name)
		assert.GreaterOrEqual(t, len(running[name]), want, "%s: pods", name)
		for _, pod := range running[name] {
			assert.True(t, k8s.IsPodAvailable(&pod), "%s: %s", pod.Name, pod.Status.Phase)
		}
	}
}

// The claims are Bound, and the volumes have the sizes asked for.
func TestClaimsAreBound(t *testing.T) {
	v := installed(t)
	for name, want := range v.Storage {
		if name == "models" && v.Processing.ComfyUI.Mode == "remote" {
			continue
		}
		claim := k8s.GetPersistentVolumeClaimContext(t, t.Context(), cluster(), name+"-pvc")
		size := resource.MustParse(want.Size)
		assert.Equal(t, corev1.ClaimBound, claim.Status.Phase, claim.Name)
		assert.Zero(t, claim.Spec.Resources.Requests.Storage().Cmp(size), "%s asks for %s, the values say %s", claim.Name, claim.Spec.Resources.Requests.Storage(), want.Size)
		assert.GreaterOrEqual(t, claim.Status.Capacity.Storage().Cmp(size), 0, "%s has %s", claim.Name, claim.Status.Capacity.Storage())
		assert.Equal(t, want.AccessMode, string(claim.Spec.AccessModes[0]), claim.Name)
	}
}

// GPUs are taken as the mode says, by ComfyUI alone.
func TestGPUs(t *testing.T) {
	v := installed(t)
	for name, all := range pods(t) {
		for _, pod := range all {
			want := int64(0)
			if name == "comfyui" && v.Processing.ComfyUI.Mode == "gpu" {
				want = v.Processing.ComfyUI.GPU.Count
			}
			gpus := pod.Spec.Containers[0].Resources.Limits["nvidia.com/gpu"]
			assert.Equal(t, want, gpus.Value(), pod.Name)
		}
	}
}

// Each service is found from a pod under its full name, and answers.
func TestNamesResolve(t *testing.T) {
	for name, url := range map[string]string{
		"dagster": ":3000/server_info", "langgraph": ":8080/healthz", "flask": ":5000/healthz", "comfyui": ":8188/healthz",
		"blender": ":9876/healthz", "opencv": ":8000/healthz", "ffmpeg": ":8080/healthz", "postgresql": "", "redis": "",
	} {
		host := name + "." + namespace + ".svc.cluster.local"
		service := k8s.GetServiceContext(t, t.Context(), cluster(), name)
		got, err := inFlask(t, "import socket, sys; print(socket.gethostbyname(sys.argv[1]))", host)
		if assert.NoError(t, err, host) {
			assert.Equal(t, service.Spec.ClusterIP, strings.TrimSpace(got), host)
		}
		if url != "" {
			_, err = inFlask(t, "import urllib.request, sys; urllib.request.urlopen(sys.argv[1], timeout=20).read()", "http://"+host+url)
			assert.NoError(t, err, "http://%s%s", host, url)
		}
	}
}

// The page answers under its host through the ingress, and shows nothing to strangers.
func TestPageThroughIngress(t *testing.T) {
	host := installed(t).Ingress.Host
	response, page, err := request(t.Context(), host, "", "GET", "/", nil)
	require.NoError(t, err)
	assert.Equal(t, 200, response.StatusCode)
	assert.Contains(t, string(page), "<form", "the login form")
	for _, wrong := range []string{"", "wrong"} {
		response, _, err = request(t.Context(), host, wrong, "GET", "/api/films", nil)
		require.NoError(t, err)
		assert.Equal(t, 401, response.StatusCode)
	}
	var films any
	call(t, "GET", "/api/films", nil, &films)
	response, _, err = request(t.Context(), "other.example.com", "", "GET", "/", nil)
	require.NoError(t, err)
	assert.Equal(t, 404, response.StatusCode, "another host leads nowhere")
}

// All pods of the namespace, those of runs included, keep Pod Security `restricted`: the API server says so when asked whether
// the namespace could enforce it.
func TestPodSecurity(t *testing.T) {
	out, err := k8s.RunKubectlAndGetOutputContextE(t, t.Context(), cluster(), "label", "--dry-run=server", "--overwrite", "namespace", namespace,
		"pod-security.kubernetes.io/enforce=restricted")
	require.NoError(t, err)
	assert.NotContains(t, out, "violate", out)
}
