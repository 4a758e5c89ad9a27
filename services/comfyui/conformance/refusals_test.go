package conformance

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ai-film/ai-film/services/comfyui/graph"
)

type refusal struct {
	Error struct {
		Type    string         `json:"type"`
		Message string         `json:"message"`
		Details string         `json:"details"`
		Extra   map[string]any `json:"extra_info"`
	} `json:"error"`
	Nodes json.RawMessage `json:"node_errors"`
}

// nodeErrors decodes node_errors, which Python sends as [] where there are none.
func (r refusal) nodeErrors() map[string]struct {
	Errors []struct {
		Type    string         `json:"type"`
		Details string         `json:"details"`
		Extra   map[string]any `json:"extra_info"`
	} `json:"errors"`
	Outputs []string `json:"dependent_outputs"`
	Class   string   `json:"class_type"`
} {
	out := map[string]struct {
		Errors []struct {
			Type    string         `json:"type"`
			Details string         `json:"details"`
			Extra   map[string]any `json:"extra_info"`
		} `json:"errors"`
		Outputs []string `json:"dependent_outputs"`
		Class   string   `json:"class_type"`
	}{}
	json.Unmarshal(r.Nodes, &out)
	return out
}

func (s *suite) refused(t *testing.T, body any) refusal {
	t.Helper()
	status, text, err := s.Do(s.ctx, "POST", "/prompt", body)
	must(t, err)
	var r refusal
	if json.Unmarshal(text, &r); status != http.StatusBadRequest {
		t.Fatalf("status %d: %s", status, text)
	}
	return r
}

func (s *suite) refuses(t *testing.T) {
	g := s.graph(t, nil)
	for _, c := range []struct {
		name, node, input string
		value             any
		at, kind          string
	}{
		{"a link of another type", "5", "model", []any{"2", 0}, "5", "return_type_mismatch"},
		{"a link that is no pair", "5", "model", []any{"1"}, "5", "bad_linked_input"},
		{"a link to no node", "6", "samples", []any{"99", 0}, "6", "exception_during_inner_validation"},
		{"a link to no output", "6", "samples", []any{"5", 3}, "6", "exception_during_inner_validation"},
		{"a missing input", "6", "vae", nil, "6", "required_input_missing"},
		{"too few steps", "5", "steps", 0, "5", "value_smaller_than_min"},
		{"too many steps", "5", "steps", 10001, "5", "value_bigger_than_max"},
		{"no number", "5", "cfg", "much", "5", "invalid_input_type"},
		{"an unknown sampler", "5", "sampler_name", "guess", "5", "value_not_in_list"},
		{"an unknown checkpoint", "1", "ckpt_name", "none.safetensors", "1", "value_not_in_list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.refused(t, map[string]any{"prompt": edit(t, g, c.node, c.input, c.value)})
			if r.Error.Type != "prompt_outputs_failed_validation" || r.Error.Message != "Prompt outputs failed validation" {
				t.Errorf("error: %+v", r.Error)
			}
			n, ok := r.nodeErrors()[c.at]
			if !ok || len(n.Errors) == 0 || n.Errors[0].Type != c.kind {
				t.Fatalf("node_errors: %s", r.Nodes)
			}
			if !slices.Equal(n.Outputs, []string{graph.SaveNode}) || n.Class == "" {
				t.Errorf("node_errors: %s", r.Nodes)
			}
			if strings.HasPrefix(c.kind, "exception") == false && n.Errors[0].Extra["input_name"] != c.input {
				t.Errorf("extra_info: %v", n.Errors[0].Extra)
			}
		})
	}
	t.Run("an unknown node", func(t *testing.T) {
		var tree map[string]any
		must(t, json.Unmarshal(g, &tree))
		tree["8"] = map[string]any{"class_type": "NoSuchNode", "inputs": map[string]any{}}
		r := s.refused(t, map[string]any{"prompt": tree})
		// releases before 0.4 called it invalid_prompt
		if !slices.Contains([]string{"missing_node_type", "invalid_prompt"}, r.Error.Type) || !strings.Contains(r.Error.Message, "NoSuchNode") || r.Error.Details == "" {
			t.Errorf("error: %+v", r.Error)
		}
	})
	t.Run("no output", func(t *testing.T) {
		var tree map[string]any
		must(t, json.Unmarshal(g, &tree))
		delete(tree, graph.SaveNode)
		if r := s.refused(t, map[string]any{"prompt": tree}); r.Error.Type != "prompt_no_outputs" {
			t.Errorf("error: %+v", r.Error)
		}
	})
	t.Run("no prompt", func(t *testing.T) {
		s.refused(t, map[string]any{"client_id": "x"})
	})
}
