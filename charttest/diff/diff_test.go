package diff_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/diff"
)

var update = flag.Bool("update", false, "write what comes out to testdata")

func objects(t testing.TB, text string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for _, doc := range strings.Split(text, "\n---\n") {
		u := new(unstructured.Unstructured)
		require.NoError(t, yaml.Unmarshal([]byte(doc), &u.Object))
		if u.Object != nil {
			all = append(all, u)
		}
	}
	return all
}

func TestDiff(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			require.Len(t, archive.Files, 3)
			before, after := objects(t, string(archive.Files[0].Data)), objects(t, string(archive.Files[1].Data))
			d := diff.Objects(before, after, diff.Chores)
			got := d.String()
			if *update {
				archive.Files[2].Data = []byte(got)
				require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o644))
			}
			require.Equal(t, string(archive.Files[2].Data), got)
			for _, line := range strings.Split(got, "\n") {
				require.LessOrEqual(t, len([]rune(line)), 80, line)
			}
			require.Equal(t, paths(d), paths(diff.Objects(after, before, diff.Chores)))
			require.True(t, diff.Objects(before, before).Empty())
			data, err := json.Marshal(d)
			require.NoError(t, err)
			require.NotContains(t, string(data)+got, "hunter")
			require.NotContains(t, string(data)+got, "aHVudGVy")
		})
	}
}

// paths are the objects and fields of a diff.
func paths(d diff.Diff) []string {
	var all []string
	for _, o := range d.Objects {
		if o.Change != diff.Changed {
			all = append(all, o.String())
		}
		for _, f := range o.Fields {
			all = append(all, o.String()+" "+f.Path)
		}
	}
	return all
}

func TestNamespaceThatGoesWithoutSaying(t *testing.T) {
	before := objects(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: town}\n")
	after := objects(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
	require.True(t, diff.Objects(before, after, diff.Namespace("town")).Empty())
	require.Len(t, diff.Objects(before, after).Objects, 2)
	require.Equal(t, "town", before[0].GetNamespace(), "the objects themselves stay")
}

func TestMasks(t *testing.T) {
	before := objects(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {token: one, other: x}\n")
	after := objects(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {token: two, other: x}\n")
	for name, c := range map[string]struct {
		mask  diff.Mask
		empty bool
		shows bool
	}{
		"hidden":           {diff.Hide("ConfigMap/a", "data.token"), true, false},
		"by pattern":       {diff.Hide("ConfigMap/*", "data.*"), true, false},
		"at any depth":     {diff.Hide("", "**.token"), true, false},
		"digest":           {diff.Digest("", "data.token"), false, false},
		"another object":   {diff.Hide("ConfigMap/b", "data.token"), false, true},
		"another field":    {diff.Hide("", "data.tok"), false, true},
		"not a path":       {diff.Hide("", "[token"), false, true},
		"not a pattern":    {diff.Hide("[", "data.token"), false, true},
		"everything":       {diff.Hide("", "*"), true, false},
		"nothing":          {diff.Mask{}, false, true},
		"a part of a name": {diff.Hide("", "**.oken"), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := diff.Objects(before, after, c.mask)
			require.Equal(t, c.empty, d.Empty(), "%s", d)
			require.Equal(t, c.shows, strings.Contains(d.String(), "two"), "%s", d)
			once := diff.Masked(after, c.mask)
			require.Equal(t, once, diff.Masked(once, c.mask), "masking what is masked changes nothing")
		})
	}
}

func TestColourAndControlCharacters(t *testing.T) {
	d := diff.Objects(
		objects(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: \"a\\nb\", y: plain}\n"),
		objects(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: \"a\\n\\e[2Jb\", y: \"\\e[2J\"}\n"))
	require.NotContains(t, d.String(), "\x1b", "what stands in an object can't move the cursor")
	var b bytes.Buffer
	require.NoError(t, d.Write(&b, diff.Style{Colour: true}))
	require.Contains(t, b.String(), "\x1b[33m~ ConfigMap/a\x1b[0m")
}

func TestLongPathsAreBroken(t *testing.T) {
	deep := func(value string) []*unstructured.Unstructured {
		return objects(t, "{apiVersion: example.com/v1, kind: Film, metadata: {name: f}, spec: {"+strings.Repeat("aVeryLongFieldName: {", 8)+"x: "+value+strings.Repeat("}", 8)+"}}")
	}
	text := diff.Objects(deep("1"), deep("2")).String()
	for _, line := range strings.Split(text, "\n") {
		require.LessOrEqual(t, len([]rune(line)), 80, line)
	}
	require.Contains(t, strings.NewReplacer("\n", "", " ", "").Replace(text), "spec"+strings.Repeat(".aVeryLongFieldName", 8)+".x:-1+2")
}

func FuzzObjects(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(f, err)
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(f, err)
		f.Add(string(archive.Files[0].Data), string(archive.Files[1].Data))
	}
	for _, text := range []string{"", "a: [", "kind: 1\nmetadata: []", "kind: Secret\napiVersion: v1\ndata: [1]\nstringData: {a: 1}",
		"apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a}, {name: a}, 3, null]}", "spec: [[1, 2], [2, 1], [1]]",
		"apiVersion: v1\nkind: Service\nspec: {ports: [{port: 80, name: a}, {port: a}]}"} {
		f.Add(text, "apiVersion: v1\nkind: Service\nspec: {ports: [{port: 81, name: a}]}")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		parse := func(text string) (all []*unstructured.Unstructured) {
			for _, doc := range strings.Split(text, "\n---\n") {
				u := new(unstructured.Unstructured)
				_ = yaml.Unmarshal([]byte(doc), &u.Object)
				all = append(all, u)
			}
			return all
		}
		a, b := parse(before), parse(after)
		there, back := diff.Objects(a, b), diff.Objects(b, a)
		require.Equal(t, paths(there), paths(back))
		require.Equal(t, there.Count(diff.Added), back.Count(diff.Removed))
		for _, same := range [][]*unstructured.Unstructured{a, b} {
			d := diff.Objects(same, same)
			require.True(t, d.Empty(), "%s", d)
		}
		for _, o := range there.Objects {
			if o.Change == diff.Changed {
				require.NotEmpty(t, o.Fields)
			}
		}
		_, _ = there.String(), there.Refused()
		_, err := json.Marshal(there)
		require.NoError(t, err)
	})
}
