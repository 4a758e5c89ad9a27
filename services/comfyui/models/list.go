// Package models brings the files of ComfyUI's models to the volume that its servers read them from: each once, checked
// against its SHA-256, taken up again where a download broke off.
package models

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Model is one file.
type Model struct {
	// Name is what logs and errors call it.
	Name string `json:"name"`
	// URL is where it is; http only with List.AllowHTTP.
	URL string `json:"url"`
	// Path is where it goes, below the directory of models, such as checkpoints/sd_xl_base_1.0.safetensors.
	Path string `json:"path"`
	// SHA256 is its checksum in hexadecimal. Without one a file that is there is taken for the right one.
	SHA256 string `json:"sha256,omitempty"`
	// Bytes is about how large it is; 0 where nobody knows before the server says so.
	Bytes int64 `json:"bytes,omitempty"`
	// TokenFile holds what the URL's host, and no other, is shown as a bearer token; "" for nothing.
	TokenFile string `json:"tokenFile,omitempty"`
}

// List is what there is to fetch.
type List struct {
	Models    []Model `json:"models"`
	AllowHTTP bool    `json:"allowHTTP,omitempty"`
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Parse reads a list in JSON and refuses, all faults at once, what could not be fetched or would be written elsewhere than
// below the directory of models.
func Parse(data []byte) (List, error) {
	var list List
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&list); err != nil {
		return List{}, fmt.Errorf("list of models: %w", err)
	}
	return list, list.check()
}

// Load reads a list from a file.
func Load(file string) (List, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return List{}, err
	}
	list, err := Parse(data)
	if err != nil {
		return List{}, fmt.Errorf("%s: %w", file, err)
	}
	return list, nil
}

func (l List) check() error {
	var faults []error
	names, paths := map[string]bool{}, map[string]string{}
	for i, m := range l.Models {
		name := m.Name
		if name == "" {
			name = fmt.Sprintf("model %d", i+1)
		}
		refuse := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
		}
		if m.Name == "" {
			refuse("it has no name")
		}
		if names[m.Name] {
			refuse("two models have this name; give each its own")
		}
		names[m.Name] = true
		if err := l.checkURL(m.URL); err != nil {
			refuse("%v", err)
		}
		if err := checkPath(m.Path); err != nil {
			refuse("path %q: %v", m.Path, err)
		}
		if m.SHA256 != "" && !sha256Hex.MatchString(m.SHA256) {
			refuse("sha256 %q: want 64 hexadecimal digits in small letters, or none", m.SHA256)
		}
		if m.Bytes < 0 {
			refuse("it has %d bytes", m.Bytes)
		}
		// File systems that don't tell small letters from capitals would have one file for two.
		place := strings.ToLower(m.Path)
		for other, of := range paths {
			if place == other || strings.HasPrefix(place, other+"/") || strings.HasPrefix(other, place+"/") {
				refuse("path %q is in the way of %s's", m.Path, of)
			}
		}
		paths[place] = name
	}
	return errors.Join(faults...)
}

func (l List) checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("its url can't be read; want https://host/path") // the error would print it, tokens and all
	case u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("url: want https://host/path")
	case u.Scheme == "http" && !l.AllowHTTP:
		return errors.New("url: plain http may be changed on the way; use https, or allow http for servers of your own")
	case u.User != nil:
		return errors.New("url: it has a user or a password in it; use a token's Secret")
	}
	return nil
}

func checkPath(p string) error {
	switch {
	case p == "":
		return errors.New("want a path below the directory of models")
	case path.IsAbs(p) || strings.Contains(p, `\`) || path.Clean(p) != p || p == "." || slices.Contains(strings.Split(p, "/"), ".."):
		return errors.New("want a clean path below the directory of models, such as checkpoints/model.safetensors")
	case strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("it has control characters")
	}
	for part := range strings.SplitSeq(p, "/") {
		if strings.HasPrefix(part, ".") || len(part) > 200 {
			return errors.New("no part may begin with a dot, which is how what is in the making is named, or be longer than 200 bytes")
		}
	}
	return nil
}
