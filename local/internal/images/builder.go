// Package images makes the images of the studio: for each services/<name>/Containerfile one image, whose tag is a hash
// of what it is made of, so that what has not changed is not made again. Where Docker Hub is out of reach, the base
// image and those of PostgreSQL and Redis are made from Debian's packages under their official names.
package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ai-film/ai-film/local/internal/place"
	"github.com/ai-film/ai-film/local/internal/progress"
)

// official are the services whose image is not ours: its name says whose contract it keeps.
var official = map[string]string{
	"postgresql": "docker.io/library/postgres:17",
	"redis":      "docker.io/library/redis:8",
}

// Builder makes images.
type Builder struct {
	Places place.Places
	Engine Engine
	Log    *progress.Log

	baseMu sync.Mutex // two builds may ask for the base image at once
	loadMu sync.Mutex // two images that are loaded at once would wait for each other's layers
}

func (b *Builder) log(name string) string {
	return filepath.Join(b.Places.Cache, "logs", "image-"+name+".log")
}

func (b *Builder) services() string { return filepath.Join(b.Places.Repo, "services") }

// Names lists the services that have a Containerfile.
func (b *Builder) Names() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(b.services(), "*", "Containerfile"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(filepath.Dir(f)))
	}
	sort.Strings(names)
	return names, nil
}

// Services builds the images of all services that changed, two at a time, and returns all of them. Each is handed to ready
// as soon as it is there, if ready isn't nil.
func (b *Builder) Services(ctx context.Context, ready func(context.Context, Image) error) ([]Image, error) {
	names, err := b.Names()
	if err != nil {
		return nil, err
	}
	if err := b.base(ctx); err != nil {
		return nil, err
	}
	if err := b.programs(ctx, names); err != nil {
		return nil, err
	}
	images := make([]Image, len(names))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for i, name := range names {
		group.Go(func() error {
			var err error
			if images[i], err = b.service(ctx, name); err != nil || ready == nil {
				return err
			}
			return ready(ctx, images[i])
		})
	}
	return images, group.Wait()
}

// Monitoring builds the image of what monitoring's mode own runs, for where its official images are out of reach. Compiling
// Prometheus from its module takes 7.5 minutes of processor time, Debian's packages 12 seconds.
func (b *Builder) Monitoring(ctx context.Context) (Image, error) {
	dir := filepath.Join(b.Places.Repo, "local", "monitoring")
	i := Image{Name: "monitoring", Context: dir, Containerfile: filepath.Join(dir, "Containerfile")}
	tag, _, err := Tag(i.Containerfile, dir)
	if err != nil {
		return i, err
	}
	i.Ref = "docker.io/aifilm/local-monitoring:" + tag
	if b.Engine.Has(ctx, i.Ref) {
		return i, nil
	}
	if err := b.base(ctx); err != nil {
		return i, err
	}
	return i, b.build(ctx, i)
}

// ForTests builds the images that only tests use, each of a services/<name>/testserver/Containerfile, and returns them. Their
// names are <name>-server.
func (b *Builder) ForTests(ctx context.Context) ([]Image, error) {
	files, err := filepath.Glob(filepath.Join(b.services(), "*", "testserver", "Containerfile"))
	if err != nil {
		return nil, err
	}
	if err := b.base(ctx); err != nil {
		return nil, err
	}
	var images []Image
	for _, file := range files {
		i, err := b.own(ctx, filepath.Base(filepath.Dir(filepath.Dir(file)))+"-server", file)
		if err != nil {
			return nil, err
		}
		images = append(images, i)
	}
	return images, nil
}

// programs compiles the Go services, statically: their Containerfiles copy the result from services/<name>/bin. The
// compiler isn't needed in any image, and unchanged sources give the same bytes, hence the same tag.
func (b *Builder) programs(ctx context.Context, names []string) error {
	return b.Log.Do(ctx, "compile the Go services", "", func(ctx context.Context) error { return b.compile(ctx, names) })
}

func (b *Builder) compile(ctx context.Context, names []string) error {
	for _, name := range names {
		commands, _ := filepath.Glob(filepath.Join(b.services(), name, "cmd", "*", "*.go"))
		if len(commands) == 0 {
			continue
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", "./"+name+"/bin/", "./"+name+"/cmd/...")
		cmd.Dir = b.services()
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOWORK=off")
		if err := os.MkdirAll(filepath.Join(b.services(), name, "bin"), 0o755); err != nil {
			return err
		}
		out, err := cmd.CombinedOutput()
		progress.Ran(ctx, cmd)
		if err != nil {
			return commandError("compile services/"+name, lastBytes(out, 3000), err)
		}
	}
	return nil
}

func (b *Builder) service(ctx context.Context, name string) (Image, error) {
	return b.own(ctx, name, filepath.Join(b.services(), name, "Containerfile"))
}

// own builds an image of ours if it changed, or an official one.
func (b *Builder) own(ctx context.Context, name, containerfile string) (Image, error) {
	i := Image{Name: name, Context: b.services(), Containerfile: containerfile}
	tag, inputs, err := Tag(i.Containerfile, i.Context)
	if err != nil {
		return i, err
	}
	i.Inputs = inputs
	i.Ref = "docker.io/aifilm/" + name + ":" + tag
	ref, isOfficial := official[name]
	if isOfficial {
		i.Ref = ref
		return i, b.officialImage(ctx, i, tag)
	}
	if b.Engine.Has(ctx, i.Ref) {
		return i, nil
	}
	return i, b.build(ctx, i)
}

func (b *Builder) build(ctx context.Context, i Image) error {
	return b.Log.Do(ctx, "image "+i.Ref, "1 to 3 min", func(ctx context.Context) error { return b.Engine.Build(ctx, i, b.log(i.Name)) })
}

// officialImage pulls, or builds under the official name. That name has no room for a hash, so a note beside the store
// says what the image was made of.
func (b *Builder) officialImage(ctx context.Context, i Image, tag string) error {
	note := filepath.Join(b.Places.Cache, "made", i.Name)
	made, _ := os.ReadFile(note)
	if b.Engine.Has(ctx, i.Ref) && (string(made) == tag || string(made) == "pulled") {
		return nil
	}
	if registryReached(ctx) {
		if err := b.Log.Do(ctx, "pull "+i.Ref, "", func(ctx context.Context) error { return b.Engine.Pull(ctx, i.Ref, b.log(i.Name)) }); err != nil {
			return err
		}
		tag = "pulled"
	} else if err := b.build(ctx, i); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(note), 0o755); err != nil {
		return err
	}
	return os.WriteFile(note, []byte(tag), 0o644)
}

// Program makes a scratch image of one static program, for the cluster's own parts. version is part of the tag.
func (b *Builder) Program(ctx context.Context, name, dir, version string) (Image, error) {
	i := Image{Name: name, Ref: "docker.io/aifilm/local-" + name + ":" + version, Context: dir}
	if b.Engine.Has(ctx, i.Ref) {
		return i, nil
	}
	file, err := os.CreateTemp("", "Containerfile-"+name+"-")
	if err != nil {
		return i, err
	}
	defer os.Remove(file.Name())
	fmt.Fprintf(file, "FROM scratch\nCOPY %[1]s /%[1]s\nENTRYPOINT [\"/%[1]s\"]\n", name)
	if err := file.Close(); err != nil {
		return i, err
	}
	i.Containerfile = file.Name()
	return i, b.Engine.Build(ctx, i, b.log(name))
}

// Values writes the values file that tells the chart which tags were built here.
func Values(file string, images []Image) error {
	subcharts := map[string][]string{
		"application": {"dagster", "langgraph", "flask"},
		"processing":  {"comfyui", "blender", "opencv"},
		"data":        {"postgresql", "redis", "ffmpeg"},
	}
	byName := map[string]Image{}
	for _, i := range images {
		byName[i.Name] = i
	}
	var out strings.Builder
	out.WriteString("# The images built on this machine; written anew by every build.\n")
	for _, subchart := range []string{"application", "processing", "data"} {
		var part strings.Builder
		for _, service := range subcharts[subchart] {
			if i, ok := byName[service]; ok {
				registry, repository, tag := split(i.Ref)
				fmt.Fprintf(&part, "  %s:\n    image: {registry: %s, repository: %s, tag: %q}\n", service, registry, repository, tag)
			}
			if i, ok := byName[service+"-server"]; ok {
				registry, repository, tag := split(i.Ref)
				fmt.Fprintf(&part, "    server:\n      image: {registry: %s, repository: %s, tag: %q}\n", registry, repository, tag)
			}
		}
		if part.Len() > 0 {
			fmt.Fprintf(&out, "%s:\n%s", subchart, part.String())
		}
	}
	if i, ok := byName["backup"]; ok {
		registry, repository, tag := split(i.Ref)
		fmt.Fprintf(&out, "backup:\n  image: {registry: %s, repository: %s, tag: %q}\n", registry, repository, tag)
	}
	if i, ok := byName["monitoring"]; ok {
		registry, repository, tag := split(i.Ref)
		out.WriteString("monitoring:\n")
		for _, part := range []string{"prometheus", "alertmanager", "node", "postgresql", "redis"} {
			fmt.Fprintf(&out, "  %s:\n    image: {registry: %s, repository: %s, tag: %q}\n", part, registry, repository, tag)
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(out.String()), 0o644)
}

func split(ref string) (registry, repository, tag string) {
	registry, rest, _ := strings.Cut(ref, "/")
	at := strings.LastIndex(rest, ":")
	return registry, rest[:at], rest[at+1:]
}

var errNotRunning = errors.New("the cluster's containerd does not run: `make up` first")
