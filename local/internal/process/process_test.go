package process

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func sleeper(t *testing.T, script string) Process {
	t.Helper()
	dir := t.TempDir()
	p := Process{Name: "sleeper", Argv: []string{"/bin/sh", "-c", script}, Logs: filepath.Join(dir, "logs"), Run: filepath.Join(dir, "run")}
	t.Cleanup(func() {
		if err := p.Stop(100 * time.Millisecond); err != nil {
			t.Error(err)
		}
	})
	return p
}

func start(t *testing.T, p Process) int {
	t.Helper()
	if started, err := p.Start(); err != nil || !started {
		t.Fatalf("Start() = %v, %v", started, err)
	}
	pid := p.Running()
	if pid == 0 {
		t.Fatal("not running after Start")
	}
	return pid
}

func TestStartTwiceKeepsTheFirst(t *testing.T) {
	p := sleeper(t, "exec sleep 60")
	pid := start(t, p)
	if started, err := p.Start(); err != nil || started {
		t.Fatalf("second Start() = %v, %v; want false, nil", started, err)
	}
	if p.Running() != pid {
		t.Fatalf("another process: %d, was %d", p.Running(), pid)
	}
}

func TestStopEndsAndForgets(t *testing.T) {
	p := sleeper(t, "exec sleep 60")
	pid := start(t, p)
	if err := p.Stop(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	if syscall.Kill(pid, 0) == nil && p.Running() != 0 {
		t.Fatal("still running")
	}
	if _, err := os.Stat(p.recordFile()); !os.IsNotExist(err) {
		t.Fatalf("the record is still there: %v", err)
	}
}

func TestStopKillsWhatIgnoresSIGTERM(t *testing.T) {
	p := sleeper(t, "trap '' TERM; while :; do sleep 0.05; done")
	start(t, p)
	time.Sleep(100 * time.Millisecond) // let the shell set its trap
	began := time.Now()
	if err := p.Stop(300 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if p.Running() != 0 {
		t.Fatal("survived")
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Fatalf("killed after %s, before its time was up", took)
	}
}

func TestKilledProcessIsNotRunning(t *testing.T) {
	p := sleeper(t, "exec sleep 60")
	pid := start(t, p)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); p.Running() != 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("counts as running after SIGKILL")
		}
	}
	if second := start(t, p); second == pid {
		t.Fatal("the same process again")
	}
}

// A record whose process has gone may name an id that the system has given to somebody else.
func TestStrangerWithTheSameIDIsLeftAlone(t *testing.T) {
	stranger := exec.Command("sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	began, err := startTime(stranger.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]record{
		"started at another time": {stranger.Process.Pid, began - 1, boot()},
		"before a reboot":         {stranger.Process.Pid, began, "another boot"},
	} {
		t.Run(name, func(t *testing.T) {
			p := sleeper(t, "exec sleep 60")
			if err := os.MkdirAll(p.Run, 0o755); err != nil {
				t.Fatal(err)
			}
			data, _ := json.Marshal(r)
			if err := os.WriteFile(p.recordFile(), data, 0o644); err != nil {
				t.Fatal(err)
			}
			if pid := p.Running(); pid != 0 {
				t.Fatalf("takes the stranger %d for ours", pid)
			}
			if err := p.Stop(time.Second); err != nil {
				t.Fatal(err)
			}
			if _, err := startTime(stranger.Process.Pid); err != nil {
				t.Fatal("Stop ended the stranger")
			}
		})
	}
}

func TestBrokenRecordMeansNotRunning(t *testing.T) {
	for _, content := range []string{"", "{", "12", `{"pid":-1}`, `{"pid":"x"}`, "\x00\xff"} {
		p := sleeper(t, "exec sleep 60")
		if err := os.MkdirAll(p.Run, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.recordFile(), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if p.Running() != 0 {
			t.Errorf("record %q counts as running", content)
		}
	}
}

func TestMissingProgramIsAnError(t *testing.T) {
	p := sleeper(t, "")
	p.Argv = []string{"/nonexistent/program"}
	if _, err := p.Start(); err == nil {
		t.Fatal("no error")
	}
}

func TestLogIsRotatedWhenLarge(t *testing.T) {
	p := sleeper(t, "exec sleep 60")
	if err := os.MkdirAll(p.Logs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.LogFile(), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(p.LogFile(), logLimit); err != nil {
		t.Fatal(err)
	}
	start(t, p)
	if info, err := os.Stat(p.LogFile()); err != nil || info.Size() >= logLimit {
		t.Fatalf("not rotated: %v, %v", info.Size(), err)
	}
	if _, err := os.Stat(p.LogFile() + ".old"); err != nil {
		t.Fatal(err)
	}
}
