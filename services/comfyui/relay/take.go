package relay

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ai-film/ai-film/services/limits"
)

// The states of a take.
const (
	waiting   = "waiting"   // no server has it for certain: none is ready, it is on its way, or its server was lost
	placed    = "placed"    // a server has it in its queue
	done      = "done"      // history has it
	withdrawn = "withdrawn" // taken out of the queue; known only so that no server executes it later
)

// take is one prompt, from its submission to its place in history. The relay's mutex guards it.
type take struct {
	ID      string
	Number  float64
	Graph   json.RawMessage
	Extra   json.RawMessage // extra_data, client_id included
	Client  string
	Film    string          // whose folder it saves to, "" if unknown
	Partial []string        // partial_execution_targets, nil for all
	Outputs json.RawMessage // ids of the output nodes that are executed

	State     string
	Accepted  bool   // a server has taken its graph for valid
	Backend   string // base URL of the server that has it, may have it, or had it last
	Remote    string // its id there
	Lost      int    // how often its server was lost with it
	Record    *record
	Files     []file
	Submitted time.Time

	placedAt    time.Time
	startedAt   time.Time            // when its server was first seen to execute it
	unsettled   time.Time            // since when its server doesn't tell what became of it
	running     bool                 // the server said so
	deleted     bool                 // a client took it out of the queue
	interrupted bool                 // a client wants what runs to end
	forgotten   bool                 // nothing of it is to be kept
	adopted     bool                 // from another relay: its server may never have got it
	told        bool                 // the client knows that it ended
	hidden      bool                 // a remake of lost images, not the client's
	moving      bool                 // being placed right now
	concluding  bool                 // its outcome is being read and named
	unsaved     bool                 // the database has an older state
	balked      int                  // how often a server answered its submission with an error of the server's own
	avoid       map[string]time.Time // servers that failed it, until when
	outcome     *record
	finished    chan struct{}
	lastError   string
	sent        map[string]bool // events the client has, so that none is told twice
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

var counter = regexp.MustCompile(`^(.*_)(\d{5,9})(_\.[^.]+)$`)

// variant is the name to try after n others were taken: with a later counter, or a number in brackets.
func (f ref) variant(n int) ref {
	if n == 0 {
		return f
	}
	if m := counter.FindStringSubmatch(f.Filename); m != nil {
		i, _ := strconv.Atoi(m[2])
		f.Filename = fmt.Sprintf("%s%05d%s", m[1], i+n, m[3])
		return f
	}
	ext := path.Ext(f.Filename)
	f.Filename = fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(f.Filename, ext), n, ext)
	return f
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

// size is how many bytes it holds, about.
func (t *take) size() int {
	n := 1<<10 + len(t.Graph) + len(t.Extra) + len(t.Outputs) + 256*len(t.Files)
	if t.Record != nil {
		n += len(t.Record.Outputs) + len(t.Record.Status) + len(t.Record.Meta)
	}
	return n
}

// film is the folder that a graph's outputs are saved to: the first part of a filename_prefix, "" if there is none.
func film(graph json.RawMessage) (found string) {
	inputs(graph, func(name, value string) {
		folder, _, ok := strings.Cut(value, "/")
		if name == "filename_prefix" && ok && found == "" && limits.FilmID.MatchString(folder) {
			found = folder
		}
	})
	return found
}

// failure is a record of a take that could not be executed, in the form ComfyUI gives an execution error.
func failure(id, kind, message string) *record {
	return ended(id, "execution_error", map[string]any{"exception_type": kind, "exception_message": message,
		"traceback": []string{}, "current_inputs": map[string]any{}, "current_outputs": []string{}})
}

// ended is a record of a take that ended where no server tells how.
func ended(id, event string, data map[string]any) *record {
	data["prompt_id"], data["node_id"], data["node_type"], data["executed"] = id, nil, nil, []string{}
	data["timestamp"] = time.Now().UnixMilli()
	status, _ := json.Marshal(map[string]any{"status_str": "error", "completed": false, "messages": []any{[]any{event, data}}})
	return &record{Outputs: json.RawMessage("{}"), Status: status, Meta: json.RawMessage("{}")}
}
