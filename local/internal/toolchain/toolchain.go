// Package toolchain compiles the cluster's programs from their Go modules: no release downloads, nothing but the Go
// module proxy. Each set is a nested module of its own under tools/, since their dependencies clash.
package toolchain

import (
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

// Set is the programs of one nested module.
type Set struct {
	Name     string            // directory under local/tools
	Programs map[string]string // program name → package
	LDFlags  string            // version stamps
	Usual    string            // what a first build takes on two cores
}

const (
	kubernetesVersion = "1.36.3"
	componentVersion  = "k8s.io/component-base/version"
)

// KubernetesVersion is the release the control plane and the node are built from, for instance "v1.36.3".
const KubernetesVersion = "v" + kubernetesVersion

// Kubernetes is the control plane, the node's programs and kubectl. Without the version stamps they would call
// themselves v0.0.0, which clients refuse.
var Kubernetes = Set{
	Name: "kubernetes",
	Programs: map[string]string{
		"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
		"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
		"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
		"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
		"kube-proxy":              "k8s.io/kubernetes/cmd/kube-proxy",
		"kubectl":                 "k8s.io/kubernetes/cmd/kubectl",
	},
	LDFlags: "-X " + componentVersion + ".gitVersion=" + KubernetesVersion +
		" -X " + componentVersion + ".gitMajor=1 -X " + componentVersion + ".gitMinor=36",
	Usual: "about 6 min the first time",
}

// Addons share the Kubernetes libraries of one minor, and with them most of their compile time.
var Addons = Set{
	Name: "addons",
	Programs: map[string]string{
		"etcd":           "go.etcd.io/etcd/server/v3",
		"kwokctl":        "sigs.k8s.io/kwok/cmd/kwokctl",
		"kwok":           "sigs.k8s.io/kwok/cmd/kwok",
		"metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
		"coredns":        "github.com/coredns/coredns",
	},
	Usual: "about 4 min the first time",
}

// LocalPath provisions volumes as directories of the node.
var LocalPath = Set{
	Name:     "localpath",
	Programs: map[string]string{"local-path-provisioner": "github.com/rancher/local-path-provisioner"},
	Usual:    "about 1 min the first time",
}

// Traefik is the ingress controller.
var Traefik = Set{
	Name:     "traefik",
	Programs: map[string]string{"traefik": "github.com/traefik/traefik/v3/cmd/traefik"},
	Usual:    "about 5 min the first time",
}

// Helm is the upstream program, of the version whose engine the chart library uses.
var Helm = Set{
	Name:     "helm",
	Programs: map[string]string{"helm": "helm.sh/helm/v3/cmd/helm"},
	// As its own Makefile does: the Kubernetes it assumes without a cluster is that of its client libraries.
	LDFlags: "-X helm.sh/helm/v3/internal/version.version=v3.22.0 -X helm.sh/helm/v3/internal/version.metadata=" +
		" -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=37" +
		" -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=37",
	Usual: "about 2 min the first time",
}

// Sets lists them all in the order a cold start needs them.
var Sets = []Set{Kubernetes, Addons, Helm, LocalPath, Traefik}

// Builder compiles sets into cache/tools/<set>-<key>, where key depends on all that determines the outcome.
type Builder struct {
	Tools string // local/tools of the checkout
	Cache string
	Log   *progress.Log
}

// Build returns the directory that holds the set's programs, compiling them if they aren't there yet. A build that is
// interrupted leaves nothing behind but Go's own cache, from which the next one continues.
func (b Builder) Build(ctx context.Context, s Set) (string, error) {
	dir, err := b.Dir(s)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	err = b.Log.Do("compile "+s.Name+" ("+strings.Join(s.names(), ", ")+")", s.Usual, func() error {
		unlock, err := lock(ctx, filepath.Join(b.Cache, ".compile-"+s.Name+".lock"))
		if err != nil {
			return err
		}
		defer unlock()
		if _, err := os.Stat(dir); err == nil {
			return nil // somebody else has compiled it meanwhile
		}
		return b.compile(ctx, s, dir)
	})
	return dir, err
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

func (b Builder) compile(ctx context.Context, s Set, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+s.Name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	// One `go build` for all packages, so that they share what they have in common; it names each program by the last
	// element of its package.
	args := []string{"build", "-trimpath", "-ldflags", s.ldflags(), "-o", tmp + "/"}
	for _, name := range s.names() {
		args = append(args, s.Programs[name])
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(b.Tools, s.Name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return buildError(s, string(out), err)
	}
	for name, pkg := range s.Programs {
		if err := os.Rename(filepath.Join(tmp, programOf(pkg)), filepath.Join(tmp, name)); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func buildError(s Set, out string, err error) error {
	tail := out
	if len(tail) > 3000 {
		tail = "…" + tail[len(tail)-3000:]
	}
	remedy := "run it by hand to see more: cd local/tools/" + s.Name + " && go build -v " + s.Programs[s.names()[0]]
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

// programOf is the name `go build` gives to the program of a package.
func programOf(pkg string) string { return filepath.Base(majorVersion.ReplaceAllString(pkg, "")) }

func (b Builder) key(s Set) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH, s.ldflags(), s.names())
	for _, file := range []string{"go.mod", "go.sum"} {
		f, err := os.Open(filepath.Join(b.Tools, s.Name, file))
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// Link makes bin hold a link to every program of the given directories, so that the running cluster has one stable
// path for each while versions come and go.
func Link(bin string, dirs ...string) error {
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			link := filepath.Join(bin, e.Name())
			if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			if err := os.Symlink(filepath.Join(dir, e.Name()), link); err != nil {
				return err
			}
		}
	}
	return nil
}
