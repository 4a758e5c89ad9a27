package plainyaml

import (
	"encoding/json"
	"strings"
	"sync"

	"sigs.k8s.io/yaml"
)

// scalar is what a plain scalar means.
type scalar struct {
	kind Kind
	text string
}

// resolve says what a plain scalar means. Words are strings and short numbers
// numbers; for all else the general implementation is asked, once.
func resolve(s string) (scalar, bool) {
	if word(s) {
		return scalar{String, s}, true
	}
	if integer(s) {
		return scalar{Number, s}, true
	}
	switch s {
	case "true", "false":
		return scalar{Bool, s}, true
	case "null", "~":
		return scalar{Null, ""}, true
	}
	return oracle.ask(s)
}

// word says whether s can be nothing but a string: it starts with a letter or
// a slash, and is none of the words with a meaning, which are short.
func word(s string) bool {
	if s == "" {
		return false
	}
	switch c := s[0]; {
	case c == '/' || c == '_' || c == '$' || c == '(':
		return true
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		return len(s) > 5 || !strings.ContainsRune("yYnNtTfFoO", rune(c))
	}
	return false
}

// integer says whether s is a decimal number that fits an int64 and looks the
// same in JSON.
func integer(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > 18 || digits[0] == '0' && s != "0" {
		return false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
	}
	return true
}

// maxAsked bounds what the oracle remembers.
const maxAsked = 1 << 14

var oracle = asked{answers: make(map[string]scalar)}

// asked are the scalars that the general implementation was asked about.
type asked struct {
	mu      sync.RWMutex
	answers map[string]scalar
}

func (a *asked) ask(s string) (scalar, bool) {
	a.mu.RLock()
	sc, ok := a.answers[s]
	a.mu.RUnlock()
	if ok {
		return sc, true
	}
	data, err := yaml.YAMLToJSON([]byte("- " + s))
	if err != nil || len(data) < 3 || data[0] != '[' {
		return scalar{}, false
	}
	data = data[1 : len(data)-1]
	switch c := data[0]; {
	case c == '"':
		if json.Unmarshal(data, &sc.text) != nil {
			return scalar{}, false
		}
		sc.kind = String
	case c == 't' || c == 'f':
		sc = scalar{Bool, string(data)}
	case c == 'n':
		sc = scalar{Null, ""}
	case c == '-' || c >= '0' && c <= '9':
		sc = scalar{Number, string(data)}
	default:
		return scalar{}, false
	}
	a.mu.Lock()
	if len(a.answers) >= maxAsked {
		clear(a.answers)
	}
	a.answers[strings.Clone(s)] = sc
	a.mu.Unlock()
	return sc, true
}
