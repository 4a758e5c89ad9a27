package check_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
)

// TestClaims holds the checks to charts that stand for kinds of public ones:
// what a chart may leave to others isn't reported, and what looks like it but
// is a mistake is. Each file of testdata/claims is an archive of templates,
// each the only one of a chart. In its first lines stand the findings that are
// due, in order, and what else the chart or the cluster has:
//
//	-- a name of a port that no container has --
//	# want: service-port Service/web: targets port http
//	# values: {existingSecret: mine}
//	# cluster: {podSecurity: restricted}
//	apiVersion: v1
func TestClaims(t *testing.T) {
	files, err := filepath.Glob("testdata/claims/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(t, err)
		for _, section := range archive.Files {
			t.Run(filepath.Base(file)+"/"+section.Name, func(t *testing.T) {
				c := readClaim(t, section)
				r, err := charttest.MustLoad(t, c.dir).Render(t.Context(), circumstances...)
				require.NoError(t, err)
				var have []string
				for _, f := range check.Run(r, c.cluster) {
					have = append(have, fmt.Sprintf("%s %s: %s", f.Check, f.Object, f.Message))
				}
				require.Len(t, have, len(c.want), "%q", have)
				for i := range have {
					require.Contains(t, have[i], c.want[i])
				}
			})
		}
	}
}

type claim struct {
	dir     string
	cluster check.Cluster
	want    []string
}

func readClaim(t *testing.T, section txtar.File) claim {
	t.Helper()
	c := claim{dir: t.TempDir()}
	files := map[string]string{"Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n", "templates/all.yaml": string(section.Data)}
	for line := range strings.Lines(string(section.Data)) {
		comment, ok := strings.CutPrefix(line, "# ")
		if !ok {
			break
		}
		switch key, value, _ := strings.Cut(strings.TrimSpace(comment), ": "); key {
		case "want":
			c.want = append(c.want, value)
		case "values":
			files["values.yaml"] = value
		case "cluster":
			require.NoError(t, yaml.UnmarshalStrict([]byte(value), &c.cluster))
		default:
			t.Fatalf("%s: %q says nothing of a claim", section.Name, line)
		}
	}
	for name, text := range files {
		file := filepath.Join(c.dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	return c
}
