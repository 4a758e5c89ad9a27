// Package progress prints what is going on as plain lines: what begins, how long it usually takes, how long it took.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Log writes lines; its methods may be called from several goroutines. The zero value is not usable; see New.
type Log struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
	steps []Step
}

// Step is one finished piece of work.
type Step struct {
	Name string
	Took time.Duration
}

// New returns a log that writes to standard error, so that standard output stays for results.
func New() *Log { return &Log{out: os.Stderr, start: time.Now()} }

// Say prints a line, stamped with the time since the start.
func (l *Log) Say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := time.Since(l.start).Round(time.Second)
	fmt.Fprintf(l.out, "[%02d:%02d] %s\n", int(since.Minutes()), int(since.Seconds())%60, fmt.Sprintf(format, args...))
}

// Do runs f as a named step. usual is what to expect ("about 5 min"), empty for work of a few seconds.
func (l *Log) Do(name, usual string, f func() error) error {
	if usual != "" {
		l.Say("%s … (%s)", name, usual)
	} else {
		l.Say("%s …", name)
	}
	began := time.Now()
	err := f()
	took := time.Since(began)
	if err != nil {
		l.Say("%s: failed after %s", name, short(took))
		return err
	}
	l.mu.Lock()
	l.steps = append(l.steps, Step{name, took})
	l.mu.Unlock()
	l.Say("%s: done in %s", name, short(took))
	return nil
}

// Total is the time since the log began.
func (l *Log) Total() time.Duration { return time.Since(l.start) }

// Steps returns the finished steps in the order they ended.
func (l *Log) Steps() []Step {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Step(nil), l.steps...)
}

func short(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
