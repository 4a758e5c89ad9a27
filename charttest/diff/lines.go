package diff

import (
	"fmt"
	"strings"
)

// context is how many lines are shown before and after a change of a text.
const context = 2

// hunk is a stretch of a text that changes.
type hunk struct {
	old, new   int // the line it starts at, from 1
	olds, news int // its lines
	lines      []string
}

func (h hunk) head() string {
	return fmt.Sprintf("@@ -%d,%d +%d,%d @@", h.old, h.olds, h.new, h.news)
}

// unified compares two texts line by line. Lines start with " ", "-" or "+".
func unified(old, now string) []hunk {
	a, b := splitLines(old), splitLines(now)
	type step struct {
		sign byte
		text string
		i, j int
	}
	var steps []step
	i, j := 0, 0
	gap := func(endA, endB int) {
		for ; i < endA; i++ {
			steps = append(steps, step{'-', a[i], i, j})
		}
		for ; j < endB; j++ {
			steps = append(steps, step{'+', b[j], i, j})
		}
	}
	for _, c := range common(a, b) {
		gap(c[0], c[1])
		steps = append(steps, step{' ', a[i], i, j})
		i, j = i+1, j+1
	}
	gap(len(a), len(b))

	var hunks []hunk
	quiet := context // unchanged lines since the last change
	for at, s := range steps {
		if s.sign == ' ' {
			quiet++
		} else {
			quiet = 0
		}
		near := quiet <= context && len(hunks) > 0
		for ahead := at; !near && ahead < len(steps) && ahead <= at+context; ahead++ {
			near = steps[ahead].sign != ' '
		}
		if !near {
			continue
		}
		last := len(hunks) - 1
		if last < 0 || hunks[last].old+hunks[last].olds-1 != s.i || hunks[last].new+hunks[last].news-1 != s.j {
			hunks = append(hunks, hunk{old: s.i + 1, new: s.j + 1})
			last++
		}
		h := &hunks[last]
		h.lines = append(h.lines, string(s.sign)+s.text)
		if s.sign != '+' {
			h.olds++
		}
		if s.sign != '-' {
			h.news++
		}
	}
	return hunks
}

// splitLines keeps a missing newline at the end in sight, and other breaks and
// characters that terminals act upon.
func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	whole := strings.HasSuffix(s, "\n")
	lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.Map(func(r rune) rune {
			if r < ' ' && r != '\t' || r == 0x7f {
				return '�'
			}
			return r
		}, line)
	}
	if !whole {
		lines[len(lines)-1] += " (no newline at the end)"
	}
	return lines
}
