package charttest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/ai-film/ai-film/charttest"
)

func TestExamineValues(t *testing.T) {
	dir := unpack(t, "cinema",
		txtar.File{Name: "values.yaml", Data: []byte(`screens: 2
title: Nosferatu
image:
  repository: cinema
  tag: ""
global:
  city: Lübeck
projector:
  enabled: true
organ:
  pipes: 7
  player: nobody
colours: [black, white]
seats:
  rows: 10
  perRow: 20
labels: {}
# curtain: red
`)},
		txtar.File{Name: "templates/seats.yaml", Data: []byte(`
apiVersion: v1
kind: ConfigMap
metadata: {name: seats, labels: {{- toYaml .Values.labels | nindent 4 }}}
data:
  {{- range $k, $v := .Values.seats }}
  {{ $k }}: {{ $v | quote }}
  {{- end }}
  curtain: {{ .Values.curtain | default "green" }}
  carpet: {{ .Values.carpet | default "red" }}
  {{- with .Values.organ }}
  pipes: {{ .pipes | quote }}
  {{- end }}
`)})
	chart := charttest.MustLoad(t, dir)
	report, err := chart.ExamineValues(t.Context(), chart.MustRender(t), chart.MustRender(t, chart.Profile("large")))
	require.NoError(t, err)

	lines := func(list []charttest.ValueUse) []string {
		var out []string
		for _, v := range list {
			out = append(out, strings.TrimPrefix(v.String(), dir+"/"))
		}
		return out
	}
	dead := ": no template reads it: changing it changes nothing"
	require.Equal(t, []string{"values.yaml:13: colours" + dead, "values.yaml:12: organ.player" + dead}, lines(report.Dead))
	require.Equal(t, []string{
		"templates/seats.yaml:10: carpet: templates read it, but no values.yaml declares it",
		"templates/_helpers.tpl:9: typo: templates read it, but no values.yaml declares it",
		"templates/deployment.yaml:12: unknown: templates read it, but no values.yaml declares it",
	}, lines(report.Undeclared))
	var holes []string
	for _, v := range report.Holes {
		holes = append(holes, v.Path)
	}
	require.NotContains(t, holes, "screens")
	require.NotContains(t, holes, "image.tag")
	require.Contains(t, holes, "title")
	require.Contains(t, lines(report.Holes), "values.yaml:11: organ.pipes: the schema takes anything where values.yaml has a number")
}

func TestDeadValuesOfDisabledSubchartsAreNotJudged(t *testing.T) {
	chart := charttest.MustLoad(t, unpack(t, "cinema",
		txtar.File{Name: "charts/projector/values.yaml", Data: []byte("lumens: 1\nbulb: halogen\n")}))
	report, err := chart.ExamineValues(t.Context(), chart.MustRender(t, charttest.Set("projector.enabled=false")))
	require.NoError(t, err)
	require.Empty(t, report.Dead)
	report, err = chart.ExamineValues(t.Context(), chart.MustRender(t))
	require.NoError(t, err)
	require.Len(t, report.Dead, 1)
	require.Equal(t, "projector.bulb", report.Dead[0].Path)
	require.True(t, strings.HasSuffix(report.Dead[0].Place.String(), "charts/projector/values.yaml:2"), report.Dead[0].Place)
}

// What no profile turns on is untested, which coverage tells, and not dead.
func TestValuesOfBranchesNeverTakenAreNotDead(t *testing.T) {
	chart := charttest.MustLoad(t, unpack(t, "cinema",
		txtar.File{Name: "values.yaml", Data: []byte(`screens: 2
title: Nosferatu
image: {repository: cinema, tag: ""}
projector: {enabled: false}
enabled: true
bar:
  enabled: false
  drinks: [water]
  colours: {wall: red, door: blue}
  closed: Monday
  licence: {number: 7, office: town}
  music: none
`)},
		txtar.File{Name: "templates/bar.yaml", Data: []byte(`{{- if .Values.bar.enabled }}
apiVersion: v1
kind: ConfigMap
metadata: {name: bar}
data:
  drinks: {{ join "," .Values.bar.drinks }}
  {{- with .Values.bar.colours }}
  wall: {{ .wall }}
  {{- end }}
  {{- if .Values.bar.licence }}
  licence: {{ include "bar.licence" (dict "of" .Values.bar) | quote }}
  {{- end }}
{{- end }}
{{- define "bar.licence" }}{{ with .of.licence }}{{ .number }}{{ end }}{{ end }}
`)}))
	report, err := chart.ExamineValues(t.Context(), chart.MustRender(t))
	require.NoError(t, err)
	require.Empty(t, report.Dead) // the bar is handed to a define as a whole

	report, err = chart.ExamineValues(t.Context(), chart.MustRender(t), chart.MustRender(t, charttest.Set("bar.enabled=true")))
	require.NoError(t, err)
	var dead []string
	for _, v := range report.Dead {
		dead = append(dead, v.Path)
	}
	require.Equal(t, []string{"bar.closed", "bar.colours.door", "bar.licence.office", "bar.music"}, dead)
}

// Asking whether a value is there isn't reading it, and what a loop finds in
// one table needn't be in all of them.
func TestValuesThatAreOnlyAskedForAreNotUndeclared(t *testing.T) {
	chart := charttest.MustLoad(t, unpack(t, "cinema",
		txtar.File{Name: "values.yaml", Data: []byte(`screens: 2
title: Nosferatu
image: {repository: cinema, tag: ""}
projector: {enabled: false}
halls:
  large: {rows: 20, balcony: true}
  small: {rows: 5}
`)},
		txtar.File{Name: "templates/halls.yaml", Data: []byte(`{{- if .Values.stage }}{{ fail "stage is called halls now" }}{{ end }}
{{- if hasKey .Values "heating" }}
# {{ .Values.heating }}
{{- end }}
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Values.nameOverride | default "halls" }}}
data:
  {{- range $name, $hall := .Values.halls }}
  {{ $name }}: "{{ $hall.rows }}{{ if $hall.balcony }} and more{{ end }}{{ $hall.lift }}"
  {{- end }}
`)}))
	report, err := chart.ExamineValues(t.Context(), chart.MustRender(t))
	require.NoError(t, err)
	var undeclared []string
	for _, v := range report.Undeclared {
		if strings.HasSuffix(v.Place.File, "halls.yaml") {
			undeclared = append(undeclared, v.Path)
		}
	}
	require.Equal(t, []string{"halls.large.lift", "halls.small.lift"}, undeclared)
}

// A define that reads a value of one service only, for now, may read it of
// another that comes to it too.
func TestValuesOfAnotherServiceAreNotDead(t *testing.T) {
	chart := charttest.MustLoad(t, unpack(t, "cinema",
		txtar.File{Name: "values.yaml", Data: []byte(`screens: 2
title: Nosferatu
image: {repository: cinema, tag: ""}
projector: {enabled: false}
shop: {port: 80, scheme: http, colour: red}
till: {port: 81, scheme: "", colour: red}
`)},
		txtar.File{Name: "templates/shop.yaml", Data: []byte(`apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data:
  shop: {{ include "url" (dict "of" .Values.shop "scheme" true) | quote }}
  till: {{ include "url" (dict "of" .Values.till "scheme" false) | quote }}
{{- define "url" }}{{ if .scheme }}{{ .of.scheme }}{{ end }}{{ .of.port }}{{ end }}
`)}))
	report, err := chart.ExamineValues(t.Context(), chart.MustRender(t))
	require.NoError(t, err)
	var dead []string
	for _, v := range report.Dead {
		dead = append(dead, v.Path)
	}
	require.Equal(t, []string{"shop.colour", "till.colour"}, dead)
}
