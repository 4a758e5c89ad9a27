package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/ai-film/ai-film/local/internal/node"
)

// awaitNode returns when the node is Ready and the pods' statuses tell of the present, not of before a restart.
func (l *Local) awaitNode(ctx context.Context) error {
	return l.poll(ctx, 90*time.Second, func() (string, error) {
		out, err := l.kubectl(ctx, "get", "node", node.Name, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`).CombinedOutput()
		if err != nil || string(out) != "True" {
			return "the node is not Ready: " + string(out), nil
		}
		pods, err := l.kubectl(ctx, "get", "pods", "-A", "--field-selector", "spec.nodeName="+node.Name, "-o", "json").Output()
		if err != nil {
			return "pods can't be listed", nil
		}
		running, err := l.node().Containers(ctx)
		if err != nil {
			return "", err
		}
		return strings.Join(outdated(pods, running), ", "), nil
	})
}

// poll calls f until it names no obstacle any more.
func (l *Local) poll(ctx context.Context, patience time.Duration, f func() (obstacle string, err error)) error {
	for deadline := time.Now().Add(patience); ; {
		obstacle, err := f()
		if err != nil || obstacle == "" {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s still: %s\nRemedy: see %s", patience, obstacle, filepath.Join(l.Places.Logs(), "kubelet.log"))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// outdated takes `kubectl get pods -o json` and the ids of the containers that run, and returns the pods whose status
// says that another container runs.
func outdated(pods []byte, running map[string]bool) []string {
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct {
				ContainerStatuses []struct {
					ContainerID string
					State       struct{ Running *struct{} }
				}
			}
		}
	}
	if err := json.Unmarshal(pods, &list); err != nil {
		return []string{err.Error()}
	}
	var names []string
	for _, p := range list.Items {
		for _, c := range p.Status.ContainerStatuses {
			if c.State.Running != nil && !running[strings.TrimPrefix(c.ContainerID, "containerd://")] {
				names = append(names, "the status of pod "+p.Metadata.Name+" is from before the restart")
				break
			}
		}
	}
	return names
}
