package diff

import (
	"crypto/sha256"
	"fmt"
	"path"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Mask keeps the values of some fields out of sight. It is an [Option].
type Mask struct {
	Object string // pattern of path.Match for "Kind/name", such as "Secret/*"; "" for all
	// Field is a pattern for the field's path, in which * stands for any run
	// of characters: "metadata.annotations.checksum/*",
	// "spec.template.spec.containers[name=*].image". One that starts with
	// "**." is looked for at any depth.
	Field string
	// Digest shows a short digest in place of the value, so that it is seen to
	// change, but not to what. Otherwise what the value is makes no difference.
	Digest bool
}

func (m Mask) apply(o *options) { o.masks = append(o.masks, m) }

// Hide masks a field whose value means nothing, such as a random one.
func Hide(object, field string) Mask { return Mask{Object: object, Field: field} }

// Digest masks a field whose value is nobody's business.
func Digest(object, field string) Mask { return Mask{Object: object, Field: field, Digest: true} }

// Chores are the labels and annotations that change with every version of a
// chart and with every file that pods read, and say nothing that isn't seen
// elsewhere: the chart's version, the application's, and checksums.
var Chores = Masks{
	Hide("", "**.labels.helm.sh/chart"),
	Hide("", "**.labels.app.kubernetes.io/version"),
	Hide("", "**.annotations.checksum/*"),
}

// Masks are several masks. They are an [Option].
type Masks []Mask

func (m Masks) apply(o *options) { o.masks = append(o.masks, m...) }

// secrets are always masked.
var secrets = []Mask{
	Digest("Secret/*", "data.*"), Digest("Secret/*", "stringData.*"),
	// The same again, as kubectl keeps it.
	Digest("Secret/*", "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration"),
}

// Masked returns copies of objects with their secrets masked, and what else the
// masks say. Masking what is masked changes nothing.
func Masked(objects []*unstructured.Unstructured, masks ...Mask) []*unstructured.Unstructured {
	masks = append(masks[:len(masks):len(masks)], secrets...)
	copies := make([]*unstructured.Unstructured, len(objects))
	for i, u := range objects {
		content := normal(u.Object)
		maskObject(content, masks)
		copies[i] = &unstructured.Unstructured{Object: content}
	}
	return copies
}

const hidden = "(masked)"

var digested = regexp.MustCompile(`^\(sha256 [0-9a-f]{8}\)$`)

// digest is a few digits of a value's checksum: enough to see that a secret has
// changed, too few to be sure of a guess.
func digest(value any) string {
	s, ok := value.(string)
	if ok && (digested.MatchString(s) || s == hidden) {
		return s
	}
	if !ok {
		s = meaning(value, member{})
	}
	return fmt.Sprintf("(sha256 %x)", sha256.Sum256([]byte(s)))[:16] + ")"
}

// maskObject masks the fields of an object in place.
func maskObject(content map[string]any, masks []Mask) {
	meta, _ := content["metadata"].(map[string]any)
	name := text(content, "kind") + "/" + text(meta, "name")
	var active []activeMask
	for _, m := range masks {
		if m.Object != "" {
			if ok, _ := path.Match(m.Object, name); !ok {
				continue
			}
		}
		active = append(active, activeMask{fieldPattern(m.Field), m.Digest})
	}
	if len(active) > 0 {
		maskValue(place{}, content, member{t: typeOf(content)}, active)
	}
}

type activeMask struct {
	field  *regexp.Regexp
	digest bool
}

func fieldPattern(field string) *regexp.Regexp {
	prefix := "^"
	if rest, ok := strings.CutPrefix(field, "**."); ok {
		prefix, field = `(?:^|[.\]])`, rest
	}
	return regexp.MustCompile("(?s)" + prefix + strings.ReplaceAll(regexp.QuoteMeta(field), `\*`, ".*") + "$")
}

// maskValue returns what a value is masked to, the value itself if by nothing.
// Maps and lists are changed in place.
func maskValue(p place, value any, m member, masks []activeMask) any {
	for _, mask := range masks {
		if p.path != "" && value != nil && mask.field.MatchString(p.path) {
			if mask.digest {
				return digest(value)
			}
			return hidden
		}
	}
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = maskValue(p.field(key), v[key], child(m.t, key), masks)
		}
	case []any:
		keys, _ := keysOf(v, m)
		for i := range v {
			at := p.index(i)
			if keys != nil {
				at = p.item(keys[i])
			}
			v[i] = maskValue(at, v[i], member{t: pointerTo(item(m.t))}, masks)
		}
	}
	return value
}
