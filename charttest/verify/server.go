package verify

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/crd"
	"github.com/ai-film/ai-film/charttest/dryrun"
)

// Rehearsal is what took place on an API server, for one profile.
type Rehearsal struct {
	Profile     string        `json:"profile"`
	Version     string        `json:"version"` // of the server, such as "v1.36.3"
	Objects     int           `json:"objects"`
	Pods        int           `json:"pods"`
	Unrehearsed []Unrehearsed `json:"unrehearsed,omitempty"`
}

// Unrehearsed is what a server couldn't judge, and why.
type Unrehearsed struct {
	Object string `json:"object"` // "Kind/name"
	Reason string `json:"reason"`
}

// rehearse sends every profile to the API server, rendered for it.
func (r *Result) rehearse(ctx context.Context, chart *charttest.Chart, config Config, found *collection) error {
	s, err := dryrun.Connect(ctx, config.Server)
	if err != nil {
		return err
	}
	version := r.label(s.Version())
	var cells []*cell
	total, done := 0, 0
	for _, p := range config.ProfilesOf(chart) {
		c := &cell{chart: chart, profile: p, version: version, cluster: config.ClusterOf(p.Name)}
		served := s.Profile()
		c.profile.KubeVersion = served.KubeVersion
		c.profile.APIVersions = append(slices.Clone(p.APIVersions), served.APIVersions...)
		cells = append(cells, c)
	}
	inParallel(cells, func(c *cell) {
		var err error
		if c.render, err = c.chart.Render(ctx, c.profile); err != nil {
			c.failed(err, nil)
		}
		if c.render == nil {
			return
		}
		for _, f := range check.Run(c.render, c.cluster, r.ran...) {
			if f.Locate(); f.Check == crd.Name {
				c.findings = append(c.findings, f)
			} else {
				c.checked = append(c.checked, f)
			}
		}
	})
	for _, c := range cells {
		if c.render != nil {
			total += len(c.render.Objects)
		}
	}
	if config.Progress != nil {
		s.Each = func(*charttest.Object) { done++; config.Progress(done, total, "objects rehearsed") }
	}
	for _, c := range cells {
		if c.render != nil {
			rehearsal, err := s.Rehearse(ctx, c.render, c.cluster)
			if err != nil {
				return err
			}
			r.Rehearsals = append(r.Rehearsals, c.heard(rehearsal))
		}
		for _, f := range c.findings {
			found.add(f, c.profile.Name, version)
		}
	}
	return nil
}

// heard takes a server's findings over, but for those that strict decoding or
// one of our checks has of the same field: these are told in their place.
func (c *cell) heard(rehearsal *dryrun.Rehearsal) Rehearsal {
	out := Rehearsal{Profile: c.profile.Name, Version: rehearsal.Version, Objects: rehearsal.Objects, Pods: rehearsal.Pods}
	for _, f := range rehearsal.Findings {
		same := func(k check.Finding) bool { return told(k, f) }
		if slices.ContainsFunc(c.findings, func(k check.Finding) bool { return (k.Check == "strict" || k.Check == crd.Name) && same(k) }) {
			continue
		}
		ours := slices.Clone(c.checked)
		if ours = slices.DeleteFunc(ours, func(k check.Finding) bool { return !same(k) }); len(ours) == 0 {
			f.Locate()
			ours = []check.Finding{f}
		}
		c.findings = append(c.findings, ours...)
	}
	for _, u := range rehearsal.Unrehearsed {
		out.Unrehearsed = append(out.Unrehearsed, Unrehearsed{u.Object.String(), u.Reason})
	}
	return out
}

// told says whether a finding of ours tells what a server's does: of the same
// field or, as the server's paths are at times of the whole that a value stands
// in, or lack an index, in the same words or of a field beside.
func told(ours, server check.Finding) bool {
	if ours.Object != server.Object || server.Field == "" {
		return false
	}
	if ours.Field == server.Field {
		return true
	}
	_, said, refused := strings.Cut(server.Message, server.Field+": ")
	our, ruled := strings.CutPrefix(ours.Message, ours.Field+": ")
	return refused && ruled && (said == our || adjacent(ours.Field, server.Field) || adjacent(server.Field, ours.Field))
}

// adjacent says whether one field is the other or what is directly in it, but
// for letters in capitals, and for indexes if the one has fewer of them.
func adjacent(outer, inner string) bool {
	if strings.Count(outer, "[") != strings.Count(inner, "[") {
		outer, inner = index.ReplaceAllString(outer, ""), index.ReplaceAllString(inner, "")
	}
	rest, in := strings.CutPrefix(strings.ToLower(inner), strings.ToLower(outer))
	return in && (rest == "" || rest[0] == '.' && !strings.Contains(rest[1:], "."))
}

var index = regexp.MustCompile(`\[\d+\]`)

// label is a server's version as the versions that are verified for are
// written, if it is one of them.
func (r *Result) label(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) > 1 {
		if minor := parts[0] + "." + strings.TrimRight(parts[1], "+"); slices.Contains(r.Versions, minor) {
			return minor
		}
	}
	return version
}

// rehearsed tells people what took place, and what didn't and why.
func (r *Result) rehearsed() string {
	if len(r.Rehearsals) == 0 {
		return ""
	}
	var b strings.Builder
	objects, pods := 0, 0
	var reasons []string
	counts := map[string]map[string]bool{}
	profiles := map[string][]string{}
	for _, h := range r.Rehearsals {
		objects, pods = objects+h.Objects, pods+h.Pods
		for _, u := range h.Unrehearsed {
			if counts[u.Reason] == nil {
				counts[u.Reason] = map[string]bool{}
				reasons = append(reasons, u.Reason)
			}
			counts[u.Reason][u.Object] = true
			if !slices.Contains(profiles[u.Reason], h.Profile) {
				profiles[u.Reason] = append(profiles[u.Reason], h.Profile)
			}
		}
	}
	fmt.Fprintf(&b, "rehearsed on a server of Kubernetes %s: %d objects and %d pods\n", r.Rehearsals[0].Version, objects, pods)
	for _, reason := range reasons {
		names := sortedKeys(counts[reason])
		which := names[0]
		if len(names) > 1 {
			which = fmt.Sprintf("%s and %d more", names[0], len(names)-1)
		}
		in := ""
		if len(profiles[reason]) < len(r.Profiles) {
			in = " in " + strings.Join(profiles[reason], ", ")
		}
		fmt.Fprintf(&b, "    not rehearsed%s: %s: %s\n", in, which, reason)
	}
	return b.String()
}

// everyVersion is every version that findings may name.
func (r *Result) everyVersion() []string {
	versions := slices.Clone(r.Versions)
	for _, h := range r.Rehearsals {
		if v := r.label(h.Version); !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	return versions
}
