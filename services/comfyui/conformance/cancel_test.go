package conformance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/graph"
)

// cancel: a prompt is interrupted where it runs and deleted where it waits; neither request does the other's work.
func (s *suite) cancel(t *testing.T) {
	s.idle(t)
	for range 6 { // through a relay two run
		s.submit(t, s.long(t), "")
	}
	q := s.settled(t)
	running, pending := ids(q.Running)[0], ids(q.Pending)
	if len(pending) < 2 {
		t.Fatalf("running %v, pending %v", ids(q.Running), pending)
	}
	must(t, s.JSON(s.ctx, "POST", "/interrupt", map[string]any{"prompt_id": pending[0]}, nil))
	must(t, s.JSON(s.ctx, "POST", "/queue", map[string]any{"delete": []string{running, uuid.NewString(), "no id\nat all", pending[1]}}, nil))
	if q = s.listed(t); !slices.Contains(ids(q.Running), running) || !slices.Contains(ids(q.Pending), pending[0]) || slices.Contains(ids(q.Pending), pending[1]) {
		t.Errorf("running %v, pending %v; want %s to run, %s to wait and %s gone", ids(q.Running), ids(q.Pending), running, pending[0], pending[1])
	}
	must(t, s.JSON(s.ctx, "POST", "/queue", map[string]any{"delete": pending}, nil))
	must(t, s.JSON(s.ctx, "POST", "/interrupt", map[string]any{"prompt_id": running}, nil))
	r, err := s.Wait(s.ctx, running)
	must(t, err)
	if r.Status.Text != "error" {
		t.Errorf("interrupted: %+v", r.Status)
	}
	s.stopAll(t)
	for _, id := range pending {
		if r, err := s.History(s.ctx, id); err != nil || r != nil {
			t.Errorf("deleted, yet executed: %v %v", r, err)
		}
	}
}

// settled is the queue once something runs and nothing more begins: through a relay several servers start, one after the other.
func (s *suite) settled(t *testing.T) listed {
	t.Helper()
	q := s.listed(t)
	for {
		time.Sleep(300 * time.Millisecond)
		now := s.listed(t)
		if len(now.Running) > 0 && slices.Equal(ids(now.Running), ids(q.Running)) {
			return now
		}
		q = now
	}
}

// whereabouts: at no moment is a prompt that was taken in neither place.
func (s *suite) whereabouts(t *testing.T) {
	s.idle(t)
	var made []string
	for range 6 {
		made = append(made, s.submit(t, s.graph(t, nil), ""))
	}
	var watchers sync.WaitGroup
	for _, id := range made {
		watchers.Go(func() {
			for {
				var q listed
				if err := s.JSON(s.ctx, "GET", "/queue", nil, &q); err != nil {
					t.Error(err)
					return
				}
				r, err := s.History(s.ctx, id) // asked last: what left the queue in between is there
				if err != nil || r == nil && !slices.Contains(append(ids(q.Running), ids(q.Pending)...), id) {
					t.Errorf("%s is in neither place (%v)", id, err)
					return
				}
				if r != nil {
					if r.Status.Text != "success" || len(r.Outputs[graph.SaveNode].Images) != 1 {
						t.Errorf("%s: %+v", id, r.Status)
					}
					return
				}
			}
		})
	}
	watchers.Wait()
}

// harmless: what somebody uploads is never run by a browser that views it.
func (s *suite) harmless(t *testing.T) {
	name := fmt.Sprintf("page %s.html", uuid.NewString()[:8])
	status, text, err := s.Upload(s.ctx, name, []byte("<html><script>alert(1)</script></html>"), nil)
	must(t, err)
	if status != 200 {
		t.Fatalf("upload: %d %s", status, text)
	}
	header, status, err := s.head(s.ctx, "/view?type=input&filename="+strings.ReplaceAll(name, " ", "%20"))
	must(t, err)
	if kind := header.Get("Content-Type"); status != 200 || !strings.HasPrefix(kind, "application/octet-stream") {
		t.Errorf("%d %s", status, kind)
	}
	for _, fields := range []map[string]string{{"type": "nowhere"}, {"subfolder": "/etc"}, {"subfolder": "a/../../b"}} {
		if status, _, err := s.Upload(s.ctx, name, []byte("x"), fields); err != nil || status != 400 && fields["type"] == "" {
			t.Errorf("upload with %v: %d %v", fields, status, err)
		}
	}
	if status, _, err := s.send(s.ctx, "POST", "/upload/image", "text/plain", strings.NewReader("no form")); err != nil || status < 400 {
		t.Errorf("upload of no form: %d %v", status, err)
	}
}
