package engine

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"
)

// Failure says that a template could not be parsed or executed. Error is
// Helm's text; the fields are for programs.
type Failure struct {
	Frames  []Frame // from the rendered template down to where it went wrong; empty if unknown
	Message string  // what a fail or required said, or else Go's complaint
	Reason  Reason
	text    string
}

// Frame is a place in a template, with the name of the define executing there.
type Frame struct {
	Template string // as in Helm's «# Source:» lines, or "gotpl" inside tpl
	Line     int    // from 1
	Column   int    // bytes, as text/template counts; 0 in parse errors
	Define   string // the define, or the template itself
}

// Reason is the kind of a Failure.
type Reason int

const (
	Broken   Reason = iota // an error while executing
	Unparsed               // not a template
	Failed                 // the chart refused: fail
	Required               // the chart refused: required
	Endless                // recursion, time or output without end
	KubeOld                // the chart's kubeVersion excludes the cluster's
	Misnamed               // a release name that Kubernetes would not take
)

func (e *Failure) Error() string { return e.text }

// Place is the innermost frame outside of tpl strings, where a reader should
// look first.
func (e *Failure) Place() (Frame, bool) {
	for i := len(e.Frames) - 1; i >= 0; i-- {
		if e.Frames[i].Template != rootName {
			return e.Frames[i], true
		}
	}
	return Frame{}, false
}

const (
	warnStart = "HELM_ERR_START"
	warnEnd   = "HELM_ERR_END"
)

var warned = regexp.MustCompile(warnStart + `((?s).*)` + warnEnd)

// refusal is what fail and required return.
type refusal struct {
	text   string
	reason Reason
}

func (r *refusal) Error() string { return warnStart + r.text + warnEnd }

// endless is what the guards against charts without end return.
type endless struct{ text string }

func (e *endless) Error() string { return e.text }

func parseFailure(filename string, err error) *Failure {
	f := &Failure{Reason: Unparsed}
	tokens := strings.Split(err.Error(), ": ")
	if len(tokens) == 1 {
		f.text = fmt.Sprintf("parse error in (%s): %s", filename, err)
		f.Frames = []Frame{{Template: filename, Line: 1}}
		f.Message = err.Error()
		return f
	}
	f.text = fmt.Sprintf("parse error at (%s): %s", tokens[1], tokens[len(tokens)-1])
	f.Message = strings.Join(tokens[2:], ": ")
	if frame, ok := parseLocation(tokens[1]); ok {
		f.Frames = []Frame{frame}
	} else {
		f.Frames = []Frame{{Template: filename, Line: 1}}
	}
	return f
}

func execFailure(helm Helm, filename string, err error) *Failure {
	f := &Failure{Reason: Broken, text: helm.execText(filename, err)}
	f.Frames, f.Message = parseFrames(err.Error())
	if len(f.Frames) == 0 {
		f.Frames = []Frame{{Template: filename, Line: 1, Define: filename}}
	}
	var r *refusal
	var e *endless
	switch {
	case errors.As(err, &r):
		f.Reason, f.Message = r.reason, r.text
	case errors.As(err, &e):
		f.Reason, f.Message = Endless, e.text
	case strings.Contains(f.Message, "exceeded maximum template depth"), strings.Contains(f.Message, "nested reference name"):
		f.Reason = Endless
	}
	if parts := warned.FindStringSubmatch(f.Message); parts != nil { // an error that lost its type on the way
		f.Reason, f.Message = Failed, parts[1]
	}
	return f
}

// execText is Helm's cleanupExecError.
func execText(filename string, err error) string {
	if _, ok := err.(template.ExecError); !ok {
		return err.Error()
	}
	tokens := strings.SplitN(err.Error(), ": ", 3)
	if len(tokens) != 3 {
		return fmt.Sprintf("execution error in (%s): %s", filename, err)
	}
	if parts := warned.FindStringSubmatch(tokens[2]); len(parts) >= 2 {
		return fmt.Sprintf("execution error at (%s): %s", tokens[1], parts[1])
	}
	return err.Error()
}

// frame matches «template: chart/templates/a.yaml:3:4: executing "x" at <…>: »,
// the way text/template reports each level of include.
var frame = regexp.MustCompile(`template: ((?:[^:]|:[^0-9])+):(\d+):(\d+): executing "((?:[^"\\]|\\.)*)" at <[^\n]*?>: `)

// maxFrames bounds the frames kept of a failure: recursion has a thousand.
const maxFrames = 64

func parseFrames(text string) ([]Frame, string) {
	const bound = 1 << 20 // nested tpl errors quote each other and grow without limit
	if len(text) > bound {
		text = text[len(text)-bound:]
	}
	var frames []Frame
	rest := text
	for _, m := range frame.FindAllStringSubmatchIndex(text, -1) {
		line, _ := strconv.Atoi(text[m[4]:m[5]])
		col, _ := strconv.Atoi(text[m[6]:m[7]])
		frames = append(frames, Frame{
			Template: text[m[2]:m[3]], Line: line, Column: col, Define: text[m[8]:m[9]],
		})
		rest = text[m[1]:]
	}
	if len(frames) > maxFrames {
		frames = append(frames[:maxFrames/2:maxFrames/2], frames[len(frames)-maxFrames/2:]...)
	}
	return frames, rest
}

func parseLocation(s string) (Frame, bool) {
	parts := strings.Split(s, ":")
	for i := len(parts) - 1; i > 0; i-- {
		line, err := strconv.Atoi(parts[i])
		if err != nil {
			break
		}
		if i >= 2 {
			if l, err := strconv.Atoi(parts[i-1]); err == nil {
				return Frame{Template: strings.Join(parts[:i-1], ":"), Line: l, Column: line}, true
			}
		}
		return Frame{Template: strings.Join(parts[:i], ":"), Line: line}, true
	}
	return Frame{}, false
}
