package charttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// LoadError says why a path is no chart.
type LoadError struct {
	Path string
	Err  error
}

func (e *LoadError) Error() string { return fmt.Sprintf("%s: not a chart: %v", e.Path, e.Err) }
func (e *LoadError) Unwrap() error { return e.Err }

// ValuesError says which of the values given to a render could not be read.
type ValuesError struct {
	Source string // the file or option, where known
	Err    error
}

func (e *ValuesError) Error() string {
	if e.Source == "" || strings.Contains(e.Err.Error(), e.Source) {
		return e.Err.Error()
	}
	return e.Source + ": " + e.Err.Error()
}
func (e *ValuesError) Unwrap() error { return e.Err }

// SchemaError says where values break the chart's values.schema.json, or a
// subchart's.
type SchemaError struct {
	Violations []Violation
	text       string
}

// Violation is one value that breaks a schema.
type Violation struct {
	Chart   string // the chart whose schema it is
	Value   string // path of the value from the root chart, such as "flask.replicas"; "" for all of them
	Rule    string // the schema's keyword, such as "/type"
	Message string // such as "got string, want integer"
}

func (v Violation) String() string {
	value := v.Value
	if value == "" {
		value = "(values)"
	}
	return value + ": " + v.Message
}

func (e *SchemaError) Error() string {
	lines := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		lines[i] = v.String()
	}
	return "values break the schema of chart " + e.charts() + ":\n  " + strings.Join(lines, "\n  ")
}

func (e *SchemaError) charts() string {
	var names []string
	for _, v := range e.Violations {
		if len(names) == 0 || names[len(names)-1] != v.Chart {
			names = append(names, v.Chart)
		}
	}
	return strings.Join(names, ", ")
}

// Helm is the text with which Helm refuses the same values.
func (e *SchemaError) Helm() string { return e.text }

// Reason is the kind of a [Failure].
type Reason string

const (
	Broken   Reason = "broken"   // a template could not be executed
	Unparsed Reason = "unparsed" // a template could not be parsed
	Refused  Reason = "refused"  // the chart called fail
	Required Reason = "required" // the chart called required
	Endless  Reason = "endless"  // recursion, time or output without end
	Unfit    Reason = "unfit"    // Kubernetes version or release name don't suit
	NotYAML  Reason = "not yaml" // a template wrote something else than YAML
)

// Failure says that a chart could not be rendered. Template, Line and Message
// are where to look first and what is wrong there.
type Failure struct {
	Reason   Reason
	Template string  // the template file, as in Helm's «# Source:» lines: "ai-film/templates/validation.yaml"
	Line     int     // from 1; 0 if it is about no line
	Message  string  // what fail or required said, or what went wrong
	Place    Place   // Template and Line, as a file
	Stack    []Place // from the template that Helm rendered down to Place; one element if it did not include any
	text     string
}

func (e *Failure) Error() string {
	if e.Template == "" {
		return e.Message
	}
	text := fmt.Sprintf("%s: %s", e.Place, e.Message)
	if len(e.Stack) > 1 {
		text += fmt.Sprintf(" (included from %s)", e.Stack[0])
	}
	return text
}

// Helm is the text with which Helm fails at the same.
func (e *Failure) Helm() string { return e.text }

// convert turns the engine's errors into this package's.
func convert(c *engine.Chart, err error) error {
	var load *engine.LoadError
	var values *engine.ValuesError
	var schema *engine.SchemaError
	var failure *engine.Failure
	var output *engine.RenderError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &load):
		return &LoadError{Path: load.Path, Err: load.Err}
	case errors.As(err, &values):
		if strings.Contains(values.Source, "://") && errors.Is(values.Err, fs.ErrNotExist) {
			values.Err = fmt.Errorf("%w; for a URL give Load the Getter of its scheme", values.Err)
		}
		return &ValuesError{Source: values.Source, Err: values.Err}
	case errors.As(err, &schema):
		e := &SchemaError{text: schema.Error()}
		for _, v := range schema.Violations {
			e.Violations = append(e.Violations, Violation{
				Chart: v.Chart, Value: strings.Join(v.Path, "."), Rule: v.Rule, Message: v.Message,
			})
		}
		return e
	case errors.As(err, &failure):
		return convertFailure(c, failure)
	case errors.As(err, &output):
		place := Place{Template: output.Template, File: c.Source(output.Template), Line: output.Line}
		if frames := output.Frames; len(frames) > 0 {
			place.Line = frames[0].Line
		}
		return &Failure{
			Reason: NotYAML, Template: output.Template, Line: place.Line, Message: output.Err.Error(),
			Place: place, Stack: []Place{place}, text: output.Error(),
		}
	}
	// What is left are complaints of dependency resolution about values.
	return &ValuesError{Err: err}
}

var reasons = map[engine.Reason]Reason{
	engine.Broken: Broken, engine.Unparsed: Unparsed, engine.Failed: Refused,
	engine.Required: Required, engine.Endless: Endless, engine.KubeOld: Unfit, engine.Misnamed: Unfit,
}

func convertFailure(c *engine.Chart, f *engine.Failure) *Failure {
	e := &Failure{Reason: reasons[f.Reason], Message: f.Message, text: f.Error()}
	for _, frame := range f.Frames {
		e.Stack = append(e.Stack, placeOf(c, frame))
	}
	if at, ok := f.Place(); ok {
		e.Place = placeOf(c, at)
		e.Template, e.Line = at.Template, at.Line
	}
	return e
}
