package main

import (
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ai-film/ai-film/local/internal/cluster"
)

func filmCommand(local *cluster.Local) *cobra.Command {
	var brief, output string
	c := &cobra.Command{
		Use: "film", Short: "From nothing to a film: cluster, studio, brief, video", Args: cobra.NoArgs,
		Long: `Bring the cluster up, install the studio, send a brief, wait for its film and
check it; at the end, a table of what took how long. The same as "up" followed
by "ai-film film".`,
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
			ctx, kind := c.Context(), os.Getenv("CLUSTER")
			if err := up(ctx, local, kind, false); err != nil {
				return err
			}
			var env []string
			if kind == "" || kind == "local" {
				env = []string{"KUBECONFIG=" + local.Places.Kubeconfig(), "PATH=" + local.Places.Bin() + ":" + os.Getenv("PATH"), "AI_FILM_INGRESS=" + local.URL()}
			}
			err := local.Log.Do("make the film of "+filepath.Base(brief), "about 5 min", func() error {
				return tests{local}.run(ctx, local.Places.Repo, env, "go", "run", "./cmd/ai-film", "film", "--brief", brief, "-o", output)
			})
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "\nstep\ttook")
			for _, s := range local.Log.Steps() {
				fmt.Fprintf(w, "%s\t%s\n", s.Name, s.Took.Round(100*time.Millisecond))
			}
			fmt.Fprintf(w, "all (steps overlap)\t%s\n", local.Log.Total().Round(time.Second))
			return w.Flush()
		},
	}
	c.Flags().StringVar(&brief, "brief", "", "file with the story")
	c.Flags().StringVarP(&output, "output", "o", "out/film.mp4", "file to write")
	return c
}

func benchCommand(local *cluster.Local) *cobra.Command {
	return &cobra.Command{
		Use: "bench", Short: "Run the benchmarks", Args: cobra.NoArgs,
		Long: `Run the benchmarks in test/bench and write their numbers to out/bench.`,
		RunE: func(c *cobra.Command, _ []string) error {
			dir := filepath.Join(local.Places.Repo, "test", "bench")
			if _, err := os.Stat(dir); err != nil {
				return fmt.Errorf("there are no benchmarks yet: %w", err)
			}
			return tests{local}.run(c.Context(), dir, nil, "go", "run", ".")
		},
	}
}
