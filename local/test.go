package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ai-film/ai-film/local/internal/cluster"
	"github.com/ai-film/ai-film/local/internal/packages"
	"github.com/ai-film/ai-film/local/internal/stages"
	"github.com/ai-film/ai-film/local/internal/toolchain"
)

func testCommand(local *cluster.Local) *cobra.Command {
	var only string
	var budgets bool
	c := &cobra.Command{
		Use: "test", Short: "Run the tests, cheap ones first", Args: cobra.NoArgs,
		Long: `Run the stages lint, unit-go, unit-python, film (a film made by the services
as processes, and by all but one of them) and integration, and print how long
each took.

Programs that the tests run against (PostgreSQL, Redis, FFmpeg, Blender) are
installed from Debian if we are root. Python tests run in an environment of
their own in the cache, made anew when the lock file changes. The integration
stage brings the cluster up unless it runs, and takes it down again if it was
the one to start it.`,
		RunE: func(c *cobra.Command, _ []string) error {
			t := tests{local}
			chosen, err := stages.Select(t.stages(), only)
			if err != nil {
				return err
			}
			defer t.compileAhead(c.Context(), chosen)()
			results, err := stages.Run(c.Context(), local.Log.Say, budgets, chosen)
			fmt.Println()
			stages.Table(os.Stdout, results)
			return err
		},
	}
	c.Flags().StringVar(&only, "only", "", "comma-separated list of stages")
	c.Flags().BoolVar(&budgets, "budgets", false, "fail a stage that takes longer than its budget")
	return c
}

type tests struct{ local *cluster.Local }

// compileAhead compiles what the integration stage needs beside the Python tests, which leave the processors idle: on a
// new machine that is a quarter of an hour. Errors are left to the integration stage, which compiles what is missing.
// The function it returns ends the work and waits for that.
func (t tests) compileAhead(ctx context.Context, chosen []stages.Stage) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var ahead sync.WaitGroup
	names := make([]string, len(chosen))
	for i, s := range chosen {
		names[i] = s.Name
	}
	if python := slices.Index(names, "unit-python"); python >= 0 && slices.Contains(names[python:], "integration") {
		before(&chosen[python], func() { ahead.Go(func() { t.compileIntegration(ctx) }) })
	}
	return func() {
		cancel()
		ahead.Wait()
	}
}

// before makes a stage begin with f.
func before(s *stages.Stage, f func()) {
	run := s.Run
	s.Run = func(ctx context.Context) error {
		f()
		return run(ctx)
	}
}

func (t tests) compileIntegration(ctx context.Context) {
	self, err := os.Executable()
	if err != nil {
		return
	}
	for _, args := range [][]string{{self, "programs"}, {"go", "test", "-run=^$", "./..."}} {
		cmd := exec.CommandContext(ctx, "nice", append([]string{"-n", "19"}, args...)...)
		cmd.Dir = t.integrationDir()
		endGroup(cmd)
		_ = cmd.Run()
	}
}

func (t tests) stages() []stages.Stage {
	return []stages.Stage{
		{Name: "lint", Budget: 12 * time.Minute, Run: t.lint},
		{Name: "unit-go", Budget: 14 * time.Minute, Run: t.unitGo},
		{Name: "unit-python", Budget: 20 * time.Minute, Run: t.unitPython},
		{Name: "film", Budget: 15 * time.Minute, Run: t.film},
		{Name: "integration", Budget: 38 * time.Minute, Run: t.integration},
	}
}

func (t tests) repo() string { return t.local.Places.Repo }

// modules returns the directories with a go.mod, but for the nested ones that only pin programs.
func (t tests) modules() ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(t.repo(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != t.repo() || d.Name() == "tools" || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.Name() == "go.mod" {
			dirs = append(dirs, filepath.Dir(path))
		}
		return nil
	})
	return dirs, err
}

// lint reports all that is wrong, not only the first.
func (t tests) lint(ctx context.Context) error {
	modules, err := t.modules()
	if err != nil {
		return err
	}
	var failures []error
	unformatted, err := exec.CommandContext(ctx, "gofmt", "-l", t.repo()).Output()
	if err != nil {
		return fmt.Errorf("gofmt: %w", err)
	}
	if len(unformatted) > 0 {
		failures = append(failures, fmt.Errorf("not formatted: %s\nRemedy: gofmt -w .", strings.Fields(string(unformatted))))
	}
	for _, dir := range modules {
		if dir == t.integrationDir() || dir == t.benchDir() {
			continue // terratest brings cloud SDKs that take minutes to compile: their own targets compile them
		}
		failures = append(failures, t.run(ctx, dir, nil, "go", "vet", "./..."))
	}
	venv, err := t.venv(ctx)
	if err != nil {
		return errors.Join(append(failures, err)...)
	}
	ruff := t.run(ctx, filepath.Join(t.repo(), "services"), nil, filepath.Join(venv, "bin", "ruff"), "check", ".")
	return errors.Join(append(failures, ruff, t.lintChart(ctx))...)
}

func (t tests) lintChart(ctx context.Context) error {
	builder := toolchain.Builder{Tools: filepath.Join(t.repo(), "local", "tools"), Cache: t.local.Places.Cache, Log: t.local.Log}
	dir, err := builder.Build(ctx, toolchain.Helm)
	if err != nil {
		return err
	}
	chart := chartOf(t.local.Places)
	profiles, err := filepath.Glob(filepath.Join(chart, "values", "*.yaml"))
	if err != nil {
		return err
	}
	for _, profile := range append([]string{filepath.Join(chart, "values.yaml")}, profiles...) {
		if err := t.run(ctx, t.repo(), nil, filepath.Join(dir, "helm"), "lint", "--strict", "--quiet", chart, "--values", profile); err != nil {
			return err
		}
	}
	return nil
}

func (t tests) unitGo(ctx context.Context) error {
	if err := t.programs(ctx); err != nil {
		return err
	}
	modules, err := t.modules()
	if err != nil {
		return err
	}
	var failures []error
	for _, dir := range modules {
		if dir == t.integrationDir() || dir == t.benchDir() {
			continue
		}
		// Charts of others, downloaded as Go modules, are not to be skipped where the rest needs the network anyway.
		failures = append(failures, t.run(ctx, dir, []string{"AI_FILM_WILD=1"}, "go", "test", "./..."))
	}
	return errors.Join(failures...)
}

func (t tests) unitPython(ctx context.Context) error {
	return t.pytest(ctx)
}

// film makes a film with the services as processes of this machine, and shows that bypassing any one of them is noticed.
func (t tests) film(ctx context.Context) error {
	return t.pytest(ctx, filepath.Join(t.repo(), "test", "film"))
}

// pytest runs the tests at the given paths, by default those of the services.
func (t tests) pytest(ctx context.Context, paths ...string) error {
	if err := t.programs(ctx); err != nil {
		return err
	}
	venv, err := t.venv(ctx)
	if err != nil {
		return err
	}
	env := []string{"VIRTUAL_ENV=" + venv, "PATH=" + filepath.Join(venv, "bin") + ":" + os.Getenv("PATH")}
	args := append([]string{"-m", "pytest", "-q", "-c", "pyproject.toml"}, paths...)
	return t.run(ctx, filepath.Join(t.repo(), "services"), env, filepath.Join(venv, "bin", "python"), args...)
}

// programs installs what tests run against; without root, tests that miss one say so themselves.
func (t tests) programs(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return packages.Install(ctx, t.local.Log, "2 to 4 min", packages.Tests...)
}

func (t tests) integrationDir() string { return filepath.Join(t.repo(), "test", "integration") }

func (t tests) benchDir() string { return filepath.Join(t.repo(), "test", "bench") }

// integration leaves the cluster as it found it: running or not.
func (t tests) integration(ctx context.Context) (err error) {
	kind := os.Getenv("CLUSTER")
	ours := kind == "" || kind == "local"
	if ours && len(t.local.Running()) == 0 {
		defer func() {
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
			defer cancel()
			err = errors.Join(err, t.local.Down(clean, false))
		}()
	}
	if err := up(ctx, t.local, kind, false); err != nil {
		return err
	}
	env := []string{"AI_FILM_REPO=" + t.repo()}
	if ours {
		env = append(env, "KUBECONFIG="+t.local.Places.Kubeconfig(), "PATH="+t.local.Places.Bin()+":"+os.Getenv("PATH"), "AI_FILM_INGRESS="+t.local.URL(),
			"KUBEBUILDER_ASSETS="+t.local.Places.Bin())
	}
	var rehearsal error
	if ours { // these start an API server of their own from the cluster's programs
		rehearsal = errors.Join(t.run(ctx, t.repo(), env, "go", "test", "-count=1", "./charttest/server", "./charttest/diff"),
			t.run(ctx, t.repo(), env, "go", "test", "-count=1", "-run=AgainstRelease", "./cmd/ai-film"))
	}
	return errors.Join(rehearsal, t.run(ctx, t.integrationDir(), env, "go", "test", "-count=1", "-timeout=20m", "-v", "./..."))
}

// run shows a program's output as it comes. A stage over its budget leaves nothing behind.
func (t tests) run(ctx context.Context, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	endGroup(cmd)
	if err := cmd.Run(); err != nil {
		relative, _ := filepath.Rel(t.repo(), dir)
		return fmt.Errorf("%s %s (in %s): %w", filepath.Base(name), strings.Join(args, " "), relative, err)
	}
	return nil
}

// endGroup makes a command end with all its children when its context does.
func endGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
}

// venv returns the Python environment of the tests, made from the lock file with its hashes. Its last file marks it as
// whole, so that an interrupted installation is made anew. The lock is complete, hence --no-deps: pip refuses an extra
// (gql[requests]) in hash mode although the lock pins it.
func (t tests) venv(ctx context.Context) (string, error) {
	lock := filepath.Join(t.repo(), "services", "requirements-test.txt")
	data, err := os.ReadFile(lock)
	if err != nil {
		return "", err
	}
	version, err := exec.CommandContext(ctx, "python3", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("python3: %w\nRemedy: apt-get install python3 python3-venv", err)
	}
	sum := sha256.Sum256(append(data, version...))
	dir := filepath.Join(t.local.Places.Cache, "python-"+hex.EncodeToString(sum[:6]))
	done := filepath.Join(dir, "complete")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, t.local.Log.Do("make the tests' Python environment", "about 1 min", func() error {
		if out, err := exec.CommandContext(ctx, "python3", "-m", "venv", dir).CombinedOutput(); err != nil {
			return fmt.Errorf("python3 -m venv: %w: %s\nRemedy: apt-get install python3-venv", err, out)
		}
		out, err := exec.CommandContext(ctx, filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--no-deps", "--require-hashes", "-r", lock).CombinedOutput()
		if err != nil {
			return fmt.Errorf("pip install -r services/requirements-test.txt: %w: %s\nRemedy: check the network; PIP_INDEX_URL names another index", err, out)
		}
		return os.WriteFile(done, nil, 0o644)
	})
}
