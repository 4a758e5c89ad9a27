// Package controlplane has kwokctl put etcd, the API server, the controller manager, the scheduler and kwok together as
// plain processes on loopback. kwok simulates only nodes annotated kwok.x-k8s.io/node; the real node is its own master.
package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/ai-film/ai-film/local/internal/network"
	"github.com/ai-film/ai-film/local/internal/place"
	"github.com/ai-film/ai-film/local/internal/process"
	"github.com/ai-film/ai-film/local/internal/toolchain"
)

const cluster = "ai-film"

const (
	etcdPort       = 12379 // etcd's own would meet another etcd
	etcdPeerPort   = 12380
	controllerPort = 10257
	schedulerPort  = 10259
	kwokPort       = 10247
)

// Ports says which component listens on which port of loopback. The API server's is configurable, and listens on all
// addresses; see package network for its guard.
var Ports = map[int]string{
	etcdPort: "etcd", etcdPeerPort: "etcd", controllerPort: "kube-controller-manager", schedulerPort: "kube-scheduler",
	kwokPort: "kwok-controller",
}

// components in the order they stop: clients before the servers they talk to.
var components = []string{"kwok-controller", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"}

// ControlPlane is the one of a place.
type ControlPlane struct {
	Places  place.Places
	APIPort int
}

func (c ControlPlane) work() string { return filepath.Join(c.Places.State, "kwok") }
func (c ControlPlane) dir() string  { return filepath.Join(c.work(), "clusters", cluster) }

// CA is the certificate that signs the API server's and the administrator's.
func (c ControlPlane) CA() string { return filepath.Join(c.dir(), "pki", "ca.crt") }

// Up creates or continues the control plane and returns when the API server is ready. The data of etcd are kept apart
// from kwokctl's directory, which kwokctl deletes when a creation fails.
func (c ControlPlane) Up(ctx context.Context) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	file := filepath.Join(c.Places.State, "kwokctl.yaml")
	before, _ := os.ReadFile(file)
	_, statErr := os.Stat(filepath.Join(c.dir(), "kwok.yaml"))
	created := statErr == nil
	c.forgetStale()
	if created && !bytes.Equal(before, config) {
		// Flags changed: make the components' command lines anew, with the same keys and the same data.
		if err := c.Down(ctx); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(c.dir(), "kwok.yaml")); err != nil {
			return err
		}
		created = false
	}
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	if !created {
		if err := c.linkData(); err != nil {
			return err
		}
		return c.kwokctl(ctx, "create", "cluster", "--config", file, "--kubeconfig", c.Places.Kubeconfig(), "--wait", "2m")
	}
	if err := c.linkPrograms(); err != nil {
		return err
	}
	return c.kwokctl(ctx, "start", "cluster", "--wait", "2m")
}

func (c ControlPlane) linkData() error {
	data := filepath.Join(c.Places.State, "etcd")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir(), 0o755); err != nil {
		return err
	}
	link := filepath.Join(c.dir(), "etcd")
	if _, err := os.Lstat(link); err == nil {
		return nil
	}
	return os.Symlink(data, link)
}

// linkPrograms makes a cluster that was created with older programs start with the present ones: kwokctl remembers the
// path of each in its own directory.
func (c ControlPlane) linkPrograms() error {
	for name, program := range map[string]string{"etcd": "etcd", "kube-apiserver": "kube-apiserver", "kwok-controller": "kwok",
		"kube-controller-manager": "kube-controller-manager", "kube-scheduler": "kube-scheduler", "kubectl": "kubectl"} {
		link := filepath.Join(c.dir(), "bin", name)
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Symlink(filepath.Join(c.Places.Bin(), program), link); err != nil {
			return err
		}
	}
	return nil
}

func (c ControlPlane) kwokctl(ctx context.Context, args ...string) error {
	args = append(args, "--name", cluster)
	cmd := exec.CommandContext(ctx, filepath.Join(c.Places.Bin(), "kwokctl"), args...)
	cmd.Env = append(os.Environ(), "KWOK_WORKDIR="+c.work(), "KWOK_KUBE_VERSION="+toolchain.KubernetesVersion)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kwokctl %s: %w\n%s\n%sRemedy: the components' logs are in %s",
			strings.Join(args, " "), err, bytes.TrimSpace(out), c.lastWords(), filepath.Join(c.dir(), "logs"))
	}
	return nil
}

// lastWords are the last lines of each component that isn't running: the cause is mostly there.
func (c ControlPlane) lastWords() string {
	var b strings.Builder
	for _, name := range components {
		if c.pid(name) != 0 {
			continue
		}
		data, err := os.ReadFile(filepath.Join(c.dir(), "logs", name+".log"))
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		fmt.Fprintf(&b, "%s has ended: %s\n", name, strings.Join(lines[max(0, len(lines)-3):], "\n  "))
	}
	return b.String()
}

func (c ControlPlane) pidFile(name string) string {
	return filepath.Join(c.dir(), "pids", name+".pid")
}

// pid returns the id of a running component, or 0. kwokctl records the bare id, which after a reboot may be somebody
// else's, so the program's path is compared as well.
func (c ControlPlane) pid(name string) int {
	data, err := os.ReadFile(c.pidFile(name))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	argv := process.Argv(pid)
	if len(argv) == 0 || argv[0] != filepath.Join(c.dir(), "bin", name) {
		return 0
	}
	return pid
}

// forgetStale removes the records of components that don't run; kwokctl would take a stranger with the same id for
// them, and kill it when told to stop.
func (c ControlPlane) forgetStale() {
	for _, name := range components {
		if c.pid(name) == 0 {
			os.Remove(c.pidFile(name))
		}
	}
}

// Running says which components run.
func (c ControlPlane) Running() map[string]int {
	pids := map[string]int{}
	for _, name := range components {
		pids[name] = c.pid(name)
	}
	return pids
}

// Down ends the components one after the other, each with time to finish what it writes.
func (c ControlPlane) Down(context.Context) error {
	for _, name := range components {
		if pid := c.pid(name); pid != 0 {
			if err := process.End(pid, 20*time.Second); err != nil {
				return fmt.Errorf("stop %s: %w", name, err)
			}
		}
	}
	c.forgetStale()
	// What a record has lost (a start that was interrupted between fork and record) is still known by its path.
	bin := filepath.Join(c.dir(), "bin") + "/"
	for _, pid := range process.Match(func(argv []string) bool { return strings.HasPrefix(argv[0], bin) }) {
		if err := process.End(pid, 5*time.Second); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

func (c ControlPlane) config() ([]byte, error) {
	var b bytes.Buffer
	err := configuration.Execute(&b, map[string]any{
		"Bin": c.Places.Bin(), "PKI": filepath.Join(c.dir(), "pki"), "Version": toolchain.KubernetesVersion,
		"APIPort": c.APIPort, "EtcdPort": etcdPort, "EtcdPeerPort": etcdPeerPort,
		"ControllerPort": controllerPort, "SchedulerPort": schedulerPort, "KwokPort": kwokPort,
		"NodeIP": network.NodeIP, "Services": network.ServiceCIDR, "APIServiceIP": network.APIServiceIP,
	})
	return b.Bytes(), err
}

// configuration: heartbeatFactor 1 keeps Kubernetes' own time until a silent node counts as lost; kwokctl's default is
// five times as long. The requestheader flags let aggregated APIs (metrics-server) trust what the API server forwards.
// A scheduler that is alone need not be elected: on a busy machine it misses a renewal, ends, and pods stay Pending.
var configuration = template.Must(template.New("kwokctl").Parse(`kind: KwokctlConfiguration
apiVersion: config.kwok.x-k8s.io/v1alpha1
metadata: {name: ai-film}
options:
  runtime: binary
  kubeVersion: {{.Version}}
  securePort: true
  bindAddress: 127.0.0.1
  kubeApiserverPort: {{.APIPort}}
  etcdPort: {{.EtcdPort}}
  etcdPeerPort: {{.EtcdPeerPort}}
  kubeControllerManagerPort: {{.ControllerPort}}
  kubeSchedulerPort: {{.SchedulerPort}}
  kwokControllerPort: {{.KwokPort}}
  etcdBinary: {{.Bin}}/etcd
  kubeApiserverBinary: {{.Bin}}/kube-apiserver
  kubeControllerManagerBinary: {{.Bin}}/kube-controller-manager
  kubeSchedulerBinary: {{.Bin}}/kube-scheduler
  kwokControllerBinary: {{.Bin}}/kwok
  kubectlBinary: {{.Bin}}/kubectl
  kubeApiserverCertSANs: ["{{.APIServiceIP}}", "{{.NodeIP}}", "127.0.0.1", localhost, kubernetes, kubernetes.default, kubernetes.default.svc, kubernetes.default.svc.cluster.local]
  heartbeatFactor: 1
componentsPatches:
- name: kube-apiserver
  extraArgs:
  - {key: bind-address, value: 0.0.0.0, override: true}
  - {key: advertise-address, value: "{{.NodeIP}}"}
  - {key: service-cluster-ip-range, value: "{{.Services}}"}
  - {key: kubelet-preferred-address-types, value: InternalIP}
  - {key: kubelet-client-certificate, value: "{{.PKI}}/admin.crt"}
  - {key: kubelet-client-key, value: "{{.PKI}}/admin.key"}
  - {key: requestheader-client-ca-file, value: "{{.PKI}}/ca.crt"}
  - {key: requestheader-allowed-names, value: kwok-admin}
  - {key: requestheader-username-headers, value: X-Remote-User}
  - {key: requestheader-group-headers, value: X-Remote-Group}
  - {key: requestheader-extra-headers-prefix, value: X-Remote-Extra-}
  - {key: enable-aggregator-routing, value: "true"}
- name: kube-controller-manager
  extraArgs:
  - {key: use-service-account-credentials, value: "true"}
- name: kube-scheduler
  extraArgs:
  - {key: leader-elect, value: "false", override: true}
- name: kwok-controller
  extraArgs:
  - {key: manage-all-nodes, value: "false", override: true}
  - {key: manage-nodes-with-annotation-selector, value: kwok.x-k8s.io/node=fake}
`))
