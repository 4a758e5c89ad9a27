package charttest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/internal/testfiles"
)

const chartYAML = "apiVersion: v2\nname: broken\nversion: 1.0.0\n"

// write writes a chart of the given files and returns its directory.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "broken")
	testfiles.Write(t, dir, files)
	return dir
}

func TestWhatIsNoChart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "values.yaml")
	require.NoError(t, os.WriteFile(file, []byte("a: b"), 0o644))
	for name, path := range map[string]string{
		"nothing there":   filepath.Join(dir, "nowhere"),
		"an empty folder": t.TempDir(),
		"a YAML file":     file,
		"a device":        "/dev/null",
		"broken metadata": write(t, map[string]string{"Chart.yaml": "name: ["}),
		"broken values":   write(t, map[string]string{"Chart.yaml": chartYAML, "values.yaml": "a: ["}),
		"a large file":    write(t, map[string]string{"Chart.yaml": chartYAML, "values.yaml": "a: " + strings.Repeat("x", 6<<20)}),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := charttest.Load(path)
			var load *charttest.LoadError
			require.ErrorAs(t, err, &load)
			require.Equal(t, path, load.Path)
		})
	}
}

func TestSymbolicLinks(t *testing.T) {
	dir := write(t, map[string]string{"Chart.yaml": chartYAML, "templates/a.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"})
	require.NoError(t, os.Symlink("a.yaml", filepath.Join(dir, "templates", "link.yaml")))
	require.Len(t, charttest.MustLoad(t, dir).MustRender(t).Objects, 2, "links are followed")

	for _, name := range []string{"one", "two"} {
		require.NoError(t, os.Symlink("..", filepath.Join(dir, "templates", name)))
	}
	_, err := charttest.Load(dir)
	require.ErrorContains(t, err, "leads into a directory that contains it")
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".helmignore"), []byte("templates/one\ntemplates/two\n"), 0o644))
	_, err = charttest.Load(dir)
	require.NoError(t, err)
	require.NoError(t, os.Symlink("gone", filepath.Join(dir, "dangling")))
	_, err = charttest.Load(dir)
	var load *charttest.LoadError
	require.ErrorAs(t, err, &load)
}

func TestTemplatesThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		template string
		reason   charttest.Reason
		line     int
		message  string
	}{
		"unparsed":                 {"a: b\n{{ if }}", charttest.Unparsed, 2, "missing value for if"},
		"unknown function":         {"\n\n{{ nosuch }}", charttest.Unparsed, 3, `function "nosuch" not defined`},
		"fail":                     {"\n{{ fail \"no\\nway\" }}", charttest.Refused, 2, "no\nway"},
		"required":                 {"{{ required \"say it\" .Values.x }}", charttest.Required, 1, "say it"},
		"nil pointer":              {"\n{{ .Values.a.b.c }}", charttest.Broken, 2, "nil pointer evaluating"},
		"function panics":          {"{{ index (list) 3 }}", charttest.Broken, 1, "out of range"},
		"integer division":         {"{{ div 1 0 }}", charttest.Broken, 1, "divide by zero"},
		"negative repeat":          {"{{ repeat -1 \"x\" }}", charttest.Broken, 1, "negative"},
		"include recursion":        {"{{ define \"r\" }}{{ include \"r\" . }}{{ end }}{{ include \"r\" . }}", charttest.Endless, 1, "nested reference"},
		"template recursion":       {"{{ define \"r\" }}{{ template \"r\" . }}{{ end }}{{ template \"r\" . }}", charttest.Endless, 1, "depth"},
		"mutual recursion":         {"{{ define \"r\" }}{{ include \"s\" . }}{{ end }}{{ define \"s\" }}{{ include \"r\" . }}{{ end }}{{ include \"r\" . }}", charttest.Endless, 1, "nested reference"},
		"tpl recursion":            {"{{ tpl .Values.self . }}", charttest.Endless, 1, "tpl calls itself"},
		"not YAML":                 {"a: b\nc: [", charttest.NotYAML, 0, "YAML parse error"},
		"not YAML, line":           {"a: b\n{{ \"c: d: e\" }}\n", charttest.NotYAML, 2, "mapping values"},
		"recursive include by tpl": {"{{ define \"r\" }}{{ tpl \"{{ include \\\"r\\\" . }}\" . }}{{ end }}{{ include \"r\" . }}", charttest.Endless, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := write(t, map[string]string{"Chart.yaml": chartYAML, "templates/a.yaml": c.template,
				"values.yaml": "self: '{{ tpl .Values.self . }}'\n"})
			_, err := charttest.MustLoad(t, dir).Render(t.Context())
			var failure *charttest.Failure
			require.ErrorAs(t, err, &failure)
			require.Equal(t, c.reason, failure.Reason, "%v", err)
			require.Contains(t, failure.Message, c.message)
			if c.line > 0 {
				require.Equal(t, c.line, failure.Line)
				require.Equal(t, filepath.Join(dir, "templates/a.yaml"), failure.Place.File)
			}
			require.Less(t, len(err.Error()), 1<<20)
		})
	}
}

func TestLoopsWithoutEndAreEnded(t *testing.T) {
	for name, template := range map[string]string{
		"silent":  "{{ range 1000000000000 }}{{ end }}",
		"writing": "{{ range 1000000000000 }}{{ . }}{{ end }}",
		"nested":  "{{ define \"x\" }}y{{ end }}{{ range 1000000000000 }}{{ $x := include \"x\" . }}{{ end }}",
	} {
		t.Run(name, func(t *testing.T) {
			chart := charttest.MustLoad(t, write(t, map[string]string{"Chart.yaml": chartYAML, "templates/a.yaml": template}))
			start := time.Now()
			_, err := chart.Render(t.Context(), charttest.Profile{Timeout: 300 * time.Millisecond})
			var failure *charttest.Failure
			require.ErrorAs(t, err, &failure)
			require.Equal(t, charttest.Endless, failure.Reason)
			require.Less(t, time.Since(start), 20*time.Second)
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	chart := charttest.MustLoad(t, unpack(t, "cinema"))
	_, err := chart.Render(ctx)
	require.True(t, errors.Is(err, context.Canceled), "%v", err)
	_, err = chart.Render(t.Context()) // the same, asked for by another
	require.NoError(t, err)
}

func TestValuesThatCannotBeRead(t *testing.T) {
	chart := charttest.MustLoad(t, unpack(t, "cinema"))
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o644))
		return path
	}
	deep := strings.Repeat("{a: ", 20000) + strings.Repeat("}", 20000)
	var laughs bytes.Buffer
	laughs.WriteString("a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n")
	for i := range 12 {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 9), ","))
	}
	for name, option := range map[string]charttest.Option{
		"missing":        charttest.Files(filepath.Join(dir, "nowhere.yaml")),
		"broken":         charttest.Files(file("broken.yaml", []byte("a: ["))),
		"a list":         charttest.Files(file("list.yaml", []byte("[a]"))),
		"binary":         charttest.Files(file("binary.yaml", []byte{0, 1, 2, 0xff})),
		"50 MB":          charttest.Files(file("huge.yaml", bytes.Repeat([]byte("a: b # so it goes\n"), 50<<20/18))),
		"50 MB set-file": charttest.Profile{SetFile: []string{"a=" + filepath.Join(dir, "huge.yaml")}},
		"a directory":    charttest.Files(dir),
		"billion laughs": charttest.Files(file("laughs.yaml", laughs.Bytes())),
		"nested deep":    charttest.Files(file("deep.yaml", []byte(deep))),
		"set":            charttest.Set("a[="),
		"set index":      charttest.Set("a[99999999999]=x"),
		"set-json":       charttest.Profile{SetJSON: []string{"a={"}},
		"a channel":      charttest.Values(map[string]any{"a": make(chan int)}),
		"sub no table":   charttest.Set("projector=scalar"),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := chart.Render(t.Context(), option)
			var values *charttest.ValuesError
			require.ErrorAs(t, err, &values)
			require.Less(t, time.Since(start), 20*time.Second)
		})
	}
}

func TestUnfitCircumstances(t *testing.T) {
	chart := charttest.MustLoad(t, unpack(t, "cinema", txtar.File{Name: "Chart.yaml",
		Data: []byte("apiVersion: v2\nname: cinema\nversion: 1.0.0\nkubeVersion: '>=1.30.0-0'\n")}))
	for _, option := range []charttest.Option{charttest.KubeVersion("1.20"), charttest.KubeVersion("new"), charttest.Release("No_Such", "")} {
		_, err := chart.Render(t.Context(), option)
		var failure *charttest.Failure
		require.ErrorAs(t, err, &failure)
		require.Equal(t, charttest.Unfit, failure.Reason)
	}
}

// FuzzValues renders whatever values: the outcome may be an error of the
// package's types but never a panic, a hang or another error.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{"screens: 3", "image: null", "projector: {enabled: maybe}", "global: 1", "image: {tag: [1]}",
		"title: '{{ .Values }}'", "projector: []", "unknown: {a: b}", "screens: 1e99", "a: &a [*a]"} {
		f.Add([]byte(seed))
	}
	dir := unpack(f, "cinema")
	chart := charttest.MustLoad(f, dir)
	file := filepath.Join(f.TempDir(), "values.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		require.NoError(t, os.WriteFile(file, data, 0o644))
		r, err := chart.Render(t.Context(), charttest.Files(file), charttest.Profile{SkipSchema: len(data)%2 == 0, Timeout: 10 * time.Second})
		var (
			values  *charttest.ValuesError
			schema  *charttest.SchemaError
			failure *charttest.Failure
			strict  *charttest.StrictError
		)
		switch {
		case err == nil:
			_ = r.Manifest(true)
		case errors.As(err, &values), errors.As(err, &schema), errors.As(err, &failure):
		case errors.As(err, &strict):
			_ = err.Error() // finds places
		default:
			t.Fatalf("%T: %v", err, err)
		}
	})
}
