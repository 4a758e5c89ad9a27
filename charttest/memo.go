package charttest

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// memo remembers the latest renders, since test suites ask one render many
// questions and rarely keep it between them.
type memo struct {
	mu     sync.Mutex
	byKey  map[string]*remembered
	recent []string // keys, oldest first
}

type remembered struct {
	once      sync.Once
	render    *Render
	err       error
	cancelled bool // by the context of whoever asked first
}

// maxRemembered bounds the renders kept.
const maxRemembered = 32

// key names what a render depends on, or is empty for one that is not to be
// remembered: with random functions at large, or objects to look up, or so asked.
func (p *Profile) key(values map[string]any, release engine.Release) string {
	if p.Fresh || p.Random || p.Lookup != nil || p.LookupFunc != nil {
		return ""
	}
	release.Lookup, release.Timeout = nil, 0
	data, err := json.Marshal(struct {
		Values  map[string]any
		Release any
	}{values, struct {
		Name, Namespace, KubeVersion        string
		APIVersions, Served                 []string
		Upgrade, SkipSchema, SubNotes, CRDs bool
		Seed                                uint64
		Now                                 int64
	}{release.Name, release.Namespace, release.KubeVersion, release.APIVersions, release.Served, release.Upgrade,
		release.SkipSchema, release.SubNotes, release.IncludeCRDs, release.Seed, release.Now.UnixNano()}})
	if err != nil {
		return ""
	}
	return string(data)
}

// render returns the render remembered for the key, or a fresh one. One that
// was cancelled by another's context is made anew.
func (m *memo) render(ctx context.Context, key string, fresh func() (*Render, error)) (*Render, error) {
	if key == "" {
		return fresh()
	}
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		r := m.entry(key)
		r.once.Do(func() {
			r.render, r.err = fresh()
			r.cancelled = r.err != nil && ctx.Err() != nil
		})
		if !r.cancelled {
			return r.render, r.err
		}
		m.forget(key, r)
	}
}

func (m *memo) forget(key string, r *remembered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byKey[key] == r {
		delete(m.byKey, key)
		m.recent = slices.DeleteFunc(m.recent, func(k string) bool { return k == key })
	}
}

func (m *memo) entry(key string) *remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.byKey[key]; ok {
		return r
	}
	if m.byKey == nil {
		m.byKey = make(map[string]*remembered)
	}
	if len(m.recent) >= maxRemembered {
		delete(m.byKey, m.recent[0])
		m.recent = append(m.recent[:0], m.recent[1:]...)
	}
	r := new(remembered)
	m.byKey[key] = r
	m.recent = append(m.recent, key)
	return r
}
