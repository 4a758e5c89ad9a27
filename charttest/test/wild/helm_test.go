package wild

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest/internal/upstream"
)

// Every chart that Helm 3 and Helm 4 have in their own test data, packaged ones
// and broken ones too, comes out as the helm of that version has it: bytes, or
// else the error.
func TestHelmsOwnTestCharts(t *testing.T) {
	for major, atLeast := range map[int]int{3: 120, 4: 160} {
		t.Run(fmt.Sprint("Helm ", major), func(t *testing.T) {
			all := testCharts(t, upstream.Module(t, major))
			require.GreaterOrEqual(t, len(all), atLeast)
			for name, path := range all {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					args := []string{"reel", path, "--namespace", "town", "--include-crds", "--kube-version", "1.36"}
					helm := func() upstream.Outcome { return upstream.Template(upstream.Helm(t, major), "", args...) }
					want, ours := helm(), render(t, major, args)
					if trips.MatchString(want.Error) { // over a chart of the format v3 that has dependencies, and refuses those that have none
						want = upstream.Outcome{Error: "invalid chart apiVersion"}
					}
					upstream.Same(t, want, ours, helm)
				})
			}
		})
	}
}

// trips is what Helm 4.3 says or does when it looks for the dependencies of a
// chart of the format v3, by indexes into another list.
var trips = regexp.MustCompile(`unsupported chart dependency type$|^panic: runtime error: index out of range`)

// testCharts are the charts below every folder testdata, by the path in the
// module: folders with a Chart.yaml, subcharts too, and archives. Of those with
// the same content only the first is taken, by name.
func testCharts(t *testing.T, module string) map[string]string {
	t.Helper()
	found, seen := map[string]string{}, map[string]bool{}
	require.NoError(t, filepath.WalkDir(module, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.Contains(path, "testdata") {
			return err
		}
		_, missing := os.Stat(filepath.Join(path, "Chart.yaml"))
		if filepath.Ext(path) != ".tgz" && missing != nil {
			return nil
		}
		if sum := digest(t, path); !seen[sum] {
			seen[sum] = true
			name, err := filepath.Rel(module, path)
			require.NoError(t, err)
			found[filepath.ToSlash(name)] = path
		}
		return nil
	}))
	return found
}

// digest is of the names and the contents of the files below a path, and of the
// path's own name, which errors tell.
func digest(t *testing.T, path string) string {
	t.Helper()
	h := sha256.New()
	fmt.Fprintln(h, filepath.Base(path))
	require.NoError(t, filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		fmt.Fprintf(h, "%s %d\n%s", strings.TrimPrefix(file, path), len(data), data)
		return err
	}))
	return string(h.Sum(nil))
}
