package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
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

// decode reads the request's body as one JSON object with the fields of into and no other.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return serving.NewProblem(http.StatusUnsupportedMediaType, "wrong content type",
			fmt.Sprintf("%q", r.Header.Get("Content-Type")), "send application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return serving.NewProblem(http.StatusRequestEntityTooLarge, "request too large", "a body is at most 1 MiB", "")
	} else if err != nil {
		return serving.NewProblem(http.StatusBadRequest, "unreadable request", err.Error(), "")
	}
	if !json.Valid(body) || !utf8.Valid(body) {
		var any any
		detail := "the body is not UTF-8"
		if err := json.Unmarshal(body, &any); err != nil {
			detail = err.Error()
		}
		return serving.NewProblem(http.StatusBadRequest, "not JSON", detail, "send one JSON object")
	}
	if b := bytes.TrimSpace(body); b[0] != '{' {
		return serving.NewProblem(http.StatusUnprocessableEntity, "invalid request", "the body is not a JSON object", "send one JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return invalid(d.Decode(into))
}

// invalid makes of encoding/json's errors the problem of a field.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return serving.Invalid(t.Field, "see the service's contract", "want %s, not %s", kind(t.Type.Kind().String()), t.Value)
	}
	if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
		return serving.Invalid(strings.Trim(name, `"`), "leave it out", "is no field of this request")
	}
	return serving.NewProblem(http.StatusUnprocessableEntity, "invalid request", err.Error(), "see the service's contract")
}

// kind is the JSON name of a Go kind.
func kind(k string) string {
	switch {
	case strings.HasPrefix(k, "int"), strings.HasPrefix(k, "uint"):
		return "a whole number in range"
	case strings.HasPrefix(k, "float"):
		return "a number"
	case k == "struct", k == "map":
		return "an object"
	case k == "slice":
		return "a list"
	}
	return "a " + k
}
