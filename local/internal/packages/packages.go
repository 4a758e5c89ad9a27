// Package packages installs what the cluster takes from Debian, and nothing that is there already. Services that come
// with a package (containerd, PostgreSQL, Redis) are neither started nor enabled: we run our own.
package packages

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"github.com/ai-film/ai-film/local/internal/progress"
)

// Node is what the kubelet, containerd and kube-proxy need on the host.
var Node = []string{"containerd", "runc", "containernetworking-plugins", "nftables", "conntrack", "iproute2", "iptables",
	"ethtool", "socat", "mount", "util-linux"}

// Images is what building images without a registry needs.
var Images = []string{"buildah", "mmdebstrap", "debian-archive-keyring", "ca-certificates"}

// units lists the services that the packages above bring along.
var units = []string{"containerd.service", "postgresql.service", "redis-server.service"}

// Install adds those of the packages that are missing, by apt-get, without questions. It needs root and Debian or a
// derivative.
func Install(ctx context.Context, log *progress.Log, usual string, names ...string) error {
	missing := Missing(names)
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("missing on this machine: %s, and there is no apt-get to install them: "+
			"install them with your system's package manager, or use CLUSTER=kind or CLUSTER=current", strings.Join(missing, " "))
	}
	return log.Do(ctx, "install "+strings.Join(missing, " "), usual, func(ctx context.Context) error {
		release, err := holdServices()
		if err != nil {
			return err
		}
		defer release()
		// A fresh machine has no package lists; an old list names packages that are gone. So: update first.
		if out, err := apt(ctx, "update", "-qq"); err != nil {
			return fmt.Errorf("apt-get update: %w\n%s\nRemedy: check the network and /etc/apt/sources.list", err, tail(out))
		}
		args := append([]string{"install", "-y", "-qq", "--no-install-recommends"}, missing...)
		if out, err := apt(ctx, append(args, "-o", "APT::Status-Fd=3")...); err != nil {
			return fmt.Errorf("apt-get install %s: %w\n%s\nRemedy: run it by hand; a half-configured package is mended by `dpkg --configure -a`",
				strings.Join(missing, " "), err, tail(out))
		}
		disableNew(ctx, missing)
		return nil
	})
}

// Missing returns those that dpkg does not know as installed.
func Missing(names []string) []string {
	args := append([]string{"-W", "-f", "${Package} ${db:Status-Status}\n"}, names...)
	out, _ := exec.Command("dpkg-query", args...).Output() // fails when any is unknown; the output is still right
	installed := map[string]bool{}
	for _, line := range strings.Split(string(out), "\n") {
		if name, ok := strings.CutSuffix(line, " installed"); ok {
			installed[name] = true
		}
	}
	var missing []string
	for _, n := range names {
		if !installed[n] {
			missing = append(missing, n)
		}
	}
	return missing
}

func apt(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1")
	defer progress.Ran(ctx, cmd)
	status, end, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{end} // descriptor 3
	var told sync.WaitGroup
	told.Go(func() {
		read(status, func(percent int, unit string) { progress.Advance(ctx, percent, 100, unit) })
	})
	out, err := cmd.CombinedOutput()
	end.Close()
	status.Close() // whatever a package has left running may still hold the other end
	told.Wait()
	return out, err
}

// read reads apt's status lines, "dlstatus:1:12.5:Retrieving file 1 of 8" and then "pmstatus:runc:40:Unpacking runc", each
// with its own percentage.
func read(status io.Reader, advance func(percent int, unit string)) {
	for lines := bufio.NewScanner(status); lines.Scan(); {
		fields := strings.SplitN(lines.Text(), ":", 4)
		if len(fields) < 4 {
			continue
		}
		unit := map[string]string{"dlstatus": "% fetched", "pmstatus": "% installed"}[fields[0]]
		if percent, err := strconv.ParseFloat(fields[2], 64); err == nil && unit != "" {
			advance(int(percent), unit)
		}
	}
}

const policy = "/usr/sbin/policy-rc.d"

// holdServices keeps maintainer scripts from starting services, by the policy file that Debian provides for this. A
// machine that has such a policy keeps its own.
func holdServices() (release func(), err error) {
	f, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_, err = f.WriteString("#!/bin/sh\nexit 101\n") // 101: action not allowed
	return func() { os.Remove(policy) }, err
}

// disableNew keeps the services of newly installed packages from starting at the next boot. Where systemd doesn't run
// there is nothing to do.
func disableNew(ctx context.Context, installed []string) {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return
	}
	for _, unit := range units {
		for _, name := range installed {
			if name+".service" == unit {
				_ = exec.CommandContext(ctx, "systemctl", "disable", "--quiet", unit).Run()
			}
		}
	}
}

func tail(out []byte) string {
	s := strings.TrimSpace(string(out))
	if len(s) > 2000 {
		s = "…" + s[len(s)-2000:]
	}
	return s
}
