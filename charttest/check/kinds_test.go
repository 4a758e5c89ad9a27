package check_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
)

// TestKinds holds the checks to kinds of faults, a file of testdata/kinds for
// each: an archive of templates, each the only one of a chart. A comment at the
// end of a line says which finding is due at that line; there may be no others.
//
//	-- a pull policy in other letters --
//	        imagePullPolicy: ifNotPresent #! field-valid: supported values: "Always"
//
// In its first lines may stand the values of the chart, what is known of the
// cluster, and the version of Kubernetes:
//
//	# values: {existingSecret: mine}
//	# cluster: {podSecurity: restricted}
//	# kube: "1.34"
func TestKinds(t *testing.T) {
	files, err := filepath.Glob("testdata/kinds/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(t, err)
		for _, section := range archive.Files {
			t.Run(filepath.Base(file)+"/"+section.Name, func(t *testing.T) {
				dir := t.TempDir()
				values, kube, cluster := "{}\n", "1.36", check.Cluster{}
				var want []string
				for i, line := range strings.Split(string(section.Data), "\n") {
					if due, ok := cutAfter(line, " #! "); ok {
						want = append(want, fmt.Sprintf("%03d %s", i+1, due))
					}
					if v, ok := strings.CutPrefix(line, "# values: "); ok {
						values = v
					} else if v, ok := strings.CutPrefix(line, "# cluster: "); ok {
						require.NoError(t, yaml.UnmarshalStrict([]byte(v), &cluster))
					} else if v, ok := strings.CutPrefix(line, "# kube: "); ok {
						kube = strings.Trim(v, `"`)
					}
				}
				require.NoError(t, os.Mkdir(filepath.Join(dir, "templates"), 0o700))
				for name, text := range map[string]string{"Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n", "values.yaml": values, "templates/all.yaml": string(section.Data)} {
					require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
				}
				options := append([]charttest.Option{charttest.KubeVersion(kube)}, circumstances...)
				r, err := charttest.MustLoad(t, dir).Render(t.Context(), options...)
				require.NoError(t, err)
				var have []string
				for _, f := range check.Run(r, cluster) {
					require.NotEmpty(t, f.Remedy)
					have = append(have, fmt.Sprintf("%03d %s: %s", f.Place().Line, f.Check, f.Message))
				}
				slices.Sort(have)
				require.Len(t, have, len(want), "%s", strings.Join(have, "\n"))
				for i := range have {
					line, rest, _ := strings.Cut(want[i], ": ")
					require.True(t, strings.HasPrefix(have[i], line+": ") && strings.Contains(have[i], rest), "%s\nis not\n%s", have[i], want[i])
				}
			})
		}
	}
}

func cutAfter(s, sep string) (string, bool) {
	_, after, ok := strings.Cut(s, sep)
	return after, ok
}
