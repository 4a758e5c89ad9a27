// Command bench measures charttest against helm template, Helm's engine,
// helm-unittest and terratest, all on the studio's own chart, all warm and
// interleaved in one run; then how the cost grows with objects and profiles, and
// what many renders leave in memory. Times are processors' times. It writes
// out/bench/render.json, a table and a plot.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", 5, "rounds, of which the medians are taken")
	renders := flag.Int("renders", 10, "renders a round for those that start a process each time; others do ten times as many")
	flat := flag.Int("flat", 10000, "renders after which the memory is looked at; 0 skips that")
	chart := flag.String("chart", "../../charts/ai-film", "the chart")
	out := flag.String("out", "../../out/bench", "directory for the results")
	only := flag.String("only", "", "a regular expression of contenders, and of «scaling», «large» and «memory»: the rest is left out")
	flag.Parse()
	if err := run(*chart, *out, *only, *rounds, *renders, *flat); err != nil {
		log.Fatal("bench: ", err)
	}
}

func run(chart, out, only string, rounds, renders, flat int) error {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{chart: chart, dir: dir, renders: renders}
	if err := b.prepare(); err != nil {
		return err
	}
	measures := slices.DeleteFunc(b.measures(), func(m measure) bool { return !wanted.MatchString(m.name) })
	fmt.Fprintf(os.Stderr, "%d rounds of %d contenders\n", rounds, len(measures))
	results := make(map[string][]time.Duration)
	for round := range rounds + 1 {
		for i := range measures {
			m := measures[(i+round)%len(measures)] // nobody always comes after the same
			took, err := m.run()
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			if round > 0 { // the first round warms up
				results[m.name] = append(results[m.name], took)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d/%d\n", round, rounds)
	}
	report := newReport(measures, results)
	for name, measure := range map[string]func() error{
		"scaling": func() (err error) { report.Scaling, err = b.scaling(rounds); return err },
		"large":   func() (err error) { report.Large, err = b.large(min(rounds, 3)); return err },
		"memory":  func() (err error) { report.Memory, err = b.memory(flat); return err },
	} {
		if !wanted.MatchString(name) {
			continue
		}
		if err := measure(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	return report.write(out)
}

// bench is what the contenders share.
type bench struct {
	chart, dir     string
	helm, unittest string // programs
	program        string // the command, for verify as a process
	unitRender     string // a chart with a suite that renders often
	unitSuite      string // a chart with the realistic suite
	renders        int
	n              int // values differ each time
}

// prepare builds the programs and writes the suites of helm-unittest.
func (b *bench) prepare() error {
	for name, to := range map[string]*string{
		"helm.sh/helm/v3/cmd/helm":                                 &b.helm,
		"github.com/helm-unittest/helm-unittest/cmd/helm-unittest": &b.unittest,
		"./cmd/charttest":                                          &b.program, // of its own module, whose sums are of all that it needs
	} {
		*to = filepath.Join(b.dir, filepath.Base(name))
		build := exec.Command("go", "build", "-o", *to, name)
		if strings.HasPrefix(name, ".") {
			build.Dir = "../../charttest"
		}
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("building %s: %w", name, err)
		}
	}
	// terratest finds helm by the PATH.
	if err := os.Setenv("PATH", b.dir+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return err
	}
	var err error
	if b.unitRender, err = b.writeUnittest("render", renderSuite(10*b.renders)); err != nil {
		return err
	}
	b.unitSuite, err = b.writeUnittest("suite", assertionSuite())
	return err
}

// next returns a number that was not there before, to build values from.
func (b *bench) next() int { b.n++; return b.n }

// measure is one contender at one task.
type measure struct {
	name string
	what string
	per  int // how often run does the task
	run  func() (time.Duration, error)
}

func (b *bench) measures() []measure {
	return slices.Concat(b.renderers(), b.suites(), b.verifiers())
}

// timed runs f n times.
func timed(n int, f func() error) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		start := processorTime()
		for range n {
			if err := f(); err != nil {
				return 0, err
			}
		}
		return processorTime() - start, nil
	}
}

// processorTime is what this process and those that it started and that ended
// have taken of all processors: unlike the clock's time, it hardly changes with
// what else the machine does.
func processorTime() time.Duration {
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			panic(err) // of these two there always is one
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}
