// Package cluster brings the local cluster up and takes it down: the order of things, and what may happen at once.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/ai-film/ai-film/local/internal/addons"
	"github.com/ai-film/ai-film/local/internal/controlplane"
	"github.com/ai-film/ai-film/local/internal/images"
	"github.com/ai-film/ai-film/local/internal/network"
	"github.com/ai-film/ai-film/local/internal/node"
	"github.com/ai-film/ai-film/local/internal/packages"
	"github.com/ai-film/ai-film/local/internal/place"
	"github.com/ai-film/ai-film/local/internal/preflight"
	"github.com/ai-film/ai-film/local/internal/progress"
	"github.com/ai-film/ai-film/local/internal/toolchain"
)

// Local is the cluster on this machine.
type Local struct {
	Places      place.Places
	Log         *progress.Log
	APIPort     int    // 6443 unless AI_FILM_API_PORT says otherwise
	IngressPort int    // 80 unless INGRESS_PORT says otherwise
	IngressIP   string // 127.0.0.1 unless INGRESS_ADDRESS says otherwise

	pause string
}

func (l *Local) tools() toolchain.Builder {
	return toolchain.Builder{Tools: filepath.Join(l.Places.Repo, "local", "tools"), Cache: l.Places.Cache, Log: l.Log}
}

func (l *Local) controlPlane() controlplane.ControlPlane {
	return controlplane.ControlPlane{Places: l.Places, APIPort: l.APIPort}
}

func (l *Local) node() node.Node {
	return node.Node{Places: l.Places, CA: l.controlPlane().CA(), Pause: l.pause}
}

// Up brings the cluster and the images up, compiling and building what is missing; it returns the studio's images. On
// a cold machine compiling takes longest, so images are built meanwhile, and the node starts as soon as its programs
// are there.
func (l *Local) Up(ctx context.Context) ([]images.Image, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	unlock, err := l.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := packages.Install(ctx, l.Log, "about 30 s", append(packages.Node, packages.Images...)...); err != nil {
		return nil, err
	}
	engine, err := images.NewEngine(l.Places)
	if err != nil {
		return nil, err
	}
	builder := &images.Builder{Places: l.Places, Engine: engine, Log: l.Log}

	studio, err := l.together(ctx, builder)
	if err != nil {
		return nil, err
	}
	builder.Prune(ctx)
	return studio, os.WriteFile(filepath.Join(l.Places.State, "env"), []byte(l.Env()), 0o644)
}

// together compiles, builds and starts, each as early as it can; the first failure ends all.
func (l *Local) together(ctx context.Context, builder *images.Builder) ([]images.Image, error) {
	group, ctx := errgroup.WithContext(ctx)
	built := map[string]chan string{} // by set, the directory of its programs
	for _, set := range toolchain.Sets {
		built[set.Name] = make(chan string, 1)
	}
	group.Go(func() error { // one compilation after the other: each uses all cores
		for _, set := range toolchain.Sets {
			dir, err := l.tools().Build(ctx, set)
			if err != nil {
				return err
			}
			built[set.Name] <- dir
		}
		return nil
	})
	wait := func(set toolchain.Set) (string, error) {
		select {
		case dir := <-built[set.Name]:
			built[set.Name] <- dir
			return dir, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	running := make(chan struct{}) // closed when the node takes images
	group.Go(func() error {
		for _, set := range []toolchain.Set{toolchain.Kubernetes, toolchain.Addons} {
			dir, err := wait(set)
			if err != nil {
				return err
			}
			if err := toolchain.Link(l.Places.Bin(), dir); err != nil {
				return err
			}
		}
		if err := l.start(ctx, builder); err != nil {
			return err
		}
		close(running)
		return l.addons(ctx, builder, wait)
	})
	var studio []images.Image
	group.Go(func() error {
		var err error
		if studio, err = builder.Services(ctx); err != nil {
			return err
		}
		if err := images.Values(l.Places.ImageValues(), studio); err != nil {
			return err
		}
		select {
		case <-running:
		case <-ctx.Done():
			return ctx.Err()
		}
		return builder.Load(ctx, studio...)
	})
	err := group.Wait()
	return studio, err
}

// lock keeps two runs from building one cluster at once.
func (l *Local) lock() (func(), error) {
	if err := os.MkdirAll(l.Places.State, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(l.Places.State, "lock"), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another `make up` or `make down` works on %s: wait until it ends", l.Places.State)
	}
	return func() { f.Close() }, nil
}

// start brings up network, containerd, control plane and kubelet.
func (l *Local) start(ctx context.Context, builder *images.Builder) error {
	pause, err := l.pauseImage(ctx, builder)
	if err != nil {
		return err
	}
	l.pause = pause.Ref
	return l.Log.Do("start control plane and node", "5 to 15 s", func() error {
		if err := network.Up(ctx, l.switches(), l.APIPort); err != nil {
			return err
		}
		n := l.node()
		if err := n.Runtime(ctx); err != nil {
			return err
		}
		if err := builder.Load(ctx, pause); err != nil {
			return err
		}
		if err := l.controlPlane().Up(ctx); err != nil {
			return err
		}
		if err := n.Up(ctx); err != nil {
			return err
		}
		return l.awaitNode(ctx)
	})
}

func (l *Local) switches() string { return filepath.Join(l.Places.State, "kernel-switches.json") }

// pauseImage builds the program that holds a pod's name spaces.
func (l *Local) pauseImage(ctx context.Context, builder *images.Builder) (images.Image, error) {
	dir := filepath.Join(l.Places.Cache, "pause")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", dir+"/pause", "./cmd/pause")
	cmd.Dir = filepath.Join(l.Places.Repo, "local")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return images.Image{}, fmt.Errorf("compile pause: %w: %s", err, out)
	}
	version, err := images.FileTag(filepath.Join(dir, "pause"))
	if err != nil {
		return images.Image{}, err
	}
	return builder.Program(ctx, "pause", dir, version)
}

func (l *Local) kubectl(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, filepath.Join(l.Places.Bin(), "kubectl"), append([]string{"--kubeconfig", l.Places.Kubeconfig()}, args...)...)
}

// addons builds and installs each as soon as its program is there.
func (l *Local) addons(ctx context.Context, builder *images.Builder, wait func(toolchain.Set) (string, error)) error {
	sets := map[string]toolchain.Set{"coredns": toolchain.Addons, "metrics-server": toolchain.Addons,
		"local-path-provisioner": toolchain.LocalPath, "traefik": toolchain.Traefik}
	settings := addons.Settings{Places: l.Places, IngressIP: l.IngressIP, IngressPort: l.IngressPort, Images: map[string]images.Image{}}
	for _, name := range addons.Names {
		dir, err := wait(sets[name])
		if err != nil {
			return err
		}
		image, err := builder.Program(ctx, name, dir, dir[strings.LastIndex(dir, "-")+1:])
		if err != nil {
			return err
		}
		settings.Images[name] = image
		wanted := []images.Image{image}
		if name == "local-path-provisioner" { // its helper pods need a shell
			base, err := builder.BaseImage(ctx)
			if err != nil {
				return err
			}
			wanted = append(wanted, base)
		}
		if err := builder.Load(ctx, wanted...); err != nil {
			return err
		}
		if err := settings.Apply(ctx, name); err != nil {
			return err
		}
	}
	dir, err := wait(toolchain.Helm)
	if err != nil {
		return err
	}
	if err := toolchain.Link(l.Places.Bin(), dir); err != nil {
		return err
	}
	return l.Log.Do("wait for "+strings.Join(addons.Names, ", "), "", func() error { return settings.Await(ctx) })
}

// Down ends the cluster. What it built and the studio's data stay, unless purge.
func (l *Local) Down(ctx context.Context, purge bool) error {
	if err := preflight.Root(); err != nil {
		return err
	}
	if _, err := os.Stat(l.Places.State); errors.Is(err, os.ErrNotExist) {
		l.Log.Say("there is no cluster in %s", l.Places.State)
		return nil
	}
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	err = l.Log.Do("stop the cluster", "up to 40 s, while databases close", func() error {
		return errors.Join(
			l.node().Down(ctx, l.Log.Say),
			l.controlPlane().Down(ctx),
			network.Down(ctx, l.switches()),
			os.RemoveAll(filepath.Join(l.Places.Run, "cni")), // the leases of pods that are gone
			os.RemoveAll(l.Places.Run),
		)
	})
	if err != nil {
		return err
	}
	if purge {
		return l.Log.Do("delete "+l.Places.State, "", func() error { return os.RemoveAll(l.Places.State) })
	}
	l.Log.Say("the data stay in %s; `make up` continues with them, `make down PURGE=1` deletes them", l.Places.State)
	return nil
}

// Running returns the components that run, with their process ids.
func (l *Local) Running() map[string]int {
	running := map[string]int{}
	for _, pids := range []map[string]int{l.controlPlane().Running(), l.node().Running()} {
		for name, pid := range pids {
			if pid != 0 {
				running[name] = pid
			}
		}
	}
	return running
}

// Env is what a shell needs to talk to the cluster.
func (l *Local) Env() string {
	return fmt.Sprintf("export KUBECONFIG=%s\nexport PATH=%s:$PATH\nexport CONTAINERD_ADDRESS=%s\nexport CONTAINERD_NAMESPACE=k8s.io\nexport AI_FILM_INGRESS=%s\n",
		l.Places.Kubeconfig(), l.Places.Bin(), l.Places.Containerd(), l.URL())
}

// URL is where the ingress answers; the studio's host name there is ai-film.local.
func (l *Local) URL() string {
	if l.IngressPort == 80 {
		return "http://" + l.IngressIP
	}
	return fmt.Sprintf("http://%s:%d", l.IngressIP, l.IngressPort)
}
