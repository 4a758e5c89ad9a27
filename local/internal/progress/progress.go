// Package progress says what is going on: what begins, how long it usually takes, how far a long step is, what each took.
// On a terminal the steps that can be counted stand in one line at the bottom, redrawn in place; elsewhere a line comes now
// and then.
package progress

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"
)

// Log writes lines; its methods may be called from several goroutines. The zero value is not usable; see New.
type Log struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	start    time.Time
	busy     time.Duration // the machine's processors at the start
	pods     time.Duration // the pods' at the start
	running  []*Step       // in the order they began
	steps    []*Step       // in the order they ended
	held     []string      // lines that wait while another program has the terminal
	holders  int
}

// Step is a piece of work.
type Step struct {
	Name string
	Took time.Duration // wall time
	CPU  time.Duration // user and system time of the commands it ran and of their children
	Err  error

	log         *Log
	done, total int
	unit        string
	said        time.Time // when a line last told of it
}

const (
	width    = 80               // columns of the line at the bottom
	interval = 30 * time.Second // between two lines about one step where there is no terminal
)

// New returns a log that writes to standard error, so that standard output stays for results.
func New() *Log {
	info, err := os.Stderr.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "" && os.Getenv("TERM") != "dumb"
	return newLog(os.Stderr, terminal)
}

// NewTo returns a log that writes lines to out.
func NewTo(out io.Writer) *Log { return newLog(out, false) }

func newLog(out io.Writer, terminal bool) *Log {
	return &Log{out: out, terminal: terminal, start: time.Now(), busy: busy(), pods: pods(controlGroups)}
}

// Say prints a line, stamped with the time since the start.
func (l *Log) Say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.say(fmt.Sprintf(format, args...))
}

func (l *Log) say(text string) {
	since := time.Since(l.start).Round(time.Second)
	line := fmt.Sprintf("[%02d:%02d] %s\n", int(since.Minutes()), int(since.Seconds())%60, text)
	if l.holders > 0 {
		l.held = append(l.held, line)
		return
	}
	l.clear()
	io.WriteString(l.out, line)
	l.draw()
}

// Hold keeps quiet until release is called, for a program that draws on the terminal itself; what is said meanwhile is
// printed then.
func (l *Log) Hold() (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	l.holders++
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.holders--; l.holders == 0 {
			io.WriteString(l.out, strings.Join(l.held, ""))
			l.held = nil
			l.draw()
		}
	})
}

type stepKey struct{}

// Do runs f as a named step. usual is what to expect ("about 5 min"), empty for work of a few seconds. f's context is for
// Advance and Ran.
func (l *Log) Do(ctx context.Context, name, usual string, f func(context.Context) error) error {
	step := &Step{Name: name, log: l, said: time.Now()}
	l.mu.Lock()
	l.running = append(l.running, step)
	if usual != "" {
		l.say(name + " … (" + usual + ")")
	} else {
		l.say(name + " …")
	}
	l.mu.Unlock()

	began := time.Now()
	err := f(context.WithValue(ctx, stepKey{}, step))

	l.mu.Lock()
	defer l.mu.Unlock()
	step.Took, step.Err = time.Since(began), err
	l.steps = append(l.steps, step)
	l.running = slices.DeleteFunc(l.running, func(s *Step) bool { return s == step })
	if err != nil {
		l.say(name + ": failed after " + short(step.Took))
		return err
	}
	l.say(name + ": done in " + short(step.Took))
	return nil
}

// Advance tells how far the step of ctx is: done of total units ("packages"). Without a step it does nothing.
func Advance(ctx context.Context, done, total int, unit string) {
	s, ok := ctx.Value(stepKey{}).(*Step)
	if !ok {
		return
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.done, s.total, s.unit = done, total, unit
	if s.log.holders > 0 {
		return
	}
	if s.log.terminal {
		s.log.clear()
		s.log.draw()
	} else if time.Since(s.said) >= interval {
		s.said = time.Now()
		s.log.say(fmt.Sprintf("  %s: %d of %d %s", s.Name, done, total, unit))
	}
}

// Ran adds what a command that has ended and its children used to the step of ctx, if there is one.
func Ran(ctx context.Context, cmd *exec.Cmd) {
	s, ok := ctx.Value(stepKey{}).(*Step)
	if !ok || cmd.ProcessState == nil {
		return
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.CPU += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// clear takes the line at the bottom away.
func (l *Log) clear() {
	if l.terminal && l.holders == 0 {
		io.WriteString(l.out, "\r\x1b[K")
	}
}

func (l *Log) draw() {
	if l.terminal && l.holders == 0 {
		io.WriteString(l.out, bar(l.running))
	}
}

// bar tells in at most width-1 columns (the last would make some terminals wrap) how far the steps are that can be
// counted: a bar where there is room for it.
func bar(running []*Step) string {
	var counted []*Step
	for _, s := range running {
		if s.total > 0 {
			counted = append(counted, s)
		}
	}
	if len(counted) == 0 {
		return ""
	}
	const cells = 16
	each := (width - 1 - 3*(len(counted)-1)) / len(counted)
	var parts []string
	for _, s := range counted {
		numbers := fmt.Sprintf(" %d of %d %s", s.done, s.total, s.unit)
		drawn := ""
		if room := each - utf8.RuneCountInString(numbers) - cells - 1; room >= 12 {
			full := min(cells, s.done*cells/s.total)
			drawn = " " + strings.Repeat("█", full) + strings.Repeat("░", cells-full)
		}
		name := max(0, each-utf8.RuneCountInString(numbers)-utf8.RuneCountInString(drawn))
		parts = append(parts, cut(cut(s.Name, name)+drawn+numbers, each))
	}
	return cut(strings.Join(parts, " · "), width-1)
}

func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	if n <= 0 {
		return ""
	}
	return string([]rune(s)[:n-1]) + "…"
}

// Total is the time since the log began.
func (l *Log) Total() time.Duration { return time.Since(l.start) }

// Steps returns the steps that have ended, in that order.
func (l *Log) Steps() []Step {
	l.mu.Lock()
	defer l.mu.Unlock()
	steps := make([]Step, len(l.steps))
	for i, s := range l.steps {
		steps[i] = *s
	}
	return steps
}

func short(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// children is the processor time of all commands that we have waited for, and of those they waited for.
func children() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
