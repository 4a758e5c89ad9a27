package unit

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/ai-film/ai-film/charttest"
)

// services are the values of every service, by path, with the pods they are of.
var services = map[string][]string{
	"application.dagster":       {"dagster", "dagster-daemon", "dagster-code", "run"},
	"application.langgraph":     {"langgraph"},
	"application.flask":         {"flask"},
	"processing.comfyui":        {"comfyui"},
	"processing.comfyui.relay":  {"comfyui-relay"},
	"processing.comfyui.models": {"comfyui-models"},
	"backup":                    {"backup", "restore"},
	"ingress.oidc":              {"oauth2-proxy-flask", "oauth2-proxy-dagster", "oauth2-proxy-comfyui"},
	"processing.comfyui.bridge": {"comfyui-bridge"},
	"processing.blender":        {"blender"},
	"processing.opencv":         {"opencv"},
	"data.postgresql":           {"postgresql"},
	"data.redis":                {"redis"},
	"data.ffmpeg":               {"ffmpeg"},

	"monitoring.prometheus":       {"prometheus"},
	"monitoring.alertmanager":     {"alertmanager"},
	"monitoring.grafana":          {"grafana"},
	"monitoring.kubeStateMetrics": {"kube-state-metrics"},
	"monitoring.node":             {"node-exporter"},
	"monitoring.postgresql":       {"postgresql-exporter"},
	"monitoring.redis":            {"redis-exporter"},
	"monitoring.dcgm":             {"dcgm-exporter"},
}

// optional turns on what makes pods beside those of the reference architecture.
var optional = charttest.Values(map[string]any{"ingress": map[string]any{"tlsSecret": "pages", "bridge": map[string]any{"enabled": true}, "dagster": map[string]any{"enabled": true}, "comfyui": map[string]any{"enabled": true},
	"oidc": map[string]any{"enabled": true, "issuerURL": "https://id.example.com", "clientID": "ai-film", "existingSecret": "login", "emailDomains": []any{"example.com"}}},
	"backup": map[string]any{"enabled": true, "existingSecret": "backup", "s3": map[string]any{"url": "https://s3.example.com/backups/ai-film"},
		"restore": map[string]any{"snapshot": "latest"}}, "processing": map[string]any{"comfyui": map[string]any{
		"remote": map[string]any{"enabled": true}, "bridge": map[string]any{"enabled": true}, "models": map[string]any{"files": map[string]any{
			"one": map[string]any{"url": "https://example.com/one", "path": "checkpoints/one", "tokenSecret": "hub"},
		}}}},
	"monitoring": map[string]any{"enabled": true, "dcgm": map[string]any{"enabled": true}, "alertmanager": map[string]any{"webhook": map[string]any{
		"enabled": true, "url": "https://hooks.example.com/studio"}}}})

// pods are the templates of all pods that the chart leads to, runs, tests and Jobs included, by the names of their accounts.
func pods(t testing.TB, r *charttest.Render) map[string]corev1.PodTemplateSpec {
	t.Helper()
	all := map[string]corev1.PodTemplateSpec{}
	for name, w := range workloads(r) {
		all[name] = w.template
	}
	for _, j := range charttest.All[*batchv1.Job](r) {
		all[j.Spec.Template.Spec.ServiceAccountName] = j.Spec.Template
	}
	for _, c := range charttest.All[*batchv1.CronJob](r) {
		all[c.Spec.JobTemplate.Spec.Template.Spec.ServiceAccountName] = c.Spec.JobTemplate.Spec.Template
	}
	test := charttest.Get[*corev1.Pod](t, r, "ai-film-test")
	all["test"] = corev1.PodTemplateSpec{ObjectMeta: test.ObjectMeta, Spec: test.Spec}
	all["run"] = corev1.PodTemplateSpec{ObjectMeta: dagster(t, r).RunLauncher.Config.RunK8sConfig.PodMetadata, Spec: runPod(t, r)}
	return all
}

func at(path string, values map[string]any) charttest.Option {
	keys := strings.Split(path, ".")
	for i := len(keys) - 1; i >= 0; i-- {
		values = map[string]any{keys[i]: values}
	}
	return charttest.Values(values)
}

// Placement is of every pod: globally, and for a service's own on top of that.
func TestPlacement(t *testing.T) {
	tolerations := func(keys ...string) (all []any) {
		for _, key := range keys {
			all = append(all, map[string]any{"key": key, "operator": "Exists"})
		}
		return all
	}
	everywhere := at("global", map[string]any{
		"nodeSelector": map[string]any{"kubernetes.io/arch": "amd64"}, "tolerations": tolerations("pool"), "priorityClassName": "films",
		"affinity": map[string]any{"nodeAffinity": map[string]any{"preferredDuringSchedulingIgnoredDuringExecution": []any{map[string]any{
			"weight": 1, "preference": map[string]any{"matchExpressions": []any{map[string]any{"key": "spot", "operator": "DoesNotExist"}}}}}}},
	})
	for name, pod := range pods(t, render(t, optional, everywhere)) {
		assert.Equal(t, "amd64", pod.Spec.NodeSelector["kubernetes.io/arch"], name)
		assert.Equal(t, []corev1.Toleration{{Key: "pool", Operator: "Exists"}}, pod.Spec.Tolerations, name)
		assert.Equal(t, "films", pod.Spec.PriorityClassName, name)
		if assert.NotNil(t, pod.Spec.Affinity, name) {
			assert.NotNil(t, pod.Spec.Affinity.NodeAffinity, name)
		}
	}
	for path, of := range services {
		all := pods(t, render(t, optional, everywhere, at(path, map[string]any{
			"nodeSelector": map[string]any{"disk": "fast", "kubernetes.io/arch": "arm64"}, "tolerations": tolerations("mine"), "priorityClassName": "first",
			"affinity":                  map[string]any{"podAntiAffinity": map[string]any{"requiredDuringSchedulingIgnoredDuringExecution": []any{}}},
			"topologySpreadConstraints": []any{map[string]any{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}},
		})))
		if path == "application.flask" {
			of = append(of, "test") // it is flask's image that makes the test's film
		}
		for name, pod := range all {
			mine := name == "dcgm-exporter" && path == "processing.comfyui" // it goes where the GPUs are
			if mine {
				assert.Equal(t, "fast", pod.Spec.NodeSelector["disk"], name)
				assert.Len(t, pod.Spec.Tolerations, 2, name)
				continue
			}
			for _, one := range of {
				mine = mine || one == name
			}
			assert.Equal(t, mine, pod.Spec.NodeSelector["disk"] == "fast", "%s with %s", name, path)
			if mine {
				assert.Equal(t, "arm64", pod.Spec.NodeSelector["kubernetes.io/arch"], "%s: the service's own goes first", name)
				assert.Len(t, pod.Spec.Tolerations, 2, name)
				assert.Equal(t, "first", pod.Spec.PriorityClassName, name)
				assert.Nil(t, pod.Spec.Affinity.NodeAffinity, "%s: the service's own in place of the global", name)
			}
			if mine && name != "run" && name != "test" {
				require.Len(t, pod.Spec.TopologySpreadConstraints, 1, name)
				assert.Equal(t, "zone", pod.Spec.TopologySpreadConstraints[0].TopologyKey, name)
			}
		}
	}
}

// The operator's variables and the chart's are one list in which no name stands twice: the API server merges it by name, and
// what stood twice would be lost at the next upgrade.
func TestVariablesAreMergedByName(t *testing.T) {
	names := map[string]string{"application.dagster": "REDIS_URL", "application.langgraph": "DATABASE_URL", "application.flask": "REDIS_URL",
		"processing.comfyui": "HOME", "processing.comfyui.models": "PARALLEL", "backup": "RESTIC_CACHE_DIR", "ingress.oidc": "OAUTH2_PROXY_SCOPE", "processing.comfyui.relay": "BACKENDS", "processing.comfyui.bridge": "CHECKPOINT", "processing.blender": "SAMPLES", "data.postgresql": "POSTGRES_PASSWORD",
		"data.redis": "REDIS_PASSWORD", "processing.opencv": "LOG_LEVEL", "data.ffmpeg": "LOG_LEVEL", "monitoring.prometheus": "GOGC", "monitoring.alertmanager": "GOGC",
		"monitoring.grafana": "GF_LOG_MODE", "monitoring.kubeStateMetrics": "GOGC", "monitoring.node": "GOGC", "monitoring.postgresql": "DATA_SOURCE_USER", "monitoring.redis": "REDIS_ADDR", "monitoring.dcgm": "NVIDIA_VISIBLE_DEVICES"}
	require.Len(t, names, len(services))
	for path, name := range names {
		secret := map[string]any{"name": "FROM_A_SECRET", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "mine", "key": "k"}}}
		r := render(t, optional, at(path, map[string]any{"env": map[string]any{name: "x", "A_TOO": "y", "BOTH": "z"},
			"extraEnv":     []any{secret, map[string]any{"name": "BOTH", "value": "extra"}},
			"extraEnvFrom": []any{map[string]any{"configMapRef": map[string]any{"name": "more"}}}}))
		for _, of := range services[path] {
			c := pods(t, r)[of].Spec.Containers[0]
			seen := map[string]bool{}
			for _, e := range c.Env {
				assert.False(t, seen[e.Name], "%s: %s stands twice", of, e.Name)
				seen[e.Name] = true
			}
			env := environment(c)
			assert.Equal(t, "x", env[name], of)
			assert.Equal(t, "y", env["A_TOO"], of)
			assert.Equal(t, "extra", env["BOTH"], of)
			assert.Equal(t, "secret mine/k", env["FROM_A_SECRET"], of)
			if assert.Len(t, c.EnvFrom, 1, of) {
				assert.Equal(t, "more", c.EnvFrom[0].ConfigMapRef.Name, of)
			}
		}
	}
	for _, c := range workloads(render(t, charttest.Set("application.dagster.env.REDIS_URL=x")))["dagster"].template.Spec.InitContainers {
		assert.Equal(t, "x", environment(c)["REDIS_URL"])
	}
}

// What platform teams add to pods reaches each service's, and no selector.
func TestWhatOperatorsAddToPods(t *testing.T) {
	for path, of := range services {
		r := render(t, optional, at(path, map[string]any{
			"podLabels": map[string]any{"team": "films", "app.kubernetes.io/name": "other"}, "podAnnotations": map[string]any{"example.com/a": "b"},
			"podSecurityContext": map[string]any{"supplementalGroups": []any{5}},
			"extraVolumes":       []any{map[string]any{"name": "more", "configMap": map[string]any{"name": "more"}}},
			"extraVolumeMounts":  []any{map[string]any{"name": "more", "mountPath": "/more"}},
			"extraContainers":    []any{map[string]any{"name": "beside", "image": "beside:1"}},
			"serviceAccount":     map[string]any{"annotations": map[string]any{"iam.gke.io/gcp-service-account": "me"}},
			"scratch":            "3Gi",
		}))
		for _, name := range of {
			pod := pods(t, r)[name]
			assert.Equal(t, "films", pod.Labels["team"], name)
			assert.NotEqual(t, "other", pod.Labels["app.kubernetes.io/name"], "%s: what selects the pod stays", name)
			assert.Equal(t, "b", pod.Annotations["example.com/a"], name)
			assert.Equal(t, []int64{5}, pod.Spec.SecurityContext.SupplementalGroups, name)
			volumes, mounts := map[string]bool{}, map[string]bool{}
			for _, v := range pod.Spec.Volumes {
				assert.False(t, volumes[v.Name], "%s: %s", name, v.Name)
				volumes[v.Name] = true
				if v.Name == "tmp" {
					assert.Equal(t, "3Gi", v.EmptyDir.SizeLimit.String(), name)
				}
			}
			for _, m := range pod.Spec.Containers[0].VolumeMounts {
				mounts[m.MountPath] = true
			}
			assert.True(t, volumes["more"] && mounts["/more"], name)
			account := "dagster-run"
			if name != "run" { // which would never end with another container
				require.Len(t, pod.Spec.Containers, 2, name)
				assert.Equal(t, "beside", pod.Spec.Containers[1].Name, name)
				account = name
			} else {
				assert.Len(t, pod.Spec.Containers, 1)
			}
			assert.Equal(t, "me", charttest.Get[*corev1.ServiceAccount](t, r, account).Annotations["iam.gke.io/gcp-service-account"], name)
		}
	}
}

func TestCommonLabelsAndAnnotations(t *testing.T) {
	r := render(t, optional, charttest.Set("commonLabels.team=films", "commonLabels.app\\.kubernetes\\.io/name=other", "commonAnnotations.owner=me"))
	for _, o := range r.Objects {
		u := o.Unstructured()
		assert.Equal(t, "films", u.GetLabels()["team"], o.String())
		assert.NotEqual(t, "other", u.GetLabels()["app.kubernetes.io/name"], o.String())
		assert.Equal(t, "me", u.GetAnnotations()["owner"], o.String())
	}
	for name, pod := range pods(t, r) {
		assert.Equal(t, "films", pod.Labels["team"], name)
		assert.Equal(t, "me", pod.Annotations["owner"], name)
	}
	for name, w := range workloads(r) {
		assert.NotContains(t, asJSON(t, w.selector), "films", "%s: selectors are immutable", name)
	}
}

func TestExtraObjects(t *testing.T) {
	r := render(t, charttest.Values(map[string]any{"extraObjects": []any{
		map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "{{ .Release.Name }}-mine"}, "data": map[string]any{"a": "b"}},
		map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "second"}},
	}}))
	assert.Equal(t, "b", charttest.Get[*corev1.ConfigMap](t, r, "ai-film-mine").Data["a"])
	charttest.Get[*corev1.ConfigMap](t, r, "second")
}

// Databases elsewhere: their names, roles, ports, Secrets and certificates reach everybody who uses them.
func TestDatabasesElsewhere(t *testing.T) {
	r := render(t, charttest.Set("data.postgresql.enabled=false", "data.redis.enabled=false",
		"global.postgresql.host=db.example.com", "global.postgresql.port=6432", "global.postgresql.sslMode=verify-full", "global.postgresql.caSecret=db-ca",
		"global.postgresql.existingSecret=db", "global.postgresql.databases.studio.name=films", "global.postgresql.databases.studio.user=maker",
		"global.postgresql.databases.studio.passwordKey=pw",
		"global.redis.host=cache.example.com", "global.redis.port=6380", "global.redis.user=studio", "global.redis.database=3", "global.redis.tls=true",
		"global.redis.caSecret=cache-ca", "global.redis.caKey=root.pem", "global.redis.existingSecret=cache", "global.redis.passwordKey=pw"))
	studioURL := "postgresql://maker:$(STUDIO_PASSWORD)@db.example.com:6432/films?sslmode=verify-full&sslrootcert=/etc/studio/postgresql/ca.crt"
	redisURL := "rediss://studio:$(REDIS_PASSWORD)@cache.example.com:6380/3?ssl_ca_certs=/etc/studio/redis/root.pem"
	for name, want := range map[string]map[string]string{
		"flask":          {"DATABASE_URL": studioURL, "REDIS_URL": redisURL, "STUDIO_PASSWORD": "secret db/pw", "REDIS_PASSWORD": "secret cache/pw"},
		"langgraph":      {"DATABASE_URL": "postgresql://langgraph:$(LANGGRAPH_PASSWORD)@db.example.com:6432/langgraph?sslmode=verify-full&sslrootcert=/etc/studio/postgresql/ca.crt", "LANGGRAPH_PASSWORD": "secret db/langgraph-password"},
		"comfyui-relay":  {"DATABASE_URL": studioURL},
		"dagster-daemon": {"STUDIO_DATABASE_URL": studioURL, "REDIS_URL": redisURL, "DAGSTER_PASSWORD": "secret db/dagster-password"},
		"run":            {"STUDIO_DATABASE_URL": studioURL, "REDIS_URL": redisURL, "STUDIO_PASSWORD": "secret db/pw"},
	} {
		pod := pods(t, r)[name].Spec
		for key, value := range want {
			assert.Equal(t, value, environment(pod.Containers[0])[key], "%s: %s", name, key)
		}
		secrets, mounts := map[string]string{}, map[string]string{}
		for _, v := range pod.Volumes {
			if v.Secret != nil {
				secrets[v.Name] = v.Secret.SecretName
			}
		}
		for _, c := range append(pod.InitContainers, pod.Containers...) {
			for _, m := range c.VolumeMounts {
				mounts[m.MountPath] = secrets[m.Name]
			}
			assert.Equal(t, "db-ca", mounts["/etc/studio/postgresql"], "%s/%s", name, c.Name)
		}
		if want["REDIS_URL"] != "" {
			assert.Equal(t, "cache-ca", mounts["/etc/studio/redis"], name)
		}
		policy := charttest.Get[*networkingv1.NetworkPolicy](t, r, map[bool]string{true: "dagster-run", false: name}[name == "run"])
		assert.Contains(t, asJSON(t, policy.Spec.Egress), `"port": 6432`, "%s may go there", name)
	}
	assert.Nil(t, r.Object("NetworkPolicy", "postgresql"))
}

// What makes films scales on its queue where something measures it, drains for as long as a job may take, and follows the CPU
// only where nothing does.
func TestScalingOnQueues(t *testing.T) {
	all := []string{"data.ffmpeg", "processing.blender", "processing.opencv", "processing.comfyui", "application.langgraph", "application.flask"}
	var enable []string
	for _, path := range all {
		enable = append(enable, path+".autoscaling.enabled=true")
	}
	queue := map[string]string{"comfyui": "aifilm_comfyui_queue_length", "ffmpeg": "aifilm_queue_length", "blender": "aifilm_queue_length",
		"opencv": "aifilm_queue_length", "langgraph": "aifilm_queue_length"}
	for queues, options := range map[string][]string{"none": nil, "gke": {"metrics.collector=gke"}, "prometheus-adapter": {"metrics.collector=prometheus-operator"}} {
		r := render(t, charttest.Set(enable...), charttest.Set(append(options, "metrics.queues="+queues)...),
			charttest.APIVersions("monitoring.googleapis.com/v1", "monitoring.coreos.com/v1"))
		autoscalers := charttest.All[*autoscalingv2.HorizontalPodAutoscaler](r)
		require.Len(t, autoscalers, len(all))
		for _, h := range autoscalers {
			require.NotNil(t, h.Spec.Behavior, h.Name)
			require.NotNil(t, h.Spec.Behavior.ScaleDown, h.Name)
			assert.GreaterOrEqual(t, *h.Spec.Behavior.ScaleDown.StabilizationWindowSeconds, int32(600), h.Name)
			assert.NotNil(t, h.Spec.Behavior.ScaleUp, h.Name)
			require.Len(t, h.Spec.Metrics, 1, h.Name)
			m := h.Spec.Metrics[0]
			if queues == "none" || queue[h.Name] == "" {
				assert.Equal(t, autoscalingv2.ResourceMetricSourceType, m.Type, h.Name)
				continue
			}
			require.Equal(t, autoscalingv2.ExternalMetricSourceType, m.Type, h.Name)
			labels := m.External.Metric.Selector.MatchLabels
			prefix, namespace := "", "namespace"
			if queues == "gke" {
				prefix, namespace = "metric.labels.", "resource.labels.namespace"
				assert.Equal(t, "prometheus.googleapis.com|"+queue[h.Name]+"|gauge", m.External.Metric.Name)
			} else {
				assert.Equal(t, queue[h.Name], m.External.Metric.Name)
			}
			assert.Equal(t, "ai-film", labels[namespace], "%s: another studio's queue is not ours", h.Name)
			if h.Name != "comfyui" {
				assert.Equal(t, h.Name, labels[prefix+"service"])
			}
			assert.Equal(t, "2", m.External.Target.AverageValue.String(), h.Name)
		}
	}
	for _, name := range []string{"ffmpeg", "blender", "opencv"} {
		grace := *workloads(render(t))[name].template.Spec.TerminationGracePeriodSeconds
		assert.Greater(t, grace, int64(15*60), "%s finishes a job, which may take 15 minutes (JOB_TIMEOUT)", name)
	}
}

// KEDA takes the autoscalers' place, and ComfyUI to nothing and back.
func TestScalingByKEDA(t *testing.T) {
	r := render(t, charttest.Set("metrics.queues=keda", "metrics.prometheusURL=http://prometheus:9090", "data.ffmpeg.autoscaling.enabled=true",
		"processing.comfyui.autoscaling.enabled=true", "processing.comfyui.replicas=0", "application.flask.autoscaling.enabled=true"),
		charttest.APIVersions("keda.sh/v1alpha1"))
	var names []string
	for _, h := range charttest.All[*autoscalingv2.HorizontalPodAutoscaler](r) {
		names = append(names, h.Name)
	}
	assert.Equal(t, []string{"flask"}, names, "the page has no queue")
	for name, want := range map[string]struct {
		least int64
		query string
	}{
		"ffmpeg":  {2, `sum(aifilm_queue_length{namespace="ai-film",service="ffmpeg"})`},
		"comfyui": {0, `sum(aifilm_comfyui_queue_length{namespace="ai-film"})`},
	} {
		object := r.Object("ScaledObject", name)
		require.NotNil(t, object, name)
		content := object.Content()
		least, _, _ := unstructured.NestedFieldNoCopy(content, "spec", "minReplicaCount")
		assert.EqualValues(t, want.least, least, name)
		triggers, _, _ := unstructured.NestedSlice(content, "spec", "triggers")
		require.Len(t, triggers, 1)
		metadata := triggers[0].(map[string]any)["metadata"].(map[string]any)
		assert.Equal(t, want.query, metadata["query"])
		assert.Equal(t, "http://prometheus:9090", metadata["serverAddress"])
	}
}

// Metrics are collected from the pods: no Service has their port.
func TestCollectors(t *testing.T) {
	for collector, want := range map[string][3]string{"gke": {"PodMonitoring", "endpoints", "ffmpeg"}, "prometheus-operator": {"PodMonitor", "podMetricsEndpoints", "ai-film"}} {
		r := render(t, charttest.Set("metrics.collector="+collector, "metrics.monitorLabels.release=prometheus"), charttest.APIVersions("monitoring.coreos.com/v1", "monitoring.googleapis.com/v1"))
		object := r.Object(want[0], want[2])
		require.NotNil(t, object, collector)
		content := object.Content()
		endpoints, _, _ := unstructured.NestedSlice(content, "spec", want[1])
		require.Len(t, endpoints, 1)
		assert.Equal(t, "management", endpoints[0].(map[string]any)["port"])
		assert.Equal(t, "prometheus", object.Unstructured().GetLabels()["release"])
	}
	r := render(t, charttest.Set("metrics.collector=gke"), charttest.APIVersions("monitoring.googleapis.com/v1"))
	assert.Contains(t, asJSON(t, charttest.Get[*networkingv1.NetworkPolicy](t, r, "ffmpeg").Spec.Ingress), "gmp-system", "its collectors are let in")
}

// As a dependency: the parent's own globals and its `enabled` are its affair; what is in ours is held to the schema all the same.
func TestAsADependency(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "parent")
	require.NoError(t, os.MkdirAll(filepath.Join(parent, "charts"), 0o755))
	require.NoError(t, os.CopyFS(filepath.Join(parent, "charts", "ai-film"), os.DirFS(filepath.Join(root, "charts", "ai-film"))))
	require.NoError(t, os.WriteFile(filepath.Join(parent, "Chart.yaml"), []byte(
		"apiVersion: v2\nname: parent\nversion: 1.0.0\ndependencies:\n  - {name: ai-film, version: 0.1.0, repository: \"\", condition: ai-film.enabled}\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(parent, "values.yaml"), []byte(
		"global: {domain: example.com, storageClass: fast, team: {name: films}}\nai-film: {enabled: true, application: {flask: {replicas: 5}}}\n"), 0o600))
	chart := charttest.MustLoad(t, parent)
	r := chart.MustRender(t, installed)
	assert.EqualValues(t, 5, *workloads(r)["flask"].replicas)
	assert.Equal(t, "docker.io/aifilm/flask:0.1.0", workloads(r)["flask"].container().Image)
	assert.Empty(t, workloads(chart.MustRender(t, installed, charttest.Set("ai-film.enabled=false"))))
	for _, set := range []string{"ai-film.application.flask.replica=2", "global.singleNode=perhaps", "global.postgresql.hots=x", "ai-film.aplication.x=1"} {
		_, err := chart.Render(t.Context(), installed, charttest.Set(set))
		var refused *charttest.SchemaError
		assert.ErrorAs(t, err, &refused, set)
	}
}

// `helm test` ends within Helm's own time-out, says how to give it longer, and can go where the studio goes.
func TestHelmTestEndsInTime(t *testing.T) {
	r := render(t)
	pod := charttest.Get[*corev1.Pod](t, r, "ai-film-test").Spec
	seconds, err := strconv.Atoi(environment(pod.Containers[0])["TIMEOUT_SECONDS"])
	require.NoError(t, err)
	assert.Less(t, seconds, 300)
	script := charttest.Get[*corev1.ConfigMap](t, r, "ai-film-test").Data["film.py"]
	assert.Contains(t, script, "test.timeoutSeconds")
	assert.Contains(t, script, "--timeout")
	assert.Contains(t, render(t, charttest.Set("test.timeoutSeconds=900")).Notes, "--timeout 960s")
	assert.Len(t, charttest.Get[*corev1.Pod](t, render(t, charttest.Set("global.tolerations[0].operator=Exists")), "ai-film-test").Spec.Tolerations, 1)
	assert.Nil(t, render(t, charttest.Set("application.flask.enabled=false", "ingress.enabled=false")).Object("Pod", "ai-film-test"))
}

// The notes warn where the page is on plain HTTP on a host that others may be on the way to.
func TestNotesWarnOfPlainHTTP(t *testing.T) {
	warning := regexp.MustCompile(`WARNING: \S+ is on plain HTTP`)
	for set, want := range map[string]bool{
		"ingress.host=ai-film.local": false, "ingress.host=studio.localhost": false, "ingress.host=192.168.49.2": false,
		"ingress.host=film.example.com": true, "ingress.host=10.example.com": true,
	} {
		assert.Equal(t, want, warning.MatchString(render(t, charttest.Set(set)).Notes), set)
	}
	for _, tls := range []string{"ingress.tlsSecret=mine", "ingress.tls.issuer=letsencrypt", "ingress.tls.managedCertificate=true", "ingress.tls.elsewhere=true"} {
		r := render(t, charttest.Set("ingress.host=film.example.com", tls), charttest.APIVersions("networking.gke.io/v1", "networking.gke.io/v1beta1"))
		assert.False(t, warning.MatchString(r.Notes), tls)
		assert.Contains(t, r.Notes, "https://film.example.com", tls)
		assert.Equal(t, "true", environment(workloads(r)["flask"].container())["COOKIE_SECURE"], tls)
	}
	assert.NotContains(t, environment(workloads(render(t))["flask"].container()), "COOKIE_SECURE")
	issued := charttest.Get[*networkingv1.Ingress](t, render(t, charttest.Set("ingress.host=film.example.com", "ingress.tls.issuer=letsencrypt")), "ai-film")
	assert.Equal(t, "letsencrypt", issued.Annotations["cert-manager.io/cluster-issuer"])
	require.Len(t, issued.Spec.TLS, 1)
	assert.Equal(t, "ai-film-tls", issued.Spec.TLS[0].SecretName)
	assert.Contains(t, render(t, charttest.Set("ingress.dagster.enabled=true")).Notes, "Dagster's page has no login")
}

// Who fills the disk and for how long is the operator's to say.
func TestFlasksDoor(t *testing.T) {
	env := environment(workloads(render(t, charttest.Set("application.flask.retention.days=30", "application.flask.retention.bytes=200Gi",
		"application.flask.retention.films=oldest", "application.flask.queueFilms=7", "application.flask.trustedProxies={10.0.0.0/8,fd00::/8}")))["flask"].container())
	for name, want := range map[string]string{"RETENTION_DAYS": "30", "RETENTION_BYTES": "200Gi", "RETENTION_FILMS": "oldest", "QUEUE_FILMS": "7",
		"TRUSTED_PROXIES": "10.0.0.0/8,fd00::/8", "FILMS_AT_ONCE": "4"} {
		assert.Equal(t, want, env[name], name)
	}
	assert.NotContains(t, environment(workloads(render(t))["flask"].container()), "TRUSTED_PROXIES", "nobody is trusted unless told")
}

// What a film may take from others: parts of the same image with the same settings.
func TestReleasesTellOutputsApart(t *testing.T) {
	releases := func(set ...string) map[string]string {
		r := render(t, charttest.Set(set...))
		releases := charttest.Get[*corev1.ConfigMap](t, r, "dagster-releases").Data
		for _, e := range runPod(t, r).Containers[0].Env {
			if name, found := strings.CutSuffix(e.Name, "_VERSION"); found {
				require.Equal(t, "dagster-releases "+name, e.ValueFrom.ConfigMapKeyRef.Name+" "+e.ValueFrom.ConfigMapKeyRef.Key)
				require.NotEmpty(t, releases[name], name)
			}
		}
		require.Len(t, releases, 4)
		return releases
	}
	plain := releases()
	assert.Equal(t, plain, releases("processing.blender.replicas=5", "application.flask.image.tag=v2"), "what changes no picture")
	for set, name := range map[string]string{
		"processing.comfyui.mode=preview": "COMFYUI", "processing.comfyui.server.image.tag=v2": "COMFYUI", "processing.comfyui.server.args[0]=--fp16": "COMFYUI",
		"processing.blender.samples=9": "BLENDER", "processing.blender.image.tag=v2": "BLENDER", "processing.opencv.env.A=b": "OPENCV", "data.ffmpeg.image.tag=v2": "FFMPEG",
	} {
		for other, release := range releases(set) {
			assert.Equal(t, other == name, release != plain[other], "%s with %s", other, set)
		}
	}
}
