package rehearse_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/ai-film/ai-film/charttest/internal/controlplane"
	"github.com/ai-film/ai-film/charttest/rehearse"
	"github.com/ai-film/ai-film/charttest/verify"
)

// needPrograms skips a test where there is no control plane to rehearse on.
func needPrograms(t *testing.T) {
	t.Helper()
	var missing *controlplane.MissingError
	if _, err := controlplane.Find("", controlplane.Etcd, controlplane.APIServer, controlplane.ControllerManager, controlplane.Scheduler, controlplane.Kwok); errors.As(err, &missing) {
		t.Skip(err)
	}
}

// write puts a chart on the disk: Chart.yaml and the files of an archive.
func write(t *testing.T, files []txtar.File) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "chart")
	files = append([]txtar.File{{Name: "Chart.yaml", Data: []byte("apiVersion: v2\nname: shop\nversion: 1.0.0\n")}}, files...)
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, f.Data, 0o600))
	}
	return dir
}

func run(t *testing.T, dir string, config rehearse.Config) *rehearse.Result {
	t.Helper()
	var err error
	config.Verify, err = verify.LoadConfig(dir, "")
	require.NoError(t, err)
	result, err := rehearse.Run(t.Context(), dir, config)
	require.NoError(t, err)
	return result
}

// A chart without faults comes through all acts, and the reports tell of them.
func TestCleanChart(t *testing.T) {
	needPrograms(t)
	archive, err := txtar.ParseFile("testdata/clean.txtar")
	require.NoError(t, err)
	result := run(t, write(t, archive.Files), rehearse.Config{})
	assert.Empty(t, result.Findings())
	require.Len(t, result.Profiles, 1)
	for _, act := range result.Profiles[0].Acts {
		assert.Equal(t, rehearse.Passed, act.Outcome, "%s: %v", act.Name, act.Log)
	}
	log := fmt.Sprint(result.Profiles[0].Acts)
	for _, part := range []string{"web: 4 of at most 4 replicas", "2 nodes, of 1 before", "claim data-db-0: bound, 1Gi of standard, ReadWriteOnce",
		"every pod replaced", "claims kept: data-db-0", "1 claims with what was in them"} {
		assert.Contains(t, log, part)
	}
	for name, format := range rehearse.Formats {
		var b bytes.Buffer
		require.NoError(t, format(&b, result), name)
		assert.Contains(t, b.String(), "reinstall", name)
		if name == "table" {
			for line := range strings.Lines(b.String()) {
				assert.LessOrEqual(t, len([]rune(line)), 81, line)
			}
		}
	}
	require.NoError(t, xml.Unmarshal([]byte(result.Profiles[0].SVG()), new(struct{})))
}

// Each fault is found at its line with a remedy, and nothing else is.
func TestFaults(t *testing.T) {
	needPrograms(t)
	archive, err := txtar.ParseFile("testdata/faults.txtar")
	require.NoError(t, err)
	cases := map[string]map[string][]byte{}
	for _, f := range archive.Files {
		name, file, _ := strings.Cut(f.Name, "/")
		if cases[name] == nil {
			cases[name] = map[string][]byte{}
		}
		cases[name][file] = f.Data
	}
	assert.GreaterOrEqual(t, len(cases), 20)
	names := slices.Sorted(maps.Keys(cases))
	if testing.Short() { // each takes a control plane, about 5 s of a processor
		names = slices.DeleteFunc(names, func(name string) bool { return cases[name]["short"] == nil })
	}
	for _, name := range names {
		files := cases[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chart := []txtar.File{{Name: "templates/fault.yaml", Data: files["fault.yaml"]}}
			if data, ok := files[".verify.yaml"]; ok {
				chart = append(chart, txtar.File{Name: ".verify.yaml", Data: data})
			}
			config := rehearse.Config{Acts: []string{"install"}}
			want := strings.TrimSpace(string(files["want"]))
			if acts, rest, ok := strings.Cut(want, "\n"); ok {
				config.Acts, want = strings.Split(strings.TrimPrefix(acts, "acts: "), ","), rest
			}
			if old, ok := files["old/fault.yaml"]; ok {
				config.From = write(t, []txtar.File{{Name: "templates/fault.yaml", Data: old}})
			}
			result := run(t, write(t, chart), config)
			parts := strings.Split(want, " | ")
			require.Len(t, parts, 4, want)
			found := result.Findings()
			require.Len(t, found, 1, "%v", result.Profiles[0].Acts)
			f := found[0]
			assert.Equal(t, parts[:2], []string{f.Check, f.Object}, "%s", f)
			if parts[2] != "0" {
				assert.Equal(t, "fault.yaml:"+parts[2], fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line), "%s (%s)", f, f.Field)
			} else {
				assert.Equal(t, "fault.yaml", filepath.Base(f.File))
			}
			assert.Contains(t, f.Message, parts[3])
			assert.NotEmpty(t, f.Remedy)
		})
	}
}

// An interrupted rehearsal leaves no program running and no file behind.
func TestInterruptedLeavesNothing(t *testing.T) {
	needPrograms(t)
	archive, err := txtar.ParseFile("testdata/clean.txtar")
	require.NoError(t, err)
	dir, kept := write(t, archive.Files), t.TempDir()
	t.Setenv("TMPDIR", kept)
	config := rehearse.Config{}
	config.Verify, err = verify.LoadConfig(dir, "")
	require.NoError(t, err)
	for _, at := range []string{"prepare", "install", "drain"} {
		ctx, cancel := context.WithCancel(t.Context())
		config.Progress = func(_, act, _ string) {
			if act == at {
				cancel()
			}
		}
		_, err = rehearse.Run(ctx, dir, config)
		require.ErrorIs(t, err, context.Canceled, at)
		left, err := os.ReadDir(kept)
		require.NoError(t, err)
		assert.Empty(t, left, at)
		processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
		require.NoError(t, err)
		for _, p := range processes {
			line, _ := os.ReadFile(p)
			assert.NotContains(t, string(line), kept, at)
		}
	}
}
