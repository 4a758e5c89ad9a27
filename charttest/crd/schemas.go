// Package crd holds custom resources to the schemas of their definitions, with
// Kubernetes' own library: what the API server would refuse or drop.
//
//	schemas, err := crd.Load(ctx, "../crds", "go:github.com/org/operator@v1.2.3/config/crd")
//	require.NoError(t, err)
//	require.Empty(t, check.Run(render, check.Cluster{}, schemas.Check()))
//
// The rules in CEL (x-kubernetes-validations) are not evaluated; an API server
// does, which package dryrun asks.
package crd

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// Schemas are definitions of custom resources. The zero value has none. They
// can be used by several goroutines at once, once all are added.
type Schemas struct {
	mu   sync.Mutex
	text []*document // not looked at yet
	have map[string]*definition
}

// document is one YAML document of a file.
type document struct{ from, text string }

// definition is one custom resource in all its versions.
type definition struct {
	from     string // where it was found, for messages
	crd      *apiextensions.CustomResourceDefinition
	mu       sync.Mutex
	versions map[string]*version
}

// version is the schema of one version.
type version struct {
	structural *structural.Structural
	validator  validation.SchemaValidator
	err        error
}

// Problem is what the API server would refuse or drop in an object.
type Problem struct {
	Field   string // such as "spec.endpoints[0].port"; "" for the whole object
	Message string
}

var types = sync.OnceValue(func() *runtime.Scheme {
	s := runtime.NewScheme()
	install.Install(s)
	return s
})

// Add takes the definitions out of YAML or JSON documents. What else is there is
// passed over. They are read when they are asked for.
func (s *Schemas) Add(from, text string) {
	for _, doc := range strings.Split("\n"+strings.ReplaceAll(text, "\r\n", "\n"), "\n---") {
		if strings.Contains(doc, "CustomResourceDefinition") {
			s.text = append(s.text, &document{from, doc})
		}
	}
}

// find returns the definition of a kind, or nil. Of two the first counts.
func (s *Schemas) find(group, kind string) (*definition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.have == nil {
		s.have = map[string]*definition{}
	}
	for i, doc := range s.text {
		if doc == nil || !strings.Contains(doc.text, group) || !strings.Contains(doc.text, kind) {
			continue
		}
		s.text[i] = nil
		crds, err := parse(doc.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doc.from, err)
		}
		for _, d := range crds {
			key := d.Spec.Group + "/" + d.Spec.Names.Kind
			if _, ok := s.have[key]; !ok {
				s.have[key] = &definition{from: doc.from, crd: d}
			}
		}
	}
	return s.have[group+"/"+kind], nil
}

// parse reads a document: a definition, or a list of some.
func parse(text string) ([]*apiextensions.CustomResourceDefinition, error) {
	var kind struct {
		APIVersion, Kind string
		Items            []runtime.RawExtension
	}
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(data, &kind); err != nil {
		return nil, err
	}
	var all []*apiextensions.CustomResourceDefinition
	if strings.HasSuffix(kind.Kind, "List") {
		for _, item := range kind.Items {
			some, err := parse(string(item.Raw))
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
		}
		return all, nil
	}
	if kind.Kind != "CustomResourceDefinition" {
		return nil, nil
	}
	obj, err := types().New(schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind))
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(data, obj); err != nil {
		return nil, err
	}
	d, err := internal(obj)
	return []*apiextensions.CustomResourceDefinition{d}, err
}

// internal is a definition as the API server has it, with its defaults.
func internal(obj runtime.Object) (*apiextensions.CustomResourceDefinition, error) {
	obj = obj.DeepCopyObject()
	types().Default(obj)
	d := new(apiextensions.CustomResourceDefinition)
	return d, types().Convert(obj, d, nil)
}

// serves are the versions that the API server serves.
func (d *definition) serves() (names []string) {
	for _, v := range d.crd.Spec.Versions {
		if v.Served {
			names = append(names, v.Name)
		}
	}
	return names
}

func (d *definition) version(name string) *version {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v, ok := d.versions[name]; ok {
		return v
	}
	if d.versions == nil {
		d.versions = map[string]*version{}
	}
	v := new(version)
	d.versions[name] = v
	said, err := apiextensions.GetSchemaForVersion(d.crd, name)
	if err != nil || said == nil || said.OpenAPIV3Schema == nil {
		v.err = err
		return v
	}
	if v.structural, v.err = structural.NewStructural(said.OpenAPIV3Schema); v.err != nil {
		return v
	}
	v.validator, _, v.err = validation.NewSchemaValidator(said.OpenAPIV3Schema)
	return v
}

// Problems are those of an object, whose content is left as it is. known says
// whether there is a definition of its kind.
func (s *Schemas) Problems(content map[string]any) (problems []Problem, known bool, err error) {
	apiVersion, _ := content["apiVersion"].(string)
	kind, _ := content["kind"].(string)
	group, name := groupVersion(apiVersion)
	d, err := s.find(group, kind)
	if err != nil || d == nil {
		return nil, false, err
	}
	problems, err = d.problems(content, name)
	if err != nil {
		err = fmt.Errorf("the schema of %s %s in %s: %w", apiVersion, kind, d.from, err)
	}
	return problems, true, err
}

// problems goes the way of an object that the API server is sent: unknown
// fields are told, null and default values put right, then comes validation.
func (d *definition) problems(content map[string]any, name string) (all []Problem, err error) {
	if serves := d.serves(); !slices.Contains(serves, name) {
		return []Problem{{"apiVersion", fmt.Sprintf("version %q is not served: %s is defined with %s (%s)", name, d.crd.Spec.Names.Kind, strings.Join(serves, ", "), d.from)}}, nil
	}
	v := d.version(name)
	if v.err != nil || v.structural == nil {
		return nil, v.err
	}
	o := runtime.DeepCopyJSON(content)
	_, _, unknown, err := objectmeta.GetObjectMetaWithOptions(o, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return []Problem{{"metadata", err.Error()}}, nil
	}
	if preserve := d.crd.Spec.PreserveUnknownFields; preserve == nil || !*preserve {
		unknown = append(unknown, pruning.PruneWithOptions(o, v.structural, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
	}
	for _, path := range unknown {
		all = append(all, Problem{path, fmt.Sprintf("unknown field %q", path)})
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(o, v.structural)
	defaulting.Default(o, v.structural)
	list := validation.ValidateCustomResource(nil, o, v.validator)
	list = append(list, listtype.ValidateListSetsAndMaps(nil, v.structural, o)...)
	at := slices.DeleteFunc(slices.Clone(list), whole)
	list = append(at, slices.DeleteFunc(list, func(e *field.Error) bool { return !whole(e) })...)
	for _, e := range list {
		p := Problem{e.Field, message(e)}
		if whole(e) {
			if p.Field = ""; named.MatchString(e.Detail) {
				m := named.FindStringSubmatch(e.Detail)
				p.Field = m[1] + m[2] + m[3]
			}
			if slices.ContainsFunc(all, func(have Problem) bool { return have.Field == p.Field }) {
				continue // the same in other words
			}
		}
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all, nil
}

// whole says whether the library gives no field; named finds the one that it
// speaks of anyhow.
func whole(e *field.Error) bool { return e.Field == "<nil>" }

var named = regexp.MustCompile(`^"([^"]+)" must validate|\(default format\) in (\S+)$|with format \S+ in (\S+)$`)

// message is what the API server says, without the field.
func message(e *field.Error) string {
	switch {
	case e.Type == field.ErrorTypeRequired:
		return "required value is missing"
	case whole(e):
		return e.Detail
	}
	return e.ErrorBody()
}
