// Package volume keeps files on the shared volumes the way every service does: paths that can't leave them, outputs that
// appear whole or not at all, and a sidecar that tells what an output was made from.
package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/ai-film/ai-film/services/internal/serving"
)

// Volume is the directory (DATA_DIR) that the shared claims are mounted in.
type Volume struct {
	dir  string
	root *os.Root
}

// Open opens the volumes under dir.
func Open(dir string) (*Volume, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
	return &Volume{dir: dir, root: root}, nil
}

// Path is a checked path on a volume, relative to DATA_DIR. The zero Path is none.
type Path struct{ rel string }

func (p Path) String() string { return p.rel }

// With is the path with suffix added to its name ("move" and ".depth.png").
func (p Path) With(suffix string) Path { return Path{p.rel + suffix} }

// OS is the path as the operating system takes it, for the programs that work on it.
func (v *Volume) OS(p Path) string { return filepath.Join(v.dir, filepath.FromSlash(p.rel)) }

// Writable tells whether files can be made in the volume ("images"): a readiness check.
func (v *Volume) Writable(volume string) error {
	f, err := os.CreateTemp(filepath.Join(v.dir, volume), ".ready.*.tmp")
	if err != nil {
		return err
	}
	f.Close()
	return os.Remove(f.Name())
}

// Input checks the path of an existing file or directory in one of the volumes. field names it in the problem.
func (v *Volume) Input(field, p string, directory bool, volumes ...string) (Path, error) {
	checked, err := v.check(field, p, volumes)
	if err != nil {
		return Path{}, err
	}
	info, err := v.root.Stat(checked.rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Path{}, serving.Invalid(field, "make it first, or correct the path", "%s does not exist", p)
	case err != nil:
		return Path{}, refused(field, p, err)
	case directory && !info.IsDir():
		return Path{}, serving.Invalid(field, "give a directory of frames", "%s is not a directory", p)
	case !directory && !info.Mode().IsRegular():
		return Path{}, serving.Invalid(field, "give a file", "%s is not a regular file", p)
	}
	return checked, v.stays(field, p, checked.rel)
}

// Output checks the path of a file or directory to be made in one of the volumes, whose name ends with one of suffixes
// (none for a directory), and makes the directories above it.
func (v *Volume) Output(field, p string, suffixes []string, volumes ...string) (Path, error) {
	checked, err := v.check(field, p, volumes)
	if err != nil {
		return Path{}, err
	}
	if len(suffixes) > 0 && !slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(p, s) }) {
		return Path{}, serving.Invalid(field, "", "%s: want a name that ends with %s", p, strings.Join(suffixes, " or "))
	}
	if len(path.Base(p)) > 200 { // room for what temporary names add, within the file system's 255 bytes
		return Path{}, serving.Invalid(field, "choose a shorter name", "the name is longer than 200 bytes")
	}
	info, err := v.root.Lstat(checked.rel)
	switch {
	case err == nil && len(suffixes) > 0 && !info.Mode().IsRegular():
		return Path{}, serving.Invalid(field, "choose another name", "%s exists and is not a regular file", p)
	case err == nil && len(suffixes) == 0 && !info.IsDir():
		return Path{}, serving.Invalid(field, "choose another name", "%s exists and is not a directory", p)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return Path{}, refused(field, p, err)
	}
	if err := v.root.MkdirAll(path.Dir(checked.rel), 0o770); err != nil {
		return Path{}, refused(field, p, err)
	}
	return checked, v.stays(field, p, path.Dir(checked.rel))
}

// stays refuses what links lead from one volume to another. (That they lead out of DATA_DIR, os.Root refuses always.)
func (v *Volume) stays(field, p, rel string) error {
	volume, _, _ := strings.Cut(rel, "/")
	home, err := filepath.EvalSymlinks(filepath.Join(v.dir, volume))
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(filepath.Join(v.dir, filepath.FromSlash(rel)))
	if err != nil {
		return refused(field, p, err)
	}
	if real != home && !strings.HasPrefix(real, home+string(filepath.Separator)) {
		return serving.Invalid(field, "give a path that stays on the volume", "%s: a link leads off the volume", p)
	}
	return nil
}

// check refuses what is no clean relative path into one of the volumes.
func (v *Volume) check(field, p string, volumes []string) (Path, error) {
	remedy := "give a clean path relative to the data directory that starts with " + strings.Join(volumes, "/ or ") + "/"
	if p == "" {
		return Path{}, serving.Invalid(field, remedy, "is missing")
	}
	first, rest, _ := strings.Cut(p, "/")
	switch {
	case len(p) > 1024, !utf8.ValidString(p), strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return Path{}, serving.Invalid(field, remedy, "is longer than 1024 bytes or has characters that no path has")
	case path.IsAbs(p), path.Clean(p) != p, !filepath.IsLocal(p), !slices.Contains(volumes, first), rest == "":
		return Path{}, serving.Invalid(field, remedy, "%s is not a path on the volume", p)
	case slices.ContainsFunc(strings.Split(rest, "/"), func(s string) bool { return strings.HasPrefix(s, ".") }):
		return Path{}, serving.Invalid(field, remedy, "%s: names that start with a dot are ours alone", p)
	}
	return Path{p}, nil
}

// refused makes a problem of what the file system says to a path: a link that leads away, a file in a directory's place.
func refused(field, p string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EIO), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s: %s: %w", field, p, err)
	}
	return serving.Invalid(field, "give a path that stays on the volume", "%s: %v", p, err)
}

// Room refuses with 507 when the disk under p would not hold size more bytes and still have a little left.
func (v *Volume) Room(p Path, size int64) error {
	const spare = 64 << 20
	var st syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(v.OS(p)), &st); err != nil {
		return err
	}
	free := int64(st.Bavail) * st.Bsize
	if free >= size+spare {
		return nil
	}
	return serving.NewProblem(http.StatusInsufficientStorage, "disk full",
		fmt.Sprintf("%s needs about %d MiB, %d MiB are free", p, (size+spare)>>20, free>>20),
		"delete films that are no longer needed, or enlarge the volume")
}
