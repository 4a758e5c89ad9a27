// Package goproxy makes a folder a module proxy, which the go command takes as
// GOPROXY=file://…, for tests of what others do with a published module.
//
// Reference: https://go.dev/ref/mod#goproxy-protocol.
package goproxy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// Publish adds a version of a module to a proxy, from the folder that has its
// go.mod: what the go command would take of a tagged commit.
func Publish(proxy, path, version, dir string) error {
	escaped, err := module.EscapePath(path)
	if err != nil {
		return err
	}
	at := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	info := fmt.Sprintf("{\"Version\":%q,\"Time\":\"2026-01-01T00:00:00Z\"}\n", version)
	err = errors.Join(
		os.WriteFile(filepath.Join(at, version+".mod"), mod, 0o644),
		os.WriteFile(filepath.Join(at, version+".info"), []byte(info), 0o644),
		write(filepath.Join(at, version+".zip"), func(w io.Writer) error {
			return zip.CreateFromDir(w, module.Version{Path: path, Version: version}, dir)
		}))
	if err != nil {
		return err
	}
	list, err := os.OpenFile(filepath.Join(at, "list"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(list, version)
	return errors.Join(err, list.Close())
}

func write(name string, fill func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(fill(file), file.Close())
}
