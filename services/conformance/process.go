package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ai-film/ai-film/services/internal/freeport"
)

// serve is what makes a process that a test starts be the service instead of a test.
const serve = "AI_FILM_SERVE"

// Main is TestMain of a command: the test binary, started by Start, is the command.
func Main(m *testing.M, command func()) {
	if os.Getenv(serve) != "" {
		command()
		return
	}
	os.Exit(m.Run())
}

// RunSelf starts the command whose test this is, with Main as its TestMain, and holds it to the protocol.
func RunSelf(t *testing.T, sample string) {
	t.Helper()
	RunProcess(t, sample, []string{serve + "=1"}, os.Args[0])
}

// RunProcess starts a service as a process and holds it to the protocol.
func RunProcess(t *testing.T, sample string, env []string, command ...string) {
	t.Helper()
	Run(t, Start(t, sample, env, command...))
}

// StartSelf starts the command whose test this is, with Main as its TestMain.
func StartSelf(t *testing.T, sample string) Target {
	t.Helper()
	return Start(t, sample, []string{serve + "=1"}, os.Args[0])
}

// Start starts a service as a process, with an environment added to this one's, and returns when it is ready. Where the test
// may mount, its data directory is a small disk.
func Start(t *testing.T, sample string, env []string, command ...string) Target {
	t.Helper()
	read, err := ReadSample(sample)
	if err != nil {
		t.Fatal(err)
	}
	target := Target{Token: "a token of the tests", Sample: read}
	target.Data, target.Small = smallDisk(t)
	for _, volume := range []string{"images", "videos"} {
		if err := os.Mkdir(filepath.Join(target.Data, volume), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	port, management := freeport.Loopback(t), freeport.Loopback(t)
	c := exec.Command(command[0], command[1:]...)
	c.Env = append(os.Environ(), append(env, "HOST=127.0.0.1", "PORT="+port, "MANAGEMENT_PORT="+management, "SERVICE_TOKEN="+target.Token, "DATA_DIR="+target.Data,
		"WORKERS=1", "QUEUE_LIMIT=1", "SAMPLES=1", "STOP_DELAY=1s", "DRAIN_SECONDS=1s", "LOG_LEVEL=info")...)
	c.Stdout, c.Stderr = &said, &said
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	gone := false
	t.Cleanup(func() {
		syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		if !gone {
			<-ended
		}
		if t.Failed() {
			text := said.String()
			t.Logf("the service said:\n%s", text[max(0, len(text)-10000):])
		}
	})
	target.URL, target.Management, target.PID = "http://127.0.0.1:"+port, "http://127.0.0.1:"+management, c.Process.Pid
	target.Ended = func() (int, error) {
		select {
		case err := <-ended:
			gone = true
			if _, bad := errors.AsType[*exec.ExitError](err); err != nil && !bad {
				return 0, err
			}
			return c.ProcessState.ExitCode(), nil
		case <-time.After(patience):
			return 0, fmt.Errorf("it still runs after %s", patience)
		}
	}
	eventually(t, "the service is ready", func() bool {
		select {
		case err := <-ended:
			gone = true
			t.Fatalf("the service ended: %v", err)
		default:
		}
		r, err := http.Get(target.Management + "/readyz")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == 200
	})
	return target
}

// smallDisk is a directory that is a file system of its own, or just a directory where the test may not mount.
func smallDisk(t *testing.T) (dir string, small bool) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "conformance-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1g,mode=777"); err != nil {
		t.Logf("no disk of its own: %v", err)
		return dir, false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, true
}
