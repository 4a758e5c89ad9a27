package packages

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ai-film/ai-film/local/internal/progress"
)

// A program that apt leaves running holds its status descriptor: we don't wait for it.
func TestAptTellsHowFarItIs(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\nsleep 600 >/dev/null 2>&1 &\necho $! > " + dir + "/pid\n" +
		"echo dlstatus:1:50.5:Retrieving file 1 of 2 >&3\necho pmstatus:runc:80.2:Unpacking runc:amd64 >&3\necho nonsense >&3\necho \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	var said bytes.Buffer
	log := progress.NewTo(&said)
	err := log.Do(t.Context(), "install", "", func(ctx context.Context) error {
		out, err := apt(ctx, "install", "runc")
		if !strings.Contains(string(out), "install runc") {
			t.Errorf("apt-get was called with %s", out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	left, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(left, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestStatusLines(t *testing.T) {
	var got []string
	status := "dlstatus:1:50.5:Retrieving file 1 of 2\npmstatus:runc:amd64:80.2:strange\npmstatus:runc:80.2:Unpacking runc:amd64\nnonsense\npmerror:x:90.0:failed\n"
	read(strings.NewReader(status), func(percent int, unit string) {
		got = append(got, strings.TrimSpace(strings.Repeat("|", percent/10)+unit))
	})
	if want := "|||||% fetched ||||||||% installed"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, " "), want)
	}
}
