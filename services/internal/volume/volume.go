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
	"regexp"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/limits"
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
type Path struct {
	rel    string
	madeBy string // the service whose output it is; "" for an input
	side   string // the sidecar that says so
}

func (p Path) String() string { return p.rel }

// With is what is made along with an output: its path with suffix added to the name ("move" and ".depth.png"). The output's
// sidecar speaks for it.
func (p Path) With(suffix string) Path { return Path{p.rel + suffix, p.madeBy, p.side} }

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

// Subject is what a job is for: a film, and one of its shots or, where Shot is empty, the whole of it.
type Subject struct{ Film, Shot string }

// Folder is what the jobs of one service may touch: the folders of one film, {images,videos}/films/<film>.
type Folder struct {
	v       *Volume
	subject Subject
	madeBy  string
}

// Of returns the folder of the subject's film for the jobs of a service.
func (v *Volume) Of(s Subject, madeBy string) Folder { return Folder{v, s, madeBy} }

// Input checks the path of an existing file or directory of the film, in one of the volumes. field names it in the problem.
func (f Folder) Input(field, p string, directory bool, volumes ...string) (Path, error) {
	if err := f.below(field, p, volumes); err != nil {
		return Path{}, err
	}
	info, err := f.v.root.Stat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Path{}, serving.Invalid(field, "run the step that makes it first", "%q does not exist", p)
	case err != nil:
		return Path{}, refused(field, p, err)
	case directory && !info.IsDir():
		return Path{}, serving.Invalid(field, "run the step that makes it first", "%q is not a directory", p)
	case !directory && !info.Mode().IsRegular():
		return Path{}, serving.Invalid(field, "run the step that makes it first", "%q is not a file", p)
	}
	return Path{rel: p}, nil
}

// Output checks the path of a file or directory to be made in one of the volumes, whose name ends with one of suffixes
// (none for a directory), and makes the directories above it. It is <volume>/films/<film>/<shot>/<name> or, for what is of
// the whole film, videos/films/<film>/<name>; what stands there must be the service's own, else the problem is 409.
func (f Folder) Output(field, p string, suffixes []string, volumes ...string) (Path, error) {
	if err := f.below(field, p, volumes); err != nil {
		return Path{}, err
	}
	bad := func(format string, args ...any) (Path, error) {
		return Path{}, serving.Invalid(field, remedy, fmt.Sprintf("%q ", p)+format, args...)
	}
	if len(suffixes) > 0 && !slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(p, s) }) {
		return bad("does not end in %s", strings.Join(suffixes, " or "))
	}
	parts := strings.Split(p, "/")
	rest := parts[3:]
	switch {
	case len(rest) != 2 && (len(rest) != 1 || parts[0] != "videos"):
		return bad("is not <volume>/films/<film>/<shot>/<name> or videos/films/<film>/<name>")
	case len(rest) == 2 && !identifier.MatchString(rest[0]):
		return bad("is of no shot: %q is no id", rest[0])
	case len(rest) == 2 && f.subject.Shot != "" && rest[0] != f.subject.Shot:
		return bad("is not of the shot %s", f.subject.Shot)
	case strings.HasSuffix(p, ".json"):
		return bad("ends like a sidecar")
	}
	out := Path{p, f.madeBy, p + ".json"}
	if err := f.v.own(out); err != nil {
		return Path{}, err
	}
	if err := f.v.root.MkdirAll(path.Dir(p), 0o770); err != nil {
		return Path{}, refused(field, p, err)
	}
	return out, nil
}

const remedy = "give a path below the film's own folder, for example images/films/<film>/<shot>/move"

// identifier is the form of a film's and of a shot's id.
var identifier = regexp.MustCompile("^(?:" + limits.Film.IDs.Shot + ")$")

// Identified tells whether an id of a film or shot has the form of one.
func Identified(id string) bool { return identifier.MatchString(id) }

// below refuses what is no clean path below the film's folder, also after symbolic links are followed.
func (f Folder) below(field, p string, volumes []string) error {
	if err := check(field, p, volumes); err != nil {
		return err
	}
	parts := strings.Split(p, "/")
	if len(parts) < 4 || parts[1] != "films" || parts[2] != f.subject.Film {
		return serving.Invalid(field, remedy, "%q is not inside the folder of the film %s", p, f.subject.Film)
	}
	volume, err := filepath.EvalSymlinks(filepath.Join(f.v.dir, parts[0]))
	if err != nil {
		return fmt.Errorf("%s: %w", parts[0], err)
	}
	real, err := resolve(filepath.Join(f.v.dir, filepath.FromSlash(p)))
	if err != nil {
		return refused(field, p, err)
	}
	if !strings.HasPrefix(real, filepath.Join(volume, "films", f.subject.Film)+string(filepath.Separator)) {
		return serving.Invalid(field, remedy, "%q is led away by a link", p)
	}
	return nil
}

// resolve follows the links of a path of which the last parts need not be there yet.
func resolve(p string) (string, error) {
	real, err := filepath.EvalSymlinks(p)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	if _, err := os.Lstat(p); err == nil {
		return "", fmt.Errorf("%s is a link to nothing", filepath.Base(p))
	}
	above, err := resolve(filepath.Dir(p))
	return filepath.Join(above, filepath.Base(p)), err
}

// check refuses what is no clean relative path into one of the volumes.
func check(field, p string, volumes []string) error {
	if p == "" {
		return serving.Invalid(field, remedy, "is missing")
	}
	first, rest, _ := strings.Cut(p, "/")
	switch {
	case len(p) > 1024, !utf8.ValidString(p), strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return serving.Invalid(field, remedy, "is longer than 1024 bytes or has characters that no path has")
	case path.IsAbs(p), path.Clean(p) != p, !filepath.IsLocal(p), !slices.Contains(volumes, first), rest == "":
		return serving.Invalid(field, remedy, "%q is not a path on %s", p, strings.Join(volumes, " or "))
	// 200 bytes leave room for what temporary names add, within the file system's 255.
	case slices.ContainsFunc(strings.Split(rest, "/"), func(s string) bool { return strings.HasPrefix(s, ".") || len(s) > 200 }):
		return serving.Invalid(field, remedy, "%q has a hidden or an overlong part", p)
	}
	return nil
}

// refused makes a problem of what the file system says to a path: a link that leads away, a file in a directory's place.
func refused(field, p string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EIO), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s: %s: %w", field, p, err)
	}
	return serving.Invalid(field, remedy, "%q: %v", p, err)
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
	return full(fmt.Sprintf("%s needs about %d MiB, %d MiB are free", p, (size+spare)>>20, free>>20))
}

// Full makes the problem 507 of an error that says that the disk is full, and leaves every other as it is.
func Full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return full("the volume ran full while the output was written; nothing is left of it")
	}
	return err
}

func full(detail string) error {
	return serving.NewProblem(http.StatusInsufficientStorage, "insufficient storage", detail,
		"delete films no longer needed, or enlarge the volume")
}
