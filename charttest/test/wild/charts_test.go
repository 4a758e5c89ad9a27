// Package wild tries what the project promises of any chart on charts of
// others: rendered as helm renders them, verified without false alarms, and
// with defects put into them that must be found. The charts come out of the
// published Go modules of their projects; only names and checksums are kept
// here.
package wild

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// source is a published module with charts in it.
type source struct {
	module, version string
	sum             string            // of the module's content, as in go.sum
	charts          map[string]string // name → folder in the module
}

var sources = []source{
	{"sigs.k8s.io/metrics-server", "v0.9.0", "h1:nlqqZ2H0Xfko8eJC/1qaNVVT17hu4rxndkOi22KTZ4w=",
		map[string]string{"metrics-server": "charts/metrics-server"}},
	{"sigs.k8s.io/descheduler", "v0.36.0", "h1:fBemfJD1RhmbsdH94lKwGMOwQcbsrw67A5IK2c2fANA=",
		map[string]string{"descheduler": "charts/descheduler"}},
	{"sigs.k8s.io/external-dns", "v0.20.0", "h1:rJ4Q5c32NStvI8J+u2nyM4bcKxZG4g1NLPL0p994U9M=",
		map[string]string{"external-dns": "charts/external-dns"}},
	{"k8s.io/ingress-nginx", "v0.0.0-20240708192948-52c50467d67d", "h1:tZui5g6S4GO1hxLm6yrEoIXLkl4QfeGytlmZqZ+DmdQ=",
		map[string]string{"ingress-nginx": "charts/ingress-nginx"}},
	{"github.com/bitnami-labs/sealed-secrets", "v0.40.0", "h1:rvCP35JL8ZV5LNA2SrwNR6iLyoM3ulrSFWN0lBtYEYI=",
		map[string]string{"sealed-secrets": "helm/sealed-secrets"}},
	{"github.com/rancher/local-path-provisioner", "v0.0.30", "h1:OkiuofkCSscddl7tma/B9Ox1wu+JEVSrP7IcZI65Ggo=",
		map[string]string{"local-path-provisioner": "deploy/chart/local-path-provisioner"}},
	{"github.com/cert-manager/cert-manager", "v1.21.2", "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
		map[string]string{"cert-manager": "deploy/charts/cert-manager"}},
	{"github.com/cert-manager/trust-manager", "v0.25.0", "h1:nGtkHH9wEacI5uACdsq8wqCKWsCw1PMrwHPJcrUFUXA=",
		map[string]string{"trust-manager": "deploy/charts/trust-manager"}},
	{"github.com/external-secrets/external-secrets", "v1.3.2", "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=",
		map[string]string{"external-secrets": "deploy/charts/external-secrets"}},
	{"github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c", "h1:/qdoYujxF5MBLDMVLeiYJ/7fBa1HikX39Dvzb9Ji8pA=",
		map[string]string{"minio": "helm/minio"}},
	{"go.universe.tf/metallb", "v0.16.2", "h1:RCSAGoZmqcvTg0e56+Okbwz8iTuQVX30JpKX5mYEPUM=",
		map[string]string{"metallb": "charts/metallb"}},
	{"github.com/open-policy-agent/gatekeeper/v3", "v3.23.1", "h1:njHTm0SJ6ZEhhEgmQTpJKTGQbc99fSs4hGiEp1OIKck=",
		map[string]string{"gatekeeper": "charts/gatekeeper"}},
	{"github.com/dapr/dapr", "v1.14.0", "h1:SIQsNX1kH31JRDIS4k8IZ6eomM/BAcOP844PhQIT+BQ=",
		map[string]string{"dapr": "charts/dapr"}},
	{"github.com/kyverno/kyverno", "v1.19.1", "h1:/MkgFii3/VlQfKR1JpC9tVwNNVNQTt2S4U6qCsafsTU=",
		map[string]string{"kyverno": "charts/kyverno", "kyverno-policies": "charts/kyverno-policies"}},
	{"github.com/fluxcd/flagger", "v1.36.1", "h1:X2PumtNwZz9YSGaOtZLFm2zAKLgHhFkbNv8beg7ifyc=",
		map[string]string{"flagger": "charts/flagger", "loadtester": "charts/loadtester", "podinfo": "charts/podinfo", "grafana": "charts/grafana"}},
}

// download brings the modules into the module cache, all at once, and returns
// the charts' folders by name.
var download = sync.OnceValues(func() (map[string]string, error) {
	args := []string{"mod", "download", "-json"}
	bySum := map[string]source{}
	for _, s := range sources {
		args = append(args, s.module+"@"+s.version)
		bySum[s.module] = s
	}
	dir, err := os.MkdirTemp("", "wild") // outside of any module
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, runErr := cmd.Output() // fails if any module does, which then says why
	charts := map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var m struct{ Path, Version, Error, Dir, Sum string }
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go mod download: %w", err)
		}
		if m.Error != "" {
			return nil, fmt.Errorf("%s@%s: %s", m.Path, m.Version, m.Error)
		}
		s := bySum[m.Path]
		if m.Sum != s.sum {
			return nil, fmt.Errorf("%s@%s has the checksum %s, not %s: it is not what these tests were written for", m.Path, m.Version, m.Sum, s.sum)
		}
		for name, folder := range s.charts {
			charts[name] = filepath.Join(m.Dir, filepath.FromSlash(folder))
		}
	}
	if runErr != nil {
		return nil, fmt.Errorf("go mod download: %w: %s", runErr, stderr.Bytes())
	}
	return charts, nil
})

// charts returns the folders of the charts by name. Where they can't be had the
// test is skipped, unless CI or AI_FILM_WILD says that it is to be run.
func charts(t *testing.T) map[string]string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: charts of others take a minute, and 90 MB the first time")
	}
	all, err := download()
	if err == nil {
		all = maps.Clone(all)
		for name, dir := range all {
			all[name] = complete(t, dir)
		}
		return all
	}
	if os.Getenv("CI") == "" && os.Getenv("AI_FILM_WILD") == "" {
		t.Skipf("offline? charts of others can't be had: %v\nSet AI_FILM_WILD=1 to make this an error.", err)
	}
	t.Fatalf("charts of others can't be had: %v", err)
	return nil
}

// complete returns a chart that has what its Chart.yaml says it needs: the
// chart itself, or a copy that needs less, where its project fetches
// dependencies when it packages the chart.
func complete(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "Chart.yaml"))
	require.NoError(t, err)
	var chart map[string]any
	require.NoError(t, yaml.Unmarshal(data, &chart))
	listed, _ := chart["dependencies"].([]any)
	var kept []any
	for _, d := range listed {
		name := d.(map[string]any)["name"].(string)
		if found, _ := filepath.Glob(filepath.Join(dir, "charts", name+"*")); len(found) > 0 {
			kept = append(kept, d)
		}
	}
	if len(kept) == len(listed) {
		return dir
	}
	chart["dependencies"] = kept
	data, err = yaml.Marshal(chart)
	require.NoError(t, err)
	to := filepath.Join(t.TempDir(), filepath.Base(dir))
	require.NoError(t, os.CopyFS(to, os.DirFS(dir)))
	file := filepath.Join(to, "Chart.yaml")
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.WriteFile(file, data, 0o600))
	return to
}
