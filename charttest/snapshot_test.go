package charttest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/diff"
)

// recorder is a test whose failures are looked at.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper()      {}
func (r *recorder) Name() string { return "TestCinema/large" }
func (r *recorder) Errorf(format string, args ...any) {
	r.said += fmt.Sprintf(format, args...)
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// snapshot returns what Snapshot complains of.
func snapshot(t *testing.T, r *charttest.Render, golden string, masks ...diff.Mask) string {
	t.Helper()
	rec := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		charttest.Snapshot(rec, r, golden, masks...)
	}()
	<-done
	return rec.said
}

func TestSnapshot(t *testing.T) {
	chart, done := cinemaChart()
	defer done()
	render := func(options ...charttest.Option) *charttest.Render { return chart.MustRender(t, options...) }
	golden := filepath.Join(t.TempDir(), "golden", "large.yaml")

	missing := snapshot(t, render(), golden)
	require.Contains(t, missing, "is missing")
	require.Contains(t, missing, "CHARTTEST_UPDATE=1 go test -run '^TestCinema$/^large$' .")

	t.Setenv(charttest.UpdateSnapshots, "1")
	require.Empty(t, snapshot(t, render(), golden))
	written, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Contains(t, string(written), "# charttest snapshot of cinema, profile default")
	require.NotContains(t, string(written), "1.37", "nothing of the Kubernetes version")

	t.Setenv(charttest.UpdateSnapshots, "")
	require.Empty(t, snapshot(t, render(), golden))
	require.Empty(t, snapshot(t, render(charttest.KubeVersion("1.34")), golden))

	changed := snapshot(t, render(charttest.Set("screens=7")), golden)
	require.Contains(t, changed, "0 added, 1 changed, 0 removed")
	require.Contains(t, changed, "~ Deployment/release-name\n")
	require.Contains(t, changed, "spec.replicas: 2 → 7")
	require.Contains(t, changed, "CHARTTEST_UPDATE=1")

	replicas := diff.Hide("Deployment/*", "spec.replicas")
	t.Setenv(charttest.UpdateSnapshots, "1")
	require.Empty(t, snapshot(t, render(), golden, replicas))
	t.Setenv(charttest.UpdateSnapshots, "")
	require.Empty(t, snapshot(t, render(charttest.Set("screens=7")), golden, replicas))

	require.Contains(t, snapshot(t, render(charttest.Profile{Random: true}), golden), "Random")
	require.NoError(t, os.WriteFile(golden, []byte("<<<<<<< HEAD\na: b\n=======\n"), 0o644))
	require.Contains(t, snapshot(t, render(), golden), "can't be read")
	require.NoError(t, os.Remove(golden))
	require.NoError(t, os.Mkdir(golden, 0o755))
	require.Contains(t, snapshot(t, render(), golden), "is a directory")
}

// TestSnapshots runs itself as a program of its own, since it is about what
// fails a test.
func TestSnapshots(t *testing.T) {
	if dir := os.Getenv("SNAPSHOTS_DIR"); dir != "" {
		chart, done := cinemaChart()
		t.Cleanup(done)
		chart.Snapshots(t, dir, nil)
		return
	}
	dir := filepath.Join(t.TempDir(), "golden")
	run := func(update string) (string, error) {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestSnapshots$", "-test.v")
		cmd.Env = append(os.Environ(), "SNAPSHOTS_DIR="+dir, charttest.UpdateSnapshots+"="+update)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run("")
	require.Error(t, err)
	require.Equal(t, 2, strings.Count(out, "is missing"), out)
	out, err = run("1")
	require.NoError(t, err, out)
	out, err = run("")
	require.NoError(t, err, out)
	require.Contains(t, out, "--- PASS: TestSnapshots/large")

	text, err := os.ReadFile(filepath.Join(dir, "large.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "huge.yaml"), text, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "foreign.yaml"), []byte("a: b\n"), 0o644))
	out, err = run("")
	require.Error(t, err)
	require.Contains(t, out, "huge.yaml belongs to no profile: delete it")
	require.NotContains(t, out, "foreign.yaml")
	out, err = run("1")
	require.NoError(t, err, out)
	require.NoFileExists(t, filepath.Join(dir, "huge.yaml"))
	require.FileExists(t, filepath.Join(dir, "foreign.yaml"))
}
