package unit

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
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
		for _, finding := range check.Run(r, check.Cluster{}) {
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
			pod(t, "helm test", charttest.Get[*corev1.Pod](r, "ai-film-test").Spec)
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
	token := name == "dagster" || name == "dagster-daemon" || name == "dagster-code"
	require.NotNil(t, spec.AutomountServiceAccountToken, name)
	assert.Equal(t, token, *spec.AutomountServiceAccountToken, name)
}

func TestDagsterMayOnlyWhatRunsNeed(t *testing.T) {
	role := charttest.Get[*rbacv1.Role](render(t), "dagster")
	got := map[string][]string{}
	for _, rule := range role.Rules {
		for _, resource := range rule.Resources {
			got[resource] = rule.Verbs
		}
	}
	assert.Equal(t, map[string][]string{
		"jobs":        {"create", "get", "list", "watch", "delete", "patch"},
		"jobs/status": {"get"},
		"pods":        {"get", "list", "watch", "delete"},
		"pods/log":    {"get"},
		"pods/status": {"get"},
		"events":      {"get", "list", "watch"},
	}, got)
	assert.Empty(t, charttest.All[*rbacv1.ClusterRole](render(t)), "nothing reaches beyond the namespace")
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
