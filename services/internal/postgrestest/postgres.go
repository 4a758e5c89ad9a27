// Package postgrestest runs a real PostgreSQL for a test.
package postgrestest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Start runs a PostgreSQL of the test's own, on a Unix socket, and returns its URL.
func Start(t *testing.T) string {
	t.Helper()
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	bin := binaries(t)
	dir, err := os.MkdirTemp("/tmp", "postgres-") // short: the path of a socket is limited to 107 bytes
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755)) // the server is another user
	var as *syscall.SysProcAttr
	if os.Getuid() == 0 && os.Getenv("AI_FILM_ROOTS") != "" { // the image's programs become its user by themselves
		must(t, os.Chown(dir, 999, 999))
	} else if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			u, err = user.Lookup("nobody")
		}
		must(t, err)
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		must(t, os.Chown(dir, uid, gid))
		as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "studio", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = as, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	server.SysProcAttr, server.Dir = as, dir
	log, err := os.Create(filepath.Join(t.TempDir(), "postgres.log"))
	must(t, err)
	server.Stdout, server.Stderr = log, log
	must(t, server.Start())
	t.Cleanup(func() {
		server.Process.Signal(syscall.SIGQUIT)
		server.Wait()
	})
	url := fmt.Sprintf("postgres://studio@/postgres?host=%s", dir)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := pgx.Connect(t.Context(), url)
		if err == nil {
			c.Close(t.Context())
			return url
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("PostgreSQL did not start: %v\n%s", err, text)
		}
	}
}

// binaries finds the newest PostgreSQL of the machine. A machine without one fails the test: a skipped test of what
// survives a restart would pass where it does not.
func binaries(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Fatal("PostgreSQL is not installed: apt-get install --no-install-recommends postgresql (or put initdb on the PATH)")
	}
	return filepath.Dir(slices.Max(found))
}
