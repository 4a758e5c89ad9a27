package verify

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ai-film/ai-film/charttest/diff"
	"github.com/ai-film/ai-film/charttest/internal/report"
)

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr,omitempty"`
	Cases    []junitCase `xml:"testcase"`
	Out      string      `xml:"system-out,omitempty"` // what an upgrade would change
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes one test case for each check, profile and version, as test
// reporters read it.
func JUnit(w io.Writer, all ...*Result) error {
	suites := junitSuites{}
	for _, r := range all {
		suites.Suites = append(suites.Suites, r.junit()...)
	}
	return report.XML(w, suites)
}

func (r *Result) junit() []junitSuite {
	if r.Unverified != "" {
		return []junitSuite{{Name: r.Chart, Tests: 1, Failures: 1, Cases: []junitCase{{
			Class: r.Chart, Name: "verify", Failure: &junitFailure{Message: r.Unverified, Type: "not verified"},
		}}}}
	}
	var suites []junitSuite
	for _, profile := range r.Profiles {
		suite := junitSuite{Name: r.Chart + "/" + profile, Time: fmt.Sprintf("%.3f", r.Elapsed.Seconds()/float64(max(len(r.Profiles), 1)))}
		for _, u := range r.Upgrades {
			if u.Profile == profile || u.Profile == "" {
				suite.Out += (&Result{Upgrades: []Upgrade{u}}).upgraded(diff.Style{Indent: "  "})
			}
		}
		for _, version := range r.everyVersion() {
			for _, check := range r.checks() {
				name := check.Name
				c := junitCase{Class: r.Chart + "." + profile + "." + version, Name: name}
				var lines, messages []string
				for _, f := range r.Findings {
					everywhere := len(f.Profiles) == 0
					if f.Check == name && (everywhere || slices.Contains(f.Profiles, profile) && (len(f.Versions) == 0 || slices.Contains(f.Versions, version))) {
						lines = append(lines, report.Place(f)+": "+subject(f)+"\n  remedy: "+f.Remedy)
						messages = append(messages, subject(f))
					}
				}
				if len(lines) > 0 {
					c.Failure = &junitFailure{Message: strings.Join(messages, "; "), Type: name, Text: strings.Join(lines, "\n")}
					suite.Failures++
				}
				suite.Tests++
				suite.Cases = append(suite.Cases, c)
			}
		}
		suites = append(suites, suite)
	}
	return suites
}
