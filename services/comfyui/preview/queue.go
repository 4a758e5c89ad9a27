package preview

import (
	"encoding/json"
	"slices"
	"sync"

	"github.com/ai-film/ai-film/services/comfyui/nodes"
)

const (
	historyLimit = 10000 // MAXIMUM_HISTORY_SIZE of ComfyUI
	queueLimit   = 1000  // prompts waiting at once; ComfyUI has no limit, a small pod needs one
)

// job is one prompt on its way through the server.
type job struct {
	number   float64
	id       string
	prompt   *nodes.Prompt
	extra    json.RawMessage // extra_data as an object
	clientID string
	outputs  []string
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
	if len(q.waiting) >= queueLimit {
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
	q.running = j
	q.mu.Unlock()
	q.changed()
	return j
}

// finish moves the running prompt to history.
func (q *queue) finish(r *record) {
	q.mu.Lock()
	id := q.running.id
	q.running = nil
	if _, again := q.done[id]; again {
		q.order = slices.DeleteFunc(q.order, func(o string) bool { return o == id })
	}
	q.done[id] = r
	q.order = append(q.order, id)
	if len(q.order) > historyLimit {
		delete(q.done, q.order[0])
		q.order = slices.Delete(q.order, 0, 1)
	}
	q.mu.Unlock()
	q.changed()
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

func (q *queue) runs(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running != nil && q.running.id == id
}

// remove takes waiting prompts out; all of them if ids is nil.
func (q *queue) remove(ids []string) error {
	q.mu.Lock()
	q.waiting = slices.DeleteFunc(q.waiting, func(j *job) bool { return ids == nil || slices.Contains(ids, j.id) })
	q.mu.Unlock()
	q.changed()
	return nil
}

func (q *queue) forget(ids []string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if ids == nil {
		q.done, q.order = map[string]*record{}, nil
		return nil
	}
	q.order = slices.DeleteFunc(q.order, func(id string) bool { return slices.Contains(ids, id) })
	for _, id := range ids {
		delete(q.done, id)
	}
	return nil
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
