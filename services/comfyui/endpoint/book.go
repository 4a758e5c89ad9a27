package endpoint

import (
	"context"
	"encoding/json"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
)

// historyKey is the annotation that holds what was done, the latest last.
const historyKey = "ai-film/history"

// historyMost is how many entries it keeps.
const historyMost = 50

// Entry is one change.
type Entry struct {
	At     time.Time `json:"at"`
	Act    string    `json:"act"` // "register" or "release"
	Name   string    `json:"name"`
	URL    string    `json:"url,omitempty"`
	GPU    string    `json:"gpu,omitempty"`
	Pace   float64   `json:"pace_seconds,omitempty"` // of its second trial picture
	Issued float64   `json:"iat"`                    // of the registration
}

// History is what the ConfigMap's annotation holds.
func History(m *core.ConfigMap) (all []Entry) {
	json.Unmarshal([]byte(m.Annotations[historyKey]), &all) // what somebody broke by hand is none
	return all
}

// Get returns the ConfigMap; an empty one if it is not there.
func (p *Place) Get(ctx context.Context) (*core.ConfigMap, error) {
	m, err := p.Client.ConfigMaps(p.Namespace).Get(ctx, p.Name, meta.GetOptions{})
	if errors.IsNotFound(err) {
		return &core.ConfigMap{}, nil
	}
	return m, err
}

// Change changes the ConfigMap, which is made if it is not there, and remembers the entry. change gets what it holds now, and
// is called again when somebody else wrote meanwhile; an error of it is returned and nothing changed.
func (p *Place) Change(ctx context.Context, entry Entry, change func(data map[string]string, history []Entry) error) error {
	client := p.Client.ConfigMaps(p.Namespace)
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		m, err := client.Get(ctx, p.Name, meta.GetOptions{})
		if errors.IsNotFound(err) {
			m, err = p.create(ctx)
		}
		if err != nil {
			return err
		}
		if m.Data == nil {
			m.Data = map[string]string{}
		}
		history := History(m)
		if err := change(m.Data, history); err != nil {
			return err
		}
		history = append(history, entry)
		text, _ := json.Marshal(history[max(0, len(history)-historyMost):])
		if m.Annotations == nil {
			m.Annotations = map[string]string{}
		}
		m.Annotations[historyKey] = string(text)
		_, err = client.Update(ctx, m, meta.UpdateOptions{FieldManager: "ai-film"})
		return err
	})
}

// create makes the ConfigMap by an apply, since the right to create can be held to a name only there.
func (p *Place) create(ctx context.Context) (*core.ConfigMap, error) {
	body, _ := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": p.Name,
		"labels": map[string]string{"app.kubernetes.io/part-of": "ai-film"}}})
	return p.Client.ConfigMaps(p.Namespace).Patch(ctx, p.Name, types.ApplyPatchType, body, meta.PatchOptions{FieldManager: "ai-film"})
}

// Tell makes an event of the ConfigMap, for kubectl get events. A failure is no reason not to do what it is about.
func (p *Place) Tell(ctx context.Context, kind, reason, message string) error {
	now := meta.Now()
	_, err := p.Client.Events(p.Namespace).Create(ctx, &core.Event{
		ObjectMeta:     meta.ObjectMeta{GenerateName: p.Name + ".", Namespace: p.Namespace},
		InvolvedObject: core.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: p.Namespace, Name: p.Name},
		Type:           kind, Reason: reason, Message: message, FirstTimestamp: now, LastTimestamp: now, Count: 1,
		Source: core.EventSource{Component: "comfyui-bridge"},
	}, meta.CreateOptions{})
	return err
}
