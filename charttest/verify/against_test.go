package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/internal/testfiles"
	"github.com/ai-film/ai-film/charttest/verify"
)

// shops unpacks the two versions of a chart.
func shops(t *testing.T) (dir string, archive *txtar.Archive) {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/upgrade.txtar")
	require.NoError(t, err)
	dir = t.TempDir()
	testfiles.Unpack(t, dir, archive.Files)
	return dir, archive
}

func against(t *testing.T, dir, old string) *verify.Result {
	t.Helper()
	result, err := verify.Run(context.Background(), filepath.Join(dir, "new"), verify.Config{
		KubeVersions: []string{"1.37"}, Against: &verify.Against{Chart: filepath.Join(dir, old)},
	})
	require.NoError(t, err)
	return result
}

func TestUpgradeFromAnotherVersion(t *testing.T) {
	dir, archive := shops(t)
	result := against(t, dir, "old")
	var b bytes.Buffer
	require.NoError(t, verify.Table(&b, result))
	got := strings.ReplaceAll(b.String(), dir+"/", "")
	got = regexp.MustCompile(`, \d+ % of branches, [\d.]+m?s`).ReplaceAllString(got, ", … of branches")
	want := &archive.Files[len(archive.Files)-1]
	if *update {
		want.Data = []byte(got)
		require.NoError(t, os.WriteFile("testdata/upgrade.txtar", txtar.Format(archive), 0o644))
	}
	require.Equal(t, string(want.Data), got)

	var refused []check.Finding
	for _, f := range result.Findings {
		if f.Check == "immutable-field" {
			refused = append(refused, f)
		}
	}
	require.Len(t, refused, 1)
	require.Equal(t, []string{"default"}, refused[0].Profiles)
	require.Equal(t, 18, refused[0].Line, "the line of the class")
	require.Contains(t, refused[0].Remedy, "kubectl delete statefulset store --cascade=orphan")
	for name, write := range verify.Formats {
		b.Reset()
		require.NoError(t, write(&b, result))
		require.Contains(t, b.String(), "immutable-field", name)
		require.Contains(t, b.String(), "media", "%s tells what changes", name)
		require.NotContains(t, b.String(), "Secret/store", "%s: one that is looked up is no change", name)
	}
	for _, u := range result.Upgrades {
		for _, o := range u.Objects {
			require.NotEqual(t, "Secret", o.Kind)
		}
	}
	b.Reset()
	require.NoError(t, verify.JSON(&b, result))
	var report struct{ Charts []verify.Result }
	require.NoError(t, json.Unmarshal(b.Bytes(), &report))
	require.Len(t, report.Charts[0].Upgrades, 4)
	require.Equal(t, 1, report.Charts[0].Upgrades[0].Kept)
}

func TestUpgradeFromAnArchive(t *testing.T) {
	dir, _ := shops(t)
	pack := exec.Command("tar", "czf", filepath.Join(dir, "shop-1.0.0.tgz"), "-C", dir, "--transform", "s/^old/shop/", "old")
	out, err := pack.CombinedOutput()
	require.NoError(t, err, string(out))
	folder, archive := against(t, dir, "old"), against(t, dir, "shop-1.0.0.tgz")
	require.Equal(t, folder.Upgrades, archive.Upgrades)
	require.Equal(t, folder.Findings, archive.Findings)
}

func TestUpgradeToTheSameChangesNothing(t *testing.T) {
	dir, _ := shops(t)
	result, err := verify.Run(context.Background(), filepath.Join(dir, "old"), verify.Config{Against: &verify.Against{Chart: filepath.Join(dir, "old")}})
	require.NoError(t, err)
	for _, u := range result.Upgrades {
		require.Empty(t, u.Objects, "%v", u)
		require.Empty(t, u.Skipped)
	}
}

func TestRefusalsCanBeAccepted(t *testing.T) {
	dir, _ := shops(t)
	config := verify.Config{Against: &verify.Against{Chart: filepath.Join(dir, "old")},
		Suppress: []verify.Suppression{{Check: "immutable-field", Object: "StatefulSet/store", Reason: "the release notes tell"}}}
	result, err := verify.Run(context.Background(), filepath.Join(dir, "new"), config)
	require.NoError(t, err)
	require.Len(t, result.Accepted, 1)
	config.Against = nil // without anything to compare with, nobody knows whether it is needed
	result, err = verify.Run(context.Background(), filepath.Join(dir, "new"), config)
	require.NoError(t, err)
	for _, f := range result.Findings {
		require.NotEqual(t, "suppression", f.Check)
	}
}

func TestUpgradeFromWhatIsNoChart(t *testing.T) {
	dir, _ := shops(t)
	text := filepath.Join(dir, "text.tgz")
	require.NoError(t, os.WriteFile(text, []byte("no archive"), 0o644))
	for name, path := range map[string]string{"a folder": t.TempDir(), "a file": text, "nothing": filepath.Join(dir, "nothing")} {
		t.Run(name, func(t *testing.T) {
			_, err := verify.Run(context.Background(), filepath.Join(dir, "new"), verify.Config{Against: &verify.Against{Chart: path}})
			var e *verify.Error
			require.ErrorAs(t, err, &e)
			var load *charttest.LoadError
			require.ErrorAs(t, err, &load)
			require.Contains(t, err.Error(), "--against "+path)
		})
	}
}

func TestAnOldVersionThatCannotBeRenderedIsNoFinding(t *testing.T) {
	dir, _ := shops(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "old", "templates", "broken.yaml"), []byte(`{{ fail "too old" }}`), 0o644))
	result := against(t, dir, "old")
	require.Contains(t, result.Upgrades[0].Skipped, "too old")
	for _, f := range result.Findings {
		require.NotContains(t, f.Message, "too old")
	}
}
