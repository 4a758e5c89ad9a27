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

	"github.com/ai-film/ai-film/internal/engine"
	"github.com/ai-film/ai-film/internal/plainyaml"
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
	for _, m := range r.result.CRDs {
		for _, doc := range engine.SplitManifest(m) {
			r.document(doc, true)
		}
	}
	for _, m := range r.result.Manifests {
		r.document(m, false)
	}
	for _, m := range r.result.Hooks {
		r.document(m, false)
	}
}

func (r *Render) document(m engine.Manifest, crd bool) {
	o := &Object{
		Template: m.Template, YAML: m.Text, Hook: newHook(m.Hook), CRD: crd,
		render: r, line: m.Line, node: m.Node,
	}
	if o.node == nil {
		var ok bool
		if o.node, ok = r.general(o); !ok {
			return
		}
	}
	items := o.node.Get("items")
	if kind := o.node.Get("kind"); kind != nil && strings.HasSuffix(kind.Text, "List") && items != nil && items.Kind == plainyaml.List {
		for i, item := range items.Items {
			member := *o
			member.prefix, member.node = fmt.Sprintf("items[%d]", i), item
			r.object(&member)
		}
		return
	}
	r.object(o)
}

// general reads a document with the general parser. It is not ok if there is
// nothing in it.
func (r *Render) general(o *Object) (*plainyaml.Node, bool) {
	text := []byte(o.YAML + "\n")
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		// Duplicate keys: say so, then decode what the last one of each says,
		// as Helm does.
		for _, p := range duplicateKeys(err) {
			p.Object = o
			r.Problems = append(r.Problems, p)
		}
		if data, err = yaml.YAMLToJSON(text); err != nil {
			r.Problems = append(r.Problems, Problem{Object: o, Message: err.Error()})
			return nil, false
		}
	}
	n := plainyaml.FromJSON(data)
	return n, n != nil && n.Kind != plainyaml.Null
}

// object decodes one object and adds it to the render.
func (r *Render) object(o *Object) {
	problem := func(field, message string) {
		r.Problems = append(r.Problems, Problem{Object: o, Field: field, Message: message})
	}
	data := o.node.AppendJSON(make([]byte, 0, len(o.YAML)+len(o.YAML)/4))
	if o.node.Kind != plainyaml.Map {
		problem("", "not an object but "+shorten(string(data)))
		return
	}
	o.content = sync.OnceValue(func() map[string]any { return o.node.Value(true).(map[string]any) })
	meta := o.node.Get("metadata")
	o.APIVersion, o.Kind = stringAt(o.node, "apiVersion"), stringAt(o.node, "kind")
	o.Name, o.Namespace = stringAt(meta, "name"), stringAt(meta, "namespace")
	r.Objects = append(r.Objects, o)
	if o.APIVersion == "" {
		problem("apiVersion", "no apiVersion")
	}
	if o.Kind == "" {
		problem("kind", "no kind")
	}
	if o.Name == "" && stringAt(meta, "generateName") == "" {
		problem("metadata.name", "no name: metadata.name is missing or empty")
	}
	typed, err := r.Chart.scheme.New(schema.FromAPIVersionAndKind(o.APIVersion, o.Kind))
	if err != nil { // a custom resource of unregistered type
		o.Typed = &unstructured.Unstructured{Object: o.content()}
		return
	}
	strict, err := kjson.UnmarshalStrict(data, typed)
	for _, e := range strict {
		problem(fieldOf(e.Error()), e.Error())
	}
	if err != nil {
		field, message := typeError(err)
		problem(field, message)
	}
	o.Typed = typed
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

// typeError reads field and complaint out of an error of decoding.
func typeError(err error) (field, message string) {
	m := goField.FindStringSubmatch(err.Error())
	if m == nil {
		return "", err.Error()
	}
	return m[2], fmt.Sprintf("field %q: got %s, want %s", m[2], m[1], goType(m[3]))
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

var duplicate = regexp.MustCompile(`line (\d+): key "?(.+?)"? already set in map`)

func duplicateKeys(err error) []Problem {
	var problems []Problem
	for _, m := range duplicate.FindAllStringSubmatch(err.Error(), -1) {
		line, _ := strconv.Atoi(m[1])
		problems = append(problems, Problem{line: line, Field: m[2], Message: fmt.Sprintf("duplicate key %q", m[2])})
	}
	return problems
}
