package rehearse

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Timeline is when there were which nodes and pods, from the start of the
// rehearsal on.
type Timeline struct {
	Nodes []Track `json:"nodes"`
	Pods  []Track `json:"pods"`

	start time.Time
	open  map[string]*Track
}

// Track is the life of a node or a pod. Times are in seconds; those that never
// came are negative.
type Track struct {
	Name  string  `json:"name"`
	Of    string  `json:"of"`             // the pool, or what controls the pod
	Node  string  `json:"node,omitempty"` // of a pod; "" before it has one
	Since float64 `json:"since"`
	Ready float64 `json:"ready"`
	Until float64 `json:"until"`
	// Away are the spans in which a node took no pods: drained or lost.
	Away []Span `json:"away,omitempty"`

	away bool
}

// Span is from one second to another; Until is negative if it lasts.
type Span struct {
	Since float64 `json:"since"`
	Until float64 `json:"until"`
	Why   string  `json:"why"` // "drained" or "lost"
}

func newTimeline() *Timeline { return &Timeline{start: time.Now(), open: map[string]*Track{}} }

func (t *Timeline) now() float64 { return time.Since(t.start).Round(time.Millisecond).Seconds() }

// record takes a change down. The caller keeps others from it meanwhile.
func (t *Timeline) record(o any, gone bool) {
	switch o := o.(type) {
	case *corev1.Node:
		track := t.track("node/"+string(o.UID), o, o.Labels[poolLabel])
		if ready(o) && track.Ready < 0 {
			track.Ready = t.now()
		}
		away, why := o.Spec.Unschedulable || !ready(o) && track.Ready >= 0, "drained"
		if !ready(o) {
			why = "lost"
		}
		if away && !track.away {
			track.Away = append(track.Away, Span{t.now(), -1, why})
		} else if !away && track.away {
			track.Away[len(track.Away)-1].Until = t.now()
		}
		track.away = away
		if gone {
			track.Until = t.now()
		}
	case *corev1.Pod:
		of := o.Labels["app.kubernetes.io/name"]
		if c := metav1.GetControllerOf(o); c != nil && of == "" {
			of = c.Name
		}
		track := t.track("pod/"+string(o.UID), o, of)
		track.Node = o.Spec.NodeName
		if podReady(o) && track.Ready < 0 {
			track.Ready = t.now()
		}
		if track.Until < 0 && (gone || o.Status.Phase == corev1.PodSucceeded || o.Status.Phase == corev1.PodFailed) {
			track.Until = t.now()
		}
	}
}

func (t *Timeline) track(key string, o metav1.Object, of string) *Track {
	if t.open[key] == nil {
		t.open[key] = &Track{Name: o.GetName(), Of: of, Since: t.now(), Ready: -1, Until: -1}
	}
	return t.open[key]
}
