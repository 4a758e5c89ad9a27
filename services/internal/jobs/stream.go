package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/internal/volume"
)

// Job does the work of a request that was accepted. It may call progress (0 to 1) at any rate and from one goroutine at
// a time; it returns when ctx ends. cached says that nothing had to be made.
type Job func(ctx context.Context, progress func(float64)) (result any, cached bool, err error)

// Handler serves an operation: accept checks the parameters (P is the JSON body's shape), for the film and shot that the
// request's headers name, and the room on the disk; it refuses with a *serving.Problem or gives the job.
func Handler[P any](q *Queue, operation string, accept func(context.Context, volume.Subject, P) (Job, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject, err := subjectOf(r.Header)
		if err != nil {
			q.refuse(w, operation, err)
			return
		}
		var params P
		if err := decode(w, r, &params); err != nil {
			q.refuse(w, operation, err)
			return
		}
		if err := q.room(); err != nil { // before anything is looked at
			q.refuse(w, operation, err)
			return
		}
		job, err := accept(r.Context(), subject, params)
		if err != nil {
			q.refuse(w, operation, err)
			return
		}
		place, err := q.enter()
		if err != nil {
			q.refuse(w, operation, err)
			return
		}
		defer q.leave(place)
		q.stream(w, r, operation, job, place)
	})
}

type line struct {
	State    string           `json:"state"`
	Position int              `json:"position,omitempty"`
	Progress *float64         `json:"progress,omitempty"`
	Cached   *bool            `json:"cached,omitempty"`
	Seconds  *float64         `json:"seconds,omitempty"`
	Result   any              `json:"result,omitempty"`
	Problem  *serving.Problem `json:"problem,omitempty"`
}

// stream answers with the job's lines while it waits and runs, and returns when nothing of it runs any more.
func (q *Queue) stream(w http.ResponseWriter, r *http.Request, operation string, job Job, place *ticket) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // proxies of nginx's kind would hold lines back
	flush := http.NewResponseController(w)
	say := func(l line) {
		b, err := json.Marshal(l)
		if err != nil { // a result that is no JSON is a fault of ours
			b, _ = json.Marshal(line{State: "failed", Problem: serving.AsProblem(err)})
		}
		w.Write(append(b, '\n')) // a caller that is gone shows in r.Context
		flush.Flush()
	}
	log := serving.Log(r.Context()).With("operation", operation)
	if err := q.wait(r.Context(), place, func(p int) { say(line{State: "queued", Position: p}) }); errors.Is(err, errStopping) {
		q.count(operation, "failed")
		log.Info("stopping while the job waits")
		say(line{State: "failed", Seconds: new(float64), Problem: errStopping})
		return
	} else if err != nil {
		q.count(operation, "cancelled")
		log.Info("cancelled while waiting")
		return
	}
	start := time.Now()
	result, cached, err := q.run(r.Context(), job, func(p float64) { say(line{State: "running", Progress: &p}) })
	err = volume.Full(err)
	seconds := time.Since(start).Seconds()
	q.seconds.WithLabelValues(q.service, operation).Observe(seconds)
	switch {
	case r.Context().Err() != nil:
		q.count(operation, "cancelled")
		log.Info("cancelled", "seconds", seconds)
		if err != nil { // the service stops before the job could end: its caller, if there still is one, learns of it
			say(line{State: "failed", Seconds: &seconds, Problem: serving.NewProblem(http.StatusServiceUnavailable,
				"stopping", "the service is stopping", "ask again; another replica answers")})
		}
	case err != nil:
		q.count(operation, "failed")
		log.Error("failed", "seconds", seconds, "error", err.Error())
		say(line{State: "failed", Seconds: &seconds, Problem: serving.AsProblem(err)})
	default:
		state := "done"
		if cached {
			state = "cached"
		}
		q.count(operation, state)
		log.Info(state, "seconds", seconds)
		say(line{State: "done", Cached: &cached, Seconds: &seconds, Result: result})
	}
}

// run lets the job run within the time limit. say is told its progress: at once, at most four times a second when it
// changes, and at every heartbeat.
func (q *Queue) run(ctx context.Context, job Job, say func(float64)) (any, bool, error) {
	limit := serving.NewProblem(http.StatusGatewayTimeout, "time limit exceeded",
		fmt.Sprintf("the job ran longer than %s", q.Timeout), "ask for less, give more CPU, or raise JOB_TIMEOUT")
	ctx, cancel := context.WithTimeoutCause(ctx, q.Timeout, limit)
	defer cancel()
	type outcome struct {
		result any
		cached bool
		err    error
	}
	latest, ended := make(chan float64, 1), make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				serving.Log(ctx).Error("panic", "error", fmt.Sprint(p), "stack", string(debug.Stack()))
				o = outcome{err: errors.New("a fault in the service, see its log")}
			}
			ended <- o
		}()
		o.result, o.cached, o.err = job(ctx, func(p float64) {
			select { // only the latest counts
			case <-latest:
			default:
			}
			latest <- min(max(p, 0), 1)
		})
	}()

	say(0)
	var progress, said float64
	beat, pace := time.NewTicker(q.Heartbeat), time.NewTicker(250*time.Millisecond)
	defer beat.Stop()
	defer pace.Stop()
	for {
		select {
		case progress = <-latest:
		case <-pace.C:
			if progress != said {
				say(progress)
				said = progress
				beat.Reset(q.Heartbeat)
			}
		case <-beat.C:
			say(progress)
		case o := <-ended:
			if o.err != nil && errors.Is(context.Cause(ctx), limit) {
				o.err = limit
			}
			return o.result, o.cached, o.err
		}
	}
}
