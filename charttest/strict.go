package charttest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
	goyaml "sigs.k8s.io/yaml/goyaml.v3"

	"github.com/ai-film/ai-film/charttest/internal/engine"
	"github.com/ai-film/ai-film/charttest/internal/plainyaml"
)

// StrictError lists what strict decoding found in a render's objects.
type StrictError struct{ Problems []Problem }

func (e *StrictError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Problem is a field that the API server would refuse or drop.
type Problem struct {
	Object  *Object
	Field   string // such as "spec.template.spec.tolerationz"; "" for the whole object
	Message string // such as `unknown field "spec.template.spec.tolerationz"`

	line int // of the object's YAML, where known; a duplicate key has no path
}

// Place is the template line that wrote the field.
func (p Problem) Place() Place {
	if p.line > 0 {
		if stack := p.Object.stackAt(p.line); len(stack) > 0 {
			return stack[0]
		}
	}
	return p.Object.At(p.Field)
}

// String is like "charts/…/comfyui.yaml:42: StatefulSet/comfyui: unknown field …".
func (p Problem) String() string {
	return fmt.Sprintf("%s: %s: %s", p.Place(), p.Object, p.Message)
}

// builtin are Kubernetes' own types and CRDs, for all charts that register no
// others.
var builtin = sync.OnceValue(newScheme)

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientscheme.AddToScheme, apiextensionsv1.AddToScheme, apiextensionsv1beta1.AddToScheme,
	} {
		if err := add(s); err != nil {
			panic(err) // two types of one name in Kubernetes' own packages
		}
	}
	return s
}

// decode turns a render's documents into objects.
func (r *Render) decode() {
	for _, crd := range r.result.CRDs {
		for _, m := range crd.Docs {
			r.document(m, true)
		}
	}
	for _, m := range r.result.Manifests {
		r.document(m, false)
	}
	for _, m := range r.result.Hooks {
		r.document(m, false)
	}
}

// document adds a document's objects to the render.
func (r *Render) document(m engine.Manifest, crd bool) {
	d := m.Doc.Decoded(r.Chart.decode).(*decoded)
	for _, part := range d.objects {
		o := &Object{
			APIVersion: part.apiVersion, Kind: part.kind, Name: part.name, Namespace: part.namespace,
			Template: m.Template, Hook: newHook(m.Hook), CRD: crd,
			Typed: part.typed, YAML: m.Text,
			render: r, part: part, line: m.Line,
		}
		if !part.broken {
			r.Objects = append(r.Objects, o)
		}
		for _, p := range part.problems {
			p.Object = o
			r.Problems = append(r.Problems, p)
		}
	}
}

// decoded is what a document was decoded into, shared by all renders.
type decoded struct{ objects []*part }

// part is one object of a document, which is the only one unless the document
// is a List.
type part struct {
	apiVersion, kind, name, namespace string

	typed    runtime.Object
	node     *plainyaml.Node
	content  func() map[string]any
	prefix   string    // path of the object in the document
	problems []Problem // without Object
	broken   bool      // there is no object
}

func (p *part) problem(field, format string, args ...any) {
	p.problems = append(p.problems, Problem{Field: field, Message: fmt.Sprintf(format, args...)})
}

// decode returns a *decoded, for a document to keep.
func (c *Chart) decode(doc *engine.Document) any {
	whole := &part{node: doc.Node}
	if whole.node == nil {
		whole.general(doc.Text)
	}
	if whole.node == nil || whole.node.Kind == plainyaml.Null { // nothing but comments
		if whole.broken = true; len(whole.problems) > 0 {
			return &decoded{[]*part{whole}}
		}
		return &decoded{}
	}
	items := whole.node.Get("items")
	if strings.HasSuffix(stringAt(whole.node, "kind"), "List") && items != nil && items.Kind == plainyaml.List {
		d := new(decoded)
		for i, item := range items.Items {
			member := &part{node: item, prefix: fmt.Sprintf("items[%d]", i)}
			c.decodePart(member)
			d.objects = append(d.objects, member)
		}
		return d
	}
	c.decodePart(whole)
	return &decoded{[]*part{whole}}
}

// general reads a document with the general parser.
func (p *part) general(doc string) {
	text := []byte(doc + "\n")
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		// Duplicate keys, perhaps: say so, then decode what the last one of
		// each says, as Helm does.
		if data, err = yaml.YAMLToJSON(text); err != nil {
			p.problem("", "%s", err)
			return
		}
		var root goyaml.Node
		if goyaml.Unmarshal(text, &root) == nil {
			p.duplicateKeys(&root)
		}
	}
	p.node = plainyaml.FromJSON(data)
}

// decodePart decodes one object from its node.
func (c *Chart) decodePart(p *part) {
	data := p.node.AppendJSON(make([]byte, 0, 1024))
	if p.node.Kind != plainyaml.Map {
		p.broken = true
		p.problem("", "not an object but %s", shorten(string(data)))
		return
	}
	p.content = sync.OnceValue(func() map[string]any { return p.node.Value(true).(map[string]any) })
	meta := p.node.Get("metadata")
	p.apiVersion, p.kind = stringAt(p.node, "apiVersion"), stringAt(p.node, "kind")
	p.name, p.namespace = stringAt(meta, "name"), stringAt(meta, "namespace")
	if p.apiVersion == "" {
		p.problem("apiVersion", "no apiVersion")
	}
	if p.kind == "" {
		p.problem("kind", "no kind")
	}
	if p.name == "" && stringAt(meta, "generateName") == "" {
		p.problem("metadata.name", "no name: metadata.name is missing or empty")
	}
	typed, err := c.scheme.New(schema.FromAPIVersionAndKind(p.apiVersion, p.kind))
	if err != nil { // a custom resource of unregistered type
		p.typed = &unstructured.Unstructured{Object: p.content()}
		return
	}
	strict, err := kjson.UnmarshalStrict(data, typed)
	for _, e := range strict {
		p.problem(fieldOf(e.Error()), "%s", e)
	}
	if err != nil {
		field, got, message := typeError(err)
		if at, ok := within(p.node, strings.Split(field, "."), got); ok {
			field = strings.TrimPrefix(at, ".")
		}
		p.problem(field, "%s", message)
	}
	p.typed = typed
}

func stringAt(n *plainyaml.Node, key string) string {
	if v := n.Get(key); v != nil && v.Kind == plainyaml.String {
		return v.Text
	}
	return ""
}

func shorten(s string) string {
	if len(s) > 60 {
		s = s[:57] + "..."
	}
	return s
}

var quoted = regexp.MustCompile(`^(?:unknown|duplicate) field "(.*)"$`)

// fieldOf reads the path out of sigs.k8s.io/json's strict errors, whose type
// is private.
func fieldOf(message string) string {
	m := quoted.FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	if s, err := strconv.Unquote(`"` + m[1] + `"`); err == nil {
		return s
	}
	return m[1]
}

var goField = regexp.MustCompile(`^json: cannot unmarshal (.+) into Go struct field \w*\.(.+) of type (.+)$`)

// typeError reads field, JSON type and complaint out of an error of decoding.
func typeError(err error) (field, got, message string) {
	m := goField.FindStringSubmatch(err.Error())
	if m == nil {
		return "", "", err.Error()
	}
	return m[2], m[1], fmt.Sprintf("field %q: got %s, want %s", m[2], m[1], goType(m[3]))
}

// within finds a field that an error of decoding names without the indexes of
// lists and the keys of maps: the first of that type.
func within(n *plainyaml.Node, names []string, got string) (field string, ok bool) {
	if n == nil {
		return "", false
	}
	if n.Kind == plainyaml.List && !(len(names) == 0 && got == "array") {
		for i, item := range n.Items {
			if rest, ok := within(item, names, got); ok {
				return fmt.Sprintf("[%d]%s", i, rest), true
			}
		}
		return "", false
	}
	if len(names) == 0 && n.Kind == plainyaml.Map && got != "object" { // a map of one type, such as a ConfigMap's data
		for i := range n.Pairs {
			if jsonType(n.Pairs[i].Value.Kind, got) {
				return "." + n.Pairs[i].Key, true
			}
		}
		return "", false
	}
	if len(names) == 0 {
		return "", jsonType(n.Kind, got)
	}
	rest, ok := within(n.Get(names[0]), names[1:], got)
	return "." + names[0] + rest, ok
}

// jsonType says whether a node is of a type as encoding/json calls it, with
// the number itself after some.
func jsonType(k plainyaml.Kind, got string) bool {
	got, _, _ = strings.Cut(got, " ")
	switch k {
	case plainyaml.Map:
		return got == "object"
	case plainyaml.List:
		return got == "array"
	case plainyaml.String:
		return got == "string"
	case plainyaml.Bool:
		return got == "bool"
	case plainyaml.Null:
		return false // any type takes it
	}
	return got == "number"
}

// goType says in words of JSON what a Go type takes.
func goType(t string) string {
	switch {
	case strings.HasPrefix(t, "int"), strings.HasPrefix(t, "uint"):
		return "integer"
	case strings.HasPrefix(t, "float"):
		return "number"
	case t == "bool":
		return "boolean"
	case strings.HasPrefix(t, "[]"):
		return "array"
	case strings.HasPrefix(t, "map["):
		return "object"
	}
	return t
}

// duplicateKeys reports the keys that stand twice in one mapping. What a merge
// («<<: *labels») brings in is no key of the mapping: its own keys override it,
// wherever they stand.
func (p *part) duplicateKeys(n *goyaml.Node) {
	if n.Kind == goyaml.MappingNode {
		seen := make(map[string]bool, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != goyaml.ScalarNode || key.Tag == "!!merge" {
				continue
			}
			if seen[key.Value] {
				p.problems = append(p.problems, Problem{line: key.Line, Field: key.Value, Message: fmt.Sprintf("duplicate key %q", key.Value)})
			}
			seen[key.Value] = true
		}
	}
	for _, child := range n.Content {
		p.duplicateKeys(child)
	}
}
