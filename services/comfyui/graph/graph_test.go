package graph

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestTextToImage(t *testing.T) {
	p := Params{Checkpoint: "a.safetensors", Positive: `"quoted" {seed} 灯台`, Negative: "", Width: 640, Height: 360, Seed: 1<<64 - 1, Steps: 20, CFG: 6.5,
		FilenamePrefix: "film/s01-01"}
	raw, err := TextToImage(p)
	if err != nil {
		t.Fatal(err)
	}
	var nodes map[string]struct {
		Class  string                     `json:"class_type"`
		Inputs map[string]json.RawMessage `json:"inputs"`
	}
	if err := json.Unmarshal(raw, &nodes); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		"5.seed": "18446744073709551615", "5.steps": "20", "5.cfg": "6.5", "4.width": "640", "3.text": `""`, "2.text": `"\"quoted\" {seed} 灯台"`,
		"7.filename_prefix": `"film/s01-01"`, "5.model": `["1",0]`,
	} {
		node, input, _ := strings.Cut(at, ".")
		if got := string(nodes[node].Inputs[input]); got != want {
			t.Errorf("%s is %s, want %s", at, got, want)
		}
	}
	if nodes[SamplerNode].Class != "KSampler" || nodes[SaveNode].Class != "SaveImage" {
		t.Errorf("SamplerNode is a %s, SaveNode a %s", nodes[SamplerNode].Class, nodes[SaveNode].Class)
	}
}

func TestFillNamesWhatIsMissing(t *testing.T) {
	if _, err := Fill([]byte(`{"a": "{gone}"}`), nil); err == nil || !strings.Contains(err.Error(), "{gone}") {
		t.Errorf("%v", err)
	}
	if _, err := Fill([]byte(`{"a": `), nil); err == nil {
		t.Error("broken template filled")
	}
}
