package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what the steps cost, in seconds.
type Report struct {
	Steps      []Cost  `json:"steps"` // in the order they ended; they overlap
	Wall       float64 `json:"wall_seconds"`
	CPU        float64 `json:"cpu_seconds"`         // of all commands that were run, whatever step they belong to
	PodsCPU    float64 `json:"pods_cpu_seconds"`    // of the pods meanwhile; 0 where the cluster's control groups aren't this machine's
	MachineCPU float64 `json:"machine_cpu_seconds"` // of all processes of the machine meanwhile: pods, the cluster, and strangers
	Processors int     `json:"processors"`
}

// Cost is what one step cost, in seconds.
type Cost struct {
	Name   string  `json:"name"`
	Wall   float64 `json:"wall_seconds"`
	CPU    float64 `json:"cpu_seconds"`
	Failed bool    `json:"failed,omitempty"`
}

// Report sums up what was done until now.
func (l *Log) Report() Report {
	r := Report{Steps: []Cost{}, Wall: l.Total().Seconds(), CPU: children().Seconds(), MachineCPU: (busy() - l.busy).Seconds(), Processors: runtime.NumCPU()}
	used := pods(controlGroups)
	if used >= l.pods { // else the cluster was made anew meanwhile
		used -= l.pods
	}
	r.PodsCPU = used.Seconds()
	for _, s := range l.Steps() {
		r.Steps = append(r.Steps, Cost{s.Name, s.Took.Seconds(), s.CPU.Seconds(), s.Err != nil})
	}
	return r
}

// Write stores the report as JSON.
func (r Report) Write(file string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// Table prints the report in at most 80 columns.
func (r Report) Table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name, wall, cpu string) { fmt.Fprintf(w, "%s\t%s\t  %s\n", wall, cpu, name) }
	row("step", "took", "CPU")
	for _, s := range r.Steps {
		name := cut(s.Name, 54)
		if s.Failed {
			name = cut(s.Name, 46) + " (failed)"
		}
		row(name, clock(s.Wall), clock(s.CPU))
	}
	row("all: steps overlap", clock(r.Wall), clock(r.CPU))
	if r.PodsCPU > 0 {
		row("pods meanwhile", "", clock(r.PodsCPU))
	}
	row(fmt.Sprintf("the whole machine meanwhile, %d processors", r.Processors), "", clock(r.MachineCPU))
	return w.Flush()
}

// clock writes seconds as minutes and seconds: 6:02; less than ten with a decimal: 0:07.3.
func clock(seconds float64) string {
	if seconds < 10 {
		return fmt.Sprintf("0:0%.1f", min(seconds, 9.9))
	}
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// busy is the time that the machine's processors have worked since it started; 0 where there is no /proc.
func busy() time.Duration {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(data), "\n")
	fields := strings.Fields(line)
	var ticks int64
	for i, field := range fields {
		// cpu user nice system idle iowait irq softirq steal guest guest_nice: idle ones don't work, guests are in user
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ is 100 on every architecture that Go runs on
}

const controlGroups = "/sys/fs/cgroup"

// pods is the processor time that pods have used since the kubelet made their control group, version 1 or 2; 0 without one.
func pods(groups string) time.Duration {
	if data, err := os.ReadFile(filepath.Join(groups, "cpuacct/kubepods/cpuacct.usage")); err == nil {
		n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
		return time.Duration(n)
	}
	data, _ := os.ReadFile(filepath.Join(groups, "kubepods/cpu.stat"))
	for line := range strings.Lines(string(data)) {
		if usage, ok := strings.CutPrefix(line, "usage_usec "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(usage), 10, 64)
			return time.Duration(n) * time.Microsecond
		}
	}
	return 0
}
