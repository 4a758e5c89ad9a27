package unit

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest"
)

// instance is the part of dagster.yaml that concerns runs.
type instance struct {
	RunLauncher struct {
		Module, Class string
		Config        struct {
			AllowedFields      map[string]any                `json:"only_allow_user_defined_k8s_config_fields"`
			AllowedEnv         []string                      `json:"only_allow_user_defined_env_vars"`
			JobNamespace       string                        `json:"job_namespace"`
			ServiceAccountName string                        `json:"service_account_name"`
			JobImage           string                        `json:"job_image"`
			ImagePullPolicy    corev1.PullPolicy             `json:"image_pull_policy"`
			ImagePullSecrets   []corev1.LocalObjectReference `json:"image_pull_secrets"`
			DagsterHome        string                        `json:"dagster_home"`
			InstanceConfigMap  string                        `json:"instance_config_map"`
			LoadIncluster      bool                          `json:"load_incluster_config"`
			RunK8sConfig       struct {
				JobMetadata metav1.ObjectMeta `json:"job_metadata"`
				JobSpec     json.RawMessage   `json:"job_spec_config"`
				PodMetadata metav1.ObjectMeta `json:"pod_template_spec_metadata"`
				PodSpec     json.RawMessage   `json:"pod_spec_config"`
				Container   json.RawMessage   `json:"container_config"`
			} `json:"run_k8s_config"`
		}
	} `json:"run_launcher"`
	RunCoordinator struct {
		Class  string
		Config struct {
			MaxConcurrentRuns int `json:"max_concurrent_runs"`
		}
	} `json:"run_coordinator"`
	RunMonitoring struct {
		Enabled             bool
		PollIntervalSeconds int `json:"poll_interval_seconds"`
	} `json:"run_monitoring"`
	RunRetries struct{ Enabled bool } `json:"run_retries"`
	Telemetry  struct{ Enabled bool }
}

func dagster(t testing.TB, r *charttest.Render) instance {
	t.Helper()
	var i instance
	require.NoError(t, yaml.Unmarshal([]byte(charttest.Get[*corev1.ConfigMap](t, r, "dagster").Data["dagster.yaml"]), &i))
	return i
}

// runPod is a run's pod as the launcher will put it together, strictly decoded.
func runPod(t testing.TB, r *charttest.Render) corev1.PodSpec {
	t.Helper()
	config := dagster(t, r).RunLauncher.Config.RunK8sConfig
	var spec corev1.PodSpec
	require.NoError(t, yaml.UnmarshalStrict(config.PodSpec, &spec))
	var container corev1.Container
	require.NoError(t, yaml.UnmarshalStrict(config.Container, &container))
	spec.Containers = []corev1.Container{container}
	return spec
}

func runs(t testing.TB, r *charttest.Render) int {
	return dagster(t, r).RunCoordinator.Config.MaxConcurrentRuns
}

func TestRunsAreLaunchedLikeTheRest(t *testing.T) {
	for _, p := range profiles(t) {
		t.Run(p.Name, func(t *testing.T) {
			r := studio(t).MustRender(t, p)
			i := dagster(t, r)
			launcher := i.RunLauncher
			assert.Equal(t, "dagster_k8s", launcher.Module)
			assert.Equal(t, "K8sRunLauncher", launcher.Class)
			assert.Equal(t, "ai-film", launcher.Config.JobNamespace)
			assert.Equal(t, "dagster-run", launcher.Config.ServiceAccountName)
			assert.Equal(t, "dagster", launcher.Config.InstanceConfigMap)
			assert.True(t, launcher.Config.LoadIncluster)
			// services/dagster/tests gives this configuration to the launcher itself.
			assert.Equal(t, map[string]any{
				"container_config": map[string]any{}, "pod_spec_config": map[string]any{}, "pod_template_spec_metadata": map[string]any{},
				"job_metadata": map[string]any{}, "job_spec_config": map[string]any{}, "namespace": false,
			}, launcher.Config.AllowedFields, "who submits a run sets nothing of its pod")
			assert.Equal(t, []string{}, launcher.Config.AllowedEnv)
			code := workloads(r)["dagster-code"].container()
			assert.Equal(t, code.Image, launcher.Config.JobImage, "a run must have the code of the code server")
			assert.Equal(t, environment(code)["DAGSTER_HOME"], launcher.Config.DagsterHome)

			assert.Equal(t, "QueuedRunCoordinator", i.RunCoordinator.Class)
			assert.True(t, i.RunMonitoring.Enabled)
			assert.LessOrEqual(t, i.RunMonitoring.PollIntervalSeconds, 30)
			assert.False(t, i.RunRetries.Enabled, "the sensor alone repeats runs")
			assert.False(t, i.Telemetry.Enabled)

			spec := runPod(t, r)
			pod(t, "run", withPullPolicy(spec, launcher.Config.ImagePullPolicy))
			labels := launcher.Config.RunK8sConfig.PodMetadata.Labels
			assert.Equal(t, launcher.Config.RunK8sConfig.JobMetadata.Labels, labels)
			assert.Equal(t, "ai-film", labels["app.kubernetes.io/part-of"])
			assert.Equal(t, "run", labels["app.kubernetes.io/component"])

			claims := map[string]string{}
			for _, v := range spec.Volumes {
				if v.PersistentVolumeClaim != nil {
					claims[v.Name] = v.PersistentVolumeClaim.ClaimName
				}
			}
			assert.Equal(t, map[string]string{"images": "images-pvc", "videos": "videos-pvc", "dagster": "dagster-pvc"}, claims)
			at := map[string]string{}
			for _, m := range spec.Containers[0].VolumeMounts {
				at[m.Name] = m.MountPath
			}
			assert.Equal(t, map[string]string{"tmp": "/tmp", "images": "/data/images", "videos": "/data/videos", "dagster": "/data/dagster"}, at)

			got, want := environment(spec.Containers[0]), environment(code)
			for name, value := range want {
				if name != "PORT" {
					assert.Equal(t, value, got[name], name)
				}
			}
			webserver := workloads(r)["dagster"].template.Spec
			assert.Equal(t, webserver.Affinity, spec.Affinity, "runs go where the volumes are")
		})
	}
}

func withPullPolicy(spec corev1.PodSpec, policy corev1.PullPolicy) corev1.PodSpec {
	spec.Containers[0].ImagePullPolicy = policy
	return spec
}

func TestMirrorAndPullSecretsReachEveryImage(t *testing.T) {
	r := render(t, charttest.Set("global.imageRegistry=registry.example.com/mirror", "global.imagePullSecrets={pull}"))
	want := []corev1.LocalObjectReference{{Name: "pull"}}
	images := map[string]string{"run": dagster(t, r).RunLauncher.Config.JobImage}
	assert.Equal(t, want, dagster(t, r).RunLauncher.Config.ImagePullSecrets)
	for name, w := range workloads(r) {
		assert.Equal(t, want, w.template.Spec.ImagePullSecrets, name)
		for _, c := range append(w.template.Spec.InitContainers, w.template.Spec.Containers...) {
			images[name+"/"+c.Name] = c.Image
		}
	}
	test := charttest.Get[*corev1.Pod](t, r, "ai-film-test").Spec
	assert.Equal(t, want, test.ImagePullSecrets)
	images["test"] = test.Containers[0].Image
	for name, image := range images {
		assert.Regexp(t, `^registry\.example\.com/mirror/[^/]+/[a-z-]+:[0-9.]+$`, image, name)
	}
}
