package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ai-film/ai-film/local/internal/cluster"
	"github.com/ai-film/ai-film/local/internal/images"
	"github.com/ai-film/ai-film/local/internal/packages"
	"github.com/ai-film/ai-film/local/internal/place"
	"github.com/ai-film/ai-film/local/internal/progress"
	"github.com/ai-film/ai-film/local/internal/roots"
	"github.com/ai-film/ai-film/local/internal/toolchain"
)

func newCommand() (*cobra.Command, error) {
	places, err := place.Find()
	if err != nil {
		return nil, err
	}
	log := progress.New()
	local := &cluster.Local{Places: places, Log: log, IngressIP: "127.0.0.1"}
	if local.APIPort, err = port("AI_FILM_API_PORT", 6443); err != nil {
		return nil, err
	}
	if local.IngressPort, err = port("INGRESS_PORT", 80); err != nil {
		return nil, err
	}
	if ip := os.Getenv("INGRESS_ADDRESS"); ip != "" {
		if net.ParseIP(ip) == nil {
			return nil, fmt.Errorf("INGRESS_ADDRESS=%q is no IP address: give one of this machine's, or 0.0.0.0 for all", ip)
		}
		local.IngressIP = ip
	}
	root := &cobra.Command{
		Use:   "local",
		Short: "A real Kubernetes cluster on this machine, with the studio in it",
		Long: `A real Kubernetes cluster on this machine, with the studio in it.

etcd, API server, controller manager, scheduler, kubelet and kube-proxy are
compiled from their Go modules, or taken from Kubernetes' releases where those
are in reach; containers run under Debian's containerd and runc. Everything
listens on loopback or on the pods' own bridge.

What it keeps, and where:
  programs and images   the user's cache (AI_FILM_CACHE), safe to delete, costs
                        about 20 minutes to make again
  cluster and volumes   /var/lib/ai-film (AI_FILM_STATE), the studio's data live
                        here
  sockets, leases       /run/ai-film, gone after a reboot

The Makefile's targets call this program: make film, up, down, images, env.`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(upCommand(local), downCommand(local), imagesCommand(local), statusCommand(local), envCommand(local), rootsCommand(local), freshCommand(local), packagesCommand(local), programsCommand(local), filmCommand(local))
	return root, nil
}

func port(variable string, otherwise int) (int, error) {
	value := os.Getenv(variable)
	if value == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("%s=%q is no port: give a number from 1 to 65535", variable, value)
	}
	return n, nil
}

func downCommand(local *cluster.Local) *cobra.Command {
	var purge bool
	c := &cobra.Command{
		Use: "down", Short: "Stop the cluster and leave nothing running", Args: cobra.NoArgs,
		Long: `Stop the cluster: containers (databases get time to close), kubelet,
containerd, control plane; then its mounts, network and firewall table. The
studio's data, the programs and the images stay, so that "up" continues where
this ended. It can be run at any time, also after a crash, and does nothing
when nothing runs.`,
		RunE: func(c *cobra.Command, _ []string) error { return local.Down(c.Context(), purge) },
	}
	c.Flags().BoolVar(&purge, "purge", false, "delete the data as well: every film, password and volume")
	return c
}

func programsCommand(local *cluster.Local) *cobra.Command {
	names := make([]string, len(toolchain.Sets))
	for i, set := range toolchain.Sets {
		names[i] = set.Name
	}
	return &cobra.Command{
		Use: "programs [NAME...]", DisableFlagsInUseLine: true, Short: "Make the cluster's programs, and no more", ValidArgs: names,
		Args: func(_ *cobra.Command, args []string) error {
			for _, name := range args {
				if !slices.Contains(names, name) {
					return fmt.Errorf("no programs %q: there are %s", name, strings.Join(names, ", "))
				}
			}
			return nil
		},
		Long: `Compile Kubernetes, etcd, kwok, CoreDNS, metrics-server, Helm,
local-path-provisioner and Traefik from their Go modules into the cache, where
"up" finds them. What is there already isn't compiled again.

Where dl.k8s.io is in reach, Kubernetes' programs are its own, compared with
their published SHA-256; AI_FILM_RELEASES names another server that is laid out
like https://dl.k8s.io/release, or is "off". kubectl and helm are those of this
machine if their versions fit the cluster's.

With names, only these are made, and the directory of each is printed:
` + strings.Join(names, ", ") + `.`,
		RunE: func(c *cobra.Command, chosen []string) error {
			for _, set := range toolchain.Sets {
				if len(chosen) > 0 && !slices.Contains(chosen, set.Name) {
					continue
				}
				dir, err := local.Tools().Build(c.Context(), set)
				if err != nil {
					return err
				}
				if len(chosen) > 0 {
					fmt.Println(dir)
				}
			}
			if len(chosen) == 0 {
				report(local)
			}
			return nil
		},
	}
}

func imagesCommand(local *cluster.Local) *cobra.Command {
	var forTests bool
	c := &cobra.Command{
		Use: "images", Short: "Build the images of all services that changed", Args: cobra.NoArgs,
		Long: `Build an image for each services/<name>/Containerfile, with services/ as its
context, and write the tags to /var/lib/ai-film/images.yaml for the chart. Go
services are compiled first, statically, into services/<name>/bin, from where
their Containerfile copies them. A tag is a hash of the Containerfile and of
the files it copies: what hasn't changed isn't built again. If the cluster
runs, new images are loaded into its node.

Buildah builds where it is installed, else Docker or Podman (AI_FILM_ENGINE
chooses). Where Docker Hub is out of reach (AI_FILM_REGISTRY=off pretends so),
Debian's packages make debian:trixie-slim, postgres:17 and redis:8.`,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			builder, built, err := buildImages(ctx, local, forTests)
			if err != nil {
				return err
			}
			if err := images.Values(local.Places.ImageValues(), built); err != nil {
				return err
			}
			if local.Running()["containerd"] != 0 {
				if err := builder.Load(ctx, built...); err != nil {
					return err
				}
			}
			builder.Prune(ctx)
			for _, i := range built {
				fmt.Println(i.Ref)
			}
			local.Log.Say("%d images, in %s", len(built), local.Log.Total().Round(100*time.Millisecond))
			return nil
		},
	}
	forTestsFlag(c, &forTests)
	return c
}

func forTestsFlag(c *cobra.Command, forTests *bool) {
	c.Flags().BoolVar(forTests, "tests", false, "also what only tests use: comfyui-server, the\nreal ComfyUI on the processor (2 GB)")
}

// buildImages builds the images of all services that changed and returns all of them.
func buildImages(ctx context.Context, local *cluster.Local, forTests bool) (*images.Builder, []images.Image, error) {
	if os.Geteuid() == 0 && os.Getenv("AI_FILM_ENGINE") == "" {
		if err := packages.Install(ctx, local.Log, "about 20 s", packages.Images...); err != nil {
			return nil, nil, err
		}
	}
	engine, err := images.NewEngine(local.Places)
	if err != nil {
		return nil, nil, err
	}
	builder := &images.Builder{Places: local.Places, Engine: engine, Log: local.Log}
	built, err := builder.Services(ctx, nil)
	if err == nil && forTests {
		var more []images.Image
		more, err = builder.ForTests(ctx)
		built = append(built, more...)
	}
	return builder, built, err
}

func rootsCommand(local *cluster.Local) *cobra.Command {
	var forTests bool
	c := &cobra.Command{
		Use: "roots", Short: "Build the images, and print what a shell needs to test in them", Args: cobra.NoArgs,
		Long: `Build the images that changed and print shell lines that let tests run what the
images hold: blender, ffmpeg, initdb, redis-server and others on the PATH are
then those of the images, and "enter IMAGE PROGRAM" runs anything in one.`,
		Example: `  eval "$(go run -C local . roots)"
  enter blender blender --version`,
		RunE: func(c *cobra.Command, _ []string) error {
			builder, built, err := buildImages(c.Context(), local, forTests)
			if err != nil {
				return err
			}
			monitoring, err := builder.Monitoring(c.Context()) // for promtool
			if err != nil {
				return err
			}
			dir, err := roots.Prepare(c.Context(), local.Places, builder.Engine, append(built, monitoring))
			if err != nil {
				return err
			}
			fmt.Printf("export AI_FILM_ROOTS='%s' AI_FILM_REPO='%s' PATH='%s':\"$PATH\"\n", dir, local.Places.Repo, filepath.Join(dir, "bin"))
			return nil
		},
	}
	forTestsFlag(c, &forTests)
	return c
}

func freshCommand(local *cluster.Local) *cobra.Command {
	c := &cobra.Command{
		Use: "fresh [COMMAND...]", Short: "Run a command on a machine that nobody prepared",
		Long: `Run a command, by default make test, in Debian 12's minimal system with nothing
added but what README names: what else the command needs, the project's own
files must install. The checkout, Go, the way to the package registries and the
caches are this machine's (GOCACHE, GOMODCACHE and AI_FILM_CACHE name others, to
try with empty ones); all that is installed is gone at the end.

The cluster of this machine must be down: both have the same addresses.`,
		Example: "  go run -C local . fresh make film",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"make", "test"}
			}
			return fresh(c.Context(), local, args...)
		},
	}
	c.Flags().SetInterspersed(false) // flags after the command are its own
	return c
}

// fresh runs a command of the checkout on a machine that nobody prepared, with a cluster state of its own. Its processes
// are in a namespace and end with it; the shell is its process 1, and takes in those whose parents died.
func fresh(ctx context.Context, local *cluster.Local, command ...string) error {
	if running := local.Running(); len(running) > 0 {
		return errors.New("the cluster of this machine runs and has the addresses that another would need\nRemedy: make down")
	}
	if err := packages.Install(ctx, local.Log, "about 20 s", "mmdebstrap"); err != nil {
		return err
	}
	dir, err := roots.Fresh(ctx, local.Places, local.Log)
	if err != nil {
		return err
	}
	state := filepath.Join(local.Places.Cache, "fresh-state")
	defer os.RemoveAll(state)
	env := []string{"AI_FILM_ROOTS=" + dir, "AI_FILM_REPO=" + local.Places.Repo, "AI_FILM_STATE=" + state, "TMPDIR=/tmp", "AI_FILM_FRESH=1"}
	args := append([]string{"--pid", "--fork", "--kill-child", filepath.Join(dir, "bin", "enter"), roots.FreshImage,
		"sh", "-c", `mount -t proc proc /proc && unset AI_FILM_ROOTS AI_FILM_REPO && { "$@"; exit; }`, "fresh"}, command...)
	return run(ctx, local.Places.Repo, env, "unshare", args...)
}

func statusCommand(local *cluster.Local) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say which components run", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			running := local.Running()
			var names []string
			for name := range running {
				names = append(names, name)
			}
			sort.Strings(names)
			for _, name := range names {
				fmt.Printf("%-26s %d\n", name, running[name])
			}
			if len(names) == 0 {
				return fmt.Errorf("no cluster runs: `make up` starts one")
			}
			return nil
		},
	}
}

func envCommand(local *cluster.Local) *cobra.Command {
	return &cobra.Command{
		Use: "env", Short: "Print what a shell needs to talk to the cluster", Args: cobra.NoArgs,
		Long: `Print shell lines that set KUBECONFIG, PATH (kubectl, helm) and the address of
containerd (for ctr).`,
		Example: `  eval "$(make -s env)" && kubectl -n ai-film get pods`,
		Run:     func(*cobra.Command, []string) { fmt.Print(local.Env()) },
	}
}

func packagesCommand(local *cluster.Local) *cobra.Command {
	return &cobra.Command{
		Use: "packages [NAME...]", DisableFlagsInUseLine: true, Short: "Install what building the images takes, and packages named",
		Long: `Install from Debian what building the images takes, and the packages named.
What is there already isn't touched; services that come with a package are
neither started nor enabled.`,
		RunE: func(c *cobra.Command, names []string) error {
			return packages.Install(c.Context(), local.Log, "about 30 s", append(names, packages.Images...)...)
		},
	}
}

func chartOf(p place.Places) string { return filepath.Join(p.Repo, "charts", "ai-film") }
