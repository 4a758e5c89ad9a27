package verify

import (
	"encoding/json"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf16"

	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/internal/report"
)

// SchemaURL is where the JSON Schema of what JSON writes is published.
const SchemaURL = "https://raw.githubusercontent.com/ai-film/ai-film/main/charttest/verify/findings.schema.json"

// Range is a part of a file, as the Language Server Protocol has it: from 0,
// characters in units of UTF-16, the end not included. See
// https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/#range.
type Range struct {
	Start Position `json:"start"`
	End   Position `json:"end"`
}

// Position is a place between two characters.
type Position struct {
	Line      int `json:"line"`      // from 0
	Character int `json:"character"` // from 0, in units of UTF-16
}

// placed is a finding as JSON has it.
type placed struct {
	Chart string `json:"chart"` // the path of the chart
	check.Finding
	Range Range `json:"range"`
}

// JSON writes the results for programs; findings.schema.json describes it. The
// findings of all charts are one list, each with the range that editors mark.
func JSON(w io.Writer, all ...*Result) error {
	out := struct {
		Schema   string    `json:"$schema"`
		Findings []placed  `json:"findings"`
		Accepted []placed  `json:"accepted"`
		Charts   []*Result `json:"charts"`
	}{SchemaURL, []placed{}, []placed{}, all}
	ranges := ranges{}
	for _, r := range all {
		place := func(findings []check.Finding) (all []placed) {
			for _, f := range findings {
				of := ranges.of(f)
				f.File = report.Relative(f.File)
				for _, list := range []*[]string{&f.Profiles, &f.Versions} {
					if *list == nil {
						*list = []string{}
					}
				}
				all = append(all, placed{r.Path, f, of})
			}
			return all
		}
		out.Findings = append(out.Findings, place(r.Findings)...)
		out.Accepted = append(out.Accepted, place(r.Accepted)...)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}

// ranges finds the ranges of findings, and reads each file once for it.
type ranges map[string][]string

// of is the range of a finding: from the key of its field to the end of what is
// written there if the line has that key, else the line without its margins. A
// line that can't be read, as in an archive, counts as a whole; a finding
// without a line is at the start of the file.
func (r ranges) of(f check.Finding) Range {
	if f.Line == 0 {
		return Range{}
	}
	lines, ok := r[f.File]
	if !ok {
		if data, err := os.ReadFile(f.File); err == nil {
			lines = strings.Split(string(data), "\n")
		}
		r[f.File] = lines
	}
	at := f.Line - 1
	if at >= len(lines) {
		return Range{Position{at, 0}, Position{at + 1, 0}}
	}
	line := strings.TrimRight(lines[at], " \t\r")
	start := len(line) - len(strings.TrimLeft(line, " \t"))
	end := len(line)
	if from, to := keyIn(line, f.Field); from >= 0 {
		start, end = from, to
	}
	return Range{Position{at, units(line[:start])}, Position{at, units(line[:end])}}
}

// units is how many units of UTF-16 a text has.
func units(s string) int { return len(utf16.Encode([]rune(s))) }

// keyIn finds the key of a field in a line, and the end of its value; -1 if it
// isn't there. In flow style ({a: 1, b: 2}) the value ends with the next comma
// or bracket outside of quotes and brackets of its own.
func keyIn(line, field string) (from, to int) {
	name := field[strings.LastIndexAny(field, ".]")+1:]
	if name == "" {
		return -1, 0
	}
	m := regexp.MustCompile(`(?:^|[\s{,-])(["']?` + regexp.QuoteMeta(name) + `["']?)\s*:(?:\s|$)`).FindStringSubmatchIndex(line)
	if m == nil {
		return -1, 0
	}
	from, to = m[2], len(line)
	if !strings.ContainsAny(line[:from], "{[") {
		return from, to
	}
	depth, quote := 0, byte(0)
	for i := m[1]; i < len(line); i++ {
		switch c := line[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '{' || c == '[':
			depth++
		case (c == '}' || c == ']') && depth > 0:
			depth--
		case c == '}' || c == ']' || c == ',' && depth == 0:
			return from, len(strings.TrimRight(line[:i], " "))
		}
	}
	return from, to
}
