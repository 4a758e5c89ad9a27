package volume

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"path"
	"sort"
)

// Key adds up what an output is made from. Equal keys mean equal outputs.
type Key struct {
	ctx context.Context
	h   hash.Hash
	v   *Volume
	err error
}

// NewKey begins a key with the operation, its version (raise it when the same request shall look different) and its
// parameters without paths, as JSON.
func (v *Volume) NewKey(ctx context.Context, operation string, version int, params any) *Key {
	k := &Key{ctx: ctx, h: sha256.New(), v: v}
	b, err := json.Marshal(params)
	k.err = err
	fmt.Fprintf(k.h, "%s/%d\n%d\n%s\n", operation, version, len(b), b)
	return k
}

// File adds the contents of a file.
func (k *Key) File(p Path) *Key {
	if k.err == nil {
		k.err = k.add(p.rel)
	}
	return k
}

// Directory adds the names and contents of a directory's files whose name passes keep.
func (k *Key) Directory(p Path, keep func(name string) bool) *Key {
	if k.err != nil {
		return k
	}
	names, err := k.v.Names(p)
	if err != nil {
		k.err = err
		return k
	}
	for _, name := range names {
		if k.err == nil && keep(name) {
			fmt.Fprintf(k.h, "%q\n", name)
			k.err = k.add(path.Join(p.rel, name))
		}
	}
	return k
}

// Sum is the key in hexadecimal, or the error of the first input that couldn't be read.
func (k *Key) Sum() (string, error) { return hex.EncodeToString(k.h.Sum(nil)), k.err }

func (k *Key) add(rel string) error {
	f, err := k.v.open(rel)
	if err != nil {
		return err
	}
	defer f.Close()
	inner := sha256.New() // of fixed length, so that no two lists of files run together
	if _, err := io.Copy(inner, untilDone{k.ctx, f}); err != nil {
		return err
	}
	k.h.Write(inner.Sum(nil))
	return nil
}

// untilDone reads until its context ends: adding up large files must not outlive their job.
type untilDone struct {
	ctx context.Context
	io.Reader
}

func (u untilDone) Read(b []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.Reader.Read(b)
}

// Names lists a directory, sorted.
func (v *Volume) Names(p Path) ([]string, error) {
	d, err := v.open(p.rel)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	sort.Strings(names)
	return names, err
}
