// Package roots lets tests run in the root file systems of the images that ship, without a container runtime: what a test
// finds is what the image holds, and a package that an image lacks fails its test, whatever the host has.
//
// Prepare writes what cmd/enter needs: for each image its layers, as they lie in Buildah's store, and a directory bin of
// links under the names of Programs, so that PATH brings the images' programs to tests that start them by name.
package roots

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ai-film/ai-film/local/internal/images"
	"github.com/ai-film/ai-film/local/internal/place"
)

// Program is where a program comes from.
type Program struct {
	Image string
	User  string // of the image; "" for who calls
}

// Programs are those that tests start by name. PostgreSQL's refuse to run as root.
var Programs = map[string]Program{
	"blender":      {Image: "blender"},
	"ffmpeg":       {Image: "ffmpeg"},
	"ffprobe":      {Image: "ffmpeg"},
	"initdb":       {Image: "postgresql", User: "postgres"},
	"postgres":     {Image: "postgresql", User: "postgres"},
	"pg_isready":   {Image: "postgresql", User: "postgres"},
	"psql":         {Image: "postgresql", User: "postgres"},
	"pg_dump":      {Image: "backup"},
	"pg_restore":   {Image: "backup"},
	"restic":       {Image: "backup"},
	"redis-server": {Image: "redis", User: "redis"},
	"redis-cli":    {Image: "redis", User: "redis"},
	"promtool":     {Image: "monitoring"},
}

// Root is an image as enter mounts it.
type Root struct {
	Layers []string `json:"layers"`           // absolute directories, the uppermost first
	Env    []string `json:"env"`              // NAME=value of the image's configuration
	Shared []string `json:"shared,omitempty"` // directories of the host that it sees besides
	Alone  bool     `json:"alone,omitempty"`  // without Programs on the PATH
}

// Read returns the root of an image from the directory that Prepare wrote.
func Read(dir, image string) (Root, error) {
	var r Root
	data, err := os.ReadFile(file(dir, image))
	if errors.Is(err, os.ErrNotExist) {
		return r, fmt.Errorf("no image %q in %s: `make test` puts it there", image, dir)
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(data, &r)
}

// Environment is the environment of a process in the root: the image's, what the caller sets over it, and the image's own
// PATH followed by bin.
func (r Root) Environment(caller []string, bin string) map[string]string {
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, pair := range r.Env {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	path := env["PATH"]
	if !r.Alone {
		path += ":" + bin
	}
	for _, pair := range caller {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	env["PATH"] = path
	return env
}

func file(dir, image string) string { return filepath.Join(dir, image+".json") }

// Dir is where Prepare writes for a checkout's places.
func Dir(p place.Places) string { return filepath.Join(p.Cache, "roots") }

// Prepare writes the roots of images of Buildah's store, compiles enter and links the programs. It returns the directory.
func Prepare(ctx context.Context, p place.Places, engine images.Engine, built []images.Image) (string, error) {
	dir := Dir(p)
	bin := filepath.Join(dir, "bin")
	for _, d := range []string{bin, filepath.Join(dir, "mount")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return "", err
		}
	}
	for _, i := range built {
		layers, env, err := engine.Layers(ctx, i.Ref)
		if err != nil {
			return "", err
		}
		if err := (Root{Layers: layers, Env: env}).write(dir, i.Name); err != nil {
			return "", err
		}
	}
	if err := compile(ctx, p, bin); err != nil {
		return "", err
	}
	for name := range Programs {
		link := filepath.Join(bin, name)
		if err := os.Symlink("enter", link); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
	}
	return dir, nil
}

func (r Root) write(dir, image string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file(dir, image), data, 0o644)
}

// compile makes enter, without cgo: it runs in every image, whatever libc that has.
func compile(ctx context.Context, p place.Places, bin string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(bin, "enter"), "./cmd/enter")
	cmd.Dir = filepath.Join(p.Repo, "local")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile enter: %w: %s", err, out)
	}
	return nil
}
