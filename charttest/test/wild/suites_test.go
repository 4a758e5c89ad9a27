package wild

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/internal/testfiles"
	"github.com/ai-film/ai-film/charttest/unittest"
)

// bench is the folder of the module that pins helm-unittest.
var bench = filepath.Join("..", "..", "..", "test", "bench")

// reference is helm-unittest: the program, built as its makefile does, and its
// own test data.
var reference = sync.OnceValues(func() (r struct{ program, data string }, err error) {
	dir, err := os.MkdirTemp("", "helm-unittest")
	if err != nil {
		return r, err
	}
	r.program = filepath.Join(dir, "helm-unittest")
	const module = "github.com/helm-unittest/helm-unittest"
	build := exec.Command("go", "build", "-o", r.program, "-ldflags", "-X "+module+"/internal/build.version="+unittest.Version, module+"/cmd/helm-unittest")
	list := exec.Command("go", "list", "-m", "-json", module)
	for _, cmd := range []*exec.Cmd{build, list} {
		cmd.Dir = bench
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
		cmd.Stderr = os.Stderr
	}
	if err := build.Run(); err != nil {
		return r, fmt.Errorf("building helm-unittest: %w", err)
	}
	out, err := list.Output()
	if err != nil {
		return r, err
	}
	var m struct{ Dir string }
	err = json.Unmarshal(out, &m)
	r.data = filepath.Join(m.Dir, "test", "data")
	return r, err
})

func helmUnittest(t *testing.T) (program, data string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: building helm-unittest takes a minute the first time")
	}
	r, err := reference()
	if err != nil && os.Getenv("CI") == "" && os.Getenv("AI_FILM_WILD") == "" {
		t.Skipf("offline? helm-unittest can't be had: %v\nSet AI_FILM_WILD=1 to make this an error.", err)
	}
	require.NoError(t, err)
	return r.program, r.data
}

// verdict is what came of a test, and what was said about it.
type verdict struct{ suite, test, verdict, text string }

func verdicts(t *testing.T, junit []byte) []verdict {
	t.Helper()
	var all struct {
		Suites []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name    string  `xml:"name,attr"`
				Error   *string `xml:"error"`
				Failure *string `xml:"failure"`
				Skipped *struct {
					Message string `xml:"message,attr"`
				} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	require.NoError(t, xml.Unmarshal(junit, &all))
	var list []verdict
	for _, s := range all.Suites {
		for _, c := range s.Cases {
			v := verdict{s.Name, c.Name, "passed", ""}
			switch {
			case c.Skipped != nil:
				v.verdict, v.text = "skipped", c.Skipped.Message
			case c.Error != nil:
				v.verdict, v.text = "error", *c.Error
			case c.Failure != nil:
				v.verdict, v.text = "failed", *c.Failure
			}
			list = append(list, v)
		}
	}
	return list
}

var varying = regexp.MustCompile(`(time|timestamp|hostname|run-date|run-time|duration|date|machine-name|user|cwd|current-culture|current-uiculture)="[^"]*"`)

// sameVerdicts runs the suites of a chart, the folder name in parent, with
// helm-unittest and with ours, each in a copy. Everything must be alike: verdicts
// and what is said in result files of all formats, the report, the snapshots
// left behind. It returns how many tests there were.
func sameVerdicts(t *testing.T, parent, name string, o unittest.Options, flags ...string) int {
	t.Helper()
	program, _ := helmUnittest(t)
	theirs, ours := t.TempDir(), t.TempDir()
	for _, dir := range []string{theirs, ours} {
		require.NoError(t, os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(parent, name))))
		require.NoError(t, filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
			_ = os.Chmod(path, 0o755) // the module cache is read-only
			return err
		}))
	}
	cmd := exec.Command(program, append([]string{"-o", "junit.xml", "-t", "JUnit", name}, flags...)...)
	cmd.Dir = theirs
	report, runErr := cmd.Output()
	junit, err := os.ReadFile(filepath.Join(theirs, "junit.xml"))
	require.NoError(t, err, "%s", report)

	t.Chdir(ours)
	got := o.Execute(t.Context(), name)
	var xml bytes.Buffer
	require.NoError(t, got.Write(&xml, "junit"))
	all := map[string]int{}
	defer func() { t.Logf("verdicts: %v", all) }()
	want, have := verdicts(t, junit), verdicts(t, xml.Bytes())
	if o.ChartTestsPath != "" { // theirs come in any order
		for _, list := range [][]verdict{want, have} {
			slices.SortStableFunc(list, func(a, b verdict) int { return strings.Compare(a.suite, b.suite) })
		}
	}
	differ := 0
	for i := range min(len(want), len(have)) {
		all[want[i].verdict]++
		if want[i] != have[i] && differ < 10 {
			differ++
			t.Errorf("helm-unittest: %+v\nours:          %+v", want[i], have[i])
		}
	}
	require.Len(t, have, len(want), "%s", report)
	require.Equal(t, runErr == nil, got.Passed(), "%s", report)
	require.Equal(t, snapshots(t, theirs), snapshots(t, ours))
	if o.ChartTestsPath == "" {
		require.Equal(t, varying.ReplaceAllString(string(junit), ""), varying.ReplaceAllString(xml.String(), ""))
		requireSameReport(t, string(report), got)
	}
	return len(want)
}

// What differs in reports: times, and the Go types that decoding names.
var unlike = regexp.MustCompile(`Time: .*|in type unittest\.\w+`)

// requireSameReport compares the reports, ours without its list of failures.
func requireSameReport(t *testing.T, want string, report *unittest.Report) {
	t.Helper()
	var text bytes.Buffer
	report.Print(&text, new(false))
	got := text.String()
	if start := strings.Index(got, "\nFailures:\n"); start >= 0 {
		end := start + len("\nFailures:\n")
		for strings.HasPrefix(got[end:], "\t") {
			end += strings.IndexByte(got[end:], '\n') + 1
		}
		got = got[:start] + got[end:]
	}
	require.Equal(t, unlike.ReplaceAllString(want, ""), unlike.ReplaceAllString(got, ""))
}

func snapshots(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && filepath.Ext(path) == ".snap" {
			text, readErr := os.ReadFile(path)
			rel, _ := filepath.Rel(dir, path)
			all[rel], err = string(text), readErr
		}
		return err
	}))
	return all
}

// helm-unittest's own charts and suites.
func TestSuitesOfHelmUnittest(t *testing.T) {
	_, data := helmUnittest(t)
	data = filepath.Join(data, "v3")
	entries, err := os.ReadDir(data)
	require.NoError(t, err)
	all := 0
	for _, e := range entries {
		if !e.IsDir() {
			continue // an archive has no suites
		}
		for name, with := range map[string]struct {
			o     unittest.Options
			flags []string
		}{
			"plain": {},
			"every": {unittest.Options{Files: []string{"tests/**/*_test.yaml", "tests/*_test.yaml"}, Update: true, ChartTestsPath: "tests-chart"},
				[]string{"-f", "tests/**/*_test.yaml", "-f", "tests/*_test.yaml", "-u", "--chart-tests-path", "tests-chart"}},
			"strict": {unittest.Options{Strict: true, NoSubcharts: true, Values: []string{"../services_values.yaml"}, SkipSchema: true},
				[]string{"--strict", "-s=false", "-v", "../services_values.yaml", "--skip-schema-validation"}},
		} {
			t.Run(e.Name()+"/"+name, func(t *testing.T) {
				all += sameVerdicts(t, data, e.Name(), with.o, with.flags...)
			})
		}
	}
	t.Logf("%d tests with the same verdict", all)
}

// The suites of charts of others.
func TestSuitesOfOthers(t *testing.T) {
	all, tests := 0, 0
	for name, dir := range charts(t) {
		if files, _ := filepath.Glob(filepath.Join(dir, "tests", "*_test.yaml")); len(files) == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			all++
			tests += sameVerdicts(t, dir, ".", unittest.Options{})
		})
	}
	require.Positive(t, tests)
	t.Logf("%d tests of %d charts with the same verdict", tests, all)
}

// Generated suites: every assertion with every kind of path and value, about
// documents that have it and that don't.
func TestSuitesGenerated(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/probe.txtar")
	require.NoError(t, err)
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir := t.TempDir()
			testfiles.Unpack(t, filepath.Join(dir, "probe"), archive.Files)
			g := generator{rand.New(rand.NewPCG(seed, 7))}
			for n := range 30 {
				var parts []string
				for range 1 + g.IntN(2) {
					text, err := yaml.Marshal(g.suite(n))
					require.NoError(t, err)
					parts = append(parts, string(text))
				}
				file := filepath.Join(dir, "probe", "tests", fmt.Sprintf("suite%d_test.yaml", n))
				require.NoError(t, os.WriteFile(file, []byte(strings.Join(parts, "---\n")), 0o644))
			}
			sameVerdicts(t, dir, "probe", unittest.Options{})
		})
	}
}

type generator struct{ *rand.Rand }

func pick[T any](g generator, of ...T) T { return of[g.IntN(len(of))] }

type dict = map[string]any

func (g generator) maybe(in dict, key string, percent int, value func() any) {
	if g.IntN(100) < percent {
		in[key] = value()
	}
}

func (g generator) suite(n int) dict {
	s := dict{"suite": fmt.Sprintf("suite %d/part", n)}
	g.circumstances(s, 12)
	g.maybe(s, "templates", 70, func() any {
		return pick(g, []string{"app.yaml"}, []string{"templates/app.yaml", "config.yaml", "seen.yaml"}, []string{"*.yaml"}, []string{"config.yaml", "app*"},
			[]string{"NOTES.txt"}, []string{"charts/child/templates/child.yaml", "app.yaml"}, []string{"nothere.yaml"}, []string{"**"}, []string{"empty.yaml"})
	})
	g.maybe(s, "excludeTemplates", 15, func() any { return pick(g, []string{"NOTES.txt"}, []string{"app*"}, []string{"**/child.yaml"}) })
	g.maybe(s, "includeCrds", 10, func() any { return true })
	g.maybe(s, "snapshotId", 10, func() any { return "id" })
	g.maybe(s, "skip", 5, func() any {
		return pick(g, dict{"reason": "later"}, dict{"minimumVersion": "99.0.0"}, dict{"minimumVersion": "0.1.0"})
	})
	var tests []dict
	for i := range 1 + g.IntN(30) {
		test := dict{"it": fmt.Sprintf("test %d", i)}
		g.circumstances(test, 12)
		g.maybe(test, "template", 30, func() any {
			return pick(g, "app.yaml", "templates/config.yaml", "empty.yaml", "NOTES.txt", "missing.yaml")
		})
		g.maybe(test, "templates", 5, func() any { return []string{"app.yaml", "config.yaml"} })
		g.maybe(test, "documentIndex", 15, func() any { return g.IntN(3) })
		g.maybe(test, "documentSelector", 12, g.selector)
		g.maybe(test, "skip", 4, func() any { return dict{"reason": "later"} })
		var asserts []dict
		for range 1 + g.IntN(4) {
			asserts = append(asserts, g.assertion())
		}
		test["asserts"] = asserts
		tests = append(tests, test)
	}
	s["tests"] = tests
	return s
}

// circumstances are what suites and tests have in common.
func (g generator) circumstances(in dict, percent int) {
	g.maybe(in, "set", 2*percent, func() any {
		set := dict{pick(g, "replicas", "child.size", "mode", "global.zone", "deep.list[1].x", "deep.[example.org/x]"): pick[any](g, 3, "broken", "refused", "text", nil, true, 2.5)}
		if g.IntN(3) == 0 {
			set["mode"] = pick(g, "broken", "refused", "normal")
		}
		return set
	})
	g.maybe(in, "values", percent, func() any { return pick(g, []string{"values/more.yaml"}, []string{"values/missing.yaml"}) })
	g.maybe(in, "release", percent, func() any {
		return pick(g, dict{"name": "mine"}, dict{"namespace": "town", "revision": 3}, dict{"upgrade": true}, dict{"name": "Not_A_Name"})
	})
	g.maybe(in, "capabilities", percent, func() any {
		return pick(g, dict{"majorVersion": 1, "minorVersion": 31}, dict{"minorVersion": "25"}, dict{"apiVersions": []string{"monitoring.coreos.com/v1"}}, dict{"apiVersions": nil})
	})
	g.maybe(in, "chart", percent, func() any { return pick(g, dict{"version": "2.0.0"}, dict{"appVersion": "3"}) })
	g.maybe(in, "kubernetesProvider", percent, func() any {
		return dict{
			"scheme": dict{"v1/ConfigMap": dict{"gvr": dict{"version": "v1", "resource": "configmaps"}, "namespaced": true},
				"v1/Secret": dict{"gvr": dict{"version": "v1", "resource": "secrets"}, "namespaced": true}},
			"objects": []dict{
				{"apiVersion": "v1", "kind": "ConfigMap", "metadata": dict{"name": "there", "namespace": "town"}, "data": dict{"key": "found"}},
				{"apiVersion": "v1", "kind": "Secret", "metadata": dict{"name": "s", "namespace": "town"}},
			},
		}
	})
	g.maybe(in, "postRenderer", percent/6, func() any {
		return pick(g, dict{"cmd": "cat"}, dict{"cmd": "sed", "args": []string{"s/Deployment/DaemonSet/"}}, dict{"cmd": "grep", "args": []string{"-v", "#### file"}}, dict{"cmd": "false"})
	})
}

func (g generator) selector() any {
	s := dict{"path": pick(g, "metadata.name", "kind", "spec.text", "spec.items[*].name")}
	g.maybe(s, "value", 80, func() any { return pick[any](g, "RELEASE-NAME-app", "Deployment", "some text", "b", "ConfigMap", 3) })
	g.maybe(s, "matchMany", 40, func() any { return true })
	g.maybe(s, "skipEmptyTemplates", 40, func() any { return true })
	return s
}

func (g generator) path() string {
	return pick(g, "kind", "metadata.name", "metadata", "spec", "spec.replicas", "spec.float", "spec.whole", "spec.big", "spec.exponent", "spec.yes", "spec.on",
		"spec.nothing", "spec.date", "spec.empty", "spec.emptyText", "spec.emptyTable", "spec.list", "spec.items", "spec.text", "spec.lines", "spec.leading", "spec.tabbed",
		"spec.encoded", "spec.missing", "spec.missing[0].x", "spec.list[0]", "spec.list[9]", "spec.list[-1]", "spec.list[*]", "spec.items[*].name", "spec.items[*]",
		"spec.items[?(@.name == 'b')].n", "spec.items[?(@.n > 1)].name", "spec.items[?(@.name >= 'b')]", "spec.items[?(@.extra)]", "spec.items[?(@.name =~ /a|c/)].n",
		"$..name", "..n", "$.spec.text", "spec['text']", `spec["text","float"]`, "metadata.annotations['example.org/x']", "spec.items[0:2].n", "spec.items[0,2].n",
		"spec.*", "spec~", "spec.items[3].*", "spec.list[", "spec..", "[", "", "raw", "spec.items[?(@.n > 'a')]", "spec.items[?(!@.extra)].name")
}

func (g generator) value() any {
	return pick[any](g, "Deployment", "some text", "first\nsecond\n", "indented\n", "secret value", "b", "", 1, 2, 7, 3, 2.5, 1000, 12345678901, true, nil,
		[]any{}, []any{1, 2, "b", 2}, []any{1, 2}, dict{}, dict{"name": "b", "n": 2, "extra": true}, dict{"name": "a"}, dict{"n": 1}, "RELEASE-NAME-app")
}

func (g generator) pattern() string {
	return pick(g, "some", "^some text$", "(?i)DEPLOYMENT", "app$", "value", "[", "", "^second", `\d+`, "is no mode (of [a-z]+)", "required", "mode .*", "a mode is required")
}

func (g generator) assertion() dict {
	a := dict{}
	g.maybe(a, "template", 25, func() any {
		return pick(g, "app.yaml", "templates/config.yaml", "NOTES.txt", "empty.yaml", "missing.yaml", "crds/thing.yaml", "charts/child/templates/child.yaml")
	})
	g.maybe(a, "documentIndex", 15, func() any { return g.IntN(3) })
	g.maybe(a, "documentSelector", 10, g.selector)
	g.maybe(a, "not", 15, func() any { return true })
	name := pick(g, "matchSnapshot", "matchSnapshotRaw", "equal", "equal", "equal", "notEqual", "greaterOrEqual", "notGreaterOrEqual", "lessOrEqual", "notLessOrEqual", "equalRaw", "notEqualRaw",
		"exists", "notExists", "isNotNull", "isNull", "matchRegex", "matchRegex", "notMatchRegex", "matchRegexRaw", "notMatchRegexRaw", "contains", "contains", "notContains", "isKind", "isAPIVersion",
		"hasDocuments", "isSubset", "isNotSubset", "isNullOrEmpty", "isNotNullOrEmpty", "isEmpty", "isNotEmpty", "failedTemplate", "notFailedTemplate", "containsDocument", "lengthEqual", "notLengthEqual",
		"isType", "isNotType")
	p := dict{}
	switch strings.ToLower(strings.TrimPrefix(name, "not")) {
	case "matchsnapshot":
		g.maybe(p, "path", 60, func() any { return g.path() })
		g.maybe(p, "matchRegex", 15, func() any { return dict{"pattern": g.pattern()} })
		g.maybe(p, "notMatchRegex", 15, func() any { return dict{"pattern": g.pattern()} })
	case "matchsnapshotraw":
	case "equalraw":
		p["value"] = pick(g, "Notes of RELEASE-NAME\nwith two lines.\n", "x")
	case "equal":
		p["path"], p["value"] = g.path(), g.value()
		g.maybe(p, "decodeBase64", 10, func() any { return true })
	case "greaterorequal", "lessorequal":
		p["path"], p["value"] = pick(g, g.path(), "spec.replicas", "spec.float", "spec.list[*]", "spec.items[*].n"), pick(g, g.value(), any(2), any(2.5), any("b"))
	case "matchregex":
		p["path"], p["pattern"] = g.path(), g.pattern()
		g.maybe(p, "decodeBase64", 10, func() any { return true })
	case "matchregexraw":
		p["pattern"] = g.pattern()
	case "contains":
		p["path"], p["content"] = pick(g, g.path(), "spec.list", "spec.items"), g.value()
		g.maybe(p, "count", 25, func() any { return g.IntN(3) })
		g.maybe(p, "any", 30, func() any { return true })
	case "issubset", "isnotsubset":
		p["path"], p["content"] = pick(g, g.path(), "metadata", "spec.items[1]"), g.value()
	case "iskind":
		p["of"] = pick(g, "Deployment", "ConfigMap")
	case "isapiversion":
		p["of"] = pick(g, "v1", "apps/v1")
	case "hasdocuments":
		p["count"] = g.IntN(4)
		g.maybe(p, "filterAware", 40, func() any { return true })
	case "failedtemplate":
		g.maybe(p, "errorMessage", 40, func() any { return pick(g, "a mode is required", "is no mode (of [a-z]+)", "else") })
		g.maybe(p, "errorPattern", 40, func() any { return g.pattern() })
	case "containsdocument":
		p["kind"], p["apiVersion"] = pick(g, "Deployment", "Service", "ConfigMap"), pick(g, "v1", "apps/v1")
		g.maybe(p, "name", 40, func() any { return pick(g, "RELEASE-NAME-app", "config") })
		g.maybe(p, "namespace", 20, func() any { return pick(g, "NAMESPACE", "town") })
		g.maybe(p, "any", 40, func() any { return true })
	case "lengthequal":
		if g.IntN(3) > 0 {
			p["path"] = pick(g, g.path(), "spec.list", "spec.items")
		} else {
			p["paths"] = []string{g.path(), pick(g, "spec.list", "spec.items"), "spec.list"}
		}
		g.maybe(p, "count", 70, func() any { return g.IntN(5) })
	case "istype", "isnottype":
		p["path"], p["type"] = g.path(), pick(g, "string", "int", "float64", "bool", "[]interface {}", "map[string]interface {}", "time.Time", "")
	default:
		p["path"] = g.path()
	}
	a[name] = p
	return a
}

// Our copy of the JSONPath that helm-unittest goes by is that.
func TestYAMLPathIsACopy(t *testing.T) {
	helmUnittest(t)
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/vmware-labs/yaml-jsonpath")
	list.Dir = bench
	out, err := list.Output()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "pkg", "yamlpath", "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		if name := filepath.Base(file); !strings.HasSuffix(name, "_test.go") && name != "doc.go" {
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			got, err := os.ReadFile(filepath.Join("..", "..", "internal", "yamlpath", name))
			require.NoError(t, err)
			require.Equal(t, string(want), string(got), name)
		}
	}
}
