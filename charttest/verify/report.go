package verify

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/diff"
	"github.com/ai-film/ai-film/charttest/internal/report"
)

// Formats of reports on one chart or many, by name.
var Formats = map[string]func(io.Writer, ...*Result) error{
	"table":    Table,
	"json":     JSON,
	"junit":    JUnit,
	"sarif":    SARIF,
	"github":   GitHub,
	"markdown": Markdown,
}

// Table writes findings for people: a place a line that editors and terminals
// link, what is wrong, and the remedy. After many charts comes a summary.
func Table(w io.Writer, all ...*Result) error {
	for i, r := range all {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		if err := r.table(w); err != nil {
			return err
		}
	}
	if len(all) < 2 {
		return nil
	}
	found, faulty, unverified := 0, 0, 0
	for _, r := range all {
		found += len(r.Findings)
		if len(r.Findings) > 0 {
			faulty++
		}
		if r.Unverified != "" {
			unverified++
		}
	}
	text := fmt.Sprintf("\n%d charts: %s", len(all), count(found))
	if faulty > 0 {
		text += fmt.Sprintf(" in %d", faulty)
	}
	if unverified > 0 {
		text += fmt.Sprintf(", %d not verified", unverified)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// count says how many findings there are.
func count(n int) string {
	switch n {
	case 0:
		return "no findings"
	case 1:
		return "1 finding"
	}
	return fmt.Sprintf("%d findings", n)
}

func (r *Result) table(w io.Writer) error {
	if r.Unverified != "" {
		_, err := fmt.Fprintf(w, "%s: not verified: %s\n", r.Chart, r.Unverified)
		return err
	}
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s: %s\n", report.Place(f), subject(f))
		fmt.Fprintf(&b, "    %s%s\n", f.Check, r.where(f))
		fmt.Fprintf(&b, "    remedy: %s\n\n", f.Remedy)
	}
	for _, f := range r.Accepted {
		fmt.Fprintf(&b, "%s: %s\n    %s, accepted: %s\n\n", report.Place(f), subject(f), f.Check, f.Accepted)
	}
	verdict := count(len(r.Findings))
	if n := len(r.Accepted); n > 0 {
		verdict += fmt.Sprintf(" (%d accepted)", n)
	}
	fmt.Fprintf(&b, "%s: %s in %d objects of %d renders (%s × Kubernetes %s), %.0f %% of branches, %s\n",
		r.Chart, verdict, r.Objects, r.Renders, strings.Join(r.Profiles, ", "), strings.Join(r.Versions, ", "),
		r.Branches, r.Elapsed.Round(time.Millisecond))
	for _, unread := range r.Unread {
		fmt.Fprintf(&b, "  branches not known, since it cannot be parsed: %s\n", unread)
	}
	b.WriteString(r.rehearsed())
	if text := r.upgraded(styleOf(w)); text != "" {
		b.WriteString("\n" + text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// GitHub writes findings as workflow commands, which GitHub shows beside the
// lines of a pull request.
func GitHub(w io.Writer, all ...*Result) error {
	for _, r := range all {
		if err := r.gitHub(w); err != nil {
			return err
		}
	}
	return nil
}

func (r *Result) gitHub(w io.Writer) error {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	if r.Unverified != "" {
		_, err := fmt.Fprintf(w, "::error file=%s,title=not verified::%s\n", property.Replace(r.Path), data.Replace(r.Unverified))
		return err
	}
	for _, f := range r.Findings {
		line := ""
		if f.Line > 0 {
			line = fmt.Sprintf(",line=%d", f.Line)
		}
		if _, err := fmt.Fprintf(w, "::error file=%s%s,title=%s::%s\n", property.Replace(report.Relative(f.File)), line,
			property.Replace(f.Check), data.Replace(subject(f)+"\n"+f.Remedy)); err != nil {
			return err
		}
	}
	if text := r.upgraded(diff.Style{Indent: "  "}); text != "" {
		if _, err := fmt.Fprintf(w, "::notice title=upgrade::%s\n", data.Replace(text)); err != nil {
			return err
		}
	}
	return nil
}

func subject(f check.Finding) string {
	if f.Object == "" {
		return f.Message
	}
	return f.Object + ": " + f.Message
}

// where says which profiles and versions show a finding, if not all.
func (r *Result) where(f check.Finding) string {
	var where []string
	if len(f.Profiles) > 0 && len(f.Profiles) < len(r.Profiles) {
		where = append(where, "in "+strings.Join(f.Profiles, ", "))
	}
	if len(f.Versions) > 0 && len(f.Versions) < len(r.Versions) {
		where = append(where, "on Kubernetes "+strings.Join(f.Versions, ", "))
	}
	if len(where) == 0 {
		return ""
	}
	return ", " + strings.Join(where, ", ")
}
