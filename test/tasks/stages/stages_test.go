package stages

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func quiet(string, ...any) {}

func TestRunStopsAtTheFirstFailure(t *testing.T) {
	ran := ""
	stage := func(name string, err error) Stage {
		return Stage{Name: name, Budget: time.Minute, Run: func(context.Context) error { ran += name; return err }}
	}
	broken := errors.New("broken")
	results, err := Run(t.Context(), quiet, false, []Stage{stage("a", nil), stage("b", broken), stage("c", nil)})
	if !errors.Is(err, broken) || ran != "ab" || len(results) != 2 {
		t.Errorf("ran %q, %d results, error %v", ran, len(results), err)
	}
	var table strings.Builder
	Table(&table, results)
	if !strings.Contains(table.String(), "FAILED") {
		t.Errorf("table without the failure:\n%s", &table)
	}
}

func TestRunHoldsStagesToTheirBudget(t *testing.T) {
	slow := Stage{Name: "slow", Budget: 20 * time.Millisecond, Run: func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
			return nil
		}
	}}
	if _, err := Run(t.Context(), quiet, true, []Stage{slow}); !errors.Is(err, ErrBudget) {
		t.Errorf("error %v, want ErrBudget", err)
	}
	if _, err := Run(t.Context(), quiet, false, []Stage{slow}); err != nil {
		t.Errorf("without budgets: %v", err)
	}
}

func TestSelect(t *testing.T) {
	all := []Stage{{Name: "lint"}, {Name: "unit"}}
	if chosen, err := Select(all, "unit,lint"); err != nil || len(chosen) != 2 || chosen[0].Name != "unit" {
		t.Errorf("got %v, %v", chosen, err)
	}
	if chosen, err := Select(all, ""); err != nil || len(chosen) != 2 {
		t.Errorf("got %v, %v", chosen, err)
	}
	if _, err := Select(all, "lint,typo"); err == nil || !strings.Contains(err.Error(), "lint, unit") {
		t.Errorf("a wrong name gives %v", err)
	}
}
