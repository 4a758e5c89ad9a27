// Package graph holds the one definition of the graph that makes a shot's still: CheckpointLoaderSimple → 2 ×
// CLIPTextEncode, EmptyLatentImage → KSampler → VAEDecode → SaveImage, in ComfyUI's API format.
//
// The definition is text-to-image.json, so that programs in other languages fill the same file. The rule: a string
// value that is exactly "{name}" is replaced by the value of that name, with the value's own type ("{seed}" becomes a
// number); any other string stays as it is. The names are the fields of [Params].
package graph

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed text-to-image.json
var textToImage []byte

// SamplerNode and SaveNode are the ids in the template of the node that reports progress and of the one whose output
// is the image.
const (
	SamplerNode = "5"
	SaveNode    = "7"
)

// Params fills the template.
type Params struct {
	Checkpoint     string  // file name among the server's checkpoints
	Positive       string  // what the frame shows
	Negative       string  // what it must not show
	Width, Height  int     // px, multiples of 8 (ComfyUI rounds down)
	Seed           uint64  // 0 … 2⁶⁴−1
	Steps          int     // 1 … 10000
	CFG            float64 // 0 … 100
	FilenamePrefix string  // "<film>/<shot>": folder and start of the file's name below the output directory
}

// TextToImage returns the filled graph as JSON, node ids and input names in the template's order. Equal params give
// equal bytes.
func TextToImage(p Params) (json.RawMessage, error) {
	values := map[string]any{
		"checkpoint": p.Checkpoint, "positive": p.Positive, "negative": p.Negative,
		"width": p.Width, "height": p.Height, "seed": p.Seed, "steps": p.Steps, "cfg": p.CFG,
		"filename_prefix": p.FilenamePrefix,
	}
	return Fill(textToImage, values)
}

// Fill replaces the placeholders of a template and returns compact JSON in the template's order. It fails when the
// template is not JSON, or holds a placeholder that values does not name.
func Fill(template []byte, values map[string]any) (json.RawMessage, error) {
	var out bytes.Buffer
	if err := json.Compact(&out, template); err != nil {
		return nil, fmt.Errorf("graph template: %w", err)
	}
	var filled bytes.Buffer
	compact := out.Bytes()
	for i := 0; i < len(compact); {
		if compact[i] != '"' {
			filled.WriteByte(compact[i])
			i++
			continue
		}
		end := i + 1
		for compact[end] != '"' {
			if compact[end] == '\\' {
				end++
			}
			end++
		}
		token := compact[i : end+1]
		name := string(token[1 : len(token)-1])
		if strings.HasPrefix(name, "{") && strings.HasSuffix(name, "}") {
			value, ok := values[name[1:len(name)-1]]
			if !ok {
				return nil, fmt.Errorf("graph template: no value for the placeholder %s", name)
			}
			encoded, err := json.Marshal(value)
			if err != nil {
				return nil, fmt.Errorf("graph template: %s: %w", name, err)
			}
			token = encoded
		}
		filled.Write(token)
		i = end + 1
	}
	return filled.Bytes(), nil
}
