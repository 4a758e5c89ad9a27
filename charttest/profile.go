package charttest

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ai-film/ai-film/charttest/internal/engine"
	"github.com/ai-film/ai-film/charttest/internal/served"
)

// Profile is a set of values and circumstances to render a chart with. The
// zero Profile is a first installation with the chart's own values. A Profile
// is itself an [Option], so profiles and single options mix:
//
//	chart.Render(ctx, chart.Profile("dev"), charttest.Set("flask.replicas=3"))
//
// Later options win over earlier ones. Values of different kinds are laid over
// each other in Helm's order, whatever the order of options: the chart's own,
// Files, Values, SetJSON, Set, SetString, SetFile, SetLiteral.
type Profile struct {
	Name string // names subtests and snapshots; no effect on rendering

	Files      []string       // values files or URLs, relative to the working directory: -f
	Values     map[string]any // values from Go, with the types that YAML would give them
	SetJSON    []string       // key=json: --set-json
	Set        []string       // key=value: --set
	SetString  []string       // key=text: --set-string
	SetFile    []string       // key=path: --set-file
	SetLiteral []string       // key=text, nothing escaped: --set-literal

	Release     string   // the release's name; "release-name" if empty
	Namespace   string   // the release's namespace; "default" if empty
	KubeVersion string   // such as "1.36"; DefaultKubeVersion if empty
	APIVersions []string // such as "monitoring.coreos.com/v1", added to Kubernetes' own
	Discovered  bool     // .Capabilities.APIVersions has what a cluster of KubeVersion serves, as in an installation, and not what it has under «helm template»
	Upgrade     bool     // render as an upgrade, not as a first installation
	SubNotes    bool     // take subcharts' notes into the notes
	CRDs        bool     // take the chart's crds/ into Manifest; they are in Objects anyhow
	SkipSchema  bool     // don't check values against values.schema.json

	// Lookup are the objects that exist in the cluster, for the function
	// lookup. Nil and empty differ: with nil, lookup answers as under «helm
	// template», where even lists are empty maps.
	Lookup []runtime.Object
	// LookupFunc answers lookup in place of Lookup, from a cluster for
	// instance. An object that isn't there is an empty map.
	LookupFunc func(apiVersion, kind, namespace, name string) (map[string]any, error)

	// Seed and Now fix random, certificate and date functions. Zero values
	// are fixed too; Random undoes it.
	Seed   uint64
	Now    time.Time
	Random bool // let random, certificate and date functions be

	// Fresh renders anew, whatever was rendered before, and doesn't remember the
	// render: for many that are looked at once each.
	Fresh bool

	Timeout time.Duration // for rendering; a minute if 0

	// Lax renders without strict decoding: Objects that break their schema
	// are decoded as far as possible and no StrictError is returned.
	Lax bool
}

// DefaultKubeVersion is what .Capabilities.KubeVersion says where no version
// is asked for: that of the Kubernetes libraries in use, as in release builds
// of Helm. (A helm program built with plain «go build» says v1.20.0.)
const DefaultKubeVersion = "v1.37.0"

// KubeVersions are the four newest minor versions of Kubernetes, for matrices.
var KubeVersions = []string{"1.34", "1.35", "1.36", "1.37"}

// Option changes how a chart is rendered. A [Profile] is one.
type Option interface{ apply(*Profile) }

func (p Profile) apply(to *Profile) {
	for _, f := range []struct{ dst, src *string }{
		{&to.Name, &p.Name}, {&to.Release, &p.Release},
		{&to.Namespace, &p.Namespace}, {&to.KubeVersion, &p.KubeVersion},
	} {
		if *f.src != "" {
			*f.dst = *f.src
		}
	}
	for _, f := range []struct{ dst, src *[]string }{
		{&to.Files, &p.Files}, {&to.SetJSON, &p.SetJSON}, {&to.Set, &p.Set},
		{&to.SetString, &p.SetString}, {&to.SetFile, &p.SetFile},
		{&to.SetLiteral, &p.SetLiteral}, {&to.APIVersions, &p.APIVersions},
	} {
		*f.dst = append((*f.dst)[:len(*f.dst):len(*f.dst)], *f.src...)
	}
	for _, f := range []struct{ dst, src *bool }{
		{&to.Upgrade, &p.Upgrade}, {&to.SubNotes, &p.SubNotes}, {&to.CRDs, &p.CRDs},
		{&to.SkipSchema, &p.SkipSchema}, {&to.Random, &p.Random}, {&to.Fresh, &p.Fresh}, {&to.Lax, &p.Lax},
		{&to.Discovered, &p.Discovered},
	} {
		*f.dst = *f.dst || *f.src
	}
	if p.Values != nil {
		to.Values = overlay(to.Values, p.Values)
	}
	if p.Lookup != nil {
		to.Lookup = append(append([]runtime.Object{}, to.Lookup...), p.Lookup...)
	}
	if p.LookupFunc != nil {
		to.LookupFunc = p.LookupFunc
	}
	if p.Seed != 0 {
		to.Seed = p.Seed
	}
	if !p.Now.IsZero() {
		to.Now = p.Now
	}
	if p.Timeout != 0 {
		to.Timeout = p.Timeout
	}
}

// overlay lays b's tables over a's, as one values file over another.
func overlay(a, b map[string]any) map[string]any {
	out := make(map[string]any, len(a)+len(b))
	for k, v := range a {
		out[k] = v
	}
	for k, v := range b {
		am, aok := out[k].(map[string]any)
		bm, bok := v.(map[string]any)
		if aok && bok {
			v = overlay(am, bm)
		}
		out[k] = v
	}
	return out
}

// Files adds values files.
func Files(paths ...string) Option { return Profile{Files: paths} }

// Values adds values from Go: tables as map[string]any or structs with JSON
// tags below it.
func Values(values map[string]any) Option { return Profile{Values: values} }

// Set sets values as --set does: "a.b=c,list[0]=x". SetString and its siblings
// have fields in [Profile].
func Set(pairs ...string) Option { return Profile{Set: pairs} }

// KubeVersion renders for a version of Kubernetes, such as "1.36".
func KubeVersion(version string) Option { return Profile{KubeVersion: version} }

// APIVersions adds API versions to what .Capabilities.APIVersions has, such as
// "monitoring.coreos.com/v1" or "monitoring.coreos.com/v1/ServiceMonitor".
func APIVersions(versions ...string) Option { return Profile{APIVersions: versions} }

// Release names the release and its namespace; an empty namespace leaves it.
func Release(name, namespace string) Option {
	return Profile{Release: name, Namespace: namespace}
}

// Upgrade renders as an upgrade of an installed release.
func Upgrade() Option { return Profile{Upgrade: true} }

// Lookup makes the function lookup find these objects, and nothing else.
func Lookup(objects ...runtime.Object) Option {
	return Profile{Lookup: append([]runtime.Object{}, objects...)}
}

// Seed fixes what random and certificate functions return to something else
// than they return anyhow.
func Seed(seed uint64) Option { return Profile{Seed: seed} }

func (p *Profile) overrides(c *Chart) engine.Overrides {
	o := engine.Overrides{
		Helm: c.helm, Getters: c.getters,
		Files: p.Files, JSON: p.SetJSON, Set: p.Set, String: p.SetString,
		FromFile: p.SetFile, Literal: p.SetLiteral,
	}
	if p.Values != nil {
		o.Maps = []map[string]any{p.Values}
	}
	return o
}

func (p *Profile) release() (engine.Release, error) {
	r := engine.Release{
		Name: p.Release, Namespace: p.Namespace, KubeVersion: p.KubeVersion,
		APIVersions: p.APIVersions, Upgrade: p.Upgrade, SkipSchema: p.SkipSchema,
		SubNotes: p.SubNotes, IncludeCRDs: p.CRDs,
		Seeded: !p.Random, Seed: p.Seed, Now: p.Now, Timeout: p.Timeout,
	}
	if r.KubeVersion == "" {
		r.KubeVersion = DefaultKubeVersion
	}
	if p.Discovered {
		r.Served = served.Kinds(r.KubeVersion)
	}
	if r.Lookup = p.LookupFunc; r.Lookup == nil && p.Lookup != nil {
		lookup, err := newLookup(p.Lookup)
		if err != nil {
			return r, err
		}
		r.Lookup = lookup
	}
	return r, nil
}

func profile(options []Option) Profile {
	var p Profile
	for _, o := range options {
		if o != nil {
			o.apply(&p)
		}
	}
	return p
}
