// Package endpoint is the ConfigMap in which ComfyUI servers elsewhere are named, each under a key of its own. Nobody's
// release owns it: the bridge writes what registers, an operator may write by hand, and the relay watches it.
//
//	data:
//	  colab: https://some-words.trycloudflare.com
//	  workstation: '{"url": "https://gpu.example.com", "weight": 2}'
package endpoint

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Endpoint is one server elsewhere.
type Endpoint struct {
	Name       string    `json:"-"`                // its key
	URL        string    `json:"url"`              // base URL, no slash at the end
	Weight     float64   `json:"weight,omitempty"` // its share among servers of one pace, 1 if zero
	GPU        string    `json:"gpu,omitempty"`    // what it said it draws with
	Registered time.Time `json:"registered,omitzero"`
}

// Limits of a ConfigMap's content, so that a relay stays small whatever is written there.
const (
	Most   = 32   // endpoints
	maxURL = 2048 // bytes
)

var names = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// CheckName says what is wrong with a name.
func CheckName(name string) error {
	if !names.MatchString(name) {
		return fmt.Errorf("%.60q is no name of a server: 1 to 40 of a-z, 0-9 and hyphens between them, such as colab-1", name)
	}
	return nil
}

// CheckURL returns a base URL as it is kept, or says what is wrong with it. Where its host leads is decided when it is
// connected to.
func CheckURL(text string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" ||
		u.ForceQuery || u.Fragment != "" || u.Opaque != "" || len(text) > maxURL {
		shown := "it" // what can't be parsed may hold a password anywhere
		if u != nil {
			u.RawQuery, u.Fragment = "", ""
			shown = fmt.Sprintf("%.200q", u.Redacted())
		}
		return "", fmt.Errorf("%s is no base URL such as https://some-words.trycloudflare.com (no user, password, query or fragment)", shown)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u.String(), nil
}

// Parse reads the content of the ConfigMap, by name. What can't be read is left out, and told.
func Parse(data map[string]string) (all []Endpoint, wrong []string) {
	for _, name := range slices.Sorted(maps.Keys(data)) {
		e := Endpoint{URL: data[name]}
		text := strings.TrimSpace(data[name])
		var err error
		if strings.HasPrefix(text, "{") {
			e.URL = ""
			err = json.Unmarshal([]byte(text), &e)
		}
		if e.Name = name; err == nil {
			err = CheckName(name)
		}
		if err == nil {
			e.URL, err = CheckURL(e.URL)
		}
		if err == nil && (e.Weight < 0 || e.Weight > 1000) {
			err = fmt.Errorf("weight %v is not between 0 and 1000", e.Weight)
		}
		if err == nil && len(all) == Most {
			err = fmt.Errorf("more than %d servers", Most)
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%.60s: %v", name, err))
			continue
		}
		if e.Weight == 0 {
			e.Weight = 1
		}
		all = append(all, e)
	}
	return all, wrong
}

// Text is an endpoint as it stands in the ConfigMap.
func (e Endpoint) Text() string {
	text, _ := json.Marshal(e) // strings, a number and a time: can't fail
	return string(text)
}
