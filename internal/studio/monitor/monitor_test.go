package monitor

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/internal/studio"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "write it with -update")
	assert.Equal(t, string(want), got)
}

// shooting is a film of so many shots, of which the first is finished and the
// second in Blender's hands.
func shooting(shots int) *studio.Film {
	began := time.Date(2026, 11, 23, 1, 2, 3, 0, time.Local)
	ended := began.Add(83 * time.Second)
	film := &studio.Film{
		ID: "3f2a", State: "shooting", CreatedAt: began, StartedAt: &began,
		Plan: &studio.Plan{Title: "The Lighthouse Keeper", Seconds: 36, Scenes: []studio.Scene{{ID: "s01"}}},
	}
	add := func(shot, stage, service, state string, seconds float64, cached bool) {
		row := studio.Stage{Shot: shot, Stage: stage, Service: service, State: state, Attempt: 1, Cached: cached, StartedAt: began}
		if state == "done" {
			row.Seconds, row.FinishedAt = &seconds, &ended
		}
		film.Stages = append(film.Stages, row)
	}
	add("", "plan", "langgraph", "done", 1.21, false)
	for i := range shots {
		film.Plan.Scenes[0].Shots = append(film.Plan.Scenes[0].Shots, studio.Shot{ID: fmt.Sprintf("s01-%02d", i+1), Subtitle: "…"})
	}
	for _, shot := range []string{"title", "s01-01"} {
		if shot != "title" {
			add(shot, "still", "comfyui", "done", 0.44, true)
		}
		add(shot, "move", "blender", "done", 12.3, false)
		add(shot, "finish", "opencv", "done", 83, false)
		add(shot, "encode", "ffmpeg", "done", 0.9, false)
	}
	add("s01-02", "still", "comfyui", "done", 0.5, false)
	add("s01-02", "move", "blender", "running", 0, false)
	film.Stages[len(film.Stages)-1].Attempt = 2
	return film
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

func visible(lines []string) string {
	return escapes.ReplaceAllString(strings.Join(lines, "\n"), "") + "\n"
}

func TestPicture(t *testing.T) {
	for _, size := range []struct{ columns, rows, shots int }{{79, 23, 8}, {119, 40, 8}, {79, 12, 30}, {39, 23, 4}} {
		t.Run(fmt.Sprintf("%dx%d", size.columns, size.rows), func(t *testing.T) {
			b := newBoard(shooting(size.shots))
			half := 0.4
			b.tell(studio.Event{Shot: "s01-02", Stage: "move", State: "running", Progress: &half})
			lines := b.picture(size.columns, size.rows, b.begun.Add(75*time.Second))
			assert.LessOrEqual(t, len(lines), size.rows)
			for _, line := range lines {
				assert.LessOrEqual(t, columnsOf(escapes.ReplaceAllString(line, "")), size.columns, line)
			}
			golden(t, fmt.Sprintf("picture-%dx%d.txt", size.columns, size.rows), visible(lines))
		})
	}
}

func TestPictureOfAnyState(t *testing.T) {
	film := shooting(2)
	film.Plan = nil
	film.Title = "Nächtlich \x1b[31mrot\u202e 灯台守の物語 " + strings.Repeat("長", 60)
	for _, state := range []string{"submitted", "planning", "failed", "cancelled", "deleted", "unheard of"} {
		film.State = state
		for _, size := range [][2]int{{80, 24}, {1, 1}, {0, 0}, {20, 3}} {
			lines := newBoard(film).picture(size[0], size[1], time.Now())
			require.NotEmpty(t, lines)
			assert.NotContains(t, lines[0], "\x1b[31mrot", "text from elsewhere must not colour the terminal")
			assert.NotContains(t, lines[0], "\u202e")
			if size[0] >= 20 {
				assert.LessOrEqual(t, columnsOf(escapes.ReplaceAllString(lines[0], "")), size[0])
			}
		}
	}
}

// A resumed stream tells every state again, without fractions.
func TestTellKeepsTheFraction(t *testing.T) {
	b := newBoard(shooting(2))
	at, half := place{"s01-02", "move"}, 0.5
	b.tell(studio.Event{Shot: "s01-02", Stage: "move", State: "running", Progress: &half})
	assert.False(t, b.tell(studio.Event{Shot: "s01-02", Stage: "move", State: "running"}))
	assert.Equal(t, 0.5, b.cells[at].progress)
	b.show(shooting(2))
	assert.Equal(t, 0.5, b.cells[at].progress, "the row knows no fraction either")
	assert.True(t, b.tell(studio.Event{Shot: "s01-02", Stage: "move", State: "failed"}))
	assert.True(t, b.tell(studio.Event{Shot: "s01-02", Stage: "move", State: "running"}))
	assert.Less(t, b.cells[at].progress, 0.0, "a new take begins anew")
}

// buffer is a bytes.Buffer for two goroutines.
type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func TestScreenRedrawsInPlace(t *testing.T) {
	out := new(buffer)
	s := NewScreen(out, func() (int, int) { return 80, 24 }, shooting(2))
	s.Note("connection lost\x1b[2J")
	done := shooting(2)
	done.State = studio.Done
	s.Show(done)
	s.Close()
	text := out.String()
	assert.True(t, strings.HasPrefix(text, "\x1b[?25l"))
	assert.True(t, strings.HasSuffix(text, "\x1b[?25h"), "the cursor comes back")
	assert.Contains(t, text, "connection lost[2J\n")
	assert.Contains(t, text, fmt.Sprintf("\x1b[%dA\r\x1b[J", len(s.drawn)))
	drawn := strings.Count(text, "\x1b[J")
	s.draw("")
	assert.Equal(t, drawn, strings.Count(out.String(), "\x1b[J"), "the same picture is not drawn twice")
}

func TestLines(t *testing.T) {
	out := new(buffer)
	begun := &studio.Film{ID: "3f2a", State: "submitted", Brief: "Mara waits.\nTomas comes."}
	l := NewLines(out, begun, time.Hour)
	l.Tell(studio.Event{Stage: "film", State: "planning"})
	l.Tell(studio.Event{Stage: "film", State: "planning"})
	l.Show(shooting(2))
	l.Show(shooting(2))
	failed := shooting(2)
	failed.State = studio.Failed
	failed.Stages[len(failed.Stages)-1].State = "failed"
	l.Tell(studio.Event{Shot: "s01-02", Stage: "move", State: "failed"})
	l.Show(failed)
	l.Note("connection lost\x1b[2J\nagain")
	l.still()
	l.Close()
	golden(t, "lines.txt", out.String())
}

func TestLinesTellWhatRuns(t *testing.T) {
	out := new(buffer)
	l := NewLines(out, shooting(2), 20*time.Millisecond)
	third := 1.0 / 3
	l.Tell(studio.Event{Shot: "s01-02", Stage: "move", State: "running", Progress: &third})
	assert.Eventually(t, func() bool {
		out.mu.Lock()
		defer out.mu.Unlock()
		return strings.Contains(out.String(), "… s01-02 move 33 %")
	}, 5*time.Second, 10*time.Millisecond)
	l.Close()
}

func TestTables(t *testing.T) {
	var out strings.Builder
	film := shooting(2)
	Summary(&out, film)
	fmt.Fprintln(&out)
	Shots(&out, film)
	fmt.Fprintln(&out)
	now := film.CreatedAt.Add(3 * time.Hour)
	List(&out, []studio.Film{*film, {ID: "b", State: "cutting", CancelRequested: true, Opening: "A long story\x07 " + strings.Repeat("of rain ", 20), CreatedAt: now}}, now)
	golden(t, "tables.txt", out.String())
}

func TestTook(t *testing.T) {
	for seconds, want := range map[float64]string{0: "0.0 s", 9.94: "9.9 s", 9.96: "10 s", 59.4: "59 s", 59.6: "1:00 min", 3599.6: "60:00 min"} {
		assert.Equal(t, want, Took(seconds))
	}
}
