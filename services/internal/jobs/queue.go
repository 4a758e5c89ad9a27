// Package jobs is the streaming job protocol of the services that work on files: one POST is one job, its answer a
// stream of JSON lines that ends with done or failed. A queue bounds what runs and what waits; a caller who hangs up
// cancels.
package jobs

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ai-film/ai-film/services/internal/serving"
)

// Queue runs at most Workers jobs at once and lets at most Limit others wait, first come, first served.
type Queue struct {
	Workers, Limit int
	Timeout        time.Duration // of a job that runs; waiting doesn't count
	Heartbeat      time.Duration // at least one line of a stream in this time

	service  string
	stopping <-chan struct{}
	mu       sync.Mutex
	running  int
	waiting  []*ticket
	held     []*ticket // those that run and those that wait, as they came
	ended    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// ticket is a place in the queue. turn is closed when the job may run; moved gets a token when the queue moves up.
type ticket struct {
	turn, moved chan struct{}
	since       time.Time
}

// FromEnvironment makes the service's queue as WORKERS, QUEUE_LIMIT and JOB_TIMEOUT say.
func FromEnvironment(s *serving.Service) (*Queue, error) {
	workers, err := serving.EnvInt("WORKERS", 1, 1, 64)
	if err != nil {
		return nil, err
	}
	limit, err := serving.EnvInt("QUEUE_LIMIT", 16, 0, 10000)
	if err != nil {
		return nil, err
	}
	timeout, err := serving.EnvDuration("JOB_TIMEOUT", 15*time.Minute)
	if err != nil {
		return nil, err
	}
	return New(s, workers, limit, timeout), nil
}

// New makes a queue whose metrics are the service's.
func New(s *serving.Service, workers, limit int, timeout time.Duration) *Queue {
	q := &Queue{
		Workers: workers, Limit: limit, Timeout: timeout, Heartbeat: 3 * time.Second, service: s.Name, stopping: s.Ending(),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aifilm_jobs_total", Help: "Jobs that ended, by operation and state: done, cached, failed, cancelled, refused.",
		}, []string{"service", "operation", "state"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "aifilm_job_seconds", Help: "Time that jobs ran, waiting excluded.",
			Buckets: []float64{.1, .5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640, 1280},
		}, []string{"service", "operation"}),
	}
	length := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "aifilm_queue_length", Help: "Jobs accepted and not ended: those that wait and those that run.",
		ConstLabels: prometheus.Labels{"service": s.Name},
	}, func() float64 { return float64(q.Length()) })
	oldest := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "aifilm_queue_oldest_seconds", Help: "Since when the oldest job that has not ended is there; 0 without any.",
		ConstLabels: prometheus.Labels{"service": s.Name},
	}, func() float64 { return q.oldest().Seconds() })
	s.Metrics.MustRegister(q.ended, q.seconds, length, oldest)
	return q
}

// oldest is since when the oldest job is there, zero without any.
func (q *Queue) oldest() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.held) == 0 {
		return 0
	}
	return time.Since(q.held[0].since)
}

// Length is how many jobs wait or run.
func (q *Queue) Length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running + len(q.waiting)
}

// errStopping ends who still waits when the service stops: it had better go elsewhere at once.
var errStopping = serving.NewProblem(http.StatusServiceUnavailable, "stopping", "the service is stopping", "ask again; another replica answers")

// room refuses with 429 when nobody can enter.
func (q *Queue) room() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.full()
}

func (q *Queue) full() error {
	if q.running < q.Workers || len(q.waiting) < q.Limit {
		return nil
	}
	return serving.NewProblem(http.StatusTooManyRequests, "queue full",
		fmt.Sprintf("%d jobs run and %d wait", q.running, len(q.waiting)), "ask again later, or run more replicas")
}

// enter takes a place, or refuses with 429.
func (q *Queue) enter() (*ticket, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.full(); err != nil {
		return nil, err
	}
	t := &ticket{make(chan struct{}), make(chan struct{}, 1), time.Now()}
	q.held = append(q.held, t)
	if q.running < q.Workers {
		q.running++
		close(t.turn)
		return t, nil
	}
	q.waiting = append(q.waiting, t)
	return t, nil
}

// position is 1 for the next in the queue, 0 for a job that may run.
func (q *Queue) position(t *ticket) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Index(q.waiting, t) + 1
}

// leave gives up the place, whether it was reached or not, and lets the next job run.
func (q *Queue) leave(t *ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = slices.DeleteFunc(q.held, func(h *ticket) bool { return h == t })
	if i := slices.Index(q.waiting, t); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	} else if q.running--; len(q.waiting) > 0 {
		close(q.waiting[0].turn)
		q.waiting = q.waiting[1:]
		q.running++
	}
	for _, w := range q.waiting {
		select {
		case w.moved <- struct{}{}:
		default: // it has yet to look at the last move
		}
	}
}

// wait returns nil when it is the job's turn. say is told the position whenever it changes and at every heartbeat.
func (q *Queue) wait(ctx context.Context, t *ticket, say func(position int)) error {
	beat := time.NewTicker(q.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-t.turn:
			return nil
		default:
		}
		if p := q.position(t); p > 0 {
			say(p)
		}
		select {
		case <-t.turn:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-q.stopping:
			return errStopping
		case <-t.moved:
		case <-beat.C:
		}
	}
}

func (q *Queue) count(operation, state string) {
	q.ended.WithLabelValues(q.service, operation, state).Inc()
}

// refuse answers a request that never becomes a job.
func (q *Queue) refuse(w http.ResponseWriter, operation string, err error) {
	p := serving.AsProblem(err)
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(5))
	}
	q.count(operation, "refused")
	serving.WriteProblem(w, p)
}
