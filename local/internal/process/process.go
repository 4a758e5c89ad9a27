// Package process starts components in the background and ends them again, and nothing but them: a recorded process is
// known by its id and its start time, so an id that the system gave to somebody else meanwhile is left alone.
package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a component that runs on its own after we have ended.
type Process struct {
	Name string   // also the name of its log and record
	Argv []string // program with full path, and arguments
	Env  []string // added to ours
	Logs string   // directory for <name>.log
	Run  string   // directory for <name>.json, the record
}

type record struct {
	Pid   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot, field 22 of /proc/<pid>/stat
	Boot  string `json:"boot"`
}

func (p Process) recordFile() string { return filepath.Join(p.Run, p.Name+".json") }

// LogFile is where its output goes.
func (p Process) LogFile() string { return filepath.Join(p.Logs, p.Name+".log") }

// Running returns its id, or 0.
func (p Process) Running() int {
	data, err := os.ReadFile(p.recordFile())
	if err != nil {
		return 0
	}
	var r record
	if json.Unmarshal(data, &r) != nil || r.Pid <= 0 || r.Boot != boot() {
		return 0
	}
	if start, err := startTime(r.Pid); err != nil || start != r.Start {
		return 0
	}
	return r.Pid
}

// Start starts it unless it runs already; it reports whether it did.
func (p Process) Start() (bool, error) {
	if p.Running() != 0 {
		return false, nil
	}
	for _, dir := range []string{p.Logs, p.Run} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return false, err
		}
	}
	if err := rotate(p.LogFile()); err != nil {
		return false, err
	}
	log, err := os.OpenFile(p.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return false, err
	}
	defer log.Close()
	cmd := exec.Command(p.Argv[0], p.Argv[1:]...)
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // survives the terminal and Ctrl-C
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("start %s: %w", p.Name, err)
	}
	start, err := startTime(cmd.Process.Pid)
	if err != nil {
		return false, fmt.Errorf("%s ended at once; see %s", p.Name, p.LogFile())
	}
	data, _ := json.Marshal(record{cmd.Process.Pid, start, boot()})
	if err := os.WriteFile(p.recordFile(), data, 0o644); err != nil {
		_ = cmd.Process.Kill()
		return false, err
	}
	go cmd.Wait() // else a component that dies while we still run would stay a zombie and count as running
	return true, nil
}

// Stop asks it to end, waits, and kills it when the time is up. A process that isn't running is no error.
func (p Process) Stop(patience time.Duration) error {
	if pid := p.Running(); pid != 0 {
		if err := End(pid, patience); err != nil {
			return fmt.Errorf("stop %s: %w", p.Name, err)
		}
	}
	if err := os.Remove(p.recordFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// End sends SIGTERM to a process, waits, and sends SIGKILL when the time is up.
func End(pid int, patience time.Duration) error {
	start, err := startTime(pid)
	if err != nil {
		return nil
	}
	alive := func() bool { now, err := startTime(pid); return err == nil && now == start }
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, patience}, {syscall.SIGKILL, 10 * time.Second}} {
		if err := syscall.Kill(pid, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		for deadline := time.Now().Add(step.wait); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if !alive() {
				return nil
			}
		}
	}
	return fmt.Errorf("process %d does not end, not even by SIGKILL (it waits for a disk or a device): see /proc/%d/stack", pid, pid)
}

// Match returns the ids of the processes whose argument list satisfies ours.
func Match(ours func(argv []string) bool) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if argv := Argv(pid); len(argv) > 0 && ours(argv) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Argv returns the argument list of a process; empty when it has gone or is a kernel thread.
func Argv(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(data) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
}

func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field, the program's name in brackets, may hold blanks and brackets itself.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("unexpected /proc/%d/stat", pid)
	}
	if state := fields[0][0]; state == 'Z' || state == 'X' {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

func boot() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

const logLimit = 32 << 20 // bytes

// rotate keeps one old log, so that a cluster that runs for weeks doesn't fill the disk at its next start.
func rotate(file string) error {
	info, err := os.Stat(file)
	if err != nil || info.Size() < logLimit {
		return nil
	}
	return os.Rename(file, file+".old")
}
