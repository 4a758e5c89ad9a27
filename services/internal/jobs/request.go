package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/internal/volume"
)

const maxBody = 1 << 20

// subjectOf is what a job is for, as the headers X-Film-Id and X-Shot-Id say.
func subjectOf(h http.Header) (volume.Subject, error) {
	const remedy = "send the film's id, and the shot's where the work is for one: 1 to 64 letters, digits, - and _"
	var s volume.Subject
	for _, header := range []struct {
		name     string
		value    *string
		optional bool
	}{{"X-Film-Id", &s.Film, false}, {"X-Shot-Id", &s.Shot, true}} {
		values := h.Values(header.name)
		switch {
		case len(values) == 0 && header.optional:
		case len(values) == 0:
			return s, serving.Invalid(header.name, remedy, "is missing")
		case len(values) > 1 || !volume.Identified(values[0]):
			return s, serving.Invalid(header.name, remedy, "%.100q is not an id", strings.Join(values, ", "))
		default:
			*header.value = values[0]
		}
	}
	return s, nil
}

// decode reads the request's body as one JSON object with the fields of into and no other: none unknown, none twice, none
// missing whose tag doesn't say omitempty. The problem of a wrong body lists every field that is at fault.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return serving.NewProblem(http.StatusUnsupportedMediaType, "unsupported media type",
			fmt.Sprintf("the body is declared as %.100q", r.Header.Get("Content-Type")), "send JSON with the header Content-Type: application/json")
	}
	body, release, err := read(http.MaxBytesReader(w, r.Body, maxBody))
	defer release()
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return serving.NewProblem(http.StatusRequestEntityTooLarge, "body too large", fmt.Sprintf("the body is larger than %d bytes", maxBody),
			"send paths on the shared volumes instead of contents")
	} else if slow, ok := errors.AsType[*serving.Problem](err); ok {
		return slow
	} else if err != nil {
		return serving.NewProblem(http.StatusBadRequest, "bad request", err.Error(), "")
	}
	if !utf8.Valid(body) {
		return notJSON("it is not UTF-8")
	}
	if !json.Valid(body) {
		var any any
		return notJSON(json.Unmarshal(body, &any).Error())
	}
	e := examiner{d: json.NewDecoder(bytes.NewReader(body))}
	e.d.UseNumber()
	e.value("", reflect.TypeOf(into).Elem())
	switch {
	case e.twice != "":
		return notJSON(fmt.Sprintf("the field %.100q is there twice", e.twice))
	case len(e.errors) > 0:
		return invalid(e.errors)
	}
	return json.Unmarshal(body, into)
}

// held is the bytes of the bodies that are being read or looked at, mostHeld how many that may be: whoever has the token
// may send as many bodies as there are connections, and all of them must not outgrow the service's memory.
var held atomic.Int64

const mostHeld = 32 << 20

// read reads a body as it comes, and refuses with 503 when too much is held. release gives back what it held.
func read(r io.Reader) (body []byte, release func(), err error) {
	release = func() { held.Add(-int64(len(body))) }
	piece := make([]byte, 16<<10)
	for {
		n, err := r.Read(piece)
		body = append(body, piece[:n]...)
		if held.Add(int64(n)) > mostHeld {
			return body, release, serving.NewProblem(http.StatusServiceUnavailable, "too many connections", "too many requests are being read", "ask again in a moment")
		}
		if err == io.EOF {
			return body, release, nil
		}
		if err != nil {
			return body, release, err
		}
	}
}

func notJSON(why string) error {
	return serving.NewProblem(http.StatusBadRequest, "not JSON", why, "send one JSON object")
}

// invalid is the problem of several fields.
func invalid(wrong []serving.FieldError) error {
	var details []string
	for _, e := range wrong[:min(len(wrong), 10)] {
		details = append(details, strings.TrimPrefix(e.Field+": "+e.Message, ": "))
	}
	p := serving.NewProblem(http.StatusUnprocessableEntity, "invalid request", strings.Join(details, "; "), "correct the fields named in errors")
	p.Errors = wrong
	return p
}

// examiner holds a valid JSON text to the type it is meant for. encoding/json would take fields in any case, the last of
// two of one name, null for everything, and name but the last part of an unknown field's path.
type examiner struct {
	d      *json.Decoder
	errors []serving.FieldError
	twice  string // a field that an object has twice
}

// wrong notes what is wrong with the field at a path: "clips.1".
func (e *examiner) wrong(path, format string, args ...any) {
	if len(e.errors) < 50 {
		e.errors = append(e.errors, serving.FieldError{Field: path, Message: fmt.Sprintf(format, args...)})
	}
}

// value examines the next value; t is nil for one that is wrong whatever it holds.
func (e *examiner) value(path string, t reflect.Type) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	token, err := e.d.Token()
	if err != nil { // deeper than encoding/json goes
		e.wrong(path, "%v", err)
		return
	}
	switch token {
	case json.Delim('{'):
		e.object(path, e.expect(path, t, "an object", reflect.Struct))
		return
	case json.Delim('['):
		list := e.expect(path, t, "a list", reflect.Slice)
		for n := 0; e.d.More(); n++ {
			if list == nil {
				e.value("", nil)
			} else {
				e.value(join(path, strconv.Itoa(n)), list.Elem())
			}
		}
		e.d.Token()
		return
	}
	switch v := token.(type) {
	case string:
		e.expect(path, t, "a text", reflect.String)
	case bool:
		e.expect(path, t, "a truth value", reflect.Bool)
	case json.Number:
		e.number(path, t, v.String())
	case nil:
		if t != nil {
			e.wrong(path, "want %s, not null", kind(t.Kind()))
		}
	}
}

// expect gives the type back if it is of a kind, else it notes what came instead and gives nil.
func (e *examiner) expect(path string, t reflect.Type, came string, want reflect.Kind) reflect.Type {
	if t == nil || t.Kind() == want {
		return t
	}
	e.wrong(path, "want %s, not %s", kind(t.Kind()), came)
	return nil
}

func (e *examiner) number(path string, t reflect.Type, text string) {
	if t == nil {
		return
	}
	var err error
	switch t.Kind() {
	case reflect.Int, reflect.Int64, reflect.Int32:
		_, err = strconv.ParseInt(text, 10, t.Bits())
	case reflect.Uint, reflect.Uint64, reflect.Uint32:
		_, err = strconv.ParseUint(text, 10, t.Bits())
	case reflect.Float64:
		_, err = strconv.ParseFloat(text, 64)
	default:
		e.wrong(path, "want %s, not a number", kind(t.Kind()))
		return
	}
	if err != nil {
		e.wrong(path, "want %s, not %.30s", kind(t.Kind()), text)
	}
}

func (e *examiner) object(path string, t reflect.Type) {
	fields := map[string]reflect.StructField{}
	if t != nil {
		for _, f := range reflect.VisibleFields(t) {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); f.IsExported() && name != "" {
				fields[name] = f
			}
		}
	}
	seen := map[string]bool{}
	for e.d.More() {
		token, err := e.d.Token()
		if err != nil {
			e.wrong(path, "%v", err)
			return
		}
		name := token.(string)
		if seen[name] {
			e.twice = name
		}
		seen[name] = true
		f, known := fields[name]
		if !known && t != nil {
			e.wrong(join(path, fmt.Sprintf("%.100s", name)), "is no field of this request")
		}
		if known {
			e.value(join(path, name), f.Type)
		} else {
			e.value("", nil)
		}
	}
	e.d.Token()
	if t == nil {
		return
	}
	for _, f := range reflect.VisibleFields(t) { // in order
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name != "" && !seen[name] && options != "omitempty" && f.Type.Kind() != reflect.Pointer {
			e.wrong(join(path, name), "is missing")
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// kind is the JSON name of a Go kind.
func kind(k reflect.Kind) string {
	switch k {
	case reflect.Struct:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "a truth value"
	case reflect.Float64:
		return "a number in range"
	}
	return "a whole number in range"
}
