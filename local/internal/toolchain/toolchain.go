// Package toolchain makes the cluster's programs: from their Go modules, which needs nothing but the Go module proxy, or
// from Kubernetes' releases where those are in reach. What the machine has already in a version that fits is taken as it is.
package toolchain

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/ai-film/ai-film/local/internal/progress"
)

// compilerFlags cost and gain: these programs are compiled once for a small cluster, not released. Without inlining and
// debug information compiling takes 30 to 40 % less, and the control plane hardly has anything to do.
const compilerFlags = "all=-l -dwarf=false"

// Builder makes sets in cache/tools/<set>-<key>, where key depends on all that determines the outcome.
type Builder struct {
	Repo  string // the checkout
	Cache string
	Log   *progress.Log
	Nice  bool // compile only while the processors have nothing else to do

	release *download // nil: the one of this process
}

// Build returns the directory that holds the set's programs, making them if they aren't there yet. A build that is
// interrupted leaves nothing behind but Go's own cache, from which the next one continues.
func (b Builder) Build(ctx context.Context, s Set) (string, error) {
	dir, err := b.Dir(s)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if found, err := b.machine(ctx, s); found != "" || err != nil {
		return found, err
	}
	verb := "compile "
	if s.Released {
		verb = "make "
	}
	err = b.Log.Do(ctx, verb+s.Name, s.Usual, func(ctx context.Context) error {
		unlock, err := lock(ctx, filepath.Join(b.Cache, ".compile-"+s.Name+".lock"))
		if err != nil {
			return err
		}
		defer unlock()
		if _, err := os.Stat(dir); err == nil {
			return nil // somebody else has made it meanwhile
		}
		return b.make(ctx, s, dir)
	})
	return dir, err
}

// machine returns a directory with a link to the machine's own program if that fits, else "".
func (b Builder) machine(ctx context.Context, s Set) (string, error) {
	for _, name := range s.names() {
		path, version := s.Machine.find(ctx, name)
		if path == "" {
			return "", nil
		}
		sum := sha256.Sum256([]byte(path + version))
		dir := filepath.Join(b.Cache, "tools", s.Name+"-machine-"+hex.EncodeToString(sum[:6]))
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			b.Log.Say("%s %s of this machine will do (%s): %s", name, version, s.Machine.Wanted, path)
		}
		if err := linkOne(dir, name, path); err != nil {
			return "", err
		}
		return dir, nil
	}
	return "", nil
}

// Latest compiles a set whose sources change with the checkout and returns the directory of its programs. Go itself knows
// whether there is anything to do.
func (b Builder) Latest(ctx context.Context, s Set) (string, error) {
	dir := filepath.Join(b.Cache, "tools", s.Name)
	return dir, b.Log.Do(ctx, "compile "+s.Name, s.Usual, func(ctx context.Context) error {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		return b.compile(ctx, s, dir)
	})
}

// lock waits until no other process holds the file's lock: two that compile the same at once take twice as long.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != syscall.EWOULDBLOCK {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Dir is where the set's programs are or will be.
func (b Builder) Dir(s Set) (string, error) {
	key, err := b.key(s)
	if err != nil {
		return "", err
	}
	return filepath.Join(b.Cache, "tools", s.Name+"-"+key), nil
}

// make makes dir at once and whole.
func (b Builder) make(ctx context.Context, s Set, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+s.Name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := b.fill(ctx, s, tmp); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// fill downloads the programs if that is possible, else it compiles them.
func (b Builder) fill(ctx context.Context, s Set, dir string) error {
	release := b.release
	if release == nil {
		release = fromRelease()
	}
	if s.Released && release != nil {
		err := release.fetch(ctx, s, dir)
		if err == nil {
			b.Log.Say("%s %s is Kubernetes' own, from %s", s.Name, KubernetesVersion, release.base)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		b.Log.Say("no release of %s (%v): compiling it", s.Name, err)
	}
	return b.compile(ctx, s, dir)
}

// compile is one `go build` for all packages, so that they share what they have in common.
func (b Builder) compile(ctx context.Context, s Set, dir string) error {
	module := filepath.Join(b.Repo, s.Module)
	var packages []string
	for _, name := range s.names() {
		packages = append(packages, s.Programs[name])
	}
	var modfile []string
	if s.Patched {
		patched, err := b.patch(ctx, s)
		if err != nil {
			return err
		}
		defer os.RemoveAll(patched)
		modfile = []string{"-modfile=" + filepath.Join(patched, "go.mod")}
	}
	flags := append([]string{"-trimpath", "-gcflags=" + compilerFlags, "-ldflags=" + s.ldflags()}, modfile...)
	order, err := b.order(ctx, module, append(flags, packages...))
	if err != nil {
		return buildError(s, err.Error(), errors.New("go list"))
	}
	args := append(append([]string{"build", "-v", "-o", dir + "/"}, flags...), packages...)
	cmd := b.goCommand(ctx, module, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	out := follow(ctx, stderr, order)
	err = cmd.Wait()
	progress.Ran(ctx, cmd)
	if err != nil {
		return buildError(s, out, err)
	}
	for name, pkg := range s.Programs { // it names each program by the last element of its package
		if err := os.Rename(filepath.Join(dir, programOf(pkg)), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (b Builder) goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	argv := append([]string{"go"}, args...)
	if nice, err := exec.LookPath("nice"); b.Nice && err == nil {
		argv = append([]string{nice, "-n", "19"}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	return cmd
}

// order returns the packages of a build in the order Go compiles them, as far as that is one: dependencies first.
func (b Builder) order(ctx context.Context, dir string, args []string) (map[string]int, error) {
	cmd := b.goCommand(ctx, dir, append([]string{"list", "-deps"}, args...)...)
	out, err := cmd.Output()
	progress.Ran(ctx, cmd)
	if err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		return nil, err
	}
	order := map[string]int{}
	for i, pkg := range strings.Fields(string(out)) {
		order[pkg] = i + 1
	}
	return order, nil
}

// follow reads the output of `go build -v`, which names each package that is compiled, tells how far that is, and returns
// what else there was. What Go's cache holds counts as done when a package that comes after it is compiled.
func follow(ctx context.Context, output io.Reader, order map[string]int) string {
	var rest strings.Builder
	done := 0
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadString('\n')
		if at, ok := order[strings.TrimSpace(line)]; ok {
			if at > done {
				done = at
				progress.Advance(ctx, done, len(order), "packages")
			}
		} else {
			rest.WriteString(line)
		}
		if err != nil {
			return rest.String()
		}
	}
}

func buildError(s Set, out string, err error) error {
	tail := out
	if len(tail) > 3000 {
		tail = "…" + tail[len(tail)-3000:]
	}
	remedy := "run it by hand to see more: cd " + s.Module + " && go build -v " + s.Programs[s.names()[0]]
	switch {
	case strings.Contains(out, "dial tcp"), strings.Contains(out, "proxy.golang.org"), strings.Contains(out, "i/o timeout"):
		remedy = "the Go module proxy can't be reached: check the network, or set GOPROXY to a mirror (`go env GOPROXY` shows the present one)"
	case strings.Contains(out, "no space left on device"):
		remedy = "the disk is full: free 15 GiB, or move the caches with GOCACHE and AI_FILM_CACHE"
	case strings.Contains(out, "signal: killed"):
		remedy = "the compiler was killed, mostly for lack of memory: free 4 GiB, or build one package at a time with GOFLAGS=-p=1"
	}
	return fmt.Errorf("compile %s: %w\n%s\nRemedy: %s", s.Name, err, strings.TrimSpace(tail), remedy)
}

func (s Set) names() []string {
	var names []string
	for name := range s.Programs {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func (s Set) ldflags() string { return strings.TrimSpace("-s -w " + s.LDFlags) }

var majorVersion = regexp.MustCompile(`/v[0-9]+$`)

const ownModule = "github.com/ai-film/ai-film"

// programOf is the name `go build` gives to the program of a package.
func programOf(pkg string) string { return filepath.Base(majorVersion.ReplaceAllString(pkg, "")) }

func (b Builder) key(s Set) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH, compilerFlags, s.ldflags(), s.names())
	module := filepath.Join(b.Repo, s.Module)
	files := []string{filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum")}
	for _, name := range s.names() {
		if own, ok := strings.CutPrefix(s.Programs[name], ownModule+"/"+s.Module+"/"); ok {
			sources, err := filepath.Glob(filepath.Join(module, own, "*.go"))
			if err != nil {
				return "", err
			}
			files = append(files, sources...)
		}
	}
	if s.Patched {
		patches, err := patchFiles(module)
		if err != nil {
			return "", err
		}
		files = append(files, patches...)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, len(data))
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// Link makes bin hold a link to every program of the given directories, so that the running cluster has one stable
// path for each while versions come and go.
func Link(bin string, dirs ...string) error {
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := linkOne(bin, e.Name(), filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func linkOne(bin, name, target string) error {
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	link := filepath.Join(bin, name)
	if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(target, link)
}
