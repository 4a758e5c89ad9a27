// Package apiservertest runs a Kubernetes API server for tests that are about what a real one says: etcd and kube-apiserver with
// RBAC, on free ports of the loopback, without controllers or nodes.
package apiservertest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/ai-film/ai-film/services/internal/freeport"
)

// Tokens of the administrator, and of a user whom nothing is allowed but what a test binds to the name "pod".
const (
	Admin = "administrator"
	Pod   = "pod"
)

// Server is a running API server.
type Server struct {
	dir, host, authority string
}

// Start starts one that ends with the test. KUBEBUILDER_ASSETS names the folder of etcd and kube-apiserver, as for envtest;
// where it doesn't, the test is skipped.
func Start(t testing.TB) *Server {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if !filepath.IsAbs(assets) {
		t.Skip("there is no API server to try it on: KUBEBUILDER_ASSETS names no folder (absolutely) with etcd and kube-apiserver")
	}
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	file := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(file("accounts.key"), pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600))
	must(t, os.WriteFile(file("tokens.csv"), []byte(Admin+",admin,1,system:masters\n"+Pod+",pod,2\n"), 0o600))
	store, peer, port := "http://127.0.0.1:"+freeport.Loopback(t), "http://127.0.0.1:"+freeport.Loopback(t), freeport.Loopback(t)
	run(t, dir, filepath.Join(assets, "etcd"), "--data-dir="+file("etcd"), "--unsafe-no-fsync", "--log-level=error", "--listen-client-urls="+store,
		"--advertise-client-urls="+store, "--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer)
	run(t, dir, filepath.Join(assets, "kube-apiserver"), "--etcd-servers="+store, "--secure-port="+port, "--bind-address=127.0.0.1",
		"--cert-dir="+file("certificates"), "--service-cluster-ip-range=10.0.0.0/24", "--token-auth-file="+file("tokens.csv"),
		"--service-account-issuer=https://127.0.0.1", "--service-account-key-file="+file("accounts.key"),
		"--service-account-signing-key-file="+file("accounts.key"), "--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount")
	s := &Server{dir: dir, host: "https://127.0.0.1:" + port, authority: file("certificates/apiserver.crt")}
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		client, err := rest.HTTPClientFor(s.Config(Admin))
		if err == nil {
			answer, failed := client.Get(s.host + "/readyz")
			if err = failed; err == nil {
				answer.Body.Close()
				if answer.StatusCode == 200 {
					return s
				}
				err = fmt.Errorf("status %d", answer.StatusCode)
			}
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(file("kube-apiserver.log"))
			t.Fatalf("the API server does not become ready: %v\n%s", err, log[max(0, len(log)-2000):])
		}
	}
}

// Config is how the bearer of a token reaches the server.
func (s *Server) Config(token string) *rest.Config {
	return &rest.Config{Host: s.host, BearerToken: token, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAFile: s.authority}}
}

// Kubeconfig is a file that says the same.
func (s *Server) Kubeconfig(t testing.TB, token string) string {
	t.Helper()
	c := api.NewConfig()
	c.Clusters["test"] = &api.Cluster{Server: s.host, CertificateAuthority: s.authority}
	c.AuthInfos["test"] = &api.AuthInfo{Token: token}
	c.Contexts["test"] = &api.Context{Cluster: "test", AuthInfo: "test"}
	c.CurrentContext = "test"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, clientcmd.WriteToFile(*c, file))
	return file
}

func run(t testing.TB, dir, program string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, filepath.Base(program)+".log"))
	must(t, err)
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		log.Close()
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
