package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/diff"
	"github.com/ai-film/ai-film/charttest/verify"
)

// TestJSONKeepsToItsSchema holds what is written to the published schema, and
// the schema to the fields that there are.
func TestJSONKeepsToItsSchema(t *testing.T) {
	data, err := os.ReadFile("findings.schema.json")
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err)
	require.Equal(t, verify.SchemaURL, doc.(map[string]any)["$id"])
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource(verify.SchemaURL, doc))
	schema, err := compiler.Compile(verify.SchemaURL)
	require.NoError(t, err)

	dir, _ := shops(t)
	upgraded, err := verify.Run(context.Background(), filepath.Join(dir, "new"), verify.Config{Against: &verify.Against{Chart: filepath.Join(dir, "old")}})
	require.NoError(t, err)
	upgraded.Rehearsals = []verify.Rehearsal{{Profile: "default", Version: "v1.36.0", Objects: 1, Pods: 1, Unrehearsed: []verify.Unrehearsed{{Object: "A/b", Reason: "c"}}}}
	toy := run(t, write(t, map[string]string{"values.yaml": "name: Bad\n", "templates/a.yaml": account, "values/odd.yaml": "[",
		".verify.yaml": "suppress: [{check: metadata, object: ServiceAccount/*, reason: it is only a toy}]"}))
	require.NotEmpty(t, toy.Findings)
	require.NotEmpty(t, toy.Accepted)
	for name, results := range map[string][]*verify.Result{
		"none": {}, "one": {toy}, "many": {upgraded, toy, {Chart: "nowhere", Path: "nowhere", Unverified: "not a chart"}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			require.NoError(t, verify.JSON(&b, results...))
			have, err := jsonschema.UnmarshalJSON(&b)
			require.NoError(t, err)
			require.NoError(t, schema.Validate(have))
		})
	}

	definitions := doc.(map[string]any)["$defs"].(map[string]any)
	items := func(of any, path ...string) any {
		for _, key := range path {
			of = of.(map[string]any)["properties"].(map[string]any)[key].(map[string]any)["items"]
		}
		return of
	}
	chart := definitions["chart"]
	for _, c := range []struct {
		of  any
		is  any
		own []string
	}{
		{check.Finding{}, definitions["finding"], []string{"chart", "range"}}, {verify.Result{}, chart, nil},
		{verify.Rehearsal{}, items(chart, "rehearsals"), nil}, {verify.Unrehearsed{}, items(chart, "rehearsals", "unrehearsed"), nil},
		{verify.Upgrade{}, items(chart, "upgrades"), nil}, {diff.Object{}, items(chart, "upgrades", "objects"), nil},
		{diff.Field{}, items(chart, "upgrades", "objects", "fields"), nil},
	} {
		want := c.own
		for i := range reflect.TypeOf(c.of).NumField() {
			if key, _, _ := strings.Cut(reflect.TypeOf(c.of).Field(i).Tag.Get("json"), ","); key != "" && key != "-" {
				want = append(want, key)
			}
		}
		var have []string
		for key := range c.is.(map[string]any)["properties"].(map[string]any) {
			have = append(have, key)
		}
		require.ElementsMatch(t, want, have, "%T", c.of)
	}
}

// TestRanges has the text that an editor would mark.
func TestRanges(t *testing.T) {
	for name, c := range map[string]struct{ template, field, marked string }{
		"a key":            {"apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: x\n  labels:\n    a: {{ \"not good\" | quote }}  \n", "metadata.labels", `labels:`},
		"a list's item":    {"apiVersion: v1\nkind: Service\nmetadata:\n  name: x\nspec:\n  ports:\n    - prot: 80\n      port: 80\n", "spec.ports[0].prot", "prot: 80"},
		"in a flow":        {"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x, namme: \"a, b\", labels: {}}\n", "metadata.namme", `namme: "a, b"`},
		"last in a flow":   {"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x, namme: [1, 2] }\n", "metadata.namme", `namme: [1, 2]`},
		"a quoted key":     {"apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: x\n\"secret\": []\n", "secret", `"secret": []`},
		"beyond the plane": {"apiVersion: v1\nkind: ServiceAccount\nmetadata: {annotations: {a: 🎬🎬}, name: x, namme: y}\n", "metadata.namme", `namme: y`},
		"windows":          {"apiVersion: v1\r\nkind: ServiceAccount\r\nmetadata:\r\n  name: x\r\n  namme: y\r\n", "metadata.namme", `namme: y`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"templates/a.yaml": c.template})
			var b bytes.Buffer
			require.NoError(t, verify.JSON(&b, run(t, dir)))
			var report struct {
				Findings []struct {
					Field, File string
					Line        int
					Range       verify.Range
				}
			}
			require.NoError(t, json.Unmarshal(b.Bytes(), &report))
			require.Len(t, report.Findings, 1)
			f := report.Findings[0]
			require.Equal(t, c.field, f.Field)
			require.Equal(t, f.Line-1, f.Range.Start.Line)
			require.Equal(t, f.Range.Start.Line, f.Range.End.Line)
			line := utf16.Encode([]rune(strings.Split(c.template, "\n")[f.Range.Start.Line]))
			require.Equal(t, c.marked, string(utf16.Decode(line[f.Range.Start.Character:f.Range.End.Character])))
		})
	}
}
