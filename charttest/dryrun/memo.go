package dryrun

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// memo remembers for a while what the server said to objects of the cluster's
// scope, which don't depend on a namespace. Profiles of a chart mostly have
// the same ones, and large definitions take a server longer than all the rest.
type memo struct {
	mu   sync.Mutex
	said map[string]verdict
}

type verdict struct {
	stored   *unstructured.Unstructured
	warnings []string
	refusal  error
	at       time.Time
}

// remembrance is how long a verdict holds: policies may change meanwhile.
const remembrance = 30 * time.Second

// send asks the server, unless it has said lately what it thinks of the same.
func (m *memo) send(ctx context.Context, r *rehearsal, q request) (*unstructured.Unstructured, []string, error) {
	data, err := json.Marshal(q.content)
	if q.kind.namespaced || err != nil {
		return r.send(ctx, q)
	}
	key := q.validation + string(data)
	m.mu.Lock()
	v, ok := m.said[key]
	m.mu.Unlock()
	if ok && time.Since(v.at) < remembrance {
		return v.stored, v.warnings, v.refusal
	}
	v = verdict{at: time.Now()}
	v.stored, v.warnings, v.refusal = r.send(ctx, q)
	if v.refusal != nil && !refused(v.refusal) {
		return nil, nil, v.refusal
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.said == nil {
		m.said = map[string]verdict{}
	}
	for key, old := range m.said {
		if time.Since(old.at) >= remembrance {
			delete(m.said, key)
		}
	}
	m.said[key] = v
	return v.stored, v.warnings, v.refusal
}
