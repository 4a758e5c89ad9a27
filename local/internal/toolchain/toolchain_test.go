package toolchain

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ai-film/ai-film/local/internal/progress"
)

func quietLog() *progress.Log { return progress.New() }

// The packages that we build must be what the modules pin, and the version we stamp the one we build.
func TestSetsAgreeWithTheirModules(t *testing.T) {
	repo := filepath.Join("..", "..", "..")
	for _, s := range append(Sets, CLI) {
		mod, err := os.ReadFile(filepath.Join(repo, s.Module, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		for program, pkg := range s.Programs {
			if own, ok := strings.CutPrefix(pkg, ownModule+"/"); ok {
				if _, err := os.Stat(filepath.Join(repo, own)); err != nil {
					t.Errorf("%s: %v", program, err)
				}
			} else if !regexp.MustCompile(`(?m)^(tool )?\s*` + regexp.QuoteMeta(pkg) + `$`).Match(mod) {
				t.Errorf("%s: go.mod has no tool directive for %s (%s)", s.Name, program, pkg)
			}
		}
		if s.Name == "kubernetes" {
			if !strings.Contains(string(mod), "k8s.io/kubernetes "+KubernetesVersion) {
				t.Errorf("kubernetes: go.mod does not pin %s", KubernetesVersion)
			}
			if n := strings.Count(string(mod), "=> k8s.io/"); n != 33 {
				t.Errorf("kubernetes: %d replaced modules, its own go.mod has 33", n)
			}
		}
	}
}

// The add-ons' configuration may use no plugin that our CoreDNS lacks.
func TestCoreDNSHasThePluginsItIsConfiguredWith(t *testing.T) {
	program, err := os.ReadFile(filepath.Join("..", "..", "tools", "coredns", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join("..", "addons", "coredns.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, corefile, _ := strings.Cut(string(config), "    .:5353 {\n")
	corefile, _, _ = strings.Cut(corefile, "\n    }\n")
	plugins := regexp.MustCompile(`(?m)^        ([a-z]+)`).FindAllStringSubmatch(corefile, -1)
	if len(plugins) < 8 {
		t.Fatalf("only %q found in the Corefile", plugins)
	}
	for _, plugin := range plugins {
		if !strings.Contains(string(program), `"`+plugin[1]+`"`) {
			t.Errorf("tools/coredns/main.go lacks the plugin %s", plugin[1])
		}
	}
}

func TestProgramOf(t *testing.T) {
	for pkg, want := range map[string]string{
		"k8s.io/kubernetes/cmd/kubelet":             "kubelet",
		"go.etcd.io/etcd/server/v3":                 "server",
		"github.com/traefik/traefik/v3/cmd/a":       "a",
		"github.com/rancher/local-path-provisioner": "local-path-provisioner",
	} {
		if got := programOf(pkg); got != want {
			t.Errorf("programOf(%s) = %s, want %s", pkg, got, want)
		}
	}
}

func TestBuildIsDoneOnceAndLeavesNothingHalf(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go")
	}
	tools, cache := t.TempDir(), t.TempDir()
	set := Set{Name: "tiny", Module: "tiny", Programs: map[string]string{"renamed": "example.org/tiny/prog"}}
	src := filepath.Join(tools, "tiny", "prog", "main.go")
	if err := os.MkdirAll(filepath.Dir(src), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(file, content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(tools, "tiny", "go.mod"), "module example.org/tiny\ngo 1.24\n")
	write(filepath.Join(tools, "tiny", "go.sum"), "")
	write(src, "package main\nfunc main() { broken }\n")
	b := Builder{Repo: tools, Cache: cache, Log: quietLog()}
	if _, err := b.Build(t.Context(), set); err == nil || !strings.Contains(err.Error(), "Remedy") {
		t.Fatalf("broken source: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(cache, "tools")); len(left) != 0 {
		t.Fatalf("a failed build leaves %v", left)
	}
	write(src, "package main\nfunc main() { println(\"hello\") }\n")
	dir, err := b.Build(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(filepath.Join(dir, "renamed")).CombinedOutput(); err != nil || string(out) != "hello\n" {
		t.Fatalf("%s, %v", out, err)
	}
	write(src, "package main\nfunc main() { broken }\n") // not compiled again, since the key is the same
	if again, err := b.Build(t.Context(), set); err != nil || again != dir {
		t.Fatalf("second build: %s, %v", again, err)
	}
	write(filepath.Join(tools, "tiny", "go.sum"), "\n") // another lock, another key
	if other, err := b.Dir(set); err != nil || other == dir {
		t.Fatalf("the key ignores go.sum: %s, %v", other, err)
	}
}

func TestLinkReplaces(t *testing.T) {
	bin, v1, v2 := filepath.Join(t.TempDir(), "bin"), t.TempDir(), t.TempDir()
	for _, dir := range []string{v1, v2} {
		if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := Link(bin, dir); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(bin, "kubectl")); err != nil || string(got) != dir {
			t.Fatalf("kubectl leads to %s, %v", got, err)
		}
	}
}

func TestLockWaitsForItsHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tools", "a.lock")
	unlock, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := lock(short, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second lock while the first is held: %v", err)
	}
	unlock()
	again, err := lock(t.Context(), path)
	if err != nil {
		t.Fatalf("after the first was given back: %v", err)
	}
	again()
}
