package verify

import (
	"fmt"
	"io"
	"strings"

	"github.com/ai-film/ai-film/charttest/diff"
	"github.com/ai-film/ai-film/charttest/internal/report"
)

// commentBytes bounds what upgrades take of a report in Markdown: GitHub takes
// comments of up to 65,536 characters.
const commentBytes = 60_000

// Markdown writes a comment on a change: a table of the charts, their findings,
// and what an upgrade would change, by profile. What is too long for a comment is
// cut, and says so.
func Markdown(w io.Writer, all ...*Result) error {
	var b strings.Builder
	cell := strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;")
	if len(all) == 0 {
		b.WriteString("No chart has changed.\n")
	} else {
		b.WriteString("| chart | findings | renders | branches taken |\n|---|---|---|---|\n")
	}
	for _, r := range all {
		if r.Unverified != "" {
			fmt.Fprintf(&b, "| `%s` | not verified: %s | | |\n", cell.Replace(r.Path), cell.Replace(r.Unverified))
			continue
		}
		fmt.Fprintf(&b, "| `%s` | %s | %d | %.0f %% |\n", cell.Replace(r.Path), count(len(r.Findings)), r.Renders, r.Branches)
	}
	for _, r := range all {
		for i, f := range r.Findings {
			if b.Len() > commentBytes {
				fmt.Fprintf(&b, "\n%d more findings are in the job's log.\n", len(r.Findings)-i)
				break
			}
			fmt.Fprintf(&b, "\n- `%s` %s  \n  %s%s. %s\n", report.Place(f), cell.Replace(subject(f)), f.Check, r.where(f), cell.Replace(f.Remedy))
		}
	}
	for _, r := range all {
		if len(r.Upgrades) == 0 {
			continue
		}
		text := r.upgraded(diff.Style{})
		if left := max(commentBytes-b.Len(), 0); len(text) > left {
			text = text[:strings.LastIndexByte(text[:left], '\n')+1] + "… too long for a comment: the job's log has all of it\n"
		}
		fence := "```"
		for strings.Contains(text, fence) {
			fence += "`"
		}
		fmt.Fprintf(&b, "\n<details><summary>What an upgrade of <code>%s</code> changes</summary>\n\n%sdiff\n%s%s\n\n</details>\n",
			cell.Replace(r.Path), fence, text, fence)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
