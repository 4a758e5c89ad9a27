package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/internal/testfiles"
	"github.com/ai-film/ai-film/charttest/verify"
)

var update = flag.Bool("update", false, "write docs/checks.md anew")

func TestReferenceIsCurrent(t *testing.T) {
	const file = "../../docs/checks.md"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(verify.Reference()), 0o644))
	}
	have, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, verify.Reference(), string(have), "run go test -C charttest ./verify -update")
}

// write makes a chart of files; Chart.yaml comes by itself.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "toy")
	testfiles.Write(t, dir, map[string]string{"Chart.yaml": "apiVersion: v2\nname: toy\nversion: 1.0.0\n"})
	testfiles.Write(t, dir, files)
	return dir
}

const account = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: {{ .Values.name }}\n"

func run(t *testing.T, dir string) *verify.Result {
	t.Helper()
	config, err := verify.LoadConfig(dir, "")
	require.NoError(t, err)
	result, err := verify.Run(context.Background(), dir, config)
	require.NoError(t, err)
	return result
}

func TestEveryKindOfFailureIsAFindingAtItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		check string
		file  string
		line  int
	}{
		"template":    {map[string]string{"templates/a.yaml": "a: 1\nb: {{ required \"name it\" .Values.name }}\n"}, "render", "templates/a.yaml", 2},
		"strict":      {map[string]string{"templates/a.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: x\nsecret: []\n"}, "strict", "templates/a.yaml", 5},
		"schema":      {map[string]string{"values.yaml": "name: 3\n", "values.schema.json": `{"properties":{"name":{"type":"string"}}}`, "templates/a.yaml": account}, "schema", "values.yaml", 1},
		"dependency":  {map[string]string{"Chart.yaml": "apiVersion: v2\nname: x\nversion: 1.0.0\ndependencies:\n  - version: 1.0.0\n    name: other\n", "templates/a.yaml": account, "values.yaml": "name: x"}, "dependencies", "Chart.yaml", 6},
		"values":      {map[string]string{"values/bad.yaml": "a: [\n", "templates/a.yaml": account, "values.yaml": "name: x"}, "values", "values/bad.yaml", 0},
		"suppression": {map[string]string{".verify.yaml": "suppress: [{check: strict, reason: old}]", "templates/a.yaml": account, "values.yaml": "name: x"}, "suppression", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, c.files)
			result := run(t, dir)
			require.Len(t, result.Findings, 1)
			f := result.Findings[0]
			require.Equal(t, c.check, f.Check, f.Message)
			require.NotEmpty(t, f.Remedy)
			require.Equal(t, c.line, f.Line)
			if c.file != "" {
				require.Equal(t, filepath.Join(dir, c.file), f.File)
			}
		})
	}
}

func TestFindingsAreToldOnceForAllProfilesAndVersions(t *testing.T) {
	dir := write(t, map[string]string{
		"values.yaml": "name: ok\n", "values/bad.yaml": "name: Bad\n", "values/worse.yaml": "name: Bad\n", "templates/a.yaml": account,
	})
	result := run(t, dir)
	require.Equal(t, 12, result.Renders)
	require.Len(t, result.Findings, 1)
	require.Equal(t, []string{"bad", "worse"}, result.Findings[0].Profiles)
	require.Equal(t, charttest.KubeVersions, result.Findings[0].Versions)
}

func TestSuppressionNeedsAReasonAndACheckThatExists(t *testing.T) {
	for name, config := range map[string]string{
		"no reason": "suppress: [{check: strict}]", "no check": "suppress: [{check: nonsense, reason: because}]",
		"unknown key": "supress: []", "not YAML": "a: [", "wrong type": "coverage: high",
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{".verify.yaml": config})
			_, err := verify.LoadConfig(dir, "")
			var configError *verify.Error
			require.ErrorAs(t, err, &configError)
		})
	}
	dir := write(t, map[string]string{
		"values.yaml": "name: Bad\n", "templates/a.yaml": account,
		".verify.yaml": "suppress: [{check: metadata, object: ServiceAccount/*, reason: it is only a toy}]",
	})
	result := run(t, dir)
	require.Empty(t, result.Findings)
	require.Len(t, result.Accepted, 1)
	require.Equal(t, "it is only a toy", result.Accepted[0].Accepted)
}

func TestReportsCarryEveryFinding(t *testing.T) {
	dir := write(t, map[string]string{"values.yaml": "name: Bad,name\n", "templates/a.yaml": account})
	result := run(t, dir)
	require.Len(t, result.Findings, 1)
	for name, write := range verify.Formats {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			require.NoError(t, write(&b, result))
			require.Contains(t, b.String(), "metadata")
			switch name {
			case "json", "sarif":
				require.True(t, json.Valid(b.Bytes()))
				require.Contains(t, b.String(), "a.yaml")
			case "junit":
				var suites struct {
					Suites []struct {
						Failures int `xml:"failures,attr"`
					} `xml:"testsuite"`
				}
				require.NoError(t, xml.Unmarshal(b.Bytes(), &suites))
				require.Equal(t, len(charttest.KubeVersions), suites.Suites[0].Failures)
			case "github":
				require.Contains(t, b.String(), "::error file=")
				require.Contains(t, b.String(), "line=4,title=metadata::")
				require.Equal(t, 1, bytes.Count(b.Bytes(), []byte("\n")))
			}
		})
	}
}

func TestNotAChart(t *testing.T) {
	_, err := verify.Run(context.Background(), t.TempDir(), verify.Config{})
	var load *charttest.LoadError
	require.ErrorAs(t, err, &load)
}

func TestWatchSeesAChange(t *testing.T) {
	dir := write(t, map[string]string{"values.yaml": "name: x\n"})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	seen := 0
	go func() {
		time.Sleep(50 * time.Millisecond)
		_ = os.WriteFile(filepath.Join(dir, "values.yaml"), []byte("name: longer\n"), 0o644)
	}()
	verify.Watch(ctx, 10*time.Millisecond, func() { seen++; cancel() }, dir)
	require.Equal(t, 1, seen)
}
