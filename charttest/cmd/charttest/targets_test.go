package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// repository makes a repository of the files in the working directory of the
// test: a branch off main on which the files under change/ have been laid over
// the others.
func repository(t *testing.T, text string) {
	t.Helper()
	t.Chdir(t.TempDir())
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_SYSTEM", os.DevNull)
	t.Setenv("HOME", t.TempDir())
	git := func(args ...string) {
		t.Helper()
		out, err := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	commit := func(changes bool) {
		for _, f := range txtar.Parse([]byte(text)).Files {
			name, changed := strings.CutPrefix(f.Name, "change/")
			if changed == changes {
				require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
				require.NoError(t, os.WriteFile(name, f.Data, 0o644))
			}
		}
		git("add", "--all")
		git("commit", "--quiet", "--allow-empty", "--message=change")
	}
	git("init", "--quiet", "--initial-branch=main")
	commit(false)
	git("checkout", "--quiet", "-b", "feature")
	commit(true)
}

const two = `
-- ct.yaml --
validate-maintainers: false
-- charts/README.md --
Charts.
-- charts/shop/Chart.yaml --
apiVersion: v2
name: shop
version: 1.0.0
-- charts/shop/values.yaml --
account: shop
-- charts/shop/templates/account.yaml --
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .Values.account }}
-- charts/store/Chart.yaml --
apiVersion: v2
name: store
version: 1.0.0
-- charts/store/templates/account.yaml --
apiVersion: v1
kind: ServiceAccount
metadata:
  name: store
`

func TestVerifyWhatChanged(t *testing.T) {
	const changed = "-- change/charts/shop/values.yaml --\naccount: Shop\n"
	for name, c := range map[string]struct {
		change string
		args   []string
		code   int
		says   []string
		lacks  []string
	}{
		"nothing changed": {"", []string{"--changed-since", "main"}, 0, []string{"no chart has changed since main ("}, nil},
		"one changed": {changed, []string{"--changed-since", "main"}, 1,
			[]string{"charts/shop: changed since main (", "charts/shop/templates/account.yaml:4: ServiceAccount/Shop:", "charts/shop/Chart.yaml:3: the chart changed, but its version 1.0.0 is not above 1.0.0, which main has\n    version-increment"}, []string{"store", "2 charts"}},
		"of those named":       {changed, []string{"charts/store", "--changed-since=main"}, 0, []string{"no chart has changed"}, nil},
		"as ct":                {changed, []string{"--changed"}, 1, []string{"charts/shop: changed since main ("}, nil},
		"all":                  {changed, []string{"--all"}, 1, []string{"shop: 1 finding", "store: no findings", "2 charts: 1 finding in 1\n"}, []string{"version-increment"}},
		"named":                {changed, []string{"charts/shop", "charts/store"}, 1, []string{"2 charts: 1 finding in 1\n"}, []string{"version-increment"}},
		"one is no chart":      {changed, []string{"charts/no", "charts/shop", "charts/store"}, 2, []string{"charts/no: not verified: ", "3 charts: 1 finding in 1, 1 not verified\n"}, nil},
		"beside charts":        {changed, []string{"charts/README.md", "charts/shop", "charts/store"}, 1, []string{"charts/README.md: no chart, passed over\n", "2 charts: 1 finding in 1\n"}, nil},
		"nothing but that":     {changed, []string{"charts/README.md", "charts"}, 2, []string{"no chart among them"}, nil},
		"beside, too":          {changed, []string{"charts/README.md", "charts/shop", "charts/store", "--changed-since", "main"}, 1, []string{"charts/shop: changed since main"}, []string{"store"}},
		"those of ct.yaml":     {changed + "-- change/ct.yaml --\ncharts: [charts/store]\nvalidate-maintainers: false\n", []string{"--changed"}, 0, []string{"store: no findings"}, []string{"shop"}},
		"accepted":             {changed + "-- change/charts/shop/.verify.yaml --\nsuppress: [{check: version-increment, reason: not out yet}, {check: metadata, reason: a toy}]\n", []string{"--changed-since", "main"}, 0, []string{"accepted: not out yet"}, nil},
		"asked for by nobody":  {"-- change/charts/store/.verify.yaml --\nsuppress: [{check: version-increment, reason: not out yet}]\n", []string{"charts/store"}, 0, []string{"no findings"}, nil},
		"and what it would do": {changed, []string{"--changed-since", "main", "--against", "git:main"}, 1, []string{"upgrade from shop-1.0.0:", "+ ServiceAccount/Shop", "- ServiceAccount/shop"}, nil},
		"as another branch":    {changed, []string{"--changed-since", "nowhere"}, 2, []string{"git knows neither nowhere nor origin/nowhere"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			repository(t, two+c.change)
			out, code, err := verifying(append(c.args, "--kube-version", "1.37")...)
			if err != nil {
				out += err.Error()
			}
			require.Equal(t, c.code, code, out)
			for _, text := range c.says {
				require.Contains(t, out, text)
			}
			for _, text := range c.lacks {
				require.NotContains(t, out, text)
			}
		})
	}
}

// One report on many charts, in whatever form.
func TestOneReportOnMany(t *testing.T) {
	repository(t, two+"-- change/charts/shop/values.yaml --\naccount: Shop\n-- change/charts/store/values.yaml --\na: 1\n")
	for format, says := range map[string][]string{
		"json":   {`"path": "charts/shop"`, `"path": "charts/store"`},
		"junit":  {`<testsuite name="shop/default"`, `<testsuite name="store/default"`},
		"sarif":  {"charts/shop/Chart.yaml", "charts/store/Chart.yaml"},
		"github": {"::error file=charts/shop/Chart.yaml", "::error file=charts/store/Chart.yaml"},
	} {
		out, code, err := verifying("--changed-since", "main", "--kube-version", "1.37", "--format", format, "--output", "report")
		require.Equal(t, 1, code, "%s%v", out, err)
		require.Contains(t, err.Error(), "3 findings")
		data, err := os.ReadFile("report")
		require.NoError(t, err)
		for _, text := range says {
			require.Contains(t, string(data), text, format)
		}
		if format == "sarif" {
			var log struct{ Runs []json.RawMessage }
			require.NoError(t, json.Unmarshal(data, &log))
			require.Len(t, log.Runs, 1, "code scanning takes one run of a tool")
		}
	}
}

// A comment for a pull request: what was found, and what an upgrade changes.
func TestReportsBesideTheOutput(t *testing.T) {
	repository(t, two+"-- change/charts/shop/values.yaml --\naccount: Shop\n")
	out, code, err := verifying("--changed-since", "main", "--against", "git:main", "--kube-version", "1.37", "--report", "markdown=comment.md", "--report", "sarif=a.sarif")
	require.Equal(t, 1, code, "%s%v", out, err)
	comment, err := os.ReadFile("comment.md")
	require.NoError(t, err)
	for _, text := range []string{"| `charts/shop` | 2 findings |", "- `charts/shop/Chart.yaml:3` the chart changed", "```diff\nupgrade from shop-1.0.0:", "\n+ ServiceAccount/Shop\n"} {
		require.Contains(t, string(comment), text)
	}
	require.FileExists(t, "a.sarif")
}

// A repository that is one chart.
func TestARepositoryThatIsAChart(t *testing.T) {
	repository(t, "-- Chart.yaml --\napiVersion: v2\nname: shop\nversion: 1.0.0\n-- templates/a.yaml --\n-- change/templates/b.yaml --\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: b}\n")
	out, code, err := verifying("--changed-since", "main", "--against", "git:main", "--kube-version", "1.37")
	require.Equal(t, 0, code, "%s%v", out, err)
	require.Contains(t, out, ".: changed since main (")
	require.Contains(t, out, "+ ServiceAccount/b")
}

func TestFlagsThatDontGoTogether(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--all", "--changed"}, "--all takes every chart"},
		{[]string{"--all", "a"}, "--all takes every chart"},
		{[]string{"--changed", "--changed-since", "x"}, "one of them"},
		{[]string{"--ct-config", "ct.yaml"}, "--ct-config is for"},
		{[]string{"a", "b", "--against", "c"}, "--against git:REF"},
		{[]string{"a", "b", "--coverage-html", "c"}, "one chart at a time"},
		{[]string{"--format", "toml"}, "formats are github, json, junit, markdown, sarif, table"},
		{[]string{"--report", "toml=x"}, "want FORMAT=FILE"}, {[]string{"--report", "json"}, "want FORMAT=FILE"},
	} {
		_, code, err := verifying(c.args...)
		require.Equal(t, 2, code)
		require.ErrorContains(t, err, c.says)
	}
}
