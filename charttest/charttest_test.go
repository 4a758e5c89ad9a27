package charttest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// unpack writes the archive testdata/NAME.txtar, or parts of it replaced by
// changes, into a directory called NAME and returns that.
func unpack(t testing.TB, name string, changes ...txtar.File) string {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), name)
	for _, f := range append(archive.Files, changes...) {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, f.Data, 0o644))
	}
	return dir
}
