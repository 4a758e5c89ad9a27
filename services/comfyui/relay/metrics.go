package relay

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are what the relay counts.
type counts struct {
	ended       *prometheus.CounterVec
	resubmitted prometheus.Counter
	drawing     *prometheus.CounterVec
}

func newCounts() counts {
	return counts{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "aifilm_jobs_total", Help: "Prompts that ended, by state: done, failed, cancelled.",
			ConstLabels: prometheus.Labels{"service": "comfyui", "operation": "prompt"}}, []string{"state"}),
		resubmitted: prometheus.NewCounter(prometheus.CounterOpts{Name: "aifilm_comfyui_resubmitted_total", Help: "Prompts that were lost with their server and wait for another."}),
		drawing: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "aifilm_comfyui_drawing_seconds_total", Help: "Seconds for which servers executed prompts, by whether on a GPU."},
			[]string{"gpu"}),
	}
}

// Measure exports how the relay stands and what it has done.
func (r *Relay) Measure(registry prometheus.Registerer) {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	for _, gpu := range []string{"true", "false"} {
		r.counts.drawing.WithLabelValues(gpu)
	}
	registry.MustRegister(r.counts.ended, r.counts.resubmitted, r.counts.drawing,
		gauge("aifilm_comfyui_queue_length", "Prompts that wait or run, on all servers.", func() float64 { return float64(r.QueueLength()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "aifilm_queue_oldest_seconds", Help: "Since when the oldest prompt that has not ended is there; 0 without any.",
			ConstLabels: prometheus.Labels{"service": "comfyui"}}, func() float64 { return r.oldest().Seconds() }),
		gauge("aifilm_comfyui_backends_ready", "ComfyUI servers that answer.", func() float64 { ready, _ := r.BackendsReady(); return float64(ready) }),
		gauge("aifilm_comfyui_backends_known", "ComfyUI servers that are configured or resolved.", func() float64 { _, known := r.BackendsReady(); return float64(known) }),
		gauge("aifilm_comfyui_waiting_prompts", "Prompts that no server has.", func() float64 { return float64(r.Status().Waiting) }),
		gauge("aifilm_comfyui_fallback", "1 while those draw who stand in for servers elsewhere.", func() float64 {
			if r.Status().State == "fallback" {
				return 1
			}
			return 0
		}),
	)
}

// oldest is since when the oldest of our prompts that are not done is there, zero without any.
func (r *Relay) oldest() (age time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.takes {
		if !t.hidden && !(t.deleted && !t.running) && !t.Submitted.IsZero() {
			age = max(age, time.Since(t.Submitted))
		}
	}
	return age
}

// count notes that a take ended with a status as /history has it.
func (r *Relay) count(status []byte) {
	state := "failed"
	switch {
	case bytes.Contains(status, []byte(`"execution_interrupted"`)):
		state = "cancelled"
	case bytes.Contains(status, []byte(`"success"`)):
		state = "done"
	}
	r.counts.ended.WithLabelValues(state).Inc()
}

// learn asks a server whether it draws on a GPU. One that doesn't say so is taken for none.
func (r *Relay) learn(ctx context.Context, b *backend) {
	var stats struct {
		Devices []struct {
			Type string `json:"type"`
		} `json:"devices"`
	}
	ask, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := b.call(ask, "GET", "/system_stats", nil, &stats); err != nil || len(stats.Devices) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b.gpu = !strings.HasPrefix(stats.Devices[0].Type, "cpu")
}

// drew notes that a server executed a prompt for so long. The mutex is held.
func (r *Relay) drew(b *backend, took time.Duration) {
	r.counts.drawing.WithLabelValues(strconv.FormatBool(b.gpu)).Add(took.Seconds())
}
