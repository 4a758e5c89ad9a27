package reference

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBoundsRefuseWhatTheyDoNotKnow(t *testing.T) {
	for _, tag := range []string{"minimum=1", "min=one", "min", "min=", "format=mail", "enum"} {
		_, err := parseBounds(tag)
		assert.Error(t, err, tag)
	}
}

func TestFormats(t *testing.T) {
	for format, texts := range map[string]map[string]bool{
		"name":  {"fast-disk": true, "a.b": true, "": false, "Fast": false, "-a": false, "a-": false, "a b": false},
		"name?": {"": true, "fast": true, "Fast": false},
		"host":  {"ai-film.local": true, "10.0.0.1": true, "http://a": false, "a/b": false, "": false},
		"url":   {"http://a:1/b": true, "https://a": true, "a": false, "ftp://a": false, "http://a b": false, "http://a,http://b": false},
		"url?":  {"": true, "a": false},
	} {
		bounds, err := parseBounds("format=" + format)
		require.NoError(t, err)
		schema := map[string]any{}
		bounds.text(schema)
		pattern := regexp.MustCompile(schema["pattern"].(string))
		for text, want := range texts {
			assert.Equal(t, want, pattern.MatchString(text), "%s: %q", format, text)
		}
	}
	pattern := regexp.MustCompile(quantity)
	for text, want := range map[string]bool{"500m": true, "2": true, "1.5Gi": true, "": false, "-1": false, "1GiB": false, "much": false} {
		assert.Equal(t, want, pattern.MatchString(text), text)
	}
}
