package serving

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/ai-film/ai-film/services/limits"
)

type logKey struct{}

// NewLog makes the service's logger: one JSON object a line with time (RFC 3339), level, msg and service. The level is a
// slog name ("debug", "info", "warn", "error"), empty for info.
func NewLog(w io.Writer, service, level string) (*slog.Logger, error) {
	var l slog.Level
	if level != "" {
		if err := l.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("LOG_LEVEL=%q: want debug, info, warn or error", level)
		}
	}
	h := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l})
	return slog.New(h).With("service", service), nil
}

// Log is the logger of the request that ctx belongs to: it knows film and shot. Outside a request it is slog's default.
func Log(ctx context.Context) *slog.Logger {
	if l, ok := ctx.Value(logKey{}).(*slog.Logger); ok {
		return l
	}
	return slog.Default()
}

// withLog gives the request's context a logger with the film and the shot that its headers name.
func withLog(r *http.Request, l *slog.Logger) *http.Request {
	if id := r.Header.Get("X-Film-Id"); limits.FilmID.MatchString(id) {
		l = l.With("film", id)
	}
	if id := r.Header.Get("X-Shot-Id"); limits.ShotID.MatchString(id) {
		l = l.With("shot", id)
	}
	return r.WithContext(context.WithValue(r.Context(), logKey{}, l))
}
