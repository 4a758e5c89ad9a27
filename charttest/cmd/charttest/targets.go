package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/internal/ct"
)

// target is a chart to verify.
type target struct {
	ct.Choice
	config *ct.Config // nil where nothing but the chart itself is asked about
	chosen *ct.Chosen // nil unless it is about what changed
}

// targets are the charts that the flags mean, and says which they are where
// they had to be looked for.
func (v *verification) targets(ctx context.Context, say io.Writer) ([]target, error) {
	if v.since == "" && !v.changed && !v.all {
		if len(v.charts) == 0 {
			v.charts = []string{"."}
		}
		var targets []target
		for _, path := range v.charts {
			if len(v.charts) > 1 && noChart(path) { // charts/* takes what lies beside charts, too
				fmt.Fprintf(say, "%s: no chart, passed over\n", path)
				continue
			}
			targets = append(targets, target{Choice: ct.Choice{Path: path}})
		}
		if len(targets) == 0 {
			return nil, errors.New("there is no chart among them")
		}
		return targets, nil
	}
	config, err := ct.Load(".", v.ct)
	if err != nil {
		return nil, err
	}
	var choices []ct.Choice
	var chosen *ct.Chosen
	switch {
	case v.all:
		choices, err = config.All()
	case v.changed && len(config.Charts) > 0 && len(v.charts) == 0: // ct verifies these, changed or not
		for _, path := range config.Charts {
			choices = append(choices, ct.Choice{Path: path})
		}
	default:
		named := slices.DeleteFunc(slices.Clone(v.charts), noChart)
		if len(named) == 0 && len(v.charts) > 0 {
			return nil, errors.New("there is no chart among them")
		}
		if len(named) == 0 && config.File == "" && isFile("Chart.yaml") { // a repository that is one chart
			named = []string{"."}
		}
		if chosen, err = config.Changed(ctx, v.since, named...); err == nil {
			choices = chosen.Charts
		}
	}
	if err != nil {
		return nil, err
	}
	switch {
	case len(choices) == 0 && chosen != nil:
		fmt.Fprintf(say, "no chart has changed since %s (%.9s)\n", chosen.Since, chosen.Base)
	case len(choices) == 0:
		return nil, errors.New("there are no charts in chart-dirs: name folders of charts in ct.yaml, or charts themselves")
	}
	var targets []target
	for _, choice := range choices {
		if chosen != nil {
			fmt.Fprintf(say, "%s: %s since %s (%.9s)\n", choice.Path, choice.Because, chosen.Since, chosen.Base)
		}
		targets = append(targets, target{choice, &config, chosen})
	}
	return targets, nil
}

// accounts asks for the accounts of maintainers.
var accounts = &http.Client{Timeout: 30 * time.Second}

// findings are what ct.yaml asks of the chart and isn't so.
func (t target) findings(ctx context.Context) ([]check.Finding, error) {
	if t.config == nil {
		return nil, nil
	}
	complaints, err := t.config.Complaints(ctx, t.chosen, t.Choice, accounts)
	if err != nil {
		return nil, err
	}
	all := []check.Finding{}
	for _, c := range complaints {
		all = append(all, check.Finding{Check: c.Check, Message: c.Message, File: c.File, Line: c.Line})
	}
	return all, nil
}

// noChart says whether something is there that can't be meant as a chart: a
// folder without a Chart.yaml, or a file that is no archive.
func noChart(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false // loading it says so
	}
	if info.IsDir() {
		return !isFile(filepath.Join(path, "Chart.yaml"))
	}
	return filepath.Ext(path) != ".tgz" && filepath.Ext(path) != ".gz"
}

func isFile(path string) bool {
	info, err := os.Stat(filepath.Clean(path))
	return err == nil && info.Mode().IsRegular()
}
