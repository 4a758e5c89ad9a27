package charttest

import (
	"context"
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
	Warnings []string  // what Helm would log, about values of the wrong kind for instance

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
	p := profile(options)
	values, err := p.overrides(c.getters).Merge()
	if err != nil {
		return nil, convert(c.engine, err)
	}
	release, err := p.release()
	if err != nil {
		return nil, err
	}
	r, err := c.memo.render(ctx, p.key(values, release), func() (*Render, error) {
		release.Decode = c.decode
		result, err := c.engine.Render(ctx, values, release)
		if err != nil {
			return nil, convert(c.engine, err)
		}
		r := &Render{Chart: c, Notes: result.Notes, Warnings: result.Warnings, result: result}
		r.decode()
		return r, nil
	})
	if err != nil {
		return nil, err
	}
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

// Values are the values as the chart's templates saw them: the chart's own,
// its subcharts' and the profile's, merged. They must not be changed.
func (r *Render) Values() map[string]any { return r.result.Values }
