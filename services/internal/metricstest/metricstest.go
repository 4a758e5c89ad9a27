// Package metricstest holds what a service exports to the list that rules and dashboards are held to, services/metrics.txt.
package metricstest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	line = regexp.MustCompile(`^(aifilm_[a-z_]+)\{([a-z,]*)\} +([a-z_ ]+)$`)
	desc = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", .*constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}\}$`)
)

// Check reports what the service exports and the list lacks, and what the list has and the service doesn't.
func Check(t testing.TB, service string, registry *prometheus.Registry) {
	t.Helper()
	want, err := listed(service)
	if err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		registry.Describe(descs)
	}()
	var got []string
	for d := range descs {
		m := desc.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("%s is no description as client_golang writes them", d)
		}
		if !strings.HasPrefix(m[1], "aifilm_") {
			continue
		}
		var labels []string
		for _, pair := range strings.Split(m[2]+","+m[3], ",") {
			if name, _, _ := strings.Cut(pair, "="); name != "" {
				labels = append(labels, name)
			}
		}
		slices.Sort(labels)
		got = append(got, fmt.Sprintf("%s{%s}", m[1], strings.Join(labels, ",")))
	}
	for _, metric := range got {
		if !slices.Contains(want, metric) {
			t.Errorf("%s exports %s, which services/metrics.txt doesn't say", service, metric)
		}
	}
	for _, metric := range want {
		if !slices.Contains(got, metric) {
			t.Errorf("services/metrics.txt says that %s exports %s; it doesn't", service, metric)
		}
	}
}

func listed(service string) (metrics []string, err error) {
	_, here, _, _ := runtime.Caller(0)
	data, err := os.ReadFile(filepath.Join(filepath.Dir(here), "../../metrics.txt"))
	if err != nil {
		return nil, err
	}
	for n, l := range strings.Split(string(data), "\n") {
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil {
			return nil, fmt.Errorf("services/metrics.txt:%d: not a metric, its labels and services: %s", n+1, l)
		}
		if slices.Contains(strings.Fields(m[3]), service) {
			metrics = append(metrics, fmt.Sprintf("%s{%s}", m[1], m[2]))
		}
	}
	return metrics, nil
}
