package monitor

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ai-film/ai-film/internal/studio"
)

// Colours, by what they mean; the terminal's own theme says what they are.
const (
	plain  = "\x1b[0m"
	bold   = "\x1b[1m"
	faint  = "\x1b[2m"
	good   = "\x1b[32m"
	bad    = "\x1b[31m"
	moving = "\x1b[36m"
)

// A Screen is a Display that redraws a table of shots and stages in place on an
// ANSI terminal.
type Screen struct {
	out  io.Writer
	size func() (columns, rows int)

	mu    sync.Mutex
	board *board
	drawn []string // the picture that stands
	done  chan struct{}
	ended sync.WaitGroup
}

// NewScreen draws a film on a terminal whose size is asked for at every
// picture.
func NewScreen(out io.Writer, size func() (columns, rows int), film *studio.Film) *Screen {
	s := &Screen{out: out, size: size, board: newBoard(film), done: make(chan struct{})}
	fmt.Fprint(out, "\x1b[?25l") // no cursor: it would jump about
	s.ended.Add(1)
	go func() {
		defer s.ended.Done()
		// Ten pictures a second are enough for the eye, and few enough for ssh.
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-s.done:
				return
			case <-ticker.C:
				s.mu.Lock()
				s.draw("")
				s.mu.Unlock()
			}
		}
	}()
	return s
}

// Show implements Display.
func (s *Screen) Show(film *studio.Film) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.board.show(film)
}

// Tell implements Display.
func (s *Screen) Tell(event studio.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.board.tell(event)
}

// Note implements Display: the line stands above the table.
func (s *Screen) Note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	columns, _ := s.size()
	s.draw(cut(Clean(text), columns-1) + "\n")
}

// Close implements Display.
func (s *Screen) Close() {
	close(s.done)
	s.ended.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draw("")
	fmt.Fprint(s.out, "\x1b[?25h")
}

// draw replaces the picture, in one write so that it doesn't flicker.
func (s *Screen) draw(above string) {
	columns, rows := s.size()
	lines := s.board.picture(columns-1, rows-1, time.Now())
	if above == "" && slices.Equal(lines, s.drawn) {
		return
	}
	var text strings.Builder
	if len(s.drawn) > 0 {
		fmt.Fprintf(&text, "\x1b[%dA", len(s.drawn))
	}
	text.WriteString("\r\x1b[J" + above)
	for _, line := range lines {
		text.WriteString(line + "\n")
	}
	s.drawn = lines
	io.WriteString(s.out, text.String())
}

// picture draws the board in at most so many columns and rows.
func (b *board) picture(columns, rows int, now time.Time) []string {
	columns = max(columns, 20)
	lines := []string{b.headline(columns, now), b.bar(columns)}
	shots := b.film.Shots()
	first, cells := 10, max(4, (columns-10)/len(ShotStages))
	whole := faint + Fit("film", first) + plain
	each := (columns - first) / len(WholeStages)
	for _, stage := range WholeStages {
		if room := each - len(stage) - 1; room >= len("✓ 1.2 s") {
			whole += faint + stage + " " + plain + b.cell(place{"", stage}, room, now)
		} else {
			whole += faint + Fit(stage, each) + plain
		}
	}
	lines = append(lines, whole)
	if len(shots) == 0 {
		return lines
	}
	head := faint + Fit("", first)
	for _, stage := range ShotStages {
		head += Fit(stage, cells)
	}
	lines = append(lines, head+plain)

	// Where not all fit, those in work stay: the finished go first, then the last that wait.
	from, to := 0, len(shots)
	if room := max(1, rows-len(lines)); to > room {
		room = max(1, room-2)
		for to-from > room && b.finished(shots[from]) {
			from++
		}
		to = min(to, from+room)
	}
	if from > 0 {
		lines = append(lines, fmt.Sprintf("%s… %d finished%s", faint, from, plain))
	}
	for _, shot := range shots[from:to] {
		line := Fit(Clean(shot), first)
		for _, stage := range ShotStages {
			if stage == "still" && written(shot) {
				line += Fit("", cells)
				continue
			}
			line += b.cell(place{shot, stage}, cells, now)
		}
		lines = append(lines, line)
	}
	if to < len(shots) {
		lines = append(lines, fmt.Sprintf("%s… %d more%s", faint, len(shots)-to, plain))
	}
	return lines
}

func (b *board) headline(columns int, now time.Time) string {
	colour := moving
	switch b.state {
	case studio.Done:
		colour = good
	case studio.Failed:
		colour = bad
	case studio.Cancelled, studio.Deleted:
		colour = faint
	}
	tail := fmt.Sprintf("  %s  %s", b.state, clock(now.Sub(b.begun)))
	name := cut(Clean(b.film.Name()), columns-len(tail))
	return bold + name + plain + colour + tail + plain
}

func (b *board) bar(columns int) string {
	done, all := b.counts()
	if all == 0 {
		return faint + strings.Repeat("─", columns) + plain
	}
	label := fmt.Sprintf(" %d/%d", done, all)
	return strokes(float64(done)/float64(all), columns-len(label)) + label
}

// cell draws how far a stage is, in so many columns.
func (b *board) cell(at place, columns int, now time.Time) string {
	c := b.cells[at]
	room := columns - 1
	switch c.state {
	case "done":
		text := "✓ " + Took(c.seconds)
		if c.cached {
			text = "✓ kept"
		}
		if c.attempt > 1 {
			text += fmt.Sprintf(" (take %d)", c.attempt)
		}
		return good + Fit(cut(text, room), columns) + plain
	case "running":
		if c.progress < 0 {
			return moving + Fit(cut("▸ "+clock(now.Sub(c.since)), room), columns) + plain
		}
		label := fmt.Sprintf(" %3.0f%%", 100*c.progress)
		if room < len(label)+3 {
			return moving + Fit(label, columns) + plain
		}
		return moving + strokes(c.progress, room-len(label)) + moving + label + " " + plain
	case "failed":
		return bad + Fit(cut("✗ failed", room), columns) + plain
	case "":
		return faint + Fit("·", columns) + plain
	}
	return faint + Fit(cut(Clean(c.state), room), columns) + plain
}

func (b *board) finished(shot string) bool {
	return b.cells[place{shot, ShotStages[len(ShotStages)-1]}].state == "done"
}

// strokes is a bar that is drawn to a fraction.
func strokes(fraction float64, columns int) string {
	full := int(min(1, max(0, fraction))*float64(columns) + 0.5)
	return moving + strings.Repeat("━", full) + faint + strings.Repeat("─", columns-full) + plain
}

func clock(d time.Duration) string {
	whole := int(d.Seconds())
	return fmt.Sprintf("%d:%02d", whole/60, whole%60)
}
