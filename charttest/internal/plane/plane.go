// Package plane runs an API server for tests that are about what a real one
// does: etcd and kube-apiserver, on free ports of the loopback, without
// controllers or nodes.
package plane

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

// Plane is a running API server and its store.
type Plane struct {
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
	p, err := Run("--disable-admission-plugins=ServiceAccount,PersistentVolumeClaimResize")
	if errors.Is(err, ErrNoPrograms) {
		t.Skipf("there is no API server to try it on: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p.Config
}

// Run starts an API server with further flags; Stop ends it. The programs are
// found as by envtest: KUBEBUILDER_ASSETS names their folder, or
// TEST_ASSET_ETCD and TEST_ASSET_KUBE_APISERVER the programs. Where none are
// named, the error is ErrNoPrograms.
func Run(flags ...string) (*Plane, error) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	etcd := cmp.Or(os.Getenv("TEST_ASSET_ETCD"), filepath.Join(assets, "etcd"))
	server := cmp.Or(os.Getenv("TEST_ASSET_KUBE_APISERVER"), filepath.Join(assets, "kube-apiserver"))
	if !filepath.IsAbs(etcd) || !filepath.IsAbs(server) {
		return nil, ErrNoPrograms
	}
	dir, err := os.MkdirTemp("", "plane")
	if err != nil {
		return nil, err
	}
	p := &Plane{dir: dir}
	if err := p.start(etcd, server, flags); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// As is Config with another bearer token.
func (p *Plane) As(token string) *rest.Config {
	config := rest.CopyConfig(p.Config)
	config.BearerToken = token
	return config
}

// Stop ends the programs and removes what they kept.
func (p *Plane) Stop() {
	for _, cmd := range slices.Backward(p.programs) {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	_ = os.RemoveAll(p.dir)
}

func (p *Plane) file(name string) string { return filepath.Join(p.dir, name) }

func (p *Plane) start(etcd, server string, flags []string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"accounts.key": pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		"tokens.csv":   []byte("test,admin,1,system:masters\n" + Nobody + ",nobody,2\n"),
	} {
		if err := os.WriteFile(p.file(name), data, 0o600); err != nil {
			return err
		}
	}
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	store, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	if err := p.run(etcd, "--data-dir="+p.file("etcd"), "--unsafe-no-fsync", "--log-level=error", "--listen-client-urls="+store,
		"--advertise-client-urls="+store, "--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer); err != nil {
		return err
	}
	if err := p.run(server, append([]string{"--etcd-servers=" + store, "--secure-port=" + ports[2], "--bind-address=127.0.0.1",
		"--cert-dir=" + p.file("certificates"), "--service-cluster-ip-range=10.0.0.0/24", "--token-auth-file=" + p.file("tokens.csv"),
		"--service-account-issuer=https://127.0.0.1", "--service-account-key-file=" + p.file("accounts.key"),
		"--service-account-signing-key-file=" + p.file("accounts.key"), "--authorization-mode=RBAC", "--allow-privileged"}, flags...)...); err != nil {
		return err
	}
	p.Config = &rest.Config{Host: "https://127.0.0.1:" + ports[2], BearerToken: "test", QPS: -1, Timeout: 30 * time.Second,
		TLSClientConfig: rest.TLSClientConfig{CAFile: p.file("certificates/apiserver.crt")}}
	return p.await(4 * time.Minute) // on a busy machine; seconds else
}

// await the API server's readiness.
func (p *Plane) await(patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		client, err := discovery.NewDiscoveryClientForConfig(p.Config)
		if err == nil {
			if _, err = client.RESTClient().Get().AbsPath("/readyz").DoRaw(context.Background()); err == nil {
				return nil
			}
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(p.file("kube-apiserver.log"))
			return fmt.Errorf("the API server does not become ready: %w\n%s", err, log[max(0, len(log)-2000):])
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (p *Plane) run(program string, args ...string) error {
	log, err := os.Create(p.file(filepath.Base(program) + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // tests that panic leave nothing running
	if err := cmd.Start(); err != nil {
		return err
	}
	p.programs = append(p.programs, cmd)
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
	c.Clusters["plane"] = &api.Cluster{Server: config.Host, CertificateAuthority: config.CAFile}
	c.AuthInfos["plane"] = &api.AuthInfo{Token: config.BearerToken}
	c.Contexts["plane"] = &api.Context{Cluster: "plane", AuthInfo: "plane"}
	c.CurrentContext = "plane"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*c, file); err != nil {
		t.Fatal(err)
	}
	return file
}
