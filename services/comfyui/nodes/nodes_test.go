package nodes

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func catalog() *Catalog {
	return NewCatalog(Files{
		Checkpoints: func() []string { return []string{"a.safetensors", "it's.safetensors"} },
		ImageExists: func(name string) bool { return name == "there.png" },
	})
}

func parse(t *testing.T, text string) *Prompt {
	t.Helper()
	p, err := ParsePrompt(json.RawMessage(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const load = `{"1":{"class_type":"LoadImage","inputs":{"image":"there.png"}},"2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"x"}}}`

func TestDefinitionsAreWhole(t *testing.T) {
	c := catalog()
	for _, name := range c.names {
		d := c.Definition(name)
		if d.Name != name || len(d.Inputs) == 0 {
			t.Errorf("%s: %+v", name, d)
		}
		for _, in := range d.Inputs {
			if in.Type == "" || in.Type == "COMBO" && in.Choices == nil {
				t.Errorf("%s.%s: %+v", name, in.Name, in)
			}
		}
	}
	var all map[string]struct {
		Input map[string]map[string][]any `json:"input"`
	}
	if err := json.Unmarshal(c.ObjectInfo("CheckpointLoaderSimple"), &all); err != nil {
		t.Fatal(err)
	}
	names := all["CheckpointLoaderSimple"].Input["required"]["ckpt_name"][0].([]any)
	if len(all) != 1 || len(names) != 2 || names[1] != "it's.safetensors" {
		t.Errorf("object_info: %v", all)
	}
	if strings.Contains(string(c.ObjectInfo("")), "$") {
		t.Error("object_info shows a placeholder")
	}
}

func TestValidPromptAndConversion(t *testing.T) {
	p := parse(t, `{"4":{"class_type":"EmptyLatentImage","inputs":{"width":"512","height":512.0,"batch_size":true}},
		"1":{"class_type":"CheckpointLoaderSimple","inputs":{"ckpt_name":"a.safetensors"}},
		"6":{"class_type":"VAEDecode","inputs":{"samples":["4",0],"vae":["1",-1]}},"7":{"class_type":"SaveImage","inputs":{"images":["6",0],"filename_prefix":42}}}`)
	v := catalog().Validate(p, nil)
	if v.Failure != nil || !slices.Equal(v.Outputs, []string{"7"}) {
		t.Fatalf("%+v %+v", v.Failure, v.NodeErrors)
	}
	in := p.Nodes["4"].Inputs
	if in["width"] != json.Number("512") || in["height"] != json.Number("512") || in["batch_size"] != json.Number("1") || p.Nodes["7"].Inputs["filename_prefix"] != "42" {
		t.Errorf("converted: %v %v", in, p.Nodes["7"].Inputs)
	}
	if !slices.Equal(p.Order, []string{"4", "1", "6", "7"}) {
		t.Errorf("order: %v", p.Order)
	}
}

// The wording is ComfyUI's, down to Python's way of writing values.
func TestFindings(t *testing.T) {
	for _, c := range []struct{ name, graph, node, kind, details string }{
		{"missing image", strings.Replace(load, "there", "gone", 1), "1", "custom_validation_failed", "image - Invalid image file: gone.png"},
		{"own link to nowhere", strings.Replace(load, `["1",0]`, `["9",0]`, 1), "2", "exception_during_validation", "'9'"},
		{"own link to no output", strings.Replace(load, `["1",0]`, `["1",2]`, 1), "2", "exception_during_validation", "tuple index out of range"},
		{"mask for image", strings.Replace(load, `["1",0]`, `["1",1]`, 1), "2", "return_type_mismatch", "images, received_type(MASK) mismatch input_type(IMAGE)"},
		{"no inputs", `{"2":{"class_type":"SaveImage"}}`, "2", "exception_during_validation", "'inputs'"},
		{"list", `{"1":{"class_type":"CheckpointLoaderSimple","inputs":{"ckpt_name":"b"}},"6":{"class_type":"VAEDecode","inputs":{"samples":["4",0],"vae":["1",2]}},
			"4":{"class_type":"EmptyLatentImage","inputs":{"width":512,"height":512,"batch_size":1}},"7":{"class_type":"SaveImage","inputs":{"images":["6",0],"filename_prefix":"x"}}}`,
			"1", "value_not_in_list", `ckpt_name: 'b' not in ['a.safetensors', "it's.safetensors"]`},
		{"text for number", `{"4":{"class_type":"EmptyLatentImage","inputs":{"width":"wide","height":512,"batch_size":1}},"1":{"class_type":"CheckpointLoaderSimple","inputs":{"ckpt_name":"a.safetensors"}},
			"6":{"class_type":"VAEDecode","inputs":{"samples":["4",0],"vae":["1",2]}},"7":{"class_type":"SaveImage","inputs":{"images":["6",0],"filename_prefix":"x"}}}`,
			"4", "invalid_input_type", "width, wide, invalid literal for int() with base 10: 'wide'"},
		{"cycle", `{"1":{"class_type":"ImageScale","inputs":{"image":["2",0],"upscale_method":"area","width":8,"height":8,"crop":"disabled"}},
			"2":{"class_type":"ImageScale","inputs":{"image":["1",0],"upscale_method":"area","width":8,"height":8,"crop":"disabled"}},"3":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"x"}}}`,
			"1", "dependency_cycle", "1 (ImageScale) -> 2 (ImageScale) -> 1 (ImageScale)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := catalog().Validate(parse(t, c.graph), nil)
			if v.Failure == nil || v.Failure.Type != "prompt_outputs_failed_validation" {
				t.Fatalf("failure: %+v", v.Failure)
			}
			n := v.NodeErrors[c.node]
			if n == nil || n.Errors[0].Type != c.kind || n.Errors[0].Details != c.details {
				t.Errorf("node_errors: %+v", v.NodeErrors)
				if n != nil {
					t.Errorf("%+v", n.Errors)
				}
			}
		})
	}
}

func TestOneGoodOutputIsEnough(t *testing.T) {
	p := parse(t, strings.Replace(load, `"2":`, `"3":{"class_type":"PreviewImage","inputs":{"images":["1",1]}},"2":`, 1))
	v := catalog().Validate(p, nil)
	if v.Failure != nil || !slices.Equal(v.Outputs, []string{"2"}) || v.NodeErrors["3"] == nil {
		t.Errorf("%+v", v)
	}
	if v := catalog().Validate(parse(t, load), []string{"1"}); v.Failure == nil || v.Failure.Type != "prompt_no_outputs" {
		t.Errorf("partial: %+v", v)
	}
}

func TestDeepGraph(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"0":{"class_type":"LoadImage","inputs":{"image":"there.png"}}`)
	const deep = 20000
	for i := 1; i <= deep; i++ {
		class, rest := "ImageScale", `,"upscale_method":"area","width":8,"height":8,"crop":"disabled"`
		input := "image"
		if i == deep {
			class, input, rest = "PreviewImage", "images", ""
		}
		b.WriteString(`,"` + itoa(i) + `":{"class_type":"` + class + `","inputs":{"` + input + `":["` + itoa(i-1) + `",0]` + rest + `}}`)
	}
	b.WriteString("}")
	if v := catalog().Validate(parse(t, b.String()), nil); v.Failure != nil {
		t.Errorf("%+v", v.Failure)
	}
}

func itoa(i int) string { b, _ := json.Marshal(i); return string(b) }

func FuzzParseAndValidate(f *testing.F) {
	f.Add(load)
	f.Add(`{"1":{"class_type":"KSampler","inputs":{"seed":1e400,"model":[[],0]}},"2":{"class_type":"SaveImage","inputs":{"images":["1",0]}}}`)
	f.Add(`{"1":{"class_type":"SaveImage","inputs":{"images":[{"a":1},"x"],"filename_prefix":null}}}`)
	f.Add(`{"1":{"class_type":5,"inputs":[]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePrompt(json.RawMessage(text))
		if err != nil {
			return
		}
		v := catalog().Validate(p, nil)
		if v.Failure == nil && len(v.Outputs) == 0 {
			t.Error("nothing wrong, nothing to do")
		}
		if _, err := json.Marshal(v.NodeErrors); err != nil {
			t.Error(err)
		}
	})
}
