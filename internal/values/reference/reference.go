// Package reference makes what is generated from the types of package values:
// the JSON schemas that Helm checks values against, and the page for people.
package reference

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/internal/values"
)

// Files are all generated files, by path below root, the repository's top directory.
func Files(root string) (map[string][]byte, error) {
	docs, err := readDocs(filepath.Join(root, "internal", "values"))
	if err != nil {
		return nil, err
	}
	defaults, err := readDefaults(filepath.Join(root, "charts", "ai-film", "values.yaml"))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if files["charts/ai-film/values.schema.json"], err = umbrellaSchema(docs); err != nil {
		return nil, err
	}
	for _, layer := range layers() {
		path := fmt.Sprintf("charts/ai-film/charts/%s/values.schema.json", layer.name)
		if files[path], err = layerSchema(docs, layer); err != nil {
			return nil, err
		}
	}
	if files["docs/values.md"], err = page(docs, defaults); err != nil {
		return nil, err
	}
	return files, nil
}

// layer is a subchart and the type of its values.
type layer struct {
	name string
	typ  reflect.Type
}

func layers() []layer {
	return []layer{
		{"application", reflect.TypeFor[values.Application]()},
		{"processing", reflect.TypeFor[values.Processing]()},
		{"data", reflect.TypeFor[values.Data]()},
		{"monitoring", reflect.TypeFor[values.Monitoring]()},
	}
}

// docs are the comments of types ("Image") and of their fields ("Image.Tag").
type docs map[string]string

// of is a field's description.
func (d docs) of(owner reflect.Type, field reflect.StructField) (string, error) {
	doc := d[owner.Name()+"."+field.Name]
	if doc == "" {
		return "", fmt.Errorf("internal/values: %s.%s has no doc comment, which is what users read of it", owner.Name(), field.Name)
	}
	return doc, nil
}

func readDocs(dir string) (docs, error) {
	sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	found := docs{}
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if typ, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range typ.Fields.List {
					for _, name := range field.Names {
						found[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
					}
				}
			}
			return true
		})
	}
	return found, nil
}

func readDefaults(path string) (map[string]any, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var defaults map[string]any
	if err := yaml.UnmarshalStrict(data, &defaults); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return defaults, nil
}

// each calls do for every value of a struct type, embedded types' fields in their place.
func each(typ reflect.Type, do func(owner reflect.Type, field reflect.StructField, key string) error) error {
	for i := range typ.NumField() {
		field := typ.Field(i)
		if field.Anonymous {
			if err := each(field.Type, do); err != nil {
				return err
			}
			continue
		}
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if err := do(typ, field, key); err != nil {
			return err
		}
	}
	return nil
}
