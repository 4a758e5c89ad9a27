// Package envtest runs an API server for tests that are about what a real one
// does: etcd and kube-apiserver, on free ports of the loopback, without
// controllers or nodes.
package envtest

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Nobody is the bearer token of a user without rights.
const Nobody = "nobody"

// ErrNoPrograms is the error of Run where nothing says where etcd and
// kube-apiserver are.
var ErrNoPrograms = errors.New("KUBEBUILDER_ASSETS names no folder (absolutely) with etcd and kube-apiserver")

// Server is a running API server and its store.
type Server struct {
	Config *rest.Config // of an administrator

	dir      string
	programs []*exec.Cmd
}

// Start starts an API server that ends with the test, and returns how to reach
// it as an administrator. Where there are no programs for it, the test is
// skipped. Service accounts are not asked for, and claims can be resized: both
// take controllers.
func Start(t testing.TB) *rest.Config {
	t.Helper()
	s, err := Run("--disable-admission-plugins=ServiceAccount,PersistentVolumeClaimResize")
	if errors.Is(err, ErrNoPrograms) {
		t.Skipf("there is no API server to try it on: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s.Config
}

// Run starts an API server with further flags; Stop ends it. The programs are
// found as by controller-runtime's package of this name: KUBEBUILDER_ASSETS
// names their folder, or TEST_ASSET_ETCD and TEST_ASSET_KUBE_APISERVER the
// programs. Where none are named, the error is ErrNoPrograms.
func Run(flags ...string) (*Server, error) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	etcd := cmp.Or(os.Getenv("TEST_ASSET_ETCD"), filepath.Join(assets, "etcd"))
	server := cmp.Or(os.Getenv("TEST_ASSET_KUBE_APISERVER"), filepath.Join(assets, "kube-apiserver"))
	if !filepath.IsAbs(etcd) || !filepath.IsAbs(server) {
		return nil, ErrNoPrograms
	}
	dir, err := os.MkdirTemp("", "envtest")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir}
	if err := s.start(etcd, server, flags); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// As is Config with another bearer token.
func (s *Server) As(token string) *rest.Config {
	config := rest.CopyConfig(s.Config)
	config.BearerToken = token
	return config
}

// Stop ends the programs and removes what they kept.
func (s *Server) Stop() {
	for _, cmd := range slices.Backward(s.programs) {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	_ = os.RemoveAll(s.dir)
}

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) start(etcd, server string, flags []string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"accounts.key": pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		"tokens.csv":   []byte("test,admin,1,system:masters\n" + Nobody + ",nobody,2\n"),
	} {
		if err := os.WriteFile(s.file(name), data, 0o600); err != nil {
			return err
		}
	}
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	store, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	if err := s.run(etcd, "--data-dir="+s.file("etcd"), "--unsafe-no-fsync", "--log-level=error", "--listen-client-urls="+store,
		"--advertise-client-urls="+store, "--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer); err != nil {
		return err
	}
	if err := s.run(server, append([]string{"--etcd-servers=" + store, "--secure-port=" + ports[2], "--bind-address=127.0.0.1",
		"--cert-dir=" + s.file("certificates"), "--service-cluster-ip-range=10.0.0.0/24", "--token-auth-file=" + s.file("tokens.csv"),
		"--service-account-issuer=https://127.0.0.1", "--service-account-key-file=" + s.file("accounts.key"),
		"--service-account-signing-key-file=" + s.file("accounts.key"), "--authorization-mode=RBAC", "--allow-privileged"}, flags...)...); err != nil {
		return err
	}
	s.Config = &rest.Config{Host: "https://127.0.0.1:" + ports[2], BearerToken: "test", QPS: -1, Timeout: 30 * time.Second,
		TLSClientConfig: rest.TLSClientConfig{CAFile: s.file("certificates/apiserver.crt")}}
	return s.await(4 * time.Minute) // on a busy machine; seconds else
}

// await the API server's readiness.
func (s *Server) await(patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		client, err := discovery.NewDiscoveryClientForConfig(s.Config)
		if err == nil {
			if _, err = client.RESTClient().Get().AbsPath("/readyz").DoRaw(context.Background()); err == nil {
				return nil
			}
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(s.file("kube-apiserver.log"))
			return fmt.Errorf("the API server does not become ready: %w\n%s", err, log[max(0, len(log)-2000):])
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *Server) run(program string, args ...string) error {
	log, err := os.Create(s.file(filepath.Base(program) + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // tests that panic leave nothing running
	if err := cmd.Start(); err != nil {
		return err
	}
	s.programs = append(s.programs, cmd)
	return nil
}

func freePorts(n int) ([]string, error) {
	ports := make([]string, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		if _, ports[i], err = net.SplitHostPort(l.Addr().String()); err != nil {
			return nil, err
		}
	}
	return ports, nil
}

// Kubeconfig writes a kubeconfig file for programs.
func Kubeconfig(t testing.TB, config *rest.Config) string {
	t.Helper()
	c := api.NewConfig()
	c.Clusters["envtest"] = &api.Cluster{Server: config.Host, CertificateAuthority: config.CAFile}
	c.AuthInfos["envtest"] = &api.AuthInfo{Token: config.BearerToken}
	c.Contexts["envtest"] = &api.Context{Cluster: "envtest", AuthInfo: "envtest"}
	c.CurrentContext = "envtest"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*c, file); err != nil {
		t.Fatal(err)
	}
	return file
}
