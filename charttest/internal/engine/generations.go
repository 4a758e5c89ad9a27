package engine

import "sync"

// generations remember what was made of texts. What is asked for again moves from
// the older generation to the younger; when the younger has as much text as it may,
// the older is forgotten. So what most renders of a chart have in common stays, and
// what one of many has of its own goes.
type generations[V any] struct {
	mu         sync.RWMutex
	young, old map[string]V
	bytes      int // of the young
}

// get returns what is remembered of a text, or what is made of it now. Where
// several ask at once, it may be made more than once, and all get the same. Limit
// is that of a generation's text, in bytes.
func (g *generations[V]) get(text string, limit int, make func(text string) V) V {
	g.mu.RLock()
	v, ok := g.young[text]
	g.mu.RUnlock()
	if ok {
		return v
	}
	g.mu.RLock()
	v, ok = g.old[text]
	g.mu.RUnlock()
	if !ok {
		v = make(text)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if first, ok := g.young[text]; ok {
		return first
	}
	if g.young == nil || g.bytes+len(text) > limit {
		g.young, g.old, g.bytes = map[string]V{}, g.young, 0
	}
	g.young[text] = v
	g.bytes += len(text)
	return v
}
