package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Largest request bodies, bytes.
const (
	MaxUpload = 100 << 20 // ComfyUI's --max-upload-size
	MaxPrompt = 8 << 20
)

// Answer writes v as JSON.
func Answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(body)
}

// Refuse answers with an error in the form of ComfyUI's POST /prompt.
func Refuse(w http.ResponseWriter, status int, kind, message, details string) {
	Answer(w, status, map[string]any{
		"error":       map[string]any{"type": kind, "message": message, "details": details, "extra_info": map[string]any{}},
		"node_errors": map[string]any{},
	})
}

// Body reads a JSON body of at most limit bytes, or answers and returns false. ComfyUI answers 500 to what isn't JSON;
// 400 and 413 tell the caller more.
func Body(w http.ResponseWriter, r *http.Request, limit int64, into any) bool {
	raw := make([]byte, 0, min(max(r.ContentLength, 512), limit)+1)
	body := http.MaxBytesReader(w, r.Body, limit)
	var err error
	for err == nil {
		var n int
		n, err = body.Read(raw[len(raw):cap(raw)])
		if raw = raw[:len(raw)+n]; len(raw) == cap(raw) {
			raw = append(raw, 0)[:len(raw)]
		}
	}
	if err != io.EOF {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			Refuse(w, http.StatusRequestEntityTooLarge, "request_too_large", "The request is too large",
				fmt.Sprintf("the limit is %d MiB", limit>>20))
		} else {
			Refuse(w, http.StatusBadRequest, "bad_request", "The request could not be read", err.Error())
		}
		return false
	}
	err = json.Unmarshal(raw, into)
	if err == nil && !utf8.Valid(raw) {
		err = errors.New("it is not UTF-8")
	}
	if err != nil {
		Refuse(w, http.StatusBadRequest, "invalid_json", "The request is not the JSON object that is expected here", err.Error())
		return false
	}
	return true
}

// ClearOrDelete is POST /queue and POST /history: {"clear": true} or {"delete": [ids]}. remove gets nil for all; failed
// answers where it could not.
func ClearOrDelete(w http.ResponseWriter, r *http.Request, remove func(ids []string) error, failed func(http.ResponseWriter, error)) {
	var in struct {
		Clear  bool     `json:"clear"`
		Delete []string `json:"delete"`
	}
	if !Body(w, r, 1<<20, &in) {
		return
	}
	var err error
	if in.Clear {
		err = remove(nil)
	}
	if len(in.Delete) > 0 && err == nil {
		err = remove(in.Delete)
	}
	if err != nil {
		failed(w, err)
	}
}

// Page reads the query of GET /history: max_items and offset, -1 where they are not given. It answers and returns false
// if they are no numbers.
func Page(w http.ResponseWriter, r *http.Request) (limit, offset int, ok bool) {
	limit, offset = -1, -1
	for name, value := range map[string]*int{"max_items": &limit, "offset": &offset} {
		if text := r.URL.Query().Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				Refuse(w, 400, "bad_request", name+" must be a whole number", name+"="+text)
				return limit, offset, false
			}
			*value = max(n, -1)
		}
	}
	return limit, offset, true
}

// IsID tells whether id is a UUID in its canonical form, as the ids of prompts are.
func IsID(id string) bool {
	parsed, err := uuid.Parse(id)
	return err == nil && parsed.String() == id
}

// SameOrigin refuses what a web page elsewhere makes a browser send: the browser would add the password it knows for us.
// ComfyUI does so where it is asked by a loopback address, which is all it is protected by.
func SameOrigin(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		from, err := url.Parse(origin)
		if origin != "" && (err != nil || !strings.EqualFold(from.Host, r.Host)) ||
			r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		next(w, r)
	})
}

// Query reads a request's query. Go drops parameters with a semicolon, which ComfyUI's clients send ("preview=webp;90").
func Query(r *http.Request) url.Values {
	q, _ := url.ParseQuery(strings.ReplaceAll(r.URL.RawQuery, ";", "%3B"))
	return q
}
