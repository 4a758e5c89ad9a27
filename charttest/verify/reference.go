package verify

import (
	"fmt"
	"strings"

	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/internal/rehearsed"
)

// Reference is docs/checks.md: every check with its reason and remedy.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Checks

What «charttest verify» and package charttest/verify hold a chart to. Generated from the checks; change them in
` + "`charttest/check`" + ` and run ` + "`go test -C charttest ./verify -update`" + `.

A finding that is accepted goes into ` + "`.verify.yaml`" + ` in the chart's folder, with the reason:

` + "```yaml" + `
cluster:
  external: [RuntimeClass/nvidia]   # objects that others make
profiles:
  dev:
    cluster:
      nodes: [{name: laptop, count: 1, allocatable: {cpu: "2", memory: 8Gi}}]
suppress:
  - check: pdb-target
    object: PodDisruptionBudget/store
    reason: drained by hand only, see the runbook
` + "```" + `
`)
	section := func(title string, checks []*check.Check) {
		fmt.Fprintf(&b, "\n## %s\n", title)
		for _, c := range checks {
			fmt.Fprintf(&b, "\n### %s\n\n%s\n\n**Remedy.** %s\n", c.Name, c.Why, c.Remedy)
		}
	}
	section("Before objects can be checked", Rules)
	section("Objects", Checks(nil))
	section("Rehearsals (charttest rehearse)", rehearsed.All())
	return b.String()
}
