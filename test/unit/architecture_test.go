package unit

import (
	"sort"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/ai-film/ai-film/charttest"
)

// The reference architecture, figure by figure: values.yaml alone gives it.
func TestReferenceArchitecture(t *testing.T) {
	r := render(t)

	t.Run("workloads", func(t *testing.T) {
		want := map[string]struct {
			kind     string
			replicas int32
			image    string
		}{
			"dagster":        {"Deployment", 2, "docker.io/aifilm/dagster:0.1.0"},
			"dagster-daemon": {"Deployment", 1, "docker.io/aifilm/dagster:0.1.0"},
			"dagster-code":   {"Deployment", 1, "docker.io/aifilm/dagster:0.1.0"},
			"langgraph":      {"Deployment", 3, "docker.io/aifilm/langgraph:0.1.0"},
			"flask":          {"Deployment", 2, "docker.io/aifilm/flask:0.1.0"},
			"comfyui":        {"StatefulSet", 1, "docker.io/aifilm/comfyui-server:0.1.0"},
			"comfyui-relay":  {"Deployment", 1, "docker.io/aifilm/comfyui:0.1.0"},
			"blender":        {"Deployment", 2, "docker.io/aifilm/blender:0.1.0"},
			"opencv":         {"Deployment", 2, "docker.io/aifilm/opencv:0.1.0"},
			"postgresql":     {"StatefulSet", 1, "docker.io/library/postgres:17"},
			"redis":          {"StatefulSet", 1, "docker.io/library/redis:8"},
			"ffmpeg":         {"Deployment", 2, "docker.io/aifilm/ffmpeg:0.1.0"},
		}
		got := workloads(r)
		require.Len(t, got, len(want))
		for name, w := range want {
			require.Contains(t, got, name)
			assert.Equal(t, w.kind, got[name].kind, name)
			if assert.NotNil(t, got[name].replicas, name) {
				assert.Equal(t, w.replicas, *got[name].replicas, name)
			}
			assert.Equal(t, w.image, got[name].container().Image, name)
		}
	})

	t.Run("services", func(t *testing.T) {
		want := map[string]int32{
			"dagster": 3000, "dagster-code": 4000, "langgraph": 8080, "flask": 5000,
			"comfyui": 8188, "comfyui-headless": 8188, "blender": 9876, "opencv": 8000,
			"postgresql": 5432, "redis": 6379, "ffmpeg": 8080,
		}
		got := map[string]int32{}
		for _, s := range charttest.All[*corev1.Service](r) {
			require.Len(t, s.Spec.Ports, 1, s.Name)
			got[s.Name] = s.Spec.Ports[0].Port
			assert.Equal(t, "ai-film", s.Namespace, s.Name)
		}
		assert.Equal(t, want, got)
		assert.Equal(t, "None", charttest.Get[*corev1.Service](t, r, "comfyui-headless").Spec.ClusterIP)
		assert.Equal(t, "relay", charttest.Get[*corev1.Service](t, r, "comfyui").Spec.Selector["app.kubernetes.io/component"])
		assert.Equal(t, "server", charttest.Get[*corev1.Service](t, r, "comfyui-headless").Spec.Selector["app.kubernetes.io/component"])
	})

	t.Run("claims", func(t *testing.T) {
		want := map[string]struct {
			size string
			mode corev1.PersistentVolumeAccessMode
		}{
			"dagster-pvc":  {"10Gi", corev1.ReadWriteMany},
			"images-pvc":   {"50Gi", corev1.ReadWriteMany},
			"videos-pvc":   {"100Gi", corev1.ReadWriteMany},
			"models-pvc":   {"50Gi", corev1.ReadWriteMany},
			"postgres-pvc": {"10Gi", corev1.ReadWriteOnce},
		}
		claims := charttest.All[*corev1.PersistentVolumeClaim](r)
		require.Len(t, claims, len(want))
		for _, claim := range claims {
			require.Contains(t, want, claim.Name)
			assert.Equal(t, want[claim.Name].size, claim.Spec.Resources.Requests.Storage().String(), claim.Name)
			assert.Equal(t, []corev1.PersistentVolumeAccessMode{want[claim.Name].mode}, claim.Spec.AccessModes, claim.Name)
			assert.Nil(t, claim.Spec.StorageClassName, "%s: the cluster's default class", claim.Name)
			assert.Equal(t, "keep", claim.Annotations["helm.sh/resource-policy"], claim.Name)
		}
	})

	t.Run("one GPU", func(t *testing.T) {
		for name, w := range workloads(r) {
			gpu := w.container().Resources.Limits["nvidia.com/gpu"]
			asked := w.container().Resources.Requests["nvidia.com/gpu"]
			want := int64(0)
			if name == "comfyui" {
				want = 1
				cpu := w.container().Resources.Requests[corev1.ResourceCPU]
				assert.Equal(t, "1", cpu.String(), "CPU stays beside the GPU")
			}
			assert.Equal(t, want, gpu.Value(), name)
			assert.Equal(t, want, asked.Value(), name)
		}
	})

	t.Run("page", func(t *testing.T) {
		ingress := charttest.Get[*networkingv1.Ingress](t, r, "ai-film")
		require.Len(t, ingress.Spec.Rules, 1, "only the studio's page is exposed by default")
		rule := ingress.Spec.Rules[0]
		assert.Equal(t, "ai-film.local", rule.Host)
		require.Len(t, rule.HTTP.Paths, 1)
		assert.Equal(t, "/", rule.HTTP.Paths[0].Path)
		assert.Equal(t, "flask", rule.HTTP.Paths[0].Backend.Service.Name)
		assert.Equal(t, int32(5000), rule.HTTP.Paths[0].Backend.Service.Port.Number)
	})

	t.Run("disruptions", func(t *testing.T) {
		var names []string
		for _, b := range charttest.All[*policyv1.PodDisruptionBudget](r) {
			names = append(names, b.Name)
			assert.Equal(t, 1, b.Spec.MaxUnavailable.IntValue(), b.Name)
		}
		sort.Strings(names)
		assert.Equal(t, []string{"blender", "dagster", "ffmpeg", "flask", "langgraph", "opencv"}, names)
		assert.Empty(t, charttest.All[*autoscalingv2.HorizontalPodAutoscaler](r))
	})
}

// Who mounts which volume is a contract between the services.
func TestVolumes(t *testing.T) {
	mounts := map[string]map[string]string{ // claim: path, and the workloads
		"images-pvc":   {"at": "/data/images", "blender": "", "opencv": "", "ffmpeg": "", "flask": ""},
		"videos-pvc":   {"at": "/data/videos", "opencv": "", "ffmpeg": "", "flask": ""},
		"models-pvc":   {"at": "/data/models", "comfyui": ""},
		"dagster-pvc":  {"at": "/data/dagster", "dagster": "", "dagster-daemon": "", "dagster-code": ""},
		"postgres-pvc": {"at": "/var/lib/postgresql/data", "postgresql": ""},
	}
	for _, p := range profiles(t) {
		r := studio(t).MustRender(t, p)
		got := map[string]map[string]string{}
		for name, w := range workloads(r) {
			for _, v := range w.template.Spec.Volumes {
				if v.PersistentVolumeClaim == nil {
					continue
				}
				claim := v.PersistentVolumeClaim.ClaimName
				for _, m := range w.container().VolumeMounts {
					if m.Name == v.Name {
						if got[claim] == nil {
							got[claim] = map[string]string{"at": m.MountPath}
						}
						got[claim][name] = ""
						assert.Equal(t, got[claim]["at"], m.MountPath, name)
					}
				}
			}
		}
		assert.Equal(t, mounts, got, p.Name)
	}
}

// Consumers find each other by fixed names; passwords come from the Secret and stand in no manifest.
func TestEnvironment(t *testing.T) {
	all := workloads(render(t))
	for name, want := range map[string]map[string]string{
		"flask": {
			"PORT": "5000", "DATA_DIR": "/data",
			"DATABASE_URL":   "postgresql://studio:$(STUDIO_PASSWORD)@postgresql:5432/studio",
			"REDIS_URL":      "redis://:$(REDIS_PASSWORD)@redis:6379/0",
			"ADMIN_PASSWORD": "secret ai-film/admin-password",
			"SECRET_KEY":     "secret ai-film/secret-key",
		},
		"langgraph": {"PORT": "8080", "DATABASE_URL": "postgresql://langgraph:$(LANGGRAPH_PASSWORD)@postgresql:5432/langgraph"},
		"comfyui-relay": {
			"PORT": "8188", "BACKENDS": "dns+http://comfyui-headless:8188",
			"DATABASE_URL": "postgresql://studio:$(STUDIO_PASSWORD)@postgresql:5432/studio",
		},
		"blender": {"PORT": "9876", "SAMPLES": "4"},
		"dagster-code": {
			"DAGSTER_PG_URL":      "postgresql://dagster:$(DAGSTER_PASSWORD)@postgresql:5432/dagster",
			"STUDIO_DATABASE_URL": "postgresql://studio:$(STUDIO_PASSWORD)@postgresql:5432/studio",
			"REDIS_URL":           "redis://:$(REDIS_PASSWORD)@redis:6379/0",
			"LANGGRAPH_URL":       "http://langgraph:8080", "COMFYUI_URL": "http://comfyui:8188",
			"BLENDER_URL": "http://blender:9876", "OPENCV_URL": "http://opencv:8000", "FFMPEG_URL": "http://ffmpeg:8080",
			"COMFYUI_CHECKPOINT": "sd_xl_base_1.0.safetensors", "COMFYUI_STEPS": "20",
		},
	} {
		got := environment(all[name].container())
		for key, value := range want {
			assert.Equal(t, value, got[key], "%s: %s", name, key)
		}
	}
	// Every service of ours knows the others by one secret; PostgreSQL and Redis have passwords of their own, ComfyUI knows nobody.
	for name, w := range all {
		token, known := environment(w.container())["SERVICE_TOKEN"]
		assert.Equal(t, name != "postgresql" && name != "redis" && name != "comfyui", known, name)
		if known {
			assert.Equal(t, "secret ai-film/service-token", token, name)
		}
	}
	assert.Equal(t, "secret ai-film/service-token", environment(runPod(t, render(t)).Containers[0])["SERVICE_TOKEN"], "runs")
	// $(NAME) is replaced only by a variable that stands before it.
	for name, w := range all {
		seen := map[string]bool{}
		for _, e := range w.container().Env {
			for _, used := range references(e.Value) {
				assert.True(t, seen[used], "%s: %s uses $(%s), which does not stand before it", name, e.Name, used)
			}
			assert.False(t, seen[e.Name], "%s: %s stands twice", name, e.Name)
			seen[e.Name] = true
		}
	}
}

func TestPagesOfDagsterAndComfyUI(t *testing.T) {
	r := render(t, charttest.Set("ingress.dagster.enabled=true", "ingress.comfyui.enabled=true", "ingress.tlsSecret=pages"))
	ingress := charttest.Get[*networkingv1.Ingress](t, r, "ai-film")
	got := map[string]string{}
	for _, rule := range ingress.Spec.Rules {
		got[rule.Host] = rule.HTTP.Paths[0].Backend.Service.Name
	}
	assert.Equal(t, map[string]string{"ai-film.local": "flask", "dagster.ai-film.local": "dagster", "comfyui.ai-film.local": "comfyui"}, got)
	require.Len(t, ingress.Spec.TLS, 1)
	assert.Len(t, ingress.Spec.TLS[0].Hosts, 3)
}
