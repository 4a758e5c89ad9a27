package charttest

import (
	"context"
	"crypto/sha256"
	"testing"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// Render is a rendered chart.
type Render struct {
	Chart    *Chart
	Profile  Profile   // what it was rendered with, all options together
	Objects  []*Object // CRDs of crds/, then objects in the order of installation, then hooks
	Notes    string    // NOTES.txt
	Problems []Problem // what strict decoding found
	Warnings []Warning // what Helm would log, about values of the wrong kind for instance

	result *engine.Result
}

// Render renders the chart with the options laid over each other. Renders of
// equal values and circumstances are made once and shared.
//
// Errors are [*ValuesError], [*SchemaError] or [*Failure], each with a nil
// Render; or [*StrictError] with a Render that has all objects, those that
// broke their schema decoded as far as possible. A context that ends ends the
// render with its cause.
func (c *Chart) Render(ctx context.Context, options ...Option) (*Render, error) {
	return c.render(ctx, profile(options), c.engine.Render)
}

func (c *Chart) render(ctx context.Context, p Profile, render func(context.Context, map[string]any, engine.Release) (*engine.Result, error)) (*Render, error) {
	values, err := p.overrides(c).Merge()
	if err != nil {
		return nil, convert(c.engine, err)
	}
	release, err := p.release()
	if err != nil {
		return nil, err
	}
	r, err := c.memo.render(ctx, p.key(values, release), func() (*Render, error) {
		release.Decode = c.decode
		result, err := render(ctx, values, release)
		if err != nil {
			return nil, convert(c.engine, err)
		}
		r := &Render{Chart: c, Notes: result.Notes, result: result}
		for _, w := range result.Warnings {
			r.Warnings = append(r.Warnings, Warning{Message: w.Text, Value: w.Value, manifest: w.Manifest})
		}
		r.decode()
		return r, nil
	})
	if err != nil {
		return nil, err
	}
	return r.As(p)
}

// As is the render as that of another profile, for the caller to know that it
// would print the same: the next version of Kubernetes, say, that checks are to
// judge by. Errors are [*StrictError], as those of [Chart.Render].
func (r *Render) As(p Profile) (*Render, error) {
	mine := *r // the rest is shared with equal renders
	mine.Profile = p
	if len(r.Problems) > 0 && !p.Lax {
		return &mine, &StrictError{Problems: r.Problems}
	}
	return &mine, nil
}

// MustRender is [Chart.Render] for tests: any error ends the test.
func (c *Chart) MustRender(t testing.TB, options ...Option) *Render {
	t.Helper()
	r, err := c.Render(t.Context(), options...)
	if err != nil {
		t.Fatalf("rendering %s: %v", c.Name(), err)
	}
	return r
}

// Manifest is what «helm template» prints: everything, or without hooks.
func (r *Render) Manifest(hooks bool) string { return r.result.Text(hooks) }

// Sum is a SHA-256 of what the render prints, notes included: of two renders with
// one sum nothing that is printed differs.
func (r *Render) Sum() [sha256.Size]byte { return r.result.Sum() }

// Values are the values as the chart's templates saw them: the chart's own,
// its subcharts' and the profile's, merged. They must not be changed.
func (r *Render) Values() map[string]any { return r.result.Values }

// Warning is what Helm logs and goes on.
type Warning struct {
	Message string // in Helm's words, such as `info: skipping unknown hook: "pre-uninstall"`
	Value   string // path from the root of the values; "" if it is about an object

	manifest engine.Manifest
}

// Object is that which the warning is about, as "Kind/name"; "" for none.
func (w Warning) Object() string {
	if w.manifest.Kind == "" {
		return ""
	}
	return w.manifest.Kind + "/" + w.manifest.Name
}

// WarningPlace is the line that a warning is about: of a values file, or of the
// template that wrote the object's annotations.
func (r *Render) WarningPlace(w Warning) Place {
	if w.Value != "" {
		return r.Chart.ValuePlace(r.Profile, w.Value)
	}
	m := w.manifest
	line := m.Line + fieldLine(m.Text, "metadata.annotations.helm.sh/hook") - 1
	if frames := r.result.Locate(m.Template, line); len(frames) > 0 {
		return placeOf(r.Chart.engine, frames[0])
	}
	return Place{Template: m.Template, File: r.Chart.engine.Source(m.Template)}
}
