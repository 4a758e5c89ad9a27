package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gruntwork-io/terratest/modules/helm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// The design's table, figure by figure, as the helm program renders values.yaml alone.
func TestReferenceArchitecture(t *testing.T) {
	manifest, err := helm.RunHelmCommandAndGetStdOutContextE(t, t.Context(), helmIn(namespace), "template", "ai-film", chart,
		"--namespace", "ai-film", "--kube-version", "1.36.3")
	require.NoError(t, err)
	var got []string
	for _, document := range strings.Split(manifest, "\n---\n") {
		var kind struct{ Kind string }
		require.NoError(t, yaml.Unmarshal([]byte(document), &kind))
		switch kind.Kind {
		case "Deployment", "StatefulSet":
			var w appsv1.StatefulSet // what is read of both has the same shape
			require.NoError(t, yaml.Unmarshal([]byte(document), &w))
			gpu := w.Spec.Template.Spec.Containers[0].Resources.Limits["nvidia.com/gpu"]
			got = append(got, fmt.Sprintf("%s %s ×%d, %s GPU", w.Kind, w.Name, *w.Spec.Replicas, gpu.String()))
		case "Service":
			var s corev1.Service
			require.NoError(t, yaml.Unmarshal([]byte(document), &s))
			got = append(got, fmt.Sprintf("Service %s.%s :%d", s.Name, s.Namespace, s.Spec.Ports[0].Port))
		case "PersistentVolumeClaim":
			var c corev1.PersistentVolumeClaim
			require.NoError(t, yaml.Unmarshal([]byte(document), &c))
			got = append(got, fmt.Sprintf("%s %s %s", c.Name, c.Spec.Resources.Requests.Storage(), c.Spec.AccessModes[0]))
		}
	}
	assert.ElementsMatch(t, []string{
		"Deployment dagster ×2, 0 GPU", "Deployment dagster-daemon ×1, 0 GPU", "Deployment dagster-code ×1, 0 GPU",
		"Deployment langgraph ×3, 0 GPU", "Deployment flask ×2, 0 GPU",
		"StatefulSet comfyui ×1, 1 GPU", "Deployment comfyui-relay ×1, 0 GPU", "Deployment blender ×2, 0 GPU", "Deployment opencv ×2, 0 GPU",
		"StatefulSet postgresql ×1, 0 GPU", "StatefulSet redis ×1, 0 GPU", "Deployment ffmpeg ×2, 0 GPU",
		"Service dagster.ai-film :3000", "Service dagster-code.ai-film :4000", "Service langgraph.ai-film :8080", "Service flask.ai-film :5000",
		"Service comfyui.ai-film :8188", "Service comfyui-headless.ai-film :8188", "Service blender.ai-film :9876", "Service opencv.ai-film :8000",
		"Service postgresql.ai-film :5432", "Service redis.ai-film :6379", "Service ffmpeg.ai-film :8080",
		"dagster-pvc 10Gi ReadWriteMany", "images-pvc 50Gi ReadWriteMany", "videos-pvc 100Gi ReadWriteMany", "models-pvc 50Gi ReadWriteMany",
		"postgres-pvc 10Gi ReadWriteOnce",
	}, got)
}
