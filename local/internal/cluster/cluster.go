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
	Monitoring  bool   // make the image of the chart's own monitoring, too

	pause string
}

// Tools makes the programs.
func (l *Local) Tools() toolchain.Builder {
	return toolchain.Builder{Repo: l.Places.Repo, Cache: l.Places.Cache, Log: l.Log}
}

func (l *Local) controlPlane() controlplane.ControlPlane {
	return controlplane.ControlPlane{Places: l.Places, APIPort: l.APIPort}
}

func (l *Local) node() node.Node {
	return node.Node{Places: l.Places, CA: l.controlPlane().CA(), Pause: l.pause}
}

// Up brings the cluster and the images up, making what is missing, and returns when the studio can be installed. What it
// can do without (the ingress, and measurements) comes later: rest waits for that, and must be called.
func (l *Local) Up(ctx context.Context) (rest func() error, err error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	unlock, err := l.lock()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			unlock()
		}
	}()
	if err := packages.Install(ctx, l.Log, "about 30 s", append(packages.Node, packages.Images...)...); err != nil {
		return nil, err
	}
	engine, err := images.NewEngine(l.Places)
	if err != nil {
		return nil, err
	}
	builder := &images.Builder{Places: l.Places, Engine: engine, Log: l.Log}
	if err := l.together(ctx, builder); err != nil {
		return nil, err
	}
	builder.Prune(ctx)
	if err := os.WriteFile(filepath.Join(l.Places.State, "env"), []byte(l.Env()), 0o644); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() {
		defer unlock()
		done <- l.rest(ctx, builder)
	}()
	return func() error { return <-done }, nil
}

// together makes, builds and starts, each as early as it can; the first failure ends all. Compiling takes longest on a cold
// machine; images are built and loaded meanwhile, and the control plane starts as soon as its programs are there.
func (l *Local) together(ctx context.Context, builder *images.Builder) error {
	group, ctx := errgroup.WithContext(ctx)
	running := make(chan struct{}) // closed when containerd takes images
	group.Go(func() error {
		if err := l.startRuntime(ctx, builder); err != nil {
			return err
		}
		close(running)
		return nil
	})
	group.Go(func() error { // one compilation after the other: each uses all cores
		if err := l.programs(ctx, l.Tools(), toolchain.Kubernetes, toolchain.Addons, toolchain.Kubectl, toolchain.LocalPath); err != nil {
			return err
		}
		group.Go(func() error { return l.programs(ctx, l.Tools(), toolchain.Helm) })
		if err := wait(ctx, running); err != nil {
			return err
		}
		if err := l.startKubernetes(ctx); err != nil {
			return err
		}
		return l.addons(ctx, builder, l.Tools(), "coredns", "local-path-provisioner")
	})
	group.Go(func() error {
		studio, err := builder.Services(ctx, func(ctx context.Context, i images.Image) error {
			if err := wait(ctx, running); err != nil {
				return err
			}
			return builder.Load(ctx, i)
		})
		if err != nil {
			return err
		}
		if l.Monitoring {
			image, err := builder.Monitoring(ctx)
			if err == nil {
				err = builder.Load(ctx, image)
			}
			if err != nil {
				return err
			}
			studio = append(studio, image)
		}
		return images.Values(l.Places.ImageValues(), studio)
	})
	return group.Wait()
}

// rest brings up what a film can be made without. It takes what the processors have left.
func (l *Local) rest(ctx context.Context, builder *images.Builder) error {
	tools := l.Tools()
	tools.Nice = true
	return l.addons(ctx, builder, tools, "traefik", "metrics-server")
}

// wait returns when ready is closed.
func wait(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// programs makes sets and links their programs into the cluster's bin.
func (l *Local) programs(ctx context.Context, tools toolchain.Builder, sets ...toolchain.Set) error {
	for _, set := range sets {
		dir, err := tools.Build(ctx, set)
		if err != nil {
			return err
		}
		if err := toolchain.Link(l.Places.Bin(), dir); err != nil {
			return err
		}
	}
	return nil
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

// startRuntime brings up network and containerd, which need nothing that is compiled but a program that pauses.
func (l *Local) startRuntime(ctx context.Context, builder *images.Builder) error {
	pause, err := l.pauseImage(ctx, builder)
	if err != nil {
		return err
	}
	l.pause = pause.Ref
	return l.Log.Do(ctx, "start network and containerd", "", func(ctx context.Context) error {
		if err := network.Up(ctx, l.switches(), l.APIPort); err != nil {
			return err
		}
		if err := l.node().Runtime(ctx); err != nil {
			return err
		}
		return builder.Load(ctx, pause)
	})
}

// startKubernetes brings up control plane and kubelet.
func (l *Local) startKubernetes(ctx context.Context) error {
	return l.Log.Do(ctx, "start control plane and node", "5 to 15 s", func(ctx context.Context) error {
		if err := l.controlPlane().Up(ctx); err != nil {
			return err
		}
		if err := l.node().Up(ctx); err != nil {
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
	out, err := cmd.CombinedOutput()
	if err != nil {
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

// programOf says which set an add-on's program belongs to.
var programOf = map[string]toolchain.Set{"coredns": toolchain.Addons, "local-path-provisioner": toolchain.LocalPath,
	"traefik": toolchain.Traefik, "metrics-server": toolchain.Metrics}

// addons makes and installs add-ons, one after the other, and waits until they are ready.
func (l *Local) addons(ctx context.Context, builder *images.Builder, tools toolchain.Builder, names ...string) error {
	settings := addons.Settings{Places: l.Places, IngressIP: l.IngressIP, IngressPort: l.IngressPort}
	for _, name := range names {
		dir, err := tools.Build(ctx, programOf[name])
		if err != nil {
			return err
		}
		image, err := builder.Program(ctx, name, dir, dir[strings.LastIndex(dir, "-")+1:])
		if err != nil {
			return err
		}
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
		if err := settings.Apply(ctx, name, image); err != nil {
			return err
		}
	}
	return l.Log.Do(ctx, "wait for "+strings.Join(names, ", "), "", func(ctx context.Context) error { return settings.Await(ctx, names...) })
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
	err = l.Log.Do(ctx, "stop the cluster", "up to 40 s, while databases close", func(ctx context.Context) error {
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
		return l.Log.Do(ctx, "delete "+l.Places.State, "", func(context.Context) error { return os.RemoveAll(l.Places.State) })
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
	return fmt.Sprintf("export KUBECONFIG='%s'\nexport PATH='%s':\"$PATH\"\nexport KUBEBUILDER_ASSETS='%[2]s'\nexport CONTAINERD_ADDRESS='%[3]s'\nexport CONTAINERD_NAMESPACE=k8s.io\nexport AI_FILM_INGRESS='%[4]s'\n",
		l.Places.Kubeconfig(), l.Places.Bin(), l.Places.Containerd(), l.URL())
}

// URL is where the ingress answers; the studio's host name there is ai-film.local.
func (l *Local) URL() string {
	if l.IngressPort == 80 {
		return "http://" + l.IngressIP
	}
	return fmt.Sprintf("http://%s:%d", l.IngressIP, l.IngressPort)
}
