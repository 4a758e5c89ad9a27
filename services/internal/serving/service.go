package serving

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Service is one HTTP service. Make it with New, give it handlers and needs, then Serve.
type Service struct {
	Name    string
	Log     *slog.Logger
	Metrics *prometheus.Registry // what /metrics shows

	// StopDelay is how long the service goes on listening after it was told to stop, so that whoever balances load
	// learns of it from /readyz. StopTimeout is how long running work may take to finish then.
	StopDelay, StopTimeout time.Duration

	mux      *http.ServeMux
	needs    map[string]func(context.Context) error
	stopping atomic.Bool
	active   sync.Mutex // guards working and, with it, the moment of stopping
	working  int
	idle     chan struct{} // closed when stopping and nothing works any more
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// New makes a service that has the endpoints of its operation and nothing else yet.
func New(name string, log *slog.Logger) *Service {
	s := &Service{
		Name: name, Log: log, Metrics: prometheus.NewRegistry(),
		StopDelay: 2 * time.Second, StopTimeout: 15 * time.Minute,
		mux: http.NewServeMux(), needs: map[string]func(context.Context) error{}, idle: make(chan struct{}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aifilm_" + name + "_requests_total", Help: "HTTP requests answered, by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "aifilm_" + name + "_request_seconds", Help: "Time to the end of the answer, by route.",
			Buckets: []float64{.005, .05, .5, 2, 5, 15, 60, 300, 900},
		}, []string{"route"}),
	}
	s.Metrics.MustRegister(s.requests, s.seconds, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	s.mux.HandleFunc("GET /readyz", s.readyz)
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{}))
	return s
}

// Need adds something without which the service isn't ready; check tells whether it is there.
func (s *Service) Need(name string, check func(context.Context) error) { s.needs[name] = check }

// Handle serves a pattern of net/http's ServeMux, with log, metrics and panics turned into 500.
func (s *Service) Handle(pattern string, h http.Handler) {
	s.mux.Handle(pattern, s.observed(pattern, h))
}

// Work wraps a handler that does work: it is refused once the service stops, and stopping waits for what is under way.
func (s *Service) Work(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.begin() {
			w.Header().Set("Retry-After", "5")
			WriteProblem(w, NewProblem(http.StatusServiceUnavailable, "stopping",
				s.Name+" is shutting down and takes no new work", "ask again: another replica or the next one answers"))
			return
		}
		defer s.end()
		h.ServeHTTP(w, r)
	})
}

// Stopping tells whether the service was told to end.
func (s *Service) Stopping() bool { return s.stopping.Load() }

func (s *Service) begin() bool {
	s.active.Lock()
	defer s.active.Unlock()
	if s.stopping.Load() {
		return false
	}
	s.working++
	return true
}

func (s *Service) end() {
	s.active.Lock()
	defer s.active.Unlock()
	s.working--
	if s.working == 0 && s.stopping.Load() {
		close(s.idle)
	}
}

// stop refuses work from now on and tells how many handlers still work.
func (s *Service) stop() int {
	s.active.Lock()
	defer s.active.Unlock()
	if !s.stopping.Swap(true) && s.working == 0 {
		close(s.idle)
	}
	return s.working
}

// readyz answers 200, or 503 with the names of what is missing. Checks run at once and have 3 s.
func (s *Service) readyz(w http.ResponseWriter, r *http.Request) {
	if s.Stopping() {
		WriteProblem(w, NewProblem(http.StatusServiceUnavailable, "not ready", s.Name+" is shutting down", ""))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
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
	if len(missing) > 0 {
		p := NewProblem(http.StatusServiceUnavailable, "not ready", "", "")
		var details []string
		for name := range missing {
			p.Missing = append(p.Missing, name)
		}
		sort.Strings(p.Missing)
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

// ServeHTTP answers a request, problem documents for unknown paths and methods included.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := s.mux.Handler(r); pattern == "" {
		probe := &statusOnly{header: http.Header{}}
		s.mux.ServeHTTP(probe, r)
		if probe.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", probe.header.Get("Allow"))
			WriteProblem(w, NewProblem(http.StatusMethodNotAllowed, "method not allowed",
				r.Method+" "+r.URL.Path, "use "+probe.header.Get("Allow")))
			return
		}
		WriteProblem(w, NewProblem(http.StatusNotFound, "not found", r.URL.Path+" is no path of "+s.Name, ""))
		return
	}
	s.mux.ServeHTTP(w, r)
}

// Serve listens until ctx ends, then stops gracefully: not ready, no new work, what runs is waited for. It returns nil
// after an orderly end.
func (s *Service) Serve(ctx context.Context, l net.Listener) error {
	running, cancel := context.WithCancel(context.Background())
	defer cancel()
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return running },
		ErrorLog:    slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	s.Log.Info("listening", "address", l.Addr().String())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.Log.Info("stopping", "working", s.stop())
	select {
	case <-time.After(s.StopDelay):
	case err := <-failed:
		return err
	}
	select {
	case <-s.idle:
	case <-time.After(s.StopTimeout):
		s.Log.Warn("work did not finish in time and is cancelled", "timeout", s.StopTimeout.String())
		cancel()
	}
	ending, done := context.WithTimeout(context.Background(), 10*time.Second)
	defer done()
	if err := server.Shutdown(ending); err != nil {
		server.Close()
	}
	s.Log.Info("stopped")
	return nil
}

// Main is a service's whole main: it reads PORT, LOG_LEVEL, STOP_DELAY and STOP_TIMEOUT, lets setup add what the service
// does, and serves until SIGTERM or SIGINT. A failure is logged and ends the process with status 1.
func Main(name, port string, setup func(*Service) error) {
	syscall.Umask(0o007) // the group shares the volumes, nobody else
	log, err := NewLog(os.Stdout, name, os.Getenv("LOG_LEVEL"))
	if err == nil {
		slog.SetDefault(log)
		err = run(New(name, log), port, setup)
	} else {
		log = slog.New(slog.NewJSONHandler(os.Stdout, nil)).With("service", name)
	}
	if err != nil {
		log.Error("can't go on", "error", err.Error())
		os.Exit(1)
	}
}

func run(s *Service, port string, setup func(*Service) error) (err error) {
	if s.StopDelay, err = EnvDuration("STOP_DELAY", s.StopDelay); err != nil {
		return err
	}
	if s.StopTimeout, err = EnvDuration("STOP_TIMEOUT", s.StopTimeout); err != nil {
		return err
	}
	if err := setup(s); err != nil {
		return err
	}
	l, err := net.Listen("tcp", ":"+Env("PORT", port))
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	return s.Serve(ctx, l)
}
