package unit

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/internal/values"
	"github.com/ai-film/ai-film/internal/values/reference"
)

// values.yaml and the types say the same, key by key, in both directions.
func TestValuesRoundTrip(t *testing.T) {
	want := asJSON(t, yamlFile(t, "charts/ai-film/values.yaml"))
	decoded, err := values.Decode([]byte(want))
	require.NoError(t, err)
	assert.JSONEq(t, want, asJSON(t, decoded))
}

func TestProfilesAreOfTheTypes(t *testing.T) {
	for _, p := range profiles(t)[1:] {
		data, err := json.Marshal(yamlFile(t, "charts/ai-film/values/"+p.Name+".yaml"))
		require.NoError(t, err)
		_, err = values.Decode(data)
		assert.NoError(t, err, p.Name)
	}
}

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	files, err := reference.Files(root)
	require.NoError(t, err)
	require.Len(t, files, 6)
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		require.NoError(t, err)
		assert.True(t, string(want) == string(got), "%s is not what internal/values gives. Remedy: make docs", path)
	}
}

// Draft-07, nothing from the network, every value described, no object open to misspelt keys.
func TestSchemas(t *testing.T) {
	for _, path := range []string{"", "charts/application/", "charts/processing/", "charts/data/", "charts/monitoring/"} {
		schema := yamlFile(t, "charts/ai-film/"+path+"values.schema.json")
		assert.Equal(t, "http://json-schema.org/draft-07/schema#", schema["$schema"], path)
		var walk func(at string, node map[string]any)
		walk = func(at string, node map[string]any) {
			if ref, ok := node["$ref"].(string); ok {
				assert.True(t, strings.HasPrefix(ref, "#/definitions/"), "%s: %s", at, ref)
			}
			if properties, ok := node["properties"].(map[string]any); ok {
				// A parent chart hands its own globals on; the chart refuses them where it has no parent.
				assert.Equal(t, strings.HasSuffix(at, "Global") || at == path+".global", node["additionalProperties"], at)
				for name, property := range properties {
					property := property.(map[string]any)
					assert.NotEmpty(t, property["description"], "%s.%s", at, name)
					walk(at+"."+name, property)
				}
			}
			for _, keyword := range []string{"items", "additionalProperties"} {
				if below, ok := node[keyword].(map[string]any); ok {
					walk(at+"."+keyword, below)
				}
			}
		}
		walk(path, schema)
		for name, definition := range schema["definitions"].(map[string]any) {
			walk(path+name, definition.(map[string]any))
		}
		properties := schema["properties"].(map[string]any)
		assert.Contains(t, properties, "global", path)
		if path != "" {
			assert.Contains(t, properties, "enabled", path)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	for set, value := range map[string]string{
		"application.flask.replica=2":                              "application.flask",
		"aplication.flask.replicas=2":                              "",
		"application.flask.replicas=two":                           "application.flask.replicas",
		"application.flask.replicas=-1":                            "application.flask.replicas",
		"application.flask.replicas=1.5":                           "application.flask.replicas",
		"application.flask.enabled=maybe":                          "application.flask.enabled",
		"application.flask.image=flask:1":                          "application.flask.image",
		"application.flask.image.pullPolicy=Sometimes":             "application.flask.image.pullPolicy",
		"application.flask.image.repository=":                      "application.flask.image.repository",
		"application.flask.resources.requests.cpu=much":            "application.flask.resources.requests.cpu",
		"application.flask.resources.request.cpu=1":                "application.flask.resources",
		"application.flask.env.A=1":                                "application.flask.env.A",
		"application.flask.env.1A=x":                               "application.flask.env.1A",
		"application.flask.tolerations[0].effect=Never":            "application.flask.tolerations.0.effect",
		"application.flask.tolerations[0].keys=a":                  "application.flask.tolerations.0",
		"application.flask.affinity.pods=a":                        "application.flask.affinity",
		"application.flask.autoscaling.metrics[0].type=Guess":      "application.flask.autoscaling.metrics.0.type",
		"application.flask.autoscaling.behavior.scaleSideways.a=1": "application.flask.autoscaling.behavior",
		"application.dagster.run.maxConcurrent=0":                  "application.dagster.run.maxConcurrent",
		"application.langgraph.openai.baseURL=api.example.com":     "application.langgraph.openai.baseURL",
		"processing.comfyui.mode=gpus":                             "processing.comfyui.mode",
		"processing.comfyui.gpu.count=0":                           "processing.comfyui.gpu.count",
		"processing.comfyui.remote.urls={ftp://x}":                 "processing.comfyui.remote.urls.0",
		"processing.comfyui.models.files.a.path=../a":              "processing.comfyui.models.files.a.path",
		"processing.comfyui.models.files.a.path=/etc/a":            "processing.comfyui.models.files.a.path",
		"processing.comfyui.models.files.a.path=loras/../a":        "processing.comfyui.models.files.a.path",
		"processing.comfyui.models.files.a.path=a":                 "processing.comfyui.models.files.a.path",
		"processing.comfyui.models.files.a.sha256=abc":             "processing.comfyui.models.files.a.sha256",
		"processing.comfyui.models.files.a.sum=abc":                "processing.comfyui.models.files.a",
		"processing.comfyui.models.files.a.url=file:///a":          "processing.comfyui.models.files.a.url",
		"processing.comfyui.models.files.a=https://h/a":            "processing.comfyui.models.files.a",
		"processing.blender.samples=none":                          "processing.blender.samples",
		"data.postgresql.autoscaling.enabled=true":                 "data.postgresql",
		"data.postgresql.config.work_mem=8":                        "data.postgresql.config.work_mem",
		"data.redis.maxmemory=lots":                                "data.redis.maxmemory",
		"data.redis.maxmemoryPolicy=oldest":                        "data.redis.maxmemoryPolicy",
		"storage.images.size=50":                                   "",
		"storage.images.size=big":                                  "storage.images.size",
		"storage.images.accessMode=ReadWriteSometimes":             "storage.images.accessMode",
		"storage.image.size=1Gi":                                   "storage",
		"storage.images.storageClass=Fast Disk":                    "storage.images.storageClass",
		"ingress.host=":                                            "ingress.host",
		"ingress.host=http://ai-film.local":                        "ingress.host",
		"ingress.annotations.a=1":                                  "ingress.annotations.a",
		"global.imagePullSecrets=pull":                             "global.imagePullSecrets",
		"global.postgresql.port=70000":                             "global.postgresql.port",
		"backup.schedule=at night":                                 "backup.schedule",
		"backup.schedule=* * * *":                                  "backup.schedule",
		"backup.s3.url=s3://bucket/x":                              "backup.s3.url",
		"backup.s3.url=https://host":                               "backup.s3.url",
		"backup.restore.snapshot=newest":                           "backup.restore.snapshot",
		"backup.checkPercent=0":                                    "backup.checkPercent",
		"backup.keep.yearly=1":                                     "backup.keep",
		"global.singleNode=yes":                                    "global.singleNode",
		"global.comfyui.steps=0":                                   "global.comfyui.steps",
		"studio.anything=1":                                        "studio",
	} {
		t.Run(set, func(t *testing.T) {
			_, err := studio(t).Render(t.Context(), installed, charttest.Set(set))
			if set == "storage.images.size=50" { // 50 bytes: odd, and Kubernetes' to judge
				assert.NoError(t, err)
				return
			}
			var refused *charttest.SchemaError
			require.ErrorAs(t, err, &refused)
			var at []string
			for _, v := range refused.Violations {
				at = append(at, v.Value)
			}
			assert.Contains(t, at, value)
		})
	}
}

// The layers carry the umbrella's version: our images' tags come from it.
func TestVersionsAgree(t *testing.T) {
	umbrella := yamlFile(t, "charts/ai-film/Chart.yaml")
	for _, dependency := range umbrella["dependencies"].([]any) {
		dependency := dependency.(map[string]any)
		chart := yamlFile(t, "charts/ai-film/charts/"+dependency["name"].(string)+"/Chart.yaml")
		assert.Equal(t, umbrella["version"], chart["version"], dependency["name"])
		assert.Equal(t, umbrella["appVersion"], chart["appVersion"], dependency["name"])
		assert.Equal(t, umbrella["version"], dependency["version"], dependency["name"])
		assert.Equal(t, "", dependency["repository"], "%s: unpacked in the tree", dependency["name"])
	}
}

// What repositories of charts show is a file of ours.
func TestIcon(t *testing.T) {
	icon := yamlFile(t, "charts/ai-film/Chart.yaml")["icon"].(string)
	_, path, found := strings.Cut(icon, "/main/")
	require.True(t, found, icon)
	data, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	require.NoError(t, xml.Unmarshal(data, new(struct {
		XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
	})))
}

func TestNotes(t *testing.T) {
	for _, p := range profiles(t) {
		notes := studio(t).MustRender(t, p).Notes
		for _, text := range []string{"http://ai-film.local", "get secret ai-film", "admin-password", "ai-film film", "helm test ai-film"} {
			assert.Contains(t, notes, text, p.Name)
		}
	}
	assert.Contains(t, profile(t, "dev").Notes, "mode is preview")
	assert.Contains(t, render(t).Notes, "sd_xl_base_1.0.safetensors")
	assert.Contains(t, render(t, charttest.Set("ingress.enabled=false")).Notes, "There is no ingress")
}

// Null removes a default, as users of Helm expect; Helm itself leaves it standing.
func TestNullRemoves(t *testing.T) {
	r := render(t, charttest.Set("processing.opencv.resources.limits.cpu=null", "data.postgresql.config.shared_buffers=null"),
		charttest.Values(map[string]any{"application": map[string]any{"dagster": map[string]any{
			"env": map[string]any{"A": "b", "C": nil}, "nodeSelector": map[string]any{"disk": nil},
			"run": map[string]any{"resources": map[string]any{"limits": map[string]any{"cpu": nil}}},
		}}}))
	limits := workloads(r)["opencv"].container().Resources.Limits
	assert.NotContains(t, limits, corev1.ResourceCPU)
	assert.Contains(t, limits, corev1.ResourceMemory)
	assert.NotContains(t, charttest.Get[*corev1.ConfigMap](t, r, "postgresql").Data["postgresql.conf"], "shared_buffers")
	for _, spec := range []corev1.PodSpec{workloads(r)["dagster"].template.Spec, runPod(t, r)} {
		assert.Equal(t, "b", environment(spec.Containers[0])["A"])
		assert.NotContains(t, environment(spec.Containers[0]), "C")
		assert.Empty(t, spec.NodeSelector)
	}
}
