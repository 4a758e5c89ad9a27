package serving

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readyAge is for how long an answer of /readyz is given again: however many ask, the dependencies are asked once.
const readyAge = time.Second

// Management serves /healthz, /readyz and /metrics, for a port of its own that no ingress reaches and no crowd fills.
func (s *Service) Management() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.route(mux, w, r) })
}

func healthz(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) }

// readiness is what the dependencies answered last.
type readiness struct {
	mu      sync.Mutex // held while they are asked: who comes meanwhile waits for that answer
	at      time.Time
	missing map[string]string
}

// readyz answers 200, or 503 with the names of what is missing.
func (s *Service) readyz(w http.ResponseWriter, _ *http.Request) {
	if s.Stopping() {
		WriteProblem(w, NewProblem(http.StatusServiceUnavailable, "not ready", s.Name+" is shutting down", ""))
		return
	}
	missing := s.missing()
	if len(missing) > 0 {
		p := NewProblem(http.StatusServiceUnavailable, "not ready", "", "")
		for name := range missing {
			p.Missing = append(p.Missing, name)
		}
		slices.Sort(p.Missing)
		var details []string
		for _, name := range p.Missing {
			details = append(details, name+": "+missing[name])
		}
		p.Detail = strings.Join(details, "; ")
		WriteProblem(w, p)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"status": "ready"})
}

// missing asks all dependencies at once and gives them 3 s, whoever of the callers hangs up.
func (s *Service) missing() map[string]string {
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	if time.Since(s.ready.at) < readyAge {
		return s.ready.missing
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	missing := map[string]string{}
	for name, check := range s.needs {
		wg.Go(func() {
			if err := check(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				missing[name] = err.Error()
			}
		})
	}
	wg.Wait()
	s.ready.missing, s.ready.at = missing, time.Now()
	return missing
}
