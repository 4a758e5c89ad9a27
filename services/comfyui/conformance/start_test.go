package conformance

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ai-film/ai-film/services/comfyui/preview"
	"github.com/ai-film/ai-film/services/comfyui/relay"
	"github.com/ai-film/ai-film/services/internal/freeport"
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

// startComfyUI starts the real ComfyUI in the root file system of its image (../testserver), until the test ends.
func startComfyUI(t *testing.T) string {
	t.Helper()
	roots := os.Getenv("AI_FILM_ROOTS")
	if _, err := os.Stat(filepath.Join(roots, "comfyui-server.json")); roots == "" || err != nil {
		t.Skip(`no root of comfyui-server: eval "$(go run -C local . roots --tests)"`)
	}
	port, dir := freeport.Loopback(t), t.TempDir()
	cmd := exec.Command(filepath.Join(roots, "bin", "enter"), "comfyui-server", "python3", "/opt/comfyui/main.py", "--cpu", "--listen", "127.0.0.1", "--port", port,
		"--fp32-text-enc", "--disable-auto-launch", "--disable-api-nodes", "--disable-all-custom-nodes", "--base-directory", dir, "--database-url", "sqlite:///"+filepath.Join(dir, "comfyui.db"))
	cmd.Env = append(os.Environ(), "HOME="+dir, "TMPDIR="+dir)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("ComfyUI said: %s", said.String())
		}
	})
	base := "http://127.0.0.1:" + port
	for {
		if answer, err := http.Get(base + "/prompt"); err == nil {
			answer.Body.Close()
			return base
		}
		select {
		case <-ended:
			t.Fatalf("ComfyUI ended: %s", said.String())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// startRelay serves a relay until the test ends, and waits until it has its servers.
func startRelay(t *testing.T, backends ...string) string {
	t.Helper()
	r, err := relay.New(relay.Options{Backends: strings.Join(backends, ","), Dir: t.TempDir(), Poll: 200 * time.Millisecond, StallAfter: time.Hour})
	must(t, err)
	mux := http.NewServeMux()
	r.Routes(mux.Handle, func(h http.Handler) http.Handler { return h })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	go r.Run(t.Context())
	for ready := 0; ready < len(backends); time.Sleep(10 * time.Millisecond) {
		ready, _ = r.BackendsReady()
	}
	return server.URL
}
