package wire

import (
	"context"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sync/semaphore"
)

// Budget bounds how many bytes of request bodies are held in memory at once, so that many large ones come one after
// another. Small ones hardly notice.
type Budget struct{ left *semaphore.Weighted }

// NewBudget makes a budget for one prompt of the largest size, or many small ones.
func NewBudget() *Budget { return &Budget{semaphore.NewWeighted(MaxPrompt)} }

// Reserve waits until the body of r may be read, of limit bytes if it doesn't tell its length, and returns what gives
// its bytes back. If there is no room for long, it answers 503 and returns false.
func (b *Budget) Reserve(w http.ResponseWriter, r *http.Request, limit int64) (release func(), ok bool) {
	n := r.ContentLength
	if n < 0 || n > limit {
		n = limit
	}
	wait, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	defer cancel()
	if b.left.Acquire(wait, n) != nil {
		w.Header().Set("Retry-After", "5")
		Refuse(w, http.StatusServiceUnavailable, "busy", "Too many large requests at once", "try again in a few seconds")
		return nil, false
	}
	return func() { b.left.Release(n) }, true
}

// LimitMemory has the garbage collector work harder before the process has more than bytes, which the chart's limits leave
// room above. GOMEMLIMIT says otherwise.
func LimitMemory(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
}
