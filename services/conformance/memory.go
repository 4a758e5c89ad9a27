package conformance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Film and Shot are those that Job asks for.
const Film, Shot = "f1", "s01-01"

// Job asks for an operation and returns how it ended: done, failed or refused, and with which problem.
func (target Target) Job(t *testing.T, operation string, body map[string]any) (state string, p *Problem) {
	t.Helper()
	s := &suite{target, Film, Shot}
	l := s.job(t.Context(), t, Operation{Name: operation, Body: body}, nil, nil)
	return l.State, l.Problem
}

// Watch adds up the memory of the service and of all processes it started, some hundred times a second, until peak is
// called, which returns the most there was, bytes. Pages that processes share count once (proportional set size).
func (target Target) Watch(t *testing.T) (peak func() int64) {
	t.Helper()
	var most atomic.Int64
	stop, ended := make(chan bool), make(chan bool)
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			var sum int64
			for _, pid := range descendants(target.PID) {
				sum += held(pid)
			}
			most.Store(max(most.Load(), sum))
		}
	}()
	return func() int64 {
		close(stop)
		<-ended
		return most.Load()
	}
}

// descendants are a process and all that it and those started.
func descendants(root int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 {
			pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], pid)
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

var pss = regexp.MustCompile(`(?m)^Pss: +(\d+) kB`)

func held(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0 // it is over
	}
	m := pss.FindSubmatch(b)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10
}

// MemoryLimit is the smallest memory limit that any profile of the chart gives a service's container, bytes.
func MemoryLimit(t *testing.T, service string) (least int64) {
	t.Helper()
	chart, err := chart()
	if err != nil {
		t.Fatal(err)
	}
	profiles, _ := filepath.Glob(filepath.Join(chart, "values", "*.yaml"))
	block := regexp.MustCompile(`(?m)^( +)` + service + `:\n((?:(?:\s{4,}.*)?\n)+)`)
	memory := regexp.MustCompile(`limits: \{.*memory: (\d+)(Mi|Gi)`)
	for _, file := range append(profiles, filepath.Join(chart, "values.yaml")) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, service := range block.FindAllStringSubmatch(string(b), -1) {
			for _, m := range memory.FindAllStringSubmatch(service[2], -1) {
				n, _ := strconv.ParseInt(m[1], 10, 64)
				if n <<= map[string]int{"Mi": 20, "Gi": 30}[m[2]]; least == 0 || n < least {
					least = n
				}
			}
		}
	}
	if least == 0 {
		t.Fatalf("no limit of memory for %s in %s", service, chart)
	}
	return least
}

// chart finds charts/ai-film above the test's directory.
func chart() (string, error) {
	dir, err := os.Getwd()
	for err == nil && dir != "/" {
		if found := filepath.Join(dir, "charts", "ai-film"); exists(found) {
			return found, nil
		}
		dir = filepath.Dir(dir)
	}
	return "", errors.Join(err, errors.New("no charts/ai-film above the test"))
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}
