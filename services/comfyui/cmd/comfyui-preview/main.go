// Command comfyui-preview speaks ComfyUI's API and draws animatic frames, for studios without a GPU.
//
// Environment: SERVICE_TOKEN, PORT (8188), MANAGEMENT_PORT (8081), COMFYUI_CHECKPOINT (names it offers, separated by commas; sd_xl_base_1.0.safetensors),
// COMFYUI_LORAS, MAX_PIXELS (of one batch or picture; 4194304), KEEP_AGE (24h, of images), KEEP_MIB (512, of all images),
// TMPDIR (images live there), GOMEMLIMIT (350MiB), LOG_LEVEL.
package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ai-film/ai-film/services/comfyui/preview"
	"github.com/ai-film/ai-film/services/comfyui/wire"
	"github.com/ai-film/ai-film/services/internal/serving"
)

func main() {
	serving.Main("comfyui_preview", "8188", func(s *serving.Service) error {
		pixels, err := serving.EnvInt("MAX_PIXELS", 4<<20, 64, 1<<30)
		if err != nil {
			return err
		}
		age, err := serving.EnvDuration("KEEP_AGE", 24*time.Hour)
		if err != nil {
			return err
		}
		size, err := serving.EnvInt("KEEP_MIB", 512, 1, 1<<20)
		if err != nil {
			return err
		}
		wire.LimitMemory(350 << 20)
		s.People = true // who opens ComfyUI's API in a browser gives the token as password
		dir := filepath.Join(os.TempDir(), "comfyui")
		if err := os.MkdirAll(dir, 0o770); err != nil {
			return err
		}
		server, err := preview.New(preview.Options{
			Dir: dir, MaxPixels: pixels, KeepAge: age, KeepBytes: int64(size) << 20,
			Checkpoints: list(serving.Env("COMFYUI_CHECKPOINT", "sd_xl_base_1.0.safetensors")), Loras: list(os.Getenv("COMFYUI_LORAS")),
		})
		if err != nil {
			return err
		}
		server.Measure(s.Metrics)
		server.Routes(s.Handle, s.Work)
		go server.Run(context.Background())
		return nil
	})
}

func list(text string) []string {
	var out []string
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}
