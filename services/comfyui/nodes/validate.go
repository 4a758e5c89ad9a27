package nodes

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is one finding about a prompt or an input, as ComfyUI words it.
type Error struct {
	Type      string         `json:"type"`
	Message   string         `json:"message"`
	Details   string         `json:"details"`
	ExtraInfo map[string]any `json:"extra_info"`
}

// NodeErrors are the findings about one node, and the output nodes that can't be made because of them.
type NodeErrors struct {
	Errors           []Error  `json:"errors"`
	DependentOutputs []string `json:"dependent_outputs"`
	ClassType        string   `json:"class_type"`
}

// Verdict says what of a prompt can be executed. Failure is nil when at least one output node can.
type Verdict struct {
	Failure    *Error
	Outputs    []string // output nodes to execute, in the prompt's order
	NodeErrors map[string]*NodeErrors
}

// Validate checks the prompt; only the output nodes named in partial are asked for, or all of them if it is nil.
// Inputs that a widget sends as text are converted in place, as ComfyUI does ("20" becomes 20 for an INT).
func (c *Catalog) Validate(p *Prompt, partial []string) Verdict {
	refuse := func(kind, message, details string, info map[string]any) Verdict {
		return Verdict{Failure: &Error{kind, message, details, info}, NodeErrors: map[string]*NodeErrors{}}
	}
	var asked []string
	for _, id := range p.Order {
		node := p.Nodes[id]
		definition := c.definitions[node.ClassType]
		if definition == nil {
			info := map[string]any{"node_id": id, "class_type": nil, "node_title": nil}
			name := "ID #" + id
			if node.Title != "" {
				name, info["node_title"] = node.Title, node.Title
			}
			message := fmt.Sprintf("Node '%s' has no class_type. The workflow may be corrupted or a custom node is missing.", name)
			if node.ClassType != "" {
				if node.Title == "" {
					name = node.ClassType
				}
				info["class_type"], info["node_title"] = node.ClassType, name
				message = fmt.Sprintf("Node '%s' not found. The custom node may not be installed.", name)
			}
			return refuse("missing_node_type", message, fmt.Sprintf("Node ID '#%s'", id), info)
		}
		if definition.OutputNode && (partial == nil || slices.Contains(partial, id)) {
			asked = append(asked, id)
		}
	}
	if len(asked) == 0 {
		return refuse("prompt_no_outputs", "Prompt has no outputs", "", map[string]any{})
	}

	v := validation{catalog: c, prompt: p, done: map[string]*result{}, at: map[string]int{}}
	verdict := Verdict{NodeErrors: map[string]*NodeErrors{}}
	var details []string
	reported := 0
	for _, output := range asked {
		if v.failed(output) == nil && v.done[output].valid {
			verdict.Outputs = append(verdict.Outputs, output)
			continue
		}
		if reported++; reported > maxFindings {
			continue
		}
		for _, e := range v.done[output].errors {
			details = append(details, e.Message+": "+e.Details)
		}
		for _, id := range v.order {
			r := v.done[id]
			if r.valid || len(r.errors) == 0 {
				continue
			}
			if verdict.NodeErrors[id] == nil {
				verdict.NodeErrors[id] = &NodeErrors{Errors: r.errors, ClassType: p.Nodes[id].ClassType}
			}
			verdict.NodeErrors[id].DependentOutputs = append(verdict.NodeErrors[id].DependentOutputs, output)
		}
	}
	if len(verdict.Outputs) == 0 {
		verdict.Failure = &Error{"prompt_outputs_failed_validation", "Prompt outputs failed validation",
			strings.Join(details, "\n"), map[string]any{}}
	}
	return verdict
}

// maxFindings is how many of a graph's faults are told, and of how many outputs. ComfyUI tells all; a large graph could
// have gigabytes of them.
const maxFindings = 200

type result struct {
	valid  bool
	errors []Error
}

type validation struct {
	catalog  *Catalog
	prompt   *Prompt
	done     map[string]*result
	order    []string // ids of done, as they were first reached
	visiting []string
	at       map[string]int // where a node is among visiting
	findings int
}

func (v *validation) settle(id string, valid bool, errs []Error) {
	if v.done[id] == nil {
		v.order = append(v.order, id)
		v.done[id] = &result{valid: true}
	}
	r := v.done[id]
	r.valid = r.valid && valid
	errs = errs[:min(len(errs), maxFindings-v.findings)]
	v.findings += len(errs)
	r.errors = append(r.errors, errs...)
}

// brokenLink is what Python raises when a link leads nowhere: to no node (KeyError) or to no output (IndexError).
type brokenLink struct{ kind, message string }

func (b brokenLink) Error() string { return b.message }

// failed validates an output node and files a broken link of its own under it.
func (v *validation) failed(output string) error {
	err := v.node(output)
	if err == nil {
		return nil
	}
	var broken brokenLink
	errors.As(err, &broken)
	v.settle(output, false, []Error{{"exception_during_validation", "Exception when validating node", broken.message,
		map[string]any{"exception_type": broken.kind, "traceback": []string{}}}})
	return err
}

// node validates one node and what it depends on. The error is a brokenLink among its own inputs, which ComfyUI
// files under this node only once the caller has caught it.
func (v *validation) node(id string) error {
	if v.done[id] != nil {
		return nil
	}
	if at, inside := v.at[id]; inside {
		v.cycle(append(slices.Clone(v.visiting[at:]), id))
		return nil
	}
	node := v.prompt.Nodes[id]
	if !node.HasInputs {
		return brokenLink{"KeyError", "'inputs'"}
	}
	valid := true
	var errs []Error
	for _, in := range v.catalog.definitions[node.ClassType].Inputs {
		value, present := node.Inputs[in.Name]
		if !present {
			if in.Required {
				errs = append(errs, Error{"required_input_missing", "Required input is missing", in.Name,
					map[string]any{"input_name": in.Name}})
			}
			continue
		}
		if list, isLink := value.([]any); isLink {
			upstream, err := v.link(id, in, list)
			if err != nil {
				var finding *findingError
				if !errors.As(err, &finding) {
					return err
				}
				errs = append(errs, finding.finding)
			}
			valid = valid && upstream
			continue
		}
		converted, finding := v.value(node, in, value)
		if finding != nil {
			errs = append(errs, *finding)
			continue
		}
		node.Inputs[in.Name] = converted
	}
	v.settle(id, valid && len(errs) == 0, errs)
	return nil
}

// findingError carries a finding through an error return.
type findingError struct{ finding Error }

func (f *findingError) Error() string { return f.finding.Message }

// link checks one linked input; false says that something upstream is wrong and was filed there.
func (v *validation) link(id string, in Input, list []any) (upstream bool, err error) {
	info := map[string]any{"input_name": in.Name, "input_config": in.signature()}
	if len(list) != 2 {
		info["received_value"] = list
		return true, &findingError{Error{"bad_linked_input",
			"Bad linked input, must be a length-2 list of [node_id, slot_index]", in.Name, info}}
	}
	l, ok := link(list)
	source := v.prompt.Nodes[l.Node]
	if !ok && source != nil {
		return true, brokenLink{"TypeError", "tuple indices must be integers or slices"}
	}
	if source == nil {
		return true, brokenLink{"KeyError", pythonRepr(list[0])}
	}
	outputs := v.catalog.definitions[source.ClassType].Outputs
	slot := l.Slot
	if slot < 0 {
		slot += len(outputs) // Python counts a negative index from the end
	}
	if slot < 0 || slot >= len(outputs) {
		return true, brokenLink{"IndexError", "tuple index out of range"}
	}
	if received := outputs[slot]; received != in.Type {
		info["received_type"], info["linked_node"] = received, list
		expected := in.Type
		if in.Choices != nil {
			expected = pythonList(in.Choices())
		}
		return true, &findingError{Error{"return_type_mismatch", "Return type mismatch between linked nodes",
			fmt.Sprintf("%s, received_type(%s) mismatch input_type(%s)", in.Name, received, expected), info}}
	}
	v.at[id] = len(v.visiting)
	v.visiting = append(v.visiting, id)
	err = v.node(l.Node)
	v.visiting = v.visiting[:len(v.visiting)-1]
	delete(v.at, id)
	if err != nil {
		var broken brokenLink
		errors.As(err, &broken)
		info["exception_message"], info["exception_type"] = broken.message, broken.kind
		info["traceback"], info["linked_node"] = []string{}, list
		v.settle(l.Node, false, []Error{{"exception_during_inner_validation", "Exception when validating inner node",
			broken.message, info}})
		return false, nil
	}
	// A node on a cycle is not settled yet while we are inside it; the cycle itself is.
	r := v.done[l.Node]
	return r == nil || r.valid, nil
}

func (v *validation) cycle(path []string) {
	around := path[:len(path)-1]
	told := around
	if len(path) > 20 {
		path, told = slices.Concat(path[:10], path[len(path)-10:]), around[:20]
	}
	named := make([]string, len(path))
	for i, id := range path {
		named[i] = fmt.Sprintf("%s (%s)", id, v.prompt.Nodes[id].ClassType)
	}
	for _, id := range around {
		v.settle(id, false, []Error{{"dependency_cycle", "Dependency cycle detected", strings.Join(named, " -> "),
			map[string]any{"node_id": id, "cycle_nodes": told}}})
	}
}

// value converts and checks a value that is no link.
func (v *validation) value(node *Node, in Input, value any) (any, *Error) {
	if wrapped, ok := value.(map[string]any); ok {
		if inner, ok := wrapped["__value__"]; ok {
			value = inner
		}
	}
	info := map[string]any{"input_name": in.Name, "input_config": in.signature(), "received_value": value}
	converted, err := convert(in.Type, value)
	if err != nil {
		info["exception_message"] = err.Error()
		return nil, &Error{"invalid_input_type", fmt.Sprintf("Failed to convert an input value to a %s value", in.Type),
			fmt.Sprintf("%s, %s, %s", in.Name, pythonStr(value), err), info}
	}
	value = converted
	info["received_value"] = value
	if node.ClassType == "LoadImage" && in.Name == "image" {
		if name, ok := value.(string); !ok || !v.catalog.files.ImageExists(name) {
			return nil, &Error{"custom_validation_failed", "Custom validation failed for node",
				fmt.Sprintf("image - Invalid image file: %s", pythonStr(value)), map[string]any{"input_name": in.Name}}
		}
		return value, nil
	}
	if number, ok := value.(json.Number); ok {
		if in.Min != "" && compare(number, in.Min) < 0 {
			return nil, &Error{"value_smaller_than_min",
				fmt.Sprintf("Value %s smaller than min of %s", number, in.Min), in.Name, info}
		}
		if in.Max != "" && compare(number, in.Max) > 0 {
			return nil, &Error{"value_bigger_than_max",
				fmt.Sprintf("Value %s bigger than max of %s", number, in.Max), in.Name, info}
		}
	}
	if in.Choices != nil {
		choices := in.Choices()
		if text, ok := value.(string); !ok || !slices.Contains(choices, text) {
			list := pythonList(choices)
			if len(choices) > 20 { // don't send back gigantic lists, such as of model files
				list, info["input_config"] = fmt.Sprintf("(list of length %d)", len(choices)), nil
			}
			return nil, &Error{"value_not_in_list", "Value not in list",
				fmt.Sprintf("%s: %s not in %s", in.Name, pythonRepr(value), list), info}
		}
	}
	return value, nil
}
