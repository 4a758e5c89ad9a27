package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ai-film/ai-film/charttest/verify"
)

// verifiers measure «charttest verify» as people and pipelines meet it: a
// process that starts cold, all profiles for four versions of Kubernetes, with
// coverage and the examination of values.
func (b *bench) verifiers() []measure {
	return []measure{{
		"charttest verify", "a process: all profiles × four versions of Kubernetes, checks, coverage, values", 1,
		timed(1, func() error {
			err := command(b.program, "verify", b.chart, "--values", "--coverage", "1")
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() == 1 {
				return nil // findings are not what is measured
			}
			return err
		}),
	}}
}

// Scaling is what verifying costs as a chart or its profiles grow: linear, if
// the cost of one stays as it is.
type Scaling struct {
	Objects  []Cost `json:"objects"`  // of a chart with that many
	Profiles []Cost `json:"profiles"` // of the studio's chart, each with values of its own
}

// Cost is what one of N costs.
type Cost struct {
	N      int     `json:"n"`
	EachMS float64 `json:"each_ms"` // median
}

// growth is how much dearer one of many is than one of few.
func growth(costs []Cost) float64 {
	if len(costs) == 0 {
		return 0
	}
	return costs[len(costs)-1].EachMS / costs[0].EachMS
}

func (b *bench) scaling(rounds int) (*Scaling, error) {
	s := new(Scaling)
	var err error
	if s.Objects, err = costs(rounds, []int{60, 120, 240, 480, 960}, func(n int) (func() error, error) {
		dir := filepath.Join(b.dir, fmt.Sprintf("objects-%d", n))
		return verified(dir, verify.Config{KubeVersions: []string{"1.36"}, Values: true}), writeObjects(dir, n)
	}); err != nil {
		return nil, err
	}
	s.Profiles, err = costs(rounds, []int{4, 8, 16, 32}, func(n int) (func() error, error) {
		config := verify.Config{KubeVersions: []string{"1.36"}, Values: true, Profiles: map[string]verify.Profile{}}
		for i := range n - len(b.profiles()) - 1 { // beside those that the chart has
			file, err := filepath.Abs(filepath.Join(b.chart, profileFile))
			if err != nil {
				return nil, err
			}
			config.Profiles[fmt.Sprintf("stage-%d", i)] = verify.Profile{Files: []string{file}, Values: map[string]any{
				"global": map[string]any{"imageRegistry": fmt.Sprintf("r%d.example.org", i)},
			}}
		}
		return verified(b.chart, config), nil
	})
	return s, err
}

func verified(chart string, config verify.Config) func() error {
	return func() error {
		result, err := verify.Run(context.Background(), chart, config)
		if err == nil && result.Renders == 0 {
			err = fmt.Errorf("nothing was rendered of %s", chart)
		}
		return err
	}
}

// costs times each size in turn, round after round.
func costs(rounds int, sizes []int, prepare func(n int) (func() error, error)) ([]Cost, error) {
	runs := make([]func() error, len(sizes))
	for i, n := range sizes {
		var err error
		if runs[i], err = prepare(n); err != nil {
			return nil, err
		}
	}
	times := make([][]float64, len(sizes))
	for round := range rounds + 1 {
		for i, run := range runs {
			start := processorTime()
			if err := run(); err != nil {
				return nil, err
			}
			if round > 0 { // the first round warms up
				times[i] = append(times[i], (processorTime()-start).Seconds()*1000/float64(sizes[i]))
			}
		}
	}
	all := make([]Cost, len(sizes))
	for i, n := range sizes {
		all[i] = Cost{n, slices.Sorted(slices.Values(times[i]))[len(times[i])/2]}
	}
	return all, nil
}

// writeObjects writes a chart of n objects: Deployments, each with its Service
// and its ConfigMap, a template for each three.
func writeObjects(dir string, n int) error {
	files := map[string]string{
		"Chart.yaml":  "apiVersion: v2\nname: crowd\nversion: 0.1.0\n",
		"values.yaml": "image: registry.example.org/extra\nreplicas: 2\n",
	}
	for i := range n / 3 {
		files[fmt.Sprintf("templates/extra-%04d.yaml", i)] = strings.ReplaceAll(extra, "NAME", fmt.Sprintf("extra-%04d", i))
	}
	return writeFiles(dir, files)
}

// writeFiles writes texts by their paths below a folder, and makes the folders.
func writeFiles(dir string, texts map[string]string) error {
	for name, text := range texts {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const extra = `apiVersion: v1
kind: ConfigMap
metadata:
  name: NAME
data:
  role: NAME of {{ .Release.Name }}
---
apiVersion: v1
kind: Service
metadata:
  name: NAME
spec:
  selector: {app: NAME}
  ports:
    - {name: http, port: 80, targetPort: http}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels: {app: NAME}
  template:
    metadata:
      labels: {app: NAME}
    spec:
      containers:
        - name: extra
          image: "{{ .Values.image }}:{{ .Chart.Version }}"
          ports:
            - {name: http, containerPort: 8080}
          envFrom:
            - configMapRef: {name: NAME}
          {{- if gt (int .Values.replicas) 1 }}
          readinessProbe:
            httpGet: {path: /, port: http}
          {{- end }}
`
