package charttest

import (
	"fmt"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// Place is a line of a chart's file.
type Place struct {
	Template string // as in Helm's «# Source:» lines: "ai-film/templates/ingress.yaml"
	File     string // the file on disk: "charts/ai-film/templates/ingress.yaml"; in archives "chart.tgz:templates/…"
	Line     int    // from 1; 0 if unknown
	Define   string // the define that the line belongs to, if it is not the template itself
}

// String is file:line, which editors and terminals make a link of.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// IsZero says whether the place is unknown.
func (p Place) IsZero() bool { return p == Place{} }

func placeOf(c *engine.Chart, f engine.Frame) Place {
	p := Place{Template: f.Template, File: c.Source(f.Template), Line: f.Line}
	if f.Define != f.Template {
		p.Define = f.Define
	}
	return p
}
