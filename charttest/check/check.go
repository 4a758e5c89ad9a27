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
	"fmt"
	"slices"
	"strings"

	"github.com/ai-film/ai-film/charttest"
)

// Check is one rule over the objects of a render.
type Check struct {
	Name   string // kebab-case, as in reports and suppressions
	Why    string // what goes wrong in a cluster
	Remedy string // what to do about it
	Run    func(*Pass)
}

// Finding is a defect, at a place.
type Finding struct {
	Check   *Check
	Object  *charttest.Object
	Field   string // such as "spec.ports[0].targetPort"; "" for the whole object
	Message string
}

// Place is the template line that wrote the field.
func (f Finding) Place() charttest.Place { return f.Object.At(f.Field) }

// String is like "charts/…/service.yaml:12: Service/web: … (service-port)".
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s: %s (%s)", f.Place(), f.Object, f.Message, f.Check.Name)
}

// Pass is one run of a check over a render.
type Pass struct {
	Render  *charttest.Render
	Cluster Cluster

	index    *index
	check    *Check
	findings []Finding
}

func (p *Pass) report(o *charttest.Object, field, format string, args ...any) {
	p.findings = append(p.findings, Finding{Check: p.check, Object: o, Field: field, Message: fmt.Sprintf(format, args...)})
}

// All returns every check, by name.
func All() []*Check {
	all := []*Check{
		apiAvailable, apiDeprecated, claimShared, containerValid, duplicateObject, gpuPlacement, gpuRollout,
		hpaReplicas, metadataValid, namedPorts, networkPolicyTarget, nodeFits, pdbTarget, podSecurity,
		probePort, references, resourcesOrdered, postgresData, roleRef, scaleTarget, serviceAsleep, selectorMatches, serviceLinks,
		servicePort, serviceSelects, serviceMonitorTarget, volumeMounts, ingressBackend,
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
		return cmp.Or(cmp.Compare(order[a.Object], order[b.Object]), strings.Compare(a.Field, b.Field),
			strings.Compare(a.Check.Name, b.Check.Name))
	})
	return findings
}
