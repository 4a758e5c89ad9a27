package bridge

import (
	"io"
	"log/slog"
	"testing"

	"github.com/ai-film/ai-film/services/internal/metricstest"
	"github.com/ai-film/ai-film/services/internal/serving"
)

func TestMetricsAreThoseListed(t *testing.T) {
	s := serving.New("comfyui_bridge", slog.New(slog.NewTextHandler(io.Discard, nil)))
	New(Options{Registry: s.Metrics})
	metricstest.Check(t, "comfyui_bridge", s.Metrics)
}
