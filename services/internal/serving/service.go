package serving

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/singleflight"
)

// Service is one HTTP service. Make it with New, give it handlers and needs, then Serve.
type Service struct {
	Name    string
	Log     *slog.Logger
	Metrics *prometheus.Registry // what /metrics shows

	// StopDelay is how long the service goes on listening after it was told to stop, so that whoever balances load
	// learns of it from /readyz. StopTimeout is how long running work may take to finish then.
	StopDelay, StopTimeout time.Duration

	// Token is demanded of every request but GET /healthz; "" demands none, which Main never does. People says that it may
	// also come as the password of HTTP Basic, from a browser.
	Token  string
	People bool

	mux      *http.ServeMux
	asking   singleflight.Group
	needs    []*need
	stopping atomic.Bool
	active   sync.Mutex // guards working and, with it, the moment of stopping
	working  int
	ending   chan struct{} // closed when stopping
	idle     chan struct{} // closed when stopping and nothing works any more
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// New makes a service that has the endpoints of its operation and nothing else yet.
func New(name string, log *slog.Logger) *Service {
	s := &Service{
		Name: name, Log: log, Metrics: prometheus.NewRegistry(),
		StopDelay: 2 * time.Second, StopTimeout: 15 * time.Minute,
		mux: http.NewServeMux(), ending: make(chan struct{}), idle: make(chan struct{}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aifilm_http_requests_total", Help: "HTTP requests answered, by route and status.",
			ConstLabels: prometheus.Labels{"service": name},
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "aifilm_http_request_seconds", Help: "Time to the end of the answer, by route.",
			ConstLabels: prometheus.Labels{"service": name}, Buckets: []float64{.005, .05, .5, 2, 5, 15, 60, 300, 900},
		}, []string{"route"}),
	}
	s.Metrics.MustRegister(s.requests, s.seconds, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.mux.HandleFunc("GET /healthz", healthz)
	return s
}

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

// Ending is closed when the service is told to end.
func (s *Service) Ending() <-chan struct{} { return s.ending }

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
	if !s.stopping.Swap(true) {
		close(s.ending)
		if s.working == 0 {
			close(s.idle)
		}
	}
	return s.working
}

// ServeHTTP answers a request of the service's own port, unless it lacks the token.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = taken(w, r)
	if health := r.URL.Path == "/healthz" && (r.Method == http.MethodGet || r.Method == http.MethodHead); health || s.authorized(r) {
		s.route(s.mux, w, r)
		return
	}
	s.requests.WithLabelValues("none", "401").Inc()
	s.Log.Info("not authorized", "method", r.Method, "path", r.URL.Path, "address", r.RemoteAddr)
	w.Header().Set("Connection", "close") // rather than read the rest of what it sends
	s.refuse(w)
}

// route answers a request, problem documents for unknown paths and methods included.
func (s *Service) route(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	if _, pattern := mux.Handler(r); pattern == "" {
		probe := &statusOnly{header: http.Header{}}
		mux.ServeHTTP(probe, r)
		if probe.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", probe.header.Get("Allow"))
			WriteProblem(w, NewProblem(http.StatusMethodNotAllowed, "method not allowed",
				r.Method+" "+r.URL.Path, "use "+probe.header.Get("Allow")))
			return
		}
		WriteProblem(w, NewProblem(http.StatusNotFound, "not found", r.URL.Path+" is no path of "+s.Name, ""))
		return
	}
	mux.ServeHTTP(w, r)
}

// server is an http.Server with our limits for the connections of l.
func (s *Service) server(h http.Handler, l *crowd, base context.Context) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: HeaderTime, IdleTimeout: IdleTime, MaxHeaderBytes: maxHeader - 4096, // net/http adds 4096
		BaseContext: func(net.Listener) context.Context { return base }, ConnState: l.state,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ErrorLog:    slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
}

// Serve answers the service's own requests on l and the management's on management until ctx ends, then stops gracefully:
// not ready, no new work, what runs is waited for. It returns nil after an orderly end.
func (s *Service) Serve(ctx context.Context, l, management net.Listener) error {
	running, cancel := context.WithCancel(context.Background())
	defer cancel()
	own, apart := newCrowd(l, Connections, PerAddress), newCrowd(management, managementConnections, managementConnections)
	server, observer := s.server(s, own, running), s.server(s.Management(), apart, running)
	defer observer.Close()
	failed := make(chan error, 2)
	go func() { failed <- observer.Serve(apart) }()
	go func() { failed <- server.Serve(own) }()
	s.Log.Info("listening", "address", l.Addr().String(), "management", management.Addr().String())
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

// Main is a service's whole main: it reads SERVICE_TOKEN, HOST (to listen on; all addresses where it is empty), PORT,
// MANAGEMENT_PORT, LOG_LEVEL, STOP_DELAY and STOP_TIMEOUT, lets setup add what the service does, and serves until SIGTERM or
// SIGINT. A failure is logged and ends the process with status 1.
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
	if s.Token, err = Token(); err != nil {
		return err
	}
	if err := setup(s); err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("HOST"), Env("PORT", port)))
	if err != nil {
		return err
	}
	management, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("HOST"), Env("MANAGEMENT_PORT", "8081")))
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	return s.Serve(ctx, l, management)
}
