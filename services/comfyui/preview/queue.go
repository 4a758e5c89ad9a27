package preview

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/ai-film/ai-film/services/comfyui/nodes"
)

const (
	historyLimit = 10000    // MAXIMUM_HISTORY_SIZE of ComfyUI
	queueLimit   = 1000     // prompts waiting at once; ComfyUI has no limit, a small pod needs one
	bytesLimit   = 24 << 20 // of prompts waiting, and of those in history
)

// job is one prompt on its way through the server.
type job struct {
	number   float64
	id       string
	prompt   *nodes.Prompt
	extra    json.RawMessage // extra_data as an object
	clientID string
	outputs  []string

	forgotten bool // nothing of it is to be kept
}

func (j *job) size() int { return len(j.prompt.Raw) + len(j.extra) }

// prefixes are the nodes that save, with nothing but their prefix.
func (j *job) prefixes() map[string]*nodes.Node {
	out := map[string]*nodes.Node{}
	for id, n := range j.prompt.Nodes {
		if prefix, ok := n.Inputs["filename_prefix"]; ok {
			out[id] = &nodes.Node{Inputs: map[string]any{"filename_prefix": prefix}}
		}
	}
	return out
}

// savesTo tells whether the job saves to a folder.
func (j *job) savesTo(folder string) bool {
	for _, n := range j.prompt.Nodes {
		if prefix, ok := n.Inputs["filename_prefix"].(string); ok && strings.HasPrefix(prefix, folder+"/") {
			return true
		}
	}
	return false
}

// tuple is the job as /queue and /history show it: [number, id, prompt, extra_data, outputs to execute].
func (j *job) tuple() []any {
	outputs := j.outputs
	if outputs == nil {
		outputs = []string{}
	}
	return []any{j.number, j.id, j.prompt.Raw, j.extra, outputs}
}

// record is a finished prompt as /history shows it.
type record struct {
	Prompt  []any          `json:"prompt"`
	Outputs map[string]any `json:"outputs"`
	Status  status         `json:"status"`
	Meta    map[string]any `json:"meta"`
	job     *job
}

type status struct {
	Text      string `json:"status_str"` // success or error
	Completed bool   `json:"completed"`
	Messages  []any  `json:"messages"` // [event, data] each
}

// queue holds the prompts that wait, the one that runs, and those that are done. Lower numbers run first, equal ones in
// the order they came.
type queue struct {
	mu      sync.Mutex
	wake    chan struct{} // has one token when something was put
	waiting []*job
	running *job
	done    map[string]*record
	bytes   int      // of done
	pending int      // bytes of waiting
	order   []string // ids of done, oldest first
	number  float64  // the next prompt's
	changed func()   // called, unlocked, whenever the length changes
}

func newQueue(changed func()) *queue {
	return &queue{wake: make(chan struct{}, 1), done: map[string]*record{}, changed: changed}
}

// put queues j and reports false if there is no room. Where numbered is false the next number is taken, negative to
// come before all others.
func (q *queue) put(j *job, numbered, front bool) bool {
	q.mu.Lock()
	if len(q.waiting) >= queueLimit || len(q.waiting) > 0 && q.pending+j.size() > bytesLimit {
		q.mu.Unlock()
		return false
	}
	if !numbered {
		j.number = q.number
		if front {
			j.number = -j.number
		}
		q.number++
	}
	at, _ := slices.BinarySearchFunc(q.waiting, j.number, func(w *job, n float64) int {
		if w.number <= n {
			return -1
		}
		return 1
	})
	q.waiting = slices.Insert(q.waiting, at, j)
	q.pending += j.size()
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	q.changed()
	return true
}

// take moves the first waiting prompt to running, or returns nil.
func (q *queue) take() *job {
	q.mu.Lock()
	if len(q.waiting) == 0 {
		q.mu.Unlock()
		return nil
	}
	j := q.waiting[0]
	q.waiting = slices.Delete(q.waiting, 0, 1)
	q.pending -= j.size()
	q.running = j
	q.mu.Unlock()
	q.changed()
	return j
}

// finish moves the running prompt to history.
func (q *queue) finish(r *record) {
	q.mu.Lock()
	j := q.running
	q.running = nil
	q.drop(j.id) // it ran before
	if !j.forgotten {
		// It is not executed again: what was decoded of its graph can go.
		r.job = &job{number: j.number, id: j.id, prompt: &nodes.Prompt{Raw: j.prompt.Raw, Nodes: j.prefixes()}, extra: j.extra, outputs: j.outputs}
		r.Prompt = r.job.tuple()
		q.done[j.id], q.order, q.bytes = r, append(q.order, j.id), q.bytes+j.size()
	}
	for len(q.order) > historyLimit || q.bytes > bytesLimit && len(q.order) > 1 {
		q.drop(q.order[0])
	}
	q.mu.Unlock()
	q.changed()
}

// drop takes a prompt out of history. The mutex is held.
func (q *queue) drop(id string) {
	if r := q.done[id]; r != nil {
		q.bytes -= r.job.size()
		delete(q.done, id)
		q.order = slices.DeleteFunc(q.order, func(o string) bool { return o == id })
	}
}

// length is the number of prompts that wait or run.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.waiting)
	if q.running != nil {
		n++
	}
	return n
}

func (q *queue) lists() (running, waiting []any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	running, waiting = []any{}, []any{}
	if q.running != nil {
		running = append(running, q.running.tuple())
	}
	for _, j := range q.waiting {
		waiting = append(waiting, j.tuple())
	}
	return running, waiting
}

// runs is the prompt that is executed now, or nil.
func (q *queue) runs() *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running
}

// remove takes waiting prompts out; all of them if ids is nil.
func (q *queue) remove(ids []string) error {
	q.mu.Lock()
	q.withdraw(func(j *job) bool { return ids == nil || slices.Contains(ids, j.id) })
	q.mu.Unlock()
	q.changed()
	return nil
}

// withdraw takes those out of the queue that are meant. The mutex is held.
func (q *queue) withdraw(meant func(*job) bool) {
	q.waiting = slices.DeleteFunc(q.waiting, meant)
	q.pending = 0
	for _, j := range q.waiting {
		q.pending += j.size()
	}
}

// forget takes prompts out of history; all of them if ids is nil.
func (q *queue) forget(ids []string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if ids == nil {
		ids = slices.Clone(q.order)
	}
	for _, id := range ids {
		q.drop(id)
	}
	return nil
}

// forgetFilm takes what saves to a film's folder out of queue and history, and returns the prompt that does so just now, or
// nil; nothing will be kept of that.
func (q *queue) forgetFilm(film string) (runs *job) {
	q.mu.Lock()
	for _, id := range slices.Clone(q.order) {
		if q.done[id].job.savesTo(film) {
			q.drop(id)
		}
	}
	q.withdraw(func(j *job) bool { return j.savesTo(film) })
	if q.running != nil && q.running.savesTo(film) {
		runs, q.running.forgotten = q.running, true
	}
	q.mu.Unlock()
	q.changed()
	return runs
}

// history returns one record, or limit of them from offset on (limit < 0: all; offset < 0: the newest).
func (q *queue) history(id string, limit, offset int) orderedRecords {
	q.mu.Lock()
	defer q.mu.Unlock()
	if id != "" {
		if r, ok := q.done[id]; ok {
			return orderedRecords{{id, r}}
		}
		return nil
	}
	from := offset
	if offset < 0 {
		from = 0
		if limit >= 0 {
			from = max(0, len(q.order)-limit)
		}
	}
	var out orderedRecords
	for _, id := range q.order[min(from, len(q.order)):] {
		if limit >= 0 && len(out) >= limit {
			break
		}
		out = append(out, namedRecord{id, q.done[id]})
	}
	return out
}

type namedRecord struct {
	id string
	*record
}

// orderedRecords encodes as an object in its own order, oldest first, as Python's dict would.
type orderedRecords []namedRecord

func (o orderedRecords) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, r := range o {
		if i > 0 {
			out = append(out, ',')
		}
		key, _ := json.Marshal(r.id)
		value, err := json.Marshal(r.record)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}'), nil
}
