package progress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestHeldLinesComeAfterwards(t *testing.T) {
	var out bytes.Buffer
	l := newLog(&out, true)
	release := l.Hold()
	l.Say("said meanwhile")
	if out.String() != "\r\x1b[K" {
		t.Errorf("while held: %q", out.String())
	}
	release()
	release() // once is enough, twice does no harm
	if got := out.String(); strings.Count(got, "said meanwhile\n") != 1 {
		t.Errorf("after release: %q", got)
	}
}

func TestStepsCountTheirCommands(t *testing.T) {
	l := newLog(&bytes.Buffer{}, false)
	err := l.Do(t.Context(), "count", "", func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "sh", "-c", "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done")
		err := cmd.Run()
		Ran(ctx, cmd)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	failure := errors.New("no")
	if err := l.Do(t.Context(), "fail", "", func(context.Context) error { return failure }); err != failure {
		t.Errorf("got %v", err)
	}
	r := l.Report()
	if len(r.Steps) != 2 || r.Steps[0].CPU <= 0 || r.Steps[0].CPU > r.CPU || !r.Steps[1].Failed || r.MachineCPU < r.Steps[0].CPU/2 {
		t.Errorf("report: %+v", r)
	}
	file := filepath.Join(t.TempDir(), "out", "steps.json")
	if err := r.Write(file); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(data, &again); err != nil || again.Steps[0] != r.Steps[0] {
		t.Errorf("%s: %v", data, err)
	}
}

func TestTableFitsEightyColumns(t *testing.T) {
	r := Report{Wall: 1450, CPU: 1700, Processors: 2, Steps: []Cost{
		{Name: "install containerd runc containernetworking-plugins nftables conntrack iptables ethtool socat", Wall: 8.34, CPU: 4},
		{Name: "compile kubernetes with a name that is longer than the table is wide, by far", Wall: 392, CPU: 522, Failed: true},
	}}
	var out bytes.Buffer
	if err := r.Table(&out); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
		if n := utf8.RuneCountInString(line); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
		if name := []string{"step", "install", "compile", "all: ", "the whole"}[i]; strings.Index(line, name) != strings.Index(out.String(), "step") {
			t.Errorf("not aligned with the others: %s", line)
		}
	}
	for _, want := range []string{"6:32", "8:42", "(failed)", "28:20", "0:08.3"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
}

func TestBarFitsTheTerminal(t *testing.T) {
	steps := []*Step{
		{Name: "compile kubernetes", done: 691, total: 2763, unit: "packages"},
		{Name: "install", total: 0}, // can't be counted, isn't drawn
		{Name: "image docker.io/aifilm/dagster:ab53544b0d4e", done: 3, total: 12, unit: "steps"},
		{Name: "image docker.io/aifilm/opencv:ab53544b0d4e", done: 3, total: 9, unit: "steps"},
	}
	for n := range len(steps) + 1 {
		line := bar(steps[:n])
		if columns := utf8.RuneCountInString(line); columns > 79 {
			t.Errorf("%d columns: %s", columns, line)
		}
	}
	if got := bar(steps[:1]); got != "compile kubernetes ████░░░░░░░░░░░░ 691 of 2763 packages" {
		t.Errorf("one step: %s", got)
	}
	if got := bar(steps); !strings.Contains(got, "691 of 2763 packages") || !strings.Contains(got, "3 of 9 steps") {
		t.Errorf("three steps: %s", got)
	}
	if got := bar(nil); got != "" {
		t.Errorf("nothing to draw: %q", got)
	}
}

func TestLinesComeNowAndThenWithoutTerminal(t *testing.T) {
	var out bytes.Buffer
	l := newLog(&out, false)
	_ = l.Do(t.Context(), "compile", "", func(ctx context.Context) error {
		for i := range 1000 {
			if i == 500 {
				ctx.Value(stepKey{}).(*Step).said = time.Now().Add(-interval)
			}
			Advance(ctx, i, 1000, "packages")
		}
		return nil
	})
	if got := strings.Count(out.String(), " packages"); got != 1 || !strings.Contains(out.String(), "  compile: 500 of 1000 packages\n") {
		t.Errorf("%d lines of progress:\n%s", got, out.String())
	}
	Advance(t.Context(), 1, 2, "packages") // outside of a step: nothing to tell
}

func TestDrawnLineIsTakenAwayBeforeOthers(t *testing.T) {
	var out bytes.Buffer
	l := newLog(&out, true)
	_ = l.Do(t.Context(), "compile", "", func(ctx context.Context) error {
		Advance(ctx, 1, 2, "packages")
		l.Say("between")
		return nil
	})
	const drawn = "compile ████████░░░░░░░░ 1 of 2 packages"
	if want := drawn + "\r\x1b[K[00:00] between\n" + drawn + "\r\x1b[K[00:00] compile: done"; !strings.Contains(out.String(), want) {
		t.Errorf("got %q", out.String())
	}
}

func TestPodsOfBothVersionsOfControlGroups(t *testing.T) {
	groups := t.TempDir()
	if got := pods(groups); got != 0 {
		t.Errorf("without a cluster: %s", got)
	}
	for _, c := range []struct{ file, text string }{
		{"kubepods/cpu.stat", "usage_usec 90000000\nuser_usec 1\n"},
		{"cpuacct/kubepods/cpuacct.usage", "90000000000\n"},
	} {
		file := filepath.Join(groups, c.file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := pods(groups); got != 90*time.Second {
			t.Errorf("%s: %s", c.file, got)
		}
		os.RemoveAll(filepath.Join(groups, strings.Split(c.file, "/")[0]))
	}
}
