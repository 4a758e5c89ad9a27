package relay

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// turn takes over what no relay looks after, gives up what another has taken over, and does what is asked of ours.
func (r *Relay) turn(ctx context.Context) {
	r.mu.Lock()
	held := map[string]*take{}
	for id, t := range r.takes {
		if !t.hidden && !t.moving {
			held[id] = t
		}
	}
	r.mu.Unlock()
	ask, cancel := context.WithTimeout(ctx, lease)
	defer cancel()
	now, err := r.store.Turn(ask)
	if err != nil {
		if ctx.Err() == nil {
			slog.Warn("database does not answer", "error", err.Error())
		}
		return
	}
	if now.ours == nil {
		return
	}
	r.mu.Lock()
	r.elsewhere = now.elsewhere
	before := r.strangers
	r.strangers = map[string]bool{}
	var twice []string
	for id := range now.ours {
		if r.takes[id] == nil {
			if r.strangers[id] = true; before[id] { // not one that ends or enters right now
				twice = append(twice, id)
			}
		}
	}
	for id, t := range held {
		if _, ours := now.ours[id]; !ours && r.takes[id] == t && t.outcome == nil && !t.concluding && !t.moving {
			slog.Warn("prompt belongs to another relay now", "prompt_id", id)
			r.remove(t)
		}
	}
	for _, t := range now.adopted {
		r.adopt(t)
	}
	r.mu.Unlock()
	for _, id := range twice {
		if t, err := r.store.Get(ask, id); err == nil && t != nil && t.State != done {
			r.mu.Lock()
			r.adopt(t)
			r.mu.Unlock()
		}
	}
	cancelled, forgotten := []string{}, []string{} // never nil, which would be all
	for id, m := range now.ours {
		if m.cancelled {
			cancelled = append(cancelled, id)
		}
		if m.forgotten {
			forgotten = append(forgotten, id)
		}
	}
	r.cancel(ctx, forgotten, true)
	r.cancel(ctx, cancelled, false)
}

// adopt makes a take of the store ours. The mutex is held.
func (r *Relay) adopt(t *take) {
	if r.takes[t.ID] != nil {
		return
	}
	t.adopted = true
	if t.State == waiting && t.Backend != "" { // it was being placed when its relay ended: perhaps it is there
		t.State = placed
	}
	r.takes[t.ID] = t
	if t.State == placed {
		r.remote[t.Backend+" "+t.Remote] = t.ID
	}
	slog.Info("prompt adopted", "prompt_id", t.ID, "state", t.State, "backend", t.Backend)
}

// remove forgets a take here; the store still has it. The mutex is held.
func (r *Relay) remove(t *take) {
	if r.takes[t.ID] == t {
		delete(r.takes, t.ID)
	}
	if key := t.Backend + " " + t.Remote; r.remote[key] == t.ID {
		delete(r.remote, key)
	}
	select {
	case <-t.finished:
	default:
		close(t.finished)
	}
}

// write saves a take as it is now, or as it is with an outcome. What can't be written now is written at the next turn.
func (r *Relay) write(ctx context.Context, t *take, change func(*take)) error {
	r.mu.Lock()
	c := *t
	t.unsaved = false
	r.mu.Unlock()
	if c.hidden {
		return nil
	}
	if change != nil {
		change(&c)
	}
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := r.store.Save(ask, &c)
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(err, errNotOurs) {
		slog.Warn("prompt belongs to another relay now", "prompt_id", t.ID)
		r.remove(t)
		return err
	}
	slog.Warn("prompt could not be saved", "prompt_id", t.ID, "error", err.Error())
	t.unsaved = true
	return err
}

// save writes what changed to the store.
func (r *Relay) save(ctx context.Context) {
	r.mu.Lock()
	var due []*take
	for _, t := range r.takes {
		if t.unsaved && !t.hidden && !t.moving && !t.concluding {
			due = append(due, t)
		}
	}
	r.mu.Unlock()
	for _, t := range due {
		r.mu.Lock()
		outcome, unwanted := t.outcome, t.deleted && t.State == waiting
		r.mu.Unlock()
		if unwanted {
			r.withdraw(ctx, t)
		} else if outcome != nil {
			r.conclude(ctx, t, outcome)
		} else if err := r.write(ctx, t, nil); err != nil && !errors.Is(err, errNotOurs) {
			return // the others will fare no better
		}
	}
}
