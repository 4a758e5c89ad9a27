// Package node runs the one real node: our own containerd (Debian's program with our own directories and socket, so it
// disturbs no other), the kubelet and kube-proxy.
package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ai-film/ai-film/local/internal/network"
	"github.com/ai-film/ai-film/local/internal/place"
	"github.com/ai-film/ai-film/local/internal/process"
)

// Name is the node's, whatever the machine is called: volumes are bound to it for life.
const Name = "local"

// Node is the one of a place.
type Node struct {
	Places place.Places
	CA     string // certificate that signs the API server's clients
	Pause  string // image of the process that holds a pod's name spaces
}

func (n Node) records() string { return filepath.Join(n.Places.Run, "pids") }

func (n Node) containerd() process.Process {
	return process.Process{
		Name: "containerd", Logs: n.Places.Logs(), Run: n.records(),
		Argv: []string{"/usr/bin/containerd", "--config", filepath.Join(n.Places.State, "containerd.toml")},
	}
}

func (n Node) kubelet() process.Process {
	return process.Process{
		Name: "kubelet", Logs: n.Places.Logs(), Run: n.records(),
		Argv: []string{filepath.Join(n.Places.Bin(), "kubelet"),
			"--config=" + filepath.Join(n.Places.State, "kubelet.yaml"),
			"--kubeconfig=" + n.Places.Kubeconfig(),
			"--root-dir=" + n.kubeletRoot(),
			"--cert-dir=" + filepath.Join(n.kubeletRoot(), "pki"),
			"--hostname-override=" + Name,
			"--node-ip=" + network.NodeIP,
			"--node-labels=ai-film.io/node=real",
		},
	}
}

func (n Node) proxy() process.Process {
	return process.Process{
		Name: "kube-proxy", Logs: n.Places.Logs(), Run: n.records(),
		Argv: []string{filepath.Join(n.Places.Bin(), "kube-proxy"),
			"--kubeconfig=" + n.Places.Kubeconfig(),
			"--hostname-override=" + Name,
			"--proxy-mode=nftables",
			"--cluster-cidr=" + network.PodCIDR,
			"--conntrack-max-per-core=0", // 0: leave the host's own limits alone
			"--conntrack-tcp-timeout-established=0s",
			"--conntrack-tcp-timeout-close-wait=0s",
			"--healthz-bind-address=127.0.0.1:10256",
			"--metrics-bind-address=127.0.0.1:10249",
		},
	}
}

func (n Node) processes() []process.Process {
	return []process.Process{n.containerd(), n.kubelet(), n.proxy()}
}

func (n Node) kubeletRoot() string    { return filepath.Join(n.Places.State, "kubelet") }
func (n Node) containerdRoot() string { return filepath.Join(n.Places.State, "containerd") }
func (n Node) leases() string         { return filepath.Join(n.Places.Run, "cni") }

// Ports says which of the node's programs listens on which port; the kubelet's 10250 is at the node's address, the
// others, for health and metrics, on loopback.
var Ports = map[int]string{10250: "kubelet", 10248: "kubelet", 10256: "kube-proxy", 10249: "kube-proxy"}

// Runtime starts containerd and waits until it answers.
func (n Node) Runtime(ctx context.Context) error {
	cniDir := filepath.Join(n.Places.State, "cni")
	for _, dir := range []string{n.Places.State, n.Places.Run, cniDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(cniDir, "10-ai-film.conflist"), []byte(network.Plugins(n.leases())), 0o644); err != nil {
		return err
	}
	config := fmt.Sprintf(containerdConfig, n.containerdRoot(), filepath.Join(n.Places.Run, "containerd"), n.Places.Containerd(), n.Pause, cniDir)
	p := n.containerd()
	if err := n.write(p, "containerd.toml", config); err != nil {
		return err
	}
	if _, err := p.Start(); err != nil {
		return err
	}
	return n.await(ctx, p, 60*time.Second, func() bool {
		conn, err := net.DialTimeout("unix", n.Places.Containerd(), time.Second)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// Up starts kubelet and kube-proxy and waits until both are healthy.
func (n Node) Up(ctx context.Context) error {
	if err := os.MkdirAll(n.Places.Volumes(), 0o755); err != nil {
		return err
	}
	resolv := filepath.Join(n.Places.State, "resolv.conf")
	var lines strings.Builder
	for _, server := range network.Resolvers() {
		fmt.Fprintf(&lines, "nameserver %s\n", server)
	}
	if err := os.WriteFile(resolv, []byte(lines.String()), 0o644); err != nil {
		return err
	}
	kubelet, proxy := n.kubelet(), n.proxy()
	config := fmt.Sprintf(kubeletConfig, network.NodeIP, n.CA, n.Places.Containerd(), network.DNSIP, resolv)
	if err := n.write(kubelet, "kubelet.yaml", config); err != nil {
		return err
	}
	for _, p := range []process.Process{kubelet, proxy} {
		if _, err := p.Start(); err != nil {
			return err
		}
	}
	if err := n.await(ctx, kubelet, 90*time.Second, healthy("http://127.0.0.1:10248/healthz")); err != nil {
		return err
	}
	return n.await(ctx, proxy, 60*time.Second, healthy("http://127.0.0.1:10256/livez"))
}

// write stores a component's configuration; a component that runs with another one is ended, to start anew.
func (n Node) write(p process.Process, name, content string) error {
	file := filepath.Join(n.Places.State, name)
	if old, err := os.ReadFile(file); err == nil && string(old) == content {
		return nil
	}
	if err := p.Stop(20 * time.Second); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(content), 0o644)
}

func healthy(url string) func() bool {
	client := http.Client{Timeout: 2 * time.Second}
	return func() bool {
		r, err := client.Get(url)
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	}
}

// await polls until ready, the process ends, or the time is up.
func (n Node) await(ctx context.Context, p process.Process, patience time.Duration, ready func() bool) error {
	for deadline := time.Now().Add(patience); ; {
		switch {
		case ready():
			return nil
		case p.Running() == 0:
			return fmt.Errorf("%s has ended:\n%s\nRemedy: the whole log is %s", p.Name, lastLines(p.LogFile(), 8), p.LogFile())
		case time.Now().After(deadline):
			return fmt.Errorf("%s is not ready after %s:\n%s\nRemedy: the whole log is %s", p.Name, patience, lastLines(p.LogFile(), 8), p.LogFile())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Running says which of the node's programs run.
func (n Node) Running() map[string]int {
	pids := map[string]int{}
	for _, p := range n.processes() {
		pids[p.Name] = p.Running()
	}
	return pids
}

// Down ends pods, programs and mounts. Containers get SIGTERM and time first, so that databases close their files.
func (n Node) Down(ctx context.Context, say func(string, ...any)) error {
	kubelet, proxy, runtime := n.kubelet(), n.proxy(), n.containerd()
	failures := []error{kubelet.Stop(20 * time.Second), proxy.Stop(10 * time.Second)}
	if runtime.Running() == 0 {
		// Pods may outlive a killed containerd; only a running one can end them in an orderly way.
		if _, err := os.Stat(filepath.Join(n.Places.State, "containerd.toml")); err == nil && len(n.Shims()) > 0 {
			failures = append(failures, n.Runtime(ctx))
		}
	}
	if runtime.Running() != 0 {
		if err := removePods(ctx, n.Places.Containerd()); err != nil {
			say("pods did not end in an orderly way (%v); ending them by force", err)
		}
	}
	failures = append(failures, runtime.Stop(20*time.Second))
	for _, pid := range n.Shims() {
		failures = append(failures, process.End(pid, 2*time.Second))
	}
	failures = append(failures, n.unmount(), removeCgroups())
	return errors.Join(failures...)
}

// Shims are the processes that hold our containers; each names our socket.
func (n Node) Shims() []int {
	return process.Match(func(argv []string) bool {
		if !strings.HasPrefix(filepath.Base(argv[0]), "containerd-shim") {
			return false
		}
		for i, arg := range argv {
			if arg == "-address" && i+1 < len(argv) && argv[i+1] == n.Places.Containerd() {
				return true
			}
		}
		return false
	})
}

// unmount takes away every mount below our directories, innermost first.
func (n Node) unmount() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	roots := []string{n.kubeletRoot() + "/", n.containerdRoot() + "/", n.Places.Run + "/", filepath.Join(n.Places.Cache, "images") + "/"}
	var failures []error
	for _, target := range mountsBelow(string(mounts), roots) {
		if err := syscall.Unmount(target, 0); err != nil {
			err = syscall.Unmount(target, syscall.MNT_DETACH)
			if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
				failures = append(failures, fmt.Errorf("unmount %s: %w", target, err))
			}
		}
	}
	return errors.Join(failures...)
}

func mountsBelow(mountinfo string, roots []string) []string {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var targets []string
	for _, line := range strings.Split(mountinfo, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		target := unescape.Replace(fields[4])
		for _, root := range roots {
			if strings.HasPrefix(target+"/", root) { // the kubelet mounts its own directory onto itself
				targets = append([]string{target}, targets...) // later mounts lie on or in earlier ones
				break
			}
		}
	}
	return targets
}

func lastLines(file string, count int) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-count):], "\n  ")
}
