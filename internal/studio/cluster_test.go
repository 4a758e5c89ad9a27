package studio

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/apimachinery/pkg/util/httpstream/spdy"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/portforward"
)

// aCluster is a Kubernetes API server with one Secret, one Service and pods
// whose ports it forwards, over SPDY as servers before 1.31 do, to a studio.
type aCluster struct {
	t      *testing.T
	studio string // host:port

	mu        sync.Mutex
	secret    *corev1.Secret
	service   *corev1.Service
	pods      []corev1.Pod
	forwarded []string
	open      []httpstream.Connection
	forbidden bool
}

func (c *aCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	send := func(object any) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(object)
	}
	refuse := func(code int, reason metav1.StatusReason) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: reason, Code: int32(code)})
	}
	path := strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/film/")
	switch {
	case c.forbidden:
		refuse(403, metav1.StatusReasonForbidden)
	case path == "secrets/ai-film" && c.secret != nil:
		send(c.secret)
	case path == "services/flask" && c.service != nil:
		send(c.service)
	case path == "pods":
		assert.Equal(c.t, "app=flask", r.URL.Query().Get("labelSelector"))
		send(corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: c.pods})
	case strings.HasSuffix(path, "/portforward") && r.Method == "POST":
		c.forwarded = append(c.forwarded, strings.Split(path, "/")[1])
		c.forward(w, r)
	case strings.HasSuffix(path, "/portforward"):
		refuse(400, metav1.StatusReasonBadRequest) // WebSocket
	default:
		refuse(404, metav1.StatusReasonNotFound)
	}
}

func (c *aCluster) forward(w http.ResponseWriter, r *http.Request) {
	_, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name})
	assert.NoError(c.t, err)
	streams := make(chan httpstream.Stream, 10)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(stream httpstream.Stream, _ <-chan struct{}) error {
		streams <- stream
		return nil
	})
	c.open = append(c.open, conn)
	go func() {
		for {
			select {
			case <-conn.CloseChan():
				return
			case stream := <-streams:
				if stream.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
					go stream.Close()
					continue
				}
				assert.Equal(c.t, "5000", stream.Headers().Get(corev1.PortHeader))
				go func() {
					defer stream.Reset()
					server, err := net.Dial("tcp", c.studio)
					if err != nil {
						return
					}
					defer server.Close()
					go io.Copy(server, stream)
					io.Copy(stream, server)
				}()
			}
		}
	}()
}

func aPod(name string, ready corev1.ConditionStatus) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "flask", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 5000}}}}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

func clusterOf(t *testing.T, studio http.Handler) (*aCluster, Release) {
	t.Helper()
	server := httptest.NewServer(studio)
	t.Cleanup(server.Close)
	cluster := &aCluster{
		t: t, studio: strings.TrimPrefix(server.URL, "http://"),
		secret: &corev1.Secret{TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}, Data: map[string][]byte{"admin-password": []byte("secret")}},
		service: &corev1.Service{TypeMeta: metav1.TypeMeta{Kind: "Service", APIVersion: "v1"}, Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "flask"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}}}},
		pods: []corev1.Pod{aPod("starting", corev1.ConditionFalse), aPod("flask-1", corev1.ConditionTrue), aPod("flask-2", corev1.ConditionTrue)},
	}
	api := httptest.NewServer(cluster)
	t.Cleanup(api.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"c",
"clusters":[{"name":"c","cluster":{"server":%q}}],"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{}}]}`, api.URL), 0o600))
	return cluster, Release{Kubeconfig: kubeconfig, Namespace: "film", Secret: "ai-film", Service: "flask"}
}

func TestConnectThroughAPod(t *testing.T) {
	long := strings.Repeat("brief ", 100_000)
	script := &scripted{handlers: map[string][]http.HandlerFunc{
		"GET /api/films/f1": {reply(200, `{"id":"f1","state":"done","brief":"`+long+`"}`)},
		events:              {streams("data: {\"stage\":\"film\",\"state\":\"done\"}\n\n")},
	}}
	cluster, release := clusterOf(t, script)
	client, err := release.Connect(t.Context(), "")
	require.NoError(t, err)
	film, err := client.Get(t.Context(), "f1")
	require.NoError(t, err)
	assert.Len(t, film.Brief, len(long))
	_, err = client.Follow(t.Context(), "f1", func(Event) {})
	require.NoError(t, err)
	assert.Equal(t, []string{"flask-1"}, cluster.forwarded, "one connection carries all requests")

	// The pod dies, and with it the connection; the next request finds another.
	cluster.mu.Lock()
	cluster.pods = cluster.pods[2:]
	for _, conn := range cluster.open {
		conn.Close()
	}
	cluster.mu.Unlock()
	film = nil
	require.NoError(t, client.persist(t.Context(), func() (err error) { film, err = client.Get(t.Context(), "f1"); return err }))
	assert.Equal(t, Done, film.State)
	assert.Equal(t, []string{"flask-1", "flask-2"}, cluster.forwarded)
}

func TestConnectTellsWhatIsMissing(t *testing.T) {
	for text, spoil := range map[string]func(*aCluster, *Release){
		"is the studio installed there?":                  func(c *aCluster, _ *Release) { c.secret = nil },
		"has no key admin-password":                       func(c *aCluster, _ *Release) { c.secret.Data = nil },
		"Service flask was not found in namespace film":   func(c *aCluster, _ *Release) { c.service = nil },
		"1 pods of flask are there, none is ready":        func(c *aCluster, _ *Release) { c.pods = c.pods[:1] },
		"does not let you read Secret ai-film":            func(c *aCluster, _ *Release) { c.forbidden = true },
		"no cluster to look for the studio in":            func(_ *aCluster, r *Release) { r.Kubeconfig = "/nowhere" },
		`context "elsewhere" does not exist`:              func(_ *aCluster, r *Release) { r.Context = "elsewhere" },
		"does not answer":                                 func(_ *aCluster, r *Release) { breakServer(r) },
		"--secret with the name of global.existingSecret": func(c *aCluster, _ *Release) { c.secret.Data = nil },
	} {
		t.Run(text, func(t *testing.T) {
			cluster, release := clusterOf(t, http.NotFoundHandler())
			spoil(cluster, &release)
			_, err := release.Connect(t.Context(), "")
			assert.ErrorContains(t, err, text)
			assert.ErrorContains(t, err, "what helps: ")
		})
	}
}

// breakServer points the release's kubeconfig to where nothing listens.
func breakServer(r *Release) {
	r.Kubeconfig += ".away"
	os.WriteFile(r.Kubeconfig, []byte(`{"apiVersion":"v1","kind":"Config","current-context":"c","clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}],
"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{}}]}`), 0o600)
}

func TestAGivenPasswordNeedsNoSecret(t *testing.T) {
	cluster, release := clusterOf(t, &scripted{handlers: map[string][]http.HandlerFunc{"GET /api/films": {reply(200, `{"films":[],"next":null}`)}}})
	cluster.secret = nil
	client, err := release.Connect(t.Context(), "secret")
	require.NoError(t, err)
	films, err := client.List(t.Context(), 5, "")
	require.NoError(t, err)
	assert.Empty(t, films)
}
