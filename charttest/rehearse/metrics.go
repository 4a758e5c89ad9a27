package rehearse

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	certutil "k8s.io/client-go/util/cert"

	"github.com/ai-film/ai-film/charttest"
)

// load is how busy the pods are said to be, in percent of what they ask for:
// far above any target, or idle.
const (
	busy = 400
	idle = 1
)

// metrics answers metrics.k8s.io and, where the cluster is declared to have it,
// external.metrics.k8s.io, with the load that the rehearsal sets.
type metrics struct {
	load     atomic.Int64
	external bool
	watched  *watcher
	server   *http.Server
	port     int
}

// newMetrics starts to answer on a free port of the loopback.
func newMetrics(w *watcher, external bool) (*metrics, error) {
	cert, key, err := certutil.GenerateSelfSignedCertKey("localhost", nil, nil)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &metrics{watched: w, external: external, port: l.Addr().(*net.TCPAddr).Port}
	m.load.Store(idle)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /apis/metrics.k8s.io/v1beta1", discover("metrics.k8s.io/v1beta1",
		metav1.APIResource{Name: "pods", Namespaced: true, Kind: "PodMetrics", Verbs: metav1.Verbs{"get", "list"}},
		metav1.APIResource{Name: "nodes", Kind: "NodeMetrics", Verbs: metav1.Verbs{"get", "list"}}))
	mux.HandleFunc("GET /apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods", m.pods)
	mux.HandleFunc("GET /apis/external.metrics.k8s.io/v1beta1", discover("external.metrics.k8s.io/v1beta1",
		metav1.APIResource{Name: "externalmetrics", Namespaced: true, Kind: "ExternalMetricValueList", Verbs: metav1.Verbs{"get"}}))
	mux.HandleFunc("GET /apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{metric}", m.value)
	m.server = &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, ReadHeaderTimeout: time.Minute}
	go func() { _ = m.server.ServeTLS(l, "", "") }()
	return m, nil
}

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// yield lets the chart's own answer, where it brings what answers.
func (m *metrics) yield(ctx context.Context, c *cluster, r *charttest.Render) error {
	for _, o := range r.Objects {
		if o.Kind != "APIService" || !strings.HasSuffix(o.Name, "metrics.k8s.io") {
			continue
		}
		if err := c.dynamic.Resource(apiServices).Delete(ctx, o.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// register makes the API server ask here.
func (m *metrics) register(ctx context.Context, c *cluster) error {
	_, err := c.client.CoreV1().Services(metav1.NamespaceSystem).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "rehearsal-metrics"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	groups := []string{"metrics.k8s.io"}
	if m.external {
		groups = append(groups, "external.metrics.k8s.io")
	}
	for _, group := range groups {
		_, err := c.dynamic.Resource(apiServices).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": "v1beta1." + group},
			"spec": map[string]any{"group": group, "version": "v1beta1", "groupPriorityMinimum": int64(100), "versionPriority": int64(100), "insecureSkipTLSVerify": true,
				"service": map[string]any{"namespace": metav1.NamespaceSystem, "name": "rehearsal-metrics", "port": int64(m.port)}},
		}}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *metrics) stop() { _ = m.server.Close() }

func discover(groupVersion string, resources ...metav1.APIResource) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		answer(w, metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: groupVersion, APIResources: resources})
	}
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// usage is a container's: its requests times the load.
func (m *metrics) usage(c corev1.Container) map[string]any {
	scaled := func(name corev1.ResourceName, otherwise string) string {
		q, ok := c.Resources.Requests[name]
		if !ok {
			q = resource.MustParse(otherwise)
		}
		return strconv.FormatInt(max(q.MilliValue()*m.load.Load()/100, 1), 10) + "m"
	}
	return map[string]any{"cpu": scaled(corev1.ResourceCPU, "100m"), "memory": scaled(corev1.ResourceMemory, "100Mi")}
}

func (m *metrics) pods(w http.ResponseWriter, r *http.Request) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	items := []any{}
	for _, pod := range m.watched.podsOf(r.PathValue("namespace")) {
		if pod.Status.Phase != corev1.PodRunning || !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		containers := []any{}
		for _, c := range pod.Spec.Containers {
			containers = append(containers, map[string]any{"name": c.Name, "usage": m.usage(c)})
		}
		items = append(items, map[string]any{"metadata": map[string]any{"name": pod.Name, "namespace": pod.Namespace, "labels": pod.Labels},
			"timestamp": time.Now().UTC().Format(time.RFC3339), "window": "10s", "containers": containers})
	}
	answer(w, map[string]any{"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": map[string]any{}, "items": items})
}

// value answers for any external metric that an autoscaler of the namespace
// asks for: twice what its most pods are meant for, or nothing to do.
func (m *metrics) value(w http.ResponseWriter, r *http.Request) {
	items := []any{}
	for _, hpa := range m.watched.autoscalers() {
		if hpa.Namespace != r.PathValue("namespace") {
			continue
		}
		for _, of := range hpa.Spec.Metrics {
			if of.Type != autoscalingv2.ExternalMetricSourceType || !strings.EqualFold(of.External.Metric.Name, r.PathValue("metric")) {
				continue
			}
			value := int64(0)
			if m.load.Load() == busy {
				target := of.External.Target.AverageValue
				if target == nil {
					target = of.External.Target.Value
				}
				if target != nil {
					value = target.MilliValue() * int64(hpa.Spec.MaxReplicas) * 2
				}
			}
			items = append(items, map[string]any{"metricName": r.PathValue("metric"), "metricLabels": map[string]any{},
				"timestamp": time.Now().UTC().Format(time.RFC3339), "value": strconv.FormatInt(value, 10) + "m"})
		}
		if len(items) > 0 {
			break
		}
	}
	if len(items) == 0 {
		http.Error(w, errors.New("no such metric").Error(), http.StatusNotFound)
		return
	}
	answer(w, map[string]any{"kind": "ExternalMetricValueList", "apiVersion": "external.metrics.k8s.io/v1beta1", "metadata": map[string]any{}, "items": items})
}
