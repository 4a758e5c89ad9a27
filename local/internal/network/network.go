// Package network makes the node's own corner of the host's network and takes it away again: one bridge whose address
// is the node's address (so nothing of the cluster listens where other machines could reach it), one nftables table,
// and the kernel switches that forwarding needs.
package network

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// Bridge is the interface that pods hang on.
	Bridge = "aifilm0"
	// NodeIP is the bridge's address: the node's InternalIP, and where pods find the API server.
	NodeIP = "10.244.0.1"
	// PodCIDR are the pods' addresses.
	PodCIDR = "10.244.0.0/24"
	// ServiceCIDR are the Services' addresses; the first is the API server's, the tenth the DNS server's.
	ServiceCIDR = "10.96.0.0/16"
	// APIServiceIP is the address of the Service `kubernetes`.
	APIServiceIP = "10.96.0.1"
	// DNSIP is the address of the Service `kube-dns`.
	DNSIP = "10.96.0.10"
	// CNIName is the name of the pod network; the files that CNI plugins keep begin with it.
	CNIName = "ai-film"

	table = "ai-film"
)

// Up makes bridge, table and switches; what exists already is left or replaced by the same. apiPort is guarded against
// callers from other machines: the API server must listen on all addresses to serve both the host and the pods.
func Up(ctx context.Context, saved string, apiPort int) error {
	if _, err := net.InterfaceByName(Bridge); err != nil {
		if err := run(ctx, "", "ip", "link", "add", Bridge, "type", "bridge"); err != nil {
			return err
		}
	}
	if err := run(ctx, "", "ip", "addr", "replace", NodeIP+"/24", "dev", Bridge); err != nil {
		return err
	}
	if err := run(ctx, "", "ip", "link", "set", Bridge, "up"); err != nil {
		return err
	}
	if err := run(ctx, rules(apiPort), "nft", "-f", "-"); err != nil {
		return err
	}
	if err := acceptForwarding(ctx, "-I"); err != nil {
		return err
	}
	return setSwitches(saved)
}

// rules replaces the table as a whole: `add` so that `delete` never fails, then the new content, in one transaction.
func rules(apiPort int) string {
	return fmt.Sprintf(`add table ip %[1]s
delete table ip %[1]s
table ip %[1]s {
  chain guard {
    type filter hook input priority filter - 10; policy accept;
    iifname != { "lo", "%[2]s" } tcp dport %[4]d drop
  }
  chain outward {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr %[3]s ip daddr != %[3]s masquerade
  }
}
`, table, Bridge, PodCIDR, apiPort)
}

// acceptForwarding lets pods out where the host's own firewall drops what is forwarded, as Docker makes it do.
func acceptForwarding(ctx context.Context, action string) error {
	// Asked of nft, since iptables makes its tables when it is but asked.
	chain, err := exec.CommandContext(ctx, "nft", "list", "chain", "ip", "filter", "FORWARD").Output()
	if err != nil {
		return nil // no such chain, no such policy
	}
	for _, direction := range []string{"-i", "-o"} {
		rule := []string{"FORWARD", direction, Bridge, "-j", "ACCEPT"}
		exists := exec.CommandContext(ctx, "iptables", append([]string{"-C"}, rule...)...).Run() == nil
		switch {
		case action == "-I" && !exists && bytes.Contains(chain, []byte("policy drop")),
			action == "-D" && exists:
			if err := run(ctx, "", "iptables", append([]string{action}, rule...)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// switches are what a node needs; with bridge-nf off, answers between two pods would bypass the translation of Service
// addresses.
var switches = map[string]string{
	"/proc/sys/net/ipv4/ip_forward":                 "1",
	"/proc/sys/net/bridge/bridge-nf-call-iptables":  "1",
	"/proc/sys/net/bridge/bridge-nf-call-ip6tables": "1",
}

func setSwitches(saved string) error {
	if _, err := os.Stat("/proc/sys/net/bridge"); err != nil {
		_ = exec.Command("modprobe", "br_netfilter").Run()
	}
	before := map[string]string{}
	for file, want := range switches {
		old, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("%w\nRemedy: the kernel lacks br_netfilter: `modprobe br_netfilter`, or a kernel that has it", err)
		}
		if have := strings.TrimSpace(string(old)); have != want {
			before[file] = have
			if err := os.WriteFile(file, []byte(want), 0); err != nil {
				return err
			}
		}
	}
	if len(before) == 0 {
		return nil // keep what an earlier start saved
	}
	data, _ := json.Marshal(before)
	return os.WriteFile(saved, data, 0o644)
}

// Down removes bridge, tables and what crashed pods left (network name spaces, CNI's notes), and puts the kernel
// switches back. It may be called at any time, also when nothing is there.
func Down(ctx context.Context, saved string) error {
	var failures []error
	failures = append(failures, removeNamespaces()...)
	for _, t := range [][2]string{{"ip", table}, {"ip", "kube-proxy"}, {"ip6", "kube-proxy"}} {
		if exec.CommandContext(ctx, "nft", "list", "table", t[0], t[1]).Run() == nil {
			failures = append(failures, run(ctx, "", "nft", "delete", "table", t[0], t[1]))
		}
	}
	failures = append(failures, acceptForwarding(ctx, "-D"))
	if _, err := net.InterfaceByName(Bridge); err == nil {
		failures = append(failures, run(ctx, "", "ip", "link", "delete", Bridge))
	}
	if data, err := os.ReadFile(saved); err == nil {
		var before map[string]string
		if json.Unmarshal(data, &before) == nil {
			for file, value := range before {
				if _, ours := switches[file]; ours {
					failures = append(failures, os.WriteFile(file, []byte(value), 0))
				}
			}
		}
		failures = append(failures, os.Remove(saved))
	}
	return errors.Join(failures...)
}

// removeNamespaces unmounts the network name spaces of pods whose removal was cut short; the veth pairs go with them.
// CNI's result files say which are ours.
func removeNamespaces() (failures []error) {
	results, _ := filepath.Glob("/var/lib/cni/results/" + CNIName + "-*")
	for _, file := range results {
		var result struct {
			Netns string `json:"netns"`
		}
		if data, err := os.ReadFile(file); err == nil && json.Unmarshal(data, &result) == nil {
			if dir := filepath.Dir(result.Netns); dir == "/run/netns" || dir == "/var/run/netns" {
				if err := syscall.Unmount(result.Netns, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
					failures = append(failures, err)
				}
				if err := os.Remove(result.Netns); err != nil && !errors.Is(err, os.ErrNotExist) {
					failures = append(failures, err)
				}
			}
		}
		failures = append(failures, os.Remove(file))
	}
	return failures
}

// Plugins is the CNI configuration: addresses are leased under leases, which a reboot empties together with the pods.
func Plugins(leases string) string {
	return fmt.Sprintf(`{
  "cniVersion": "0.4.0",
  "name": %q,
  "plugins": [
    {
      "type": "bridge", "bridge": %q, "isGateway": true, "ipMasq": false, "hairpinMode": true,
      "ipam": {
        "type": "host-local", "dataDir": %q,
        "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}
  ]
}
`, CNIName, Bridge, leases, PodCIDR)
}

// Resolvers returns the name servers that pods can reach: the host's, but for those on loopback, where a pod would ask
// itself. systemd-resolved hides the real ones in a file of its own.
func Resolvers() []string {
	for _, file := range []string{"/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"} {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if servers := parseResolvers(string(data)); len(servers) > 0 {
			return servers
		}
	}
	return nil
}

func parseResolvers(conf string) []string {
	var servers []string
	for _, line := range strings.Split(conf, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if ip := net.ParseIP(fields[1]); ip != nil && !ip.IsLoopback() && ip.To4() != nil {
			servers = append(servers, ip.String())
		}
	}
	return servers
}

func run(ctx context.Context, stdin, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
