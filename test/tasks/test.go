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

	"golang.org/x/sync/errgroup"

	"github.com/ai-film/ai-film/test/tasks/stages"
)

// noTimeout is for machines of any speed: go test ends a package after ten minutes by itself, whatever it is doing. A test
// that waits gives up when nothing goes on any more, and a stage has a budget.
const noTimeout = "-timeout=0"

type tasks struct {
	repo  string // the checkout
	cache string // of programs and environments, safe to delete
	began time.Time
}

// compileAhead compiles what the integration stage needs beside the Python tests, which leave the processors idle: on a
// new machine that is a quarter of an hour. Errors are left to the integration stage, which compiles what is missing.
// The function it returns ends the work and waits for that.
func (t tasks) compileAhead(ctx context.Context, chosen []stages.Stage) (end func()) {
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

func (t tasks) compileIntegration(ctx context.Context) {
	for _, command := range []*exec.Cmd{t.local(ctx, "programs"), t.command(ctx, t.integrationDir(), nil, "go", "test", "-run=^$", "./...")} {
		cmd := exec.CommandContext(ctx, "nice", append([]string{"-n", "19"}, command.Args...)...)
		cmd.Dir = command.Dir
		endGroup(cmd)
		_ = cmd.Run()
	}
}

func (t tasks) stages() []stages.Stage {
	return []stages.Stage{
		{Name: "lint", Budget: 12 * time.Minute, Run: t.lint},
		{Name: "unit-go", Budget: 30 * time.Minute, Run: t.unitGo},
		{Name: "unit-python", Budget: 30 * time.Minute, Run: t.unitPython},
		{Name: "film", Budget: 15 * time.Minute, Run: t.film},
		{Name: "fresh", Budget: 15 * time.Minute, Run: t.freshShort},
		{Name: "integration", Budget: 38 * time.Minute, Run: t.integration},
	}
}

// modules returns the directories with a go.mod, but for the nested ones that only pin programs.
func (t tasks) modules() ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(t.repo, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != t.repo || d.Name() == "tools" || d.Name() == "testdata" || d.Name() == "node_modules") {
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
func (t tasks) lint(ctx context.Context) error {
	modules, err := t.modules()
	if err != nil {
		return err
	}
	var failures []error
	unformatted, err := exec.CommandContext(ctx, "gofmt", "-l", t.repo).Output()
	if err != nil {
		return fmt.Errorf("gofmt: %w", err)
	}
	if len(unformatted) > 0 {
		failures = append(failures, fmt.Errorf("not formatted: %s\nRemedy: gofmt -w .", strings.Fields(string(unformatted))))
	}
	for _, dir := range modules {
		// That go.mod and go.sum name all that packages and tools import shows without compiling them.
		if out, err := t.command(ctx, dir, nil, "go", "list", "-deps", "-test", "./...", "tool").CombinedOutput(); err != nil {
			failures = append(failures, fmt.Errorf("go list -deps ./... tool in %s: %w: %s\nRemedy: go mod tidy", dir, err, tail(out)))
		}
		if dir == t.integrationDir() || dir == t.benchDir() {
			continue // terratest brings cloud SDKs that take minutes to compile: their own targets compile them
		}
		failures = append(failures, t.run(ctx, dir, nil, "go", "vet", "./..."))
	}
	venv, err := t.venv(ctx)
	if err != nil {
		return errors.Join(append(failures, err)...)
	}
	ruff := t.run(ctx, filepath.Join(t.repo, "services"), nil, filepath.Join(venv, "bin", "ruff"), "check", ".", "../colab")
	return errors.Join(append(failures, ruff, t.lintChart(ctx))...)
}

func (t tasks) lintChart(ctx context.Context) error {
	out, err := t.local(ctx, "programs", "helm").Output()
	if err != nil {
		return fmt.Errorf("make helm: %w", err)
	}
	helm := filepath.Join(strings.TrimSpace(string(out)), "helm")
	chart := filepath.Join(t.repo, "charts", "ai-film")
	profiles, err := filepath.Glob(filepath.Join(chart, "values", "*.yaml"))
	if err != nil {
		return err
	}
	for _, profile := range append([]string{filepath.Join(chart, "values.yaml")}, profiles...) {
		if err := t.run(ctx, t.repo, nil, helm, "lint", "--strict", "--quiet", chart, "--values", profile); err != nil {
			return err
		}
	}
	return nil
}

// tail is the end of a long output, where errors stand.
func tail(out []byte) []byte { return out[max(0, len(out)-2000):] }

// inImages are the services' tests that need more than Go or Python: each runs in the root file system of the image named,
// as does every program that it starts by name.
var inImages = struct{ packages, python [][2]string }{ // directory under services, image
	packages: [][2]string{{"blender", "blender"}, {"ffmpeg", "ffmpeg"}},
	python:   [][2]string{{"dagster", "dagster"}, {"flask", "flask"}, {"langgraph", "langgraph"}, {"aifilm", "flask"}, {"opencv", "opencv"}}, // the longest first
}

func (t tasks) unitGo(ctx context.Context) error {
	env, err := t.inRoots(ctx)
	if err != nil {
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
		if dir == t.services() {
			failures = append(failures, t.unitServices(ctx, env))
			continue
		}
		with := []string{"AI_FILM_WILD=1"}
		if dir == t.repo { // whose rules of Prometheus are tested by its promtool
			with = append(with, env...)
		}
		// Charts of others, downloaded as Go modules, are not to be skipped where the rest needs the network anyway.
		failures = append(failures, t.run(ctx, dir, with, "go", "test", noTimeout, "./..."))
	}
	return errors.Join(failures...)
}

// unitServices runs the Go services' tests; a binary without cgo runs in any image.
func (t tasks) unitServices(ctx context.Context, env []string) error {
	out, err := t.command(ctx, t.services(), env, "go", "list", "./...").Output()
	if err != nil {
		return fmt.Errorf("go list ./... in services: %w", err)
	}
	env = append(env, "CGO_ENABLED=0")
	rest := strings.Fields(string(out))
	var failures []error
	for _, in := range inImages.packages {
		of := func(pkg string) bool { return strings.Contains(pkg+"/", "/services/"+in[0]+"/") }
		rest = slices.DeleteFunc(rest, of)
		failures = append(failures, t.run(ctx, t.services(), env, "go", "test", noTimeout, "-exec", enter(env)+" "+in[1], "./"+in[0]+"/..."))
	}
	return errors.Join(append(failures, t.run(ctx, t.services(), env, "go", append([]string{"test", noTimeout}, rest...)...))...)
}

// unitPython runs each Python service's tests with the Python, the packages and the libraries of its image: two services at
// a time, since most tests wait for something, and a service's output when it is through.
func (t tasks) unitPython(ctx context.Context) error {
	env, err := t.inRoots(ctx)
	if err != nil {
		return err
	}
	failures := make([]error, len(inImages.python))
	var group errgroup.Group
	group.SetLimit(2)
	for i, in := range inImages.python {
		pytest, err := t.pytestIn(ctx, env, in[1])
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		group.Go(func() error {
			cmd := t.command(ctx, t.services(), append(env, "PYTHONPATH="+pytest, "PYTHONDONTWRITEBYTECODE=1"), enter(env), in[1],
				"python", "-m", "pytest", "-q", "-c", "pyproject.toml", "-p", "no:cacheprovider", in[0])
			endGroup(cmd)
			out, err := cmd.CombinedOutput()
			fmt.Printf("── services/%s\n%s", in[0], out)
			if err != nil {
				failures[i] = fmt.Errorf("pytest %s in the image %s: %w", in[0], in[1], err)
			}
			return nil
		})
	}
	failures = append(failures, group.Wait())
	venv, err := t.venv(ctx)
	if err != nil {
		return errors.Join(append(failures, err)...)
	}
	// What runs on Colab, with no image of ours, needs nothing but Python.
	colab := t.run(ctx, filepath.Join(t.repo, "colab"), nil, filepath.Join(venv, "bin", "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider")
	return errors.Join(append(failures, colab)...)
}

// film makes a film with the services as processes of this machine, each in the root file system of its image, and shows
// that bypassing any one of them is noticed.
func (t tasks) film(ctx context.Context) error {
	return t.withStudio(ctx, "-m", "pytest", "-q", "-c", "pyproject.toml", filepath.Join(t.repo, "test", "film"))
}

// withStudio runs Python in the tests' environment, where the programs of the images come first.
func (t tasks) withStudio(ctx context.Context, args ...string) error {
	env, err := t.inRoots(ctx)
	if err != nil {
		return err
	}
	venv, err := t.venv(ctx)
	if err != nil {
		return err
	}
	return t.run(ctx, t.services(), append(env, "VIRTUAL_ENV="+venv), filepath.Join(venv, "bin", "python"), args...)
}

// inRoots is the environment in which the images' programs come before the host's.
func (t tasks) inRoots(ctx context.Context) ([]string, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("tests run in the root file systems of the images, which takes root: sudo make test")
	}
	return t.shell(ctx, "roots")
}

// enter is the program that runs another in the root file system of an image.
func enter(env []string) string {
	const name = "AI_FILM_ROOTS="
	i := slices.IndexFunc(env, func(pair string) bool { return strings.HasPrefix(pair, name) })
	return filepath.Join(env[i][len(name):], "bin", "enter")
}

// packages installs from Debian what building the images takes, and what running the tests takes beside them: an
// environment for ruff and for the tests that look at a film from outside.
func (t tasks) packages(ctx context.Context) error {
	return t.show(t.local(ctx, "packages", "python3", "python3-venv"))
}

func (t tasks) services() string { return filepath.Join(t.repo, "services") }

// pytestIn returns a directory with pytest for the image's Python, which has none and no pip.
func (t tasks) pytestIn(ctx context.Context, env []string, image string) (string, error) {
	out, err := t.command(ctx, t.services(), env, enter(env), image, "python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").Output()
	if err != nil {
		return "", fmt.Errorf("python in the image %s: %w", image, err)
	}
	version := strings.TrimSpace(string(out))
	lock := filepath.Join(t.services(), "requirements-pytest.txt")
	venv, err := t.venv(ctx)
	if err != nil {
		return "", err
	}
	return t.environment(ctx, "pytest-"+version, lock, "make pytest for Python "+version, func(dir string) *exec.Cmd {
		return exec.CommandContext(ctx, filepath.Join(venv, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:",
			"--python-version", version, "--target", dir, "-r", lock)
	})
}

// freshShort has the cluster and the images made, the studio installed and all taken away on a machine that nobody
// prepared, from the caches that the stages before have filled, except for the tests' Python environment. A cluster that runs here, as after make film, is stopped
// meanwhile: both have the same addresses.
func (t tasks) freshShort(ctx context.Context) (err error) {
	if os.Getenv("AI_FILM_FRESH") != "" { // set where local's fresh runs something
		t.say("this machine is one that nobody prepared, and has come so far")
		return nil
	}
	if t.running(ctx) {
		t.say("the cluster of this machine stops for this stage, and starts again after it")
		if err := t.show(t.local(ctx, "down")); err != nil {
			return err
		}
		defer func() {
			again, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Minute)
			defer cancel()
			err = errors.Join(err, t.show(t.local(again, "up", "--cluster-only")))
		}()
	}
	return t.show(t.local(ctx, "fresh", "sh", "-ec", `
		new=$(mktemp -d)
		trap 'rm -rf "$new"' EXIT
		AI_FILM_CACHE="$new" make deps
		make up status
		go run -C local . roots
		make down PURGE=1`))
}

func (t tasks) integrationDir() string { return filepath.Join(t.repo, "test", "integration") }

func (t tasks) benchDir() string { return filepath.Join(t.repo, "test", "bench") }

// integration leaves the cluster as it found it: running or not.
func (t tasks) integration(ctx context.Context) (err error) {
	kind := os.Getenv("CLUSTER")
	ours := kind == "" || kind == "local"
	if ours && !t.running(ctx) {
		defer func() {
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
			defer cancel()
			err = errors.Join(err, t.show(t.local(clean, "down")))
		}()
	}
	if err := t.show(t.local(ctx, "up")); err != nil {
		return err
	}
	var env []string
	if ours {
		if env, err = t.shell(ctx, "env"); err != nil {
			return err
		}
	}
	env = append(env, "AI_FILM_REPO="+t.repo)
	var rehearsal error
	if ours { // these start an API server of their own from the cluster's programs
		charttest := filepath.Join(t.repo, "charttest")
		rehearsal = errors.Join(t.run(ctx, charttest, env, "go", "test", noTimeout, "-count=1", "./dryrun", "./diff", "./policy", "./internal/defaults"),
			t.run(ctx, charttest, env, "go", "test", noTimeout, "-count=1", "-run=AgainstRelease", "./cmd/charttest"),
			t.run(ctx, t.services(), env, "go", "test", noTimeout, "-count=1", "./comfyui/bridge"),
			t.run(ctx, charttest, env, "go", "test", noTimeout, "-count=1", "-short", "./rehearse"),
			t.run(ctx, charttest, env, "go", "run", "./cmd/charttest", "rehearse", filepath.Join(t.repo, "charts", "ai-film"),
				"--profile", "dev,k3s-single-gpu,gke-autoscaling", "--reports", filepath.Join(t.repo, "out", "rehearsal")))
	}
	return errors.Join(rehearsal, t.run(ctx, t.integrationDir(), env, "go", "test", noTimeout, "-count=1", "-v", "./..."))
}

// run shows a program's output as it comes.
func (t tasks) run(ctx context.Context, dir string, env []string, name string, args ...string) error {
	return t.show(t.command(ctx, dir, env, name, args...))
}

// show runs a command and shows its output as it comes. A stage over its budget leaves nothing behind.
func (t tasks) show(cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	endGroup(cmd)
	if err := cmd.Run(); err != nil {
		relative, _ := filepath.Rel(t.repo, cmd.Dir)
		return fmt.Errorf("%s %s (in %s): %w", filepath.Base(cmd.Path), strings.Join(cmd.Args[1:], " "), relative, err)
	}
	return nil
}

func (t tasks) command(ctx context.Context, dir string, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	return cmd
}

// local is a command of the local cluster's program.
func (t tasks) local(ctx context.Context, args ...string) *exec.Cmd {
	return t.command(ctx, filepath.Join(t.repo, "local"), nil, "go", append([]string{"run", "-trimpath", "."}, args...)...)
}

func (t tasks) running(ctx context.Context) bool { return t.local(ctx, "status").Run() == nil }

// shell is the environment after the shell lines that a command of the local cluster's program prints.
func (t tasks) shell(ctx context.Context, command string) ([]string, error) {
	print := t.local(ctx, command)
	print.Stderr = os.Stderr
	endGroup(print)
	lines, err := print.Output()
	if err != nil {
		return nil, fmt.Errorf("%s (in local): %w", strings.Join(print.Args, " "), err)
	}
	out, err := exec.CommandContext(ctx, "sh", "-ec", `eval "$0"; exec env -0`, string(lines)).Output()
	return strings.Split(strings.TrimRight(string(out), "\x00"), "\x00"), err
}

// endGroup makes a command end with all its children when its context does.
func endGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
}

// venv returns the Python environment of the host's own tests, with all that the services use. The lock is complete, hence
// --no-deps: pip refuses an extra (gql[requests]) in hash mode although the lock pins it.
func (t tasks) venv(ctx context.Context) (string, error) {
	lock := filepath.Join(t.services(), "requirements-test.txt")
	return t.environment(ctx, "python", lock, "make the tests' Python environment", func(dir string) *exec.Cmd {
		return exec.CommandContext(ctx, "sh", "-ec", `python3 -m venv "$0" && "$0/bin/pip" install --quiet --no-deps --require-hashes -r "$1"`, dir, lock)
	})
}

// environment returns a directory of the cache that install has filled from a lock file with hashes. Its last file marks
// it as whole, so that an interrupted installation is made anew.
func (t tasks) environment(ctx context.Context, name, lock, what string, install func(dir string) *exec.Cmd) (string, error) {
	data, err := os.ReadFile(lock)
	if err != nil {
		return "", err
	}
	version, err := exec.CommandContext(ctx, "python3", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("python3: %w\nRemedy: apt-get install python3 python3-venv", err)
	}
	sum := sha256.Sum256(append(data, version...))
	dir := filepath.Join(t.cache, name+"-"+hex.EncodeToString(sum[:6]))
	done := filepath.Join(dir, "complete")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if exec.CommandContext(ctx, "python3", "-c", "import ensurepip, venv").Run() != nil { // Debian's python3 has neither
		if err := t.packages(ctx); err != nil {
			return "", err
		}
	}
	t.say("%s … (about 1 min)", what)
	if out, err := install(dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w: %s\nRemedy: check the network (PIP_INDEX_URL names another index)", what, err, out)
	}
	return dir, os.WriteFile(done, nil, 0o644)
}
