// Package stages runs named stages one after the other, each under a budget of time if asked for, and prints at the end
// which took how long.
package stages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Stage is one piece of work. Its function must end when the context does.
type Stage struct {
	Name   string
	Budget time.Duration
	Run    func(context.Context) error
}

// Result is what became of a stage.
type Result struct {
	Stage
	Took time.Duration
	Err  error
}

// ErrBudget is wrapped by the error of a stage that took longer than its budget.
var ErrBudget = errors.New("over its budget")

// Run runs the stages until one fails. With budgets, a stage that exceeds its own is ended and has failed.
func Run(ctx context.Context, say func(string, ...any), budgets bool, stages []Stage) ([]Result, error) {
	var results []Result
	for _, s := range stages {
		say("stage %s (budget %s)", s.Name, s.Budget)
		stage, cancel := ctx, context.CancelFunc(func() {})
		if budgets {
			stage, cancel = context.WithTimeout(ctx, s.Budget)
		}
		began := time.Now()
		err := s.Run(stage)
		if budgets && errors.Is(stage.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
			err = fmt.Errorf("stage %s: %w of %s; what it was doing: %v", s.Name, ErrBudget, s.Budget, err)
		}
		cancel()
		results = append(results, Result{s, time.Since(began), err})
		if err != nil {
			return results, fmt.Errorf("stage %s: %w", s.Name, err)
		}
	}
	return results, nil
}

// Select returns the stages named in a comma-separated list; an empty list means all.
func Select(all []Stage, list string) ([]Stage, error) {
	if list == "" {
		return all, nil
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	var chosen []Stage
	for _, want := range strings.Split(list, ",") {
		i := slices.Index(names, want)
		if i < 0 {
			return nil, fmt.Errorf("no stage %q: there are %s", want, strings.Join(names, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// Table prints the results.
func Table(out io.Writer, results []Result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "stage\ttook\tbudget\t")
	var total time.Duration
	for _, r := range results {
		outcome := ""
		if r.Err != nil {
			outcome = "FAILED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Name, r.Took.Round(time.Second), r.Budget, outcome)
		total += r.Took
	}
	fmt.Fprintf(w, "total\t%s\t\t\n", total.Round(time.Second))
	w.Flush()
}
