package relay

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Store is where takes are kept: unfinished ones as long as they are, done ones as history. It is what relays in front
// of the same servers have in common. Every unfinished take has one owner among them at a time, who alone places it and
// ends it; what any of them tells its clients is read here.
type Store interface {
	// Enter makes a new take durable and ours, and numbers it unless it has a number: at the end of the queue, or before
	// all others. If its id is taken, the take that has it is returned instead.
	Enter(ctx context.Context, t *take, numbered, front bool) (known *take, err error)
	// Save writes a take of ours; it is errNotOurs if another relay has taken it over.
	Save(ctx context.Context, t *take) error
	// Name gives f a public name that no other file has, and adds it to the files of the take, which must be ours.
	Name(ctx context.Context, t *take, f file) (file, error)
	// Move says where the files of a done take are now.
	Move(ctx context.Context, id string, files []file) error

	// Get returns a take, or nil.
	Get(ctx context.Context, id string) (*take, error)
	// Named returns the id of the take whose file has a public name, or "".
	Named(ctx context.Context, name ref) (string, error)
	// Unfinished lists the ids of all relays' takes that are not done, and History those of done ones, oldest first: limit
	// of them from offset on (limit < 0: all; offset < 0: the newest).
	Unfinished(ctx context.Context) ([]string, error)
	History(ctx context.Context, limit, offset int) ([]string, error)
	// Whereabouts tells of those ids that are known where they may be executed: the server's URL, "" for none.
	Whereabouts(ctx context.Context, ids []string) (map[string]string, error)

	// Cancel asks the owners to take unfinished takes out of the queue, nil is all of them; and, where they are to be
	// forgotten, to stop those that run and keep nothing of them.
	Cancel(ctx context.Context, ids []string, forget bool) error
	// Forget deletes done takes and returns them; nil is all of them.
	Forget(ctx context.Context, ids []string) ([]*take, error)
	// OfFilm lists the ids of a film's takes.
	OfFilm(ctx context.Context, film string) ([]string, error)
	// Owe notes that a server, by its URL, has yet to delete a film; Owed lists a server's films, and Paid strikes one out.
	Owe(ctx context.Context, server, film string) error
	Owed(ctx context.Context, server string) ([]string, error)
	Paid(ctx context.Context, server, film string) error

	// Turn tells the others that we live, and us what changed.
	Turn(ctx context.Context) (turn, error)
	// Release gives our takes up.
	Release(ctx context.Context)
	Ready(ctx context.Context) error
}

// turn is what changed since the last one.
type turn struct {
	adopted   []*take         // taken over: their relay released them or is dead
	ours      map[string]mark // our unfinished takes; nil if the store has no say in that
	elsewhere int             // unfinished takes of other relays
}

// mark is what somebody wants to become of a take.
type mark struct{ cancelled, forgotten bool }

var errNotOurs = errors.New("another relay has taken this prompt over")

// memory is a Store of one relay, which ends with its process.
type memory struct {
	limit int // done takes

	mu        sync.Mutex
	number    float64
	takes     map[string]*take // done ones
	order     []string         // their ids, oldest first
	bytes     int
	names     map[ref]string
	withdrawn []string
	owed      map[string][]string
}

const (
	memoryLimit    = 48 << 20 // bytes of done takes
	withdrawnLimit = 10000
)

func newMemory(limit int) *memory {
	return &memory{limit: limit, takes: map[string]*take{}, names: map[ref]string{}, owed: map[string][]string{}}
}

func (m *memory) Enter(_ context.Context, t *take, numbered, front bool) (*take, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.takes[t.ID]; known != nil {
		return known, nil
	}
	m.withdrawn = slices.DeleteFunc(m.withdrawn, func(id string) bool { return id == t.ID })
	if !numbered {
		t.Number = m.number
		if front {
			t.Number = -t.Number
		}
		m.number++
	}
	return nil, nil
}

func (m *memory) Save(_ context.Context, t *take) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch t.State {
	case withdrawn:
		m.withdrawn = append(m.withdrawn, t.ID)
		m.withdrawn = m.withdrawn[max(0, len(m.withdrawn)-withdrawnLimit):]
		m.unname(t)
	case done:
		c := *t
		m.takes[t.ID], m.order, m.bytes = &c, append(m.order, t.ID), m.bytes+c.size()
		for len(m.order) > 1 && (len(m.order) > m.limit || m.bytes > memoryLimit) {
			m.drop(m.order[0])
		}
	}
	return nil
}

func (m *memory) unname(t *take) {
	for _, f := range t.Files {
		delete(m.names, f.Public)
	}
}

func (m *memory) drop(id string) {
	t := m.takes[id]
	delete(m.takes, id)
	m.order = slices.DeleteFunc(m.order, func(o string) bool { return o == id })
	m.bytes -= t.size()
	m.unname(t)
}

func (m *memory) Name(_ context.Context, t *take, f file) (file, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := 0; ; n++ {
		name := f.Remote.variant(n)
		if _, taken := m.names[name]; !taken {
			m.names[name], f.Public = t.ID, name
			return f, nil
		}
	}
}

func (m *memory) Move(_ context.Context, id string, files []file) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.takes[id]; t != nil {
		c := *t
		c.Files = files
		m.takes[id] = &c
	}
	return nil
}

func (m *memory) Get(_ context.Context, id string) (*take, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.takes[id], nil
}

func (m *memory) Named(_ context.Context, name ref) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.names[name], nil
}

func (m *memory) Unfinished(context.Context) ([]string, error) { return nil, nil }

func (m *memory) History(_ context.Context, limit, offset int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := max(0, offset)
	if offset < 0 && limit >= 0 {
		from = max(0, len(m.order)-limit)
	}
	ids := slices.Clone(m.order[min(from, len(m.order)):])
	if limit >= 0 {
		ids = ids[:min(limit, len(ids))]
	}
	return ids, nil
}

func (m *memory) Whereabouts(_ context.Context, ids []string) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := map[string]string{}
	for _, id := range ids {
		if m.takes[id] != nil || slices.Contains(m.withdrawn, id) {
			at[id] = ""
		}
	}
	return at, nil
}

func (m *memory) Cancel(context.Context, []string, bool) error { return nil }

func (m *memory) Forget(_ context.Context, ids []string) (gone []*take, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ids == nil {
		ids = slices.Clone(m.order)
	}
	for _, id := range ids {
		if t := m.takes[id]; t != nil {
			gone = append(gone, t)
			m.drop(id)
		}
	}
	return gone, nil
}

func (m *memory) OfFilm(_ context.Context, film string) (ids []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range m.order {
		if m.takes[id].Film == film {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (m *memory) Owe(_ context.Context, server, film string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if all := m.owed[server]; !slices.Contains(all, film) {
		m.owed[server] = append(all[max(0, len(all)-withdrawnLimit):], film)
	}
	return nil
}

func (m *memory) Owed(_ context.Context, server string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.owed[server]), nil
}

func (m *memory) Paid(_ context.Context, server, film string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owed[server] = slices.DeleteFunc(m.owed[server], func(f string) bool { return f == film })
	return nil
}

func (m *memory) Turn(context.Context) (turn, error) { return turn{}, nil }
func (m *memory) Release(context.Context)            {}
func (m *memory) Ready(context.Context) error        { return nil }
