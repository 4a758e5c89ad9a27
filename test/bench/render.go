package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"

	"github.com/ai-film/ai-film/charttest"
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
		{"charttest", "values merged, schema checked, rendered, sorted, every object strictly decoded into its type", 10 * b.renders, timed(10*b.renders, b.charttest())},
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

// engine renders values that were merged beforehand, different each time.
func (b *bench) engine() func() error {
	caps := chartutil.DefaultCapabilities.Copy()
	caps.KubeVersion = chartutil.KubeVersion{Version: "v" + kubeVersion, Major: "1", Minor: "36"}
	ch, err := loader.Load(b.chart)
	if err != nil {
		return func() error { return err }
	}
	file, err := chartutil.ReadValuesFile(filepath.Join(b.chart, profileFile))
	if err != nil {
		return func() error { return err }
	}
	if err := chartutil.ProcessDependenciesWithMerge(ch, file); err != nil {
		return func() error { return err }
	}
	merged, err := chartutil.ToRenderValues(ch, file, chartutil.ReleaseOptions{Name: "reel", Namespace: "default", Revision: 1, IsInstall: true}, caps)
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

func (b *bench) charttest() func() error {
	chart, err := charttest.Load(b.chart)
	return func() error {
		if err != nil {
			return err
		}
		_, err := chart.Render(chart.Profile("gke-autoscaling"), charttest.KubeVersion(kubeVersion),
			charttest.Release("reel", ""), charttest.Set(sets(b.next())...))
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

// renderSuite is a suite that renders the whole chart n times.
func renderSuite(n int) string {
	var s strings.Builder
	s.WriteString("suite: render\nvalues: [../" + profileFile + "]\nrelease: {name: reel}\ncapabilities: {majorVersion: 1, minorVersion: 36}\ntests:\n")
	for i := range n {
		fmt.Fprintf(&s, "  - it: renders %d\n    set:\n", i)
		writeSets(&s, i)
		s.WriteString("    asserts:\n      - template: charts/application/templates/flask.yaml\n        documentSelector: {path: kind, value: Deployment}\n        isKind: {of: Deployment}\n")
	}
	return s.String()
}

func writeSets(s *strings.Builder, n int) {
	for _, set := range sets(n) {
		key, value, _ := strings.Cut(set, "=")
		fmt.Fprintf(s, "      %s: %q\n", key, value)
	}
}

// Memory is what a long run of renders leaves behind.
type Memory struct {
	Renders     int    `json:"renders"`
	HeapAtTenth uint64 `json:"heap_bytes_after_a_tenth"`
	HeapAtEnd   uint64 `json:"heap_bytes_at_end"`
}

func (b *bench) memory(n int) (*Memory, error) {
	if n == 0 {
		return nil, nil
	}
	render := b.charttest()
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	m := &Memory{Renders: n}
	for i := range n {
		if i == n/10 {
			m.HeapAtTenth = heap()
		}
		if err := render(); err != nil {
			return nil, err
		}
	}
	m.HeapAtEnd = heap()
	return m, nil
}
