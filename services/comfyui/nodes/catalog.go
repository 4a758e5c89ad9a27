// Package nodes knows the signatures of ComfyUI's core nodes and checks a graph against them, with the answers of
// ComfyUI's own server (execution.py, validate_prompt and validate_inputs): the same error types, messages, details and
// extra_info, so that a client sees no difference between a graph refused here and one refused on a GPU.
package nodes

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
)

//go:embed definitions.json
var definitionsJSON []byte

// Files lists what a server has at hand, for the inputs that choose among files. LoadImage checks for the file itself
// (ImageExists), since its list is long and names may carry a folder such as "x.png [output]".
type Files struct {
	Checkpoints func() []string
	Loras       func() []string
	Images      func() []string
	ImageExists func(name string) bool
}

// Definition is the signature of one node.
type Definition struct {
	Name       string
	Inputs     []Input // required ones first, in order
	Outputs    []string
	OutputNode bool
}

// Input is one input of a node. A combo has Choices, a function since the files can change.
type Input struct {
	Name     string
	Type     string // INT, FLOAT, STRING, BOOLEAN, COMBO, or a link type such as MODEL
	Choices  func() []string
	Config   json.RawMessage // {"default": …, "min": …}, at least {}
	Min, Max json.Number     // "" if there is none
	Required bool
}

// Catalog is the set of nodes a server has.
type Catalog struct {
	files       Files
	names       []string
	definitions map[string]*Definition
	raw         map[string]json.RawMessage
}

// NewCatalog reads the definitions; nil functions in files mean there are no such files.
func NewCatalog(files Files) *Catalog {
	none := func() []string { return nil }
	for _, list := range []*func() []string{&files.Checkpoints, &files.Loras, &files.Images} {
		if *list == nil {
			*list = none
		}
	}
	if files.ImageExists == nil {
		files.ImageExists = func(string) bool { return false }
	}
	c := &Catalog{files: files, definitions: map[string]*Definition{}, raw: map[string]json.RawMessage{}}
	names, values, err := orderedObject(definitionsJSON)
	if err != nil {
		panic(fmt.Sprintf("definitions.json: %v", err)) // embedded: a fault of the build
	}
	for i, name := range names {
		c.names = append(c.names, name)
		c.raw[name] = values[i]
		c.definitions[name] = c.parse(values[i])
	}
	return c
}

// Definition returns a node's signature, or nil.
func (c *Catalog) Definition(name string) *Definition { return c.definitions[name] }

// ObjectInfo returns what GET /object_info answers: every node, or only the one named (an empty object if unknown).
func (c *Catalog) ObjectInfo(only string) json.RawMessage {
	out := bytes.NewBufferString("{")
	for _, name := range c.names {
		if only != "" && name != only {
			continue
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		fmt.Fprintf(out, "%q:%s", name, c.raw[name])
	}
	out.WriteByte('}')
	text := out.Bytes()
	for placeholder, list := range c.lists() {
		text = bytes.ReplaceAll(text, []byte(`"`+placeholder+`"`), listJSON(list()))
	}
	return text
}

func (c *Catalog) lists() map[string]func() []string {
	return map[string]func() []string{
		"$checkpoints": c.files.Checkpoints, "$loras": c.files.Loras, "$images": c.files.Images,
	}
}

func listJSON(list []string) []byte {
	if list == nil {
		list = []string{}
	}
	encoded, _ := json.Marshal(list)
	return encoded
}

func (c *Catalog) parse(raw json.RawMessage) *Definition {
	// "hidden" inputs are strings, not lists: they are the server's own and never checked.
	var loose struct {
		Input map[string]json.RawMessage `json:"input"`
	}
	must(json.Unmarshal(raw, &loose))
	signatures := map[string]map[string][]json.RawMessage{}
	for _, group := range []string{"required", "optional"} {
		if part, ok := loose.Input[group]; ok {
			var inputs map[string][]json.RawMessage
			must(json.Unmarshal(part, &inputs))
			signatures[group] = inputs
		}
	}
	var rest struct {
		Name       string              `json:"name"`
		Order      map[string][]string `json:"input_order"`
		Output     []string            `json:"output"`
		OutputNode bool                `json:"output_node"`
	}
	must(json.Unmarshal(raw, &rest))
	d := &Definition{Name: rest.Name, Outputs: rest.Output, OutputNode: rest.OutputNode}
	for _, group := range []string{"required", "optional"} {
		for _, name := range rest.Order[group] {
			d.Inputs = append(d.Inputs, c.input(name, signatures[group][name], group == "required"))
		}
	}
	return d
}

func (c *Catalog) input(name string, signature []json.RawMessage, required bool) Input {
	in := Input{Name: name, Required: required, Config: json.RawMessage("{}")}
	var kind any
	must(json.Unmarshal(signature[0], &kind))
	switch kind := kind.(type) {
	case string:
		in.Type = kind
		if list, ok := c.lists()[kind]; ok {
			in.Type, in.Choices = "COMBO", list
		}
	case []any:
		var choices []string
		must(json.Unmarshal(signature[0], &choices))
		in.Type, in.Choices = "COMBO", func() []string { return choices }
	}
	if len(signature) > 1 {
		in.Config = signature[1]
		var limits struct {
			Min json.Number `json:"min"`
			Max json.Number `json:"max"`
		}
		must(json.Unmarshal(signature[1], &limits))
		in.Min, in.Max = limits.Min, limits.Max
	}
	return in
}

// signature is the input's type and configuration as errors quote them: ["INT", {"min": 1}].
func (in Input) signature() []any {
	if in.Choices != nil {
		return []any{slices.Clone(in.Choices()), in.Config}
	}
	return []any{in.Type, in.Config}
}

func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("definitions.json: %v", err)) // embedded: a fault of the build
	}
}
