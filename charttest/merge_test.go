package charttest_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest"
)

// Keys that a merge brings in are overridden by those that stand in the
// mapping itself, on whichever side of it. Only a key that stands there twice
// is a duplicate.
func TestMergedKeysAreNoDuplicates(t *testing.T) {
	const head = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: &l {app: a, tier: web}\n"
	for name, c := range map[string]struct {
		body  string
		lines []int // of the duplicates
	}{
		"a key after the merge":          {"  annotations:\n    <<: *l\n    app: b\n", nil},
		"a key before the merge":         {"  annotations:\n    app: b\n    <<: *l\n", nil},
		"merges of two":                  {"  annotations: &d {app: x}\ndata:\n  <<: [*l, *d]\n", nil},
		"two merges":                     {"  annotations: &d {app: x}\ndata:\n  <<: *l\n  <<: *d\n", nil},
		"a merge of a merge":             {"  annotations: &m\n    <<: *l\n    app: b\ndata:\n  <<: *m\n  app: c\n  tier: db\n", nil},
		"in flow style":                  {"data: {<<: *l, app: b}\n", nil},
		"a quoted key":                   {"data:\n  <<: *l\n  \"app\": b\n", nil},
		"in a list":                      {"immutable: false\ndata:\n  x: |\n    - <<: a\n  <<: *l\n  app: b\n", nil},
		"twice":                          {"data:\n  app: b\n  app: c\n", []int{8}},
		"twice, quoted once":             {"data:\n  app: b\n  'app': c\n", []int{8}},
		"twice beside a merge":           {"data:\n  <<: *l\n  app: b\n  app: c\n", []int{9}},
		"twice around a merge":           {"data:\n  app: b\n  <<: *l\n  app: c\n", []int{9}},
		"twice in what is merged":        {"data:\n  <<: {app: b, app: c}\n", []int{7}},
		"a key called <<, quoted, twice": {"data:\n  \"<<\": b\n  \"<<\": c\n", []int{8}},
		"thrice":                         {"data:\n  app: b\n  app: c\n  app: d\n", []int{8, 9}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"Chart.yaml": chartYAML, "templates/a.yaml": head + c.body})
			_, err := charttest.MustLoad(t, dir).Render(t.Context())
			var lines []int
			var strict *charttest.StrictError
			if errors.As(err, &strict) {
				for _, p := range strict.Problems {
					require.Contains(t, p.Message, "duplicate key", "%s", p)
					lines = append(lines, p.Place().Line)
				}
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, c.lines, lines, fmt.Sprint(err))
		})
	}
}
