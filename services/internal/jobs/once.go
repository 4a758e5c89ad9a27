package jobs

import (
	"context"
	"sync"
)

// Places lets one job at a time work on an output: who asks for the same one meanwhile waits and then finds it made.
// (Two replicas may still make it twice; they publish whole outputs, so the later one wins.)
type Places struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// Take returns when no other job works on the place, with the function that gives it free, or with ctx's error.
func (p *Places) Take(ctx context.Context, place string) (free func(), err error) {
	for {
		p.mu.Lock()
		other, taken := p.busy[place]
		if !taken {
			if p.busy == nil {
				p.busy = map[string]chan struct{}{}
			}
			mine := make(chan struct{})
			p.busy[place] = mine
			p.mu.Unlock()
			return func() {
				p.mu.Lock()
				defer p.mu.Unlock()
				delete(p.busy, place)
				close(mine)
			}, nil
		}
		p.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
