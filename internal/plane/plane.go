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
	"net"
	"os"
	"os/exec"
	"path/filepath"
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

// Start starts an API server, which ends with the test, and returns how to
// reach it as an administrator. The programs are found as by envtest:
// KUBEBUILDER_ASSETS names their folder, or TEST_ASSET_ETCD and
// TEST_ASSET_KUBE_APISERVER the programs. Where none are named, the test is
// skipped.
//
// Service accounts are not asked for, and claims can be resized: both take
// controllers.
func Start(t testing.TB) *rest.Config {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	etcd := cmp.Or(os.Getenv("TEST_ASSET_ETCD"), filepath.Join(assets, "etcd"))
	server := cmp.Or(os.Getenv("TEST_ASSET_KUBE_APISERVER"), filepath.Join(assets, "kube-apiserver"))
	if !filepath.IsAbs(etcd) || !filepath.IsAbs(server) {
		t.Skip("there is no API server to try it on: KUBEBUILDER_ASSETS names no folder (absolutely) with etcd and kube-apiserver")
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	for name, data := range map[string][]byte{
		"accounts.key": pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		"tokens.csv":   []byte("test,admin,1,system:masters\n" + Nobody + ",nobody,2\n"),
	} {
		must(t, os.WriteFile(file(name), data, 0o600))
	}
	ports := freePorts(t, 3)
	store, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	run(t, dir, etcd, "--data-dir="+file("etcd"), "--unsafe-no-fsync", "--log-level=error", "--listen-client-urls="+store,
		"--advertise-client-urls="+store, "--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer)
	log := run(t, dir, server, "--etcd-servers="+store, "--secure-port="+ports[2], "--bind-address=127.0.0.1",
		"--cert-dir="+file("certificates"), "--service-cluster-ip-range=10.0.0.0/24", "--token-auth-file="+file("tokens.csv"),
		"--service-account-issuer=https://127.0.0.1", "--service-account-key-file="+file("accounts.key"),
		"--service-account-signing-key-file="+file("accounts.key"), "--authorization-mode=RBAC", "--allow-privileged",
		"--disable-admission-plugins=ServiceAccount,PersistentVolumeClaimResize")
	config := &rest.Config{Host: "https://127.0.0.1:" + ports[2], BearerToken: "test", QPS: -1, Timeout: 30 * time.Second,
		TLSClientConfig: rest.TLSClientConfig{CAFile: file("certificates/apiserver.crt")}}
	deadline := time.Now().Add(2 * time.Minute) // a busy machine
	for {
		client, err := discovery.NewDiscoveryClientForConfig(config)
		if err == nil {
			if _, err = client.RESTClient().Get().AbsPath("/readyz").DoRaw(context.Background()); err == nil {
				return config
			}
		}
		if time.Now().After(deadline) {
			data, _ := os.ReadFile(log)
			t.Fatalf("the API server does not become ready: %v\n%s", err, data[max(0, len(data)-2000):])
		}
		time.Sleep(100 * time.Millisecond)
	}
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
	must(t, clientcmd.WriteToFile(*c, file))
	return file
}

// run starts a program, which ends with the test, and returns its log's file.
func run(t testing.TB, dir, program string, args ...string) string {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, filepath.Base(program)+".log"))
	must(t, err)
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // tests that panic leave nothing running
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
	})
	return log.Name()
}

func freePorts(t testing.TB, n int) []string {
	t.Helper()
	ports := make([]string, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		_, ports[i], err = net.SplitHostPort(l.Addr().String())
		must(t, err)
	}
	return ports
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
