// Package check finds what is wrong in a rendered chart: what the API server
// would refuse, what would never become ready, and what would break at the
// next upgrade. Each check is one file with its name, its reason and its
// remedy; the reference in docs/checks.md is generated from them.
//
//	r := chart.MustRender(t, chart.Profile("dev"))
//	for _, f := range check.Run(r, check.Cluster{}) {
//		t.Error(f)
//	}
//
// Findings are meant to be few and right: a check that can't be sure is
// silent, and what it can't know (nodes, objects made by others) is told by
// [Cluster].
package check

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ai-film/ai-film/charttest"
)

// Check is one rule over the objects of a render. Checks of one's own are run
// beside the others by [Run], and by package verify:
//
//	var owner = &check.Check{
//		Name: "owner", Why: "Nobody is called when it fails.", Remedy: "Add the label.",
//		Run: func(p *check.Pass) {
//			for _, o := range p.Render.Objects {
//				if o.Unstructured().GetLabels()["owner"] == "" {
//					p.Report(o, "metadata.labels", "has no label owner")
//				}
//			}
//		},
//	}
type Check struct {
	Name   string // kebab-case, as in reports and suppressions
	Why    string // what goes wrong in a cluster
	Remedy string // what to do about it
	Run    func(*Pass)
}

// Pass is one run of a check over a render.
type Pass struct {
	Render  *charttest.Render
	Cluster Cluster

	index    *index
	check    *Check
	findings []Finding
	missing  map[[2]string]bool // what was reported, by kind and name
}

// Report tells of a defect in an object's field, such as
// "spec.ports[0].targetPort", or with "" in the whole object.
func (p *Pass) Report(o *charttest.Object, field, format string, args ...any) {
	p.findings = append(p.findings, p.check.Finding(o, field, format, args...))
}

// All returns every check, by name.
func All() []*Check {
	all := []*Check{
		apiAvailable, apiDeprecated, claimShared, duplicateObject, fieldValid, gpuPlacement, gpuRollout, hookOrder, image, listKeys, scope,
		hpaReplicas, memoryUnit, metadataValid, namedPorts, networkPolicyTarget, nodeFits, pdbTarget, podSecurity,
		probePort, references, postgresData, roleRef, scaleTarget, serviceAsleep, selectorMatches, serviceLinks,
		servicePort, serviceSelects, serviceMonitorTarget, ingressBackend,
	}
	slices.SortFunc(all, func(a, b *Check) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Run runs the checks (all of them if none are given) over a render. Findings
// come in the order of objects, then of fields.
func Run(r *charttest.Render, cluster Cluster, checks ...*Check) []Finding {
	if len(checks) == 0 {
		checks = All()
	}
	ix := newIndex(r)
	var findings []Finding
	for _, c := range checks {
		p := &Pass{Render: r, Cluster: cluster, index: ix, check: c}
		c.Run(p)
		findings = append(findings, p.findings...)
	}
	order := make(map[*charttest.Object]int, len(r.Objects))
	for i, o := range r.Objects {
		order[o] = i
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.object], order[b.object]), strings.Compare(a.Field, b.Field),
			strings.Compare(a.Check, b.Check))
	})
	return findings
}
