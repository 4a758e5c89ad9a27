package unit

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/ai-film/ai-film/charttest"
)

// modelList is what the chart tells the program that fetches models, as package models of the services reads it.
type modelList struct {
	Models []struct {
		Name, URL, Path, SHA256, TokenFile string
		Bytes                              int64
	}
	AllowHTTP bool
}

func fetched(t testing.TB, r *charttest.Render) (job *batchv1.Job, list modelList) {
	t.Helper()
	jobs := charttest.All[*batchv1.Job](r)
	require.Len(t, jobs, 1)
	require.NoError(t, json.Unmarshal([]byte(charttest.Get[*corev1.ConfigMap](t, r, "comfyui-models").Data["models.json"]), &list))
	return jobs[0], list
}

// A Job brings the models, on any node; ComfyUI waits for them and is given nothing else of it.
func TestModelsAreFetched(t *testing.T) {
	assert.Empty(t, charttest.All[*batchv1.Job](render(t)), "none unless asked for")
	r := render(t, charttest.Values(map[string]any{"processing": map[string]any{"comfyui": map[string]any{"models": map[string]any{"parallel": 2, "files": map[string]any{
		"one":  map[string]any{"url": "https://example.com/one", "path": "checkpoints/one.safetensors", "sha256": strings.Repeat("0a", 32), "size": 6938078334},
		"two":  map[string]any{"url": "https://example.com/two", "path": "loras/two.safetensors", "size": "1Gi", "tokenSecret": "hub"},
		"gone": nil,
	}}}}}))
	job, list := fetched(t, r)
	require.Len(t, list.Models, 2)
	assert.Equal(t, "one", list.Models[0].Name)
	assert.EqualValues(t, 6938078334, list.Models[0].Bytes)
	assert.EqualValues(t, 1<<30, list.Models[1].Bytes)
	assert.Equal(t, "/etc/tokens/hub/token", list.Models[1].TokenFile)
	pod := job.Spec.Template.Spec
	assert.Equal(t, corev1.RestartPolicyOnFailure, pod.RestartPolicy)
	assert.Equal(t, []string{"/comfyui-models", "fetch", "/etc/models/models.json"}, pod.Containers[0].Command)
	assert.Equal(t, "2", environment(pod.Containers[0])["PARALLEL"])
	assert.Equal(t, workloads(r)["comfyui-relay"].container().Image, pod.Containers[0].Image)
	assert.NotContains(t, pod.Containers[0].Resources.Limits, corev1.ResourceName("nvidia.com/gpu"))
	assert.Nil(t, pod.Containers[0].LivenessProbe)
	mounts := func(c corev1.Container) map[string]string {
		all := map[string]string{}
		for _, m := range c.VolumeMounts {
			all[m.MountPath] = m.Name
		}
		return all
	}
	assert.Equal(t, map[string]string{"/tmp": "tmp", "/data/models": "models", "/etc/models": "model-list", "/etc/tokens": "tokens"}, mounts(pod.Containers[0]))

	server := workloads(r)["comfyui"].template.Spec
	require.Len(t, server.InitContainers, 1)
	assert.Equal(t, []string{"/comfyui-models", "await", "/etc/models/models.json"}, server.InitContainers[0].Command)
	assert.Equal(t, map[string]string{"/data/models": "models", "/etc/models": "model-list"}, mounts(server.InitContainers[0]))
	for _, v := range server.Volumes {
		assert.NotEqual(t, "tokens", v.Name, "ComfyUI runs what others write")
	}
	assert.Empty(t, workloads(render(t))["comfyui"].template.Spec.InitContainers)

	// Another list is another Job, since Jobs can't be changed; the servers stay as they are.
	other := render(t, at("processing.comfyui.models.files", map[string]any{"one": map[string]any{"url": "https://example.com/1", "path": "checkpoints/one.safetensors"}}))
	changed, _ := fetched(t, other)
	assert.NotEqual(t, job.Name, changed.Name)
	assert.Equal(t, asJSON(t, server), asJSON(t, workloads(other)["comfyui"].template.Spec))
}

// The lists that can be copied: every one with a profile of mode gpu, and all together.
func TestModelListsCanBeCopied(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "charts", "ai-film", "values", "models", "*.yaml"))
	require.NoError(t, err)
	require.Len(t, files, 4)
	var all []charttest.Option
	for _, file := range files {
		all = append(all, charttest.Files(file))
		_, list := fetched(t, profile(t, "k3s-single-gpu", charttest.Files(file)))
		for _, m := range list.Models {
			assert.True(t, strings.HasPrefix(m.URL, "https://huggingface.co/"), m.URL)
			assert.Equal(t, filepath.Base(m.URL), filepath.Base(m.Path), m.Name)
			assert.Len(t, m.SHA256, 64, m.Name)
			assert.Greater(t, m.Bytes, int64(100e6), m.Name)
		}
	}
	r := profile(t, "k3s-single-gpu", all...)
	_, list := fetched(t, r)
	assert.Len(t, list.Models, 7)
	assert.Contains(t, r.Notes, "ComfyUI starts when its models are there")
	_, list = fetched(t, render(t, charttest.Files(filepath.Join(root, "charts/ai-film/values/models/flux.yaml"))))
	assert.Contains(t, list.Models[0].Path, "checkpoints/"+environment(runPod(t, r).Containers[0])["COMFYUI_CHECKPOINT"], "what is asked for is what is fetched")
}
