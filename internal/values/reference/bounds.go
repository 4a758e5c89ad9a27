package reference

import (
	"fmt"
	"strconv"
	"strings"
)

// bounds are what the tag `schema` of a field says: comma-separated pairs of
//
//	min=, max=     the least and the greatest number
//	minLength=     the least length of a text
//	enum=          the texts allowed, separated by |
//	pattern=       a regular expression for a text
//	format=        a text of a kind: name, host or url; with ? at the end it may be empty
//	keys=          a regular expression for the keys of a table
type bounds map[string]string

// formats are the regular expressions of the kinds of text, without anchors.
var formats = map[string]string{
	"name": `[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?`,
	"host": `[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?`,
	"url":  `https?://[^\s,]+`,
}

// quantity is an amount in Kubernetes' notation.
const quantity = `^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$`

func parseBounds(tag string) (bounds, error) {
	b := bounds{}
	if tag == "" {
		return b, nil
	}
	for pair := range strings.SplitSeq(tag, ",") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || value == "" {
			return nil, fmt.Errorf("tag schema:%q: %q is not key=value", tag, pair)
		}
		switch key {
		case "min", "max", "minLength":
			if _, err := strconv.Atoi(value); err != nil {
				return nil, fmt.Errorf("tag schema:%q: %s is not a number", tag, value)
			}
		case "format":
			if formats[strings.TrimSuffix(value, "?")] == "" {
				return nil, fmt.Errorf("tag schema:%q: there is no format %s", tag, value)
			}
		case "enum", "pattern", "keys":
		default:
			return nil, fmt.Errorf("tag schema:%q: there is no %s", tag, key)
		}
		b[key] = value
	}
	return b, nil
}

// text lays the bounds of a text over its schema.
func (b bounds) text(schema map[string]any) {
	if enum := b["enum"]; enum != "" {
		schema["enum"] = strings.Split(enum, "|")
	}
	if pattern := b["pattern"]; pattern != "" {
		schema["pattern"] = pattern
	}
	if length := b["minLength"]; length != "" {
		schema["minLength"], _ = strconv.Atoi(length)
	}
	if format := b["format"]; format != "" {
		pattern, optional := strings.CutSuffix(format, "?")
		pattern = "(" + formats[pattern] + ")"
		if optional {
			pattern += "?"
		}
		schema["pattern"] = "^" + pattern + "$"
	}
}

// number lays the bounds of a number over its schema.
func (b bounds) number(schema map[string]any) {
	for key, keyword := range map[string]string{"min": "minimum", "max": "maximum"} {
		if bound := b[key]; bound != "" {
			schema[keyword], _ = strconv.Atoi(bound)
		}
	}
}

// words say the bounds to people.
func (b bounds) words() string {
	switch {
	case b["enum"] != "":
		return "`" + strings.ReplaceAll(strings.TrimPrefix(b["enum"], "|"), "|", "`, `") + "`"
	case b["min"] != "" && b["max"] != "":
		return b["min"] + " to " + b["max"]
	}
	return ""
}
