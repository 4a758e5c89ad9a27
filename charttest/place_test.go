package charttest_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest"
)

// A line that begins with an action, after its indentation, is the action's.
func TestPlaceOfALineThatBeginsWithAnAction(t *testing.T) {
	const head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n"
	for name, c := range map[string]struct {
		body string
		line int
	}{
		"a key":                   {"  {{ .Values.key }}: 1\n", 5},
		"a key in a loop":         {"  {{- range $k, $v := .Values.all }}\n  {{ $k }}: {{ $v }}\n  {{- end }}\n", 6},
		"an include":              {"  {{ include \"pair\" . }}\n", 5},
		"an include, indented":    {"  {{- include \"pair\" . | nindent 2 }}\n", 5},
		"a key after an action":   {"  {{ .Values.key }}0: x\n  {{ .Values.key }}: 1\n", 6},
		"a key at the line's end": {"  b: {{ .Values.none }}\n  {{ .Values.key }}: 1", 6},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"Chart.yaml": chartYAML, "values.yaml": "key: a\nall: {a: 1}\n",
				"templates/_pair.tpl": "{{ define \"pair\" }}a: 1{{ end }}", "templates/a.yaml": head + c.body})
			_, err := charttest.MustLoad(t, dir).Render(t.Context())
			var strict *charttest.StrictError
			require.True(t, errors.As(err, &strict), "%v", err)
			require.Equal(t, dir+"/templates/a.yaml", strict.Problems[0].Place().File)
			require.Equal(t, c.line, strict.Problems[0].Place().Line, "%s", strict)
		})
	}
}
