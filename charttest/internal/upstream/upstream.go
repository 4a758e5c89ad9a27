// Package upstream has Helm's own programs for tests that compare with them.
package upstream

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// pinned are the folders, in this module, of the go.mod that pins a major
// version of Helm as a tool.
var pinned = map[int]string{3: ".", 4: filepath.Join("test", "tools")}

// Helm returns the path of the helm program of a major version, 3 or 4. It lies
// in the build cache, where Go compiles it unless it is there: of Helm 4 that
// takes three minutes of processor time, which -short spares by skipping the
// test.
func Helm(t testing.TB, major int) string {
	t.Helper()
	if major == 4 && testing.Short() {
		t.Skip("-short: compiling Helm 4 takes minutes the first time")
	}
	path, err := programs[major]()
	if err != nil && major == 4 && os.Getenv("CI") == "" && os.Getenv("AI_FILM_WILD") == "" {
		t.Skipf("offline? Helm 4 can't be had: %v\nSet AI_FILM_WILD=1 to make this an error.", err)
	}
	if err != nil {
		t.Fatalf("Helm %d: %v", major, err)
	}
	return path
}

var programs = map[int]func() (string, error){
	3: sync.OnceValues(func() (string, error) { return tool(pinned[3]) }),
	4: sync.OnceValues(func() (string, error) { return tool(pinned[4]) }),
}

func tool(folder string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	out, err := command(filepath.Join(root, folder), "go", "tool", "-n", "helm")
	return strings.TrimSpace(out), err
}

// Module returns the folder of the module of a major version of Helm, which has
// Helm's test data.
func Module(t testing.TB, major int) string {
	t.Helper()
	Helm(t, major)
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command(filepath.Join(root, pinned[major]), "go", "list", "-m", "-f", "{{.Dir}}", fmt.Sprintf("helm.sh/helm/v%d", major))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func moduleRoot() (string, error) {
	out, err := command("", "go", "env", "GOMOD")
	return filepath.Dir(strings.TrimSpace(out)), err
}

// command runs a program by the go.mod of its folder alone.
func command(dir string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return string(out), err
}

// Outcome is what «helm template» did: what it printed, and of an error what
// follows «Error: ».
type Outcome struct{ Stdout, Error string }

// Template runs «helm template» with args in dir, the working directory if
// empty.
func Template(helm, dir string, args ...string) Outcome {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(helm, append([]string{"template"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	var o Outcome
	if err := cmd.Run(); err != nil {
		said, is := stderr.String(), false
		if _, o.Error, is = strings.Cut(said, "Error: "); !is {
			o.Error, _, _ = strings.Cut(said, "\n") // of a crash
		}
		o.Error = strings.TrimSuffix(o.Error, "\n")
	}
	o.Stdout = stdout.String()
	return o
}

// Same fails the test unless ours did what Helm does: the same error, and the
// same output but for the lines in which two runs of Helm itself differ, such
// as certificates and passwords. What is wrong with values comes in any order
// from Helm, and so do the lines of an error here.
func Same(t testing.TB, want, ours Outcome, again func() Outcome) {
	t.Helper()
	if w, o := sorted(want.Error), sorted(ours.Error); !slices.Equal(w, o) {
		t.Fatalf("Helm's error:\n%s\nours:\n%s", want.Error, ours.Error)
	}
	if want.Stdout == ours.Stdout {
		return
	}
	wants, agains, got := strings.Split(want.Stdout, "\n"), strings.Split(again().Stdout, "\n"), strings.Split(ours.Stdout, "\n")
	for i := range min(len(wants), len(got)) {
		random := len(wants) == len(agains) && wants[i] != agains[i]
		if wants[i] != got[i] && !random {
			t.Fatalf("line %d is, of Helm:\n%s\nours:\n%s", i+1, wants[i], got[i])
		}
	}
	if len(wants) != len(got) {
		t.Fatalf("Helm prints %d lines, we %d", len(wants), len(got))
	}
}

func sorted(s string) []string {
	lines := strings.Split(s, "\n")
	slices.Sort(lines)
	return lines
}
