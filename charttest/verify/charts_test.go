package verify_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest/verify"
)

// Clusters report a patch version, so templates may count on it.
func TestVersionsHaveAPatch(t *testing.T) {
	dir := write(t, map[string]string{"templates/a.yaml": `apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  containers:
    - name: a
      image: kubectl:{{ regexFind "[0-9]+\\.[0-9]+\\.[0-9]+" .Capabilities.KubeVersion.Version }}
`})
	result := run(t, dir)
	require.Empty(t, result.Findings)
	require.Equal(t, []string{"1.34", "1.35", "1.36", "1.37"}, result.Versions)
}

// Helm parses the templates of the subcharts that are on, and so does verify.
func TestBrokenTemplatesOfWhatIsTurnedOffAreNamed(t *testing.T) {
	const good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  {{- if .Values.x }}\n  x: y\n  {{- end }}\n"
	chart := func(condition string) string {
		return "apiVersion: v2\nname: toy\nversion: 1.0.0\ndependencies: [{name: sub, version: 1.0.0, " + condition + "}]\n"
	}
	sub := map[string]string{"charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n", "values.yaml": "sub: {enabled: false}\nx: \"\"\n"}
	for name, c := range map[string]struct {
		files  map[string]string
		unread string
	}{
		"a bad character":      {map[string]string{"charts/sub/templates/a.yaml": "a: {{ .Values.a-b }}\n"}, "charts/sub/templates/a.yaml:1"},
		"no end":               {map[string]string{"charts/sub/templates/a.yaml": "a: 1\n{{ if true }}\n"}, "charts/sub/templates/a.yaml:3"},
		"an unknown function":  {map[string]string{"charts/sub/templates/a.yaml": "{{ nosuch 1 }}\n"}, "charts/sub/templates/a.yaml:1"},
		"a helper":             {map[string]string{"charts/sub/templates/_h.tpl": "{{ define }}\n"}, "charts/sub/templates/_h.tpl:1"},
		"by a tag":             {map[string]string{"Chart.yaml": chart("tags: [subs]"), "values.yaml": "tags: {subs: false}\nx: \"\"\n", "charts/sub/templates/a.yaml": "{{ end }}"}, "charts/sub/templates/a.yaml:1"},
		"of a subchart's own":  {map[string]string{"charts/sub/charts/low/Chart.yaml": "apiVersion: v2\nname: low\nversion: 1.0.0\n", "charts/sub/charts/low/templates/a.yaml": "{{ end }}"}, "charts/sub/charts/low/templates/a.yaml:1"},
		"beside one that does": {map[string]string{"charts/sub/templates/a.yaml": "{{ end }}", "charts/sub/templates/b.yaml": good}, "charts/sub/templates/a.yaml:1"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"Chart.yaml": chart("condition: sub.enabled"), "templates/a.yaml": good, ".verify.yaml": "values: true\ncoverage: 1\n"}
			for _, more := range []map[string]string{sub, c.files} {
				for file, text := range more {
					files[file] = text
				}
			}
			dir := write(t, files)
			result := run(t, dir)
			for _, f := range result.Findings {
				require.Equal(t, "value-hole", f.Check, "%v", f)
			}
			require.Len(t, result.Unread, 1)
			require.Contains(t, result.Unread[0], c.unread)
			require.NotZero(t, result.Branches)
			var table bytes.Buffer
			require.NoError(t, verify.Table(&table, result))
			require.Contains(t, table.String(), c.unread)
		})
	}
	// One that is on ends the render, as it ends Helm's.
	files := map[string]string{"Chart.yaml": chart("condition: sub.enabled"), "templates/a.yaml": good, "values.yaml": "sub: {enabled: true}\nx: \"\"\n",
		"charts/sub/Chart.yaml": sub["charts/sub/Chart.yaml"], "charts/sub/templates/a.yaml": "{{ end }}"}
	result := run(t, write(t, files))
	require.Len(t, result.Findings, 1)
	require.Equal(t, "render", result.Findings[0].Check)
}

// A profile that is refused says nothing of the others.
func TestWhatOneProfileRefusesTheOthersStillCover(t *testing.T) {
	dir := write(t, map[string]string{
		"values.yaml": "name: a\ndead: 1\nbad: false\n", "values/bad.yaml": "bad: true\n",
		"templates/a.yaml": "{{- if .Values.bad }}{{ fail \"no\" }}{{ end -}}\n" + account, ".verify.yaml": "values: true\ncoverage: 100\n",
	})
	result := run(t, dir)
	var have []string
	for _, f := range result.Findings {
		have = append(have, fmt.Sprintf("%s %s", f.Check, f.Field))
	}
	require.ElementsMatch(t, []string{"render ", "coverage ", "value-dead dead"}, have)
	require.Equal(t, 50.0, result.Branches)
}

// What versions print alike is looked at once, and told at the same place.
func TestVersionsThatPrintAlikeShareThePlacesOfFindings(t *testing.T) {
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n    - name: a\n      image: a\n      envx: 1\n      volumeMounts:\n        - {name: x, mountPath: /x}\n"
	dir := write(t, map[string]string{
		"templates/a.yaml": pod + "{{- if semverCompare \">=1.36-0\" .Capabilities.KubeVersion.Version }}\n        - {name: z, mountPath: /z}\n{{- end }}\n",
		"templates/b.yaml": "---\n{{- if semverCompare \">=1.37-0\" .Capabilities.KubeVersion.Version }}\n# nothing\n{{- end }}\n", "values/more.yaml": "{}\n",
	})
	result := run(t, dir)
	require.Equal(t, 100.0, result.Branches, "the first profile counts in every version")
	var have []string
	for _, f := range result.Findings {
		have = append(have, fmt.Sprintf("%d %s %s %s", f.Line, f.Check, strings.Join(f.Versions, ","), strings.Join(f.Profiles, ",")))
	}
	require.Equal(t, []string{
		"8 strict 1.34,1.35,1.36,1.37 default,more",
		"10 field-valid 1.34,1.35,1.36,1.37 default,more",
		"12 field-valid 1.36,1.37 default,more",
	}, have)
}

// What many profiles print of their own must not stay: the live heap after a
// quarter of them is about what it is after all.
func TestMemoryDoesNotGrowWithProfiles(t *testing.T) {
	const templates, profiles, lines = 40, 40, 80
	files := map[string]string{"Chart.yaml": "apiVersion: v2\nname: crowd\nversion: 0.1.0\n", "values.yaml": "stage: none\n"}
	for i := range templates {
		text := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c%d\ndata:\n", i)
		for j := range lines {
			text += fmt.Sprintf("  key-%d: \"{{ $.Values.stage }} of %d\"\n", j, j)
		}
		files[fmt.Sprintf("templates/c%d.yaml", i)] = text
	}
	for i := range profiles {
		files[fmt.Sprintf("values/p%d.yaml", i)] = fmt.Sprintf("stage: stage-%d\n", i)
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	var early, late int64
	result, err := verify.Run(t.Context(), write(t, files), verify.Config{Values: true, Coverage: 1, Progress: func(n, of int, _ string) {
		switch {
		case n >= of/4 && early == 0:
			early = heap()
		case n == of:
			late = heap()
		}
	}})
	require.NoError(t, err)
	require.Equal(t, 4*(profiles+1), result.Renders)
	require.Less(t, late-early, int64(32<<20), "%d MB after a quarter, %d MB after all", early>>20, late>>20)
}
