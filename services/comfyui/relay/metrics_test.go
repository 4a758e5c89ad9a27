package relay

import (
	"io"
	"log/slog"
	"testing"

	"github.com/ai-film/ai-film/services/internal/metricstest"
	"github.com/ai-film/ai-film/services/internal/serving"
)

func TestMetricsAreThoseListed(t *testing.T) {
	r, err := New(Options{Backends: "http://127.0.0.1:1", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s := serving.New("comfyui", slog.New(slog.NewTextHandler(io.Discard, nil)))
	r.Measure(s.Metrics)
	metricstest.Check(t, "comfyui", s.Metrics)
}
