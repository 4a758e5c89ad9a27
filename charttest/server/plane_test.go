package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/server"
)

// The tests run against a real etcd and kube-apiserver of their own, found
// where envtest looks for them too.
const assets = "KUBEBUILDER_ASSETS"

// plane is the API server of all tests; nil if there are no programs for it.
var plane *controlPlane

func TestMain(m *testing.M) {
	dir := os.Getenv(assets)
	if dir == "" {
		os.Exit(m.Run())
	}
	var err error
	if plane, err = startControlPlane(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	plane.stop()
	os.Exit(code)
}

type controlPlane struct {
	config   *rest.Config // of an administrator
	nobody   *rest.Config // of a user without rights
	dir      string
	programs []*exec.Cmd
}

func startControlPlane(assets string) (*controlPlane, error) {
	dir, err := os.MkdirTemp("", "rehearsal")
	if err != nil {
		return nil, err
	}
	p := &controlPlane{dir: dir}
	if err := p.start(assets); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (p *controlPlane) start(assets string) error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	store, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	file := func(name string) string { return filepath.Join(p.dir, name) }
	for name, data := range map[string][]byte{
		"sa.key":     pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		"tokens.csv": []byte("director,director,1,\"system:masters\"\nextra,extra,2\n"),
	} {
		if err := os.WriteFile(file(name), data, 0o600); err != nil {
			return err
		}
	}
	if err := p.run(filepath.Join(assets, "etcd"), "--data-dir", file("etcd"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", store, "--advertise-client-urls", store, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer); err != nil {
		return err
	}
	if err := p.run(filepath.Join(assets, "kube-apiserver"), "--etcd-servers", store, "--cert-dir", file("certs"),
		"--bind-address", "127.0.0.1", "--secure-port", ports[2], "--service-cluster-ip-range", "10.0.0.0/24",
		"--authorization-mode", "RBAC", "--token-auth-file", file("tokens.csv"), "--allow-privileged",
		"--service-account-issuer", "https://127.0.0.1", "--service-account-key-file", file("sa.key"),
		"--service-account-signing-key-file", file("sa.key")); err != nil {
		return err
	}
	p.config = &rest.Config{Host: "https://127.0.0.1:" + ports[2], BearerToken: "director",
		TLSClientConfig: rest.TLSClientConfig{CAFile: file("certs/apiserver.crt")}}
	p.nobody = rest.CopyConfig(p.config)
	p.nobody.BearerToken = "extra"
	deadline := time.Now().Add(4 * time.Minute) // on a busy machine; seconds else
	for {
		client, err := discovery.NewDiscoveryClientForConfig(p.config)
		if err == nil {
			if _, err = client.RESTClient().Get().AbsPath("/readyz").DoRaw(context.Background()); err == nil {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the API server does not become ready: %w\n%s", err, p.lastWords())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (p *controlPlane) run(program string, args ...string) error {
	cmd := exec.Command(program, args...)
	log, err := os.Create(filepath.Join(p.dir, filepath.Base(program)+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // tests that panic leave nothing running
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s names no folder with %s: %w", assets, filepath.Base(program), err)
	}
	p.programs = append(p.programs, cmd)
	return nil
}

func (p *controlPlane) lastWords() string {
	data, _ := os.ReadFile(filepath.Join(p.dir, "kube-apiserver.log"))
	return string(data[max(0, len(data)-2000):])
}

func (p *controlPlane) stop() {
	slices.Reverse(p.programs)
	for _, cmd := range p.programs {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	_ = os.RemoveAll(p.dir)
}

func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}

// connect connects to the control plane, or skips the test.
func connect(t *testing.T) *server.Server {
	t.Helper()
	needPlane(t)
	s, err := server.Connect(t.Context(), plane.config)
	require.NoError(t, err)
	return s
}

func needPlane(t *testing.T) {
	t.Helper()
	if plane == nil {
		t.Skipf("there is no API server to rehearse on: %s names no folder with etcd and kube-apiserver", assets)
	}
}

// apply makes objects for the time of a test.
func apply(t *testing.T, manifests string) {
	t.Helper()
	client, err := dynamic.NewForConfig(plane.config)
	require.NoError(t, err)
	for _, o := range parse(t, manifests) {
		var of dynamic.ResourceInterface = client.Resource(resourceOf(o))
		if o.GetNamespace() != "" {
			of = client.Resource(resourceOf(o)).Namespace(o.GetNamespace())
		}
		_, err := of.Create(t.Context(), o, metav1.CreateOptions{})
		require.NoError(t, err)
		t.Cleanup(func() { _ = of.Delete(context.Background(), o.GetName(), metav1.DeleteOptions{}) })
	}
}

func resourceOf(o *unstructured.Unstructured) schema.GroupVersionResource {
	gvk := o.GroupVersionKind()
	plural := strings.ToLower(gvk.Kind) + "s"
	if strings.HasSuffix(plural, "ys") {
		plural = strings.TrimSuffix(plural, "ys") + "ies"
	} else if strings.HasSuffix(plural, "sss") || strings.HasSuffix(plural, "ss") {
		plural = strings.TrimSuffix(plural, "s") + "es"
	}
	return gvk.GroupVersion().WithResource(plural)
}

// inventory is every object in the cluster with the version it has, but for
// throw-away namespaces that are being deleted: no controller finishes that
// here.
func inventory(t *testing.T) map[string]string {
	t.Helper()
	config := rest.CopyConfig(plane.config)
	config.WarningHandler, config.QPS = rest.NoWarnings{}, -1
	client, err := dynamic.NewForConfig(config)
	require.NoError(t, err)
	asking, err := discovery.NewDiscoveryClientForConfig(plane.config)
	require.NoError(t, err)
	lists, err := asking.ServerPreferredResources()
	require.NoError(t, err)
	all, leaving := map[string]string{}, map[string]bool{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		require.NoError(t, err)
		for _, r := range list.APIResources {
			if !slices.Contains(r.Verbs, "list") || r.Name == "events" || r.Name == "leases" || r.Name == "flowschemas" || r.Name == "prioritylevelconfigurations" {
				continue
			}
			objects, err := client.Resource(gv.WithResource(r.Name)).List(t.Context(), metav1.ListOptions{})
			require.NoError(t, err)
			for _, o := range objects.Items {
				if o.GetLabels()[server.Label] != "" && o.GetDeletionTimestamp() != nil {
					leaving[o.GetName()] = true
					continue
				}
				all[o.GetNamespace()+"|"+r.Name+"/"+o.GetName()] = o.GetResourceVersion()
			}
		}
	}
	for key := range all {
		if namespace, _, _ := strings.Cut(key, "|"); leaving[namespace] {
			delete(all, key)
		}
	}
	return all
}

func parse(t *testing.T, manifests string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for _, doc := range bytes.Split([]byte(manifests), []byte("\n---\n")) {
		o := &unstructured.Unstructured{}
		require.NoError(t, yaml.Unmarshal(doc, &o.Object))
		all = append(all, o)
	}
	return all
}
