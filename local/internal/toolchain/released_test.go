package toolchain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ai-film/ai-film/local/internal/progress"
)

const released = "#!/bin/sh\nprintf released\n"

// A server that stands for Kubernetes' own: whatever it does, the programs end up there, either its own or compiled ones.
func TestReleasesAreTakenWhenTheyAreSound(t *testing.T) {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(released)))
	serve := func(sum, program func(w http.ResponseWriter, r *http.Request)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if dir := "/release/" + KubernetesVersion + "/bin/linux/" + runtime.GOARCH; path.Dir(r.URL.Path) != dir {
				t.Errorf("asked for %s, expected something in %s", r.URL.Path, dir)
			}
			if strings.HasSuffix(r.URL.Path, ".sha256") {
				sum(w, r)
			} else {
				program(w, r)
			}
		}
	}
	text := func(s string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
	}
	missing := func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	truncated := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(released)))
		fmt.Fprint(w, released[:10])
	}
	hangMidway := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, released[:10])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	only := func(name string, one, others func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			if path.Base(r.URL.Path) == name {
				one(w, r)
			} else {
				others(w, r)
			}
		}
	}
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    string // what the programs print
		says    string // why not, if not
	}{
		{"sound", serve(text(sum+"\n"), text(released)), "released", ""},
		{"checksum in capitals", serve(text(strings.ToUpper(sum)), text(released)), "released", ""},
		{"another program than published", serve(text(sum), text(released+"rm -rf /\n")), "compiled", "SHA-256"},
		{"second program is another", serve(text(sum), only("two", text("#!/bin/sh\n"), text(released))), "compiled", "SHA-256"},
		{"truncated", serve(text(sum), truncated), "compiled", "unexpected EOF"},
		{"no such release", serve(missing, missing), "compiled", "404"},
		{"a checksum without its program", serve(text(sum), missing), "compiled", "404"},
		{"a page in place of the checksum", serve(text("<html>log in first</html>"), text(released)), "compiled", "no SHA-256"},
		{"a checksum without end", serve(text(strings.Repeat("0", 1<<20)), text(released)), "compiled", "larger than"},
		{"hangs", serve(hang, hang), "compiled", errStalled.Error()},
		{"hangs midway", serve(text(sum), hangMidway), "compiled", errStalled.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			var said bytes.Buffer
			set, b := twoPrograms(t, &said)
			patience := time.Hour // a busy machine is no reason to compile here
			if c.says == errStalled.Error() {
				patience = 300 * time.Millisecond
			}
			b.release = &download{base: server.URL + "/release", answer: patience, stall: patience}
			dir, err := b.Build(t.Context(), set)
			if err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != len(set.Programs) {
				t.Errorf("the set holds %v, %v", entries, err)
			}
			for _, name := range set.names() {
				if out, err := exec.Command(filepath.Join(dir, name)).Output(); err != nil || string(out) != c.want {
					t.Errorf("%s says %q, %v; want %q", name, out, err, c.want)
				}
			}
			if !strings.Contains(said.String(), c.says) || (c.says == "") == strings.Contains(said.String(), "compiling") {
				t.Errorf("said %q, expected the cause %q", said.String(), c.says)
			}
		})
	}
}

func TestNoServerIsNoticedAtOnce(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close() // its port refuses connections now
	var said bytes.Buffer
	set, b := twoPrograms(t, &said)
	t.Setenv("AI_FILM_RELEASES", server.URL+"/")
	b.release = newDownload()
	if _, err := b.Build(t.Context(), set); err != nil || !strings.Contains(said.String(), "compiling") {
		t.Errorf("%v, said %q", err, said.String())
	}
	t.Setenv("AI_FILM_RELEASES", "off")
	if newDownload() != nil {
		t.Error("off, and still there")
	}
}

// Interrupted downloads are no reason to compile: the user wants to stop.
func TestInterruptedDownloadEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	var said bytes.Buffer
	set, b := twoPrograms(t, &said)
	b.release = &download{base: server.URL, answer: time.Hour, stall: time.Hour}
	if _, err := b.Build(ctx, set); err == nil || strings.Contains(said.String(), "compiling") {
		t.Errorf("%v, said %q", err, said.String())
	}
}

// twoPrograms is a set that is cheap to compile; the builder's lines go to said.
func twoPrograms(t *testing.T, said *bytes.Buffer) (Set, Builder) {
	t.Helper()
	repo := t.TempDir()
	const program = "package main\nimport \"os\"\nfunc main() { os.Stdout.WriteString(\"compiled\") }\n"
	write(t, repo, map[string]string{
		"tiny/go.mod": "module example.org/tiny\ngo 1.24\n", "tiny/go.sum": "",
		"tiny/one/main.go": program,
		"tiny/two/main.go": program,
	})
	set := Set{Name: "tiny", Module: "tiny", Released: true, Programs: map[string]string{"one": "example.org/tiny/one", "two": "example.org/tiny/two"}}
	return set, Builder{Repo: repo, Cache: t.TempDir(), Log: progress.NewTo(said)}
}
