package unit

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/diff"
)

var passwordKeys = []string{
	"postgres-password", "studio-password", "langgraph-password", "dagster-password", "redis-password", "admin-password", "secret-key", "service-token",
}

func TestPasswordsAreMadeOnceAndKept(t *testing.T) {
	first := charttest.Get[*corev1.Secret](render(t, charttest.Profile{Random: true}), "ai-film")
	assert.Equal(t, "keep", first.Annotations["helm.sh/resource-policy"])
	require.Len(t, first.Data, len(passwordKeys))
	seen := map[string]bool{}
	for _, key := range passwordKeys {
		value := string(first.Data[key])
		assert.Regexp(t, `^[A-Za-z0-9]{32}$`, value, key)
		assert.False(t, seen[value], "%s: each its own", key)
		seen[value] = true
	}
	second := charttest.Get[*corev1.Secret](render(t, charttest.Profile{Random: true}), "ai-film")
	assert.NotEqual(t, first.Data, second.Data, "another installation has others")

	first.Namespace = "ai-film"
	upgraded := charttest.Get[*corev1.Secret](render(t, charttest.Profile{Random: true}, charttest.Upgrade(), charttest.Lookup(first)), "ai-film")
	assert.Equal(t, first.Data, upgraded.Data)

	// A release from before a key existed gets that one made, the others stay.
	delete(first.Data, "secret-key")
	upgraded = charttest.Get[*corev1.Secret](render(t, charttest.Profile{Random: true}, charttest.Upgrade(), charttest.Lookup(first)), "ai-film")
	assert.Regexp(t, `^[A-Za-z0-9]{32}$`, string(upgraded.Data["secret-key"]))
	assert.Equal(t, first.Data["admin-password"], upgraded.Data["admin-password"])
}

func TestExistingSecret(t *testing.T) {
	r := render(t, charttest.Set("global.existingSecret=mine"))
	assert.Empty(t, charttest.All[*corev1.Secret](r))
	for name, w := range workloads(r) {
		for key, value := range environment(w.container()) {
			assert.NotContains(t, value, "secret ai-film/", "%s: %s", name, key)
		}
	}
	assert.Equal(t, "secret mine/admin-password", environment(workloads(r)["flask"].container())["ADMIN_PASSWORD"])
	assert.NotContains(t, charttest.Get[*corev1.ConfigMap](r, "dagster").Data["dagster.yaml"], "name: ai-film\n")
	assert.Contains(t, r.Notes, "get secret mine")
}

// A claim whose class the cluster's default gave keeps it: an upgrade that left the field out would ask for another.
func TestClaimsKeepTheirClass(t *testing.T) {
	r := render(t, charttest.Upgrade(), charttest.Lookup(claim("videos-pvc", "was-default-then", corev1.ReadWriteMany)))
	class := charttest.Get[*corev1.PersistentVolumeClaim](r, "videos-pvc").Spec.StorageClassName
	require.NotNil(t, class)
	assert.Equal(t, "was-default-then", *class)
	assert.Nil(t, charttest.Get[*corev1.PersistentVolumeClaim](r, "images-pvc").Spec.StorageClassName)
}

// An upgrade changes nothing that Kubernetes holds immutable: selectors, a StatefulSet's Service, and no password.
func TestUpgradeOfTheSameValuesChangesNothing(t *testing.T) {
	for _, p := range profiles(t) {
		before := studio(t).MustRender(t, p)
		secret := charttest.Get[*corev1.Secret](before, "ai-film")
		after := studio(t).MustRender(t, p, charttest.Upgrade(), charttest.Lookup(secret), charttest.Seed(99))
		assert.Equal(t, before.Manifest(true), after.Manifest(true), p.Name)
	}
}

func TestTwoReleasesInOneNamespace(t *testing.T) {
	r := studio(t).MustRender(t, charttest.Release("second", "ai-film"), charttest.Set("global.releasePrefix=true",
		"ingress.dagster.enabled=true", "ingress.comfyui.enabled=true"))
	for _, o := range r.Objects {
		assert.Contains(t, o.Name, "second-", o.String())
	}
	env := environment(workloads(r)["second-flask"].container())
	assert.Equal(t, "postgresql://studio:$(STUDIO_PASSWORD)@second-postgresql:5432/studio", env["DATABASE_URL"])
	assert.Equal(t, "secret second-ai-film/admin-password", env["ADMIN_PASSWORD"])
	assert.Equal(t, "second-comfyui-headless", workloads(r)["second-comfyui"].serviceName)
	assert.Contains(t, charttest.Get[*corev1.ConfigMap](r, "second-dagster").Data["workspace.yaml"], "host: second-dagster-code")
	for _, finding := range findings(r) {
		t.Error(finding)
	}
}

// A new version of the chart changes labels and images, which must not end in what Kubernetes holds immutable: a claim's template,
// a selector.
func TestUpgradeToANewVersionIsNotRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ai-film")
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(root, "charts", "ai-film"))))
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != "Chart.yaml" {
			return err
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		return os.WriteFile(path, bytes.ReplaceAll(data, []byte("0.1.0"), []byte("0.2.0")), 0o644)
	}))
	next := charttest.MustLoad(t, dir)
	for _, p := range profiles(t) {
		before := studio(t).MustRender(t, p)
		secret := charttest.Get[*corev1.Secret](before, "ai-film")
		d := next.MustRender(t, p, charttest.Upgrade(), charttest.Lookup(secret)).Diff(before)
		assert.GreaterOrEqual(t, d.Count(diff.Changed), 30, "%s: every object names its chart", p.Name)
		assert.Zero(t, d.Count(diff.Added)+d.Count(diff.Removed), "%s:\n%s", p.Name, d)
		for _, refusal := range d.Refused() {
			t.Errorf("%s: %s", p.Name, refusal)
		}
	}
}
