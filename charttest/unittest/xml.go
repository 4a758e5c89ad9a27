package unittest

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Formats are the formats of result files, as helm-unittest writes them.
var Formats = []string{"JUnit", "NUnit", "XUnit", "Sonar"}

// Write writes the results in one of the Formats, whatever the case.
func (r *Report) Write(w io.Writer, format string) error {
	var content any
	switch strings.ToLower(format) {
	case "junit":
		content = r.junit()
	case "nunit":
		content = r.nunit()
	case "xunit":
		content = r.xunit()
	case "sonar":
		content = r.sonar()
	default:
		return fmt.Errorf("unknown format %q: take one of %s", format, strings.Join(Formats, ", "))
	}
	text, err := xml.MarshalIndent(content, "", "\t")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// text is a test's result in words.
func (t *TestResult) text() string {
	var b strings.Builder
	if t.Skipped {
		fmt.Fprintf(&b, "SKIPPED '%s' \n", t.Name)
	}
	if t.Err != nil {
		fmt.Fprintf(&b, "%s\n", t.Err)
	}
	for _, a := range t.Assertions {
		fmt.Fprintf(&b, "\t\t %s \n", a.Title())
		info := a.FailInfo
		if a.Skipped {
			info = []string{a.SkipReason}
		}
		for _, line := range info {
			fmt.Fprintf(&b, "\t\t\t %s \n", line)
		}
	}
	return b.String()
}

// attribute is the text for an attribute.
func (t *TestResult) attribute() string {
	return strings.ReplaceAll(strings.ReplaceAll(t.text(), "\n", ","), "\t", "")
}

func (t *TestResult) failed() bool  { return !t.Skipped && !t.Passed && t.Err == nil }
func (t *TestResult) errored() bool { return !t.Skipped && !t.Passed && t.Err != nil }

// ran are the tests that were run.
func (s *SuiteResult) ran() []*TestResult {
	var ran []*TestResult
	for _, t := range s.Tests {
		if t != nil {
			ran = append(ran, t)
		}
	}
	return ran
}

// class is the last part of the suite's name.
func (s *SuiteResult) class() string { return s.Name[strings.LastIndex(s.Name, "/")+1:] }

func (s *SuiteResult) time() string {
	var total time.Duration
	for _, t := range s.ran() {
		total += t.Duration
	}
	return seconds(total)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitFailure struct {
	Message  string `xml:"message,attr"`
	Type     string `xml:"type,attr"`
	Contents string `xml:",chardata"`
}

type junitSkip struct {
	Message string `xml:"message,attr"`
}

type junitCase struct {
	XMLName   xml.Name      `xml:"testcase"`
	Classname string        `xml:"classname,attr"`
	Name      string        `xml:"name,attr"`
	Time      string        `xml:"time,attr"`
	Error     *junitFailure `xml:"error,omitempty"`
	Skipped   *junitSkip    `xml:"skipped,omitempty"`
	Failure   *junitFailure `xml:"failure,omitempty"`
}

type junitSuite struct {
	XMLName    xml.Name        `xml:"testsuite"`
	ID         int             `xml:"id,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Package    string          `xml:"package,attr"`
	Time       string          `xml:"time,attr"`
	Name       string          `xml:"name,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Hostname   string          `xml:"hostname,attr"`
	Properties []junitProperty `xml:"properties>property,omitempty"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

func (r *Report) junit() junitSuites {
	host, _ := os.Hostname()
	var all junitSuites
	for s := range r.suites {
		suite := junitSuite{
			ID: len(all.Suites), Tests: len(s.Tests), Time: s.time(), Name: s.Name, Timestamp: time.Now().Format("2006-01-02T15:04:05"),
			Hostname: host, Properties: []junitProperty{{"helm-unittest.version", "1.6"}},
		}
		for _, t := range s.ran() {
			c := junitCase{Classname: s.class(), Name: t.Name, Time: seconds(t.Duration)}
			switch {
			case t.Skipped:
				c.Skipped = &junitSkip{t.attribute()}
			case t.failed():
				suite.Failures++
				c.Failure = &junitFailure{Message: "Failed", Contents: t.attribute()}
			case t.errored():
				suite.Errors++
				c.Error = &junitFailure{Message: "Error", Contents: t.Err.Error()}
			}
			suite.Cases = append(suite.Cases, c)
		}
		all.Suites = append(all.Suites, suite)
	}
	return all
}

type sonarResult struct {
	Message    string `xml:"message,attr"`
	Stacktrace string `xml:",cdata"`
}

type sonarCase struct {
	XMLName  xml.Name     `xml:"testCase"`
	Name     string       `xml:"name,attr"`
	Duration string       `xml:"duration,attr"`
	Error    *sonarResult `xml:"error,omitempty"`
	Skipped  *sonarResult `xml:"skipped,omitempty"`
	Failure  *sonarResult `xml:"failure,omitempty"`
}

type sonarFile struct {
	XMLName xml.Name    `xml:"file"`
	Path    string      `xml:"path,attr"`
	Cases   []sonarCase `xml:"testCase"`
}

type sonarFiles struct {
	XMLName xml.Name    `xml:"testExecutions"`
	Version int         `xml:"version,attr"`
	Files   []sonarFile `xml:"file"`
}

func (r *Report) sonar() sonarFiles {
	all := sonarFiles{Version: 1}
	for s := range r.suites {
		file := sonarFile{Path: s.File}
		for _, t := range s.ran() {
			c := sonarCase{Name: t.Name, Duration: strconv.FormatInt(t.Duration.Milliseconds(), 10)}
			switch {
			case t.Skipped:
				c.Skipped = &sonarResult{"Skipped", t.text()}
			case t.errored():
				c.Error = &sonarResult{"Error", t.Err.Error()}
			case t.failed():
				c.Failure = &sonarResult{"Failed", t.text()}
			}
			file.Cases = append(file.Cases, c)
		}
		all.Files = append(all.Files, file)
	}
	return all
}

const framework = "helm-unittest"

type cdata struct {
	Text string `xml:",cdata"`
}

type xunitFailure struct {
	XMLName xml.Name `xml:"failure"`
	Type    string   `xml:"exception-type,attr"`
	Message *cdata   `xml:"message,omitempty"`
	Trace   *cdata   `xml:"stack-trace,omitempty"`
}

type xunitCase struct {
	XMLName xml.Name      `xml:"test"`
	Name    string        `xml:"name,attr"`
	Type    string        `xml:"type,attr"`
	Method  string        `xml:"method,attr"`
	Time    string        `xml:"time,attr"`
	Result  string        `xml:"result,attr"`
	Failure *xunitFailure `xml:"failure,omitempty"`
	Reason  *cdata        `xml:"reason,omitempty"`
}

type xunitCollection struct {
	XMLName xml.Name    `xml:"collection"`
	Name    string      `xml:"name,attr"`
	Time    string      `xml:"time,attr"`
	Total   int         `xml:"total,attr"`
	Passed  int         `xml:"passed,attr"`
	Failed  int         `xml:"failed,attr"`
	Skipped int         `xml:"skipped,attr"`
	Cases   []xunitCase `xml:"test"`
}

type xunitError struct {
	Type    string        `xml:"type,attr"`
	Name    string        `xml:"name,attr"`
	Failure *xunitFailure `xml:"failure"`
}

type xunitAssembly struct {
	XMLName     xml.Name          `xml:"assembly"`
	Name        string            `xml:"name,attr"`
	ConfigFile  string            `xml:"config-file,attr"`
	Framework   string            `xml:"test-framework,attr"`
	Environment string            `xml:"environment"`
	RunDate     string            `xml:"run-date,attr"`
	RunTime     string            `xml:"run-time,attr"`
	Time        string            `xml:"time,attr"`
	Total       int               `xml:"total,attr"`
	Passed      int               `xml:"passed,attr"`
	Failed      int               `xml:"failed,attr"`
	Skipped     int               `xml:"skipped,attr"`
	ErrorsTotal int               `xml:"errors,attr"`
	Errors      []xunitError      `xml:"errors>error,omitempty"`
	Collections []xunitCollection `xml:"collection,omitempty"`
}

type xunitAssemblies struct {
	XMLName    xml.Name        `xml:"assemblies"`
	Assemblies []xunitAssembly `xml:"assembly,omitempty"`
}

const xunitMethod = "Helm-Validation"

func platform() string {
	return fmt.Sprintf("%s.%s-%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func (r *Report) xunit() xunitAssemblies {
	now := time.Now()
	var all xunitAssemblies
	fail := func(kind, message, trace string) *xunitFailure {
		return &xunitFailure{Type: kind, Message: &cdata{message}, Trace: &cdata{trace}}
	}
	for s := range r.suites {
		a := xunitAssembly{
			Name: s.File, ConfigFile: s.File, Framework: framework, Environment: platform(),
			RunDate: now.Format("2006-01-02"), RunTime: now.Format("15:04:05"), Time: s.time(),
		}
		if s.Err != nil {
			a.Total, a.ErrorsTotal = 1, 1
			a.Errors = []xunitError{{"Error", "Error", fail(xunitMethod+"-Error", "Error", s.Err.Error())}}
			all.Assemblies = append(all.Assemblies, a)
			continue
		}
		c := xunitCollection{Name: s.Name, Time: a.Time}
		for _, t := range s.ran() {
			test := xunitCase{Name: t.Name, Type: s.class(), Method: xunitMethod, Time: seconds(t.Duration)}
			switch {
			case t.Skipped:
				a.Skipped++
				c.Skipped++
				test.Result, test.Reason = "Skip", &cdata{t.text()}
			case t.errored():
				a.ErrorsTotal++
				test.Result, test.Failure = "Fail", fail(xunitMethod+"-Error", "Failed", t.text())
			case t.failed():
				a.Failed++
				c.Failed++
				test.Result, test.Failure = "Fail", fail(xunitMethod, "Failed", t.text())
			default:
				a.Passed++
				c.Passed++
				test.Result = "Pass"
			}
			a.Total++
			c.Total++
			c.Cases = append(c.Cases, test)
		}
		a.Collections = []xunitCollection{c}
		all.Assemblies = append(all.Assemblies, a)
	}
	return all
}

type nunitEnvironment struct {
	XMLName    xml.Name `xml:"environment"`
	Version    string   `xml:"nunit-version,attr"`
	CLR        string   `xml:"clr-version,attr"`
	OS         string   `xml:"os-version,attr"`
	Platform   string   `xml:"platform,attr"`
	Cwd        string   `xml:"cwd,attr"`
	Machine    string   `xml:"machine-name,attr"`
	User       string   `xml:"user,attr"`
	UserDomain string   `xml:"user-domain,attr"`
}

type nunitCulture struct {
	XMLName xml.Name `xml:"culture-info"`
	Current string   `xml:"current-culture,attr"`
	UI      string   `xml:"current-uiculture,attr"`
}

type nunitFailure struct {
	Message string `xml:"message"`
	Trace   string `xml:"stack-trace"`
}

type nunitReason struct {
	Message string `xml:"message"`
}

// nunitAttributes are those of suites and cases.
type nunitAttributes struct {
	Name        string `xml:"name,attr"`
	Description string `xml:"description,attr"`
	Success     string `xml:"success,attr"`
	Time        string `xml:"time,attr"`
	Executed    string `xml:"executed,attr"`
	Asserts     string `xml:"asserts,attr"`
	Result      string `xml:"result,attr"`
}

type nunitCase struct {
	XMLName xml.Name      `xml:"test-case"`
	Failure *nunitFailure `xml:"failure,omitempty"`
	Reason  *nunitReason  `xml:"reason,omitempty"`
	nunitAttributes
}

type nunitSuite struct {
	XMLName xml.Name      `xml:"test-suite"`
	Failure *nunitFailure `xml:"failure,omitempty"`
	Cases   []nunitCase   `xml:"results>test-case,omitempty"`
	Type    string        `xml:"type,attr"`
	nunitAttributes
}

type nunitResults struct {
	XMLName      xml.Name `xml:"test-results"`
	Environment  nunitEnvironment
	Culture      nunitCulture
	Suites       []nunitSuite `xml:"test-suite"`
	Name         string       `xml:"name,attr"`
	Total        int          `xml:"total,attr"`
	Errors       int          `xml:"errors,attr"`
	Failures     int          `xml:"failures,attr"`
	Inconclusive int          `xml:"inconclusive,attr"`
	NotRun       int          `xml:"not-run,attr"`
	Ignored      int          `xml:"ignored,attr"`
	Skipped      int          `xml:"skipped,attr"`
	Invalid      int          `xml:"invalid,attr"`
	Date         string       `xml:"date,attr"`
	Time         string       `xml:"time,attr"`
}

func nunitResult(passed, skipped bool) string {
	switch {
	case skipped:
		return "Skipped"
	case passed:
		return "Success"
	}
	return "Failed"
}

func (r *Report) nunit() nunitResults {
	now := time.Now()
	dir, _ := os.Getwd()
	host, _ := os.Hostname()
	domain, name := "", ""
	if u, err := user.Current(); err == nil {
		name = u.Username
		if d, n, ok := strings.Cut(name, `\`); ok {
			domain, name = d, n
		}
	}
	// The locale, such as de_DE.UTF-8.
	locale, _, _ := strings.Cut(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LANG")), ".")
	language, territory, _ := strings.Cut(locale, "_")
	all := nunitResults{
		Environment: nunitEnvironment{
			Version: "2.5.8.0", CLR: "unknown", OS: "unknown", Platform: platform(), Cwd: dir, Machine: host, User: name, UserDomain: domain,
		},
		Culture: nunitCulture{Current: language, UI: strings.TrimSuffix(language+"-"+territory, "-")},
		Name:    framework, Date: now.Format("2006-01-02"), Time: now.Format("15:04:05"),
	}
	for s := range r.suites {
		suite := nunitSuite{Type: "TestFixture", nunitAttributes: nunitAttributes{
			Name: s.Name, Description: s.File, Success: strconv.FormatBool(s.Passed), Time: s.time(),
			Executed: strconv.FormatBool(s.Err == nil && !s.Skipped), Result: nunitResult(s.Passed, s.Skipped),
		}}
		if s.Err != nil {
			all.Total++
			all.Errors++
			suite.Failure = &nunitFailure{"Error", s.Err.Error()}
		}
		for _, t := range s.ran() {
			c := nunitCase{nunitAttributes: nunitAttributes{
				Name: t.Name, Description: s.class() + "." + t.Name, Success: strconv.FormatBool(t.Passed), Time: seconds(t.Duration),
				Executed: strconv.FormatBool(t.Err == nil && !t.Skipped), Asserts: "0", Result: nunitResult(t.Passed, t.Skipped),
			}}
			all.Total++
			switch {
			case t.Skipped:
				all.Skipped++
				c.Reason = &nunitReason{t.text()}
			case t.errored():
				all.Errors++
				c.Failure = &nunitFailure{"Failed", t.text()}
			case t.failed():
				all.Failures++
				c.Failure = &nunitFailure{"Failed", t.text()}
			}
			suite.Cases = append(suite.Cases, c)
		}
		all.Suites = append(all.Suites, suite)
	}
	return all
}
