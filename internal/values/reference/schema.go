package reference

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/ai-film/ai-film/internal/values"
)

const draft = "http://json-schema.org/draft-07/schema#"

// schemas makes the schemas of one file. A struct type becomes a definition, so that it stands there once.
type schemas struct {
	docs        docs
	definitions map[string]any
}

// umbrellaSchema is the schema of the whole chart's values.
func umbrellaSchema(docs docs) ([]byte, error) {
	s := schemas{docs, map[string]any{}}
	schema, err := s.object(reflect.TypeFor[values.Values]())
	if err != nil {
		return nil, err
	}
	// A chart that has this one as a dependency says by it whether to install it; only Helm reads it.
	schema["properties"].(map[string]any)["enabled"] = map[string]any{
		"type": "boolean", "description": "Whether a parent chart installs this one, where its dependency's condition says so.",
	}
	// Helm hands global to every subchart by writing it below the subchart's name before it checks; to the library too.
	handed := map[string]any{"type": "object", "description": "Set by Helm: the values of global, for the subchart."}
	for _, layer := range layers() {
		definition := s.definitions[layer.typ.Name()].(map[string]any)
		definition["properties"].(map[string]any)["global"] = handed
	}
	schema["properties"].(map[string]any)["studio"] = map[string]any{
		"type": "object", "description": "Set by Helm: the library chart has no values of its own.",
		"properties": map[string]any{"global": handed}, "additionalProperties": false,
	}
	return s.file("Values of the chart ai-film", schema)
}

// layerSchema is the schema of a subchart's values.
func layerSchema(docs docs, layer layer) ([]byte, error) {
	s := schemas{docs, map[string]any{}}
	schema, err := s.object(layer.typ)
	if err != nil {
		return nil, err
	}
	field, _ := reflect.TypeFor[values.Values]().FieldByName("Global")
	if schema["properties"].(map[string]any)["global"], err = s.field(reflect.TypeFor[values.Values](), field); err != nil {
		return nil, err
	}
	return s.file("Values of ai-film's subchart "+layer.name, schema)
}

func (s schemas) file(title string, schema map[string]any) ([]byte, error) {
	schema["$schema"] = draft
	schema["title"] = title
	schema["definitions"] = s.definitions
	data, err := json.MarshalIndent(schema, "", "  ")
	return append(data, '\n'), err
}

func (s schemas) object(typ reflect.Type) (map[string]any, error) {
	properties := map[string]any{}
	err := each(typ, func(owner reflect.Type, field reflect.StructField, key string) (err error) {
		properties[key], err = s.field(owner, field)
		return err
	})
	// A parent chart's own globals come along; templates/_validation.tpl refuses what is none of ours where there is no parent.
	foreign := typ == reflect.TypeFor[values.Global]()
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": foreign}, err
}

func (s schemas) field(owner reflect.Type, field reflect.StructField) (map[string]any, error) {
	doc, err := s.docs.of(owner, field)
	if err != nil {
		return nil, err
	}
	bounds, err := parseBounds(field.Tag.Get("schema"))
	if err != nil {
		return nil, fmt.Errorf("internal/values: %s.%s: %w", owner.Name(), field.Name, err)
	}
	schema, err := s.of(field.Type, bounds)
	if err != nil {
		return nil, err
	}
	if _, ok := schema["$ref"]; ok {
		schema = map[string]any{"allOf": []any{schema}} // draft-07 ignores what stands beside a $ref
	}
	schema["description"] = doc
	return schema, nil
}

func (s schemas) of(typ reflect.Type, bounds bounds) (map[string]any, error) {
	if typ == reflect.TypeFor[values.Quantity]() {
		return map[string]any{"type": []string{"string", "number"}, "pattern": quantity, "minimum": 0}, nil
	}
	switch typ.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}, nil
	case reflect.Int, reflect.Int64:
		schema := map[string]any{"type": "integer"}
		bounds.number(schema)
		return schema, nil
	case reflect.String:
		schema := map[string]any{"type": "string"}
		bounds.text(schema)
		return schema, nil
	case reflect.Pointer:
		return s.of(typ.Elem(), bounds)
	case reflect.Slice:
		items, err := s.of(typ.Elem(), bounds)
		return map[string]any{"type": "array", "items": items}, err
	case reflect.Map:
		schema := map[string]any{"type": "object"}
		if typ.Elem().Kind() == reflect.Interface { // an object of Kubernetes' own, which its API server checks
			return schema, nil
		}
		elements, err := s.of(typ.Elem(), nil)
		if err != nil {
			return nil, err
		}
		// Null removes a default; Helm leaves it standing in the values and the templates skip it.
		switch kinds := elements["type"].(type) {
		case string:
			elements["type"] = []string{kinds, "null"}
		case []string:
			elements["type"] = append(kinds, "null")
		default: // a reference, beside which draft-07 reads nothing
			elements = map[string]any{"anyOf": []any{elements, map[string]any{"type": "null"}}}
		}
		schema["additionalProperties"] = elements
		if keys := bounds["keys"]; keys != "" {
			schema["propertyNames"] = map[string]any{"pattern": keys}
		}
		return schema, nil
	case reflect.Struct:
		name := typ.Name()
		if _, ok := s.definitions[name]; !ok {
			definition, err := s.object(typ)
			if err != nil {
				return nil, err
			}
			s.definitions[name] = definition
		}
		return map[string]any{"$ref": "#/definitions/" + name}, nil
	}
	return nil, fmt.Errorf("internal/values: %s is of a type no schema is known for", strings.TrimPrefix(typ.String(), "values."))
}
