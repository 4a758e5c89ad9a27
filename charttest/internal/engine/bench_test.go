package engine

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	helmengine "helm.sh/helm/v3/pkg/engine"
)

const ourChart = "../../../charts/ai-film"

func benchValues(b *testing.B) map[string]any {
	if _, err := os.Stat(ourChart); err != nil {
		b.Skip("no chart")
	}
	vals, err := Overrides{Files: []string{ourChart + "/values/gke-autoscaling.yaml"}}.Merge()
	require.NoError(b, err)
	return vals
}

// BenchmarkHelmEngine is Helm's bare engine on values merged beforehand.
func BenchmarkHelmEngine(b *testing.B) {
	vals := benchValues(b)
	ch, err := loader.Load(ourChart)
	require.NoError(b, err)
	require.NoError(b, chartutil.ProcessDependenciesWithMerge(ch, vals))
	caps := chartutil.DefaultCapabilities.Copy()
	caps.KubeVersion = chartutil.KubeVersion{Version: "v1.36.0", Major: "1", Minor: "36"}
	merged, err := chartutil.ToRenderValues(ch, vals, chartutil.ReleaseOptions{Name: "r", Namespace: "n", Revision: 1, IsInstall: true}, caps)
	require.NoError(b, err)
	for b.Loop() {
		_, err := new(helmengine.Engine).Render(ch, merged)
		require.NoError(b, err)
	}
}

func BenchmarkRender(b *testing.B) {
	vals := benchValues(b)
	c, err := Load(ourChart)
	require.NoError(b, err)
	i := 0
	for b.Loop() {
		i++
		_, err := c.Render(context.Background(), vals, Release{Name: fmt.Sprintf("reel-%d", i), KubeVersion: "1.36", Seeded: true})
		require.NoError(b, err)
	}
}
