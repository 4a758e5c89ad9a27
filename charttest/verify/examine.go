package verify

import (
	"context"
	"fmt"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
)

// examine asks the renders together what none can tell alone: which branches
// they took, and what they did with the values. A version of Kubernetes adds
// little to what a profile executes, so values are asked of the first only.
func (r *Result) examine(ctx context.Context, chart *charttest.Chart, config Config, cells []*cell, found *collection) error {
	var all, first []*charttest.Render
	for _, c := range cells {
		if c.render == nil {
			return nil // what failed to render is neither covered nor dead
		}
		all = append(all, c.render)
		if c.version == r.Versions[0] {
			first = append(first, c.render)
		}
	}
	coverage, err := chart.Cover(ctx, all...)
	if err != nil {
		return fmt.Errorf("coverage: %w", err)
	}
	r.Coverage, r.Branches = coverage, coverage.Branches().Percent()
	if config.Coverage > 0 && r.Branches < config.Coverage {
		r.missed(coverage, config.Coverage, found)
	}
	if !config.Values {
		return nil
	}
	values, err := chart.ExamineValues(ctx, first...)
	if err != nil {
		return fmt.Errorf("values: %w", err)
	}
	for name, uses := range map[string][]charttest.ValueUse{
		"value-dead": values.Dead, "value-undeclared": values.Undeclared, "value-hole": values.Holes,
	} {
		for _, v := range uses {
			found.add(check.Finding{
				Check: name, Message: v.Path + ": " + v.Message, Remedy: rule(name).Remedy, Field: v.Path, File: v.Place.File, Line: v.Place.Line,
			}, "", "")
		}
	}
	return nil
}

// missed reports each branch that no profile took.
func (r *Result) missed(coverage *charttest.Coverage, want float64, found *collection) {
	for _, file := range coverage.Files {
		for _, m := range file.Missed {
			found.add(check.Finding{
				Check:   "coverage",
				Message: fmt.Sprintf("no profile takes %s (%.1f %% of branches are taken, %.1f %% are asked for)", m.Branch, r.Branches, want),
				Remedy:  rule("coverage").Remedy, File: m.Place.File, Line: m.Place.Line,
			}, "", "")
		}
	}
}
