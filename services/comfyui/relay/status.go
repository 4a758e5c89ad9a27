package relay

import (
	"net/http"
	"time"

	"github.com/ai-film/ai-film/services/comfyui/wire"
)

// Status is what GET /v1/servers tells: whether somebody draws, and why nobody does.
type Status struct {
	// State: "ready", somebody draws; "fallback", those draw who stand in for servers elsewhere; "waiting", nobody does,
	// and prompts wait.
	State   string   `json:"state"`
	Why     string   `json:"why,omitempty"` // what is missing, or wrong; "" if nothing is
	Waiting int      `json:"waiting"`       // prompts that no server has
	Servers []Server `json:"servers"`
}

// Server is one ComfyUI server as the relay sees it.
type Server struct {
	Name     string  `json:"name,omitempty"` // in the ConfigMap
	URL      string  `json:"url"`
	GPU      string  `json:"gpu,omitempty"` // what it was registered with
	Ready    bool    `json:"ready"`
	Leaving  bool    `json:"leaving,omitempty"` // no longer named: it finishes what it has
	Fallback bool    `json:"fallback,omitempty"`
	Weight   float64 `json:"weight"`
	Pace     float64 `json:"pace_seconds"` // that a prompt takes, on average of late; 0 before the first
	Queue    int     `json:"queue"`        // prompts it has
	Error    string  `json:"error,omitempty"`
}

// Status tells who draws.
func (r *Relay) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Status{State: "waiting", Waiting: r.waiting(), Servers: []Server{}}
	for _, u := range sortedKeys(r.backends) {
		b := r.backends[u]
		one := Server{Name: b.source.name, URL: b.url, GPU: b.source.gpu, Ready: b.ready, Leaving: b.gone, Fallback: b.source.fallback,
			Weight: b.source.weight, Pace: b.pace.Round(time.Millisecond).Seconds(), Queue: b.queue}
		if !b.ready {
			one.Error = b.lastError
		}
		s.Servers = append(s.Servers, one)
		switch {
		case !b.ready || b.gone:
		case !b.source.fallback:
			s.State = "ready"
		case s.State == "waiting" && r.fallsBack():
			s.State = "fallback"
		}
	}
	if s.State != "ready" || r.unnamed != "" {
		s.Why = r.absent()
	}
	return s
}

// waiting is the number of prompts that no server has. The mutex is held.
func (r *Relay) waiting() (n int) {
	for _, t := range r.takes {
		if t.State == waiting && !t.hidden && !t.deleted && !t.moving {
			n++
		}
	}
	return n
}

func (r *Relay) servers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	wire.Answer(w, http.StatusOK, r.Status())
}
