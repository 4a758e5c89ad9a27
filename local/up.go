package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/ai-film/ai-film/local/internal/cluster"
	"github.com/ai-film/ai-film/local/internal/images"
	"github.com/ai-film/ai-film/local/internal/progress"
	"github.com/ai-film/ai-film/local/internal/release"
	"github.com/ai-film/ai-film/local/internal/toolchain"
)

const namespace = "ai-film"

func upCommand(local *cluster.Local) *cobra.Command {
	var only bool
	var values []string
	kind := os.Getenv("CLUSTER")
	c := &cobra.Command{
		Use: "up", Short: "Bring the cluster up and install the studio", Args: cobra.NoArgs,
		Long: `Bring a cluster up, build the studio's images, install the chart with the dev
profile and wait until all is ready. Run it again after anything: a crash,
kill -9 of any component, a reboot, a change of code. It mends, builds and
upgrades what needs it and keeps the data.

  CLUSTER=local    (default) our own on this machine; needs root on Debian or a
                   derivative
  CLUSTER=kind     a kind cluster named ai-film; needs Docker and kind
  CLUSTER=current  the kubeconfig's current cluster, which must be able to pull
                   the images

The page answers on loopback, port 80 (INGRESS_PORT chooses another), under
the host name ai-film.local.`,
		RunE: func(c *cobra.Command, _ []string) error {
			defer report(local)
			return upAll(c.Context(), local, kind, only, values...)
		},
	}
	c.Flags().BoolVar(&only, "cluster-only", false, "do not install the chart")
	c.Flags().BoolVar(&local.Monitoring, "monitoring", false, "with Prometheus, Alertmanager and exporters")
	c.Flags().StringArrayVar(&values, "values", nil, "one more file of values for the chart")
	return c
}

// upAll brings everything up.
func upAll(ctx context.Context, local *cluster.Local, kind string, only bool, values ...string) error {
	rest, err := up(ctx, local, kind, only, nil, values...)
	if err != nil {
		return err
	}
	if err := rest(); err != nil {
		return err
	}
	sayReady(local, kind)
	return nil
}

// up returns when films can be made; rest waits for what may come later. What is to be done beside the installation of the
// chart, which mostly waits, is done meanwhile. If up fails, nothing of it runs on.
func up(ctx context.Context, local *cluster.Local, kind string, only bool, meanwhile func(context.Context) error, values ...string) (rest func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	rest = func() error { return nil }
	defer func() {
		if err != nil {
			cancel()
			_ = rest()
		}
	}()
	r := release.Release{Chart: chartOf(local.Places), Namespace: namespace, Name: "ai-film", Log: local.Log}
	profile := os.Getenv("PROFILE")
	if profile == "" {
		profile = "dev"
	}
	r.Values = []string{filepath.Join(r.Chart, "values", profile+".yaml")}
	if local.Monitoring {
		r.Values = append(r.Values, filepath.Join(local.Places.Repo, "local", "monitoring", "values.yaml"))
	}
	switch kind {
	case "", "local":
		if kind == "" {
			offerKind(ctx, local)
		}
		later, err := local.Up(ctx)
		if err != nil {
			return rest, err
		}
		rest = later
		bin := local.Places.Bin()
		r.Helm, r.Kubectl, r.Kubeconfig = filepath.Join(bin, "helm"), filepath.Join(bin, "kubectl"), local.Places.Kubeconfig()
		r.Values = append(r.Values, filepath.Join(local.Places.Repo, "local", "values.yaml"), local.Places.ImageValues())
	case "kind":
		file, err := upKind(ctx, local)
		if err != nil {
			return rest, err
		}
		r.Values = append(r.Values, file)
	case "current":
		if file := os.Getenv("IMAGE_VALUES"); file != "" {
			r.Values = append(r.Values, file)
		}
	default:
		return rest, fmt.Errorf("CLUSTER=%s: must be local, kind or current", kind)
	}
	r.Values = append(r.Values, values...)
	if kind == "kind" || kind == "current" {
		if err := userPrograms(ctx, local, &r); err != nil {
			return rest, err
		}
	}
	group, beside := errgroup.WithContext(ctx)
	if meanwhile != nil {
		group.Go(func() error { return meanwhile(beside) })
	}
	if !only {
		if _, err := os.Stat(r.Chart); err != nil {
			return rest, fmt.Errorf("no chart at %s: %w", r.Chart, err)
		}
		group.Go(func() error { return r.Install(beside, 10*time.Minute) })
	}
	return rest, group.Wait()
}

// sayReady tells where the studio is.
func sayReady(local *cluster.Local, kind string) {
	local.Log.Say("ready after %s", local.Log.Total().Round(time.Second))
	if kind == "" || kind == "local" {
		local.Log.Say("the studio answers at %s under the host name ai-film.local (a line `%s ai-film.local` in /etc/hosts lets a browser find it)", local.URL(), local.IngressIP)
		local.Log.Say(`to look around: eval "$(make -s env)" && kubectl -n %s get pods`, namespace)
	}
}

// offerKind tells of the faster way where there is one and our own programs would have to be compiled first.
func offerKind(ctx context.Context, local *cluster.Local) {
	compiled, err := local.Tools().Dir(toolchain.Kubernetes)
	if err != nil {
		return
	}
	if _, err := os.Stat(compiled); err == nil {
		return
	}
	if _, err := exec.LookPath("kind"); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").Run() != nil {
		return
	}
	local.Log.Say("Docker runs here and kind is installed: the same command with CLUSTER=kind need not make Kubernetes (%s)", toolchain.Kubernetes.Usual)
}

// report prints what the steps cost, and writes it to out/steps.json.
func report(local *cluster.Local) {
	r := local.Log.Report()
	if err := r.Write(filepath.Join(local.Places.Repo, "out", "steps.json")); err != nil {
		local.Log.Say("the table of steps can't be written: %v", err)
	}
	fmt.Println()
	_ = r.Table(os.Stdout)
}

// userPrograms takes kubectl and helm from the PATH; helm is compiled where it is missing.
func userPrograms(ctx context.Context, local *cluster.Local, r *release.Release) error {
	var err error
	if r.Kubectl, err = exec.LookPath("kubectl"); err != nil {
		return fmt.Errorf("kubectl is not on the PATH: install it, or use CLUSTER=local")
	}
	if r.Helm, err = exec.LookPath("helm"); err != nil {
		dir, err := local.Tools().Build(ctx, toolchain.Helm)
		if err != nil {
			return err
		}
		r.Helm = filepath.Join(dir, "helm")
	}
	return nil
}

// upKind makes the kind cluster if there is none, builds with Docker and loads the images into it. It returns the values
// file with their tags.
func upKind(ctx context.Context, local *cluster.Local) (string, error) {
	for _, program := range []string{"docker", "kind"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("CLUSTER=kind needs %s on the PATH: install it, or use CLUSTER=local", program)
		}
	}
	const name = "ai-film"
	if exec.CommandContext(ctx, "kind", "get", "kubeconfig", "--name", name).Run() != nil {
		err := local.Log.Do(ctx, "create the kind cluster "+name, "1 to 3 min", func(ctx context.Context) error {
			return loud(ctx, "kind", "create", "cluster", "--name", name, "--wait", "3m")
		})
		if err != nil {
			return "", err
		}
	}
	if err := loud(ctx, "kind", "export", "kubeconfig", "--name", name); err != nil {
		return "", err
	}
	os.Setenv("AI_FILM_ENGINE", "docker")
	engine, err := images.NewEngine(local.Places)
	if err != nil {
		return "", err
	}
	builder := &images.Builder{Places: local.Places, Engine: engine, Log: local.Log}
	built, err := builder.Services(ctx, nil)
	if err != nil {
		return "", err
	}
	file := filepath.Join(local.Places.Cache, "kind-images.yaml")
	if err := images.Values(file, built); err != nil {
		return "", err
	}
	args := []string{"load", "docker-image", "--name", name}
	for _, i := range built {
		args = append(args, i.Ref)
	}
	return file, local.Log.Do(ctx, "load the images into kind", "", func(ctx context.Context) error { return loud(ctx, "kind", args...) })
}

func loud(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	err := cmd.Run()
	progress.Ran(ctx, cmd)
	if err != nil {
		return fmt.Errorf("%s %v: %w", name, args, err)
	}
	return nil
}
