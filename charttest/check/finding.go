package check

import (
	"fmt"

	"github.com/ai-film/ai-film/charttest"
)

// Finding is a defect of a chart. The checks of this package, an API server
// (package dryrun) and package verify all report findings.
type Finding struct {
	Check   string `json:"check"`            // name of the check
	Message string `json:"message"`          // what is wrong
	Remedy  string `json:"remedy"`           // what to do about it
	Object  string `json:"object,omitempty"` // "Kind/name"; "" if it is about none
	Field   string `json:"field,omitempty"`  // such as "spec.replicas", or the path of a value; "" for the whole object

	// File and Line, from 1, are where to look; Line is 0 if unknown. Findings
	// of a render have them only after Locate: it takes a second render.
	File string `json:"file"`
	Line int    `json:"line,omitempty"`

	// Profiles and Versions (of Kubernetes) are those that show it. Package
	// verify fills them in, and Accepted, the reason of a suppression.
	Profiles []string `json:"profiles"`
	Versions []string `json:"versions"`
	Accepted string   `json:"accepted,omitempty"`

	object *charttest.Object
}

// Finding is a finding of the check, in an object's field.
func (c *Check) Finding(o *charttest.Object, field, format string, args ...any) Finding {
	return Finding{Check: c.Name, Message: fmt.Sprintf(format, args...), Remedy: c.Remedy, Object: o.String(), Field: field, object: o}
}

// Place is File and Line, or the template line that wrote the field.
func (f Finding) Place() charttest.Place {
	if f.File == "" && f.object != nil {
		return f.object.At(f.Field)
	}
	return charttest.Place{File: f.File, Line: f.Line}
}

// Locate fills in File and Line, and lets go of the render.
func (f *Finding) Locate() {
	place := f.Place()
	f.File, f.Line, f.object = place.File, place.Line, nil
}

// String is like "charts/…/service.yaml:12: Service/web: … (service-port)".
func (f Finding) String() string {
	text := f.Message
	if f.Object != "" {
		text = f.Object + ": " + text
	}
	return fmt.Sprintf("%s: %s (%s)", f.Place(), text, f.Check)
}
