package unittest

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// Failure is one line about something that failed.
type Failure struct {
	File     string          // the suite's
	Line     int             // of the assertion, or of the test
	Message  string          // in a few words
	Template charttest.Place // what wrote the field, or failed; zero if unknown
}

func (f Failure) String() string {
	text := fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message)
	if !f.Template.IsZero() {
		text += fmt.Sprintf(" (%s)", f.Template)
	}
	return text
}

// failuresOf says where a test that failed did so.
func (c *chartRun) failuresOf(t *test, o *outcome, result *TestResult) []Failure {
	at := Failure{File: t.suite.file, Line: t.Name.line}
	if at.Line == 0 && len(t.Assertions) > 0 && t.Assertions[0] != nil {
		at.Line = t.Assertions[0].line
	}
	var all []Failure
	if result.Err != nil {
		at.Message = firstLine(result.Err.Error())
		at.Template = c.placeOfFailure(o)
		all = append(all, at)
	}
	if o.renderErr != nil && t.mustRender || o.broken != nil {
		return all // the assertions only say that there is nothing
	}
	for _, a := range result.Assertions {
		if a.Passed {
			continue
		}
		f := Failure{File: at.File, Line: a.Line, Message: strings.TrimSpace(a.Title()[2:])}
		f.Template = c.placeOfFailure(o)
		for i, failed := range a.failed {
			if i == 0 && failed.path != "" {
				f.Message += " at " + failed.path
			}
			if f.Template.IsZero() {
				f.Template = c.place(o, failed)
			}
		}
		all = append(all, f)
	}
	return append(all, result.Failures...)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func (c *chartRun) placeOfFailure(o *outcome) charttest.Place {
	var schema *engine.SchemaError
	if o.failure == nil || errors.As(o.renderErr, &schema) {
		return charttest.Place{}
	}
	frame, ok := o.failure.Place()
	if !ok {
		return charttest.Place{}
	}
	return c.placeOf(frame)
}

func (c *chartRun) placeOf(f engine.Frame) charttest.Place {
	return charttest.Place{Template: f.Template, File: c.chart.Source(f.Template), Line: f.Line}
}

// place is the line of the template that wrote the field, or the file if that
// isn't known.
func (c *chartRun) place(o *outcome, f failure) charttest.Place {
	text, ok := o.texts[f.template]
	if !ok || o.outputs == nil || o.postRendered || path.Ext(f.template) == ".txt" {
		return charttest.Place{}
	}
	if line := lineOf(text, slices.Index(o.documents[f.template], f.doc), f.path); line > 0 {
		if frames := o.outputs.Locate(f.template, line); len(frames) > 0 {
			return c.placeOf(frames[0])
		}
	}
	return charttest.Place{Template: f.template, File: c.chart.Source(f.template)}
}

// lineOf is the line of a text where a field stands in the document of a
// number, or the document itself; 0 if it has no such document.
func lineOf(text string, index int, path string) int {
	for _, part := range parts(text) {
		var root yaml.Node
		if yaml.Unmarshal([]byte(part.text), &root) != nil || len(root.Content) == 0 || len(root.Content[0].Content) == 0 {
			continue
		}
		if index--; index >= 0 {
			continue
		}
		line := root.Content[0].Line
		for {
			p, err := parsePath(path)
			if err != nil || path == "" {
				return part.line + line
			}
			if found, err := p.Find(&root); err == nil && len(found) > 0 {
				return part.line + found[0].Line
			}
			path = path[:max(strings.LastIndexAny(path, ".["), 0)] // its parent then
		}
	}
	return 0
}
