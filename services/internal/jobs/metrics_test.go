package jobs

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/ai-film/ai-film/services/internal/metricstest"
	"github.com/ai-film/ai-film/services/internal/serving"
)

func TestMetricsAreThoseListed(t *testing.T) {
	for _, name := range []string{"blender", "ffmpeg"} { // which export nothing of their own
		s := serving.New(name, slog.New(slog.NewTextHandler(io.Discard, nil)))
		New(s, 1, 1, time.Minute)
		metricstest.Check(t, name, s.Metrics)
	}
}
