package crd_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/crd"
	"github.com/ai-film/ai-film/charttest/internal/envtest"
	"github.com/ai-film/ai-film/charttest/internal/goproxy"
	"github.com/ai-film/ai-film/charttest/internal/testfiles"
)

const definition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {kind: Lamp, listKind: LampList, plural: lamps, singular: lamp}
  versions:
    - {name: v1alpha1, served: false, storage: false, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          required: [spec]
          properties:
            spec:
              type: object
              required: [watts, colour]
              properties:
                watts: {type: integer, minimum: 1, maximum: 100}
                colour: {type: string, enum: [red, green], default: red}
                name: {type: string, minLength: 2, maxLength: 5, pattern: '^[a-z]+$'}
                ports: {type: array, maxItems: 2, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [name], items: {type: object, required: [name], properties: {name: {type: string}, port: {x-kubernetes-int-or-string: true}}}}
                tags: {type: array, x-kubernetes-list-type: set, items: {type: string}}
                since: {type: string, format: date-time}
                limit: {type: integer, format: int32}
                labels: {type: object, additionalProperties: {type: string}, maxProperties: 2}
                free: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {known: {type: boolean}}}
                shade: {type: object, nullable: true, properties: {size: {type: number, multipleOf: 0.5}}}
                either: {type: object, properties: {a: {type: string}, b: {type: string}}, oneOf: [{required: [a]}, {required: [b]}]}
                template: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}
`

// lamps are specs, good and bad. Which they are, and at which fields, an API
// server has said: the fields, or "" for the whole object.
var lamps = map[string]struct {
	lamp   string
	fields []string
}{
	"good":                  {"spec: {watts: 40}", nil},
	"all of it":             {"spec: {watts: 40, colour: green, name: abc, ports: [{name: a, port: 1}, {name: b, port: http}], tags: [x, z], since: '2026-01-02T03:04:05Z', limit: 1, labels: {a: b}, free: {known: true, other: 1}, shade: null, either: {a: x}, template: {apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {any: 1}}}", nil},
	"no spec":               {"{}", []string{"spec"}},
	"a required field":      {"spec: {}", []string{"spec.watts"}},
	"an unknown field":      {"spec: {watts: 40, wats: 1}", []string{"spec.wats"}},
	"unknown at the top":    {"spec: {watts: 40}\nspecs: {}", []string{"specs"}},
	"unknown in a list":     {"spec: {watts: 40, ports: [{name: a}, {name: b, prot: 1}]}", []string{"spec.ports[1].prot"}},
	"unknown in metadata":   {"spec: {watts: 40}\nmetadata: {name: lamp, lables: {}}", []string{"metadata.lables"}},
	"a wrong type":          {"spec: {watts: forty}", []string{"spec.watts"}},
	"a quoted number":       {"spec: {watts: '40'}", []string{"spec.watts"}},
	"a fraction":            {"spec: {watts: 1.5}", []string{"spec.watts"}},
	"too low":               {"spec: {watts: 0}", []string{"spec.watts"}},
	"too high":              {"spec: {watts: 101}", []string{"spec.watts"}},
	"none of the set":       {"spec: {watts: 40, colour: blue}", []string{"spec.colour"}},
	"too short":             {"spec: {watts: 40, name: a}", []string{"spec.name"}},
	"against the pattern":   {"spec: {watts: 40, name: ABC}", []string{"spec.name"}},
	"too many":              {"spec: {watts: 40, ports: [{name: a}, {name: b}, {name: c}]}", []string{"spec.ports"}},
	"twice by key":          {"spec: {watts: 40, ports: [{name: a}, {name: a}]}", []string{"spec.ports[1]"}},
	"twice in a set":        {"spec: {watts: 40, tags: [x, x]}", []string{"spec.tags[1]"}},
	"no date":               {"spec: {watts: 40, since: yesterday}", []string{"spec.since"}},
	"out of int32":          {"spec: {watts: 40, limit: 3000000000}", []string{"spec.limit"}},
	"a map's value":         {"spec: {watts: 40, labels: {a: 1}}", []string{"spec.labels.a"}},
	"too many of a map":     {"spec: {watts: 40, labels: {a: a, b: b, c: c}}", []string{"spec.labels"}},
	"known in what is free": {"spec: {watts: 40, free: {known: maybe}}", []string{"spec.free.known"}},
	"null":                  {"spec: {watts: null}", []string{"spec.watts"}},
	"null with a default":   {"spec: {watts: 40, colour: null}", nil},
	"not a multiple":        {"spec: {watts: 40, shade: {size: 0.3}}", []string{"spec.shade.size"}},
	"neither of two":        {"spec: {watts: 40, either: {}}", []string{"spec.either.a", "spec.either"}},
	"both of two":           {"spec: {watts: 40, either: {a: x, b: z}}", []string{"spec.either"}},
	"an int or a string":    {"spec: {watts: 40, ports: [{name: a, port: [1]}]}", []string{"spec.ports[0].port"}},
}

func lamp(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := map[string]any{"metadata": map[string]any{"name": "lamp"}}
	data, err := yaml.YAMLToJSON([]byte(text))
	require.NoError(t, err)
	u := new(unstructured.Unstructured)
	require.NoError(t, yaml.Unmarshal(data, &o))
	o["apiVersion"], o["kind"] = "example.org/v1", "Lamp"
	data, err = yaml.Marshal(o)
	require.NoError(t, err)
	data, err = yaml.YAMLToJSON(data)
	require.NoError(t, err)
	require.NoError(t, u.UnmarshalJSON(data))
	return u
}

func TestProblems(t *testing.T) {
	var schemas crd.Schemas
	schemas.Add("lamps.yaml", definition)
	for name, c := range lamps {
		t.Run(name, func(t *testing.T) {
			o := lamp(t, c.lamp)
			before := o.DeepCopy()
			problems, known, err := schemas.Problems(o.Object)
			require.NoError(t, err)
			require.True(t, known)
			var fields []string
			for _, p := range problems {
				require.NotEmpty(t, p.Message)
				fields = append(fields, p.Field)
			}
			require.Equal(t, c.fields, fields, "%v", problems)
			require.Equal(t, before, o)
		})
	}
	for version, says := range map[string]string{"v1alpha1": "version \"v1alpha1\" is not served", "v9": "Lamp is defined with v1 (lamps.yaml)"} {
		problems, known, err := schemas.Problems(map[string]any{"apiVersion": "example.org/" + version, "kind": "Lamp", "metadata": map[string]any{"name": "a"}})
		require.NoError(t, err)
		require.True(t, known)
		require.Len(t, problems, 1)
		require.Contains(t, problems[0].Message, says)
	}
	_, known, err := schemas.Problems(map[string]any{"apiVersion": "example.org/v1", "kind": "Shade"})
	require.NoError(t, err)
	require.False(t, known)
}

// What a real API server says of the same objects.
func TestProblemsAreThoseOfTheServer(t *testing.T) {
	config := envtest.Start(t)
	client, err := apiextensionsclient.NewForConfig(config)
	require.NoError(t, err)
	d := new(apiextensionsv1.CustomResourceDefinition)
	require.NoError(t, yaml.Unmarshal([]byte(definition), d))
	_, err = client.ApiextensionsV1().CustomResourceDefinitions().Create(t.Context(), d, metav1.CreateOptions{})
	require.NoError(t, err)
	objects, err := dynamic.NewForConfig(config)
	require.NoError(t, err)
	server := objects.Resource(schema.GroupVersionResource{Group: "example.org", Version: "v1", Resource: "lamps"}).Namespace("default")
	create := func(o *unstructured.Unstructured) error {
		_, err := server.Create(t.Context(), o, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
		return err
	}
	require.Eventually(t, func() bool { return create(lamp(t, "spec: {watts: 1}")) == nil }, 2*time.Minute, 100*time.Millisecond)

	var schemas crd.Schemas
	require.NoError(t, schemas.FromCluster(t.Context(), config))
	_, known, err := schemas.Problems(lamp(t, "spec: {}").Object)
	require.NoError(t, err)
	require.True(t, known, "from the cluster")

	for name, c := range lamps {
		t.Run(name, func(t *testing.T) {
			err := create(lamp(t, c.lamp))
			if c.fields == nil {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			var status apierrors.APIStatus
			require.ErrorAs(t, err, &status)
			var fields []string
			if details := status.Status().Details; details != nil {
				for _, cause := range details.Causes {
					if !slices.Contains(fields, cause.Field) {
						fields = append(fields, cause.Field)
					}
					if cause.Field == "<nil>" {
						require.Contains(t, cause.Message, c.fields[len(c.fields)-1])
						fields = c.fields
						break
					}
				}
			}
			if len(fields) > 0 {
				require.Equal(t, c.fields, fields, "%v", err)
				return
			}
			for _, field := range c.fields { // strict decoding, which has no causes
				require.ErrorContains(t, err, "unknown field \""+field+"\"")
			}
		})
	}
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	testfiles.Write(t, dir, files)
	return dir
}

const broken = "apiVersion: example.org/v1\nkind: Lamp\nmetadata: {name: a}\nspec:\n  watts: 40\n  wats: 1\n"

// Definitions of the chart go before those of elsewhere, in crds/ or as a
// template, and the finding is at the line.
func TestCheck(t *testing.T) {
	const about = "apiVersion: v2\nname: lamps\nversion: 1.0.0\n"
	other := strings.ReplaceAll(definition, "watts", "wats")
	outside := new(crd.Schemas)
	outside.Add("other.yaml", other)
	for name, c := range map[string]struct {
		files   map[string]string
		schemas *crd.Schemas
		finds   bool
	}{
		"in crds/":       {map[string]string{"crds/lamps.yaml": definition}, nil, true},
		"as a template":  {map[string]string{"templates/crd.yaml": definition}, nil, true},
		"before others":  {map[string]string{"crds/lamps.yaml": definition}, outside, true},
		"from elsewhere": {nil, outside, true},
		"nowhere":        {nil, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"Chart.yaml": about, "templates/lamp.yaml": broken}
			for file, text := range c.files {
				files[file] = text
			}
			chart := charttest.MustLoad(t, write(t, files))
			findings := check.Run(chart.MustRender(t), check.Cluster{}, c.schemas.Check())
			if !c.finds {
				require.Empty(t, findings)
				return
			}
			require.NotEmpty(t, findings)
			f := findings[len(findings)-1]
			f.Locate()
			require.Equal(t, crd.Name, f.Check)
			if c.schemas == nil || c.files != nil {
				require.Equal(t, 6, f.Line, f.Message)
				require.Contains(t, f.Message, `unknown field "spec.wats"`)
			} else {
				require.Contains(t, f.Message, `unknown field "spec.watts"`)
			}
		})
	}
}

func TestWhereDefinitionsAre(t *testing.T) {
	dir := write(t, map[string]string{
		"all/deep/lamps.yml": "# nothing\n---\nkind: ConfigMap\n---\n" + definition, "all/README.md": "CustomResourceDefinition",
		"list.json":  `{"apiVersion": "v1", "kind": "List", "items": [` + asJSON(t, definition) + `]}`,
		"old.yaml":   "apiVersion: apiextensions.k8s.io/v1beta1\nkind: CustomResourceDefinition\nmetadata: {name: lamps.example.org}\nspec:\n  group: example.org\n  version: v1\n  names: {kind: Lamp, plural: lamps}\n  preserveUnknownFields: false\n  validation: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {watts: {type: integer}}}}}}\n",
		"empty.yaml": "a: 1\n",
	})
	for _, source := range []string{"all", "list.json", "old.yaml"} {
		schemas, err := crd.Load(t.Context(), filepath.Join(dir, source))
		require.NoError(t, err)
		problems, known, err := schemas.Problems(lamp(t, "spec: {watts: 40, wats: 1}").Object)
		require.NoError(t, err)
		require.True(t, known, source)
		require.Equal(t, []crd.Problem{{Field: "spec.wats", Message: `unknown field "spec.wats"`}}, problems, source)
	}
	for source, says := range map[string]string{
		filepath.Join(dir, "empty.yaml"): "no CustomResourceDefinition in it", filepath.Join(dir, "nowhere"): "no such file",
		"go:example.org/lamps": "go:MODULE@VERSION", "go:example.invalid/lamps@v1.0.0": "go mod download",
	} {
		_, err := crd.Load(t.Context(), source)
		require.ErrorContains(t, err, says)
	}
}

func asJSON(t *testing.T, text string) string {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	require.NoError(t, err)
	return string(data)
}

// A module that brings its definitions, as operators do, from a proxy that is a
// folder.
func TestDefinitionsInAModule(t *testing.T) {
	proxy := t.TempDir()
	module := write(t, map[string]string{"go.mod": "module example.org/operator\n", "config/crd/lamps.yaml": definition})
	require.NoError(t, goproxy.Publish(proxy, "example.org/operator", "v1.2.3", module))
	t.Setenv("GOPROXY", "file://"+proxy)
	t.Setenv("GONOSUMDB", "*")
	t.Setenv("GOFLAGS", "-modcacherw")
	t.Setenv("GOMODCACHE", t.TempDir())
	for _, source := range []string{"go:example.org/operator@v1.2.3", "go:example.org/operator@v1.2.3/config/crd"} {
		schemas, err := crd.Load(t.Context(), source)
		require.NoError(t, err)
		_, known, err := schemas.Problems(lamp(t, "spec: {}").Object)
		require.NoError(t, err)
		require.True(t, known)
	}
	_, err := crd.Load(t.Context(), "go:example.org/operator@v9.9.9")
	require.ErrorContains(t, err, "v9.9.9")
}
