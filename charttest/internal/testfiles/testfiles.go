// Package testfiles lays out the files that a test is about, charts mostly.
package testfiles

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/tools/txtar"
)

// Write writes texts by their paths, with slashes, below a folder, and makes
// the folders that they need. It ends the test where it can't.
func Write(t testing.TB, dir string, texts map[string]string) {
	t.Helper()
	for name, text := range texts {
		write(t, dir, name, []byte(text))
	}
}

// Unpack does so with the files of an archive; of one name, the last stays.
func Unpack(t testing.TB, dir string, files []txtar.File) {
	t.Helper()
	for _, f := range files {
		write(t, dir, f.Name, f.Data)
	}
}

func write(t testing.TB, dir, name string, data []byte) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
