package integration

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gruntwork-io/terratest/modules/k8s"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// studioMonitoring is the subchart with what is generated for it.
var studioMonitoring = filepath.Join(chart, "charts", "monitoring")

// lacking are queries that have no data here, by what they ask for, and why.
var lacking = map[string]string{
	"kubelet_volume_stats_":          "volumes of local-path are directories, of which the kubelet says nothing",
	"aifilm_bridge_registrations_":   "no bridge runs",
	`gpu="true"`:                     "the preview draws on no GPU",
	"aifilm_planner_":                "the planner asks no model",
	"aifilm_shots_doubtful_total":    "no shot was doubtful",
	"aifilm_film_estimate_seconds":   "an estimate takes some films",
	"probe_ssl_earliest_cert_expiry": "no blackbox exporter looks at the page",
}

// prometheus asks the studio's own Prometheus through the API server.
func prometheus(t *testing.T, path string, parameters map[string]string, into any) {
	t.Helper()
	data, err := client(t).CoreV1().Services(namespace).ProxyGet("http", "prometheus", "9090", path, parameters).DoRaw(t.Context())
	require.NoError(t, err, "%s %v: %s", path, parameters, data)
	var answer struct{ Data json.RawMessage }
	require.NoError(t, json.Unmarshal(data, &answer))
	require.NoError(t, json.Unmarshal(answer.Data, into))
}

func client(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	c, err := k8s.GetKubernetesClientFromOptionsE(t, cluster())
	require.NoError(t, err)
	return c
}

// query returns the values of a query's result; those that are no number are left out.
func query(t *testing.T, expression string) []float64 {
	t.Helper()
	var result struct {
		Result []struct{ Value [2]any }
	}
	prometheus(t, "api/v1/query", map[string]string{"query": expression}, &result)
	var values []float64
	for _, r := range result.Result {
		if v, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64); err == nil && !math.IsNaN(v) {
			values = append(values, v)
		}
	}
	return values
}

//go:embed testdata/standin.py
var standin string

// stand puts a pod up that says what a GPU's exporter and kube-state-metrics say, and keeps what Alertmanager tells.
func stand(t *testing.T) {
	t.Helper()
	c, name := client(t), "monitoring-standin"
	flask := pods(t)["flask"][0].Spec
	labels := map[string]string{"app.kubernetes.io/name": "dcgm", "app.kubernetes.io/component": "exporter", "app.kubernetes.io/instance": release, "app.kubernetes.io/part-of": "ai-film"}
	meta := metav1.ObjectMeta{Name: name, Labels: labels}
	security := flask.Containers[0].SecurityContext
	one := int64(0)
	remove := func() {
		_ = c.CoreV1().Pods(namespace).Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &one})
		_ = c.CoreV1().Services(namespace).Delete(t.Context(), name, metav1.DeleteOptions{})
	}
	remove()
	require.Eventually(t, func() bool {
		_, err := c.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}, 5*time.Minute, time.Second)
	_, err := c.CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{ObjectMeta: meta,
		Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Name: "told", Port: 8080}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = c.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{
		SecurityContext: flask.SecurityContext, AutomountServiceAccountToken: new(bool),
		Containers: []corev1.Container{{Name: name, Image: flask.Containers[0].Image, Command: []string{"python3", "-c", standin}, SecurityContext: security,
			Env:   []corev1.EnvVar{{Name: "NAMESPACE", Value: namespace}},
			Ports: []corev1.ContainerPort{{Name: "metrics", ContainerPort: 9400}, {Name: "told", ContainerPort: 8080}}}},
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		options := cluster()
		_, _ = k8s.RunKubectlAndGetOutputE(t, options, "delete", "--ignore-not-found", "--wait=false", "pod/"+name, "service/"+name)
	})
}

// page is a notification of Alertmanager's.
type page struct {
	Status string
	Alerts []struct {
		Status      string
		Labels      map[string]string
		Annotations map[string]string
		StartsAt    time.Time
	}
	At float64 // when it came, Unix seconds
}

func told(t *testing.T) (all []page) {
	t.Helper()
	data, err := client(t).CoreV1().Services(namespace).ProxyGet("http", "monitoring-standin", "8080", "/", nil).DoRaw(t.Context())
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &all))
	return all
}

// named are the notifications of one alert with a status.
func named(pages []page, alert, status string) (all []page) {
	for _, p := range pages {
		for _, a := range p.Alerts {
			if a.Labels["alertname"] == alert && p.Status == status {
				all = append(all, p)
			}
		}
	}
	return all
}

func watchedOrSkip(t *testing.T) {
	t.Helper()
	if m := installed(t).Monitoring; !m.Enabled || m.Mode != "own" {
		t.Skip("the release has no monitoring of its own: go run -C local . up --monitoring --values $PWD/test/integration/testdata/monitoring.yaml")
	}
}

// Prometheus reaches whatever has metrics, every query has data once films were made, and a film that fails pages once.
func TestMonitoring(t *testing.T) {
	watchedOrSkip(t)
	stand(t)
	if made := query(t, `max(increase(aifilm_films_ended_total{outcome=~"on_time|late"}[1h]))`); len(made) == 0 || made[0] == 0 {
		makeFilm(t, map[string]any{"width": 384, "height": 216, "seconds": 6, "seed": 5})
	}
	failed := failFilm(t)
	_, _, err := request(t.Context(), installed(t).Ingress.Host, "wrong", "GET", "/api/films", nil) // one that is refused
	require.NoError(t, err)
	t.Run("targets", everyTargetIsUp)
	t.Run("a failed film pages once", func(t *testing.T) {
		var pages []page
		require.Eventually(t, func() bool {
			pages = named(told(t), "FilmFailed", "firing")
			return len(pages) > 0
		}, 5*time.Minute, 2*time.Second, "Alertmanager told nobody")
		took := time.Unix(int64(pages[0].At), 0).Sub(failed)
		t.Logf("paged %.0f s after the film's end", took.Seconds())
		assert.Less(t, took, 3*time.Minute)
		assert.Contains(t, pages[0].Alerts[0].Annotations["runbook_url"], "docs/runbooks/film-failed.md")
	})
	t.Run("queries", everyQueryHasData)
	all := told(t)
	assert.Len(t, named(all, "FilmFailed", "firing"), 1, "one cause, one page")
	onlyPages(t, all, "FilmFailed")
}

// onlyPages says that nothing but the alert was told of, and the machine's own disk, where that is full: all volumes are on it.
func onlyPages(t *testing.T, pages []page, alert string) {
	t.Helper()
	for _, p := range pages {
		for _, a := range p.Alerts {
			assert.Contains(t, []string{alert, "VolumeFull"}, a.Labels["alertname"], "%v", a.Labels)
		}
	}
}

// failFilm has a film's time be up, and returns when it failed.
func failFilm(t *testing.T) time.Time {
	t.Helper()
	var made film
	call(t, "POST", "/api/films", map[string]any{"title": t.Name(), "brief": brief, "settings": map[string]any{"width": 384, "height": 216, "seconds": 12}}, &made)
	remove(t, made)
	postgresql := pods(t)["postgresql"][0]
	for begun := time.Now(); made.State != "failed"; time.Sleep(2 * time.Second) {
		require.NotEqual(t, "done", made.State)
		require.Less(t, time.Since(begun), 5*time.Minute, "film %s is still %s", made.ID, made.State)
		out, err := k8s.ExecPodContextE(t, t.Context(), cluster(), postgresql.Name, "postgresql", "sh", "-c",
			`PGPASSWORD=$STUDIO_PASSWORD psql -h 127.0.0.1 -U studio -d studio -qc "UPDATE film SET time_left = 0 WHERE id = '`+made.ID+`'"`)
		require.NoError(t, err, out)
		call(t, "GET", "/api/films/"+made.ID, nil, &made)
	}
	return time.Now()
}

// remove deletes a film at the test's end.
func remove(t *testing.T, made film) {
	t.Helper()
	host, secret := installed(t).Ingress.Host, password(t)
	t.Cleanup(func() { _, _, _ = request(context.Background(), host, secret, "DELETE", "/api/films/"+made.ID, nil) })
}

// What can't be read is named with what Prometheus says of it.
func everyTargetIsUp(t *testing.T) {
	type target struct {
		Labels            map[string]string
		ScrapeURL, Health string
		LastError         string
	}
	want := []string{"alertmanager", "blender", "comfyui", "dcgm", "ffmpeg", "flask", "kubelet", "langgraph", "node", "opencv", "postgresql", "prometheus", "redis"}
	var down []string
	assert.Eventually(t, func() bool {
		var targets struct{ ActiveTargets []target }
		prometheus(t, "api/v1/targets", map[string]string{"state": "active"}, &targets)
		jobs := map[string]bool{}
		down = nil
		for _, one := range targets.ActiveTargets {
			jobs[one.Labels["job"]] = true
			if one.Health != "up" {
				down = append(down, fmt.Sprintf("%s %s is %s: %s", one.Labels["job"], one.ScrapeURL, one.Health, one.LastError))
			}
		}
		for _, job := range want {
			if !jobs[job] {
				down = append(down, job+" has no target")
			}
		}
		return len(down) == 0
	}, 3*time.Minute, 3*time.Second)
	assert.Empty(t, down)
}

var (
	grouped   = regexp.MustCompile(`\b(by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)`)
	selectors = regexp.MustCompile(`\b[a-zA-Z][a-zA-Z0-9:]*[_:][a-zA-Z0-9_:]+(\{[^}]*\})?\s*(\(?)|\bup\b(\{[^}]*\})?`)
)

// queries are those of all panels, as they stand, and the selectors of all rules, whose comparisons are empty where all is well.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{} // query → where it stands
	files, err := filepath.Glob(filepath.Join(studioMonitoring, "dashboards", "*.json"))
	require.NoError(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var dashboard struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		require.NoError(t, json.Unmarshal(data, &dashboard))
		for _, p := range dashboard.Panels {
			for _, target := range p.Targets {
				all[strings.ReplaceAll(target.Expr, "$namespace", namespace)] = filepath.Base(file) + ": " + p.Title
			}
		}
	}
	panels := len(all)
	files, err = filepath.Glob(filepath.Join(studioMonitoring, "rules", "*.yaml"))
	require.NoError(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var rules struct {
			Groups []struct{ Rules []struct{ Expr string } }
		}
		require.NoError(t, yaml.Unmarshal(data, &rules))
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				for _, selector := range selectors.FindAllString(grouped.ReplaceAllString(r.Expr, ""), -1) {
					if !strings.HasSuffix(selector, "(") {
						all[strings.ReplaceAll(strings.TrimSpace(selector), `namespace="ai-film"`, fmt.Sprintf("namespace=%q", namespace))] = filepath.Base(file)
					}
				}
			}
		}
	}
	require.Greater(t, panels, 40)
	require.Greater(t, len(all), panels+20)
	return all
}

// Every query of every panel and rule is answered by this Prometheus, and with data unless it is known why not.
func everyQueryHasData(t *testing.T) {
	var empty []string
	answered, without := 0, map[string]int{}
	pending, known := queries(t), slices.Sorted(maps.Keys(lacking))
	for begun := time.Now(); len(pending) > 0; time.Sleep(3 * time.Second) { // rules and rates take two readings
		empty = nil
		for expression, at := range pending {
			why := slices.IndexFunc(known, func(part string) bool { return strings.Contains(expression, part) })
			if len(query(t, expression)) > 0 {
				answered++
				delete(pending, expression)
			} else if why >= 0 {
				without[known[why]]++
				delete(pending, expression)
			} else {
				empty = append(empty, at+": "+expression)
			}
		}
		if time.Since(begun) > 2*time.Minute {
			break
		}
	}
	assert.Empty(t, empty, "queries without data")
	t.Logf("%d queries have data; without: %v", answered, without)
}

// A backend that is killed pages once within the time that its alert states, and the page ends after it came back. It takes six
// minutes, most of them of waiting, so it runs only where AI_FILM_LONG is set.
func TestLostBackendPages(t *testing.T) {
	watchedOrSkip(t)
	if os.Getenv("AI_FILM_LONG") == "" {
		t.Skip("AI_FILM_LONG=1 runs it")
	}
	stand(t)
	scale := func(replicas string) {
		out, err := k8s.RunKubectlAndGetOutputE(t, cluster(), "scale", "statefulset/comfyui", "--replicas", replicas)
		require.NoError(t, err, out)
	}
	t.Cleanup(func() { scale("1") })
	scale("0")
	begun := time.Now()
	var waiting film
	call(t, "POST", "/api/films", map[string]any{"title": t.Name(), "brief": brief, "settings": map[string]any{"width": 384, "height": 216, "seconds": 6, "seed": 8}}, &waiting)
	remove(t, waiting)
	come := func(status string) (first page) {
		require.Eventually(t, func() bool {
			pages := named(told(t), "BackendLost", status)
			if len(pages) > 0 {
				first = pages[0]
			}
			return len(pages) > 0
		}, 12*time.Minute, 2*time.Second, "BackendLost is not %s", status)
		return first
	}
	firing := come("firing")
	t.Logf("paged %.0f s after the backend's end", firing.At-float64(begun.Unix()))
	back := time.Now()
	scale("1")
	resolved := come("resolved")
	t.Logf("resolved %.0f s after it was started again", resolved.At-float64(back.Unix()))
	all := told(t)
	assert.Len(t, named(all, "BackendLost", "firing"), 1)
	onlyPages(t, all, "BackendLost")
}
