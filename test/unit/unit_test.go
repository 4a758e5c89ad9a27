// Package unit renders the chart charts/ai-film with every profile and holds
// what comes out against the design: names, ports, replicas, claims, and what
// each kind of cluster needs.
package unit

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest"
)

const root = "../.."

var load = sync.OnceValues(func() (*charttest.Chart, error) {
	return charttest.Load(filepath.Join(root, "charts", "ai-film"))
})

func studio(t testing.TB) *charttest.Chart {
	t.Helper()
	chart, err := load()
	require.NoError(t, err)
	return chart
}

// installed is how users install the chart.
var installed = charttest.Release("ai-film", "ai-film")

func render(t testing.TB, options ...charttest.Option) *charttest.Render {
	t.Helper()
	return studio(t).MustRender(t, append([]charttest.Option{installed}, options...)...)
}

// profiles are the chart's own and the one without values, "default".
func profiles(t testing.TB) []charttest.Profile {
	var all []charttest.Profile
	for _, p := range studio(t).Profiles() {
		p.Release, p.Namespace = "ai-film", "ai-film"
		all = append(all, p)
	}
	require.Len(t, all, 4)
	return all
}

// workload is a Deployment, a StatefulSet or a DaemonSet.
type workload struct {
	kind, name  string
	replicas    *int32
	template    corev1.PodTemplateSpec
	rolling     string // the strategy's type
	serviceName string
	selector    map[string]string
}

func (w workload) String() string              { return w.kind + "/" + w.name }
func (w workload) container() corev1.Container { return w.template.Spec.Containers[0] }

func workloads(r *charttest.Render) map[string]workload {
	all := map[string]workload{}
	for _, d := range charttest.All[*appsv1.Deployment](r) {
		all[d.Name] = workload{kind: "Deployment", name: d.Name, replicas: d.Spec.Replicas, template: d.Spec.Template, rolling: string(d.Spec.Strategy.Type), selector: d.Spec.Selector.MatchLabels}
	}
	for _, s := range charttest.All[*appsv1.StatefulSet](r) {
		all[s.Name] = workload{kind: "StatefulSet", name: s.Name, replicas: s.Spec.Replicas, template: s.Spec.Template, serviceName: s.Spec.ServiceName, selector: s.Spec.Selector.MatchLabels}
	}
	for _, d := range charttest.All[*appsv1.DaemonSet](r) {
		all[d.Name] = workload{kind: "DaemonSet", name: d.Name, template: d.Spec.Template, selector: d.Spec.Selector.MatchLabels}
	}
	return all
}

// yamlFile reads a file of the repository into generic maps.
func yamlFile(t testing.TB, path string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	require.NoError(t, err)
	var content map[string]any
	require.NoError(t, yaml.UnmarshalStrict(data, &content), path)
	return content
}

func asJSON(t testing.TB, value any) string {
	t.Helper()
	data, err := json.MarshalIndent(value, "", "  ")
	require.NoError(t, err)
	return string(data)
}

func environment(c corev1.Container) map[string]string {
	all := map[string]string{}
	for _, e := range c.Env {
		all[e.Name] = e.Value
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			all[e.Name] = fmt.Sprintf("secret %s/%s", e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key)
		}
	}
	return all
}

// changed is the chart with some of its files' texts changed.
func changed(t testing.TB, change func(file, text string) string) *charttest.Chart {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ai-film")
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(root, "charts", "ai-film"))))
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		file, err := filepath.Rel(dir, path)
		require.NoError(t, err)
		return os.WriteFile(path, []byte(change(filepath.ToSlash(file), string(data))), 0o644)
	}))
	return charttest.MustLoad(t, dir)
}
