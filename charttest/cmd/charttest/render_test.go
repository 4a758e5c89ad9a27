package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/ai-film/ai-film/charttest/internal/testfiles"
	"github.com/ai-film/ai-film/charttest/internal/upstream"
)

// outcome is what a program did.
type outcome struct {
	upstream.Outcome
	Files string // what it wrote below the working directory's out/
}

// compare runs «helm template» and «charttest render» with the same arguments in
// dir and expects the same of both.
func compare(t *testing.T, dir string, args ...string) {
	t.Helper()
	compareWith(t, 3, dir, args...)
}

// compareWith is compare with a major version of Helm.
func compareWith(t *testing.T, major int, dir string, args ...string) {
	t.Helper()
	helm := upstream.Helm(t, major)
	run := func() outcome { return outcome{upstream.Template(helm, dir, args...), outputs(t, dir)} }
	want := run()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append([]string{"render", "--helm", strconv.Itoa(major)}, args...))
	var got outcome
	if err := inDir(dir, root.Execute); err != nil {
		got.Error = err.Error()
	}
	got.Stdout, got.Files = out.String(), outputs(t, dir)
	upstream.Same(t, want.Outcome, got.Outcome, func() upstream.Outcome { return run().Outcome })
	require.Equal(t, want.Files, got.Files)
}

// inDir runs f with dir as the working directory.
func inDir(dir string, f func() error) error {
	old, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := os.Chdir(dir); err != nil {
		return err
	}
	defer func() { _ = os.Chdir(old) }()
	return f()
}

// outputs reads and removes dir/out.
func outputs(t *testing.T, dir string) string {
	archive := new(txtar.Archive)
	root := filepath.Join(dir, "out")
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		archive.Files = append(archive.Files, txtar.File{Name: path, Data: data})
		return err
	})
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(root))
	return string(txtar.Format(archive))
}

// unpack writes testdata/NAME.txtar to a directory NAME in a new one, which it
// returns.
func unpack(t *testing.T, name string) string {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	require.NoError(t, err)
	dir := t.TempDir()
	testfiles.Unpack(t, filepath.Join(dir, name), archive.Files)
	return dir
}

// lines are command lines that render the chart in testdata/features.txtar.
var lines = map[string]string{
	"bare":            "features",
	"named":           "reel features --namespace town",
	"files":           "features -f features/values/off.yaml -f features/values/other.yaml",
	"off":             "features -f features/values/off.yaml",
	"other":           "features --values features/values/other.yaml,features/values/off.yaml",
	"set":             "features --set list={a,b},nested.a.b.c=x --set nested.gone=null --set-string number=7 --set list[1]=z",
	"set-json":        `features --set-json nested={"a":[1,null]} --set-json list=[1,2.5,"x"]`,
	"set-file":        "features --set-file multi=features/files/a.txt --set-literal name=a,b=c\\d",
	"set null":        "features --set cond=null --set global.shared=null",
	"set types":       "features --set replicas=2,float=1e3,bool=true,octal=08,big=99999999999999999999",
	"tags":            "features --set tags.front=false --set tags.back=true",
	"tags off":        "features --set tags.front=false",
	"condition":       "features --set cond.enabled=false --set second.leaf.on=false",
	"condition type":  "features --set cond.enabled=maybe",
	"second path":     "features --set global.conds=false",
	"sub not a table": "features --set cond=scalar",
	"upgrade":         "features --is-upgrade",
	"kube":            "features --kube-version 1.36 -a x.example/v1,batch/v1/CronJob --api-versions y/v1",
	"kube bad":        "features --kube-version nonsense",
	"kube old":        "features --kube-version 1.18",
	"crds":            "features --include-crds",
	"skip-crds":       "features --include-crds --skip-crds",
	"no hooks":        "features --no-hooks",
	"skip tests":      "features --skip-tests",
	"show only":       "features -s templates/order.yaml -s templates/hooks.yaml",
	"show glob":       "features --show-only templates/*.yaml",
	"show sub":        "features -s charts/second/templates/cm.yaml --skip-tests",
	"show missing":    "features -s templates/nothing.yaml",
	"notes":           "features --render-subchart-notes",
	"output dir":      "features --output-dir out --include-crds",
	"output release":  "reel features --output-dir out --release-name",
	"name template":   "features --name-template {{\"x\"|upper|lower}}y",
	"bad name":        "Bad_Name features",
	"generate":        "a b c",
	"no chart":        "nothing-here",
	"not a chart":     "./features/files",
	"file":            "features/values.yaml",
	"schema":          "features --set replicas=none --set name=oh! --set cond.number=x",
	"schema minimum":  "features --set replicas=0",
	"skip schema":     "features --set replicas=none --skip-schema-validation",
	"fail":            "features --set failWith=because",
	"fail debug":      "features --set failWith=because --debug=false",
	"required":        "features --set require=true",
	"recursion":       "features --set recurse=true",
	"nil pointer":     "features --set nilpointer=true",
	"bad function":    "features --set badfunc=true",
	"bad yaml":        "features --set badyaml=true",
	"bad tpl":         "features --set badtpl=true",
	"fail in tpl":     "features --set tplfail=true",
	"bad set":         "features --set a[=",
	"bad set-json":    "features --set-json a={",
	"bad file":        "features -f features/files/deep/c.conf",
	"missing file":    "features -f nowhere.yaml",
	"dry run":         "features --dry-run",
	"dry run bad":     "features --dry-run=sometimes",
	"post renderer":   "features --post-renderer sort --post-renderer-args -r",
	"post missing":    "features --post-renderer ./no-such-program",
	"labels":          "features --labels owner=x",
	"idle flags":      "features --wait --atomic --timeout 1s --create-namespace --description x --force --hide-notes",
}

func TestRenderPrintsHelmsBytes(t *testing.T) {
	dir := unpack(t, "features")
	for name, line := range lines {
		t.Run(name, func(t *testing.T) { compare(t, dir, strings.Fields(line)...) })
	}
}

func TestRenderArchivesAndStandardInput(t *testing.T) {
	dir := unpack(t, "features")
	pack := exec.Command(upstream.Helm(t, 3), "package", "features")
	pack.Dir = dir
	out, err := pack.CombinedOutput()
	require.NoError(t, err, string(out))
	compare(t, dir, "reel", "features-1.0.0.tgz", "--include-crds")
	require.NoError(t, os.Rename(filepath.Join(dir, "features"), filepath.Join(dir, "renamed")))
	compare(t, dir, "reel", "renamed")
}

// Values that a URL names are fetched by Helm's own getters.
func TestRenderValuesOfURLs(t *testing.T) {
	dir := unpack(t, "features")
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	for name, line := range map[string]string{
		"values":   "features -f %s/features/values/off.yaml",
		"set-file": "features --set-file multi=%s/features/files/a.txt",
		"missing":  "features -f %s/nowhere.yaml",
		"scheme":   "features -f gopher%.0s://nowhere.yaml",
	} {
		t.Run(name, func(t *testing.T) { compare(t, dir, strings.Fields(fmt.Sprintf(line, server.URL))...) })
	}
}

// Charts of Helm 2's format keep their dependencies in a file of their own, and
// subcharts come packaged as often as not.
func TestRenderOldCharts(t *testing.T) {
	dir := t.TempDir()
	testfiles.Write(t, dir, map[string]string{
		"part/Chart.yaml":            "name: part\nversion: 0.1.0\nappVersion: 1\n",
		"part/values.yaml":           "on: true\nexports: {data: {shared: 1}}\n",
		"part/templates/a.yaml":      "{{- if .Values.on }}\na: {{ .Chart.Name }} {{ .Values | toJson }} {{ .Chart.AppVersion }}\n{{- end }}\n",
		"old/Chart.yaml":             "apiVersion: v1\nname: old\nversion: 0.1.0\nengine: gotpl\ntillerVersion: \">=2\"\n",
		"old/requirements.yaml":      "dependencies:\n- {name: part, version: 0.1.0, repository: \"https://charts.example.com\", condition: part.enabled, import-values: [data]}\n- {name: part, alias: again, version: 0.1.0, repository: \"https://charts.example.com\", tags: [more]}\n",
		"old/requirements.lock":      "dependencies:\n- {name: part, version: 0.1.0, repository: \"https://charts.example.com\"}\ndigest: sha256:0\ngenerated: \"2020-01-01T00:00:00Z\"\n",
		"old/values.yaml":            "\ufefftags: {more: false}\r\npart:\r\n  on: null\r\n",
		"old/templates/a.yaml":       "a: {{ .Values.shared }}\r\nb: |\r\n  {{- toYaml .Values | nindent 2 }}\r\n",
		"old/templates/_x.tpl":       "{{ define \"x\" }}{{ end }}",
		"old/templates/deep/b.yaml":  "kind: Job\nmetadata:\n  annotations: {helm.sh/hook: crd-install}\n",
		"old/templates/windows.yaml": "\ufeffkind: ConfigMap\r\n---\r\nkind: Secret\r\n",
	})
	pack := exec.Command(upstream.Helm(t, 3), "package", "--destination", "old/charts", "part")
	pack.Dir = dir
	out, err := pack.CombinedOutput()
	require.NoError(t, err, string(out))
	for name, line := range map[string]string{
		"bare": "old", "more": "reel old --set tags.more=true", "off": "old --set part.enabled=false", "on": "old --set part.on=yes,again.on=",
	} {
		t.Run(name, func(t *testing.T) { compare(t, dir, strings.Fields(line)...) })
	}
}

// unreadable are charts with something wrong with them.
var unreadable = map[string]map[string]string{
	"no Chart.yaml":        {"values.yaml": "a: b"},
	"broken Chart.yaml":    {"Chart.yaml": "a: [b"},
	"no name":              {"Chart.yaml": "apiVersion: v2\nversion: 1.0.0"},
	"broken values":        {"Chart.yaml": good, "values.yaml": "a: [b"},
	"values are a list":    {"Chart.yaml": good, "values.yaml": "[a]"},
	"broken template":      {"Chart.yaml": good, "templates/a.yaml": "{{ if }}"},
	"unknown function":     {"Chart.yaml": good, "templates/a.yaml": "\n{{ nosuch 1 }}"},
	"broken schema":        {"Chart.yaml": good, "values.schema.json": "{"},
	"impossible schema":    {"Chart.yaml": good, "values.schema.json": `{"type": "whatever"}`},
	"library":              {"Chart.yaml": good + "type: library\n"},
	"unknown type":         {"Chart.yaml": good + "type: film\n"},
	"missing dependencies": {"Chart.yaml": good + "dependencies: [{name: x, version: 1.0.0}]\n"},
	"no templates":         {"Chart.yaml": good},
	"two defines":          {"Chart.yaml": good, "templates/a.yaml": `{{define "x"}}1{{end}}{{define "x"}}2{{end}}k: {{template "x"}}`},
	"unclosed":             {"Chart.yaml": good, "templates/a.yaml": "{{ range .Values.x }}"},
}

func TestRenderChartsThatCannotBeRead(t *testing.T) {
	for name, files := range unreadable {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			testfiles.Write(t, filepath.Join(dir, "c"), files)
			compare(t, dir, "c")
		})
	}
}

const good = "apiVersion: v2\nname: c\nversion: 1.0.0\n"

// TestRenderOurChart holds our own chart's profiles against Helm.
func TestRenderOurChart(t *testing.T) {
	dir, err := filepath.Abs("../../../charts/ai-film")
	require.NoError(t, err)
	profiles, err := filepath.Glob(filepath.Join(dir, "values", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, profiles)
	args := []string{"ai-film", dir, "--kube-version", "1.36.0", "--namespace", "ai-film",
		"--set", "postgresql.auth.password=p", "--include-crds"}
	for _, file := range profiles {
		t.Run(filepath.Base(file), func(t *testing.T) {
			compare(t, t.TempDir(), append(args, "-f", file)...)
		})
	}
}
