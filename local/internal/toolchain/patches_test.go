package toolchain

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// write makes files with their directories.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// proxy serves one version of a module from a directory, as a Go module proxy does.
func proxy(t *testing.T, module string, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	versions := filepath.Join(dir, module, "@v")
	write(t, versions, map[string]string{"list": "v1.0.0\n", "v1.0.0.info": `{"Version":"v1.0.0"}`, "v1.0.0.mod": files["go.mod"]})
	f, err := os.Create(filepath.Join(versions, "v1.0.0.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	archive := zip.NewWriter(f)
	for name, content := range files {
		w, err := archive.Create(module + "@v1.0.0/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOPROXY", "file://"+dir)
	t.Setenv("GONOSUMDB", "*")
	t.Setenv("GOFLAGS", "-modcacherw -mod=mod")
	t.Setenv("GOMODCACHE", t.TempDir())
}

func TestPatchesTakeThePlaceOfPackages(t *testing.T) {
	proxy(t, "example.org/upstream", map[string]string{
		"go.mod":            "module example.org/upstream\ngo 1.24\n",
		"hello/hello.go":    "package hello\nimport \"example.org/upstream/heavy\"\nfunc Hello() string { return \"hello, \" + heavy.Name() }\n",
		"heavy/heavy.go":    "package heavy\nfunc Name() string { return extra }\n",
		"heavy/extra.go":    "package heavy\nconst extra = \"upstream\"\n",
		"heavy/templates/x": "kept",
	})
	repo, cache := t.TempDir(), t.TempDir()
	write(t, repo, map[string]string{
		"tiny/go.mod":       "module example.org/tiny\ngo 1.24\nrequire example.org/upstream v1.0.0\n",
		"tiny/go.sum":       "",
		"tiny/prog/main.go": "package main\nimport \"example.org/upstream/hello\"\nfunc main() { print(hello.Hello()) }\n",
		"tiny/_patches/example.org/upstream@/heavy/light.go": "package heavy\nfunc Name() string { return \"patch\" }\n",
	})
	for patched, want := range map[bool]string{false: "hello, upstream", true: "hello, patch"} {
		set := Set{Name: "tiny", Module: "tiny", Programs: map[string]string{"prog": "example.org/tiny/prog"}, Patched: patched}
		b := Builder{Repo: repo, Cache: cache, Log: quietLog()}
		dir, err := b.Build(t.Context(), set)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(filepath.Join(dir, "prog")).CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("patched %v: the program says %q, %v", patched, out, err)
		}
		if left, _ := filepath.Glob(filepath.Join(cache, ".patched-*")); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// A patch that names no package of its module would silently do nothing.
func TestPatchesNamePackagesThatExist(t *testing.T) {
	module := filepath.Join("..", "..", "tools")
	files, err := patchFiles(module)
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	mod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		relative, _ := filepath.Rel(filepath.Join(module, "_patches"), file)
		name, _, ok := strings.Cut(relative, "@/")
		if !ok || !strings.Contains(string(mod), "\t"+name+" v") {
			t.Errorf("%s: go.mod requires no module %s", relative, name)
		}
	}
}
