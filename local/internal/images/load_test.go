package images

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ai-film/ai-film/local/internal/place"
	"github.com/ai-film/ai-film/local/internal/progress"
)

// programs puts shell scripts on the PATH.
func programs(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// An image goes through a pipe: whichever end fails, the other mustn't wait, and the error is that of the end that failed.
func TestLoadTellsWhichEndFailed(t *testing.T) {
	const much = "head -c 3000000 /dev/zero" // more than a pipe holds
	for _, c := range []struct{ name, save, load, want string }{
		{"both work", much, "cat > \"$IMPORTED\"", ""},
		{"nothing to save", "echo no such image >&2; exit 1", "cat > /dev/null; echo empty archive >&2; exit 1", "save docker.io/x/y:1"},
		{"save ends early", "head -c 1000 /dev/zero; echo disk error >&2; exit 1", "cat > /dev/null", "disk error"},
		{"import refuses at once", much, "echo no space left >&2; exit 1", "ctr images import docker.io/x/y:1: exit status 1: no space left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			imported := filepath.Join(t.TempDir(), "imported")
			t.Setenv("IMPORTED", imported)
			programs(t, map[string]string{
				"buildah": "case \"$*\" in *push*) " + c.save + ";; *) echo '{\"layers\":[{\"size\":1000000},{\"size\":2000000}]}';; esac",
				"ctr":     c.load,
			})
			var said bytes.Buffer
			b := Builder{Places: place.Places{State: t.TempDir(), Run: t.TempDir()}, Engine: Engine{Program: "buildah"}, Log: progress.NewTo(&said)}
			if size := b.Engine.Size(t.Context(), "docker.io/x/y:1"); size != 3000000 {
				t.Errorf("the image has %d bytes", size)
			}
			err := b.load(t.Context(), Image{Ref: "docker.io/x/y:1"})
			if c.want == "" {
				info, statErr := os.Stat(imported)
				if err != nil || statErr != nil || info.Size() != 3000000 {
					t.Errorf("%v; imported %v, %v", err, info, statErr)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// The real programs: an image of Buildah's store arrives in a containerd.
func TestLoadIntoContainerd(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("containerd needs root")
	}
	for _, program := range []string{"buildah", "containerd", "ctr"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	p := place.Places{Cache: t.TempDir(), State: t.TempDir(), Run: t.TempDir()}
	config := filepath.Join(p.Run, "containerd.toml")
	text := "version = 2\nroot = \"" + p.State + "/root\"\nstate = \"" + p.Run + "/state\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = \"" + p.Containerd() + "\"\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	containerd := exec.Command("containerd", "--config", config)
	var log bytes.Buffer
	containerd.Stdout, containerd.Stderr = &log, &log
	if err := containerd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { containerd.Wait(); close(ended) }()
	t.Cleanup(func() { containerd.Process.Signal(os.Interrupt); <-ended })
	for {
		if conn, err := net.Dial("unix", p.Containerd()); err == nil {
			conn.Close()
			break
		}
		select {
		case <-ended:
			t.Fatalf("containerd has ended: %s", log.Bytes())
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	var said bytes.Buffer
	engine, err := NewEngine(p)
	if err != nil {
		t.Fatal(err)
	}
	if engine.Program != "buildah" {
		t.Skip("AI_FILM_ENGINE is " + engine.Program)
	}
	b := Builder{Places: p, Engine: engine, Log: progress.NewTo(&said)}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hello"), bytes.Repeat([]byte("hello"), 400_000), 0o755); err != nil {
		t.Fatal(err)
	}
	image, err := b.Program(t.Context(), "hello", dir, "1")
	if err != nil {
		t.Fatal(err)
	}
	if size := engine.Size(t.Context(), image.Ref); size < 2_000_000 {
		t.Errorf("the image has %d bytes", size)
	}
	for range 2 { // the second time there is nothing to do
		if err := b.Load(t.Context(), image); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(said.String(), "done in"); n != 1 {
		t.Errorf("loaded %d times:\n%s", n, said.String())
	}
	if present, err := b.onNode(t.Context()); err != nil || !present[image.Ref] {
		t.Errorf("the node has %v, %v", present, err)
	}
}

func TestStepsOfABuild(t *testing.T) {
	for output, want := range map[string]string{
		"STEP 3/9: RUN apt-get update\n":                  "2 of 9",
		"[1/2] STEP 2/4: COPY a b\nGet:1 http://x STEP\n": "1 of 4",
		"#8 [4/9] RUN apt-get update\n#8 0.3 text\n":      "3 of 9",
		"#8 [python 2/3] RUN x\n":                         "1 of 3",
	} {
		var seen string
		var log bytes.Buffer
		s := &steps{to: &log, advance: func(done, total int) { seen = fmt.Sprintf("%d of %d", done, total) }}
		for _, b := range []byte(output) { // the worst way to be cut into pieces
			if _, err := s.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		if seen != want || log.String() != output {
			t.Errorf("%q: %q; the log has %q", output, seen, log.String())
		}
	}
}
