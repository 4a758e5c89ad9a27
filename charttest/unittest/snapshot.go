package unittest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// snapshots is a snapshot file: what each test's snapshots were last time, by
// their number from 1 on, and what they are now.
type snapshots struct {
	file     string
	updating bool
	cached   map[string]map[uint]string
	current  map[string]map[uint]string

	total, inserted, updated uint
}

// taken is a snapshot that a test took.
type taken struct {
	test              string
	index             uint
	text              string // what is to be kept
	inserted, updated bool
}

func readSnapshots(file string, updating bool) (*snapshots, error) {
	s := &snapshots{file: file, updating: updating}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	return s, yaml.Unmarshal(text, &s.cached)
}

// comparison is a value beside its snapshot.
type comparison struct {
	passed       bool
	index        uint
	text, cached string
	message      string // about a pattern
	err          error
}

// compare takes the test's next snapshot. It may be called by tests at once;
// what they take is kept by [snapshots.keep].
func (c *view) compare(text, match, notMatch string) comparison {
	s := c.snapshots
	c.snapshotIndex++
	name := c.test.Name.text
	cached, existed := s.cached[name][c.snapshotIndex]
	r := comparison{passed: true, index: c.snapshotIndex, text: text, cached: cached}
	t := taken{test: name, index: r.index, text: cached, inserted: !existed}
	match, notMatch = strings.TrimSpace(match), strings.TrimSpace(notMatch)
	has := func(pattern string) bool {
		p, err := compile(pattern)
		if err != nil {
			r.err = fmt.Errorf("failed to compile regex pattern %s: %v", pattern, err)
			return false
		}
		return p.MatchString(text)
	}
	switch {
	case match != "" && !has(match):
		r.passed, r.message = false, fmt.Sprintf(" pattern '%s' not found in snapshot", match)
	case notMatch != "" && has(notMatch):
		r.passed, r.message = false, fmt.Sprintf(" pattern '%s' should not be in snapshot", notMatch)
	case match == "" && notMatch == "" && existed && text != cached:
		r.passed, t.updated = false, true
	}
	if s.updating || !existed {
		t.text = text
	}
	r.passed = r.passed || s.updating
	c.taken = append(c.taken, t)
	return r
}

func (s *snapshots) keep(all []taken) {
	for _, t := range all {
		if s.current == nil {
			s.current = make(map[string]map[uint]string)
		}
		if s.current[t.test] == nil {
			s.current[t.test] = make(map[uint]string)
		}
		s.current[t.test][t.index] = t.text
		s.total++
		if t.inserted {
			s.inserted++
		}
		if t.updated {
			s.updated++
		}
	}
}

func (s *snapshots) failed() uint {
	if s.updating {
		return 0
	}
	return s.updated
}

// vanished are those that no test took any more.
func (s *snapshots) vanished() (n uint) {
	for test, cached := range s.cached {
		for index := range cached {
			if _, ok := s.current[test][index]; !ok {
				n++
			}
		}
	}
	return n
}

// store writes the file if there is something to keep or to drop. Snapshots
// that changed are kept only in an update.
func (s *snapshots) store() error {
	if s.inserted == 0 && s.vanished() == 0 && (s.updated == 0 || !s.updating) {
		return nil
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(s.current); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(s.file, text.Bytes(), 0o644)
}

type matchSnapshot struct {
	Path          string
	MatchRegex    *struct{ Pattern string }
	NotMatchRegex *struct{ Pattern string }
}

func (v *matchSnapshot) validate(s *scope) (bool, []string) {
	if len(s.selected) == 0 {
		return !s.negative, nil
	}
	var match, notMatch string
	if v.MatchRegex != nil {
		match = v.MatchRegex.Pattern
	}
	if v.NotMatchRegex != nil {
		notMatch = v.NotMatchRegex.Pattern
	}
	return s.eachValue(v.Path, unknownPath, nil, func(got any, doc, i int) (bool, []string) {
		r := s.c.compare(toYAML(got), match, notMatch)
		switch {
		case r.err != nil:
			return false, complain(doc, i, "%s", r.err)
		case r.passed != s.negative:
			return true, nil
		case r.message != "":
			return false, expected{not: s.negative, verb: r.message, want: r.cached}.say(doc, i)
		}
		return false, expected{not: s.negative, path: &v.Path, verb: r.verb(), want: r.shown(s.negative)}.say(doc, i)
	})
}

func (r comparison) verb() string { return " to match snapshot " + strconv.Itoa(int(r.index)) }

func (r comparison) shown(negative bool) string {
	if negative {
		return r.cached
	}
	return diff(r.cached, r.text)
}

type matchSnapshotRaw struct{}

func (v *matchSnapshotRaw) validate(s *scope) (bool, []string) {
	if len(s.selected) == 0 {
		return !s.negative, nil
	}
	return s.each(nil, func(doc *document, _ int) (bool, []string) {
		r := s.c.compare(toYAML(uniform(doc.field(raw))), "", "")
		if r.passed != s.negative {
			return true, nil
		}
		return false, expected{not: s.negative, verb: r.verb(), want: r.shown(s.negative)}.say(-1, -1)
	})
}
