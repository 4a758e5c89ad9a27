package verify_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/verify"
)

// owned is a check that no package of ours has.
var owned = &check.Check{
	Name: "owned", Why: "Nobody is called when it fails.", Remedy: "Add the label owner.",
	Run: func(p *check.Pass) {
		for _, o := range p.Render.Objects {
			if o.Unstructured().GetLabels()["owner"] == "" {
				p.Report(o, "metadata.labels", "has no label owner in %s", p.Render.Profile.Namespace)
			}
		}
	},
}

func TestChecksOfOnesOwn(t *testing.T) {
	dir := write(t, map[string]string{
		"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: loose\n  labels:\n    tier: web\n",
		"templates/b.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: tied\n  labels:\n    owner: films\n",
	})
	chart := charttest.MustLoad(t, dir)
	findings := check.Run(chart.MustRender(t, charttest.Release("r", "town")), check.Cluster{}, append(check.All(), owned)...)
	require.Len(t, findings, 1)
	require.Equal(t, filepath.Join(dir, "templates/a.yaml")+":5: ConfigMap/loose: has no label owner in town (owned)", findings[0].String())
	require.Equal(t, "Add the label owner.", findings[0].Remedy)

	result, err := verify.Run(t.Context(), dir, verify.Config{Namespace: "town", Checks: []*check.Check{owned}})
	require.NoError(t, err)
	require.Len(t, result.Findings, 1)
	require.Equal(t, 5, result.Findings[0].Line)
	for name, write := range verify.Formats {
		var b bytes.Buffer
		require.NoError(t, write(&b, result))
		require.Contains(t, b.String(), "owned", name)
	}

	config := write(t, map[string]string{".verify.yaml": "suppress: [{check: owned, object: ConfigMap/*, reason: a toy}]"})
	file := filepath.Join(config, ".verify.yaml")
	_, err = verify.LoadConfig(dir, file)
	require.ErrorContains(t, err, `there is no check "owned"`)
	c, err := verify.LoadConfig(dir, file, owned)
	require.NoError(t, err)
	result, err = verify.Run(t.Context(), dir, c)
	require.NoError(t, err)
	require.Empty(t, result.Findings)
	require.Len(t, result.Accepted, 1)
}

func TestRulesAndPoliciesOfTheConfiguration(t *testing.T) {
	dir := write(t, map[string]string{
		"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: loose\n  labels:\n    tier: web\n",
		".verify.yaml": `rules:
  - name: owned
    kinds: [ConfigMap]
    expression: "'owner' in object.metadata.labels"
    message: has no label owner
policies: [policies/*.yaml]
suppress: [{check: named, reason: a toy}]
`,
		"policies/named.yaml": `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: named}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  validations: [{expression: object.metadata.name == 'tied'}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: named}
spec: {policyName: named, validationActions: [Deny]}
`,
	})
	config, err := verify.LoadConfig(dir, "")
	require.NoError(t, err)
	result, err := verify.Run(t.Context(), dir, config)
	require.NoError(t, err)
	require.Len(t, result.Findings, 1)
	require.Equal(t, filepath.Join(dir, "templates/a.yaml")+":5: ConfigMap/loose: has no label owner (owned)", result.Findings[0].String())
	require.Len(t, result.Accepted, 1)
	require.Equal(t, "named", result.Accepted[0].Check)

	for says, config := range map[string]string{
		"undeclared reference": "rules: [{name: a, expression: nothing}]",
		"two checks":           "rules: [{name: strict, expression: 'true'}]",
		"nowhere.yaml":         "policies: [nowhere.yaml]",
		"helm: 5: 3 or 4":      "helm: 5",
	} {
		dir := write(t, map[string]string{".verify.yaml": config})
		_, err := verify.LoadConfig(dir, "")
		var e *verify.Error
		require.ErrorAs(t, err, &e)
		require.ErrorContains(t, err, says)
		require.Equal(t, filepath.Join(dir, ".verify.yaml"), e.Source)
	}
}

func TestVerifyForHelm4(t *testing.T) {
	dir := write(t, map[string]string{
		"templates/a.yaml": "{{- if kindIs \"map\" .Chart }}\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: My_Config\n{{- end }}\n",
	})
	for helm, findings := range map[int]int{0: 0, 3: 0, 4: 1} {
		result, err := verify.Run(t.Context(), dir, verify.Config{Helm: helm})
		require.NoError(t, err)
		require.Len(t, result.Findings, findings, "Helm %d", helm)
	}
}
