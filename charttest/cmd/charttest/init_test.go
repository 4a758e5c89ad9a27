package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/ai-film/ai-film/charttest/internal/testfiles"
	"github.com/ai-film/ai-film/charttest/verify"
)

// charts that have no tests, of all kinds.
var charts = map[string]string{
	"plain": `
-- Chart.yaml --
apiVersion: v2
name: plain
version: 1.0.0
-- values.yaml --
image: nginx:1.27
-- templates/app.yaml --
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-plain
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      containers: [{name: app, image: {{ .Values.image }}}]
-- templates/more.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: one}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: two-{{ randAlphaNum 5 | lower }}}
---
apiVersion: v1
kind: Secret
metadata: {name: three}
stringData: {password: {{ randAlphaNum 20 }}}
-- templates/NOTES.txt --
Done.
`,
	"must have a value": `
-- Chart.yaml --
apiVersion: v2
name: asks
version: 1.0.0
-- templates/app.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ required "give it a name (a.b)" .Values.name }}}
`,
	"a schema asks": `
-- Chart.yaml --
apiVersion: v2
name: asks
version: 1.0.0
-- values.schema.json --
{"required": ["name"]}
-- templates/app.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Values.name }}}
`,
	"only with its values": `
-- Chart.yaml --
apiVersion: v2
name: 9-Lives.x
version: 1.0.0
kubeVersion: "<1.36-0"
-- templates/app.yaml --
apiVersion: batch/v1
kind: CronJob
metadata: {name: {{ required "give it a name" .Values.name }}}
spec:
  schedule: "@daily"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: app, image: "busybox:1"}]
-- templates/monitor.yaml --
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: {{ .Values.name }}}
-- values/small.yaml --
name: small
-- .helmignore --
*.md
`,
	"with a mistake": `
-- Chart.yaml --
apiVersion: v2
name: wrong
version: 1.0.0
-- templates/app.yaml --
apiVersion: v1
kind: ServiceAccount
metadata: {name: a}
secret: []
`,
	"nothing of its own": `
-- Chart.yaml --
apiVersion: v2
name: empty
version: 1.0.0
dependencies: [{name: sub, version: 1.0.0}]
-- charts/sub/Chart.yaml --
apiVersion: v2
name: sub
version: 1.0.0
-- charts/sub/templates/a.yaml --
apiVersion: v1
kind: ServiceAccount
metadata: {name: a}
`,
	"nothing at all": `
-- Chart.yaml --
apiVersion: v2
name: nothing
version: 1.0.0
-- templates/app.yaml --
{{- if .Values.on }}
apiVersion: v1
kind: ServiceAccount
metadata: {name: a}
{{- end }}
`,
	"a range of old versions": `
-- Chart.yaml --
apiVersion: v2
name: old
version: 1.0.0
kubeVersion: ">=1.19.0-0 <1.25.0-0"
-- templates/a.yaml --
apiVersion: v1
kind: ServiceAccount
metadata: {name: a}
`,
}

// writeFiles writes the files of an archive.
func writeFiles(t *testing.T, dir, text string) {
	t.Helper()
	testfiles.Unpack(t, dir, txtar.Parse([]byte(text)).Files)
}

// here makes a module of a folder that takes the library from this checkout.
func here(t *testing.T, dir string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	text := strings.Replace(string(mod), "module "+module, "module example.org/charts", 1)
	text, _, _ = strings.Cut(text, "\ntool ")
	text += "\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + root + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o644))
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o644))
}

// run runs charttest in the test's process.
func run(args ...string) (string, error) {
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.Execute()
	return out.String(), err
}

// What init writes passes on the chart as it is.
func TestFirstTestsPass(t *testing.T) {
	dir := t.TempDir()
	here(t, dir)
	for name, text := range charts {
		chart := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		writeFiles(t, chart, text)
		out, err := run("init", chart)
		require.NoError(t, err, out)
		out, err = run("init", chart, "--test", "unittest")
		require.NoError(t, err, out)
		require.Contains(t, out, "kept  "+filepath.Join(chart, ".verify.yaml"))
		_, err = verify.LoadConfig(chart, "")
		require.NoError(t, err)
		out, err = run("unittest", chart)
		require.NoError(t, err, out)
		require.Contains(t, out, "1 passed, 1 total")
	}
	test := exec.Command("go", "test", "-mod=mod", "./...")
	test.Dir = dir
	out, err := test.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, len(charts), bytes.Count(out, []byte("ok  ")), "%s", out)
}

// helm-unittest itself, v1.1, passes the suites that init writes.
func TestFirstSuitesPassWithHelmUnittest(t *testing.T) {
	if !*whole {
		t.Skip("builds helm-unittest from its module: -whole")
	}
	tools := t.TempDir()
	peer := filepath.Join(tools, "unittest")
	writeFiles(t, tools, "-- go.mod --\nmodule peers\n\ngo 1.26\n\nrequire github.com/helm-unittest/helm-unittest v1.1.2\n\nreplace github.com/vmware-labs/yaml-jsonpath => github.com/helm-unittest/yaml-jsonpath v0.4.0\n")
	build := exec.Command("go", "build", "-mod=mod", "-o", peer, "github.com/helm-unittest/helm-unittest/cmd/helm-unittest")
	build.Dir = tools
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("helm-unittest can't be had here: %v\n%s", err, out)
	}
	for name, text := range charts {
		t.Run(name, func(t *testing.T) {
			chart := t.TempDir()
			writeFiles(t, chart, text)
			out, err := run("init", chart, "--test", "unittest")
			require.NoError(t, err, out)
			said, err := exec.Command(peer, chart).CombinedOutput()
			require.NoError(t, err, "%s", said)
			require.Contains(t, string(said), "1 passed, 1 total")
		})
	}
}

func TestInitTellsWhatItSaw(t *testing.T) {
	dir := t.TempDir()
	here(t, dir)
	writeFiles(t, dir, charts["only with its values"])
	out, err := run("init", dir)
	require.NoError(t, err, out)
	config, err := verify.LoadConfig(dir, "")
	require.NoError(t, err)
	require.Equal(t, []string{"1.34", "1.35"}, config.KubeVersions)
	require.Equal(t, []string{"monitoring.coreos.com/v1"}, config.APIVersions)
	require.Contains(t, out, "add to "+filepath.Join(dir, ".helmignore"))
	test, err := os.ReadFile(filepath.Join(dir, "chart9livesx_test.go"))
	require.NoError(t, err)
	require.Contains(t, string(test), `"busybox:1"`)
	require.Contains(t, string(test), `chart.Profile("small")`)
}

func TestInitOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	here(t, dir)
	writeFiles(t, dir, charts["plain"]+"-- plain_test.go --\npackage plain_test\n-- tests/mine_test.yaml --\nsuite: mine\n-- .verify.yaml --\ncoverage: 1\n-- .helmignore --\n*.md\n")
	files := func() map[string]string {
		all := map[string]string{}
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				data, err := os.ReadFile(path)
				all[path] = string(data)
				return err
			}
			return err
		}))
		return all
	}
	before := files()
	for _, kind := range []string{"go", "unittest"} {
		out, err := run("init", dir, "--test", kind)
		require.NoError(t, err, out)
		require.Contains(t, out, "the chart has tests")
	}
	require.Equal(t, before, files())
}

func TestWhatInitCantDo(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, filepath.Join(dir, "library"), "-- Chart.yaml --\napiVersion: v2\nname: library\nversion: 1.0.0\ntype: library\n")
	writeFiles(t, filepath.Join(dir, "lacks"), "-- Chart.yaml --\napiVersion: v2\nname: lacks\nversion: 1.0.0\ndependencies: [{name: sub, version: 1.0.0, repository: 'https://example.org'}]\n")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{filepath.Join(dir, "library")}, "test a chart that uses it"},
		{[]string{filepath.Join(dir, "lacks")}, "helm dependency build"},
		{[]string{dir}, "not a chart"},
		{[]string{filepath.Join(dir, "library", "Chart.yaml")}, "unpack it"},
		{[]string{dir, "--test", "rust"}, "go or unittest"},
	} {
		out, err := run(append([]string{"init"}, c.args...)...)
		require.ErrorContains(t, err, c.says, out)
	}
	require.NoFileExists(t, filepath.Join(dir, "library", ".verify.yaml"))
}
