package wire

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Submission is the body of POST /prompt.
type Submission struct {
	Prompt  json.RawMessage            `json:"prompt"`
	ID      json.RawMessage            `json:"prompt_id"`
	Number  *json.Number               `json:"number"`
	Front   bool                       `json:"front"`
	Client  string                     `json:"client_id"`
	Extra   map[string]json.RawMessage `json:"extra_data"` // client_id included, never nil
	Partial []string                   `json:"partial_execution_targets"`
}

// ReadSubmission reads the body of POST /prompt and the id of its prompt: the
// caller's, or a new one. If the body is none, it answers as ComfyUI does and
// returns false.
func ReadSubmission(w http.ResponseWriter, r *http.Request) (in Submission, id string, ok bool) {
	if !Body(w, r, MaxPrompt, &in) {
		return in, "", false
	}
	if len(in.Prompt) == 0 {
		Refuse(w, 400, "no_prompt", "No prompt provided", "No prompt provided")
		return in, "", false
	}
	if in.Extra == nil {
		in.Extra = map[string]json.RawMessage{}
	}
	if in.Client != "" {
		in.Extra["client_id"], _ = json.Marshal(in.Client)
	} else if client, ok := in.Extra["client_id"]; ok {
		json.Unmarshal(client, &in.Client)
	}
	if len(in.Client) > clientLimit {
		Refuse(w, 400, "invalid_client_id", "client_id is too long", fmt.Sprintf("the limit is %d bytes", clientLimit))
		return in, "", false
	}
	if in.Number != nil {
		if _, err := in.Number.Float64(); err != nil {
			Refuse(w, 400, "invalid_number", "number is too large", in.Number.String())
			return in, "", false
		}
	}
	if slices.ContainsFunc(in.Partial, func(id string) bool { return strings.Contains(id, "\x00") }) {
		Refuse(w, 400, "bad_request", "partial_execution_targets names no node", "an id has a NUL in it")
		return in, "", false
	}
	if len(in.ID) == 0 || string(in.ID) == "null" {
		return in, uuid.NewString(), true
	}
	if json.Unmarshal(in.ID, &id) != nil || !IsID(id) {
		Refuse(w, 400, "invalid_prompt_id", "prompt_id must be a valid UUID",
			"prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let the server generate one")
		return in, "", false
	}
	return in, id, true
}
