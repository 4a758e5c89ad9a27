package images

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/ai-film/ai-film/local/internal/place"
	"github.com/ai-film/ai-film/local/internal/progress"
)

// Engine builds and keeps images: Buildah with a store of our own, or the machine's Docker or Podman.
type Engine struct {
	Program string   // "buildah", "docker" or "podman"
	global  []string // flags before the command
	trust   trust
}

// NewEngine returns the engine named by AI_FILM_ENGINE; by default Buildah where it is installed (it needs no daemon and
// takes the host's certificates along), else Docker, else Podman.
func NewEngine(p place.Places) (Engine, error) {
	name := os.Getenv("AI_FILM_ENGINE")
	if name == "" {
		for _, candidate := range []string{"buildah", "docker", "podman"} {
			if _, err := exec.LookPath(candidate); err == nil {
				name = candidate
				break
			}
		}
	}
	switch name {
	case "buildah":
		t, err := findTrust(filepath.Join(p.Cache, "trust"))
		if err != nil {
			return Engine{}, err
		}
		return Engine{Program: name, trust: t, global: []string{
			"--root", filepath.Join(p.Cache, "images"), "--runroot", filepath.Join(p.Run, "images"), "--storage-driver", "overlay"}}, nil
	case "docker", "podman":
		return Engine{Program: name}, nil
	case "":
		return Engine{}, fmt.Errorf("no program that builds images: install one with `apt-get install buildah`")
	}
	return Engine{}, fmt.Errorf("AI_FILM_ENGINE=%s: must be buildah, docker or podman", name)
}

// Image is one to be built.
type Image struct {
	Name          string   // the service's
	Ref           string   // registry/repository:tag
	Context       string   // directory that COPY reads from
	Containerfile string   // file
	Inputs        []string // what the tag was computed from, for people who wonder why it changed
}

// Build builds one image; all output goes to the log file, whose end is in the error.
func (e Engine) Build(ctx context.Context, i Image, log string) error {
	var args []string
	if e.Program == "buildah" {
		args = append(args, e.global...)
		args = append(args, "bud", "--isolation", "chroot", "--layers", "--pull-never", "--format", "docker")
		args = append(args, e.trust.flags()...)
	} else {
		args = append(args, "build")
	}
	args = append(args, "-t", i.Ref, "-f", i.Containerfile, i.Context)
	return e.logged(ctx, log, args...)
}

// Has says whether the engine's store holds the image.
func (e Engine) Has(ctx context.Context, ref string) bool { return e.ID(ctx, ref) != "" }

// ID returns the identity of the image's content, or "".
func (e Engine) ID(ctx context.Context, ref string) string {
	args := append(append([]string{}, e.global...), "image", "inspect", "--format", "{{.Id}}", ref)
	if e.Program == "buildah" {
		args = append(append([]string{}, e.global...), "inspect", "--type", "image", "--format", "{{.FromImageID}}", ref)
	}
	out, err := exec.CommandContext(ctx, e.Program, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "sha256:")
}

// Pull fetches an image from its registry.
func (e Engine) Pull(ctx context.Context, ref, log string) error {
	return e.logged(ctx, log, append(append([]string{}, e.global...), "pull", ref)...)
}

// Import makes an image from a tar of a root file system.
func (e Engine) Import(ctx context.Context, tar, ref, log string) error {
	if e.Program != "buildah" {
		return e.logged(ctx, log, "import", "-c", `CMD ["bash"]`, tar, ref)
	}
	out, err := exec.CommandContext(ctx, e.Program, append(append([]string{}, e.global...), "from", "--pull-never", "scratch")...).Output()
	if err != nil {
		return commandError("buildah from scratch", out, err)
	}
	container := strings.TrimSpace(string(out))
	defer exec.Command(e.Program, append(append([]string{}, e.global...), "rm", container)...).Run()
	for _, args := range [][]string{
		{"add", container, tar, "/"},
		{"config", "--cmd", "bash", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container},
		{"commit", "--format", "docker", container, ref},
	} {
		if err := e.logged(ctx, log, append(append([]string{}, e.global...), args...)...); err != nil {
			return err
		}
	}
	return nil
}

// Save is a command that writes the image to its standard output, as an archive that containerd reads.
func (e Engine) Save(ctx context.Context, ref string) *exec.Cmd {
	args := []string{"save", ref}
	if e.Program == "buildah" {
		args = append(append([]string{}, e.global...), "push", "--quiet", ref, "docker-archive:/dev/stdout:"+ref)
	}
	return exec.CommandContext(ctx, e.Program, args...)
}

// Size is about how many bytes Save writes; 0 where that isn't known.
func (e Engine) Size(ctx context.Context, ref string) int {
	args := append(append([]string{}, e.global...), "image", "inspect", "--format", "{{.Size}}", ref)
	if e.Program == "buildah" {
		args = append(append([]string{}, e.global...), "inspect", "--type", "image", "--format", "{{.Manifest}}", ref)
	}
	out, err := exec.CommandContext(ctx, e.Program, args...).Output()
	if err != nil {
		return 0
	}
	var manifest struct{ Layers []struct{ Size int } }
	if e.Program == "buildah" && json.Unmarshal(out, &manifest) == nil {
		size := 0
		for _, layer := range manifest.Layers {
			size += layer.Size
		}
		return size
	}
	size, _ := strconv.Atoi(strings.TrimSpace(string(out)))
	return size
}

// steps tells from the output of a build which of its steps runs.
type steps struct {
	to      io.Writer
	advance func(done, total int)
	line    []byte // the beginning of a line
}

var stepLine = regexp.MustCompile(`^(?:\[\d+/\d+\] )?STEP (\d+)/(\d+):|^#\d+ \[(?:\S+ )?(\d+)/(\d+)\] `)

func (s *steps) Write(p []byte) (int, error) {
	s.line = append(s.line, p...)
	for {
		line, rest, whole := bytes.Cut(s.line, []byte("\n"))
		if !whole {
			return s.to.Write(p)
		}
		s.line = rest
		if found := stepLine.FindSubmatch(line); found != nil {
			done, _ := strconv.Atoi(string(found[1]) + string(found[3])) // Buildah's, or Docker's
			total, _ := strconv.Atoi(string(found[2]) + string(found[4]))
			s.advance(done-1, total)
		}
	}
}

func (e Engine) logged(ctx context.Context, log string, args ...string) error {
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := exec.CommandContext(ctx, e.Program, args...)
	out := &steps{to: f, advance: func(done, total int) { progress.Advance(ctx, done, total, "steps") }}
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	progress.Ran(ctx, cmd)
	if err != nil {
		data, _ := os.ReadFile(log)
		lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
		return fmt.Errorf("%s: %w\n  %s\nRemedy: the whole output is in %s", e.Program, err,
			bytes.Join(lines[max(0, len(lines)-12):], []byte("\n  ")), log)
	}
	return nil
}

func commandError(what string, out []byte, err error) error {
	if exit, ok := err.(*exec.ExitError); ok && len(exit.Stderr) > 0 {
		out = exit.Stderr
	}
	return fmt.Errorf("%s: %w: %s", what, err, bytes.TrimSpace(out))
}
