package preview

import (
	"io"
	"log/slog"
	"testing"

	"github.com/ai-film/ai-film/services/internal/metricstest"
	"github.com/ai-film/ai-film/services/internal/serving"
)

func TestMetricsAreThoseListed(t *testing.T) {
	server, err := New(Options{Dir: t.TempDir(), Checkpoints: []string{"a.safetensors"}})
	if err != nil {
		t.Fatal(err)
	}
	s := serving.New("comfyui_preview", slog.New(slog.NewTextHandler(io.Discard, nil)))
	server.Measure(s.Metrics)
	metricstest.Check(t, "comfyui_preview", s.Metrics)
}
