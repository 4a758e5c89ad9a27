// Command comfyui-models fetches ComfyUI's models onto their volume, and waits for them.
//
//	comfyui-models fetch LIST   brings the files of the list to the volume; exit 1 and the reasons where one is missing
//	comfyui-models await LIST   ends when all of them are there
//
// LIST is a file in JSON, see package models. Environment: MODELS_DIR (/data/models), PARALLEL (3), LOG_LEVEL.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "golang.org/x/crypto/x509roots/fallback" // authorities for https, where the system has none: the image is FROM scratch

	"github.com/ai-film/ai-film/services/comfyui/models"
	"github.com/ai-film/ai-film/services/internal/serving"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "comfyui-models:", err)
		os.WriteFile("/dev/termination-log", []byte(err.Error()), 0o644) // what kubectl describe shows
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("usage: comfyui-models fetch|await LIST")
	}
	log, err := serving.NewLog(os.Stdout, "comfyui-models", os.Getenv("LOG_LEVEL"))
	if err != nil {
		return err
	}
	slog.SetDefault(log)
	parallel, err := serving.EnvInt("PARALLEL", 3, 1, 64)
	if err != nil {
		return err
	}
	list, err := models.Load(os.Args[2])
	if err != nil {
		return err
	}
	syscall.Umask(0o002) // ComfyUI's pods are of the volume's group
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	fetcher := models.Fetcher{Dir: serving.Env("MODELS_DIR", "/data/models"), Parallel: parallel, Log: log}
	switch os.Args[1] {
	case "fetch":
		return fetcher.Fetch(ctx, list)
	case "await":
		return fetcher.Await(ctx, list, 5*time.Second)
	}
	return fmt.Errorf("there is no %q: fetch or await", os.Args[1])
}
