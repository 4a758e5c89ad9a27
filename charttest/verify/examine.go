package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
)

// examine asks the renders together what none can tell alone: which branches
// they took, and what they did with the values. A version of Kubernetes adds
// little to what a profile executes, so values are asked of the first only. A
// profile that failed to render takes no branch and reads no value; what only
// it would, the branches not taken name.
func (r *Result) examine(ctx context.Context, survey *charttest.Survey, config Config, cells []*cell, found *collection) error {
	if !slices.ContainsFunc(cells, func(c *cell) bool { return c.rendered }) {
		return nil
	}
	coverage := survey.Coverage()
	r.Coverage, r.Branches = coverage, coverage.Branches().Percent()
	for _, failure := range coverage.Unread {
		r.Unread = append(r.Unread, failure.Error())
	}
	if config.Coverage > 0 && r.Branches < config.Coverage {
		r.missed(coverage, config.Coverage, found)
	}
	if !config.Values {
		return nil
	}
	values, err := survey.Values(ctx)
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
