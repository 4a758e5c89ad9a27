// Package program runs the real programs behind a service: no shell, a process group that dies as one, and the last of
// what the program complained about.
package program

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ai-film/ai-film/services/internal/serving"
)

// Program is one run of a program.
type Program struct {
	Path  string
	Args  []string
	Env   []string              // besides the service's own environment
	Stdin func(io.Writer) error // writes the program's input; nil for none
	Line  func(line string)     // gets each line of standard output; nil to collect them
	Tail  int                   // bytes of standard error to keep for the error; 0 for 2 KiB

	// Memory is how many bytes the program and each of its children may have of memory that they write to (RLIMIT_DATA);
	// 0 for no limit. What is decoded is made by others, and must not take the service down with it.
	Memory int64
}

// mostPrinted is how much a program may print where nobody takes its lines, bytes.
const mostPrinted = 8 << 20

// Run runs the program to its end. When ctx ends first, the whole process group is killed and ctx's cause returned. It
// returns what the program printed, unless Line took it. An error of the program carries the last of its complaints.
func (p *Program) Run(ctx context.Context) ([]byte, error) {
	printed, _, err := p.run(ctx)
	return printed, err
}

// Told runs the program like Run and returns the last of its standard error, where some programs report.
func (p *Program) Told(ctx context.Context) (string, error) {
	_, told, err := p.run(ctx)
	return told, err
}

func (p *Program) run(ctx context.Context) (stdout []byte, stderr string, err error) {
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	cmd := exec.CommandContext(ctx, p.Path, p.Args...)
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second // a grandchild that keeps a pipe open must not hold the job
	complaints := &tail{limit: p.Tail}
	if complaints.limit == 0 {
		complaints.limit = 2048
	}
	cmd.Stderr = complaints
	printed := &most{left: mostPrinted}
	var lines *lineWriter
	if p.Line == nil {
		cmd.Stdout = printed
	} else {
		lines = &lineWriter{line: p.Line}
		cmd.Stdout = lines
	}
	var fed chan error
	if p.Stdin != nil {
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, "", err
		}
		fed = make(chan error, 1)
		if err := p.start(cmd); err != nil {
			return nil, "", err
		}
		go func() {
			w := bufio.NewWriterSize(in, 1<<16)
			err := p.Stdin(w)
			if err == nil {
				err = w.Flush()
			}
			in.Close()
			fed <- err
		}()
	} else if err := p.start(cmd); err != nil {
		return nil, "", err
	}
	start := time.Now()
	err = cmd.Wait()
	used := cmd.ProcessState
	serving.Log(ctx).Debug("program ended", "program", p.Path, "seconds", time.Since(start).Seconds(),
		"cpu_seconds", (used.UserTime() + used.SystemTime()).Seconds())
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	if printed.left < 0 {
		return nil, "", &Error{Program: p.Path, Ended: errTooMuch, Complaints: complaints.String()}
	}
	if err != nil {
		return nil, "", &Error{Program: p.Path, Ended: err, Complaints: complaints.String()}
	}
	if fed != nil {
		// A program that ended well without reading all of its input had enough.
		if err := <-fed; err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, os.ErrClosed) {
			return nil, "", err
		}
	}
	return printed.kept.Bytes(), complaints.String(), nil
}

// start starts the program with its limits. They hold from before it has read anything: the kernel sets them from outside.
func (p *Program) start(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.Path, err)
	}
	limit := func(resource int, bytes uint64) error {
		err := unix.Prlimit(cmd.Process.Pid, resource, &unix.Rlimit{Cur: bytes, Max: bytes}, nil)
		if errors.Is(err, unix.ESRCH) { // it is over already
			return nil
		}
		return err
	}
	err := limit(unix.RLIMIT_CORE, 0)
	if err == nil && p.Memory > 0 {
		err = limit(unix.RLIMIT_DATA, uint64(p.Memory))
	}
	if err != nil {
		cmd.Cancel()
		cmd.Wait()
		return fmt.Errorf("%s: limits: %w", p.Path, err)
	}
	return nil
}

// Error is a program that ended badly.
type Error struct {
	Program    string
	Ended      error  // "exit status 1", "signal: killed"
	Complaints string // the last of its standard error
}

func (e *Error) Error() string {
	if e.Complaints == "" {
		return fmt.Sprintf("%s: %v", e.Program, e.Ended)
	}
	return fmt.Sprintf("%s: %v: %s", e.Program, e.Ended, e.Complaints)
}

func (e *Error) Unwrap() error { return e.Ended }

// Crashed tells whether the program ended by a signal of its own making, as decoders do on what they can't take, or for
// want of memory.
func (e *Error) Crashed() bool {
	if strings.Contains(e.Complaints, "Cannot allocate memory") || strings.Contains(e.Complaints, "malloc of size") || strings.Contains(e.Complaints, "std::bad_alloc") {
		return true
	}
	exit, ok := errors.AsType[*exec.ExitError](e.Ended)
	if !ok {
		return false
	}
	status := exit.Sys().(syscall.WaitStatus)
	return status.Signaled() && status.Signal() != syscall.SIGKILL && status.Signal() != syscall.SIGTERM
}

// Refused tells whether the program ended by itself and said no, or printed what nobody reads.
func (e *Error) Refused() bool {
	exit, ok := errors.AsType[*exec.ExitError](e.Ended)
	return ok && exit.Exited() || errors.Is(e.Ended, errTooMuch)
}

var errTooMuch = errors.New("it printed more than anybody reads")

// Find looks a program up on PATH and tells where it is: a readiness check too.
func Find(name string) (string, error) { return exec.LookPath(name) }

// most keeps what is written to it up to a limit; left is negative beyond, and the writer is told.
type most struct {
	kept bytes.Buffer // not embedded: io.Copy would find its ReadFrom
	left int
}

func (m *most) Write(b []byte) (int, error) {
	if m.left -= len(b); m.left < 0 {
		return 0, io.ErrShortBuffer
	}
	return m.kept.Write(b)
}

// tail keeps the last bytes that are written to it.
type tail struct {
	mu    sync.Mutex
	limit int
	kept  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - t.limit; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(strings.TrimSpace(string(t.kept)), "?")
}

// lineWriter cuts what is written to it into lines.
type lineWriter struct {
	line func(string)
	rest []byte
}

func (l *lineWriter) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			break
		}
		l.line(strings.TrimRight(string(l.rest[:i]), "\r"))
		l.rest = l.rest[i+1:]
	}
	if len(l.rest) > 1<<16 { // no line of ours is as long
		l.rest = nil
	}
	return len(b), nil
}
