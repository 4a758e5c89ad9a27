package monitoring

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const top = "../.."

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	files, err := Files()
	require.NoError(t, err)
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(top, name))
		if assert.NoError(t, err, "go generate ./internal/monitoring") && string(got) != string(want) {
			t.Errorf("%s is not what package monitoring says: go generate ./internal/monitoring", name)
		}
	}
	for _, pattern := range []string{Chart + "/rules/*", Chart + "/dashboards/*", Chart + "/files/*", Runbooks + "/*"} {
		found, err := filepath.Glob(filepath.Join(top, pattern))
		require.NoError(t, err)
		for _, file := range found {
			name, err := filepath.Rel(top, file)
			require.NoError(t, err)
			assert.Contains(t, files, filepath.ToSlash(name), "nobody generates it")
		}
	}
}

func TestFilesAreNamedAfterAlerts(t *testing.T) {
	for name, want := range map[string]string{"FilmLate": "film-late", "GPUIdle": "gpu-idle", "GPUMemoryFull": "gpu-memory-full", "NoFilms": "no-films"} {
		assert.Equal(t, want, Alert{Name: name}.File())
	}
}

func TestDashboardsAreGrafanas(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	boards, err := Dashboards()
	require.NoError(t, err)
	for name, data := range boards {
		var d dashboard.Dashboard
		// Nothing wrong is a nil of a type that lists errors.
		for _, err := range []error{d.UnmarshalJSONStrict(data), d.Validate()} {
			if err != nil && err.Error() != "" {
				t.Errorf("dashboard %s: %v", name, err)
			}
		}
	}
}

func TestPanelsSayWhatToDo(t *testing.T) {
	runbooks := map[string]bool{}
	for _, a := range Alerts {
		runbooks[a.File()] = true
	}
	for _, b := range Boards {
		titles := map[string]bool{}
		for _, r := range b.Rows {
			for _, p := range r.Panels {
				at := b.Title + ": " + p.Title
				assert.False(t, titles[p.Title], "%s is there twice", at)
				titles[p.Title] = true
				assert.NotEmpty(t, p.Queries, at)
				if p.Limit != (Limit{}) {
					assert.Contains(t, strings.ToLower(p.Red), "red", "%s: says what to do when it is red", at)
				}
				assert.Greater(t, len(p.Red), 20, at)
				if _, name, ok := strings.Cut(p.Red, "runbook "); ok {
					name = strings.FieldsFunc(name, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') })[0]
					assert.True(t, runbooks[name], "%s: there is no runbook %s", at, name)
				}
			}
		}
	}
}

func TestRunbooksLeadOn(t *testing.T) {
	known := map[string]bool{}
	for _, a := range Alerts {
		known[a.File()+".md"] = true
	}
	for _, a := range Alerts {
		assert.NotEmpty(t, a.Look, a.Name)
		assert.NotEmpty(t, a.Mend, a.Name)
		for _, part := range strings.Split(string(a.runbook()), "](")[1:] {
			link, _, _ := strings.Cut(part, ")")
			assert.True(t, known[link], "%s links to %s", a.Name, link)
		}
	}
}

// What a runbook says to set must be there to be set.
func TestRunbooksNameValues(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(top, "charts/ai-film/values.yaml"))
	require.NoError(t, err)
	var values map[string]any
	require.NoError(t, yaml.Unmarshal(data, &values))
	found := 0
	for _, a := range Alerts {
		for _, m := range regexp.MustCompile("`([a-z][A-Za-z]*(?:\\.[A-Za-z<>]+)+)(?:=[^`]*)?`").FindAllStringSubmatch(string(a.runbook()), -1) {
			path := strings.Split(m[1], ".")
			at, there := values[path[0]]
			if !there {
				continue // a field of an object: resources.limits.memory
			}
			for _, key := range path[1:] {
				below, _ := at.(map[string]any)
				if strings.HasPrefix(key, "<") { // any of them
					for _, at = range below {
						break
					}
					continue
				}
				if at, there = below[key]; !there {
					t.Errorf("the runbook of %s says %s: the chart's values have no %s there", a.Name, m[1], key)
					break
				}
			}
			found++
		}
	}
	assert.Greater(t, found, 5)
}

func TestInhibitionsNameAlerts(t *testing.T) {
	known := func(name string) bool {
		return slices.ContainsFunc(Alerts, func(a Alert) bool { return a.Name == name })
	}
	for _, c := range causes {
		assert.True(t, known(c.cause), c.cause)
		for _, consequence := range c.consequences {
			assert.True(t, known(consequence), consequence)
			assert.NotEqual(t, c.cause, consequence)
			for _, other := range causes {
				assert.False(t, other.cause == consequence && slices.Contains(other.consequences, c.cause), "%s and %s silence each other", c.cause, consequence)
			}
		}
	}
}

// promtool is Prometheus' own judge of rules. `make test` has it in the image of Prometheus; elsewhere it may be missing.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("AI_FILM_ROOTS") != "" {
			t.Fatal("the images hold no promtool")
		}
		t.Skip("no promtool here: apt-get install prometheus")
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	assert.NoError(t, err, "promtool %s\n%s", strings.Join(args, " "), out)
}

func TestRulesAreValid(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(top, Chart, "rules", "*.yaml"))
	require.NoError(t, err)
	promtool(t, append([]string{"check", "rules", "--lint-fatal"}, files...)...)
}
