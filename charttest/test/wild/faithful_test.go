package wild

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/internal/helmtemplate"
	"github.com/ai-film/ai-film/charttest/internal/upstream"
)

// Every chart, with its own values, with each of its authors' test values, with
// every switch turned, and as an upgrade elsewhere, comes out as helm has it:
// bytes, or else the error.
func TestRenderedAsHelmRendersThem(t *testing.T) {
	all := charts(t)
	for name, dir := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := map[string][]string{
				"default": {name, dir, "--include-crds", "--kube-version", "1.36"},
				"upgrade": {"town", dir, "--namespace", "elsewhere", "--is-upgrade", "--kube-version", "1.36.1", "--skip-tests",
					"-a", "monitoring.coreos.com/v1", "-a", "cert-manager.io/v1", "--render-subchart-notes"},
				"turned": {name, dir, "-f", turned(t, dir), "--kube-version", "1.36"},
			}
			files, err := filepath.Glob(filepath.Join(dir, "ci", "*.yaml"))
			require.NoError(t, err)
			for _, file := range files {
				lines[filepath.Base(file)] = []string{name, dir, "-f", file, "--kube-version", "1.36"}
			}
			for line, args := range lines {
				t.Run(line, func(t *testing.T) {
					if out := compare(t, 3, args); line != "turned" {
						require.NotEmpty(t, out, "rendered nothing")
					}
				})
				t.Run(line+", Helm 4", func(t *testing.T) {
					compare(t, 4, args)
				})
			}
		})
	}
}

// turned writes values that turn every switch of a chart's values to the other
// side.
func turned(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "values.yaml"))
	require.NoError(t, err)
	var values map[string]any
	require.NoError(t, yaml.Unmarshal(data, &values))
	var turn func(v any) any
	turn = func(v any) any {
		switch v := v.(type) {
		case bool:
			return !v
		case map[string]any:
			for k := range v {
				v[k] = turn(v[k])
			}
		}
		return v
	}
	data, err = yaml.Marshal(turn(values))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "turned.yaml")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	return file
}

// compare renders with helm, of a major version, and with our engine, in
// whatever way the arguments of «helm template» say, and expects the same of
// both. It returns what came out.
func compare(t *testing.T, major int, args []string) string {
	t.Helper()
	helm := func() upstream.Outcome { return upstream.Template(upstream.Helm(t, major), "", args...) }
	ours := render(t, major, args)
	upstream.Same(t, helm(), ours, helm)
	return ours.Stdout
}

// render does what «charttest render» does.
func render(t *testing.T, major int, args []string) upstream.Outcome {
	t.Helper()
	cmd := &cobra.Command{Use: "render", SilenceUsage: true, SilenceErrors: true}
	helmtemplate.AddFlags(cmd)
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs(append([]string{"--helm", strconv.Itoa(major)}, args...))
	var o upstream.Outcome
	if err := cmd.Execute(); err != nil {
		o.Error = err.Error()
	}
	o.Stdout = out.String()
	return o
}
