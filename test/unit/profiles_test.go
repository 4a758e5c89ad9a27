package unit

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/verify"
)

// findings are those of the library's checks.
func findings(r *charttest.Render) []check.Finding { return check.Run(r, check.Cluster{}) }

func profile(t testing.TB, name string, options ...charttest.Option) *charttest.Render {
	t.Helper()
	return render(t, append([]charttest.Option{studio(t).Profile(name)}, options...)...)
}

// Verify, with what the chart's own .verify.yaml knows of the three clusters of the design, finds nothing: every profile fits its
// nodes, no value is dead, and no finding is accepted that isn't there.
func TestProfilesFitTheirClusters(t *testing.T) {
	config, err := verify.LoadConfig(studio(t).Path(), "")
	require.NoError(t, err)
	assert.Equal(t, "restricted", config.Cluster.PodSecurity)
	assert.True(t, config.Values)
	assert.NotZero(t, config.Coverage)
	for _, p := range profiles(t)[1:] {
		assert.NotEmpty(t, config.Profiles[p.Name].Cluster.Nodes, "the nodes of %s", p.Name)
	}
	result, err := verify.Run(t.Context(), studio(t).Path(), config)
	require.NoError(t, err)
	assert.Equal(t, []string{"default", "dev", "gke-autoscaling", "k3s-single-gpu", "cpu", "gateway", "platform", "public", "restored", "watched"}, result.Profiles)
	for _, f := range result.Findings {
		t.Errorf("%s:%d: %s: %s (%s, in %v)", f.File, f.Line, f.Object, f.Message, f.Check, f.Profiles)
	}
}

// 2 CPUs and 8 GiB hold the studio, an upgrade that replaces every pod at once, and the runs of its films, with 0.4 CPUs left for
// what else a cluster runs.
func TestDevFitsALaptop(t *testing.T) {
	r := profile(t, "dev")
	cpu, memory := resource.Quantity{}, resource.Quantity{}
	for name, w := range workloads(r) {
		require.NotNil(t, w.replicas, name)
		require.EqualValues(t, 1, *w.replicas, name)
		pods := 1
		if w.rolling == "RollingUpdate" {
			pods = 2 // maxSurge
		}
		for range pods {
			cpu.Add(w.container().Resources.Requests["cpu"])
			memory.Add(w.container().Resources.Requests["memory"])
		}
	}
	run := runPod(t, r)
	for range runs(t, r) {
		cpu.Add(run.Containers[0].Resources.Requests["cpu"])
		memory.Add(run.Containers[0].Resources.Requests["memory"])
	}
	assert.LessOrEqual(t, cpu.Cmp(resource.MustParse("1600m")), 0, "CPU requests: %s", cpu.String())
	assert.LessOrEqual(t, memory.Cmp(resource.MustParse("6Gi")), 0, "memory requests: %s", memory.String())
	t.Logf("with surge and runs: %s CPU, %s MiB", cpu.String(), resource.NewQuantity(memory.Value()/1048576, resource.DecimalSI))

	assert.Equal(t, []string{"/comfyui-preview"}, workloads(r)["comfyui"].container().Command)
	want := map[string]string{"images-pvc": "4Gi", "videos-pvc": "4Gi", "models-pvc": "1Gi", "dagster-pvc": "1Gi", "postgres-pvc": "2Gi"}
	for _, claim := range charttest.All[*corev1.PersistentVolumeClaim](r) {
		assert.Equal(t, want[claim.Name], claim.Spec.Resources.Requests.Storage().String(), claim.Name)
		assert.Equal(t, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, claim.Spec.AccessModes, claim.Name)
		assert.Nil(t, claim.Spec.StorageClassName, claim.Name)
	}
	assert.Equal(t, "nginx", *charttest.Get[*networkingv1.Ingress](t, r, "ai-film").Spec.IngressClassName)
	r = profile(t, "dev", charttest.Set("ingress.className=traefik"))
	assert.Equal(t, "traefik", *charttest.Get[*networkingv1.Ingress](t, r, "ai-film").Spec.IngressClassName)
}

func TestK3sHasOneGPU(t *testing.T) {
	r := profile(t, "k3s-single-gpu")
	comfyui := workloads(r)["comfyui"]
	gpu := comfyui.container().Resources.Limits["nvidia.com/gpu"]
	assert.Equal(t, "1", gpu.String())
	require.NotNil(t, comfyui.template.Spec.RuntimeClassName)
	assert.Equal(t, "nvidia", *comfyui.template.Spec.RuntimeClassName)
	for _, claim := range charttest.All[*corev1.PersistentVolumeClaim](r) {
		require.NotNil(t, claim.Spec.StorageClassName)
		assert.Equal(t, "local-path", *claim.Spec.StorageClassName)
		assert.Equal(t, corev1.ReadWriteOnce, claim.Spec.AccessModes[0])
	}
	assert.Equal(t, "traefik", *charttest.Get[*networkingv1.Ingress](t, r, "ai-film").Spec.IngressClassName)
	reference := workloads(render(t))
	for name, w := range workloads(r) {
		assert.Equal(t, *reference[name].replicas, *w.replicas, name)
	}
}

func TestGKEScales(t *testing.T) {
	r := profile(t, "gke-autoscaling")
	reference := workloads(render(t))
	scaled := map[string]int32{}
	for _, h := range charttest.All[*autoscalingv2.HorizontalPodAutoscaler](r) {
		scaled[h.Name] = h.Spec.MaxReplicas
		assert.Equal(t, *reference[h.Name].replicas, *h.Spec.MinReplicas, "%s: the reference is the minimum", h.Name)
		w := workloads(r)[h.Spec.ScaleTargetRef.Name]
		assert.Equal(t, h.Spec.ScaleTargetRef.Kind, w.kind)
		assert.Nil(t, w.replicas, "%s: an upgrade must not reset what the autoscaler set", h.Name)
	}
	assert.Equal(t, map[string]int32{"dagster": 4, "langgraph": 6, "flask": 6, "comfyui": 10, "blender": 8, "opencv": 8, "ffmpeg": 10}, scaled)
	for _, name := range []string{"dagster-daemon", "dagster-code", "postgresql", "redis", "comfyui-relay"} {
		assert.Equal(t, int32(1), *workloads(r)[name].replicas, name)
	}

	comfyui := workloads(r)["comfyui"].template.Spec
	assert.Equal(t, "nvidia-tesla-t4", comfyui.NodeSelector["cloud.google.com/gke-accelerator"])
	assert.Equal(t, []corev1.Toleration{{Key: "nvidia.com/gpu", Operator: "Exists", Effect: "NoSchedule"}}, comfyui.Tolerations)
	assert.Empty(t, workloads(r)["comfyui-relay"].template.Spec.NodeSelector, "the relay needs no GPU node")

	for _, claim := range charttest.All[*corev1.PersistentVolumeClaim](r) {
		class, mode := "standard-rwx", corev1.ReadWriteMany
		if claim.Name == "postgres-pvc" {
			class, mode = "standard-rwo", corev1.ReadWriteOnce
		} else {
			assert.GreaterOrEqual(t, claim.Spec.Resources.Requests.Storage().Cmp(resource.MustParse("100Gi")), 0, "%s: Filestore's minimum", claim.Name)
		}
		assert.Equal(t, class, *claim.Spec.StorageClassName, claim.Name)
		assert.Equal(t, mode, claim.Spec.AccessModes[0], claim.Name)
	}
	ingress := charttest.Get[*networkingv1.Ingress](t, r, "ai-film")
	assert.Equal(t, "gce-internal", ingress.Annotations["kubernetes.io/ingress.class"], "no page on plain HTTP and a public address")
	assert.Nil(t, ingress.Spec.IngressClassName)
	assert.JSONEq(t, `{"default": "flask"}`, charttest.Get[*corev1.Service](t, r, "flask").Annotations["cloud.google.com/backend-config"])
	require.NotNil(t, r.Object("BackendConfig", "flask"))
}

func TestModesOfComfyUI(t *testing.T) {
	for mode, want := range map[string]struct {
		image   string
		command string
		gpu     int64
	}{
		"gpu":     {"docker.io/aifilm/comfyui-server:0.1.0", "python3", 1},
		"cpu":     {"docker.io/aifilm/comfyui-server:0.1.0", "python3", 0},
		"preview": {"docker.io/aifilm/comfyui:0.1.0", "/comfyui-preview", 0},
	} {
		c := workloads(render(t, charttest.Set("processing.comfyui.mode="+mode)))["comfyui"].container()
		gpu := c.Resources.Limits["nvidia.com/gpu"]
		assert.Equal(t, want.image, c.Image, mode)
		assert.Equal(t, want.command, c.Command[0], mode)
		assert.Equal(t, want.gpu, gpu.Value(), mode)
		assert.Equal(t, mode == "cpu", len(c.Args) == 1 && c.Args[0] == "--cpu", mode)
	}
	r := render(t, charttest.Set("processing.comfyui.mode=remote", "processing.comfyui.remote.urls={https://one.example.com,https://two.example.com}"))
	assert.NotContains(t, workloads(r), "comfyui")
	assert.Nil(t, r.Object("Service", "comfyui-headless"))
	assert.Nil(t, r.Object("PersistentVolumeClaim", "models-pvc"), "no pod would use it, and an install would wait for it")
	assert.Equal(t, "https://one.example.com,https://two.example.com", environment(workloads(r)["comfyui-relay"].container())["BACKENDS"])
	assert.Equal(t, "http://comfyui:8188", environment(workloads(r)["dagster-code"].container())["COMFYUI_URL"], "consumers keep their URL")
}

// Servers elsewhere come and go without the chart: it needs no URL, follows a ConfigMap that no release owns, and has the preview
// draw meanwhile where that is wanted.
func TestServersElsewhere(t *testing.T) {
	relay := func(set ...string) (*charttest.Render, map[string]string) {
		r := render(t, charttest.Set(append([]string{"processing.comfyui.mode=remote"}, set...)...))
		return r, environment(workloads(r)["comfyui-relay"].container())
	}
	r, env := relay("processing.comfyui.bridge.enabled=true")
	assert.Equal(t, "comfyui-endpoint", env["ENDPOINTS"])
	assert.Equal(t, "comfyui-endpoint", environment(workloads(r)["comfyui-bridge"].container())["ENDPOINTS"])
	assert.Empty(t, env["BACKENDS"])
	assert.Nil(t, r.Object("ConfigMap", "comfyui-endpoint"), "an upgrade would take the servers away")
	assert.True(t, *workloads(r)["comfyui-relay"].template.Spec.AutomountServiceAccountToken)
	assert.Contains(t, charttest.Get[*corev1.Secret](t, r, "ai-film").Data, "bridge-secret")
	assert.NotContains(t, charttest.Get[*corev1.Secret](t, render(t), "ai-film").Data, "bridge-secret")

	r, env = relay("processing.comfyui.remote.fallbackAfter=10m", "processing.comfyui.remote.allowCIDRs={10.1.0.0/16,fd00:1::/64}", "processing.comfyui.remote.existingSecret=colab")
	assert.Equal(t, "dns+http://comfyui-headless:8188", env["FALLBACK"])
	assert.Equal(t, "10m", env["FALLBACK_AFTER"])
	assert.Equal(t, "10.1.0.0/16,fd00:1::/64", env["ALLOW_CIDRS"])
	assert.Equal(t, "/credentials", env["CREDENTIALS"])
	assert.Equal(t, []string{"/comfyui-preview"}, workloads(r)["comfyui"].container().Command)
	assert.Contains(t, workloads(r), "comfyui")

	env = environment(workloads(render(t, charttest.Set("processing.comfyui.remote.enabled=true", "processing.comfyui.remote.urls={https://gpu.example.com}")))["comfyui-relay"].container())
	assert.Equal(t, "dns+http://comfyui-headless:8188,https://gpu.example.com", env["BACKENDS"], "those here and those elsewhere serve together")
	assert.Empty(t, environment(workloads(render(t))["comfyui-relay"].container())["ENDPOINTS"])
}

// The operator's own affinity and the chart's rule for one node stand side by side.
func TestAffinityIsAdded(t *testing.T) {
	own := map[string]any{"application": map[string]any{"flask": map[string]any{"affinity": map[string]any{
		"podAffinity": map[string]any{"requiredDuringSchedulingIgnoredDuringExecution": []any{
			map[string]any{"topologyKey": "topology.kubernetes.io/zone", "labelSelector": map[string]any{"matchLabels": map[string]any{"a": "b"}}},
		}},
	}}}}
	terms := workloads(profile(t, "dev", charttest.Values(own)))["flask"].template.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	require.Len(t, terms, 2)
	assert.Equal(t, "topology.kubernetes.io/zone", terms[0].TopologyKey)
	assert.Equal(t, "kubernetes.io/hostname", terms[1].TopologyKey)
	flask := workloads(profile(t, "dev"))["flask"].template
	for key, value := range flask.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].LabelSelector.MatchLabels {
		assert.Equal(t, value, flask.Labels[key], "the first pod must match its own rule, or none is ever scheduled")
	}
	assert.Nil(t, workloads(profile(t, "dev"))["redis"].template.Spec.Affinity, "it shares no volume")
}
