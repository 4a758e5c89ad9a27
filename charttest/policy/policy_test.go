package policy_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/internal/envtest"
	"github.com/ai-film/ai-film/charttest/policy"
)

// rendered is a chart whose one template is the given file.
func rendered(t *testing.T, objects string) *charttest.Render {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "toy")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "templates"), 0o755))
	for name, text := range map[string]string{"Chart.yaml": "apiVersion: v2\nname: toy\nversion: 1.0.0\n", "templates/all.yaml": objects} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return charttest.MustLoad(t, dir).MustRender(t)
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(data)
}

// said is what the policies of testdata say to its objects, by «Kind/name»;
// pods of workloads aside, which the API server is not asked about.
func said(t *testing.T) map[string][]string {
	t.Helper()
	checks, err := policy.Load("testdata/polic*.yaml")
	require.NoError(t, err)
	all := map[string][]string{}
	for _, f := range check.Run(rendered(t, read(t, "testdata/objects.yaml")), check.Cluster{}, checks...) {
		if !strings.HasPrefix(f.Message, "its pods are refused: ") {
			all[f.Object] = append(all[f.Object], f.Check+": "+f.Message)
		}
	}
	return all
}

func TestPolicies(t *testing.T) {
	require.Equal(t, map[string][]string{
		"Deployment/many":      {"few-replicas.example.com: at most 3 replicas, not 5"},
		"StatefulSet/two":      {"owned.example.com: the policy warns: expression ''owner' in object.metadata.labels' resulted in error: no such key: labels", "few-replicas.example.com: two can't decide"},
		"Pod/elsewhere":        {"registry.example.com: images must come from registry.example.com/, in default"},
		"Pod/latest":           {"registry.example.com: images are pulled once"},
		"ConfigMap/nobodys":    {"owned.example.com: the policy warns: failed expression: 'owner' in object.metadata.labels"},
		"ConfigMap/unlabelled": {"owned.example.com: the policy warns: expression ''owner' in object.metadata.labels' resulted in error: no such key: labels"},
		"Secret/typed":         {"defaults.example.com: defaults are known"},
	}, said(t))
}

func TestPodsOfWorkloads(t *testing.T) {
	checks, err := policy.Load("testdata/policies.yaml")
	require.NoError(t, err)
	r := rendered(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  labels: {owner: films}\nspec:\n  selector: {matchLabels: {app: web}}\n"+
		"  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n        - name: main\n          image: docker.io/web:1\n")
	findings := check.Run(r, check.Cluster{}, checks...)
	require.Len(t, findings, 1)
	require.Equal(t, "its pods are refused: images must come from registry.example.com/, in default", findings[0].Message)
	require.Equal(t, 8, findings[0].Place().Line, "where the pod's template stands")
}

// TestAPIServerAgrees installs the policies in a real API server and asks it
// about the same objects.
func TestAPIServerAgrees(t *testing.T) {
	var warned warnings
	config := rest.CopyConfig(envtest.Start(t))
	config.WarningHandler = &warned
	client, err := dynamic.NewForConfig(config)
	require.NoError(t, err)
	create := func(u *unstructured.Unstructured, options metav1.CreateOptions) error {
		resource, _ := meta.UnsafeGuessKindToResource(u.GroupVersionKind())
		if strings.HasPrefix(u.GetKind(), "ValidatingAdmissionPolicy") && !strings.HasSuffix(u.GetKind(), "Binding") {
			resource.Resource = "validatingadmissionpolicies"
		}
		if k := u.GetKind(); strings.HasPrefix(k, "Validating") || k == "ClusterRole" {
			_, err := client.Resource(resource).Create(t.Context(), u, options)
			return err
		}
		namespace := u.GetNamespace()
		if namespace == "" {
			namespace = "default"
		}
		_, err := client.Resource(resource).Namespace(namespace).Create(t.Context(), u, options)
		return err
	}
	policies := documents(t, read(t, "testdata/policies.yaml"))
	slices.Reverse(policies) // parameters first
	for _, u := range policies {
		require.NoError(t, create(u, metav1.CreateOptions{}), u.GetName())
	}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	many := documents(t, read(t, "testdata/objects.yaml"))[0]
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for create(many, dryRun) == nil { // until the server has taken the policies in
		require.NoError(t, ctx.Err())
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(time.Second) // the rest of them
	denied := regexp.MustCompile(`ValidatingAdmissionPolicy '([^']+)' with binding '[^']+' denied request: (.*)`)
	warns := regexp.MustCompile(`Validation failed for ValidatingAdmissionPolicy '([^']+)' with binding '[^']+': (.*)`)
	have := map[string][]string{}
	for _, u := range documents(t, read(t, "testdata/objects.yaml")) {
		name := u.GetKind() + "/" + u.GetName()
		warned = nil
		if err := create(u, dryRun); err != nil {
			var causes []string
			var status apierrors.APIStatus = err.(apierrors.APIStatus)
			for _, c := range status.Status().Details.Causes {
				causes = append(causes, c.Message)
			}
			for _, cause := range append(causes, err.Error()) {
				if m := denied.FindStringSubmatch(cause); m != nil && !slices.Contains(have[name], m[1]+": "+m[2]) {
					have[name] = append(have[name], m[1]+": "+m[2])
				}
			}
			require.NotEmpty(t, have[name], "%s: %v", name, err)
		}
		for _, w := range warned {
			if m := warns.FindStringSubmatch(w); m != nil {
				have[name] = append(have[name], m[1]+": the policy warns: "+m[2])
			}
		}
	}
	want := said(t)
	for _, all := range []map[string][]string{have, want} {
		for _, list := range all {
			slices.Sort(list)
		}
	}
	require.Equal(t, have, want)
}

type warnings []string

func (w *warnings) HandleWarningHeader(_ int, _ string, text string) { *w = append(*w, text) }

func documents(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for _, doc := range strings.Split(text, "\n---\n") {
		u := new(unstructured.Unstructured)
		require.NoError(t, yaml.Unmarshal([]byte(doc), &u.Object))
		all = append(all, u)
	}
	return all
}

func TestRules(t *testing.T) {
	r := rendered(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  labels:\n    tier: web\nspec:\n  replicas: 4\n  selector: {matchLabels: {app: web}}\n"+
		"  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n        - name: main\n          image: web:1\n---\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: web}\n")
	for name, c := range map[string]struct {
		rule policy.Rule
		want []string
		line int
	}{
		"holds":      {policy.Rule{Expression: "object.metadata.name == 'web'"}, nil, 0},
		"fails":      {policy.Rule{Expression: "object.spec.replicas < 4", Kinds: []string{"Deployment"}}, []string{"Deployment/web: failed expression: object.spec.replicas < 4"}, 8},
		"message":    {policy.Rule{Expression: "false", Message: "never", Kinds: []string{"ConfigMap"}}, []string{"ConfigMap/web: never"}, 17},
		"expression": {policy.Rule{Expression: "false", MessageExpression: "object.kind + ' is wrong'", Kinds: []string{"apps/v1/*"}}, []string{"Deployment/web: Deployment is wrong"}, 1},
		"field":      {policy.Rule{Expression: "false", Field: "metadata.labels", Kinds: []string{"Deploy*"}, Message: "no"}, []string{"Deployment/web: no"}, 5},
		"variables": {policy.Rule{Variables: []policy.Variable{{Name: "a", Expression: "object.metadata.name"}, {Name: "b", Expression: "variables.a + '!'"}},
			Expression: "variables.b == 'web!'"}, nil, 0},
		"not the pods": {policy.Rule{Expression: "!has(object.spec) || !has(object.spec.containers)"}, nil, 0},
		"libraries":    {policy.Rule{Expression: "quantity('1Gi').isGreaterThan(quantity('1M')) && url('https://a.b').getHost() == 'a.b' && 'a'.matches('^a$')"}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c.rule.Name = "mine"
			made, err := c.rule.Check()
			require.NoError(t, err)
			var have []string
			for _, f := range check.Run(r, check.Cluster{}, made) {
				have = append(have, f.Object+": "+f.Message)
				require.Equal(t, c.line, f.Place().Line, "%s", f)
			}
			require.Equal(t, c.want, have)
		})
	}
}

func TestWhatCannotBeCompiled(t *testing.T) {
	for says, rule := range map[string]policy.Rule{
		"needs a name":            {Expression: "true"},
		"has no expression":       {Name: "a"},
		"undeclared referen":      {Name: "a", Expression: "objekt.metadata.name == 'a'"},
		"must evaluate to bool":   {Name: "a", Expression: "'text'"},
		"Syntax error":            {Name: "a", Expression: "object.metadata.name =="},
		"syntax error in pattern": {Name: "a", Expression: "true", Kinds: []string{"["}},
		"variable v":              {Name: "a", Expression: "true", Variables: []policy.Variable{{Name: "v", Expression: "nothing"}}},
	} {
		_, err := rule.Check()
		var e *policy.Error
		require.ErrorAs(t, err, &e, says)
		require.ErrorContains(t, err, says)
	}
	const head = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: p}\nspec:\n"
	const match = "  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}\n"
	const binding = "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {name: b}\nspec: {policyName: p, validationActions: [Deny]}\n"
	for says, text := range map[string]string{
		"nothing binds it":           head + match + "  validations: [{expression: 'true'}]\n",
		"no ValidatingAdmissionPoli": binding[4:],
		"matchConstraints":           head + "  validations: [{expression: 'true'}]\n" + binding,
		"neither validations":        head + match + binding,
		"undeclared reference":       head + match + "  validations: [{expression: 'params.x'}]\n" + binding,
		"unknown field":              head + match + "  validation: [{expression: 'true'}]\n" + binding,
		"p.yaml":                     "a: [",
	} {
		file := filepath.Join(t.TempDir(), "p.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		_, err := policy.Load(file)
		var e *policy.Error
		require.ErrorAs(t, err, &e, says)
		require.ErrorContains(t, err, says)
	}
	_, err := policy.Load("testdata/nowhere*.yaml")
	require.ErrorIs(t, err, os.ErrNotExist)
}
