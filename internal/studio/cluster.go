package studio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	streaming "k8s.io/streaming/pkg/httpstream"
)

// A Release is where a studio runs in a cluster.
type Release struct {
	Kubeconfig string // empty: $KUBECONFIG, then ~/.kube/config
	Context    string // empty: the current one
	Namespace  string
	Secret     string // holds admin-password
	Service    string // of Flask
}

// Connect returns a client that reaches the release's studio through the
// Kubernetes API, as kubectl port-forward does, with the password from the
// release's Secret unless one is given. A pod that dies is replaced by another
// at the next request.
func (r Release) Connect(ctx context.Context, password string) (*Client, error) {
	base, over, password, err := r.reach(ctx, r.Service, "admin-password", password)
	if err != nil {
		return nil, err
	}
	client, err := NewClient(base, "admin", password)
	if err != nil {
		return nil, err
	}
	client.HTTP = over
	return client, nil
}

// reach returns the URL of a Service of the release and a client that gets
// there through the Kubernetes API. Where secret is empty, it is the key's
// value in the release's Secret.
func (r Release) reach(ctx context.Context, service, key, secret string) (string, *http.Client, string, error) {
	none := func(err error) (string, *http.Client, string, error) { return "", nil, "", err }
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = r.Kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: r.Context}).ClientConfig()
	if err != nil {
		return none(fmt.Errorf("no cluster to look for the studio in: %w\n  what helps: --url, or a kubeconfig (--kubeconfig, $KUBECONFIG)", err))
	}
	config.Timeout = 0
	cluster, err := kubernetes.NewForConfig(config)
	if err != nil {
		return none(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if secret == "" {
		held, err := cluster.CoreV1().Secrets(r.Namespace).Get(ctx, r.Secret, metav1.GetOptions{})
		if err != nil {
			return none(r.explain("Secret "+r.Secret, config, err))
		}
		if secret = string(held.Data[key]); secret == "" {
			helps := "--password, or --secret with the name of global.existingSecret"
			if key == bridgeKey {
				helps = "processing.comfyui.bridge.enabled=true in the release's values, or that key in the Secret of global.existingSecret"
			}
			return none(fmt.Errorf("Secret %s in namespace %s has no key %s\n  what helps: %s", r.Secret, r.Namespace, key, helps))
		}
	}
	r.Service = service
	pods := &podDialer{release: r, config: config, cluster: cluster}
	if _, _, err := pods.ready(ctx); err != nil {
		return none(err)
	}
	return "http://" + service + "." + r.Namespace, &http.Client{Transport: &http.Transport{DialContext: pods.dial, MaxIdleConnsPerHost: 2, IdleConnTimeout: 20 * time.Second}}, secret, nil
}

func (r Release) explain(what string, config *rest.Config, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s was not found in namespace %s: is the studio installed there?\n  what helps: helm install ai-film charts/ai-film -n %s --create-namespace, or --namespace, or --url",
			what, r.Namespace, r.Namespace)
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return fmt.Errorf("the cluster does not let you read %s in namespace %s: %w\n  what helps: ask for the right, or --url and --password", what, r.Namespace, err)
	case errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("the cluster at %s does not answer: %w\n  what helps: start it, or choose another with --context, or --url", config.Host, err)
}

// podDialer opens connections to a ready pod behind the Service.
type podDialer struct {
	release Release
	config  *rest.Config
	cluster *kubernetes.Clientset

	mu     sync.Mutex
	pod    httpstream.Connection
	port   string
	number int // of the connection, as the protocol asks
}

// ready returns the name of a ready pod behind the Service, and its port.
func (d *podDialer) ready(ctx context.Context) (pod, port string, err error) {
	r := d.release
	service, err := d.cluster.CoreV1().Services(r.Namespace).Get(ctx, r.Service, metav1.GetOptions{})
	if err != nil {
		return "", "", r.explain("Service "+r.Service, d.config, err)
	}
	pods, err := d.cluster.CoreV1().Pods(r.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(service.Spec.Selector).String()})
	if err != nil {
		return "", "", r.explain("pods of "+r.Service, d.config, err)
	}
	if len(service.Spec.Ports) == 0 {
		return "", "", fmt.Errorf("Service %s in namespace %s has no port", r.Service, r.Namespace)
	}
	for _, pod := range pods.Items {
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
				return pod.Name, targetPort(service.Spec.Ports[0], &pod), nil
			}
		}
	}
	return "", "", fmt.Errorf("%d pods of %s are there, none is ready\n  what helps: kubectl -n %s get pods; kubectl -n %s describe pod -l %s",
		len(pods.Items), r.Service, r.Namespace, r.Namespace, labels.SelectorFromSet(service.Spec.Selector))
}

func targetPort(port corev1.ServicePort, pod *corev1.Pod) string {
	if name := port.TargetPort.StrVal; name != "" {
		for _, container := range pod.Spec.Containers {
			for _, candidate := range container.Ports {
				if candidate.Name == name {
					return strconv.Itoa(int(candidate.ContainerPort))
				}
			}
		}
	}
	if port.TargetPort.IntVal != 0 {
		return strconv.Itoa(int(port.TargetPort.IntVal))
	}
	return strconv.Itoa(int(port.Port))
}

// dial opens a connection over the one to the pod, which it makes first where
// there is none or it has broken.
func (d *podDialer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for try := 0; ; try++ {
		if err := d.reach(ctx); err != nil {
			return nil, err
		}
		conn, err := d.open()
		if err == nil {
			return conn, nil
		}
		d.pod.Close()
		d.pod = nil
		if try > 0 || ctx.Err() != nil {
			return nil, err
		}
	}
}

func (d *podDialer) reach(ctx context.Context) error {
	if d.pod != nil {
		select {
		case <-d.pod.CloseChan():
			d.pod = nil
		default:
			return nil
		}
	}
	pod, port, err := d.ready(ctx)
	if err != nil {
		return err
	}
	target := d.cluster.CoreV1().RESTClient().Post().Resource("pods").Namespace(d.release.Namespace).Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(d.config)
	if err != nil {
		return err
	}
	overSPDY := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	overWebSocket, err := portforward.NewSPDYOverWebsocketDialer(target, d.config)
	if err != nil {
		return err
	}
	// API servers before 1.31 know SPDY only; proxies in between, often, WebSocket only.
	dialer := portforward.NewFallbackDialer(overWebSocket, overSPDY, func(err error) bool {
		// Not httpstream's functions of these names: client-go 0.37 makes its errors of the new module's types.
		return streaming.IsUpgradeFailure(err) || streaming.IsHTTPSProxyError(err)
	})
	conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return fmt.Errorf("pod %s cannot be reached through the cluster: %w", pod, err)
	}
	d.pod, d.port = conn, port
	return nil
}

// open makes the two streams of one forwarded connection: data, and what went
// wrong at the other end.
func (d *podDialer) open() (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, d.port)
	headers.Set(corev1.PortForwardRequestIDHeader, strconv.Itoa(d.number))
	d.number++
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	failures, err := d.pod.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	failures.Close() // we have nothing to say on it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := d.pod.CreateStream(headers)
	if err != nil {
		d.pod.RemoveStreams(failures)
		return nil, err
	}
	conn := &podConn{Stream: data, pod: d.pod, failures: failures}
	go conn.listen()
	return conn, nil
}

// podConn is one forwarded connection. It has no deadlines: what uses it
// watches for silence itself.
type podConn struct {
	httpstream.Stream
	pod      httpstream.Connection
	failures httpstream.Stream
	once     sync.Once
}

// listen ends the connection when the other end tells that it failed.
func (c *podConn) listen() {
	if text, _ := io.ReadAll(c.failures); len(text) > 0 {
		c.Close()
	}
}

func (c *podConn) Close() error {
	c.once.Do(func() {
		c.Stream.Reset()
		c.pod.RemoveStreams(c.Stream, c.failures)
	})
	return nil
}

func (c *podConn) LocalAddr() net.Addr              { return podAddr{} }
func (c *podConn) RemoteAddr() net.Addr             { return podAddr{} }
func (c *podConn) SetDeadline(time.Time) error      { return nil }
func (c *podConn) SetReadDeadline(time.Time) error  { return nil }
func (c *podConn) SetWriteDeadline(time.Time) error { return nil }

type podAddr struct{}

func (podAddr) Network() string { return "portforward" }
func (podAddr) String() string  { return "pod" }
