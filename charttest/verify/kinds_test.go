package verify_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest/verify"
)

// What Helm only logs is a finding, at its line.
func TestWhatHelmWarnsOf(t *testing.T) {
	hook := func(hook, kind string) string {
		return "apiVersion: v1\nkind: " + kind + "\nmetadata:\n  name: x\n  annotations:\n    a: b\n    helm.sh/hook: \"" + hook + "\"\n"
	}
	for name, c := range map[string]struct {
		files         map[string]string
		file          string
		line          int
		object, field string
		says          string
	}{
		"two hooks, of which one is none": {map[string]string{"templates/a.yaml": hook("post-install, pre-uninstall", "ServiceAccount")}, "templates/a.yaml", 7, "ServiceAccount/x", "", `skipping unknown hook: "post-install, pre-uninstall"`},
		"a hook of no name":               {map[string]string{"templates/a.yaml": hook("", "ServiceAccount")}, "templates/a.yaml", 7, "ServiceAccount/x", "", `skipping unknown hook: ""`},
		"a hook of Helm 2":                {map[string]string{"templates/a.yaml": hook("crd-install", "ServiceAccount")}, "templates/a.yaml", 7, "ServiceAccount/x", "", "crd-install"},
		"a table overwritten by text":     {map[string]string{"values.yaml": "name: x\nweb:\n  port: {http: 80}\n", "ci/a-values.yaml": "name: x\nweb:\n  port: 80\n", "templates/a.yaml": account}, "ci/a-values.yaml", 3, "", "web.port", "cannot overwrite table with non table for toy.web.port"},
		"text overwritten by a table":     {map[string]string{"values.yaml": "name: x\nport: 80\n", "ci/a-values.yaml": "port: {http: 80}\n", "templates/a.yaml": account}, "ci/a-values.yaml", 1, "", "port", "skipped value for toy.port: Not a table"},
		"deep in a subchart": {map[string]string{"values.yaml": "name: x\nsub:\n  web:\n    tls: 1\n", "templates/a.yaml": account,
			"charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n", "charts/sub/values.yaml": "web:\n  tls: {a: b}\n"}, "values.yaml", 4, "", "sub.web.tls", "cannot overwrite table with non table for toy.sub.web.tls"},
		"a condition that is text": {map[string]string{"Chart.yaml": "apiVersion: v2\nname: toy\nversion: 1.0.0\ndependencies: [{name: sub, version: 1.0.0, condition: sub.enabled}]\n", "values.yaml": "name: x\nsub:\n  enabled: \"false\"\n",
			"templates/a.yaml": account, "charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n"}, "values.yaml", 3, "", "sub.enabled", "Condition path 'sub.enabled' for chart sub returned non-bool value"},
		"a tag that is a number": {map[string]string{"Chart.yaml": "apiVersion: v2\nname: toy\nversion: 1.0.0\ndependencies: [{name: sub, version: 1.0.0, tags: [extra]}]\n", "values.yaml": "name: x\ntags:\n  extra: 0\n",
			"templates/a.yaml": account, "charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n"}, "values.yaml", 3, "", "tags.extra", "Tag 'extra' for chart sub returned non-bool value"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, c.files)
			result := run(t, dir)
			require.Len(t, result.Findings, 1, "%+v", result.Findings)
			f := result.Findings[0]
			require.Equal(t, "helm-warning", f.Check)
			require.Contains(t, f.Message, c.says)
			require.NotEmpty(t, f.Remedy)
			require.Equal(t, c.object, f.Object)
			require.Equal(t, c.field, f.Field)
			require.Equal(t, fmt.Sprint(filepath.Join(dir, c.file), ":", c.line), fmt.Sprint(f.File, ":", f.Line))
		})
	}
}

// Templates are told the groups, versions and kinds that each version of
// Kubernetes serves, and what the chart's crds/ define.
func TestCapabilitiesAreThoseOfAClusterOfThatVersion(t *testing.T) {
	asked := []string{"networking.k8s.io/v1/Ingress", "resource.k8s.io/v1", "policy/v1/PodDisruptionBudget", "autoscaling/v2beta2", "monitoring.coreos.com/v1", "example.org/v1", "example.org/v1/Web", "apps/v1/Deploymint"}
	var template strings.Builder
	for i, api := range asked {
		fmt.Fprintf(&template, "---\n{{ if .Capabilities.APIVersions.Has %q }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: Has-%d}\n{{ end }}\n", api, i)
	}
	dir := write(t, map[string]string{"templates/a.yaml": template.String(), "crds/web.yaml": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: webs.example.org}\n" +
		"spec:\n  group: example.org\n  scope: Namespaced\n  names: {kind: Web, plural: webs, singular: web, listKind: WebList}\n  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]\n"})
	result, err := verify.Run(t.Context(), dir, verify.Config{KubeVersions: []string{"1.22", "1.33", "1.34"}})
	require.NoError(t, err)
	has := map[string][]string{}
	for _, f := range result.Findings { // each says by its name that it was rendered
		require.Equal(t, "metadata", f.Check)
		var i int
		_, err := fmt.Sscanf(f.Object, "ConfigMap/Has-%d", &i)
		require.NoError(t, err)
		has[asked[i]] = f.Versions
	}
	require.Equal(t, map[string][]string{
		"networking.k8s.io/v1/Ingress":  {"1.22", "1.33", "1.34"},
		"policy/v1/PodDisruptionBudget": {"1.22", "1.33", "1.34"},
		"resource.k8s.io/v1":            {"1.34"},
		"autoscaling/v2beta2":           {"1.22"},
		"example.org/v1":                {"1.22", "1.33", "1.34"},
		"example.org/v1/Web":            {"1.22", "1.33", "1.34"},
	}, has)
}
