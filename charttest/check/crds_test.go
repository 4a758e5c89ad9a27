package check_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/internal/testfiles"
)

const crd = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: films.example.org}
spec:
  group: example.org
  names: {kind: Film, plural: films}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`

// Helm installs the definitions in crds/ one after another and skips those that
// are there; in templates they are objects like any other.
func TestDefinitionsOfCRDFoldersAreInstalledOnce(t *testing.T) {
	const sub, twice = "apiVersion: v2\nname: sub\nversion: 1.0.0\n", "dependencies: [{name: sub, version: 1.0.0, alias: a}, {name: sub, version: 1.0.0, alias: b}]\n"
	older := strings.Replace(crd, "name: v1,", "name: v1beta1,", 1)
	for name, c := range map[string]struct {
		files map[string]string
		at    string // of the finding
	}{
		"two aliases of one subchart": {files: map[string]string{"Chart.yaml": twice, "charts/sub/Chart.yaml": sub, "charts/sub/crds/film.yaml": crd}},
		"two subcharts": {files: map[string]string{"charts/sub/Chart.yaml": sub, "charts/sub/crds/film.yaml": crd,
			"charts/other/Chart.yaml": "apiVersion: v2\nname: other\nversion: 1.0.0\n", "charts/other/crds/film.yaml": older}},
		"a chart and its subchart": {files: map[string]string{"crds/film.yaml": crd, "charts/sub/Chart.yaml": sub, "charts/sub/crds/film.yaml": crd}},
		"two files":                {files: map[string]string{"crds/film.yaml": crd, "crds/old.yaml": older}},
		"one file":                 {files: map[string]string{"crds/film.yaml": crd + "---\n" + crd}},
		"templates of two aliases": {files: map[string]string{"Chart.yaml": twice, "charts/sub/Chart.yaml": sub, "charts/sub/templates/film.yaml": crd},
			at: "charts/sub/templates/film.yaml:3"},
		"two templates":                  {files: map[string]string{"templates/a.yaml": crd, "templates/b.yaml": crd}, at: "templates/b.yaml:3"},
		"a template and the crds folder": {files: map[string]string{"crds/film.yaml": crd, "templates/a.yaml": crd}, at: "templates/a.yaml:3"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.files["Chart.yaml"] = "apiVersion: v2\nname: shop\nversion: 1.0.0\n" + c.files["Chart.yaml"]
			testfiles.Write(t, dir, c.files)
			findings := check.Run(charttest.MustLoad(t, dir).MustRender(t), check.Cluster{})
			if c.at == "" {
				require.Empty(t, findings)
				return
			}
			require.Len(t, findings, 1)
			require.Equal(t, "duplicate-object", findings[0].Check)
			require.Equal(t, filepath.Join(dir, c.at), findings[0].Place().String())
		})
	}
}
