package unit

import (
	"strings"
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
	first := charttest.Get[*corev1.Secret](t, render(t, charttest.Profile{Random: true}), "ai-film")
	assert.Equal(t, "keep", first.Annotations["helm.sh/resource-policy"])
	require.Len(t, first.Data, len(passwordKeys))
	seen := map[string]bool{}
	for _, key := range passwordKeys {
		value := string(first.Data[key])
		assert.Regexp(t, `^[A-Za-z0-9]{32}$`, value, key)
		assert.False(t, seen[value], "%s: each its own", key)
		seen[value] = true
	}
	second := charttest.Get[*corev1.Secret](t, render(t, charttest.Profile{Random: true}), "ai-film")
	assert.NotEqual(t, first.Data, second.Data, "another installation has others")

	first.Namespace = "ai-film"
	upgraded := charttest.Get[*corev1.Secret](t, render(t, charttest.Profile{Random: true}, charttest.Upgrade(), charttest.Lookup(first)), "ai-film")
	assert.Equal(t, first.Data, upgraded.Data)

	// A release from before a key existed gets that one made, the others stay.
	delete(first.Data, "secret-key")
	upgraded = charttest.Get[*corev1.Secret](t, render(t, charttest.Profile{Random: true}, charttest.Upgrade(), charttest.Lookup(first)), "ai-film")
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
	assert.NotContains(t, charttest.Get[*corev1.ConfigMap](t, r, "dagster").Data["dagster.yaml"], "name: ai-film\n")
	assert.Contains(t, r.Notes, "get secret mine")
}

// A claim whose class the cluster's default gave keeps it: an upgrade that left the field out would ask for another.
func TestClaimsKeepTheirClass(t *testing.T) {
	r := render(t, charttest.Upgrade(), charttest.Lookup(claim("videos-pvc", "was-default-then", corev1.ReadWriteMany)))
	class := charttest.Get[*corev1.PersistentVolumeClaim](t, r, "videos-pvc").Spec.StorageClassName
	require.NotNil(t, class)
	assert.Equal(t, "was-default-then", *class)
	assert.Nil(t, charttest.Get[*corev1.PersistentVolumeClaim](t, r, "images-pvc").Spec.StorageClassName)
}

// An upgrade changes nothing that Kubernetes holds immutable: selectors, a StatefulSet's Service, and no password.
func TestUpgradeOfTheSameValuesChangesNothing(t *testing.T) {
	for _, p := range profiles(t) {
		before := studio(t).MustRender(t, p)
		secret := charttest.Get[*corev1.Secret](t, before, "ai-film")
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
	assert.Contains(t, charttest.Get[*corev1.ConfigMap](t, r, "second-dagster").Data["workspace.yaml"], "host: second-dagster-code")
	for _, finding := range findings(r) {
		t.Error(finding)
	}
}

// A new version of the chart changes labels and images, which must not end in what Kubernetes holds immutable: a claim's template,
// a selector.
func TestUpgradeToANewVersionIsNotRefused(t *testing.T) {
	next := changed(t, func(file, text string) string {
		if strings.HasSuffix(file, "Chart.yaml") {
			text = strings.ReplaceAll(text, "0.1.0", "0.2.0")
		}
		return text
	})
	for _, p := range profiles(t) {
		before := studio(t).MustRender(t, p)
		secret := charttest.Get[*corev1.Secret](t, before, "ai-film")
		d := next.MustRender(t, p, charttest.Upgrade(), charttest.Lookup(secret)).Diff(before)
		assert.GreaterOrEqual(t, d.Count(diff.Changed), 30, "%s: every object names its chart", p.Name)
		assert.Zero(t, d.Count(diff.Added)+d.Count(diff.Removed), "%s:\n%s", p.Name, d)
		for _, refusal := range d.Refused() {
			t.Errorf("%s: %s", p.Name, refusal)
		}
	}
}

// `helm package --app-version` sets the umbrella's version and no subchart's: every image is of it all the same.
func TestOneVersionForAllImages(t *testing.T) {
	next := changed(t, func(file, text string) string {
		if file == "Chart.yaml" {
			text = strings.Replace(text, "appVersion: 0.1.0", "appVersion: 9.9.9", 1)
		}
		return text
	})
	r := next.MustRender(t, installed)
	images := map[string]string{"run": dagster(t, r).RunLauncher.Config.JobImage, "test": charttest.Get[*corev1.Pod](t, r, "ai-film-test").Spec.Containers[0].Image}
	for name, w := range workloads(r) {
		for _, c := range append(w.template.Spec.InitContainers, w.template.Spec.Containers...) {
			images[name+"/"+c.Name] = c.Image
		}
	}
	for name, image := range images {
		if strings.Contains(image, "/aifilm/") {
			assert.True(t, strings.HasSuffix(image, ":9.9.9"), "%s: %s", name, image)
		}
	}
	assert.Len(t, images, 17)
}

// A digest pins an image whatever its tag, one by one or all at one place; runs and tests too.
func TestDigests(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	r := render(t, charttest.Set("global.imageDigests.aifilm/flask="+digest, "global.imageDigests.aifilm/dagster="+digest, "data.redis.image.digest="+digest))
	assert.Equal(t, "docker.io/aifilm/flask:0.1.0@"+digest, workloads(r)["flask"].container().Image)
	assert.Equal(t, "docker.io/aifilm/flask:0.1.0@"+digest, charttest.Get[*corev1.Pod](t, r, "ai-film-test").Spec.Containers[0].Image)
	assert.Equal(t, "docker.io/aifilm/dagster:0.1.0@"+digest, dagster(t, r).RunLauncher.Config.JobImage)
	assert.Equal(t, "docker.io/library/redis:8@"+digest, workloads(r)["redis"].container().Image)
	assert.Equal(t, "docker.io/aifilm/blender:0.1.0", workloads(r)["blender"].container().Image)
	mirrored := workloads(render(t, charttest.Set("global.imageRegistry=registry.example.com/mirror/")))
	assert.Equal(t, "registry.example.com/mirror/aifilm/flask:0.1.0", mirrored["flask"].container().Image, "a slash at the end is one too many")
}

// Passwords that change bring new pods to those who read them, and to no others.
func TestChangedSecretRolls(t *testing.T) {
	secret := charttest.Get[*corev1.Secret](t, render(t), "ai-film")
	before := workloads(render(t, charttest.Upgrade(), charttest.Lookup(secret)))
	assert.Equal(t, asJSON(t, workloads(render(t))["flask"].template), asJSON(t, before["flask"].template), "no upgrade rolls by itself")
	for _, set := range [][]string{nil, {"global.existingSecret=mine"}} {
		old, mine := secret.DeepCopy(), secret.DeepCopy()
		if set != nil {
			old.Name, mine.Name = "mine", "mine"
		}
		mine.Data["service-token"] = []byte("another token, as long")
		before := workloads(render(t, charttest.Upgrade(), charttest.Lookup(old), charttest.Set(set...)))
		after := workloads(render(t, charttest.Upgrade(), charttest.Lookup(mine), charttest.Set(set...)))
		for name := range before {
			same := asJSON(t, before[name].template) == asJSON(t, after[name].template)
			assert.Equal(t, name == "comfyui", same, "%s with %v", name, set)
		}
	}
}

// Argo CD renders without the cluster, and knows its APIs: without a Secret of the operator's own or a seed every render would
// make other passwords.
func TestWithoutTheClusterPasswordsAreGivenOrDerived(t *testing.T) {
	argo := charttest.APIVersions("apiregistration.k8s.io/v1", "apps/v1")
	_, err := studio(t).Render(t.Context(), installed, argo)
	assert.ErrorContains(t, err, "global.existingSecret")
	assert.ErrorContains(t, err, "global.secretSeed")
	_, err = studio(t).Render(t.Context(), installed, argo, charttest.Set("global.existingSecret=mine"))
	assert.NoError(t, err)

	seeded := charttest.Set("global.secretSeed=a text of at least thirty-two characters")
	first := charttest.Get[*corev1.Secret](t, render(t, argo, seeded), "ai-film").Data
	second := charttest.Get[*corev1.Secret](t, render(t, argo, seeded, charttest.Seed(99), charttest.Upgrade()), "ai-film").Data
	assert.Equal(t, first, second)
	seen := map[string]bool{}
	for key, value := range first {
		assert.Regexp(t, `^[0-9a-f]{40}$`, string(value), key)
		assert.False(t, seen[string(value)], key)
		seen[string(value)] = true
	}
	elsewhere := charttest.Get[*corev1.Secret](t, studio(t).MustRender(t, argo, seeded, charttest.Release("ai-film", "other")), "ai-film").Data
	assert.NotEqual(t, first, elsewhere, "another namespace has other passwords")
	_, err = studio(t).Render(t.Context(), installed, charttest.Set("global.secretSeed=short"))
	assert.ErrorContains(t, err, "global.secretSeed")
}

// A release's name is only a label where it begins no object's name.
func TestOddReleaseNames(t *testing.T) {
	for _, name := range []string{"1234", "film.v1", "2024film"} {
		r := studio(t).MustRender(t, charttest.Release(name, "ai-film"))
		assert.Equal(t, name, workloads(r)["flask"].template.Labels["app.kubernetes.io/instance"])
		for _, finding := range findings(r) {
			t.Error(finding)
		}
	}
}
