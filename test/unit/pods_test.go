package unit

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/ai-film/ai-film/charttest"
)

var variable = regexp.MustCompile(`\$\(([A-Z_]+)\)`)

// references are the variables that a value takes in by $(NAME).
func references(value string) []string {
	var names []string
	for _, match := range variable.FindAllStringSubmatch(value, -1) {
		names = append(names, match[1])
	}
	return names
}

// Every profile for every version of Kubernetes passes every check of the library.
func TestNoFindings(t *testing.T) {
	studio(t).Matrix(t, profiles(t), nil, func(t *testing.T, r *charttest.Render) {
		for _, finding := range findings(r) {
			t.Error(finding)
		}
		assert.Empty(t, r.Warnings)
	})
}

// What holds for every pod of the studio, hooks included, in every profile.
func TestEveryPod(t *testing.T) {
	for _, p := range profiles(t) {
		t.Run(p.Name, func(t *testing.T) {
			r := studio(t).MustRender(t, p)
			for name, w := range workloads(r) {
				pod(t, name, w.template.Spec)
				c := w.container()
				if name != "dagster-daemon" { // it serves nothing; its liveness is asked of its heartbeats
					assert.NotNil(t, c.StartupProbe, "%s: startup probe", name)
					assert.NotNil(t, c.ReadinessProbe, "%s: readiness probe", name)
				}
				require.NotNil(t, c.LivenessProbe, "%s: liveness probe", name)
				require.NotNil(t, c.Lifecycle, name)
				assert.NotNil(t, c.Lifecycle.PreStop, "%s: stops gracefully", name)
				assert.Greater(t, *w.template.Spec.TerminationGracePeriodSeconds, int64(25), name)
			}
			pod(t, "helm test", charttest.Get[*corev1.Pod](t, r, "ai-film-test").Spec)
		})
	}
}

func pod(t *testing.T, name string, spec corev1.PodSpec) {
	t.Helper()
	require.NotNil(t, spec.EnableServiceLinks, name)
	assert.False(t, *spec.EnableServiceLinks, name)
	require.NotNil(t, spec.SecurityContext, name)
	assert.True(t, *spec.SecurityContext.RunAsNonRoot, name)
	user := int64(10001)
	if name == "postgresql" || name == "redis" {
		user = 999
	}
	assert.Equal(t, user, *spec.SecurityContext.RunAsUser, name)
	assert.Equal(t, user, *spec.SecurityContext.FSGroup, name)
	assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, spec.SecurityContext.SeccompProfile.Type, name)
	for _, c := range append(spec.InitContainers, spec.Containers...) {
		require.NotNil(t, c.SecurityContext, name)
		assert.False(t, *c.SecurityContext.AllowPrivilegeEscalation, name)
		assert.True(t, *c.SecurityContext.ReadOnlyRootFilesystem, name)
		assert.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop, name)
		assert.NotZero(t, c.Resources.Requests.Cpu().MilliValue(), "%s: CPU request", name)
		assert.NotZero(t, c.Resources.Requests.Memory().Value(), "%s: memory request", name)
		assert.NotZero(t, c.Resources.Limits.Memory().Value(), "%s: memory limit", name)
		assert.Equal(t, corev1.PullIfNotPresent, c.ImagePullPolicy, name)
	}
	// A token only where a program speaks to the API server.
	token := name == "dagster-daemon" || name == "dagster-code"
	require.NotNil(t, spec.AutomountServiceAccountToken, name)
	assert.Equal(t, token, *spec.AutomountServiceAccountToken, name)
}

// The webserver neither launches nor has anything to launch with.
func TestDagstersPageLaunchesNothing(t *testing.T) {
	r := render(t)
	config := charttest.Get[*corev1.ConfigMap](t, r, "dagster").Data
	assert.NotContains(t, config["webserver.yaml"], "run_launcher")
	assert.Contains(t, config["webserver.yaml"], "QueuedRunCoordinator")
	webserver := workloads(r)["dagster"]
	assert.Contains(t, webserver.container().Command, "--read-only")
	assert.NotContains(t, workloads(render(t, charttest.Set("application.dagster.readOnly=false")))["dagster"].container().Command, "--read-only")
	for name, path := range map[string]string{"dagster": "webserver.yaml", "dagster-daemon": "", "dagster-code": ""} {
		for _, v := range workloads(r)[name].template.Spec.Volumes {
			if v.Name == "config" {
				items := map[string]string{}
				for _, item := range v.ConfigMap.Items {
					items[item.Path] = item.Key
				}
				assert.Equal(t, path, items["dagster.yaml"], name)
			}
		}
	}
}

// Services of ours are probed where a crowd on the main port can't hold the probe up.
func TestProbesGoToTheManagementPort(t *testing.T) {
	for _, p := range profiles(t) {
		for name, w := range workloads(studio(t).MustRender(t, p)) {
			c := w.container()
			ports := map[string]int32{}
			for _, port := range c.Ports {
				ports[port.Name] = port.ContainerPort
			}
			ours := ports["management"] != 0
			foreign := name == "postgresql" || name == "redis" || strings.HasPrefix(name, "dagster") ||
				name == "comfyui" && c.Command[0] != "/comfyui-preview"
			assert.Equal(t, !foreign, ours, "%s in %s", name, p.Name)
			if ours {
				assert.EqualValues(t, 8081, ports["management"], name)
				assert.Equal(t, "8081", environment(c)["MANAGEMENT_PORT"], name)
				assert.Equal(t, "/healthz management", c.StartupProbe.HTTPGet.Path+" "+c.StartupProbe.HTTPGet.Port.String(), name)
				assert.Equal(t, "/readyz management", c.ReadinessProbe.HTTPGet.Path+" "+c.ReadinessProbe.HTTPGet.Port.String(), name)
				assert.Equal(t, "/healthz management", c.LivenessProbe.HTTPGet.Path+" "+c.LivenessProbe.HTTPGet.Port.String(), name)
			}
		}
	}
	for _, s := range charttest.All[*corev1.Service](render(t)) {
		for _, port := range s.Spec.Ports {
			assert.NotEqual(t, "management", port.TargetPort.String(), "%s leads to health and metrics", s.Name)
		}
	}
}

// A changed configuration brings new pods, and no other pods than those that read it.
func TestConfigurationRolls(t *testing.T) {
	before := workloads(render(t))
	for set, want := range map[string][]string{
		"data.postgresql.config.work_mem=8MB":           {"postgresql"},
		"data.redis.maxmemory=64mb":                     {"redis"},
		"application.dagster.run.maxConcurrent=7":       {"dagster", "dagster-daemon", "dagster-code", "flask"}, // which reckons with the disk that many films take
		"global.comfyui.steps=12":                       {"dagster", "dagster-daemon", "dagster-code"},
		"processing.blender.samples=9":                  {"blender"},
		"processing.comfyui.server.args[0]=--lowvram":   {"comfyui"},
		"application.langgraph.openai.baseURL=http://o": {"langgraph"},
	} {
		after := workloads(render(t, charttest.Set(set)))
		var rolled []string
		for name := range before {
			if asJSON(t, before[name].template) != asJSON(t, after[name].template) {
				rolled = append(rolled, name)
			}
		}
		assert.ElementsMatch(t, want, rolled, set)
	}
}

func TestRollingUpdates(t *testing.T) {
	for _, p := range profiles(t) {
		for name, w := range workloads(studio(t).MustRender(t, p)) {
			switch {
			case name == "dagster-daemon":
				assert.Equal(t, "Recreate", w.rolling, "two daemons would launch runs twice")
			case w.kind == "Deployment":
				assert.Equal(t, "RollingUpdate", w.rolling, name)
			}
		}
	}
}
