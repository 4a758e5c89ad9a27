package ct

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// git is a repository's working tree, or a folder in one.
type git struct{ top string }

// root is the repository that the folder is in.
func (g git) root(ctx context.Context) (git, error) {
	top, err := g.run(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return git{}, fmt.Errorf("what has changed is asked of git, in a working tree: %w", err)
	}
	top, err = real(top)
	return git{top}, err
}

// base is the commit where head left a reference.
func (g git) base(ctx context.Context, ref, head string) (string, error) {
	base, err := g.run(ctx, "merge-base", ref, head)
	if err != nil {
		return "", fmt.Errorf("git knows no commit that %s and %s have in common; a shallow clone needs its history (git fetch --unshallow; actions/checkout: fetch-depth: 0): %w", ref, head, err)
	}
	return base, nil
}

func (g git) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = g.top
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", errors.New("there is no git: install it")
		}
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	return strings.TrimRight(out.String(), "\n"), nil
}

func (g git) commit(ctx context.Context, ref string) bool {
	_, err := g.run(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	return err == nil
}

// resolve finds the reference to compare with: as it was given, or the remote's
// branch of that name, which is all that a clone of a pull request has.
func (g git) resolve(ctx context.Context, remote, since, target string) (string, error) {
	tries := []string{since, remote + "/" + since}
	if since == "" {
		tries = []string{remote + "/" + target, target}
	}
	for _, ref := range tries {
		if g.commit(ctx, ref) {
			return ref, nil
		}
	}
	return "", fmt.Errorf("git knows neither %s nor %s: fetch it (git fetch %s), or name another branch, tag or commit", tries[0], tries[1], remote)
}

// changed are the files that differ from a commit, under the names that they had
// and those that they have, and files that git doesn't know.
func (g git) changed(ctx context.Context, base string) ([]string, error) {
	differ, err := g.run(ctx, "diff", "--no-renames", "--no-ext-diff", "--name-only", "-z", base, "--")
	if err != nil {
		return nil, err
	}
	unknown, err := g.run(ctx, "ls-files", "--others", "--exclude-standard", "-z")
	if err != nil {
		return nil, err
	}
	files := strings.FieldsFunc(differ+unknown, func(r rune) bool { return r == 0 })
	for i, file := range files {
		files[i] = filepath.Join(g.top, filepath.FromSlash(file))
	}
	return files, nil
}

// show is a file as a commit has it; ok is false where it has none.
func (g git) show(ctx context.Context, ref, file string) (data string, ok bool, err error) {
	object := ref + ":" + file
	if _, err := g.run(ctx, "cat-file", "-e", object); err != nil {
		return "", false, nil
	}
	data, err = g.run(ctx, "show", object)
	return data, true, err
}

// Checkout writes the repository as it was where HEAD left a reference into a
// folder, and returns the path of the chart in it: "" if there was none. What
// «helm dependency build» has put into the chart's charts folder and git doesn't
// keep is taken over where the dependencies are the same.
func Checkout(ctx context.Context, chart, ref, dir string) (string, error) {
	chart, err := real(chart)
	if err != nil {
		return "", err
	}
	g, err := git{chart}.root(ctx)
	if err != nil {
		return "", err
	}
	if ref, err = g.resolve(ctx, "origin", ref, ""); err != nil {
		return "", err
	}
	base, err := g.base(ctx, ref, "HEAD")
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(g.top, chart)
	if err != nil {
		return "", err
	}
	if _, ok, err := g.show(ctx, base, filepath.ToSlash(filepath.Join(rel, "Chart.yaml"))); err != nil || !ok {
		return "", err
	}
	archive := exec.CommandContext(ctx, "git", "archive", "--format=tar", base)
	archive.Dir = g.top
	out, err := archive.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := archive.Start(); err != nil {
		return "", err
	}
	err = untar(out, dir)
	if waited := archive.Wait(); err == nil {
		err = waited
	}
	if err != nil {
		return "", fmt.Errorf("git archive %.9s: %w", base, err)
	}
	before := filepath.Join(dir, rel)
	was, err := read(before)
	if err != nil {
		return "", err
	}
	if now, err := read(chart); err != nil || !slices.Equal(was.Dependencies, now.Dependencies) {
		return before, nil
	}
	built, _ := filepath.Glob(filepath.Join(chart, "charts", "*.tgz"))
	for _, file := range built {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		to := filepath.Join(before, "charts", filepath.Base(file))
		if _, err := os.Stat(to); err == nil {
			continue
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o644)); err != nil {
			return "", err
		}
	}
	return before, nil
}

// untar writes what git archive has made of a commit. Links that lead out of the
// folder are left out.
func untar(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	files := tar.NewReader(r)
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(filepath.Clean(h.Name), 0o755)
		case tar.TypeSymlink:
			if filepath.IsLocal(filepath.Join(filepath.Dir(h.Name), h.Linkname)) && !filepath.IsAbs(h.Linkname) {
				err = root.Symlink(h.Linkname, h.Name)
			}
		case tar.TypeReg:
			var file *os.File
			if file, err = root.Create(h.Name); err == nil {
				_, err = io.Copy(file, files)
				err = errors.Join(err, file.Close())
			}
		}
		if err != nil {
			return err
		}
	}
}
