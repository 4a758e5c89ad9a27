package serving

import (
	"context"
	"encoding/json"
	"errors"
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
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.route(mux, w, taken(w, r)) })
}

func healthz(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) }

// need is something without which the service isn't ready.
type need struct {
	name  string
	check func(context.Context) error

	mu  sync.Mutex
	at  time.Time
	err error // what the check said then
}

// Need adds something without which the service isn't ready; check tells whether it is there.
func (s *Service) Need(name string, check func(context.Context) error) {
	s.needs = append(s.needs, &need{name: name, check: check})
}

// ask tells whether a need is there, from memory where it was asked just now. One check of it runs at a time, with 3 s, and
// whoever comes meanwhile gets its answer: a crowd of probes never becomes a crowd of connections to a dependency.
func (s *Service) ask(n *need) error {
	answer := s.asking.DoChan(n.name, func() (any, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if time.Since(n.at) > readyAge {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			n.err, n.at = n.check(ctx), time.Now()
		}
		return nil, n.err
	})
	select {
	case a := <-answer:
		return a.Err
	case <-time.After(4 * time.Second): // it doesn't look at its context: a file system that hangs
		return errors.New("no answer for 4 s")
	}
}

// readyz answers 200, or 503 with the names of what is missing.
func (s *Service) readyz(w http.ResponseWriter, _ *http.Request) {
	if s.Stopping() {
		WriteProblem(w, NewProblem(http.StatusServiceUnavailable, "not ready", s.Name+" is shutting down", ""))
		return
	}
	errs := make([]error, len(s.needs))
	var wg sync.WaitGroup
	for i, n := range s.needs {
		wg.Go(func() { errs[i] = s.ask(n) })
	}
	wg.Wait()
	var missing, details []string
	for i, err := range errs {
		if err != nil {
			missing, details = append(missing, s.needs[i].name), append(details, s.needs[i].name+": "+err.Error())
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		slices.Sort(details)
		p := NewProblem(http.StatusServiceUnavailable, "not ready", strings.Join(details, "; "), "")
		p.Missing = missing
		WriteProblem(w, p)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"status": "ready"})
}
