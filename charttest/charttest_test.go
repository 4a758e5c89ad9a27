package charttest_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/ai-film/ai-film/charttest/internal/testfiles"
)

// unpack writes the archive testdata/NAME.txtar, or parts of it replaced by
// changes, into a directory called NAME and returns that.
func unpack(t testing.TB, name string, changes ...txtar.File) string {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), name)
	testfiles.Unpack(t, dir, append(archive.Files, changes...))
	return dir
}
