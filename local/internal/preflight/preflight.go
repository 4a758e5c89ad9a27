// Package preflight finds out before anything is changed whether the machine can hold the cluster. Each failure says
// what to do.
package preflight

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

const (
	gib = 1 << 30
	// A first start needs room for Go's build cache (8 GiB), images twice (store and node) and the volumes.
	diskCold = 30 * gib
	diskWarm = 5 * gib
	// The studio with its control plane takes about 5 GiB.
	memoryNeeded = 6 * gib
)

// Root fails unless we are root on Linux, which the kubelet and containerd need.
func Root() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the local cluster needs Linux, this is %s: use CLUSTER=kind (with Docker) or CLUSTER=current", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("the local cluster's kubelet needs root, this is user %d: run `sudo -E make up`, or use CLUSTER=kind or CLUSTER=current", os.Geteuid())
	}
	return nil
}

// Kernel fails where a feature of the kernel is missing that no package can bring.
func Kernel() error {
	data, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err
	}
	if !strings.Contains(string(data), "\toverlay\n") {
		if err := loadModule("overlay"); err != nil {
			return fmt.Errorf("the kernel has no overlay file system (%v): use another kernel, or CLUSTER=current", err)
		}
	}
	if _, err := os.Stat("/sys/fs/cgroup"); err != nil {
		return fmt.Errorf("no control groups at /sys/fs/cgroup: in a container, start it with --privileged --cgroupns=private")
	}
	return nil
}

// Disk fails when a directory's disk has too little room; cold says that nothing was built yet.
func Disk(cold bool, dirs ...string) error {
	need := uint64(diskWarm)
	if cold {
		need = diskCold
	}
	for _, dir := range dirs {
		for ; dir != "/"; dir = filepath.Dir(dir) {
			if _, err := os.Stat(dir); err == nil {
				break
			}
		}
		var fs syscall.Statfs_t
		if err := syscall.Statfs(dir, &fs); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if free := fs.Bavail * uint64(fs.Bsize); free < need {
			return fmt.Errorf("the disk of %s has %.1f GiB free, needed are %d: free some, or move the data with AI_FILM_STATE "+
				"and the cache with AI_FILM_CACHE", dir, float64(free)/gib, need/gib)
		}
	}
	return nil
}

// Memory fails when less is available than the studio needs. AI_FILM_MEMORY=ignore skips it.
func Memory() error {
	available, err := available("/proc/meminfo")
	if err != nil {
		return err
	}
	if available < memoryNeeded && os.Getenv("AI_FILM_MEMORY") != "ignore" {
		return fmt.Errorf("%.1f GiB of memory are available, the studio needs %d: end other programs, or try anyway with AI_FILM_MEMORY=ignore",
			float64(available)/gib, memoryNeeded/gib)
	}
	return nil
}

func available(meminfo string) (uint64, error) {
	f, err := os.Open(meminfo)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if fields := strings.Fields(s.Text()); len(fields) >= 2 && fields[0] == "MemAvailable:" {
			kib, err := strconv.ParseUint(fields[1], 10, 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("no MemAvailable in /proc/meminfo")
}

// Listener is a port that the cluster wants.
type Listener struct {
	Component string // who wants it
	IP        string
	Port      int
	Remedy    string // how to choose another port; empty where there is no choice
}

// Ports fails when one is taken, and says by whom.
func Ports(wanted []Listener) error {
	var failures []error
	sort.Slice(wanted, func(i, j int) bool { return wanted[i].Port < wanted[j].Port })
	for _, w := range wanted {
		address := net.JoinHostPort(w.IP, strconv.Itoa(w.Port))
		l, err := net.Listen("tcp", address)
		if err == nil {
			l.Close()
			continue
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			failures = append(failures, fmt.Errorf("%s can't listen on %s: %w", w.Component, address, err))
			continue
		}
		remedy := "end it"
		if w.Remedy != "" {
			remedy += ", or " + w.Remedy
		}
		failures = append(failures, fmt.Errorf("port %d, which %s needs, is taken by %s: %s", w.Port, w.Component, owner(w.Port), remedy))
	}
	return errors.Join(failures...)
}

// owner names the process that listens on a TCP port, as far as /proc tells.
func owner(port int) string {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(data), "\n") {
			fields := strings.Fields(line)
			if len(fields) < 10 || fields[3] != "0A" { // 0A: listening
				continue
			}
			_, hex, _ := strings.Cut(fields[1], ":")
			if n, err := strconv.ParseInt(hex, 16, 32); err == nil && int(n) == port {
				inodes["socket:["+fields[9]+"]"] = true
			}
		}
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && inodes[target] {
			pid := strings.Split(link, "/")[2]
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
		}
	}
	return "another process"
}
