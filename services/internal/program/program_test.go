package program

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestOutputLinesAndInput(t *testing.T) {
	var lines []string
	p := Program{Path: "cat", Stdin: func(w io.Writer) error { _, err := io.WriteString(w, "one\r\ntwo\nrest"); return err },
		Line: func(l string) { lines = append(lines, l) }}
	if _, err := p.Run(t.Context()); err != nil || strings.Join(lines, "|") != "one|two" {
		t.Errorf("%q %v", lines, err)
	}
	p.Line = nil
	if out, err := p.Run(t.Context()); err != nil || string(out) != "one\r\ntwo\nrest" {
		t.Errorf("%q %v", out, err)
	}
}

func TestProgramThatHasEnoughIsNoError(t *testing.T) {
	p := Program{Path: "head", Args: []string{"-c", "1"}, Stdin: func(w io.Writer) error {
		for range 1000 {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return err
			}
		}
		return nil
	}}
	if out, err := p.Run(t.Context()); err != nil || len(out) != 1 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	broken := errors.New("no more music")
	p = Program{Path: "cat", Stdin: func(io.Writer) error { return broken }}
	if _, err := p.Run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("half an input passes: %v", err)
	}
}

func TestBadEndsCarryTheLastComplaints(t *testing.T) {
	p := Program{Path: "sh", Args: []string{"-c", "yes complaint | head -n 1000 >&2; echo the last >&2; exit 3"}, Tail: 100}
	_, err := p.Run(t.Context())
	bad, ok := errors.AsType[*Error](err)
	if !ok || len(bad.Complaints) > 100 || !strings.HasSuffix(bad.Complaints, "the last") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("%v", err)
	}
	if _, err := (&Program{Path: "no-such-program"}).Run(t.Context()); err == nil {
		t.Error("a program that isn't there runs")
	}
}

func TestCancelKillsTheWholeGroup(t *testing.T) {
	reason := errors.New("time limit")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(200*time.Millisecond, func() { cancel(reason) })
	start := time.Now()
	// The grandchild holds the pipe: were it not killed too, Run would wait for it.
	_, err := (&Program{Path: "sh", Args: []string{"-c", "sleep 60 & wait"}}).Run(ctx)
	if !errors.Is(err, reason) || time.Since(start) > 4*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestMemoryIsLimited(t *testing.T) {
	hungry := Program{Path: "sh", Args: []string{"-c", "x=x; while :; do x=$x$x; done"}, Memory: 64 << 20}
	_, err := hungry.Run(t.Context())
	bad, ok := errors.AsType[*Error](err)
	if !ok || !bad.Crashed() && !bad.Refused() {
		t.Errorf("%v", err)
	}
	told := Program{Path: "sh", Args: []string{"-c", "read go; ulimit -d; ulimit -c"}, Memory: 64 << 20,
		Stdin: func(w io.Writer) error { _, err := io.WriteString(w, "go\n"); return err }}
	if out, err := told.Run(t.Context()); err != nil || string(out) != "65536\n0\n" {
		t.Errorf("%q %v", out, err)
	}
}

func TestWhatIsPrintedIsLimited(t *testing.T) {
	_, err := (&Program{Path: "yes"}).Run(t.Context())
	if bad, ok := errors.AsType[*Error](err); !ok || !bad.Refused() {
		t.Errorf("%v", err)
	}
}

func TestMemoryOfAJob(t *testing.T) {
	t.Setenv("JOB_MEMORY_MIB", "700")
	if n, err := Memory(2, 1<<30); n != 700<<20 || err != nil {
		t.Error(n, err)
	}
	t.Setenv("JOB_MEMORY_MIB", "lots")
	if _, err := Memory(1, 0); err == nil || !strings.Contains(err.Error(), "JOB_MEMORY_MIB") {
		t.Error(err)
	}
	t.Setenv("JOB_MEMORY_MIB", "")
	if n, err := Memory(2, 0); err != nil || n < 0 || container() > 0 && n != max(container(), 64<<20)/2 {
		t.Error(n, err)
	}
}
