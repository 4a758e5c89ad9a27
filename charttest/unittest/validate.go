package unittest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pmezard/go-difflib/difflib"
	"go.yaml.in/yaml/v3"
)

// validator is an assertion's type with its parameters, whose names are those
// of the fields, whatever the case.
type validator interface {
	validate(s *scope) (passed bool, info []string)
}

// scope is what a validator looks at: the documents of one template.
type scope struct {
	docs     []*document // all
	selected []*document
	negative bool // the assertion is to fail
	c        *view
	path     string // that is checked
	failed   []failure
}

// failure is a place that an assertion complains about.
type failure struct {
	template string
	doc      *document
	path     string
}

// each checks every selected document; check returns what is wrong with one. An
// assertion about no document fails, unless it is negative.
func (s *scope) each(none func() []string, check func(doc *document, index int) (bool, []string)) (bool, []string) {
	if len(s.selected) == 0 {
		if s.negative {
			return true, nil
		}
		return false, none()
	}
	passed := true
	var info []string
	for i, doc := range s.selected {
		ok, complaint := check(doc, i)
		info = append(info, complaint...)
		if !ok {
			passed = false
			s.failed = append(s.failed, failure{doc: doc, path: s.path})
			if s.c.failFast {
				break
			}
		}
	}
	return passed, info
}

// eachValue is each for the values at a path of every document. Path and what
// was not found at it are told by the way.
func (s *scope) eachValue(path, unknown string, none func() []string, check func(v any, doc, index int) (bool, []string)) (bool, []string) {
	s.path = path
	return s.each(none, func(doc *document, at int) (bool, []string) {
		values, err := doc.at(path)
		if err != nil {
			return false, complain(at, -1, "%s", err)
		}
		if len(values) == 0 {
			if s.negative {
				return true, nil
			}
			return false, complain(at, -1, unknown, path)
		}
		passed := true
		var info []string
		for i, v := range values {
			ok, complaint := check(v, at, i)
			info = append(info, complaint...)
			passed = passed && ok
			if !ok && s.c.failFast {
				break
			}
		}
		return passed, info
	})
}

const unknownPath = "unknown path %s"

// complain is an error about a document and one of its values; -1 for none.
func complain(doc, value int, format string, args ...any) []string {
	return say("Error:\n%s", doc, value, fmt.Sprintf(format, args...))
}

// expected is what a failed assertion says: not, the path, what it wants, what
// there was and the difference, of which the last three may be missing.
type expected struct {
	not        bool
	path       *string
	verb, want string
	got        *string
	diff       bool
}

func (e expected) say(doc, value int) []string {
	format, args := "Expected"+e.verb+":\n%s\n", []string{e.want}
	if e.not {
		format = "Expected NOT" + e.verb + ":\n%s\n"
	}
	if e.path != nil {
		format, args = "Path:%s\n"+format, append([]string{*e.path}, args...)
	}
	if e.got != nil {
		format, args = format+"Actual:\n%s\n", append(args, *e.got)
		if e.diff {
			format, args = format+"Diff:\n%s\n", append(args, diff(e.want, *e.got))
		}
	}
	return say(format, doc, value, args...)
}

// say puts indented texts into a format and says which document and which of
// several values it is about.
func say(format string, doc, value int, texts ...string) []string {
	indented := make([]any, len(texts))
	for i, text := range texts {
		indented[i] = "\t" + strings.Trim(strings.ReplaceAll(text, "\n", "\n\t"), "\n\t ")
	}
	lines := strings.Split(fmt.Sprintf(strings.Trim(format, "\t\n "), indented...), "\n")
	if value >= 0 {
		lines = slices.Insert(lines, 0, fmt.Sprintf("ValuesIndex:\t%d", value))
	}
	if doc >= 0 {
		lines = slices.Insert(lines, 0, fmt.Sprintf("DocumentIndex:\t%d", doc))
	}
	return lines
}

func diff(want, got string) string {
	text, _ := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(want), B: difflib.SplitLines(got), FromFile: "Expected", ToFile: "Actual", Context: 1,
	})
	return text
}

// toYAML writes a value as helm-unittest does, texts without the newlines that
// they start with.
func toYAML(v any) string {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(withoutLeadingNewlines(v)); err != nil {
		return err.Error()
	}
	encoder.Close()
	return text.String()
}

func withoutLeadingNewlines(v any) any {
	switch v := v.(type) {
	case string:
		return strings.TrimLeft(v, "\n")
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = withoutLeadingNewlines(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = withoutLeadingNewlines(item)
		}
		return out
	}
	return v
}

var trailingSpaces = regexp.MustCompile(`(?m)[ ]+\r?\n`)

// uniform is a text without spaces before newlines and newlines at its start.
func uniform(v any) string {
	text, ok := v.(string)
	if !ok {
		text = fmt.Sprintf("%v", v)
	}
	if strings.Contains(text, " \n") || strings.Contains(text, " \r\n") {
		text = trailingSpaces.ReplaceAllString(text, "\n")
	}
	return strings.TrimLeft(text, "\n")
}

func uniformAll(v any) any {
	switch v := v.(type) {
	case string:
		return uniform(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = uniformAll(item)
		}
		return out
	case map[any]any:
		out := make(map[any]any, len(v))
		for key, item := range v {
			out[key] = uniformAll(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = uniformAll(item)
		}
		return out
	}
	return v
}

var patterns sync.Map // text → compiled

type compiled struct {
	pattern *regexp.Regexp
	err     error
}

func compile(text string) (*regexp.Regexp, error) {
	if p, ok := patterns.Load(text); ok {
		return p.(compiled).pattern, p.(compiled).err
	}
	p, err := regexp.Compile(text)
	patterns.Store(text, compiled{p, err})
	return p, err
}

const noManifest = "no manifest found"

type equal struct {
	Path         string
	Value        any
	DecodeBase64 bool
}

func (v *equal) fail(s *scope, got any, doc, value int) []string {
	e := expected{not: s.negative, path: &v.Path, verb: " to equal", want: toYAML(v.Value)}
	if !s.negative {
		e.got, e.diff = new(toYAML(got)), true
	}
	return e.say(doc, value)
}

func (v *equal) validate(s *scope) (bool, []string) {
	none := func() []string { return v.fail(s, noManifest, -1, -1) }
	return s.eachValue(v.Path, unknownPath, none, func(got any, doc, i int) (bool, []string) {
		if text, ok := got.(string); ok && v.DecodeBase64 {
			decoded, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return false, complain(doc, i, "unable to decode base64 expected content %s", got)
			}
			got = string(decoded)
		}
		got = uniformAll(got)
		if reflect.DeepEqual(v.Value, got) == s.negative {
			return false, v.fail(s, got, doc, i)
		}
		return true, nil
	})
}

type equalRaw struct{ Value string }

func (v *equalRaw) fail(s *scope, got string) []string {
	e := expected{not: s.negative, verb: " to equal", want: toYAML(v.Value)}
	if !s.negative {
		e.got, e.diff = new(toYAML(got)), true
	}
	return e.say(-1, -1)
}

func (v *equalRaw) validate(s *scope) (bool, []string) {
	return s.each(func() []string { return v.fail(s, noManifest) }, func(doc *document, _ int) (bool, []string) {
		got := uniform(doc.field(raw))
		if (v.Value == got) == s.negative {
			return false, v.fail(s, got)
		}
		return true, nil
	})
}

type exists struct{ Path string }

func (v *exists) fail(s *scope, doc int) []string {
	format := "Path:%s expected to exists"
	if s.negative {
		format = "Path:%s expected to NOT exists"
	}
	return say(format, doc, -1, v.Path)
}

func (v *exists) validate(s *scope) (bool, []string) {
	s.path = v.Path
	return s.each(func() []string { return v.fail(s, -1) }, func(doc *document, at int) (bool, []string) {
		values, err := doc.at(v.Path)
		if err != nil {
			return false, complain(at, -1, "%s", err)
		}
		if len(values) > 0 == s.negative {
			return false, v.fail(s, at)
		}
		return true, nil
	})
}

type isNullOrEmpty struct{ Path string }

func (v *isNullOrEmpty) fail(s *scope, got any, doc, value int) []string {
	return expected{not: s.negative, path: &v.Path, verb: " to be null or empty, got", want: toYAML(got)}.say(doc, value)
}

func (v *isNullOrEmpty) validate(s *scope) (bool, []string) {
	none := func() []string { return v.fail(s, noManifest, -1, -1) }
	return s.eachValue(v.Path, unknownPath, none, func(got any, doc, i int) (bool, []string) {
		if empty(got) == s.negative {
			return false, v.fail(s, got, doc, i)
		}
		return true, nil
	})
}

func empty(v any) bool {
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Array, reflect.Map, reflect.Slice:
		return r.Len() == 0
	}
	return r.IsZero()
}

type isType struct{ Path, Type string }

func (v *isType) fail(s *scope, got string, doc, value int) []string {
	return expected{not: s.negative, path: &v.Path, verb: " to be of type", want: v.Type, got: &got}.say(doc, value)
}

func (v *isType) validate(s *scope) (bool, []string) {
	none := func() []string { return v.fail(s, noManifest, -1, -1) }
	return s.eachValue(v.Path, unknownPath, none, func(got any, doc, i int) (bool, []string) {
		typ := ""
		if got != nil {
			typ = reflect.TypeOf(got).String()
		}
		if (typ == v.Type) == s.negative {
			return false, v.fail(s, typ, doc, i)
		}
		return true, nil
	})
}

type isKind struct{ Of string }

func (v *isKind) validate(s *scope) (bool, []string) {
	return ofKind(s, "kind", " to be kind", v.Of)
}

type isAPIVersion struct{ Of string }

func (v *isAPIVersion) validate(s *scope) (bool, []string) {
	return ofKind(s, "apiVersion", " to be apiVersion", v.Of)
}

func ofKind(s *scope, field, verb, want string) (bool, []string) {
	fail := func(got any, doc int) []string {
		e := expected{not: s.negative, verb: verb, want: want}
		if !s.negative {
			e.got = new(toYAML(got))
		}
		return e.say(doc, -1)
	}
	s.path = field
	return s.each(func() []string { return fail(noManifest, -1) }, func(doc *document, at int) (bool, []string) {
		if got, ok := doc.field(field).(string); (ok && got == want) == s.negative {
			return false, fail(doc.field(field), at)
		}
		return true, nil
	})
}

type hasDocuments struct {
	Count       int
	FilterAware bool
}

func (v *hasDocuments) validate(s *scope) (bool, []string) {
	count := len(s.docs)
	if v.FilterAware {
		count = len(s.selected)
	}
	if (count == v.Count) != s.negative {
		return true, nil
	}
	e := expected{not: s.negative, verb: " documents count to be", want: strconv.Itoa(v.Count)}
	if !s.negative {
		e.got = new(strconv.Itoa(count))
	}
	return false, e.say(-1, -1)
}

type contains struct {
	Path    string
	Content any
	Count   *int
	Any     bool
}

func (v *contains) fail(s *scope, got any, doc, value int) []string {
	return expected{not: s.negative, path: &v.Path, verb: " to contain", want: toYAML([]any{v.Content}), got: new(toYAML(got))}.say(doc, value)
}

func (v *contains) validate(s *scope) (bool, []string) {
	none := func() []string { return v.fail(s, noManifest, 0, -1) }
	return s.eachValue(v.Path, unknownPath, none, func(got any, doc, i int) (bool, []string) {
		list, ok := got.([]any)
		if !ok {
			return false, complain(doc, i, "expect '%s' to be an array, got:\n%s", v.Path, toYAML(got))
		}
		count := 0
		for _, item := range list {
			if v.has(item) {
				count++
			}
		}
		switch {
		case v.Count == nil && count > 0 == s.negative:
			return false, v.fail(s, list, doc, i)
		case v.Count != nil && (count > 0 && count == *v.Count) == s.negative:
			if count == 0 {
				return false, v.fail(s, list, doc, i)
			}
			return false, complain(doc, i, "expect count %d in '%s' to be in array, got %d:\n%s", *v.Count, v.Path, count, toYAML(list))
		}
		return true, nil
	})
}

func (v *contains) has(item any) bool {
	if v.Any {
		got, ok := item.(map[string]any)
		if want, isTable := v.Content.(map[string]any); ok && isTable {
			return subset(got, want)
		}
	}
	return reflect.DeepEqual(item, v.Content)
}

// subset says whether got has the keys of want with their values.
func subset(got, want map[string]any) bool {
	for key := range want {
		if !reflect.DeepEqual(got[key], want[key]) {
			return false
		}
	}
	return true
}

type isSubset struct {
	Path    string
	Content any
}

func (v *isSubset) fail(s *scope, got any, doc, value int) []string {
	return expected{not: s.negative, path: &v.Path, verb: " to contain", want: toYAML(v.Content), got: new(toYAML(got))}.say(doc, value)
}

func (v *isSubset) validate(s *scope) (bool, []string) {
	none := func() []string { return v.fail(s, noManifest, -1, -1) }
	return s.eachValue(v.Path, unknownPath, none, func(got any, doc, i int) (bool, []string) {
		table, ok := got.(map[string]any)
		want, isTable := v.Content.(map[string]any)
		if !ok || !isTable {
			return false, complain(doc, i, "expect '%s' to be an object, got:\n%s", v.Path, toYAML(got))
		}
		if subset(table, want) == s.negative {
			return false, v.fail(s, got, doc, i)
		}
		return true, nil
	})
}

type containsDocument struct {
	Kind, APIVersion string
	Name, Namespace  string // if not empty
	Any              bool
}

func (v *containsDocument) fail(s *scope, doc int) []string {
	want := fmt.Sprintf("Kind = %s, apiVersion = %s", v.Kind, v.APIVersion)
	if v.Name != "" {
		want += ", Name = " + v.Name
	}
	if v.Namespace != "" {
		want += ", Namespace = " + v.Namespace
	}
	return expected{not: s.negative, verb: " to contain document", want: want}.say(doc, -1)
}

func (v *containsDocument) is(doc *document) bool {
	// What has no kind at all is not refused for it.
	if kind, ok := doc.field("kind").(string); ok && kind != v.Kind {
		return false
	}
	if version, ok := doc.field("apiVersion").(string); ok && version != v.APIVersion {
		return false
	}
	for path, want := range map[string]string{"metadata.name": v.Name, "metadata.namespace": v.Namespace} {
		if want == "" {
			continue
		}
		if values, err := doc.at(path); err != nil || len(values) == 0 || values[0] != want {
			return false
		}
	}
	return true
}

func (v *containsDocument) validate(s *scope) (bool, []string) {
	if len(s.selected) == 0 {
		if s.negative {
			return true, nil
		}
		return false, v.fail(s, 0)
	}
	passed := false
	var info []string
	for i, doc := range s.selected {
		ok := v.is(doc) != s.negative
		if !ok {
			info = append(info, v.fail(s, i)...)
			s.failed = append(s.failed, failure{doc: doc, path: s.path})
			if s.c.failFast {
				return false, info
			}
		} else if v.Any != s.negative { // one is enough
			return true, nil
		}
		passed = ok && (i == 0 || passed)
	}
	return passed, info
}

type lengthEqual struct {
	Paths []string
	Path  string
	Count *int
}

func (v *lengthEqual) fail(s *scope, path, want, got string, doc int) []string {
	return expected{not: s.negative, path: &path, verb: " to match count", want: want, got: &got}.say(doc, -1)
}

func (v *lengthEqual) validate(s *scope) (bool, []string) {
	switch {
	case v.Path != "" && (v.Count == nil || *v.Count < 0):
		return false, complain(-1, -1, "'count' field must be set if 'path' is used")
	case v.Path != "" && len(v.Paths) > 0:
		return false, complain(-1, -1, "'paths' couldn't be used with 'path'")
	}
	none := func() []string { return v.fail(s, "", "", noManifest, -1) }
	s.path = v.Path
	return s.each(none, func(doc *document, at int) (bool, []string) {
		if v.Path != "" {
			passed, info, _ := v.length(s, doc, v.Path, at)
			return passed, info
		}
		return v.lengths(s, doc, at)
	})
}

// length checks one path; the length is that of the last value there.
func (v *lengthEqual) length(s *scope, doc *document, path string, at int) (passed bool, info []string, length int) {
	values, err := doc.at(path)
	if err != nil {
		return false, complain(at, -1, "%s", err), 0
	}
	passed = len(values) == 0 && s.negative
	for i, got := range values {
		list, ok := got.([]any)
		if !ok && v.Count == nil {
			info = append(info, complain(at, i, "%s is not array", path)...)
			continue
		}
		length = len(list)
		ok = v.Count == nil || (length == *v.Count) != s.negative
		if !ok {
			info = append(info, v.fail(s, path, strconv.Itoa(*v.Count), strconv.Itoa(length), at)...)
		}
		passed = ok && (i == 0 || passed)
		if !passed && s.c.failFast {
			break
		}
	}
	return passed, info, length
}

// lengths checks that several paths have lists of one length.
func (v *lengthEqual) lengths(s *scope, doc *document, at int) (bool, []string) {
	counts := map[string]int{}
	all := len(v.Paths) > 0
	var info []string
	for _, path := range v.Paths {
		passed, complaint, length := v.length(s, doc, path, at)
		if counts[path] = length; !passed {
			all, info = false, append(info, complaint...)
		}
	}
	if !all {
		return false, info
	}
	paths := slices.Sorted(slices.Values(v.Paths))
	for _, path := range slices.Compact(paths)[1:] {
		if (counts[path] == counts[paths[0]]) == s.negative {
			return false, v.fail(s, path, "-1", strconv.Itoa(counts[path]), at)
		}
	}
	return true, nil
}

type matchRegex struct {
	Path, Pattern string
	DecodeBase64  bool
}

func (v *matchRegex) fail(s *scope, got string, doc, value int) []string {
	return expected{not: s.negative, path: &v.Path, verb: " to match", want: v.Pattern, got: &got}.say(doc, value)
}

func (v *matchRegex) validate(s *scope) (bool, []string) {
	if v.Pattern == "" {
		return false, complain(-1, -1, "expected field 'pattern' to be filled")
	}
	pattern, err := compile(v.Pattern)
	if err != nil {
		return s.each(func() []string { return v.fail(s, noManifest, -1, -1) }, func(doc *document, at int) (bool, []string) {
			if _, err := doc.at(v.Path); err != nil {
				return false, complain(at, -1, "%s", err)
			}
			return false, complain(-1, -1, "%s", err)
		})
	}
	none := func() []string { return v.fail(s, noManifest, -1, -1) }
	return s.eachValue(v.Path, unknownPath, none, func(got any, doc, i int) (bool, []string) {
		text, ok := got.(string)
		if !ok {
			return false, complain(doc, i, "expect '%s' to be a string, got:\n%s", v.Path, toYAML(got))
		}
		if v.DecodeBase64 {
			decoded, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return false, complain(doc, i, "unable to decode base64 expected content %s", got)
			}
			text = string(decoded)
		}
		if pattern.MatchString(text) == s.negative {
			return false, v.fail(s, text, doc, i)
		}
		return true, nil
	})
}

type matchRegexRaw struct{ Pattern string }

func (v *matchRegexRaw) fail(s *scope, got string) []string {
	return expected{not: s.negative, verb: " to match", want: v.Pattern, got: &got}.say(-1, -1)
}

func (v *matchRegexRaw) validate(s *scope) (bool, []string) {
	if v.Pattern == "" {
		return false, complain(-1, -1, "expected field 'pattern' to be filled")
	}
	pattern, err := compile(v.Pattern)
	if err != nil && len(s.selected) > 0 {
		return false, complain(-1, -1, "%s", err)
	}
	return s.each(func() []string { return v.fail(s, noManifest) }, func(doc *document, _ int) (bool, []string) {
		got := uniform(doc.field(raw))
		if pattern.MatchString(got) == s.negative {
			return false, v.fail(s, got)
		}
		return true, nil
	})
}

type greaterOrEqual struct {
	Path  string
	Value any
}

func (v *greaterOrEqual) validate(s *scope) (bool, []string) {
	return compared(s, "greater", v.Path, v.Value)
}

type lessOrEqual struct {
	Path  string
	Value any
}

func (v *lessOrEqual) validate(s *scope) (bool, []string) {
	return compared(s, "less", v.Path, v.Value)
}

func compared(s *scope, how, path string, want any) (bool, []string) {
	fail := func(message string, doc, value int) []string {
		return expected{not: s.negative, path: &path, verb: " to be " + how + " then or equal to, got", want: message}.say(doc, value)
	}
	none := func() []string { return fail("no manifests found", -1, -1) }
	return s.eachValue(path, "unknown path '%s'", none, func(got any, doc, i int) (bool, []string) {
		if reflect.TypeOf(got) != reflect.TypeOf(want) {
			// As helm-unittest has it: only the first value fails for that.
			return i > 0, complain(doc, i, "actual '%s' and expected '%s' types do not match", reflect.TypeOf(got), reflect.TypeOf(want))
		}
		var order int
		switch want := want.(type) {
		case string:
			order = cmp.Compare(got.(string), want)
		case int:
			order = cmp.Compare(got.(int), want)
		case float64:
			order = cmp.Compare(got.(float64), want)
		default:
			return false, fail(fmt.Sprintf("unsupported type '%T'", want), doc, i)
		}
		// As helm-unittest has it: notGreaterOrEqual holds of everything.
		if how == "greater" && order >= 0 || (how == "less" && order <= 0) != s.negative {
			return true, nil
		}
		return false, fail(fmt.Sprintf("the actual '%v' is not %s or equal to the expected '%v'", got, how, want), doc, i)
	})
}

type failedTemplate struct{ ErrorMessage, ErrorPattern string }

func (v *failedTemplate) fail(s *scope, got any) []string {
	e := expected{not: s.negative, verb: " to equal", want: cmp.Or(v.ErrorMessage, v.ErrorPattern)}
	if v.ErrorPattern != "" {
		e.verb = " to match"
	}
	if !s.negative {
		e.got = new(fmt.Sprintf("%s", got))
	}
	return e.say(-1, -1)
}

var metaCharacters = regexp.MustCompile(`.*[\\.+*?()|[\]{}^$].*`)

// about checks a failure's message, nil if there is none.
func (v *failedTemplate) about(s *scope, got any, doc int) (bool, []string) {
	fail := func() (bool, []string) {
		info := v.fail(s, got)
		if doc >= 0 {
			info = slices.Insert(info, 0, fmt.Sprintf("DocumentIndex:\t%d", doc))
		}
		return false, info
	}
	text, _ := got.(string)
	if v.ErrorPattern == "" {
		if (got != nil && v.ErrorMessage == text) == s.negative {
			return fail()
		}
		return true, nil
	}
	// A pattern may also be meant as a text.
	verbatim := strings.Contains(text, v.ErrorPattern)
	pattern, err := compile(v.ErrorPattern)
	matches := verbatim
	if err == nil {
		matches = pattern.MatchString(text)
	}
	switch {
	case got == nil, matches != s.negative, metaCharacters.MatchString(v.ErrorPattern) && verbatim != s.negative:
		return true, nil
	}
	return fail()
}

func (v *failedTemplate) validate(s *scope) (bool, []string) {
	bare := *v == failedTemplate{}
	switch {
	case v.ErrorMessage != "" && v.ErrorPattern != "":
		return false, complain(-1, -1, "single attribute 'errorMessage' or 'errorPattern' supported at the same time")
	case s.c.renderErr != nil && bare:
		return true, nil
	case s.c.renderErr != nil:
		return v.about(s, s.c.renderErr.Error(), -1)
	case len(s.selected) == 0 && !s.negative:
		return false, v.fail(s, "No failed document")
	}
	passed := true
	var info []string
	for i, doc := range s.selected {
		if bare {
			continue
		}
		ok, complaint := v.about(s, doc.field(raw), i)
		info = append(info, complaint...)
		if passed = passed && ok; !ok {
			s.failed = append(s.failed, failure{doc: doc, path: s.path})
			if s.c.failFast {
				break
			}
		}
	}
	return passed, info
}
