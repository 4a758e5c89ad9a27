package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// SchemaError says that the values don't fit the chart's values.schema.json or
// a subchart's. Error is Helm's text.
type SchemaError struct {
	Violations []Violation
	text       string
}

// Violation is one place where values break a schema.
type Violation struct {
	Chart   string   // name of the chart whose schema it is
	Path    []string // keys from the root of the values down to the value
	Rule    string   // JSON pointer into the schema, such as "/properties/replicas/type"
	Message string   // what is wrong, such as "got string, want integer"
}

func (e *SchemaError) Error() string { return e.text }

// compiledSchema is a schema ready to validate with, or why there is none.
type compiledSchema struct {
	once   sync.Once
	schema *jsonschema.Schema
	err    error
}

// validate checks values against the schemas of ch and its subcharts. It
// returns a *SchemaError or nil, with the text that Helm would print.
func (c *Chart) validate(ch *chart.Chart, values map[string]any) error {
	v := validation{schemas: &c.schemas}
	text := v.chart(ch, values, nil)
	if text == "" {
		return nil
	}
	return &SchemaError{
		Violations: v.violations,
		text:       fmt.Sprintf("values don't meet the specifications of the schema(s) in the following chart(s):\n%s", text),
	}
}

type validation struct {
	schemas    *sync.Map
	violations []Violation
}

func (v *validation) chart(ch *chart.Chart, values map[string]any, path []string) string {
	var b strings.Builder
	if ch.Schema != nil {
		if err := v.single(ch, values, path); err != nil {
			fmt.Fprintf(&b, "%s:\n%s", ch.Name(), err)
		}
	}
	for _, sub := range ch.Dependencies() {
		raw, ok := values[sub.Name()]
		if !ok || raw == nil {
			continue
		}
		below := append(path[:len(path):len(path)], sub.Name())
		table, ok := raw.(map[string]any)
		if !ok {
			msg := fmt.Sprintf("invalid type for values: expected object (map), got %T", raw)
			fmt.Fprintf(&b, "%s:\n%s\n", sub.Name(), msg)
			v.violations = append(v.violations, Violation{Chart: sub.Name(), Path: below, Message: msg})
			continue
		}
		b.WriteString(v.chart(sub, table, below))
	}
	return b.String()
}

func (v *validation) single(ch *chart.Chart, values map[string]any, path []string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("unable to validate schema: %s", r)
		}
		var invalid *jsonschema.ValidationError
		switch {
		case err == nil:
		case errors.As(err, &invalid):
			v.collect(ch.Name(), path, values, invalid)
			err = errors.New(strings.TrimPrefix(invalid.Error(), "jsonschema validation failed with 'file:///values.schema.json#'\n") + "\n")
		default:
			v.violations = append(v.violations, Violation{Chart: ch.Name(), Path: path, Message: err.Error()})
		}
	}()
	schema, err := v.compiled(ch.Schema)
	if err != nil {
		return err
	}
	return schema.Validate(chartutil.Values(values).AsMap())
}

var english = message.NewPrinter(language.English)

func (v *validation) collect(chartName string, path []string, values map[string]any, e *jsonschema.ValidationError) {
	if name, ok := e.ErrorKind.(*kind.PropertyNames); ok {
		// What is wrong is a key, and the causes speak of it by itself. Only
		// the length of the location is right: the validator goes on writing
		// into it.
		if at := keyAt(values, name.Property, len(e.InstanceLocation)); at != nil {
			path = append(path[:len(path):len(path)], at...)
		}
	}
	if len(e.Causes) == 0 {
		v.violations = append(v.violations, Violation{
			Chart:   chartName,
			Path:    append(path[:len(path):len(path)], e.InstanceLocation...),
			Rule:    "/" + strings.Join(e.ErrorKind.KeywordPath(), "/"),
			Message: e.ErrorKind.LocalizedString(english),
		})
	}
	for _, cause := range e.Causes {
		v.collect(chartName, path, values, cause)
	}
}

// keyAt returns the path of a key that is so deep in the values, or nil if
// there are several or none.
func keyAt(values any, key string, depth int) []string {
	table, ok := values.(map[string]any)
	if !ok {
		return nil
	}
	if depth == 0 {
		if _, ok := table[key]; ok {
			return []string{key}
		}
		return nil
	}
	var found []string
	for k, v := range table {
		if below := keyAt(v, key, depth-1); below != nil {
			if found != nil {
				return nil
			}
			found = append([]string{k}, below...)
		}
	}
	return found
}

// compiled compiles a schema once; Helm does it for every render.
func (v *validation) compiled(data []byte) (*jsonschema.Schema, error) {
	var key *byte
	if len(data) > 0 {
		key = &data[0]
	}
	entry, _ := v.schemas.LoadOrStore(key, new(compiledSchema))
	cs := entry.(*compiledSchema)
	cs.once.Do(func() {
		defer func() {
			if r := recover(); r != nil {
				cs.err = fmt.Errorf("unable to validate schema: %s", r)
			}
		}()
		cs.schema, cs.err = compileSchema(data)
	})
	return cs.schema, cs.err
}

func compileSchema(data []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	web := &chartutil.HTTPURLLoader{
		Timeout:   15 * time.Second,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{}},
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(jsonschema.SchemeURLLoader{
		"file":  jsonschema.FileLoader{},
		"http":  web,
		"https": web,
		"urn":   urns{},
	})
	if err := compiler.AddResource("file:///values.schema.json", doc); err != nil {
		return nil, err
	}
	return compiler.Compile("file:///values.schema.json")
}

// urns resolves urn: references as Helm does: by the resolver an embedder may
// have set, or else by allowing anything.
type urns struct{}

func (urns) Load(url string) (any, error) {
	if doc, err := chartutil.URNResolver(url); err == nil && doc != nil {
		return doc, nil
	}
	return jsonschema.UnmarshalJSON(strings.NewReader("true"))
}
