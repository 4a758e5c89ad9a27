package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
)

const (
	kubeVersion = "1.36.0"
	profileFile = "values/gke-autoscaling.yaml"
)

// sets are values that change every workload of the chart, different for
// every n, as --set takes them.
func sets(n int) []string {
	return []string{
		fmt.Sprintf("global.imageRegistry=r%d.example.org", n),
		fmt.Sprintf("application.flask.env.TAKE=take-%d", n),
		fmt.Sprintf("storage.images.size=%dGi", 50+n%50),
	}
}

// renderers are the contenders at rendering once, values different each time.
func (b *bench) renderers() []measure {
	return []measure{
		{"helm template", "a process for every render", b.renders, timed(b.renders, b.helmTemplate)},
		{"helm-unittest", "one process, a test with one assertion for every render", 10 * b.renders, timed(1, b.helmUnittest)},
		{"helm engine", "Helm's bare engine in-process, on values merged beforehand", 10 * b.renders, timed(10*b.renders, b.engine())},
		{"helm engine, profiles", "the same, for each of the chart's profiles in turn", 10 * b.renders, timed(10*b.renders, b.engineProfiles())},
		{"charttest", "values merged, schema checked, rendered, sorted, every object strictly decoded into its type", 10 * b.renders, timed(10*b.renders, b.charttest(false))},
		{"charttest, checks", "the same, and all checks run over the objects", 10 * b.renders, timed(10*b.renders, b.charttest(true))},
	}
}

func (b *bench) helmTemplate() error {
	args := []string{"template", "reel", b.chart, "--kube-version", kubeVersion, "-f", filepath.Join(b.chart, profileFile)}
	for _, s := range sets(b.next()) {
		args = append(args, "--set", s)
	}
	return command(b.helm, args...)
}

func (b *bench) helmUnittest() error { return command(b.unittest, b.unitRender) }

func command(name string, args ...string) error {
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	if out, err := cmd.Output(); err != nil {
		return fmt.Errorf("%w\n%s%s", err, out, stderr.Bytes())
	}
	return nil
}

// engine renders the big profile's values, merged beforehand and different
// each time.
func (b *bench) engine() func() error { return b.bare(filepath.Join(b.chart, profileFile)) }

// engineProfiles renders one profile after the other.
func (b *bench) engineProfiles() func() error {
	profiles := []func() error{b.bare("")}
	for _, file := range b.profiles() {
		profiles = append(profiles, b.bare(file))
	}
	n := 0
	return func() error {
		n++
		return profiles[n%len(profiles)]()
	}
}

// profiles are the values files that ship with the chart.
func (b *bench) profiles() []string {
	files, _ := filepath.Glob(filepath.Join(b.chart, "values", "*.yaml"))
	return files
}

// bare returns a render by Helm's engine alone, with the values of a file.
func (b *bench) bare(file string) func() error {
	ch, merged, err := b.merged(file)
	return func() error {
		if err != nil {
			return err
		}
		// Only the change itself, not the merging, is on the clock.
		global := merged["Values"].(chartutil.Values)["global"].(map[string]any)
		global["imageRegistry"] = fmt.Sprintf("r%d.example.org", b.next())
		_, err := new(engine.Engine).Render(ch, merged)
		return err
	}
}

func (b *bench) merged(file string) (*chart.Chart, chartutil.Values, error) {
	ch, err := loader.Load(b.chart)
	if err != nil {
		return nil, nil, err
	}
	values := make(map[string]any)
	if file != "" {
		if values, err = chartutil.ReadValuesFile(file); err != nil {
			return nil, nil, err
		}
	}
	if err := chartutil.ProcessDependenciesWithMerge(ch, values); err != nil {
		return nil, nil, err
	}
	caps := chartutil.DefaultCapabilities.Copy()
	caps.KubeVersion = chartutil.KubeVersion{Version: "v" + kubeVersion, Major: "1", Minor: "36"}
	merged, err := chartutil.ToRenderValues(ch, values, chartutil.ReleaseOptions{Name: "reel", Namespace: "default", Revision: 1, IsInstall: true}, caps)
	return ch, merged, err
}

func (b *bench) charttest(checks bool) func() error {
	chart, err := charttest.Load(b.chart)
	return func() error {
		if err != nil {
			return err
		}
		r, err := chart.Render(context.Background(), chart.Profile("gke-autoscaling"), charttest.KubeVersion(kubeVersion),
			charttest.Release("reel", ""), charttest.Set(sets(b.next())...))
		if err == nil && checks {
			check.Run(r, check.Cluster{})
		}
		return err
	}
}

// writeUnittest copies the chart and gives it a suite.
func (b *bench) writeUnittest(name, suite string) (string, error) {
	to := filepath.Join(b.dir, name, "ai-film")
	if err := os.MkdirAll(to, 0o755); err != nil {
		return "", err
	}
	if err := os.CopyFS(to, os.DirFS(b.chart)); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(to, "tests"), 0o755); err != nil {
		return "", err
	}
	return to, os.WriteFile(filepath.Join(to, "tests", "bench_test.yaml"), []byte(suite), 0o644)
}

// suiteHead is what both suites begin with. The API version is one that «helm
// template» has and no cluster: the chart then knows that it is asked offline.
const suiteHead = "values: [../" + profileFile + "]\nrelease: {name: reel}\ncapabilities: {majorVersion: 1, minorVersion: 36, apiVersions: [extensions/v1beta1]}\n"

// renderSuite is a suite that renders the whole chart n times.
func renderSuite(n int) string {
	var s strings.Builder
	s.WriteString("suite: render\n" + suiteHead + "tests:\n")
	for i := range n {
		fmt.Fprintf(&s, "  - it: renders %d\n    set:\n", i)
		writeSets(&s, i)
		s.WriteString("    asserts:\n      - template: templates/application/flask.yaml\n        documentSelector: {path: kind, value: Deployment}\n        isKind: {of: Deployment}\n")
	}
	return s.String()
}

func writeSets(s *strings.Builder, n int) {
	for _, set := range sets(n) {
		key, value, _ := strings.Cut(set, "=")
		fmt.Fprintf(s, "      %s: %q\n", key, value)
	}
}
