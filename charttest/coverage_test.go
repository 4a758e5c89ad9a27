package charttest_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest"
)

func TestCoverageCountsBranchesAndLines(t *testing.T) {
	dir := unpack(t, "cinema")
	chart := charttest.MustLoad(t, dir)
	plain := chart.MustRender(t)
	cov, err := chart.Cover(t.Context(), plain)
	require.NoError(t, err)

	byFile := map[string]charttest.FileCoverage{}
	for _, f := range cov.Files {
		byFile[strings.TrimPrefix(f.File, dir+"/")] = f
	}
	deployment := byFile["templates/deployment.yaml"]
	require.Equal(t, charttest.Share{Hit: 1, All: 2}, deployment.Branches)
	require.Equal(t, "with .Values.unknown", deployment.Missed[0].Branch)
	require.Equal(t, dir+"/templates/deployment.yaml:12", deployment.Missed[0].Place.String())
	helpers := byFile["templates/_helpers.tpl"]
	require.Equal(t, charttest.Share{Hit: 5, All: 7}, helpers.Branches, "three defines, two elses")
	require.Equal(t, 100.0, byFile["charts/projector/templates/configmap.yaml"].Lines.Percent())

	off := chart.MustRender(t, charttest.Set("projector.enabled=false"))
	cov, err = chart.Cover(t.Context(), off)
	require.NoError(t, err)
	for _, f := range cov.Files {
		if strings.HasSuffix(f.File, "configmap.yaml") {
			require.Zero(t, f.Lines.Hit, "a subchart that was off")
			require.Equal(t, 7, f.Lines.All)
		}
	}

	lax, err := chart.Render(t.Context(), charttest.Profile{Lax: true, Set: []string{"typo=Always", "unknown.a=b"}})
	require.NoError(t, err)
	more, err := chart.Cover(t.Context(), plain, lax)
	require.NoError(t, err)
	require.Greater(t, more.Branches().Hit, cov.Branches().Hit)

	var page bytes.Buffer
	require.NoError(t, more.HTML(&page))
	require.Contains(t, page.String(), "never taken: if gt (int .Values.screens) 100")
}

func TestCoverageLeavesTheBytesAlone(t *testing.T) {
	chart := charttest.MustLoad(t, unpack(t, "cinema"))
	before := chart.MustRender(t)
	text := before.Manifest(true)
	_, err := chart.Cover(t.Context(), before)
	require.NoError(t, err)
	require.Equal(t, text, chart.MustRender(t).Manifest(true))
}
