package engine

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// Selection is a part of a chart's templates. Those left out are not parsed, so
// that neither their defines nor their mistakes are there. Partials are always.
type Selection struct {
	Key  string                     // equal keys select the same of a chart
	Keep func(template string) bool // by name as in Helm's «# Source:» lines; nil: all
}

// Circumstances are those of a render of single templates that differ from
// what Helm would give them.
type Circumstances struct {
	Version, AppVersion  string // of the chart and its dependencies in .Chart, if not empty
	KubeMajor, KubeMinor string // in .Capabilities, whatever they are
	Revision             int
}

// Outputs are what templates wrote, each by itself: not split into documents,
// not sorted, notes and hooks among them.
type Outputs struct {
	Files  map[string]string // by template
	traced func() (*trace, error)
}

// RenderOutputs renders the selected templates. The release's APIVersions are all
// that there are, KubeVersion counts for nothing, the name is not checked, and neither is the version of
// Kubernetes that the chart asks for. Errors are those of [Chart.Render]; where
// templates ran before they failed there are Outputs too, without files.
func (c *Chart) RenderOutputs(ctx context.Context, vals map[string]any, release Release, sel Selection, at Circumstances) (*Outputs, error) {
	return c.outputs(ctx, vals, release, sel, at, false)
}

func (c *Chart) outputs(ctx context.Context, vals map[string]any, release Release, sel Selection, at Circumstances, traced bool) (*Outputs, error) {
	release.Timeout = cmp.Or(release.Timeout, DefaultTimeout)
	caps := chartutil.DefaultCapabilities.Copy()
	caps.APIVersions = release.APIVersions
	caps.KubeVersion = chartutil.KubeVersion{
		Version: fmt.Sprintf("v%s.%s.0", at.KubeMajor, at.KubeMinor), Major: at.KubeMajor, Minor: at.KubeMinor,
	}
	p, parseErr := c.program(vals, traced, sel)
	if p == nil {
		return nil, parseErr
	}
	coalesced, err := (&coalescer{helm: c.helm}).coalesceValues(p.chart, vals)
	if err != nil {
		return nil, err
	}
	if !release.SkipSchema {
		if err := c.validate(p.chart, coalesced); err != nil {
			return nil, err
		}
	}
	if parseErr != nil {
		return nil, parseErr
	}
	x := &execution{release: &release, included: make(map[string]int), ahead: c.documents.ahead(nil)}
	if release.Seeded {
		x.random = newRandom(release.Seed, release.Now)
	}
	if traced {
		x.trace = newTrace(p, coalesced)
	}
	about := releaseValues(release)
	about["Revision"] = at.Revision
	dots := p.values(coalesced, about, caps)
	for i, s := range p.scopes {
		if s.parent <= 0 && (at.Version != "" || at.AppVersion != "") { // of the root and of its dependencies
			about := s.metadata
			about.Version = cmp.Or(at.Version, about.Version)
			about.AppVersion = cmp.Or(at.AppVersion, about.AppVersion)
			dots[i]["Chart"] = c.helm.about(about)
		}
	}
	texts, err := p.execute(ctx, x, dots, release.Timeout)
	out := &Outputs{Files: make(map[string]string, len(texts))}
	for i, text := range texts {
		if s := p.templates[i]; !s.partial {
			out.Files[s.name] = text
		}
	}
	out.traced = sync.OnceValues(func() (*trace, error) {
		if traced {
			return x.trace, err
		}
		again, err := c.outputs(context.WithoutCancel(ctx), vals, release, sel, at, true)
		if again == nil {
			return nil, err
		}
		return again.traced()
	})
	return out, err
}

// Covered returns what the render executed of the templates it had. It renders
// once more to find out, the first time.
func (o *Outputs) Covered() ([]Point, error) {
	t, err := o.traced()
	if t == nil {
		return nil, err
	}
	return t.program.points(t.counts), nil
}

// Locate is [Result.Locate].
func (o *Outputs) Locate(template string, line int) []Frame {
	t, _ := o.traced()
	if t == nil {
		return nil
	}
	return t.locate(template, line)
}

// MergeValues lays tables over base as Helm merges values files, nulls kept.
// Neither is changed.
func MergeValues(over, base map[string]any) map[string]any {
	return chartutil.MergeTables(copyMapDeep(over), copyMapDeep(base))
}

// CustomResources are the files of the chart's crds folders and its
// dependencies', by name as in Helm's «# Source:» lines.
func (c *Chart) CustomResources(vals map[string]any) (map[string]string, error) {
	p, err := c.program(vals, false, Selection{})
	if p == nil {
		return nil, err
	}
	files := make(map[string]string)
	for _, crd := range p.chart.CRDObjects() {
		files[crd.Filename] = string(crd.File.Data)
	}
	return files, nil
}

// CheckReleaseName says whether Kubernetes would take a release's name.
func CheckReleaseName(name string) error { return chartutil.ValidateReleaseName(name) }

// Subchart is a chart in a chart's charts folder, and what the latter's
// Chart.yaml says turns it on.
type Subchart struct {
	Name      string
	Condition string
	Tags      []string
	Subcharts []Subchart
}

// Subcharts are the charts in the charts folder, those that are turned off too.
func (c *Chart) Subcharts() []Subchart { return subcharts(c.source) }

func subcharts(ch *chart.Chart) []Subchart {
	var all []Subchart
	for _, sub := range ch.Dependencies() {
		s := Subchart{Name: sub.Name(), Subcharts: subcharts(sub)}
		for _, d := range ch.Metadata.Dependencies {
			if d != nil && cmp.Or(d.Alias, d.Name) == s.Name {
				s.Condition, s.Tags = d.Condition, d.Tags
				break
			}
		}
		all = append(all, s)
	}
	return all
}

// Defaults are the chart's own values. They must not be changed.
func (c *Chart) Defaults() map[string]any { return c.source.Values }
