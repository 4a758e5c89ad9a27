package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ai-film/ai-film/charttest/diff"
)

// Formats of reports, by name.
var Formats = map[string]func(io.Writer, *Result) error{
	"table":  Table,
	"json":   JSON,
	"junit":  JUnit,
	"sarif":  SARIF,
	"github": GitHub,
}

// Table writes findings for people: a place a line that editors and terminals
// link, what is wrong, and the remedy.
func Table(w io.Writer, r *Result) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s: %s\n", f.place(), f.subject())
		fmt.Fprintf(&b, "    %s%s\n", f.Check, f.where(r))
		fmt.Fprintf(&b, "    remedy: %s\n\n", f.Remedy)
	}
	for _, f := range r.Accepted {
		fmt.Fprintf(&b, "%s: %s\n    %s, accepted: %s\n\n", f.place(), f.subject(), f.Check, f.Accepted)
	}
	verdict := "no findings"
	if n := len(r.Findings); n == 1 {
		verdict = "1 finding"
	} else if n > 1 {
		verdict = fmt.Sprintf("%d findings", n)
	}
	if n := len(r.Accepted); n > 0 {
		verdict += fmt.Sprintf(" (%d accepted)", n)
	}
	fmt.Fprintf(&b, "%s: %s in %d objects of %d renders (%s × Kubernetes %s), %.0f %% of branches, %s\n",
		r.Chart, verdict, r.Objects, r.Renders, strings.Join(r.Profiles, ", "), strings.Join(r.Versions, ", "),
		r.Branches, r.Elapsed.Round(time.Millisecond))
	b.WriteString(r.rehearsed())
	if text := r.upgraded(styleOf(w)); text != "" {
		b.WriteString("\n" + text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// JSON writes the result as it is.
func JSON(w io.Writer, r *Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// GitHub writes findings as workflow commands, which GitHub shows beside the
// lines of a pull request.
func GitHub(w io.Writer, r *Result) error {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for _, f := range r.Findings {
		line := ""
		if f.Line > 0 {
			line = fmt.Sprintf(",line=%d", f.Line)
		}
		if _, err := fmt.Fprintf(w, "::error file=%s%s,title=%s::%s\n", property.Replace(relative(f.File)), line,
			property.Replace(f.Check), data.Replace(f.subject()+"\n"+f.Remedy)); err != nil {
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

func (f Finding) place() string {
	if f.Line == 0 {
		return relative(f.File)
	}
	return fmt.Sprintf("%s:%d", relative(f.File), f.Line)
}

func (f Finding) subject() string {
	if f.Object == "" {
		return f.Message
	}
	return f.Object + ": " + f.Message
}

// where says which profiles and versions show a finding, if not all.
func (f Finding) where(r *Result) string {
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

// relative is a path as seen from the working directory, if it is below.
func relative(path string) string {
	dir, err := os.Getwd()
	if err != nil || !filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	if rel, err := filepath.Rel(dir, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
