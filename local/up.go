package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/ai-film/ai-film/local/internal/cluster"
	"github.com/ai-film/ai-film/local/internal/images"
	"github.com/ai-film/ai-film/local/internal/release"
	"github.com/ai-film/ai-film/local/internal/toolchain"
)

const namespace = "ai-film"

func upCommand(local *cluster.Local) *cobra.Command {
	var only bool
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
		RunE: func(c *cobra.Command, _ []string) error { return up(c.Context(), local, kind, only) },
	}
	c.Flags().BoolVar(&only, "cluster-only", false, "do not install the chart")
	return c
}

func up(ctx context.Context, local *cluster.Local, kind string, only bool) error {
	r := release.Release{Chart: chartOf(local.Places), Namespace: namespace, Name: "ai-film", Log: local.Log}
	values := os.Getenv("PROFILE")
	if values == "" {
		values = "dev"
	}
	r.Values = []string{filepath.Join(r.Chart, "values", values+".yaml")}
	switch kind {
	case "", "local":
		if _, err := local.Up(ctx); err != nil {
			return err
		}
		bin := local.Places.Bin()
		r.Helm, r.Kubectl, r.Kubeconfig = filepath.Join(bin, "helm"), filepath.Join(bin, "kubectl"), local.Places.Kubeconfig()
		r.Values = append(r.Values, filepath.Join(local.Places.Repo, "local", "values.yaml"), local.Places.ImageValues())
	case "kind":
		file, err := upKind(ctx, local)
		if err != nil {
			return err
		}
		r.Values = append(r.Values, file)
	case "current":
		if file := os.Getenv("IMAGE_VALUES"); file != "" {
			r.Values = append(r.Values, file)
		}
	default:
		return fmt.Errorf("CLUSTER=%s: must be local, kind or current", kind)
	}
	if kind == "kind" || kind == "current" {
		if err := userPrograms(ctx, local, &r); err != nil {
			return err
		}
	}
	if !only {
		if _, err := os.Stat(r.Chart); err != nil {
			return fmt.Errorf("no chart at %s: %w", r.Chart, err)
		}
		if err := r.Install(ctx, 10*time.Minute); err != nil {
			return err
		}
	}
	local.Log.Say("ready after %s", local.Log.Total().Round(time.Second))
	if kind == "" || kind == "local" {
		local.Log.Say("the studio answers at %s under the host name ai-film.local (a line `%s ai-film.local` in /etc/hosts lets a browser find it)", local.URL(), local.IngressIP)
		local.Log.Say(`to look around: eval "$(make -s env)" && kubectl -n %s get pods`, namespace)
	}
	return nil
}

// userPrograms takes kubectl and helm from the PATH; helm is compiled where it is missing.
func userPrograms(ctx context.Context, local *cluster.Local, r *release.Release) error {
	var err error
	if r.Kubectl, err = exec.LookPath("kubectl"); err != nil {
		return fmt.Errorf("kubectl is not on the PATH: install it, or use CLUSTER=local")
	}
	if r.Helm, err = exec.LookPath("helm"); err != nil {
		b := toolchain.Builder{Tools: filepath.Join(local.Places.Repo, "local", "tools"), Cache: local.Places.Cache, Log: local.Log}
		dir, err := b.Build(ctx, toolchain.Helm)
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
		err := local.Log.Do("create the kind cluster "+name, "1 to 3 min", func() error {
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
	built, err := builder.Services(ctx)
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
	return file, local.Log.Do("load the images into kind", "", func() error { return loud(ctx, "kind", args...) })
}

func loud(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %v: %w", name, args, err)
	}
	return nil
}
