package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest/internal/testfiles"
)

// otherwise are the lines that say something else to Helm 4: a plugin for a
// program, a cluster for a flag.
var otherwise = []string{"post renderer", "post missing", "dry run", "dry run bad"}

func TestRenderPrintsHelm4sBytes(t *testing.T) {
	dir := unpack(t, "features")
	for name, line := range lines {
		if strings.Contains(strings.Join(otherwise, ","), name) {
			continue
		}
		t.Run(name, func(t *testing.T) { compareWith(t, 4, dir, strings.Fields(line)...) })
	}
}

// differing are charts with what Helm 4 does otherwise.
var differing = map[string]map[string]string{
	"nulls": {"Chart.yaml": good, "values.yaml": "a: null\nb: {c: null, d: 1, e: {f: null}}\ng: ~\n",
		"templates/a.yaml": "v: {{ .Values | toJson }}\na: {{ .Values.a }}\nhas: {{ hasKey .Values \"a\" }} {{ hasKey .Values.b \"c\" }}\n"},
	"nulls for subcharts": {"Chart.yaml": good, "values.yaml": "s: {x: null, y: {z: null}}\nglobal: {k: null, l: {m: null}}\n",
		"charts/s/Chart.yaml": "apiVersion: v2\nname: s\nversion: 1.0.0\n", "charts/s/values.yaml": "x: 1\ny: {z: 2, w: null}\n",
		"charts/s/templates/a.yaml": "v: {{ .Values | toJson }}\n"},
	"values of several documents": {"Chart.yaml": good, "values.yaml": "a: 1\nb: {c: 1}\n---\nb: {d: 2}\n---\na: 3\n", "templates/a.yaml": "v: {{ .Values | toJson }}\n"},
	"broken second document":      {"Chart.yaml": good, "values.yaml": "a: 1\n---\nb: [\n", "templates/a.yaml": "v: 1\n"},
	"Chart is a table": {"Chart.yaml": good + "description: d\nkeywords: [k]\nmaintainers: [{name: m}]\nannotations: {x: y}\ndependencies: [{name: s, version: 1.0.0, alias: other}]\n",
		"charts/s/Chart.yaml": "apiVersion: v2\nname: s\nversion: 1.0.0\n", "charts/s/templates/a.yaml": "c: {{ .Chart | toJson }}\n",
		"templates/a.yaml": "c: {{ .Chart | toJson }}\nd: {{ .Chart.Name }} {{ .Chart.IsRoot }} {{ .Chart.Nothing }} {{ hasKey .Chart \"Name\" }}\ny:\n  {{- .Chart | toYaml | nindent 2 }}\nm: {{ range .Chart.Maintainers }}{{ .Name }}{{ end }}\n"},
	"no field of Chart": {"Chart.yaml": good, "templates/a.yaml": "a: {{ .Chart.Nothing.more }}\n"},
	"Capabilities": {"Chart.yaml": good, "templates/a.yaml": "k: {{ .Capabilities.KubeVersion }} {{ .Capabilities.KubeVersion.Version }} {{ .Capabilities.KubeVersion.GitVersion }} {{ .Capabilities.KubeVersion.Minor }}\n" +
		"j: {{ .Capabilities.KubeVersion | toJson }}\nh: {{ .Capabilities.HelmVersion.Version }} {{ .Capabilities.HelmVersion.KubeClientVersion }}\nq: {{ semverCompare \">=1.30-0\" .Capabilities.KubeVersion.Version }}\n"},
	"separators":     {"Chart.yaml": good, "templates/a.yaml": "a: 1   \n\n\n---\n\n# only a comment\n---\nb: |\n  x\n\n---   \nc: |\n  ---\n  y\n   ---\n------\n---d: 1\n---\n", "templates/b.yaml": "---\nx: 1\n--- # said\ny: 2\n\n\n"},
	"trailing space": {"Chart.yaml": good, "templates/a.yaml": "\n\nkind: ConfigMap\nmetadata: {name: a}\n\n\n", "templates/h.yaml": "kind: Job\nmetadata: {name: h, annotations: {helm.sh/hook: pre-install}}\n\n\n---\nkind: Pod\nmetadata: {name: i, annotations: {helm.sh/hook: test}}\n \t\n"},
	"order":          {"Chart.yaml": good, "templates/a.yaml": "kind: ValidatingWebhookConfiguration\n---\nkind: Zebra\n---\nkind: MutatingWebhookConfiguration\n---\nkind: APIService\n---\nkind: Ape\n---\nkind: Ingress\n"},
	"functions": {"Chart.yaml": good, "templates/a.yaml": "y: {{ dict \"a\" 1 | mustToYaml | quote }}\nj: {{ list 1 \"b\" | mustToJson }}\nt: {{ dict \"a\" 1 | mustToToml | quote }}\n" +
		"d: {{ mustToDuration \"90m\" }} {{ durationSeconds \"1.5\" }} {{ durationMilliseconds 2 }} {{ durationMicroseconds \"1ms\" }} {{ durationNanoseconds 1 }} {{ durationMinutes \"90s\" }} {{ durationHours 5400 }} {{ durationDays \"36h\" }} {{ durationWeeks \"84h\" }}\n" +
		"r: {{ durationRoundTo \"1h37m\" \"15m\" }} {{ durationTruncateTo \"1h37m\" \"15m\" }} {{ durationSeconds \"never\" }} {{ durationRoundTo \"1h7m\" \"x\" }}\n"},
	"function fails":   {"Chart.yaml": good, "templates/a.yaml": "d: {{ mustToDuration \"never\" }}\n"},
	"unknown format":   {"Chart.yaml": "apiVersion: v9\nname: c\nversion: 1.0.0\n"},
	"nested errors":    {"Chart.yaml": good, "templates/_h.tpl": "{{ define \"x\" }}\n{{ include \"y\" . }}{{ end }}{{ define \"y\" }}{{ .Values.a.b.c }}{{ end }}", "templates/a.yaml": "a: {{ include \"x\" . }}\n"},
	"error in tpl":     {"Chart.yaml": good, "templates/a.yaml": "a: {{ tpl \"{{ .Values.a.b.c }}\" . }}\n"},
	"no such template": {"Chart.yaml": good, "templates/a.yaml": "a: {{ include \"nothing\" . }}\n"},
	"wrong argument":   {"Chart.yaml": good, "templates/a.yaml": "a: {{ index .Values.x 3 }}\n", "values.yaml": "x: [1]\n"},
	"kubeVersion":      {"Chart.yaml": good + "kubeVersion: \"<1.20\"\n", "templates/a.yaml": "a: 1\n"},
	"aliases": {"Chart.yaml": good + "dependencies: [{name: s, version: 1.0.0, alias: one}, {name: s, version: 1.0.0, alias: two, condition: two.on}, {name: s, version: 1.0.0}]\n",
		"charts/s/Chart.yaml":                "apiVersion: v2\nname: s\nversion: 1.0.0\ndependencies: [{name: t, version: 1.0.0, condition: t.on}]\n",
		"charts/s/values.yaml":               "t: {on: true}\n",
		"charts/s/templates/a.yaml":          "s: {{ .Chart.Name }} {{ .Template.Name }}\n",
		"charts/s/charts/t/Chart.yaml":       "apiVersion: v2\nname: t\nversion: 1.0.0\n",
		"charts/s/charts/t/templates/a.yaml": "t: {{ .Chart.Name }} {{ .Template.Name }} {{ .Values.x }}\n",
		"values.yaml":                        "one: {t: {x: 1}}\ntwo: {t: {x: 2, on: false}}\ns: {t: {x: 3}}\n"},
}

func TestRenderWhatHelm4DoesOtherwise(t *testing.T) {
	every := []string{"c", "c --kube-version 1.33.4-gke.1245000", "c --kube-version v1.36 --set b.e.f=1,s.x=2,two.on=false -s templates/a.yaml", `c -f v.yaml --set-json {"b":{"z":[1]},"q":null}`}
	for _, group := range []struct {
		charts map[string]map[string]string
		lines  []string
	}{{differing, every}, {unreadable, every[:1]}} {
		for name, files := range group.charts {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				testfiles.Write(t, filepath.Join(dir, "c"), files)
				values := "a: 1\nb: {x: 1}\n---\nb: {y: null}\n"
				require.NoError(t, os.WriteFile(filepath.Join(dir, "v.yaml"), []byte(values), 0o644))
				for _, line := range group.lines {
					t.Run(line, func(t *testing.T) { compareWith(t, 4, dir, strings.Fields(line)...) })
				}
			})
		}
	}
}
