// Package integration holds an installed studio against its promises, on the
// cluster of the current kubeconfig. It needs helm and kubectl on the PATH.
//
// Environment: AI_FILM_NAMESPACE and AI_FILM_RELEASE (both ai-film if unset),
// AI_FILM_INGRESS, the base URL of the ingress controller (http://127.0.0.1 if
// unset), and AI_FILM_REPO, the repository (two directories up if unset).
package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gruntwork-io/terratest/modules/helm"
	"github.com/gruntwork-io/terratest/modules/k8s"
	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func setting(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

var (
	namespace = setting("AI_FILM_NAMESPACE", "ai-film")
	release   = setting("AI_FILM_RELEASE", "ai-film")
	ingress   = setting("AI_FILM_INGRESS", "http://127.0.0.1")
	chart     = filepath.Join(setting("AI_FILM_REPO", "../.."), "charts", "ai-film")
)

// cluster is the release's namespace, in silence: what a test has to say it says itself.
func cluster() *k8s.KubectlOptions {
	options := k8s.NewKubectlOptions("", "", namespace)
	options.Logger = logger.Discard
	return options
}

func helmIn(namespace string) *helm.Options {
	options := k8s.NewKubectlOptions("", "", namespace)
	options.Logger = logger.Discard
	return &helm.Options{KubectlOptions: options, Logger: logger.Discard}
}

// service is what the tests need of a service's values.
type service struct {
	Enabled     bool
	Replicas    int
	Autoscaling struct{ Enabled bool }
	Image       struct{ Registry, Repository, Tag string }
}

// values are all values of the installed release, the chart's own included.
type values struct {
	Global      struct{ ExistingSecret string }
	Storage     map[string]struct{ Size, AccessMode, StorageClass string }
	Ingress     struct{ Host string }
	Application struct{ Dagster, LangGraph, Flask service }
	Processing  struct {
		Blender, OpenCV service
		ComfyUI         struct {
			service
			Mode  string
			Relay struct{ Replicas int }
			GPU   struct{ Count int64 }
		}
	}
	Data       struct{ PostgreSQL, Redis, FFmpeg service }
	Monitoring struct {
		Enabled bool
		Mode    string
	}
}

var read = sync.OnceValues(func() (v values, err error) {
	out, err := helm.RunHelmCommandAndGetStdOutE(quiet{}, helmIn(namespace), "get", "values", release, "--all", "--output", "json")
	if err != nil {
		return v, fmt.Errorf("no release %s in namespace %s; install it first (make up): %w", release, namespace, err)
	}
	return v, json.Unmarshal([]byte(out), &v)
})

// quiet stands in for a test where terratest wants one only to fail it.
type quiet struct{ testing.TB }

func (quiet) Name() string { return "integration" }
func (quiet) Helper()      {}

func installed(t *testing.T) values {
	t.Helper()
	v, err := read()
	require.NoError(t, err)
	return v
}

// workloads are the workloads of the release and how many pods each has at least.
func workloads(v values) map[string]int {
	all := map[string]int{
		"dagster": v.Application.Dagster.Replicas, "dagster-daemon": 1, "dagster-code": 1,
		"langgraph": v.Application.LangGraph.Replicas, "flask": v.Application.Flask.Replicas,
		"comfyui": v.Processing.ComfyUI.Replicas, "comfyui-relay": v.Processing.ComfyUI.Relay.Replicas,
		"blender": v.Processing.Blender.Replicas, "opencv": v.Processing.OpenCV.Replicas,
		"postgresql": v.Data.PostgreSQL.Replicas, "redis": v.Data.Redis.Replicas, "ffmpeg": v.Data.FFmpeg.Replicas,
	}
	if v.Processing.ComfyUI.Mode == "remote" {
		delete(all, "comfyui")
	}
	return all
}

// pods are the pods of the release by workload, those of runs left out: the name of the only container is the workload's.
func pods(t *testing.T) map[string][]corev1.Pod {
	t.Helper()
	all := map[string][]corev1.Pod{}
	for _, pod := range k8s.ListPodsContext(t, t.Context(), cluster(), metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/part-of=ai-film,app.kubernetes.io/component!=run,app.kubernetes.io/instance=" + release,
	}) {
		if pod.DeletionTimestamp == nil {
			name := pod.Spec.Containers[0].Name
			all[name] = append(all[name], pod)
		}
	}
	return all
}

// inFlask runs Python in a pod of the studio, whose image has no shell tools but Python.
func inFlask(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	flask := pods(t)["flask"]
	require.NotEmpty(t, flask, "no pod of flask")
	command := append([]string{"python3", "-c", program}, args...)
	return k8s.ExecPodContextE(t, t.Context(), cluster(), flask[0].Name, "flask", command...)
}

// password is the admin's.
func password(t *testing.T) string {
	t.Helper()
	name := installed(t).Global.ExistingSecret
	if name == "" {
		name = "ai-film"
	}
	return string(k8s.GetSecretContext(t, t.Context(), cluster(), name).Data["admin-password"])
}

// call makes a request to the studio through the ingress, as a browser would; body and reply are JSON unless reply is *[]byte.
func call(t *testing.T, method, path string, body, reply any) *http.Response {
	t.Helper()
	response, data, err := request(t.Context(), installed(t).Ingress.Host, password(t), method, path, body)
	require.NoError(t, err)
	require.Less(t, response.StatusCode, 300, "%s %s: %s", method, path, data)
	switch to := reply.(type) {
	case nil:
	case *[]byte:
		*to = data
	default:
		require.NoError(t, json.Unmarshal(data, reply), "%s %s: %s", method, path, data)
	}
	return response
}

func request(ctx context.Context, host, password, method, path string, body any) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, nil, err
	}
	if body == nil {
		encoded = nil
	}
	r, err := http.NewRequestWithContext(ctx, method, ingress+path, bytes.NewReader(encoded))
	if err != nil {
		return nil, nil, err
	}
	r.Host = host
	if password != "" {
		r.SetBasicAuth("admin", password)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response, data, err
}
