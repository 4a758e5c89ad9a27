package rehearse_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
