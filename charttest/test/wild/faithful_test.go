package wild

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/internal/helmtemplate"
)

// helm is the path of the helm program that this module pins.
var helm = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("go", "tool", "-n", "helm")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
})

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
					if os.Getenv("CHARTTEST_HELM4") == "" {
						t.Skip("CHARTTEST_HELM4 names no program of Helm 4.3 to compare with")
					}
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
	program, err := os.Getenv("CHARTTEST_HELM4"), error(nil)
	if major == 3 {
		program, err = helm()
	}
	require.NoError(t, err, "building helm")
	want, wantErr := run(program, args)
	cmd := &cobra.Command{Use: "render", SilenceUsage: true, SilenceErrors: true}
	helmtemplate.AddFlags(cmd)
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs(append([]string{"--helm", strconv.Itoa(major)}, args...))
	got, gotErr := "", ""
	if err := cmd.Execute(); err != nil {
		gotErr = err.Error()
	}
	got = out.String()
	require.Equal(t, sorted(wantErr), sorted(gotErr)) // schemas are checked in random order
	if got == want {
		return got
	}
	// Certificates and passwords differ between two runs of helm itself.
	again, _ := run(program, args)
	wants, agains, gots := strings.Split(want, "\n"), strings.Split(again, "\n"), strings.Split(got, "\n")
	require.Equal(t, len(wants), len(gots), "lines")
	require.Equal(t, len(wants), len(agains), "lines of two runs of helm")
	for i := range wants {
		if wants[i] == agains[i] {
			require.Equal(t, wants[i], gots[i], "line %d", i+1)
		}
	}
	return got
}

func run(helm string, args []string) (stdout, failure string) {
	var out, errs bytes.Buffer
	cmd := exec.Command(helm, append([]string{"template"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		_, failure, _ = strings.Cut(errs.String(), "Error: ")
		failure = strings.TrimSuffix(failure, "\n")
	}
	return out.String(), failure
}

func sorted(s string) []string {
	lines := strings.Split(s, "\n")
	slices.Sort(lines)
	return lines
}
