package charttest

import (
	"context"
	"sync"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// Survey gathers what renders of a chart show together: which branches of the
// templates they take, and what they do with the values. It keeps none of them,
// so that a chart of many profiles can be asked in little memory, and it may be
// added to by several goroutines at once.
type Survey struct {
	chart    *Chart
	executed engine.Executed
	mu       sync.Mutex
	values   *examination
}

// Survey is a new survey of the chart, with nothing in it.
func (c *Chart) Survey() *Survey { return &Survey{chart: c, values: c.examination()} }

// Render renders with the record that Cover and Examine take, so that neither
// renders once more. Errors are those of [Chart.Render].
func (s *Survey) Render(ctx context.Context, options ...Option) (*Render, error) {
	p := profile(options)
	p.Fresh = true
	return s.chart.render(ctx, p, s.chart.engine.RenderTraced)
}

// Cover adds what a render executed of the templates. Unless [Survey.Render] made
// it, it is rendered once more, with a record of the execution.
func (s *Survey) Cover(r *Render) error { return convert(s.chart.engine, s.executed.Add(r.result)) }

// Coverage is that of the renders so far.
func (s *Survey) Coverage() *Coverage { return s.chart.coverage(s.executed.Points(s.chart.engine)) }

// Examine adds what a render did with the values.
func (s *Survey) Examine(r *Render) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return convert(s.chart.engine, s.values.add(r))
}

// Values judges the values by the renders so far, as [Chart.ExamineValues] does.
// It takes further renders, with values changed.
func (s *Survey) Values(ctx context.Context) (*ValuesReport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	report, err := s.values.report(ctx)
	return report, convert(s.chart.engine, err)
}
