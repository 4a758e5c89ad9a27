package verify_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest/verify"
)

const lampDefinition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {kind: Lamp, plural: lamps}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {watts: {type: integer}}}}}}}]
`

// Definitions come from the chart, or from where .verify.yaml says.
func TestCustomResourcesAreHeldToTheirDefinitions(t *testing.T) {
	const lamp = "apiVersion: example.org/v1\nkind: Lamp\nmetadata: {name: a}\nspec:\n  watts: {{ .Values.watts }}\n"
	for name, c := range map[string]struct {
		files map[string]string
		found int
	}{
		"the chart's":     {map[string]string{"crds/lamps.yaml": lampDefinition}, 1},
		"a folder's":      {map[string]string{"schemas/lamps.yaml": lampDefinition, ".helmignore": "schemas/\n", ".verify.yaml": "schemas: [schemas]"}, 1},
		"accepted":        {map[string]string{"crds/lamps.yaml": lampDefinition, ".verify.yaml": "suppress: [{check: custom-resource, reason: an old operator}]"}, 0},
		"nobody knows it": {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"values.yaml": "watts: 40\n", "values/bright.yaml": "watts: bright\n", "templates/lamp.yaml": lamp}
			for file, text := range c.files {
				files[file] = text
			}
			result := run(t, write(t, files))
			require.Len(t, result.Findings, c.found, "%v", result.Findings)
			if c.found > 0 {
				f := result.Findings[0]
				require.Equal(t, "custom-resource", f.Check)
				require.Equal(t, "spec.watts", f.Field)
				require.Equal(t, 5, f.Line)
				require.Equal(t, []string{"bright"}, f.Profiles)
			}
		})
	}
	dir := write(t, map[string]string{".verify.yaml": "schemas: [nowhere]", "templates/lamp.yaml": "", "values.yaml": ""})
	config, err := verify.LoadConfig(dir, "")
	require.NoError(t, err)
	_, err = verify.Run(context.Background(), dir, config)
	require.ErrorContains(t, err, "nowhere: no such file")
}
