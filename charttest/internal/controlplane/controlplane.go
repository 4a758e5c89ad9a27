// Package controlplane runs Kubernetes' own control plane as plain processes on
// free ports of the loopback: etcd and kube-apiserver, and where they are asked
// for, kube-controller-manager, kube-scheduler, and kwok for simulated nodes.
package controlplane

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Nobody is the bearer token of a user without rights.
const Nobody = "nobody"

// Simulated is the label of the nodes that kwok plays.
const Simulated = "charttest.dev/simulated"

// Names of the programs.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kwok              = "kwok"
	Autoscaler        = "cluster-autoscaler"
)

// Programs are paths by name.
type Programs map[string]string

// MissingError says that programs are nowhere.
type MissingError struct{ Names []string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("KUBEBUILDER_ASSETS names no folder (absolutely) with %s, and they aren't on the PATH", strings.Join(e.Names, ", "))
}

// Find finds programs by name: in the folder if one is given, else in that of
// KUBEBUILDER_ASSETS, as controller-runtime's envtest does, or where
// TEST_ASSET_ETCD and the like say; else on the PATH. The error is a
// [*MissingError].
func Find(folder string, names ...string) (Programs, error) {
	found := Programs{}
	var missing []string
	for _, name := range names {
		variable := "TEST_ASSET_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		path := cmp.Or(os.Getenv(variable), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), name))
		if folder != "" {
			path = filepath.Join(folder, name)
		}
		if info, err := os.Stat(path); err != nil || info.IsDir() || !filepath.IsAbs(path) && folder == "" {
			if path, err = exec.LookPath(name); err != nil || folder != "" {
				missing = append(missing, name)
				continue
			}
		}
		full, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		found[name] = full
	}
	if len(missing) > 0 {
		return nil, &MissingError{missing}
	}
	return found, nil
}

// ControlPlane is a running one.
type ControlPlane struct {
	Config *rest.Config // of an administrator

	dir      string
	programs Programs
	running  []*process
}

type process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// Start starts the API server and its store, with further flags for the
// former; Stop ends them. It returns when the server is ready.
func Start(ctx context.Context, programs Programs, flags ...string) (*ControlPlane, error) {
	dir, err := os.MkdirTemp("", "controlplane")
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{dir: dir, programs: programs}
	if err := c.start(ctx, flags); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// As is Config with another bearer token.
func (c *ControlPlane) As(token string) *rest.Config {
	config := rest.CopyConfig(c.Config)
	config.BearerToken = token
	return config
}

// Stop ends the programs, clients before the servers that they talk to, and
// removes what they kept.
func (c *ControlPlane) Stop() {
	for _, p := range slices.Backward(c.running) {
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	c.running = nil
	_ = os.RemoveAll(c.dir)
}

// File is a path in the folder of what the programs keep.
func (c *ControlPlane) File(name string) string { return filepath.Join(c.dir, name) }

// Failed is why a program has ended, or nil.
func (c *ControlPlane) Failed() error {
	for _, p := range c.running {
		select {
		case <-p.ended:
			return fmt.Errorf("%s has ended: %s", filepath.Base(p.cmd.Path), tail(p.log))
		default:
		}
	}
	return nil
}

func (c *ControlPlane) start(ctx context.Context, flags []string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"accounts.key": pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		"tokens.csv":   []byte("test,admin,1,system:masters\n" + Nobody + ",nobody,2\n"),
	} {
		if err := os.WriteFile(c.File(name), data, 0o600); err != nil {
			return err
		}
	}
	ports, err := FreePorts(3)
	if err != nil {
		return err
	}
	store, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	if err := c.Run(Etcd, "--data-dir="+c.File("etcd"), "--unsafe-no-fsync", "--log-level=error", "--listen-client-urls="+store,
		"--advertise-client-urls="+store, "--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer); err != nil {
		return err
	}
	if err := c.Run(APIServer, append([]string{"--etcd-servers=" + store, "--secure-port=" + ports[2], "--bind-address=127.0.0.1",
		"--cert-dir=" + c.File("certificates"), "--service-cluster-ip-range=10.0.0.0/16", "--token-auth-file=" + c.File("tokens.csv"),
		"--service-account-issuer=https://127.0.0.1", "--service-account-key-file=" + c.File("accounts.key"),
		"--service-account-signing-key-file=" + c.File("accounts.key"), "--authorization-mode=RBAC", "--allow-privileged"}, flags...)...); err != nil {
		return err
	}
	c.Config = &rest.Config{Host: "https://127.0.0.1:" + ports[2], BearerToken: "test", QPS: -1, Timeout: 30 * time.Second,
		TLSClientConfig: rest.TLSClientConfig{CAFile: c.File("certificates/apiserver.crt")}}
	return c.await(ctx, 4*time.Minute) // on a busy machine; seconds else
}

// await the API server's readiness.
func (c *ControlPlane) await(ctx context.Context, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		client, err := discovery.NewDiscoveryClientForConfig(c.Config)
		if err == nil {
			if _, err = client.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err == nil {
				return nil
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if failed := c.Failed(); failed != nil {
			return failed
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the API server does not become ready: %w\n%s", err, tail(c.File(APIServer+".log")))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Controllers starts the controller manager and the scheduler, with further
// flags for the former.
//
// The scheduler tries a pod again after a second at most, not ten, so that one
// soon knows that it never will be scheduled.
func (c *ControlPlane) Controllers(flags ...string) error {
	ports, err := FreePorts(2)
	if err != nil {
		return err
	}
	kubeconfig, err := c.Kubeconfig()
	if err != nil {
		return err
	}
	if err := c.Run(ControllerManager, append([]string{"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", "--secure-port=" + ports[0], "--cert-dir=" + c.File("controllers"), "--leader-elect=false",
		"--service-account-private-key-file=" + c.File("accounts.key"), "--root-ca-file=" + c.File("certificates/apiserver.crt"),
		"--kube-api-qps=1000", "--kube-api-burst=1000"}, flags...)...); err != nil {
		return err
	}
	scheduler := fmt.Sprintf(`apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: %s, qps: 1000, burst: 1000}
leaderElection: {leaderElect: false}
podInitialBackoffSeconds: 1
podMaxBackoffSeconds: 1
`, kubeconfig)
	if err := os.WriteFile(c.File("scheduler.yaml"), []byte(scheduler), 0o600); err != nil {
		return err
	}
	return c.Run(Scheduler, "--config="+c.File("scheduler.yaml"), "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
		"--bind-address=127.0.0.1", "--secure-port="+ports[1], "--cert-dir="+c.File("scheduler"))
}

//go:embed stages.yaml
var stages []byte

// Simulate starts kwok for the cluster of a kubeconfig file: it plays the nodes
// with the label Simulated, and their pods.
func (c *ControlPlane) Simulate(kubeconfig string) error {
	ports, err := FreePorts(1)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.File("stages.yaml"), stages, 0o600); err != nil {
		return err
	}
	return c.Run(Kwok, "--kubeconfig="+kubeconfig, "--manage-all-nodes=false", "--manage-nodes-with-label-selector="+Simulated+"=true",
		"--node-lease-duration-seconds=40", "--server-address=127.0.0.1:"+ports[0], "--config="+c.File("stages.yaml"))
}

// Run starts one of the programs. It ends with Stop.
func (c *ControlPlane) Run(name string, args ...string) error {
	log := c.File(name + ".log")
	out, err := os.Create(log)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(c.programs[name], args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, out, out
	// Of a group of its own, so that Ctrl-C is for us to act on; and whatever becomes of us, it ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: cmd, log: log, ended: make(chan struct{})}
	if err := start(cmd, p.ended); err != nil {
		return err
	}
	c.running = append(c.running, p)
	return nil
}

var starter = sync.OnceValue(func() chan func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread()
		for call := range calls {
			call()
		}
	}()
	return calls
})

// start starts a program from a thread that lasts: Pdeathsig counts the end of
// the thread that started it as the end of us.
func start(cmd *exec.Cmd, ended chan struct{}) error {
	failed := make(chan error)
	starter() <- func() { failed <- cmd.Start() }
	if err := <-failed; err != nil {
		return err
	}
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return nil
}

func tail(file string) string {
	text, _ := os.ReadFile(file)
	return strings.TrimSpace(string(text[max(0, len(text)-2000):]))
}

// FreePorts are ports of the loopback that nobody listens on.
func FreePorts(n int) ([]string, error) {
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

// Kubeconfig writes a kubeconfig file for programs, of an administrator.
func (c *ControlPlane) Kubeconfig() (string, error) {
	file := c.File("kubeconfig")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return file, WriteKubeconfig(file, c.Config)
}

// WriteKubeconfig writes a kubeconfig file for a cluster that is known by a
// token.
func WriteKubeconfig(file string, config *rest.Config) error {
	k := api.NewConfig()
	k.Clusters["local"] = &api.Cluster{Server: config.Host, CertificateAuthority: config.CAFile}
	k.AuthInfos["local"] = &api.AuthInfo{Token: config.BearerToken}
	k.Contexts["local"] = &api.Context{Cluster: "local", AuthInfo: "local"}
	k.CurrentContext = "local"
	return clientcmd.WriteToFile(*k, file)
}
