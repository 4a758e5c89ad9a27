package unit

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest"
)

var monitoringAPIs = charttest.APIVersions("monitoring.coreos.com/v1", "monitoring.googleapis.com/v1")

// watched is the chart with monitoring in a mode.
func watched(t testing.TB, mode string, options ...charttest.Option) *charttest.Render {
	t.Helper()
	return render(t, append([]charttest.Option{monitoringAPIs, charttest.Set("monitoring.enabled=true", "monitoring.mode="+mode)}, options...)...)
}

// Off it makes nothing; on, each mode makes what its home lacks and nothing more, in every profile.
func TestModesOfMonitoring(t *testing.T) {
	exporters := []string{"postgresql-exporter", "redis-exporter"}
	own := append([]string{"alertmanager", "grafana", "kube-state-metrics", "node-exporter", "prometheus"}, exporters...)
	for _, p := range profiles(t) {
		before := workloads(studio(t).MustRender(t, p))
		for mode, want := range map[string][]string{"operator": exporters, "gke": exporters, "own": own} {
			if p.Name == "gke-autoscaling" && mode != "gke" {
				continue // its autoscalers ask Google's
			}
			r := studio(t).MustRender(t, p, monitoringAPIs, charttest.Set("monitoring.enabled=true", "monitoring.mode="+mode))
			for _, finding := range findings(r) {
				t.Errorf("%s, %s: %s", p.Name, mode, finding)
			}
			var added []string
			for name, w := range workloads(r) {
				if _, found := before[name]; !found {
					added = append(added, name)
					assert.True(t, *w.template.Spec.SecurityContext.RunAsNonRoot, name)
				}
			}
			assert.ElementsMatch(t, want, added, "%s, %s", p.Name, mode)
			count := map[string]int{}
			for _, o := range r.Objects {
				count[o.Kind]++
			}
			assert.Equal(t, mode == "operator", count["PodMonitor"] == 1, "%s, %s", p.Name, mode)
			assert.Equal(t, mode == "gke", count["PodMonitoring"] > 6, "%s, %s", p.Name, mode)
			assert.Equal(t, mode == "own", count["ClusterRole"] == 1 && r.Object("PersistentVolumeClaim", "prometheus-pvc") != nil, "%s, %s", p.Name, mode)
		}
	}
	assert.Nil(t, watched(t, "own", charttest.Set("monitoring.prometheus.kubelet=false")).Object("ClusterRole", "ai-film-prometheus"))
}

// What collects finds each service's pods, and their job is the service's name whoever collects.
func TestJobsAreServices(t *testing.T) {
	r := watched(t, "gke")
	for _, o := range r.Objects {
		if o.Kind == "PodMonitoring" {
			name, _, _ := unstructured.NestedString(o.Content(), "spec", "selector", "matchLabels", "app.kubernetes.io/name")
			assert.Equal(t, o.Name, name)
		}
	}
	ports := func(kind, name, field string) (all []string) {
		endpoints, _, _ := unstructured.NestedSlice(r.Object(kind, name).Content(), "spec", field)
		for _, e := range endpoints {
			all = append(all, e.(map[string]any)["port"].(string))
		}
		return all
	}
	assert.Equal(t, []string{"management"}, ports("PodMonitoring", "ffmpeg", "endpoints"))
	assert.Equal(t, []string{"metrics"}, ports("PodMonitoring", "postgresql", "endpoints"))
	r = watched(t, "operator", charttest.Set("metrics.monitorLabels.release=prometheus"))
	assert.Equal(t, []string{"management", "metrics"}, ports("PodMonitor", "ai-film", "podMetricsEndpoints"))
	job, _, _ := unstructured.NestedString(r.Object("PodMonitor", "ai-film").Content(), "spec", "jobLabel")
	assert.Equal(t, "app.kubernetes.io/name", job)
	for name, service := range map[string]string{"postgresql-exporter": "postgresql", "redis-exporter": "redis"} {
		assert.Equal(t, service, workloads(r)[name].template.Labels[job], name)
	}
}

// The rules and dashboards reach whoever judges and shows in each mode, whole, and under the labels that they are found by.
func TestRulesAndDashboardsArrive(t *testing.T) {
	files := func(pattern string) []string {
		all, err := filepath.Glob(filepath.Join(root, "charts/ai-film/charts/monitoring", pattern))
		require.NoError(t, err)
		return all
	}
	rules, dashboards := files("rules/*.yaml"), files("dashboards/*.json")
	type group struct{ Name string }
	var names []string
	for _, file := range rules {
		var content struct{ Groups []group }
		rel, err := filepath.Rel(root, file)
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal([]byte(asJSON(t, yamlFile(t, rel))), &content))
		for _, g := range content.Groups {
			assert.NotContains(t, names, g.Name, "%s: the operator wants each group's name once", rel)
			names = append(names, g.Name)
		}
	}
	for mode, kind := range map[string]string{"operator": "PrometheusRule", "gke": "Rules"} {
		r := watched(t, mode, charttest.Set("metrics.monitorLabels.release=prometheus", "monitoring.dashboards.labels.mine=yes"))
		if len(rules) > 0 {
			var content struct {
				Spec struct{ Groups []group }
			}
			object := r.Object(kind, "ai-film")
			require.NotNil(t, object, mode)
			require.NoError(t, yaml.Unmarshal([]byte(asJSON(t, object.Content())), &content))
			var got []string
			for _, g := range content.Spec.Groups {
				got = append(got, g.Name)
			}
			assert.ElementsMatch(t, names, got, mode)
			assert.Equal(t, "prometheus", object.Unstructured().GetLabels()["release"])
		}
		for _, file := range dashboards {
			name := filepath.Base(file)
			c := charttest.Get[*corev1.ConfigMap](t, r, "ai-film-dashboard-"+strings.TrimSuffix(name, ".json"))
			assert.Equal(t, "1", c.Labels["grafana_dashboard"])
			assert.Equal(t, "yes", c.Labels["mine"])
			assert.JSONEq(t, asJSON(t, yamlFile(t, "charts/ai-film/charts/monitoring/dashboards/"+name)), c.Data[name])
		}
		assert.Nil(t, watched(t, mode, charttest.Set("monitoring.rules.enabled=false")).Object(kind, "ai-film"))
	}
	r := watched(t, "own")
	config := charttest.Get[*corev1.ConfigMap](t, r, "prometheus").Data
	films := studio(t).MustRender(t, charttest.Release("ai-film", "films"), charttest.Set("monitoring.enabled=true"))
	for _, file := range rules {
		assert.NotEmpty(t, config["rules-"+filepath.Base(file)], file)
		elsewhere := charttest.Get[*corev1.ConfigMap](t, films, "prometheus").Data["rules-"+filepath.Base(file)]
		assert.Equal(t, strings.ReplaceAll(config["rules-"+filepath.Base(file)], `namespace="ai-film"`, `namespace="films"`), elsewhere, file)
	}
	assert.Len(t, config, 1+len(rules))
	assert.Len(t, charttest.Get[*corev1.ConfigMap](t, watched(t, "own", charttest.Set("monitoring.rules.enabled=false")), "prometheus").Data, 1)
	var shown []string
	for _, v := range workloads(r)["grafana"].template.Spec.Volumes {
		if v.Projected != nil {
			for _, source := range v.Projected.Sources {
				shown = append(shown, source.ConfigMap.Name)
				charttest.Get[*corev1.ConfigMap](t, r, source.ConfigMap.Name)
			}
		}
	}
	assert.Len(t, shown, len(dashboards))
}

// Prometheus reads the studio's pods and what the kubelets of their nodes say of them, and nothing of others.
func TestOwnPrometheusReads(t *testing.T) {
	var config struct {
		Rules    []string `json:"rule_files"`
		Alerting struct {
			Alertmanagers []struct {
				Static []struct{ Targets []string } `json:"static_configs"`
			}
		}
		Scrapes []struct {
			Name string `json:"job_name"`
			Pods []struct {
				Namespaces struct {
					Own bool `json:"own_namespace"`
				}
				Selectors []struct{ Label string }
			} `json:"kubernetes_sd_configs"`
			Kept []struct {
				Sources []string `json:"source_labels"`
				Regex   string
			} `json:"metric_relabel_configs"`
		} `json:"scrape_configs"`
	}
	read := func(set ...string) {
		config.Scrapes, config.Alerting.Alertmanagers = nil, nil
		text := charttest.Get[*corev1.ConfigMap](t, watched(t, "own", charttest.Set(set...)), "prometheus").Data["prometheus.yml"]
		require.NoError(t, yaml.Unmarshal([]byte(text), &config))
	}
	read("monitoring.alertmanager.enabled=false", "monitoring.prometheus.kubelet=false")
	require.Len(t, config.Scrapes, 1)
	assert.Empty(t, config.Alerting.Alertmanagers)
	read()
	assert.Equal(t, []string{"alertmanager:9093"}, config.Alerting.Alertmanagers[0].Static[0].Targets)
	require.Len(t, config.Scrapes, 4)
	for _, s := range config.Scrapes {
		require.Len(t, s.Pods, 1)
		assert.True(t, s.Pods[0].Namespaces.Own, s.Name)
		assert.Equal(t, "app.kubernetes.io/instance=ai-film,app.kubernetes.io/part-of=ai-film", s.Pods[0].Selectors[0].Label, s.Name)
		if s.Name != "studio" {
			require.Len(t, s.Kept, 2, s.Name)
			assert.Equal(t, []string{"namespace"}, s.Kept[1].Sources)
			assert.Equal(t, "ai-film|", s.Kept[1].Regex, "%s: no other namespace", s.Name)
		}
	}
	r := watched(t, "own")
	var ports []string
	for name, w := range workloads(r) {
		for _, p := range w.container().Ports {
			if p.Name == "metrics" {
				ports = append(ports, name)
			}
		}
	}
	slices.Sort(ports)
	assert.Equal(t, []string{"alertmanager", "kube-state-metrics", "node-exporter", "postgresql-exporter", "prometheus", "redis-exporter"}, ports)
	d := charttest.Get[*appsv1.Deployment](t, r, "prometheus")
	assert.Equal(t, appsv1.RecreateDeploymentStrategyType, d.Spec.Strategy.Type, "two servers would spoil one directory")
	assert.NotContains(t, d.Spec.Template.Labels, "ai-film/shares-volumes", "its volume is its own")
}

// Receivers are what the values name; what is secret stands in a Secret and in no manifest, and Alertmanager may go where they are.
func TestReceivers(t *testing.T) {
	all := charttest.Set("monitoring.alertmanager.existingSecret=told", "monitoring.alertmanager.webhook.enabled=true", "monitoring.alertmanager.slack.channel=#films",
		"monitoring.alertmanager.email.to=a@example.com", "monitoring.alertmanager.email.from=b@example.com", "monitoring.alertmanager.email.smartHost=mail.example.com:587",
		"monitoring.alertmanager.email.username=b", "monitoring.alertmanager.severities={page,info}")
	r := watched(t, "own", all)
	text := charttest.Get[*corev1.ConfigMap](t, r, "alertmanager").Data["alertmanager.yml"]
	for _, part := range []string{"url_file: /etc/alertmanager-secret/webhook-url", "api_url_file: /etc/alertmanager-secret/slack-url", `channel: "#films"`,
		"auth_password_file: /etc/alertmanager-secret/smtp-password", `smarthost: "mail.example.com:587"`, `matchers: [severity=~"page|info"]`} {
		assert.Contains(t, text, part)
	}
	var ports []int32
	for _, rule := range charttest.Get[*networkingv1.NetworkPolicy](t, r, "alertmanager").Spec.Egress {
		for _, p := range rule.Ports {
			if p.Port.IntVal != 53 {
				ports = append(ports, p.Port.IntVal)
			}
		}
	}
	assert.ElementsMatch(t, []int32{443, 587}, ports)
	r = watched(t, "own", charttest.Set("monitoring.alertmanager.webhook.enabled=true", "monitoring.alertmanager.webhook.url=http://hook.ops:8080/x"))
	assert.Contains(t, charttest.Get[*corev1.ConfigMap](t, r, "alertmanager").Data["alertmanager.yml"], `- url: "http://hook.ops:8080/x"`)
	assert.Contains(t, asJSON(t, charttest.Get[*networkingv1.NetworkPolicy](t, r, "alertmanager").Spec.Egress), `"port": 8080`)
	assert.NotContains(t, charttest.Get[*corev1.ConfigMap](t, watched(t, "own"), "alertmanager").Data["alertmanager.yml"], "_configs", "nobody is told unless named")
}

// Who measures PostgreSQL has a role of its own, which the Secret and the database know only then.
func TestMonitorHasARoleOfItsOwn(t *testing.T) {
	for on, r := range map[bool]*charttest.Render{true: watched(t, "operator"), false: render(t)} {
		assert.Equal(t, on, strings.Contains(charttest.Get[*corev1.ConfigMap](t, r, "postgresql").Data["init.sql"], "GRANT pg_monitor TO monitor"))
		_, known := environment(workloads(r)["postgresql"].container())["MONITOR_PASSWORD"]
		assert.Equal(t, on, known)
		assert.Equal(t, on, len(charttest.Get[*corev1.Secret](t, r, "ai-film").Data["monitor-password"]) > 0)
	}
	env := environment(workloads(watched(t, "own"))["postgresql-exporter"].container())
	assert.Equal(t, "monitor", env["DATA_SOURCE_USER"])
	assert.Equal(t, "secret ai-film/monitor-password", env["DATA_SOURCE_PASS"])
	elsewhere := watched(t, "own", charttest.Set("data.postgresql.enabled=false", "global.postgresql.host=db.example.com"))
	assert.NotContains(t, workloads(elsewhere), "postgresql-exporter", "who runs it measures it")
}

// NVIDIA's exporter goes where ComfyUI's GPUs are, and only where it is asked for.
func TestDCGMFollowsTheGPUs(t *testing.T) {
	assert.Nil(t, watched(t, "own").Object("DaemonSet", "dcgm-exporter"))
	r := profile(t, "gke-autoscaling", monitoringAPIs, charttest.Set("monitoring.enabled=true", "monitoring.mode=gke", "monitoring.dcgm.enabled=true"))
	pod := charttest.Get[*appsv1.DaemonSet](t, r, "dcgm-exporter").Spec.Template.Spec
	assert.Equal(t, "nvidia-tesla-t4", pod.NodeSelector["cloud.google.com/gke-accelerator"])
	assert.Equal(t, []corev1.Toleration{{Key: "nvidia.com/gpu", Operator: "Exists", Effect: "NoSchedule"}}, pod.Tolerations)
	assert.Equal(t, "nvidia", *charttest.Get[*appsv1.DaemonSet](t, profile(t, "k3s-single-gpu", charttest.Set("monitoring.enabled=true", "monitoring.dcgm.enabled=true")), "dcgm-exporter").Spec.Template.Spec.RuntimeClassName)
}

// KEDA asks the studio's own Prometheus unless told of another.
func TestKEDAAsksOurPrometheus(t *testing.T) {
	r := watched(t, "own", charttest.Set("metrics.queues=keda", "data.ffmpeg.autoscaling.enabled=true"), charttest.APIVersions("keda.sh/v1alpha1"))
	assert.Contains(t, asJSON(t, r.Object("ScaledObject", "ffmpeg").Content()), `"http://prometheus.ai-film:9090"`)
}
