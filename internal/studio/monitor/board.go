// Package monitor shows a film while it is made: as a table that moves on a
// terminal, as lines elsewhere, and as tables of what was done when it is over.
package monitor

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/width"

	"github.com/ai-film/ai-film/internal/studio"
)

// ShotStages are the stages of a shot in order; title and end card, which
// Blender writes, have no still.
var ShotStages = []string{"still", "move", "finish", "encode"}

// WholeStages are the stages of the whole film: the first before all shots, the
// others after.
var WholeStages = []string{"plan", "cut", "inspect"}

// A Display shows where a film stands. Its methods may be called from any
// goroutine.
type Display interface {
	Show(film *studio.Film)  // the film as the studio's database has it
	Tell(event studio.Event) // what happened since
	Note(text string)        // a line for the reader
	Close()                  // the last picture stays
}

type place struct{ shot, stage string }

type cell struct {
	state, service string
	progress       float64 // below 0 where it is not known
	seconds        float64
	cached         bool
	attempt        int
	since          time.Time // when it was first seen running here
}

// board is where every shot and stage stands. It has no lock of its own.
type board struct {
	film    *studio.Film
	cells   map[place]cell
	state   string // of the film
	changed time.Time
	begun   time.Time
}

func newBoard(film *studio.Film) *board {
	b := &board{cells: map[place]cell{}, begun: time.Now()}
	b.show(film)
	return b
}

func (b *board) show(film *studio.Film) {
	b.film, b.state = film, film.State
	for _, stage := range film.Stages {
		at := place{stage.Shot, stage.Stage}
		next := cell{state: stage.State, service: stage.Service, cached: stage.Cached, attempt: stage.Attempt, progress: -1, since: time.Now()}
		if stage.Seconds != nil {
			next.seconds = *stage.Seconds
		}
		if known := b.cells[at]; known.state == "running" && next.state == "running" {
			next.progress, next.since = known.progress, known.since
		}
		b.cells[at] = next
	}
}

// tell takes an event in; it returns whether a state changed by it.
func (b *board) tell(event studio.Event) bool {
	if event.Stage == "film" {
		changed := b.state != event.State
		b.state = event.State
		return changed
	}
	at := place{event.Shot, event.Stage}
	known, there := b.cells[at]
	next := known
	next.state = event.State
	if event.Service != "" {
		next.service = event.Service
	}
	if !there || known.state != event.State {
		next.progress, next.since = -1, time.Now()
	}
	if event.Progress != nil {
		next.progress = *event.Progress
	}
	b.cells[at] = next
	return known.state != event.State
}

// counts returns how many stages are done, and how many there are; none are
// while there is no plan.
func (b *board) counts() (done, all int) {
	for _, stage := range WholeStages {
		all++
		if b.cells[place{"", stage}].state == "done" {
			done++
		}
	}
	shots := b.film.Shots()
	if shots == nil {
		return 0, 0
	}
	for _, shot := range shots {
		for _, stage := range ShotStages {
			if stage == "still" && written(shot) {
				continue
			}
			all++
			if b.cells[place{shot, stage}].state == "done" {
				done++
			}
		}
	}
	return done, all
}

// written tells whether a shot is text, not a take.
func written(shot string) bool { return shot == "title" || shot == "end" }

// Took writes seconds as people say them: 0.4 s, 12 s, 3:05 min.
func Took(seconds float64) string {
	switch {
	case seconds < 9.95:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < 59.5:
		return fmt.Sprintf("%.0f s", seconds)
	}
	whole := int(seconds + 0.5)
	return fmt.Sprintf("%d:%02d min", whole/60, whole%60)
}

// Clean makes text from elsewhere safe for a terminal, on one line.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != '\u200d':
			return -1
		}
		return r
	}, text)
}

// Fit cuts text, or fills it up with blanks, to so many columns of a terminal.
func Fit(text string, columns int) string {
	text = cut(text, columns)
	return text + strings.Repeat(" ", max(0, columns-columnsOf(text)))
}

func cut(text string, columns int) string {
	if columnsOf(text) <= columns {
		return text
	}
	var short strings.Builder
	used := 1 // for the ellipsis
	for _, r := range text {
		if used += columnsOf(string(r)); used > columns {
			break
		}
		short.WriteRune(r)
	}
	if columns < 1 {
		return ""
	}
	return short.String() + "…"
}

// columnsOf counts what a terminal takes for text: two for the wide characters
// of East Asia, none for combining ones.
func columnsOf(text string) int {
	columns := 0
	for _, r := range text {
		switch kind := width.LookupRune(r).Kind(); {
		case unicode.In(r, unicode.Mn, unicode.Me) || r == '\u200d':
		case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
			columns += 2
		default:
			columns++
		}
	}
	return columns
}
