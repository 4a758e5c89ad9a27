package media

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// child waits for a child process of ours whose command line has a text in it, and returns its id.
func (b *bench) child(text string) (pid int) {
	b.Helper()
	eventually(b.T, "a child with "+text, func() bool {
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		for _, d := range dirs {
			stat, _ := os.ReadFile(d + "/stat")
			line, _ := os.ReadFile(d + "/cmdline")
			after := string(stat)[strings.LastIndexByte(string(stat), ')')+1:]
			fields := strings.Fields(after)
			if len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) && strings.Contains(string(line), text) && strings.Contains(string(line), b.dir) {
				pid, _ = strconv.Atoi(filepath.Base(d))
				return true
			}
		}
		return false
	})
	return pid
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
