package conformance

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ai-film/ai-film/services/comfyui/preview"
	"github.com/ai-film/ai-film/services/comfyui/relay"
)

// startPreview serves a preview until the test ends.
func startPreview(t *testing.T) string {
	t.Helper()
	s, err := preview.New(preview.Options{Dir: t.TempDir(), Checkpoints: []string{"sd_xl_base_1.0.safetensors"}})
	must(t, err)
	mux := http.NewServeMux()
	s.Routes(mux.Handle, func(h http.Handler) http.Handler { return h })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	go s.Run(t.Context())
	return server.URL
}

// startRelay serves a relay until the test ends, and waits until it has a server.
func startRelay(t *testing.T, backends string) string {
	t.Helper()
	r, err := relay.New(relay.Options{Backends: backends, Dir: t.TempDir(), Poll: 200 * time.Millisecond})
	must(t, err)
	mux := http.NewServeMux()
	r.Routes(mux.Handle, func(h http.Handler) http.Handler { return h })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	go r.Run(t.Context())
	for ready := 0; ready < 2; time.Sleep(10 * time.Millisecond) {
		ready, _ = r.BackendsReady()
	}
	return server.URL
}
