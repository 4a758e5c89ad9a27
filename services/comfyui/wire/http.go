package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Largest request bodies, bytes.
const (
	MaxUpload = 100 << 20 // ComfyUI's --max-upload-size
	MaxPrompt = 32 << 20
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
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			Refuse(w, http.StatusRequestEntityTooLarge, "request_too_large", "The request is too large",
				fmt.Sprintf("the limit is %d MiB", limit>>20))
		} else {
			Refuse(w, http.StatusBadRequest, "bad_request", "The request could not be read", err.Error())
		}
		return false
	}
	if err := json.Unmarshal(raw, into); err != nil {
		Refuse(w, http.StatusBadRequest, "invalid_json", "The request is not the JSON object that is expected here", err.Error())
		return false
	}
	return true
}

// ClearOrDelete is POST /queue and POST /history: {"clear": true} or {"delete": [ids]}. remove gets nil for all.
func ClearOrDelete(w http.ResponseWriter, r *http.Request, remove func(ids []string)) {
	var in struct {
		Clear  bool     `json:"clear"`
		Delete []string `json:"delete"`
	}
	if !Body(w, r, 1<<20, &in) {
		return
	}
	if in.Clear {
		remove(nil)
	}
	if len(in.Delete) > 0 {
		remove(in.Delete)
	}
}

// SameOrigin refuses what a web page elsewhere makes a browser send to a server on its own machine, as ComfyUI does.
func SameOrigin(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" && r.Host != "" {
			host, _, err := net.SplitHostPort(r.Host)
			if err != nil {
				host = r.Host
			}
			from, err := url.Parse(origin)
			ip := net.ParseIP(host)
			loopback := host == "localhost" || ip != nil && ip.IsLoopback()
			if loopback && (err != nil || !strings.EqualFold(from.Host, r.Host)) {
				w.WriteHeader(http.StatusForbidden)
				return
			}
		}
		next(w, r)
	})
}

// Query reads a request's query. Go drops parameters with a semicolon, which ComfyUI's clients send ("preview=webp;90").
func Query(r *http.Request) url.Values {
	q, _ := url.ParseQuery(strings.ReplaceAll(r.URL.RawQuery, ";", "%3B"))
	return q
}
