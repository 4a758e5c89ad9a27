package unittest

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/internal/testfiles"
)

// shop unpacks the chart, without the files of a prefix.
func shop(t *testing.T, without string) string {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/shop.txtar")
	require.NoError(t, err)
	dir := t.TempDir()
	testfiles.Unpack(t, dir, slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return without != "" && strings.HasPrefix(f.Name, without) }))
	return dir
}

func TestFailuresSayWhere(t *testing.T) {
	dir := shop(t, "")
	report := Options{}.Execute(t.Context(), dir)
	require.False(t, report.Passed())
	var lines []string
	for _, f := range report.Failures() {
		_, line, _ := strings.Cut(f.String(), "/tests/")
		lines = append(lines, strings.ReplaceAll(line, dir+"/", ""))
	}
	require.Equal(t, []string{
		"fail_test.yaml:6: asserts[0] `equal` fail at spec.replicas (templates/deployment.yaml:11)",
		"fail_test.yaml:11: asserts[0] `equal` fail at metadata.name (templates/config.yaml:16)",
		"fail_test.yaml:15: execution error at (shop/templates/deployment.yaml:2:4): mode: none is nothing (templates/deployment.yaml:2)",
	}, lines)

	var text bytes.Buffer
	report.Print(&text, new(false))
	require.Contains(t, text.String(), "Tests:       3 failed, 1 errored, 3 passed, 1 skipped, 7 total\n")
	require.Contains(t, text.String(), "Snapshot:    1 passed, 1 total\n")
}

func TestSuitesAreSubtests(t *testing.T) {
	dir := shop(t, "tests/fail_test.yaml")
	Run(t, charttest.MustLoad(t, dir), Options{StrictObjects: true})
	snapshot, err := os.ReadFile(filepath.Join(dir, "tests/__snapshot__/pass_test.yaml.snap"))
	require.NoError(t, err)
	require.Equal(t, "keeps:\n  1: |\n    text: |\n      begins with an empty line\n", string(snapshot))
}

func TestCoverageAndStrictObjects(t *testing.T) {
	dir := shop(t, "tests/fail_test.yaml")
	report := Options{Coverage: true}.Execute(t.Context(), dir)
	require.True(t, report.Passed())
	var missed []string
	for _, m := range report.Coverage.Missed {
		missed = append(missed, strings.TrimPrefix(m.Place.String(), dir+"/")+": "+m.Branch)
	}
	require.Equal(t, []string{
		"templates/config.yaml:1: if .Values.extra",
		"templates/deployment.yaml:12: if .Values.wrong",
	}, missed)

	suite := "suite: wrong\ntests:\n  - it: is wrong\n    set: {wrong: true}\n    template: deployment.yaml\n    asserts: [{isKind: {of: Deployment}}]\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tests/wrong_test.yaml"), []byte(suite), 0o644))
	require.True(t, Options{}.Execute(t.Context(), dir).Passed())
	report = Options{StrictObjects: true}.Execute(t.Context(), dir)
	require.False(t, report.Passed())
	require.Len(t, report.Failures(), 1)
	require.Contains(t, report.Failures()[0].String(), `wrong_test.yaml:3: Deployment/release-name: unknown field "spec.replicaz"`)
	require.Contains(t, report.Failures()[0].String(), "templates/deployment.yaml:13)")
}

// TestParts holds the cuts to the expression that they are to follow.
func TestParts(t *testing.T) {
	separator := regexp.MustCompile("(?:^|\\s*\n)---\\s*")
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		var b strings.Builder
		for range rng.IntN(12) {
			b.WriteString([]string{"---", "-", "\n", "\n", " ", "\t", "a", "# b", "\r\n", "\f"}[rng.IntN(10)])
		}
		text := b.String()
		var got []string
		for _, p := range parts(text) {
			got = append(got, p.text)
		}
		require.Equal(t, separator.Split(text, -1), got, "%q", text)
	}
}

// TestNodes holds the nodes that paths are looked up in to what encoding and
// decoding makes of the manifest.
func TestNodes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		manifest := map[string]any{}
		for range 1 + rng.IntN(4) {
			manifest[randomText(rng)] = randomValue(rng, 0)
		}
		root := node(manifest)
		if root == nil {
			continue
		}
		var text bytes.Buffer
		encoder := yaml.NewEncoder(&text)
		encoder.SetIndent(2)
		require.NoError(t, encoder.Encode(manifest))
		var want yaml.Node
		var wantValue any
		require.NoError(t, yaml.Unmarshal(text.Bytes(), &want), "%q", text.String())
		require.NoError(t, want.Decode(&wantValue))
		got, ok := value(root)
		require.True(t, ok)
		require.Equal(t, wantValue, got)
		requireSameNodes(t, want.Content[0], root)
	}
}

func requireSameNodes(t *testing.T, want, got *yaml.Node) {
	t.Helper()
	require.Equal(t, want.Kind, got.Kind)
	require.Equal(t, want.ShortTag(), got.ShortTag())
	require.Equal(t, want.Value, got.Value)
	require.Len(t, got.Content, len(want.Content))
	for i := range want.Content {
		requireSameNodes(t, want.Content[i], got.Content[i])
	}
}

func randomText(rng *rand.Rand) string {
	pieces := []string{"a", "b", "B", "10", "9", "0", "1", ".", "-", "_", " ", "\n", "\t", ":", "#", "'", `"`, "\\", "{", "[", "|", ">", "*", "&", "!", "%", "@", "é", "\u2028", "\u0085", "😀", "true", "~", "null", "1e3", "\r"}
	var b strings.Builder
	for range rng.IntN(6) {
		b.WriteString(pieces[rng.IntN(len(pieces))])
	}
	return b.String()
}

func randomValue(rng *rand.Rand, depth int) any {
	switch n := rng.IntN(9); {
	case n == 0:
		return nil
	case n == 1:
		return rng.IntN(2) == 0
	case n == 2:
		return rng.IntN(2000) - 1000
	case n == 3:
		return []float64{0, 1, -2.5, 1e21, 1e-9, 3.25, 100000000, 0.1}[rng.IntN(8)]
	case n == 4 && depth < 3:
		table := map[string]any{}
		for range rng.IntN(4) {
			table[randomText(rng)] = randomValue(rng, depth+1)
		}
		return table
	case n == 5 && depth < 3:
		list := []any{}
		for range rng.IntN(4) {
			list = append(list, randomValue(rng, depth+1))
		}
		return list
	}
	return randomText(rng)
}
