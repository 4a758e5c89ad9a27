package charttest_test

import (
	"io/fs"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/internal/testfiles"
)

func TestSurveyMissingDependenciesAndPlaces(t *testing.T) {
	dir := t.TempDir()
	testfiles.Write(t, dir, map[string]string{
		"Chart.yaml":       "apiVersion: v2\nname: toy\nversion: 1.0.0\ndependencies: [{name: sub, version: 1.0.0}]\n",
		"values.yaml":      "open: false\nidle: 1\nweb:\n  port: 80\n",
		"more.yaml":        "# more\nweb:\n  port: 81\n",
		"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: {helm.sh/hook: sometimes}\ndata:\n  {{- if .Values.open }}\n  port: \"{{ .Values.web.port }}\"\n  {{- else }}\n  none: \"\"\n  {{- end }}\n",
	})
	chart := charttest.MustLoad(t, dir)
	require.Equal(t, []string{"sub"}, chart.Missing())

	survey := chart.Survey()
	var each sync.WaitGroup
	for _, set := range []string{"open=true", "open=false"} {
		each.Go(func() {
			r, err := survey.Render(t.Context(), charttest.Set(set))
			if err == nil {
				err = survey.Cover(r)
			}
			if err == nil {
				err = survey.Examine(r)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	each.Wait()
	require.Equal(t, charttest.Share{Hit: 2, All: 2}, survey.Coverage().Branches())
	values, err := survey.Values(t.Context())
	require.NoError(t, err)
	require.Len(t, values.Dead, 1)
	require.Equal(t, "idle", values.Dead[0].Path)

	more := charttest.Profile{Name: "more", Files: []string{filepath.Join(dir, "more.yaml")}}
	for path, want := range map[string]charttest.Place{
		"web.port": {File: filepath.Join(dir, "more.yaml"), Line: 3},
		"idle":     {File: filepath.Join(dir, "values.yaml"), Line: 2},
	} {
		at := chart.ValuePlace(more, path)
		require.False(t, at.IsZero())
		require.Equal(t, want.String(), at.String(), path)
	}
	require.True(t, charttest.Place{}.IsZero())

	r := chart.MustRender(t)
	require.Len(t, r.Warnings, 1)
	require.Equal(t, "ConfigMap/a", r.Warnings[0].Object())
	require.Equal(t, filepath.Join(dir, "templates/a.yaml")+":5", r.WarningPlace(r.Warnings[0]).String())

	_, err = charttest.Load(filepath.Join(dir, "nowhere"))
	var load *charttest.LoadError
	require.ErrorAs(t, err, &load)
	require.ErrorIs(t, err, fs.ErrNotExist)
}
