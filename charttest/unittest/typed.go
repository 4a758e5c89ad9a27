package unittest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/ai-film/ai-film/charttest"
)

// typedChart is the chart as charttest decodes it, strictly.
type typedChart struct{ chart *charttest.Chart }

func loadTyped(path string) (*typedChart, error) {
	chart, err := charttest.Load(path)
	return &typedChart{chart}, err
}

// checkTypes fails a test whose templates wrote objects that break their
// schema.
func (c *chartRun) checkTypes(t *test, o *outcome, result *TestResult) {
	values, err := c.run.userValues(t)
	if err != nil {
		return
	}
	vals := map[string]any{}
	if json.Unmarshal(values, &vals) != nil {
		return
	}
	_, err = c.types.chart.Render(context.Background(), charttest.Profile{
		Values: vals, Release: strings.ToLower(t.Release.Name), Namespace: t.Release.Namespace, Upgrade: t.Release.IsUpgrade,
		KubeVersion: t.kube.major + "." + t.kube.minor, APIVersions: t.apiVersions, SkipSchema: c.run.SkipSchema,
	})
	var strict *charttest.StrictError
	if !errors.As(err, &strict) {
		return // what fails as a whole chart isn't what the test rendered
	}
	for _, p := range strict.Problems {
		if _, ok := o.texts[p.Object.Template]; !ok {
			continue
		}
		result.Passed = false
		result.Failures = append(result.Failures, Failure{
			File: t.suite.file, Line: t.Name.line, Template: p.Place(), Message: fmt.Sprintf("%s: %s", p.Object, p.Message),
		})
	}
}
