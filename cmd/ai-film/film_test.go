package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var updateUsage = flag.Bool("update-usage", false, "write the golden --help texts anew")

// invoke runs the command line in this process, as main does.
func invoke(ctx context.Context, stdin string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	root := newRoot()
	root.SetContext(ctx)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&err)
	root.SetArgs(args)
	if failed := root.Execute(); failed != nil {
		fmt.Fprintln(&err, "Error:", failed)
		code = exitCode(failed)
	}
	return code, out.String(), err.String()
}

func TestUsage(t *testing.T) {
	t.Setenv("AI_FILM_URL", "http://not-in-the-help.example")
	for _, name := range []string{"film", "list", "show", "cancel", "delete", "remote", "remote register", "remote trigger", "remote status", "remote release"} {
		t.Run(name, func(t *testing.T) {
			code, stdout, _ := invoke(t.Context(), "", append(strings.Fields(name), "--help")...)
			assert.Zero(t, code)
			path := filepath.Join("testdata", "usage-"+strings.ReplaceAll(name, " ", "-")+".txt")
			if *updateUsage {
				require.NoError(t, os.WriteFile(path, []byte(stdout), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err, "write it with -update-usage")
			assert.Equal(t, string(want), stdout)
			for line := range strings.Lines(stdout) {
				assert.LessOrEqual(t, utf8.RuneCountInString(line), columns+1, line)
			}
		})
	}
}

// aStudio replays the API for one film: two connections that break, then its
// end. Every request is noted.
type aStudio struct {
	mu       sync.Mutex
	film     string
	video    []byte
	requests []string
	bodies   []string
	streams  int
	state    string
}

func (s *aStudio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.bodies = append(s.requests, r.Method+" "+r.URL.Path), append(s.bodies, string(body))
	if _, password, _ := r.BasicAuth(); password != "secret" {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(401)
		io.WriteString(w, `{"title":"not logged in","detail":"the password is wrong","remedy":"it is in the Secret ai-film"}`)
		return
	}
	sum := sha256.Sum256(s.video)
	film := strings.NewReplacer("STATE", s.state, "BYTES", fmt.Sprint(len(s.video)), "SHA", hex.EncodeToString(sum[:])).Replace(s.film)
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, "/api/films/9c1f7a52-0000-4000-8000-000000000000") {
	case "POST /api/films":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(201)
		io.WriteString(w, `{"id":"9c1f7a52-0000-4000-8000-000000000000","title":"","brief":"Mara waits.","state":"submitted","plan":null,"stages":[]}`)
	case "GET /api/films":
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"films":[{"id":"9c1f7a52-0000-4000-8000-000000000000","title":"Stars","state":"`+s.state+`","created_at":"2026-11-23T01:00:00Z"}],"next":null}`)
	case "GET ", "POST /cancel":
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, film)
	case "DELETE ":
		w.WriteHeader(204)
	case "GET /events":
		w.Header().Set("Content-Type", "text/event-stream")
		s.streams++
		if s.streams < 3 {
			fmt.Fprintf(w, "id: %d-0\ndata: {\"shot\":\"s01-01\",\"stage\":\"move\",\"service\":\"blender\",\"state\":\"running\",\"progress\":0.%d}\n\n", s.streams, s.streams)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		if s.state == "shooting" { // for ever
			w.(http.Flusher).Flush()
			s.mu.Unlock()
			<-r.Context().Done()
			s.mu.Lock()
			return
		}
		fmt.Fprintf(w, "data: {\"stage\":\"film\",\"state\":\"%s\"}\n\n", s.state)
	case "GET /video":
		w.Header().Set("ETag", `"v"`)
		http.ServeContent(w, r, "film.mp4", time.Time{}, bytes.NewReader(s.video))
	default:
		http.NotFound(w, r)
	}
}

const aFilm = `{"id":"9c1f7a52-0000-4000-8000-000000000000","title":"Stars","brief":"Mara waits.","state":"STATE",
"settings":{"width":160,"height":90,"seconds":6,"seed":1},"created_at":"2026-11-23T01:00:00Z","started_at":"2026-11-23T01:00:01Z","finished_at":"2026-11-23T01:01:06Z",
"error":{"title":"out of memory","detail":"killed at frame 17","remedy":"give blender more memory","stage":"move","shot":"s01-01"},
"plan":{"title":"Paper Stars","logline":"A friend comes home.","fps":24,"seconds":6,"scenes":[{"id":"s01","heading":"EXT. HARBOUR","shots":[{"id":"s01-01","seconds":1,"subtitle":"Mara waits."}]}]},
"video":{"seconds":6,"frames":144,"width":160,"height":90,"bytes":BYTES,"sha256":"SHA"},
"stages":[{"shot":"","stage":"plan","service":"langgraph","state":"done","attempt":1,"cached":false,"started_at":"2026-11-23T01:00:01Z","seconds":0.2},
{"shot":"s01-01","stage":"move","service":"blender","state":"done","attempt":2,"cached":false,"started_at":"2026-11-23T01:00:02Z","seconds":12.5}]}`

func studioIn(t *testing.T, state string) *aStudio {
	t.Helper()
	s := &aStudio{film: aFilm, state: state, video: realVideo(t)}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Setenv("AI_FILM_URL", server.URL)
	t.Setenv("AI_FILM_PASSWORD", "secret")
	t.Setenv("NO_COLOR", "1")
	t.Chdir(t.TempDir())
	return s
}

var encoded = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "film")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	subtitles := filepath.Join(dir, "s.srt")
	if err := os.WriteFile(subtitles, []byte("1\n00:00:03,000 --> 00:00:04,000\nMara waits.\n"), 0o600); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "film.mp4")
	text, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=24:d=6", "-f", "lavfi", "-i", "sine=220:d=6", "-i", subtitles,
		"-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-c:s", "mov_text", "-movflags", "+faststart", file).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return os.ReadFile(file)
})

func realVideo(t *testing.T) []byte {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed: apt-get install ffmpeg")
	}
	video, err := encoded()
	require.NoError(t, err)
	return video
}

func TestFilmIsBroughtHome(t *testing.T) {
	s := studioIn(t, "done")
	code, stdout, stderr := invoke(t.Context(), "\ufeffMara waits.", "film", "--brief", "-", "--seconds", "6", "--seed", "0", "--title", "Stars", "-o", "out/deep/film.mp4")
	require.Zero(t, code, stderr)
	assert.JSONEq(t, `{"brief":"Mara waits.","title":"Stars","settings":{"seconds":6,"seed":0}}`, s.bodies[0])
	got, err := os.ReadFile("out/deep/film.mp4")
	require.NoError(t, err)
	assert.True(t, bytes.Equal(s.video, got))
	assert.Contains(t, stderr, "Film 9c1f7a52-0000-4000-8000-000000000000\n")
	assert.Contains(t, stderr, "connection lost, trying again")
	assert.Contains(t, stderr, "s01-01   move     blender    done in 12 s (take 2)")
	assert.NotContains(t, stderr, "\x1b")
	assert.Contains(t, stdout, "move    blender     1      0      12.5      s01-01 12.5")
	assert.Contains(t, stdout, "out/deep/film.mp4: Paper Stars, 6.0 s, 160 × 90")
	assert.Contains(t, stdout, "made in 1:05 min")
	left, err := os.ReadDir("out/deep")
	require.NoError(t, err)
	assert.Len(t, left, 1)
}

func TestFilmFollowedAgain(t *testing.T) {
	s := studioIn(t, "done")
	code, _, stderr := invoke(t.Context(), "", "film", "--follow", "9c1f")
	require.Zero(t, code, stderr)
	assert.NotContains(t, s.requests, "POST /api/films")
	assert.FileExists(t, "film.mp4")
}

func TestFilmDetached(t *testing.T) {
	s := studioIn(t, "shooting")
	code, stdout, _ := invoke(t.Context(), "Mara waits.", "film", "--brief", "-", "--detach")
	assert.Zero(t, code)
	assert.Equal(t, "9c1f7a52-0000-4000-8000-000000000000\n", stdout)
	assert.Equal(t, []string{"POST /api/films"}, s.requests)
}

func TestFilmThatEndsOtherwise(t *testing.T) {
	for state, want := range map[string]struct {
		code int
		text string
	}{
		"failed":    {3, "the film failed: out of memory in move of s01-01: killed at frame 17\n  what helps: give blender more memory"},
		"cancelled": {4, "the film was cancelled"},
		"deleted":   {4, "the film was deleted"},
	} {
		t.Run(state, func(t *testing.T) {
			studioIn(t, state)
			code, _, stderr := invoke(t.Context(), "Mara waits.", "film", "--brief", "-")
			assert.Equal(t, want.code, code)
			assert.Contains(t, stderr, want.text)
			assert.NoFileExists(t, "film.mp4")
		})
	}
}

func TestFilmWithAVideoThatDoesNotPass(t *testing.T) {
	s := studioIn(t, "done")
	require.NoError(t, os.WriteFile("film.mp4", []byte("an older one"), 0o600))
	s.film = strings.Replace(s.film, `"fps":24,"seconds":6`, `"fps":24,"seconds":7`, 1)
	code, _, stderr := invoke(t.Context(), "Mara waits.", "film", "--brief", "-")
	assert.Equal(t, 6, code)
	assert.Contains(t, stderr, "the video is 6.00 s long, 7.00 s were planned")
	kept, err := os.ReadFile("film.mp4")
	require.NoError(t, err)
	assert.Equal(t, "an older one", string(kept))
}

func TestFilmInterrupted(t *testing.T) {
	studioIn(t, "shooting")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, nil)
	defer cancel()
	inner, interrupt := context.WithCancel(ctx)
	time.AfterFunc(time.Second, interrupt)
	code, _, stderr := invoke(inner, "Mara waits.", "film", "--brief", "-", "-o", "my film.mp4", "--context", "kind")
	assert.Equal(t, 130, code)
	assert.Contains(t, stderr, "take it up: ai-film film --follow 9c1f7a52-0000-4000-8000-000000000000 -o 'my film.mp4' --context kind\n")
	assert.Contains(t, stderr, "cancel it:  ai-film cancel 9c1f7a52-0000-4000-8000-000000000000 --context kind\n")
}

func TestFilmRefusals(t *testing.T) {
	studioIn(t, "done")
	require.NoError(t, os.Mkdir("directory", 0o755))
	require.NoError(t, os.WriteFile("file", nil, 0o644))
	long := strings.Repeat("ä", longestBrief)
	for name, c := range map[string]struct {
		stdin string
		args  []string
		code  int
		text  string
	}{
		"no brief":           {"", nil, 2, "--brief FILE"},
		"missing file":       {"", []string{"--brief", "nowhere.txt"}, 2, "nowhere.txt: no such file"},
		"directory":          {"", []string{"--brief", "directory"}, 2, "is a directory"},
		"empty":              {" \n\t", []string{"--brief", "-"}, 2, "is empty"},
		"latin-1":            {"Gr\xfc\xdfe", []string{"--brief", "-"}, 2, "iconv"},
		"binary":             {"MZ\x00\x00", []string{"--brief", "-"}, 2, "not UTF-8"},
		"too long":           {long + "ä", []string{"--brief", "-"}, 2, "more than 20000 characters"},
		"endless":            {strings.Repeat(long, 10), []string{"--brief", "-"}, 2, "more than 20000 characters"},
		"argument":           {"x", []string{"story.txt"}, 2, "--brief FILE"},
		"unknown flag":       {"x", []string{"--bief", "-"}, 2, "--bief"},
		"not a number":       {"x", []string{"--brief", "-", "--seconds", "long"}, 2, "--seconds"},
		"no length":          {"x", []string{"--brief", "-", "--seconds", "0"}, 2, "--seconds must be more than 0"},
		"not a length":       {"x", []string{"--brief", "-", "--seconds", "NaN"}, 2, "--seconds must be more than 0"},
		"output a directory": {"x", []string{"--brief", "-", "-o", "directory"}, 2, "name a file in it"},
		"output in a file":   {"x", []string{"--brief", "-", "-o", "file/film.mp4"}, 2, "--output"},
		"both":               {"x", []string{"--brief", "-", "--follow", "9c"}, 2, "--brief has no place there"},
		"not a URL":          {"x", []string{"--brief", "-", "--url", "ai-film.local"}, 2, "http://ai-film.local"},
		"wrong password":     {"x", []string{"--brief", "-", "--password", "guess"}, 5, "it is in the Secret ai-film"},
		"no such film":       {"", []string{"--follow", "ffff"}, 1, "«ai-film list»"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := invoke(t.Context(), c.stdin, append([]string{"film"}, c.args...)...)
			assert.Equal(t, c.code, code)
			assert.Contains(t, stderr, c.text)
			assert.Empty(t, stdout)
		})
	}
	code, _, stderr := invoke(t.Context(), long, "film", "--brief", "-")
	assert.Zero(t, code, stderr)
}

func TestNoStudio(t *testing.T) {
	t.Setenv("AI_FILM_URL", "")
	t.Setenv("AI_FILM_PASSWORD", "")
	t.Chdir(t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBECONFIG", "")
	code, _, stderr := invoke(t.Context(), "", "list", "--kubeconfig", "nowhere")
	assert.Equal(t, 5, code)
	assert.Contains(t, stderr, "what helps: --url, or a kubeconfig")
	code, _, stderr = invoke(t.Context(), "", "list", "--url", "http://127.0.0.1:1")
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "needs a password")
	code, _, stderr = invoke(t.Context(), "", "list", "--url", "http://127.0.0.1:1", "--password", "x")
	assert.Equal(t, 5, code)
	assert.Contains(t, stderr, "connection refused")
}

func TestTheOtherCommands(t *testing.T) {
	s := studioIn(t, "shooting")
	code, stdout, _ := invoke(t.Context(), "", "list")
	assert.Zero(t, code)
	assert.Contains(t, stdout, "9c1f7a52-0000-4000-8000-000000000000   shooting")
	code, stdout, _ = invoke(t.Context(), "", "list", "--json")
	assert.Zero(t, code)
	assert.True(t, strings.HasPrefix(stdout, "[\n"))
	code, stdout, _ = invoke(t.Context(), "", "show", "9c1f")
	assert.Zero(t, code)
	assert.Contains(t, stdout, "Paper Stars\nA friend comes home.\n")
	assert.Contains(t, stdout, "s01-01   move    blender     done    2")
	code, stdout, _ = invoke(t.Context(), "", "show", "9c1f", "--json")
	assert.Zero(t, code)
	assert.Contains(t, stdout, `"logline": "A friend comes home."`)
	code, stdout, _ = invoke(t.Context(), "", "cancel", "9c1f")
	assert.Zero(t, code)
	assert.Contains(t, stdout, "stops within moments")
	code, stdout, _ = invoke(t.Context(), "", "delete", "9c1f", "9c1f7a")
	assert.Zero(t, code)
	assert.Equal(t, 2, strings.Count(stdout, "is deleted"))
	code, _, stderr := invoke(t.Context(), "", "delete", "9c1f", "typo")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "typo")
	assert.NotContains(t, s.requests[len(s.requests)-1], "DELETE", "a slip in one name deletes none")
	for _, args := range [][]string{{"show"}, {"show", "a", "b"}, {"cancel"}, {"delete"}, {"list", "x"}, {"list", "--limit", "0"}} {
		code, _, _ := invoke(t.Context(), "", args...)
		assert.Equal(t, 2, code, args)
	}
}
