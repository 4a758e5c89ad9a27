package check_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/internal/testfiles"
)

// section is a chart of one template, and what is known of it by the comments
// that the template begins with:
//
//	# values: {existingSecret: mine}
//	# cluster: {podSecurity: restricted}
//	# kube: "1.34"
//	# want: service-port Service/web: targets port http
type section struct {
	text    string // of the template
	dir     string // of the chart
	cluster check.Cluster
	options []charttest.Option
	want    []string
}

// findings are those of the chart's render.
func (s section) findings(t *testing.T) []check.Finding {
	t.Helper()
	r, err := charttest.MustLoad(t, s.dir).Render(t.Context(), append(s.options, circumstances...)...)
	require.NoError(t, err)
	return check.Run(r, s.cluster)
}

// eachSection runs a test for every section of the archives in testdata/FOLDER.
func eachSection(t *testing.T, folder string, test func(t *testing.T, s section)) {
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(t, err)
		for _, f := range archive.Files {
			t.Run(filepath.Base(file)+"/"+f.Name, func(t *testing.T) { test(t, readSection(t, f)) })
		}
	}
}

func readSection(t *testing.T, f txtar.File) section {
	t.Helper()
	s := section{text: string(f.Data), dir: t.TempDir()}
	files := map[string]string{"Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n", "templates/all.yaml": s.text}
	for line := range strings.Lines(s.text) {
		comment, ok := strings.CutPrefix(line, "# ")
		if !ok {
			break
		}
		switch key, value, _ := strings.Cut(strings.TrimSpace(comment), ": "); key {
		case "want":
			s.want = append(s.want, value)
		case "values":
			files["values.yaml"] = value
		case "cluster":
			require.NoError(t, yaml.UnmarshalStrict([]byte(value), &s.cluster))
		case "kube":
			s.options = append(s.options, charttest.KubeVersion(strings.Trim(value, `"`)))
		default:
			t.Fatalf("%s: %q says nothing of a chart", f.Name, line)
		}
	}
	testfiles.Write(t, s.dir, files)
	return s
}
