package preflight

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestPortsNamesTheOwnerAndTheRemedy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	err = Ports([]Listener{{Component: "the ingress", IP: "127.0.0.1", Port: taken, Remedy: "choose another one with INGRESS_PORT=8080"}})
	if err == nil {
		t.Fatal("a taken port passes")
	}
	for _, want := range []string{"port " + strconv.Itoa(taken), "the ingress", "(process " + strconv.Itoa(os.Getpid()) + ")", "INGRESS_PORT=8080"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	l.Close()
	if err := Ports([]Listener{{Component: "x", IP: "127.0.0.1", Port: taken}}); err != nil {
		t.Errorf("a free port fails: %v", err)
	}
}

func TestPortsReportsAddressesThatAreNotOurs(t *testing.T) {
	if err := Ports([]Listener{{Component: "the ingress", IP: "192.0.2.77", Port: 18099}}); err == nil {
		t.Error("an address of another machine passes")
	}
}

func TestDiskClimbsToWhatExists(t *testing.T) {
	if err := Disk(false, "/proc/self/nothing/here"); err == nil || !strings.Contains(err.Error(), "AI_FILM_STATE") {
		t.Errorf("a full disk (procfs has no room) gives %v", err)
	}
}

func TestAvailable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "meminfo")
	if err := os.WriteFile(file, []byte("MemTotal: 10 kB\nMemAvailable:    2048 kB\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := available(file); err != nil || got != 2<<20 {
		t.Errorf("available = %d, %v", got, err)
	}
	if err := os.WriteFile(file, []byte("MemTotal: 10 kB\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := available(file); err == nil {
		t.Error("no error without the line")
	}
}
