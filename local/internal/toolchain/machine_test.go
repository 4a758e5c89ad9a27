package toolchain

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestProgramsOfTheMachineMustFit(t *testing.T) {
	var minor int
	if _, err := fmt.Sscanf(KubernetesVersion, "v1.%d.", &minor); err != nil {
		t.Fatal(err)
	}
	client := func(apart int) string {
		return fmt.Sprintf("Client Version: v1.%d.2-gke.100\nKustomize Version: v5.5.0", minor+apart)
	}
	for _, c := range []struct {
		set          Set
		prints, want string
	}{
		{Helm, "v3.22.1+g1234567", "3.22.1"},
		{Helm, "v3.21.4+g1234567", ""}, // compiled against Kubernetes 1.35: makes no promise for a newer one
		{Helm, "v4.1.0+g1234567", ""},
		{Kubectl, client(-2), ""},
		{Kubectl, client(-1), fmt.Sprintf("1.%d.2-gke.100", minor-1)},
		{Kubectl, client(0), fmt.Sprintf("1.%d.2-gke.100", minor)},
		{Kubectl, client(+1), fmt.Sprintf("1.%d.2-gke.100", minor+1)},
		{Kubectl, client(+2), ""},
	} {
		name := c.set.names()[0]
		path := t.TempDir()
		program := "#!/bin/sh\necho '" + c.prints + "'\n"
		if err := os.WriteFile(filepath.Join(path, name), []byte(program), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", path+":/usr/bin:/bin")
		if _, version := c.set.Machine.find(t.Context(), name); version != c.want {
			t.Errorf("%s that prints %q: took %q, want %q", name, c.prints, version, c.want)
			continue
		}
		b := Builder{Repo: filepath.Join("..", "..", ".."), Cache: t.TempDir(), Log: quietLog()}
		dir, err := b.machine(t.Context(), c.set)
		if err != nil || (dir != "") != (c.want != "") {
			t.Errorf("%s that prints %q: %q, %v", name, c.prints, dir, err)
		}
		if dir != "" {
			if target, err := os.Readlink(filepath.Join(dir, name)); err != nil || target != filepath.Join(path, name) {
				t.Errorf("%s leads to %q, %v", name, target, err)
			}
		}
	}
}
