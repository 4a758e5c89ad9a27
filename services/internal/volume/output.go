package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/ai-film/ai-film/services/internal/serving"
)

// Draft is an output in the making: a file or a directory beside its place, of which nobody knows until Publish.
type Draft struct {
	v      *Volume
	place  Path
	beside string // relative to DATA_DIR
}

// abandoned is for how long nothing was written to a draft that has no living maker.
const abandoned = time.Hour

// Draft begins an output. The caller makes the file or directory at OS(), then calls Publish; Discard, deferred, clears
// away what was not published.
func (v *Volume) Draft(place Path) *Draft {
	dir, name := path.Split(place.rel)
	v.clear(dir, name)
	return &Draft{v, place, fmt.Sprintf("%s.%s.%016x.tmp", dir, name, rand.Uint64())}
}

// OS is the draft's path as the operating system takes it. Its extension is always .tmp.
func (d *Draft) OS() string { return d.v.OS(Path{rel: d.beside}) }

// Discard deletes the draft. After Publish there is none and it does nothing.
func (d *Draft) Discard() { d.v.root.RemoveAll(d.beside) }

// Publish brings the draft to the disk and then to its place, in one step that either happens or doesn't. What was there
// is replaced if it is the service's own; its sidecar says from now on only whose the output is: Record the result as the
// last act. The problem is 409 where the place is somebody else's, 507 where the disk is full.
func (d *Draft) Publish() error { return Full(d.publish()) }

func (d *Draft) publish() error {
	if err := d.v.sync(d.beside); err != nil {
		return err
	}
	if err := d.v.own(d.place); err != nil {
		return err
	}
	if err := d.v.note(d.place, "", nil); err != nil {
		return err
	}
	err := d.v.root.Rename(d.beside, d.place.rel)
	// A directory can't be renamed onto one with files in it, nor onto a file. Another replica may be doing the same: try a
	// few times.
	inTheWay := func(err error) bool {
		return errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR)
	}
	for try := 0; try < 5 && inTheWay(err); try++ {
		old := d.v.Draft(d.place)
		if err = d.v.root.Rename(d.place.rel, old.beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err = d.v.root.Rename(d.beside, d.place.rel)
		old.Discard()
	}
	if err != nil {
		return err
	}
	return d.v.syncOne(path.Dir(d.place.rel))
}

// record is a sidecar. One without a key, written before the output takes its place, says only whose it is.
type record struct {
	Key    string          `json:"key"`
	MadeBy string          `json:"made_by"`
	Result json.RawMessage `json:"result"`
}

// legacy says who made an output whose sidecar is of a version that didn't: whose name it bears in the layout.
func legacy(name string) string {
	switch {
	case name == "still.png":
		return "pipeline"
	case name == "move":
		return "blender"
	case name == "finish":
		return "opencv"
	case name == "poster.jpg", strings.HasSuffix(name, ".mp4"):
		return "ffmpeg"
	}
	return ""
}

// own refuses with 409 what stands at an output, or at its sidecar, that its service didn't make.
func (v *Volume) own(p Path) error {
	other := func(rel, why string) error {
		return serving.NewProblem(http.StatusConflict, "output is not ours", path.Base(rel)+" is there, and "+why,
			"choose another output, or remove what is there")
	}
	info, err := v.root.Lstat(p.rel)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := err == nil
	if v.maker(p) != p.madeBy {
		if there {
			return other(p.rel, p.madeBy+" did not make it")
		}
		if _, err := v.root.Lstat(p.side); err == nil {
			return other(p.side, "it is no sidecar of "+p.madeBy+"'s")
		}
		return nil
	}
	if there && info.Mode()&fs.ModeSymlink != 0 {
		return other(p.rel, "it is a link")
	}
	return nil
}

// maker is who made an output, as its sidecar says; "" where none does.
func (v *Volume) maker(p Path) string {
	b, err := v.readSidecar(p)
	if err != nil {
		return ""
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(b, &fields) != nil {
		return ""
	}
	var name string
	if by, said := fields["made_by"]; said {
		if json.Unmarshal(by, &name) != nil {
			return ""
		}
		return name
	}
	if _, keyed := fields["key"]; keyed {
		return legacy(path.Base(strings.TrimSuffix(p.side, ".json")))
	}
	return ""
}

// readSidecar reads a sidecar of a sane size.
func (v *Volume) readSidecar(p Path) ([]byte, error) {
	f, err := v.open(p.side)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 4<<20))
}

// Record writes the sidecar of an output: from now on the same key is answered with the same result.
func (v *Volume) Record(p Path, key string, result any) error { return Full(v.note(p, key, result)) }

func (v *Volume) note(p Path, key string, result any) error {
	r, err := json.Marshal(result)
	if err != nil {
		return err
	}
	b, err := json.Marshal(record{key, p.madeBy, r})
	if err != nil {
		return err
	}
	side := Path{rel: p.side}
	d := v.Draft(side)
	defer d.Discard()
	if err := v.root.WriteFile(d.beside, append(b, '\n'), 0o660); err != nil {
		return err
	}
	if err := v.sync(d.beside); err != nil {
		return err
	}
	if err := v.root.Rename(d.beside, side.rel); err != nil {
		return err
	}
	return v.syncOne(path.Dir(side.rel))
}

// Recorded fills result from the sidecar of an output and is true if the output was made with this key. A sidecar that
// can't be read counts as none: the output is made anew.
func (v *Volume) Recorded(p Path, key string, result any) bool {
	b, err := v.readSidecar(p)
	if err != nil {
		return false
	}
	var r record
	return key != "" && json.Unmarshal(b, &r) == nil && r.Key == key && json.Unmarshal(r.Result, result) == nil
}

// Size is the size of a regular file in bytes, or −1 where there is none.
func (v *Volume) Size(p Path) int64 {
	info, err := v.root.Lstat(p.rel)
	if err != nil || !info.Mode().IsRegular() {
		return -1
	}
	return info.Size()
}

// LargestPNG is the size of a PNG file of so many pixels beyond which it holds something else, bytes: of a picture in four
// channels of 16 bits that can't be compressed, with room for what describes it.
func LargestPNG(width, height int) int64 { return int64(width)*int64(height)*9 + 1<<20 }

// Open opens a file for reading.
func (v *Volume) Open(p Path) (*os.File, error) { return v.open(p.rel) }

// open opens a file or a directory for reading and nothing else: a pipe would keep its reader waiting.
func (v *Volume) open(rel string) (*os.File, error) {
	f, err := v.root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() && !info.IsDir() {
		f.Close()
		return nil, fmt.Errorf("%s is no file", rel)
	}
	return f, nil
}

// Frame is the path of frame n, counted from 1, of a directory of frames.
func (p Path) Frame(n int) Path { return Path{rel: fmt.Sprintf("%s/frame_%05d.png", p.rel, n)} }

// clear deletes the drafts of an output that a killed process left.
func (v *Volume) clear(dir, name string) {
	names, err := v.Names(Path{rel: path.Clean(dir)})
	if err != nil {
		return
	}
	for _, n := range names {
		if strings.HasPrefix(n, "."+name+".") && strings.HasSuffix(n, ".tmp") {
			if info, err := v.root.Lstat(path.Join(dir, n)); err == nil && time.Since(info.ModTime()) > abandoned {
				v.root.RemoveAll(path.Join(dir, n))
			}
		}
	}
}

// sync brings a file, or a directory with its files, to the disk.
func (v *Volume) sync(rel string) error {
	info, err := v.root.Lstat(rel)
	if err != nil {
		return err
	}
	if info.IsDir() {
		names, err := v.Names(Path{rel: rel})
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := v.sync(path.Join(rel, name)); err != nil {
				return err
			}
		}
	}
	return v.syncOne(rel)
}

func (v *Volume) syncOne(rel string) error {
	f, err := v.open(rel)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
