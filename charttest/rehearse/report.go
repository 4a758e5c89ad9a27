package rehearse

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ai-film/ai-film/charttest/internal/report"
)

// Formats of reports, by name.
var Formats = map[string]func(io.Writer, *Result) error{
	"table": Table,
	"json":  JSON,
	"junit": JUnit,
	"html":  HTML,
}

// Extensions are the usual ones of files of each format.
var Extensions = map[string]string{"table": "txt", "json": "json", "junit": "xml", "html": "html"}

// columns are those of a terminal that nobody has widened.
const columns = 80

// Table writes the acts as a log, then the findings with their places and
// remedies.
func Table(w io.Writer, r *Result) error {
	var b strings.Builder
	for _, p := range r.Profiles {
		fmt.Fprintf(&b, "%s, %s on Kubernetes %s\n", r.Chart, p.Profile, r.Version)
		for _, n := range p.Nodes {
			wrap(&b, "  ", n)
		}
		for _, a := range p.Acts {
			fmt.Fprintf(&b, "\n  %-12s %-*s %7.1f s\n", a.Name, columns-26, a.Outcome, a.Seconds)
			for _, line := range a.Log {
				wrap(&b, "    ", line)
			}
		}
		b.WriteString("\n")
	}
	found := r.Findings()
	for _, f := range found {
		fmt.Fprintf(&b, "%s: %s: %s\n    %s, in %s\n    remedy: %s\n\n", report.Place(f), f.Object, f.Message, f.Check, strings.Join(f.Profiles, ", "), f.Remedy)
	}
	for _, p := range r.Profiles {
		for _, a := range p.Acts {
			for _, f := range a.Accepted {
				fmt.Fprintf(&b, "%s: %s: %s\n    %s, accepted: %s\n\n", report.Place(f), f.Object, f.Message, f.Check, f.Accepted)
			}
		}
	}
	verdict := fmt.Sprintf("%d findings", len(found))
	switch len(found) {
	case 0:
		verdict = "no findings"
	case 1:
		verdict = "1 finding"
	}
	fmt.Fprintf(&b, "%s: %s in %d profiles, %s\n", r.Chart, verdict, len(r.Profiles), time.Duration(r.ElapsedNS).Round(100*time.Millisecond))
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap writes a line in the columns that there are.
func wrap(b *strings.Builder, indent, line string) {
	width := 0
	for i, word := range strings.Fields(line) {
		n := len([]rune(word))
		switch {
		case i == 0:
			b.WriteString(indent)
			width = len(indent)
		case width+1+n > columns:
			b.WriteString("\n" + indent + "  ")
			width = len(indent) + 2
		default:
			b.WriteString(" ")
			width++
		}
		b.WriteString(word)
		width += n
	}
	b.WriteString("\n")
}

// JSON writes the result as it is.
func JSON(w io.Writer, r *Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure,omitempty"`
		Skipped *junitFailure `xml:"skipped,omitempty"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes a suite for each profile and a test case for each act.
func JUnit(w io.Writer, r *Result) error {
	suites := junitSuites{}
	for _, p := range r.Profiles {
		suite := junitSuite{Name: r.Chart + "/" + p.Profile}
		total := 0.0
		for _, a := range p.Acts {
			total += a.Seconds
			c := junitCase{Class: r.Chart + "." + p.Profile, Name: a.Name, Time: fmt.Sprintf("%.3f", a.Seconds), Out: strings.Join(a.Log, "\n")}
			switch a.Outcome {
			case Failed:
				suite.Failures++
				var messages, lines []string
				for _, f := range a.Findings {
					messages = append(messages, f.Object+": "+f.Message)
					lines = append(lines, fmt.Sprintf("%s: %s: %s\n  remedy: %s", report.Place(f), f.Object, f.Message, f.Remedy))
				}
				c.Failure = &junitFailure{strings.Join(messages, "; "), strings.Join(lines, "\n")}
			case Skipped, NotReached:
				suite.Skipped++
				c.Skipped = &junitFailure{Message: string(a.Outcome)}
			}
			suite.Tests++
			suite.Cases = append(suite.Cases, c)
		}
		suite.Time = fmt.Sprintf("%.3f", total)
		suites.Suites = append(suites.Suites, suite)
	}
	return report.XML(w, suites)
}
