package relay

import (
	"encoding/json"
	"time"
)

// The states of a take.
const (
	waiting = "waiting" // no server has it: none is ready, or its server was lost
	placed  = "placed"  // a server has it in its queue
	done    = "done"    // history has it
)

// take is one prompt, from its submission to its place in history. The relay's mutex guards it.
type take struct {
	ID      string
	Number  float64
	Graph   json.RawMessage
	Extra   json.RawMessage // extra_data, client_id included
	Client  string
	Partial []string // partial_execution_targets, nil for all
	Outputs json.RawMessage

	State     string
	Backend   string // base URL of the server that has it, or had it last
	Remote    string // its id there
	Attempt   int    // how often it was placed
	Record    *record
	Files     []file
	Submitted time.Time

	placedAt  time.Time
	running   bool // the server said so
	deleted   bool // a client took it out of the queue
	told      bool // the client knows that it ended
	hidden    bool // a remake of lost images, not the client's
	moving    bool // being placed right now
	unsaved   bool // the database has an older state
	finished  chan struct{}
	lastError string
	sent      map[string]bool // events the client has, so that none is told twice
}

// record is what a finished take looks like in history, but for its prompt.
type record struct {
	Outputs json.RawMessage `json:"outputs"`
	Status  json.RawMessage `json:"status"`
	Meta    json.RawMessage `json:"meta"`
}

// file is one output: its name to our clients, and what it is called where.
type file struct {
	Public  ref    `json:"public"`
	Remote  ref    `json:"remote"`
	Backend string `json:"backend"`
	Prompt  string `json:"prompt"` // the take's id there
}

// ref names a file as ComfyUI does.
type ref struct {
	Filename  string `json:"filename"`
	Subfolder string `json:"subfolder"`
	Type      string `json:"type"`
}

// tuple is the take as /queue and /history show it.
func (t *take) tuple() []any {
	outputs := t.Outputs
	if len(outputs) == 0 {
		outputs = json.RawMessage("[]")
	}
	return []any{t.Number, t.ID, t.Graph, t.Extra, outputs}
}

// entry is the take as /history shows it.
func (t *take) entry() any {
	return map[string]any{"prompt": t.tuple(), "outputs": t.Record.Outputs, "status": t.Record.Status, "meta": t.Record.Meta}
}

// failure is a record of a take that could not be executed, in the form ComfyUI gives an execution error.
func failure(t *take, kind, message string) *record {
	data, _ := json.Marshal([]any{[]any{"execution_error", map[string]any{
		"prompt_id": t.ID, "node_id": nil, "node_type": nil, "executed": []string{}, "exception_type": kind, "exception_message": message,
		"traceback": []string{}, "current_inputs": map[string]any{}, "current_outputs": []string{}, "timestamp": time.Now().UnixMilli(),
	}}})
	status, _ := json.Marshal(map[string]any{"status_str": "error", "completed": false, "messages": json.RawMessage(data)})
	return &record{Outputs: json.RawMessage("{}"), Status: status, Meta: json.RawMessage("{}")}
}
