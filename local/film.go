package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ai-film/ai-film/local/internal/cluster"
	"github.com/ai-film/ai-film/local/internal/progress"
	"github.com/ai-film/ai-film/local/internal/toolchain"
)

func filmCommand(local *cluster.Local) *cobra.Command {
	var brief, output string
	c := &cobra.Command{
		Use: "film", Short: "From nothing to a film: cluster, studio, brief, video", Args: cobra.NoArgs,
		Long: `Bring the cluster up, install the studio, send a brief, wait for its film and
check it. The same as "up" followed by "ai-film film", except that the film
doesn't wait for the page's ingress, which comes meanwhile. At the end, a table
of what each step took, in minutes and in minutes of processor time, also
written to out/steps.json.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if brief == "" {
				return fmt.Errorf("no brief: name one with BRIEF=examples/….md")
			}
			// Paths are the caller's, who stands in the checkout, not in local/.
			if !filepath.IsAbs(brief) {
				brief = filepath.Join(local.Places.Repo, brief)
			}
			if _, err := os.Stat(brief); err != nil {
				return err
			}
			if !filepath.IsAbs(output) {
				output = filepath.Join(local.Places.Repo, output)
			}
			if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
				return err
			}
			defer report(local)
			return film(c.Context(), local, os.Getenv("CLUSTER"), brief, output)
		},
	}
	c.Flags().StringVar(&brief, "brief", "", "file with the story")
	c.Flags().StringVarP(&output, "output", "o", "out/film.mp4", "file to write")
	return c
}

// film makes the film as soon as the studio can, and waits for the rest of the cluster afterwards.
func film(ctx context.Context, local *cluster.Local, kind, brief, output string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var cli string
	rest, err := up(ctx, local, kind, false, func(ctx context.Context) (err error) {
		cli, err = local.Tools().Latest(ctx, toolchain.CLI)
		return err
	})
	if err != nil {
		return err
	}
	var env []string
	if kind == "" || kind == "local" {
		env = []string{"KUBECONFIG=" + local.Places.Kubeconfig(), "PATH=" + local.Places.Bin() + ":" + os.Getenv("PATH"), "AI_FILM_INGRESS=" + local.URL()}
	}
	err = local.Log.Do(ctx, "make the film of "+filepath.Base(brief), "about 5 min", func(ctx context.Context) error {
		defer local.Log.Hold()()
		return run(ctx, local.Places.Repo, env, filepath.Join(cli, "ai-film"), "film", "--brief", brief, "-o", output)
	})
	if err != nil {
		cancel()
		_ = rest()
		return err
	}
	if err := rest(); err != nil {
		return fmt.Errorf("the film is made, but not all of the cluster is up: %w", err)
	}
	sayReady(local, kind)
	return nil
}

// run shows a program's output as it comes; it ends with all its children when the context does.
func run(ctx context.Context, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	progress.Ran(ctx, cmd)
	if err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return nil
}
