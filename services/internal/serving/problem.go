package serving

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Problem is an error as its caller should see it: a problem document of RFC 9457. It is an error itself, so that it
// travels up through ordinary returns.
type Problem struct {
	Type   string `json:"type"` // "about:blank": the status tells the kind
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Remedy string `json:"remedy,omitempty"` // what the caller can do about it

	Errors []FieldError `json:"errors,omitempty"` // the fields of the request that are wrong

	Missing []string `json:"missing,omitempty"` // dependencies that are not there
}

// FieldError says what is wrong with one field: its path within the request, such as "subtitles.2.end", or a header's name.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// NewProblem makes the problem of an HTTP status.
func NewProblem(status int, title, detail, remedy string) *Problem {
	return &Problem{Type: "about:blank", Title: title, Status: status, Detail: detail, Remedy: remedy}
}

// Invalid is the problem of a field whose value can't be worked with: 422. The format and its arguments make the detail,
// which the field's name is put before.
func Invalid(field, remedy, format string, args ...any) *Problem {
	message := fmt.Sprintf(format, args...)
	p := NewProblem(http.StatusUnprocessableEntity, "invalid request", field+": "+message, remedy)
	p.Errors = []FieldError{{field, message}}
	return p
}

func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// AsProblem is the problem within err, or 500 with err's text.
func AsProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return NewProblem(http.StatusInternalServerError, "internal error", err.Error(), "")
}

// WriteProblem answers a request with err as application/problem+json.
func WriteProblem(w http.ResponseWriter, err error) {
	p := AsProblem(err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	w.Write(p.encoded())
}

func (p *Problem) encoded() []byte {
	body, _ := json.Marshal(p) // strings and an int: can't fail
	return append(body, '\n')
}
