package monitor

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ai-film/ai-film/internal/studio"
)

// Lines is a Display for logs: a line for every state a film and its stages
// come to, and now and then one that tells what is running.
type Lines struct {
	out io.Writer

	mu    sync.Mutex
	board *board
	last  time.Time // of the last line
	done  chan struct{}
	ended sync.WaitGroup
}

// NewLines writes lines about a film; after quiet without one, the next tells
// what is running.
func NewLines(out io.Writer, film *studio.Film, quiet time.Duration) *Lines {
	l := &Lines{out: out, board: newBoard(film), done: make(chan struct{}), last: time.Now()}
	l.line("%s is %s", Clean(film.Name()), film.State)
	l.ended.Add(1)
	go func() {
		defer l.ended.Done()
		ticker := time.NewTicker(max(quiet/4, 10*time.Millisecond))
		defer ticker.Stop()
		for {
			select {
			case <-l.done:
				return
			case now := <-ticker.C:
				l.mu.Lock()
				if now.Sub(l.last) >= quiet {
					l.still()
				}
				l.mu.Unlock()
			}
		}
	}()
	return l
}

// Show implements Display. Stages of which no event told are told now.
func (l *Lines) Show(film *studio.Film) {
	l.mu.Lock()
	defer l.mu.Unlock()
	planned := l.board.film.Plan == nil && film.Plan != nil
	before, state := make(map[place]string, len(l.board.cells)), l.board.state
	for at, cell := range l.board.cells {
		before[at] = cell.state
	}
	l.board.show(film)
	if planned {
		l.line("%s: %s, %s, %s", Clean(film.Name()), count(len(film.Plan.Scenes), "scene"), count(len(film.Shots()), "shot"), Took(film.Plan.Seconds))
	}
	for _, stage := range film.Stages {
		if at := (place{stage.Shot, stage.Stage}); before[at] != stage.State && stage.State != "running" {
			l.stage(at)
		}
	}
	if film.State != state {
		l.line("the film is %s", film.State)
	}
}

// Tell implements Display. What has ended is left for Show, which knows how
// long it took.
func (l *Lines) Tell(event studio.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if event.Stage == "film" {
		if l.board.tell(event) {
			l.line("the film is %s", event.State)
		}
	} else if event.State == "running" {
		l.board.tell(event)
	}
}

// Note implements Display.
func (l *Lines) Note(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line("%s", Clean(text))
}

// Close implements Display.
func (l *Lines) Close() {
	close(l.done)
	l.ended.Wait()
}

func (l *Lines) stage(at place) {
	cell := l.board.cells[at]
	done, all := l.board.counts()
	text := cell.state
	if cell.state == "done" {
		text = "done in " + Took(cell.seconds)
		if cell.cached {
			text = "kept from before"
		}
	}
	if cell.attempt > 1 {
		text += fmt.Sprintf(" (take %d)", cell.attempt)
	}
	of := ""
	if all > 0 {
		of = fmt.Sprintf("%d/%d", done, all)
	}
	l.line("%-7s %-8s %-8s %-10s %s", of, Clean(cmp.Or(at.shot, "film")), at.stage, Clean(cell.service), text)
}

// still tells what is running.
func (l *Lines) still() {
	var running []string
	for at, cell := range l.board.cells {
		if cell.state != "running" {
			continue
		}
		text := Clean(strings.TrimSpace(at.shot + " " + at.stage))
		if cell.progress >= 0 {
			text += fmt.Sprintf(" %.0f %%", 100*cell.progress)
		}
		running = append(running, text)
	}
	slices.Sort(running)
	if len(running) == 0 {
		running = []string{"the film is " + l.board.state}
	}
	l.line("… %s", strings.Join(running, ", "))
}

func (l *Lines) line(format string, values ...any) {
	l.last = time.Now()
	fmt.Fprintf(l.out, "%6s  %s\n", clock(time.Since(l.board.begun)), strings.TrimRight(fmt.Sprintf(format, values...), " "))
}

func count(number int, what string) string {
	if number == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", number, what)
}
