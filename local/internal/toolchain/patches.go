package toolchain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/ai-film/ai-film/local/internal/progress"
)

// patchFiles lists the files below a module's _patches: _patches/<module>@/<package>/*.go takes the place of that package of
// that module. A name that ends in @ can't be an import path, so Go doesn't take the files for packages of ours.
func patchFiles(module string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(filepath.Join(module, "_patches"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	sort.Strings(files)
	return files, err
}

// patch returns a new directory with copies of the modules that have patches, and a go.mod and a go.sum that name them.
// (go build -overlay refuses files of the module cache.)
func (b Builder) patch(ctx context.Context, s Set) (dir string, err error) {
	module := filepath.Join(b.Repo, s.Module)
	files, err := patchFiles(module)
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp(b.Cache, ".patched-"); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	packages := map[string]map[string][]string{} // module → package's directory in it → our files
	for _, file := range files {
		relative, err := filepath.Rel(filepath.Join(module, "_patches"), file)
		if err != nil {
			return "", err
		}
		name, path, ok := strings.Cut(relative, "@/")
		if !ok {
			return "", fmt.Errorf("%s lies in no folder <module>@", file)
		}
		if packages[name] == nil {
			packages[name] = map[string][]string{}
		}
		packages[name][filepath.Dir(path)] = append(packages[name][filepath.Dir(path)], file)
	}
	var replace strings.Builder
	for name, dirs := range packages {
		upstream, err := b.moduleDir(ctx, module, name)
		if err != nil {
			return "", err
		}
		copied := filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
		if err := copyModule(upstream, copied, dirs); err != nil {
			return "", err
		}
		fmt.Fprintf(&replace, "replace %s => %s\n", name, copied)
	}
	mod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return "", err
	}
	sum, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return "", err
	}
	mod = append(append(mod, '\n'), replace.String()...)
	return dir, errors.Join(os.WriteFile(filepath.Join(dir, "go.mod"), mod, 0o644), os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o644))
}

// moduleDir downloads a module, in the version that the module at dir selects.
func (b Builder) moduleDir(ctx context.Context, dir, name string) (string, error) {
	for _, args := range [][]string{{"mod", "download", name}, {"list", "-m", "-f", "{{.Dir}}", name}} {
		cmd := b.goCommand(ctx, dir, args...)
		out, err := cmd.CombinedOutput()
		progress.Ran(ctx, cmd)
		if err != nil {
			return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		if args[0] == "list" {
			return string(bytes.TrimSpace(out)), nil
		}
	}
	return "", nil
}

// copyModule copies the sources of a module; the packages named get our files instead of their own.
func copyModule(from, to string, packages map[string][]string) error {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch _, ours := packages[filepath.Dir(relative)]; {
		case d.IsDir() && d.Name() == "testdata":
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, relative), 0o755)
		case ours && strings.HasSuffix(path, ".go"), strings.HasSuffix(path, "_test.go"):
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, relative), data, 0o644)
	})
	for name, files := range packages {
		for _, file := range files {
			data, readErr := os.ReadFile(file)
			err = errors.Join(err, readErr, os.WriteFile(filepath.Join(to, name, filepath.Base(file)), data, 0o644))
		}
	}
	return err
}
