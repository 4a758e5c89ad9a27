package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// Draft is an output in the making: a file or a directory beside its place, of which nobody knows until Publish.
type Draft struct {
	v      *Volume
	place  Path
	beside string // relative to DATA_DIR
}

// abandoned is the age at which a draft has no living maker: no job runs as long.
const abandoned = 24 * time.Hour

// Draft begins an output. The caller makes the file or directory at OS(), then calls Publish; Discard, deferred, clears
// away what was not published.
func (v *Volume) Draft(place Path) *Draft {
	dir, name := path.Split(place.rel)
	v.clear(dir, name)
	return &Draft{v, place, fmt.Sprintf("%s.%s.%016x.tmp", dir, name, rand.Uint64())}
}

// OS is the draft's path as the operating system takes it. Its extension is always .tmp.
func (d *Draft) OS() string { return d.v.OS(Path{d.beside}) }

// Discard deletes the draft. After Publish there is none and it does nothing.
func (d *Draft) Discard() { d.v.root.RemoveAll(d.beside) }

// Publish brings the draft to the disk and then to its place, in one step that either happens or doesn't. What was there
// is replaced, and the place's sidecar, which described that, is gone: Record the new one as the last act.
func (d *Draft) Publish() error {
	if err := d.v.sync(d.beside); err != nil {
		return err
	}
	if err := d.v.remove(sidecar(d.place)); err != nil {
		return err
	}
	err := d.v.root.Rename(d.beside, d.place.rel)
	// A directory can't be renamed onto one with files in it. Another replica may be doing the same: try a few times.
	for try := 0; try < 5 && (errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist)); try++ {
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

type record struct {
	Key    string          `json:"key"`
	Result json.RawMessage `json:"result"`
}

// Record writes the sidecar of an output: from now on the same key is answered with the same result.
func (v *Volume) Record(p Path, key string, result any) error {
	r, err := json.Marshal(result)
	if err != nil {
		return err
	}
	b, err := json.Marshal(record{key, r})
	if err != nil {
		return err
	}
	side := Path{sidecar(p)}
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
	b, err := v.root.ReadFile(sidecar(p))
	if err != nil {
		return false
	}
	var r record
	return json.Unmarshal(b, &r) == nil && r.Key == key && json.Unmarshal(r.Result, result) == nil
}

// Size is the size of a regular file in bytes, or −1 where there is none.
func (v *Volume) Size(p Path) int64 {
	info, err := v.root.Lstat(p.rel)
	if err != nil || !info.Mode().IsRegular() {
		return -1
	}
	return info.Size()
}

// Open opens a file for reading.
func (v *Volume) Open(p Path) (*os.File, error) { return v.root.Open(p.rel) }

// Frame is the path of frame n, counted from 1, of a directory of frames.
func (p Path) Frame(n int) Path { return Path{fmt.Sprintf("%s/frame_%05d.png", p.rel, n)} }

func sidecar(p Path) string { return p.rel + ".json" }

func (v *Volume) remove(rel string) error {
	if err := v.root.Remove(rel); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// clear deletes the drafts of an output that a killed process left a day ago or more.
func (v *Volume) clear(dir, name string) {
	names, err := v.Names(Path{path.Clean(dir)})
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
		names, err := v.Names(Path{rel})
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
	f, err := v.root.Open(rel)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
