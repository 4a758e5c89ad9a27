package charttest_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/ai-film/ai-film/charttest"
)

func BenchmarkRenderAndDecode(b *testing.B) {
	if _, err := os.Stat("../charts/ai-film"); err != nil {
		b.Skip("no chart")
	}
	chart := charttest.MustLoad(b, "../charts/ai-film")
	i := 0
	for b.Loop() {
		i++
		chart.MustRender(b, chart.Profile("gke-autoscaling"), charttest.KubeVersion("1.36"), charttest.Release(fmt.Sprintf("r%d", i), "town"))
	}
}
