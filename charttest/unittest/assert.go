package unittest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"go.yaml.in/yaml/v3"
)

// assertion is one assertion of a test.
type assertion struct {
	Template string
	Selector *selector
	Index    int // of the document; -1: all
	Not      bool
	Type     string

	line       int
	check      validator
	antonym    bool
	mustRender bool
}

// assertionType says how an assertion is checked.
type assertionType struct {
	new        func() validator
	antonym    bool
	mustRender bool // false: it is about a failure
}

var assertionTypes = map[string]assertionType{
	"matchSnapshot":     {is[matchSnapshot], false, true},
	"matchSnapshotRaw":  {is[matchSnapshotRaw], false, true},
	"equal":             {is[equal], false, true},
	"notEqual":          {is[equal], true, true},
	"greaterOrEqual":    {is[greaterOrEqual], false, true},
	"notGreaterOrEqual": {is[greaterOrEqual], true, true},
	"lessOrEqual":       {is[lessOrEqual], false, true},
	"notLessOrEqual":    {is[lessOrEqual], true, true},
	"equalRaw":          {is[equalRaw], false, true},
	"notEqualRaw":       {is[equalRaw], true, true},
	"exists":            {is[exists], false, true},
	"notExists":         {is[exists], true, true},
	"isNotNull":         {is[exists], false, true},
	"isNull":            {is[exists], true, true},
	"matchRegex":        {is[matchRegex], false, true},
	"notMatchRegex":     {is[matchRegex], true, true},
	"matchRegexRaw":     {is[matchRegexRaw], false, true},
	"notMatchRegexRaw":  {is[matchRegexRaw], true, true},
	"contains":          {is[contains], false, true},
	"notContains":       {is[contains], true, true},
	"isKind":            {is[isKind], false, true},
	"isAPIVersion":      {is[isAPIVersion], false, true},
	"hasDocuments":      {is[hasDocuments], false, true},
	"isSubset":          {is[isSubset], false, true},
	"isNotSubset":       {is[isSubset], true, true},
	"isNullOrEmpty":     {is[isNullOrEmpty], false, true},
	"isNotNullOrEmpty":  {is[isNullOrEmpty], true, true},
	"isEmpty":           {is[isNullOrEmpty], false, true},
	"isNotEmpty":        {is[isNullOrEmpty], true, true},
	"failedTemplate":    {is[failedTemplate], false, false},
	"notFailedTemplate": {is[failedTemplate], true, true},
	"containsDocument":  {is[containsDocument], false, true},
	"lengthEqual":       {is[lengthEqual], false, true},
	"notLengthEqual":    {is[lengthEqual], true, true},
	"isType":            {is[isType], false, true},
	"isNotType":         {is[isType], true, true},
}

// is makes a validator of a type.
func is[T any, P interface {
	*T
	validator
}]() validator {
	return P(new(T))
}

// UnmarshalYAML reads an assertion and its parameters.
func (a *assertion) UnmarshalYAML(node *yaml.Node) error {
	def := make(map[string]any)
	if err := node.Decode(&def); err != nil {
		return err
	}
	*a = assertion{line: node.Line, Index: -1}
	if index, ok := def["documentIndex"].(int); ok {
		a.Index = index
	}
	a.Not, _ = def["not"].(bool)
	a.Template, _ = def["template"].(string)
	if given, ok := def["documentSelector"].(map[string]any); ok {
		path, ok := given["path"].(string)
		if !ok {
			return errors.New("empty 'documentSelector.path' not supported")
		}
		a.Selector = &selector{Path: path, Value: given["value"],
			MatchMany: given["matchMany"] == true, SkipEmptyTemplates: given["skipEmptyTemplates"] == true}
	}
	for key, params := range def {
		of, ok := assertionTypes[key]
		if !ok {
			continue
		}
		if a.check != nil {
			return fmt.Errorf("assertion type `%s` and `%s` is declared duplicately", a.Type, key)
		}
		a.Type, a.check, a.antonym, a.mustRender = key, of.new(), of.antonym, of.mustRender
		if err := mapstructure.Decode(params, a.check); err != nil {
			return err
		}
	}
	if a.check == nil {
		for key := range def {
			if key != "template" && key != "documentIndex" && key != "not" {
				return fmt.Errorf("Assertion type `%s` is invalid", key) //nolint:staticcheck // helm-unittest's words
			}
		}
		return errors.New("no assertion type defined")
	}
	return nil
}

// selector picks documents.
type selector struct {
	SkipEmptyTemplates bool `yaml:"skipEmptyTemplates"`
	MatchMany          bool `yaml:"matchMany"`
	Path               string
	Value              any
}

// pick returns the documents that the selector matches, by template.
func (s *selector) pick(from map[string][]*document) (map[string][]*document, error) {
	picked := map[string][]*document{}
	count := 0
	for template, docs := range from {
		var matching []*document
		for _, doc := range docs {
			values, err := doc.at(s.Path)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(values, func(v any) bool { return s.Value == nil || reflect.DeepEqual(s.Value, v) }) {
				matching = append(matching, doc)
			}
		}
		if count += len(matching); count > 1 && !s.MatchMany {
			return nil, errors.New("multiple indexes found")
		}
		if len(matching) > 0 {
			picked[template] = matching
		}
	}
	if count == 0 && !s.SkipEmptyTemplates {
		return nil, errors.New("document not found")
	}
	return picked, nil
}

// AssertionResult is what came of an assertion.
type AssertionResult struct {
	Index      int // among the test's assertions
	Type       string
	Not        bool
	Passed     bool
	Skipped    bool
	SkipReason string
	FailInfo   []string // what is wrong, line by line, as helm-unittest has it
	Line       int      // of the suite file

	templates []string // that were looked at
	failed    []failure
}

// view is what the assertions of a test look at.
type view struct {
	documents     map[string][]*document // by template
	rendered      bool
	renderErr     error
	postRendered  bool
	failFast      bool
	skipEmpty     bool
	test          *test
	outputs       []string // templates that were rendered, and CRDs
	snapshots     *snapshots
	snapshotIndex uint
	taken         []taken
}

// assert checks one assertion.
func (c *view) assert(index int, a *assertion) *AssertionResult {
	r := &AssertionResult{Index: index, Type: a.Type, Not: a.Not, Line: a.line}
	selected, err := c.sel(a)
	if err != nil {
		r.FailInfo = []string{"Error:", err.Error()}
		return r
	}
	for template := range selected {
		r.templates = append(r.templates, template)
	}
	sort.Strings(r.templates)
	switch {
	case len(selected) == 0 && c.skipEmpty:
		r.Skipped, r.Passed = true, true
		r.SkipReason = "skipped as 'documentSelector.skipEmptyTemplates: true' and 'selectedTemplates: empty'"
	case len(selected) == 0 && a.mustRender != c.rendered:
		r.FailInfo = []string{"Error: rendered manifest is empty"}
	case len(selected) == 0:
		r.Passed, r.FailInfo = a.check.validate(c.scope(a, nil, nil))
	default:
		r.Passed = true
		for _, template := range r.templates {
			s := c.scope(a, c.documents[template], selected[template])
			passed, named, info := c.assertTemplate(a, template, s)
			if !passed {
				if named {
					r.FailInfo = append(r.FailInfo, "Template:\t"+template)
				}
				r.FailInfo = append(r.FailInfo, info...)
				for i := range s.failed {
					s.failed[i].template = template
				}
				r.failed = append(r.failed, s.failed...)
				if len(s.failed) == 0 {
					r.failed = append(r.failed, failure{template: template})
				}
			}
			r.Passed = r.Passed && passed
		}
	}
	return r
}

func (c *view) scope(a *assertion, docs, selected []*document) *scope {
	return &scope{docs: docs, selected: selected, negative: a.Not != a.antonym, c: c}
}

func (c *view) assertTemplate(a *assertion, template string, s *scope) (passed, named bool, info []string) {
	if _, ok := c.documents[template]; !ok && a.mustRender {
		message := "\tassertion.template must be given if testsuite.templates is empty"
		if template != "" {
			message = fmt.Sprintf("\ttemplate \"%s\" not exists or not selected in test suite", template)
		}
		return false, false, []string{"Error:", message}
	}
	if a.mustRender != c.rendered {
		if len(s.docs) > 0 {
			return false, true, []string{fmt.Sprintf("Error: Invalid rendering: %s", s.docs[0].field(raw))}
		}
		return false, true, []string{"Error: rendered manifest is empty"}
	}
	passed, info = a.check.validate(s)
	return passed, true, info
}

// sel returns the documents that an assertion is about, by template.
func (c *view) sel(a *assertion) (map[string][]*document, error) {
	of := map[string][]*document{}
	only := ""
	if c.postRendered && len(c.documents) == 1 {
		for only = range c.documents {
		}
	}
	// A post-renderer that loses the comments leaves one file of everything.
	if strings.HasSuffix(only, "manifest.yaml") {
		of[only] = c.documents[only]
	} else {
		for _, template := range c.templates(a) {
			of[template] = c.documents[template]
		}
	}
	index, sel := a.Index, a.Selector
	if c.test.DocumentIndex != nil {
		index = *c.test.DocumentIndex
	}
	if sel == nil {
		sel = c.test.DocumentSelector
	}
	if sel != nil && sel.Path != "" {
		return sel.pick(of)
	}
	if index == -1 {
		return of, nil
	}
	for template, docs := range of {
		if index < 0 || index >= len(docs) {
			return nil, fmt.Errorf("document index %d is out of range", index)
		}
		of[template] = docs[index : index+1]
	}
	return of, nil
}

// templates are those that an assertion is about: its own, the test's, or the
// suite's, which are all that were rendered if one is a pattern.
func (c *view) templates(a *assertion) []string {
	t := c.test
	var names []string
	switch {
	case a.Template != "":
		names = []string{a.Template}
	case len(t.Templates) > 0:
		names = t.Templates
	case t.Template != "":
		names = []string{t.Template}
	case slices.ContainsFunc(t.templates, func(name string) bool { return strings.Contains(name, "*") }):
		return c.outputs
	default:
		names = t.templates
	}
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = t.suite.templatePath(name)
	}
	return paths
}
