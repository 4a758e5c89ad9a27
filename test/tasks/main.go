// Tasks does what a contributor and CI do with the repository: lint, tests, chaos, benchmarks. The cluster, the images and
// the root file systems that tests run in come from the program in local/.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ai-film/ai-film/test/tasks/stages"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	t, err := find()
	if err == nil {
		err = newCommand(t).ExecuteContext(ctx)
	}
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "\nInterrupted. `make down` takes away what has been started.")
		os.Exit(130)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "\nError:", err)
		os.Exit(1)
	}
}

// find returns the tasks of the checkout that holds the working directory.
func find() (tasks, error) {
	dir, err := os.Getwd()
	if err != nil {
		return tasks{}, err
	}
	for start := dir; ; dir = filepath.Dir(dir) {
		if mod, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && strings.HasPrefix(string(mod), "module github.com/ai-film/ai-film\n") {
			break
		}
		if dir == filepath.Dir(dir) {
			return tasks{}, fmt.Errorf("%s is not inside a checkout of ai-film: change to the directory that has the Makefile", start)
		}
	}
	cache := os.Getenv("AI_FILM_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return tasks{}, fmt.Errorf("no cache directory: %w; set AI_FILM_CACHE to a directory on a disk with room", err)
		}
		cache = filepath.Join(user, "ai-film")
	}
	return tasks{repo: dir, cache: cache, began: time.Now()}, nil
}

func newCommand(t tasks) *cobra.Command {
	root := &cobra.Command{
		Use:   "tasks",
		Short: "Lint, test, try and measure the repository",
		Long: `Lint, test, try and measure the repository. The Makefile's targets call this
program: make test, unit, integration, lint, chaos, bench, deps.`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(testCommand(t), chaosCommand(t), benchCommand(t), depsCommand(t))
	return root
}

func testCommand(t tasks) *cobra.Command {
	var only string
	var budgets bool
	c := &cobra.Command{
		Use: "test", Short: "Run the tests, cheap ones first", Args: cobra.NoArgs,
		Long: `Run the stages lint, unit-go, unit-python, film (a film made by the services
as processes, and by all but one of them), fresh (cluster and studio on a
machine that nobody prepared) and integration, and print how long each took.

The services' tests run in the root file systems of the images that ship, with
the PostgreSQL, Redis, FFmpeg, Blender, OpenCV, Python and fonts that are in
there: what this machine has besides is neither needed nor seen. The images are
built first if they changed. The integration stage brings the cluster up unless
it runs, and takes it down again if it was the one to start it.`,
		RunE: func(c *cobra.Command, _ []string) error {
			chosen, err := stages.Select(t.stages(), only)
			if err != nil {
				return err
			}
			defer t.compileAhead(c.Context(), chosen)()
			results, err := stages.Run(c.Context(), t.say, budgets, chosen)
			fmt.Println()
			stages.Table(os.Stdout, results)
			return err
		},
	}
	c.Flags().StringVar(&only, "only", "", "comma-separated list of stages")
	c.Flags().BoolVar(&budgets, "budgets", false, "fail a stage that takes longer than its budget")
	return c
}

func chaosCommand(t tasks) *cobra.Command {
	return &cobra.Command{
		Use: "chaos [-- flags]", DisableFlagsInUseLine: true, Short: "Make films while all is killed at random; count what is lost",
		Long: `Run test/film/chaos.py: tiny films are made by the services, as processes of
this machine in the root file systems of their images, while they, the databases
and Dagster are killed, stopped and emptied at random. What was lost,
half-written or made twice is counted in out/chaos.json. Flags after -- are its
own; ask it for them: chaos -- --help.`,
		RunE: func(c *cobra.Command, args []string) error {
			return t.withStudio(c.Context(), append([]string{filepath.Join(t.repo, "test", "film", "chaos.py")}, args...)...)
		},
	}
}

func benchCommand(t tasks) *cobra.Command {
	return &cobra.Command{
		Use: "bench", Short: "Run the benchmarks", Args: cobra.NoArgs,
		Long: `Run the benchmarks in test/bench, and that of ComfyUI's relay beside nginx
(package nginx-light), and write their numbers to out/bench.`,
		RunE: func(c *cobra.Command, _ []string) error {
			relay := "RELAY_BENCH=" + filepath.Join(t.repo, "out", "bench", "relay.json")
			return errors.Join(t.run(c.Context(), t.benchDir(), nil, "go", "run", "."),
				t.run(c.Context(), t.services(), []string{relay}, "go", "test", "-count=1", "-run", "^TestSpeed$", "-v", "./comfyui/relay"))
		},
	}
}

func depsCommand(t tasks) *cobra.Command {
	return &cobra.Command{
		Use: "deps", Short: "Install what the tests need beside the images", Args: cobra.NoArgs,
		Long: `Install from Debian what building the images and running the tests needs, and
make the tests' Python environment. The tests do so themselves when they begin.
What the services run (PostgreSQL, Redis, FFmpeg, Blender, OpenCV, fonts) is not
among it: their tests run in the images.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := t.packages(c.Context()); err != nil {
				return err
			}
			_, err := t.venv(c.Context())
			return err
		},
	}
}

// say prints a line, stamped with the time since the start.
func (t tasks) say(format string, args ...any) {
	since := time.Since(t.began).Round(time.Second)
	fmt.Fprintf(os.Stderr, "[%02d:%02d] %s\n", int(since.Minutes()), int(since.Seconds())%60, fmt.Sprintf(format, args...))
}
