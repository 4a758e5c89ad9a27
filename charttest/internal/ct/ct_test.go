package ct_test

import (
	"context"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest/internal/ct"
)

var whole = flag.Bool("whole", false, "also ask chart-testing itself, built from its module")

// history is a repository on a branch off main, and its working directory that
// of the process.
type history struct{ t *testing.T }

func newHistory(t *testing.T) history {
	t.Helper()
	h := history{t}
	t.Chdir(t.TempDir())
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_SYSTEM", os.DevNull)
	t.Setenv("HOME", t.TempDir())
	h.git("init", "--quiet", "--initial-branch=main")
	h.chart("charts/shop", "1.0.0")
	h.chart("charts/store", "1.0.0")
	h.chart("charts/shop/charts/till", "0.1.0")
	h.chart("charts/old", "1.0.0")
	h.chart("library/common", "2.0.0")
	h.write("charts/README.md", "Charts.\n")
	h.write("README.md", "Read me.\n")
	h.commit()
	h.git("update-ref", "refs/remotes/origin/main", "HEAD")
	h.git("checkout", "--quiet", "-b", "feature")
	return h
}

func (h history) git(args ...string) string {
	h.t.Helper()
	out, err := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"}, args...)...).CombinedOutput()
	require.NoError(h.t, err, "%s", out)
	return strings.TrimSpace(string(out))
}

func (h history) write(file, text string) {
	h.t.Helper()
	require.NoError(h.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(h.t, os.WriteFile(file, []byte(text), 0o644))
}

func (h history) chart(dir, version string) {
	h.write(dir+"/Chart.yaml", "apiVersion: v2\nname: "+filepath.Base(dir)+"\nversion: "+version+"\n")
	h.write(dir+"/values.yaml", "size: 1\n")
	h.write(dir+"/templates/"+filepath.Base(dir)+".yaml", "a: {{ .Values.size }}\n# so that git sees where it went when it moves\n# "+filepath.Base(dir)+"\n")
}

func (h history) commit() {
	h.t.Helper()
	h.git("add", "--all")
	h.git("commit", "--quiet", "--message=change")
}

// TestChartsThatChanged has the charts that ct chooses, by «ct list-changed»
// v3.14, and those that are chosen here, for one repository after another.
func TestChartsThatChanged(t *testing.T) {
	program := ""
	if *whole {
		program = chartTesting(t)
	}
	for name, c := range map[string]struct {
		change     func(h history)
		config     string
		ct, chosen []string // chosen is ct's if it is nil
	}{
		"nothing":       {change: func(history) {}},
		"beside charts": {change: func(h history) { h.write("README.md", "x"); h.write("charts/README.md", "x"); h.commit() }},
		"a template":    {change: func(h history) { h.write("charts/shop/templates/a.yaml", "x"); h.commit() }, ct: []string{"charts/shop"}},
		"two charts": {change: func(h history) {
			h.chart("charts/shop", "1.1.0")
			h.commit()
			h.chart("charts/store", "1.1.0")
			h.commit()
		}, ct: []string{"charts/shop", "charts/store"}},
		"a subchart":          {change: func(h history) { h.write("charts/shop/charts/till/values.yaml", "x"); h.commit() }, ct: []string{"charts/shop"}},
		"a new chart":         {change: func(h history) { h.chart("charts/new", "0.1.0"); h.commit() }, ct: []string{"charts/new"}},
		"a chart is gone":     {change: func(h history) { h.git("rm", "-r", "--quiet", "charts/old"); h.commit() }},
		"a file is gone":      {change: func(h history) { h.git("rm", "--quiet", "charts/shop/values.yaml"); h.commit() }, ct: []string{"charts/shop"}},
		"a chart was renamed": {change: func(h history) { h.git("mv", "charts/old", "charts/older"); h.commit() }, ct: []string{"charts/older"}},
		"changed and back": {change: func(h history) {
			h.write("charts/shop/values.yaml", "x")
			h.commit()
			h.write("charts/shop/values.yaml", "size: 1\n")
			h.commit()
		}},
		"not committed":    {change: func(h history) { h.write("charts/shop/values.yaml", "x") }, ct: []string{"charts/shop"}},
		"staged":           {change: func(h history) { h.write("charts/shop/b", "x"); h.git("add", "charts/shop/b") }, ct: []string{"charts/shop"}},
		"merged from main": {change: func(h history) { onMain(h); h.git("merge", "--quiet", "--no-edit", "main") }},
		"main went on":     {change: func(h history) { h.write("charts/shop/values.yaml", "x"); h.commit(); onMain(h) }, ct: []string{"charts/shop"}},
		"a name with spaces and umlauts": {change: func(h history) { h.write("charts/shop/files/Müller & Söhne.txt", "x"); h.commit() },
			ct: []string{}, chosen: []string{"charts/shop"}}, // ct doesn't undo git's quotes
		"a file was moved to another chart": {change: func(h history) {
			h.git("mv", "charts/shop/templates/shop.yaml", "charts/store/templates/shop.yaml")
			h.commit()
		},
			ct: []string{"charts/store"}, chosen: []string{"charts/shop", "charts/store"}},
		"git doesn't know it": {change: func(h history) { h.write("charts/shop/templates/new.yaml", "x") }, ct: []string{}, chosen: []string{"charts/shop"}},
		"git is to ignore it": {change: func(h history) {
			h.write(".gitignore", "*.tgz\n")
			h.commit()
			h.write("charts/shop/charts/dep-1.0.0.tgz", "x")
		}},
		"a dependency": {change: func(h history) { h.write("library/common/values.yaml", "x"); h.commit() }, ct: []string{}},
		"a dependency of another": {change: func(h history) {
			depends(h, "charts/shop", "../../library/common")
			depends(h, "charts/store", "../shop")
			h.commit()
			h.git("update-ref", "refs/remotes/origin/main", "HEAD")
			h.write("library/common/values.yaml", "x")
			h.commit()
		}, ct: []string{}, chosen: []string{"charts/shop", "charts/store"}},
		"what a link leads to": {change: func(h history) {
			require.NoError(h.t, os.Symlink("../../library/common", "charts/shop/common"))
			h.commit()
			h.git("update-ref", "refs/remotes/origin/main", "HEAD")
			h.write("library/common/values.yaml", "x")
			h.commit()
		}, ct: []string{}, chosen: []string{"charts/shop"}},
		"excluded": {change: func(h history) { h.chart("charts/shop", "1.1.0"); h.chart("charts/store", "1.1.0"); h.commit() },
			config: "excluded-charts: [shop]", ct: []string{"charts/store"}},
		"other directories": {change: func(h history) { h.chart("charts/shop", "1.1.0"); h.chart("library/common", "2.1.0"); h.commit() },
			config: "chart-dirs:\n  - library", ct: []string{"library/common"}},
		"directories in one text": {change: func(h history) { h.chart("charts/shop", "1.1.0"); h.chart("library/common", "2.1.0"); h.commit() },
			config: "chart-dirs: charts,library", ct: []string{"charts/shop", "library/common"}},
		".helmignore counts": {change: func(h history) {
			h.write("charts/shop/.helmignore", "docs/\n*.md\n")
			h.commit()
			h.git("update-ref", "refs/remotes/origin/main", "HEAD")
			h.write("charts/shop/docs/a/b.yaml", "x")
			h.write("charts/shop/NEWS.md", "x")
			h.write("charts/store/NEWS.md", "x")
			h.commit()
		}, config: "use-helmignore: true", ct: []string{"charts/store"}},
		"another branch": {change: func(h history) {
			h.git("update-ref", "refs/remotes/upstream/trunk", "HEAD")
			h.chart("charts/shop", "1.1.0")
			h.commit()
		}, config: "remote: upstream\ntarget-branch: trunk", ct: []string{"charts/shop"}},
		"as of an earlier commit": {change: func(h history) {
			h.chart("charts/shop", "1.1.0")
			h.commit()
			h.chart("charts/store", "1.1.0")
			h.commit()
		},
			config: "since: HEAD~1", ct: []string{"charts/shop", "charts/store"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			c.change(h)
			h.write("ct.yaml", c.config+"\n")
			config, err := ct.Load(".", "")
			require.NoError(t, err)
			chosen, err := config.Changed(t.Context(), "")
			require.NoError(t, err)
			var paths []string
			for _, choice := range chosen.Charts {
				paths = append(paths, choice.Path)
				require.Equal(t, slices.Contains(c.ct, choice.Path) || choice.Because == "changed", choice.Own)
			}
			want := c.chosen
			if want == nil {
				want = c.ct
			}
			require.ElementsMatch(t, want, paths)
			if program != "" {
				cmd := exec.Command(program, "list-changed")
				out, err := cmd.Output()
				require.NoError(t, err)
				require.ElementsMatch(t, c.ct, strings.Fields(string(out)), "chart-testing itself")
			}
		})
	}
}

func onMain(h history) {
	h.git("stash", "--quiet")
	h.git("checkout", "--quiet", "main")
	h.chart("charts/store", "1.5.0")
	h.commit()
	h.git("update-ref", "refs/remotes/origin/main", "HEAD")
	h.git("checkout", "--quiet", "feature")
}

func depends(h history, chart, on string) {
	data, err := os.ReadFile(chart + "/Chart.yaml")
	require.NoError(h.t, err)
	h.write(chart+"/Chart.yaml", string(data)+"dependencies: [{name: "+filepath.Base(on)+", version: '>0', repository: 'file://"+on+"'}]\n")
}

// chartTesting builds ct, which asks helm for its version.
func chartTesting(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	module := "module peers\n\ngo 1.26\n\nrequire (\n\tgithub.com/helm/chart-testing/v3 v3.14.0\n\thelm.sh/helm/v3 v3.22.0\n)\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(module), 0o644))
	for _, main := range []string{"github.com/helm/chart-testing/v3/ct", "helm.sh/helm/v3/cmd/helm"} {
		cmd := exec.Command("go", "build", "-mod=mod", "-o", dir+string(filepath.Separator), main)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("chart-testing can't be had here: %v\n%s", err, out)
		}
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return filepath.Join(dir, "ct")
}

func TestWhereToCompareWith(t *testing.T) {
	h := newHistory(t)
	h.write("charts/shop/values.yaml", "x")
	h.commit()
	config, err := ct.Load(".", "")
	require.NoError(t, err)
	require.Empty(t, config.File)
	for since, resolved := range map[string]string{"main": "main", "HEAD~1": "HEAD~1", "origin/main": "origin/main", "": "origin/main"} {
		chosen, err := config.Changed(t.Context(), since)
		require.NoError(t, err)
		require.Equal(t, resolved, chosen.Since)
		require.Len(t, chosen.Charts, 1)
	}
	h.git("branch", "--quiet", "--delete", "--force", "main") // as in a clone of a pull request
	chosen, err := config.Changed(t.Context(), "main", "charts/shop", "charts/store")
	require.NoError(t, err)
	require.Equal(t, "origin/main", chosen.Since)
	require.Equal(t, []ct.Choice{{Path: "charts/shop", Because: "changed", Own: true}}, chosen.Charts)

	_, err = config.Changed(t.Context(), "nowhere")
	require.ErrorContains(t, err, "git knows neither nowhere nor origin/nowhere: fetch it")
	h.git("checkout", "--quiet", "--orphan", "alone")
	h.commit()
	_, err = config.Changed(t.Context(), "main")
	require.ErrorContains(t, err, "fetch-depth: 0")
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("charts", 0o755))
	_, err = config.Changed(t.Context(), "main")
	require.ErrorContains(t, err, "in a working tree")
}

func TestConfigurationIsReadAsByChartTesting(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("HOME", t.TempDir())
	write := func(file, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	write(".ct/ct.yaml", "Chart-Dirs: [a]\ncheck-version-increment: 'false'\nhelm-extra-args: --timeout 1m\nno-such: 1\n")
	c, err := ct.Load(".", "")
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, c.ChartDirs)
	require.False(t, c.CheckVersionIncrement)
	require.True(t, c.ValidateMaintainers, "ct asks for it unless told otherwise")

	write("ct.yaml", "excluded-charts: one\n")
	t.Setenv("CT_TARGET_BRANCH", "trunk")
	c, err = ct.Load(".", "")
	require.NoError(t, err)
	require.Equal(t, []string{"charts"}, c.ChartDirs)
	require.Equal(t, []string{"one"}, c.ExcludedCharts)
	require.Equal(t, "trunk", c.TargetBranch)

	for text, says := range map[string]string{"chart-dirs: {a: b}": "chart-dirs: want a list", "use-helmignore: perhaps": "want true or false", "a: [": "ct.yaml"} {
		write("ct.yaml", text)
		_, err = ct.Load(".", "")
		require.ErrorContains(t, err, says)
	}
	_, err = ct.Load(".", "nowhere.yaml")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestVersionIncrement(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		says    string
	}{
		"the same":                 {"1.0.0", "its version 1.0.0 is not above 1.0.0, which main has"},
		"lower":                    {"0.9.0", "not above"},
		"a candidate for the same": {"1.0.0-rc.1", "not above"},
		"other metadata":           {"1.0.0+build.2", "not above"},
		"no version":               {"one", "no semantic version"},
		"higher":                   {"1.0.1", ""},
		"short":                    {"v2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.chart("charts/shop", c.version)
			h.write("charts/shop/templates/a.yaml", "x")
			h.chart("charts/new", "0.0.1")
			h.commit()
			h.write("ct.yaml", "validate-maintainers: false\n")
			config, err := ct.Load(".", "")
			require.NoError(t, err)
			chosen, err := config.Changed(t.Context(), "main")
			require.NoError(t, err)
			require.Len(t, chosen.Charts, 2)
			complaints, err := config.Complaints(t.Context(), chosen, chosen.Charts[0], http.DefaultClient)
			require.NoError(t, err)
			require.Empty(t, complaints, "a new chart")
			complaints, err = config.Complaints(t.Context(), chosen, chosen.Charts[1], http.DefaultClient)
			require.NoError(t, err)
			if c.says == "" {
				require.Empty(t, complaints)
				return
			}
			require.Len(t, complaints, 1)
			require.Contains(t, complaints[0].Message, c.says)
			require.Equal(t, 3, complaints[0].Line)

			h.write("charts/shop/templates/b.yaml", "x") // as before a further commit
			chosen, err = config.Changed(t.Context(), "HEAD")
			require.NoError(t, err)
			require.Len(t, chosen.Charts, 1)
			complaints, err = config.Complaints(t.Context(), chosen, chosen.Charts[0], http.DefaultClient)
			require.NoError(t, err)
			require.Empty(t, complaints, "the branch itself")
		})
	}
}

func TestMaintainers(t *testing.T) {
	h := newHistory(t)
	var asked []string
	host := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.Host+r.URL.Path)
		if r.URL.Path != "/ann" {
			http.NotFound(w, r)
		}
	}))
	defer host.Close()
	client := host.Client() // whose names all lead here
	transport := client.Transport.(*http.Transport)
	transport.DialContext = dialing(host.Listener.Addr().String())
	transport.TLSClientConfig.ServerName = "example.com"
	for name, c := range map[string]struct{ chart, remote, says, fails string }{
		"none":            {"", "https://git.example.org/a/b.git", "the chart has no maintainers", ""},
		"an account":      {"maintainers: [{name: ann}]", "git@git.example.org:a/b.git", "", ""},
		"no account":      {"maintainers:\n  - {name: ann}\n  - {name: bob}", "ssh://git@git.example.org:2222/a/b", `"bob" has no account at git.example.org: it answers 404`, ""},
		"deprecated":      {"deprecated: true\nmaintainers: [{name: ann}]", "https://git.example.org/a", "deprecated chart must not", ""},
		"deprecated, too": {"deprecated: true", "https://git.example.org/a", "", ""},
		"no remote":       {"maintainers: [{name: ann}]", "", "", "validate-maintainers: false"},
	} {
		t.Run(name, func(t *testing.T) {
			h.chart("charts/shop", "1.1.0")
			data, _ := os.ReadFile("charts/shop/Chart.yaml")
			h.write("charts/shop/Chart.yaml", string(data)+c.chart+"\n")
			_ = exec.Command("git", "remote", "remove", "origin").Run()
			if c.remote != "" {
				h.git("remote", "add", "origin", c.remote)
			}
			h.write("ct.yaml", "check-version-increment: false\n")
			config, err := ct.Load(".", "")
			require.NoError(t, err)
			complaints, err := config.Complaints(t.Context(), nil, ct.Choice{Path: "charts/shop"}, client)
			switch {
			case c.fails != "":
				require.ErrorContains(t, err, c.fails)
			case c.says == "":
				require.NoError(t, err)
				require.Empty(t, complaints)
			default:
				require.NoError(t, err)
				require.Len(t, complaints, 1)
				require.Contains(t, complaints[0].Message, c.says)
				require.NotZero(t, complaints[0].Line)
			}
		})
	}
	require.Contains(t, asked, "HEAD git.example.org/ann")
}

func TestTheChartAsItWas(t *testing.T) {
	h := newHistory(t)
	h.write("charts/shop/values.yaml", "size: 2\n")
	h.write("charts/shop/charts/built-1.0.0.tgz", "x")
	h.commit()
	dir := t.TempDir()
	before, err := ct.Checkout(t.Context(), "charts/shop", "main", dir)
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(before, "values.yaml"))
	require.NoError(t, err)
	require.Equal(t, "size: 1\n", string(data))
	require.FileExists(t, filepath.Join(before, "charts", "built-1.0.0.tgz"))
	require.FileExists(t, filepath.Join(before, "charts", "till", "Chart.yaml"))

	h.chart("charts/new", "1.0.0")
	before, err = ct.Checkout(t.Context(), "charts/new", "main", t.TempDir())
	require.NoError(t, err)
	require.Empty(t, before, "a new chart")
}

func dialing(address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}
