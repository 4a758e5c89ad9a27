// Package release installs the chart and tells, while it waits, what is not ready yet.
package release

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/ai-film/ai-film/local/internal/progress"
)

// Release is the studio in one cluster.
type Release struct {
	Helm, Kubectl string // programs
	Kubeconfig    string // empty: the user's own
	Chart         string // directory
	Values        []string
	Namespace     string
	Name          string
	Log           *progress.Log
}

// Install installs or upgrades, waits until all is ready, and prints every few seconds what is not.
func (r Release) Install(ctx context.Context, patience time.Duration) error {
	args := []string{"upgrade", "--install", r.Name, r.Chart, "--namespace", r.Namespace, "--create-namespace",
		"--wait", "--wait-for-jobs", "--timeout", patience.String()}
	for _, v := range r.Values {
		args = append(args, "--values", v)
	}
	return r.Log.Do(ctx, "install "+filepath.Base(r.Chart)+" with "+strings.Join(bases(r.Values), ", "), "1 to 2 min", func(ctx context.Context) error {
		if err := r.unlock(ctx); err != nil {
			return err
		}
		watch, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); r.report(watch) }()
		helm := r.run(ctx, r.Helm, args...)
		out, err := helm.CombinedOutput()
		progress.Ran(ctx, helm)
		stop()
		<-done
		if err != nil {
			return fmt.Errorf("helm %s: %w\n%s\n%s", strings.Join(args, " "), err, bytes.TrimSpace(out), r.diagnosis())
		}
		return nil
	})
}

// unlock rolls a release back that an interrupted run left as "pending": Helm refuses to touch it otherwise.
func (r Release) unlock(ctx context.Context) error {
	out, err := r.run(ctx, r.Helm, "status", r.Name, "--namespace", r.Namespace, "-o", "json").Output()
	if err != nil {
		return nil // not installed yet
	}
	var status struct {
		Version int                     `json:"version"`
		Info    struct{ Status string } `json:"info"`
	}
	if err := json.Unmarshal(out, &status); err != nil || !strings.HasPrefix(status.Info.Status, "pending-") {
		return nil
	}
	r.Log.Say("release %s is %s since an interrupted run; forgetting that revision", r.Name, status.Info.Status)
	secret := fmt.Sprintf("sh.helm.release.v1.%s.v%d", r.Name, status.Version)
	if out, err := r.run(ctx, r.Kubectl, "-n", r.Namespace, "delete", "secret", secret).CombinedOutput(); err != nil {
		return fmt.Errorf("delete %s: %w: %s", secret, err, bytes.TrimSpace(out))
	}
	return nil
}

func (r Release) run(ctx context.Context, program string, args ...string) *exec.Cmd {
	if r.Kubeconfig != "" {
		args = append(args, "--kubeconfig", r.Kubeconfig)
	}
	return exec.CommandContext(ctx, program, args...)
}

// report prints the pods that are not ready whenever their list changes, and at least every 15 s.
func (r Release) report(ctx context.Context) {
	var last string
	var said time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Second):
		}
		out, err := r.run(ctx, r.Kubectl, "-n", r.Namespace, "get", "pods", "-o", "json").Output()
		if err != nil {
			continue
		}
		now := strings.Join(NotReady(out), ", ")
		if now != "" && (now != last || time.Since(said) > 15*time.Second) {
			r.Log.Say("  not ready: %s", now)
			last, said = now, time.Now()
		}
	}
}

type podList struct {
	Items []struct {
		Metadata struct {
			Name              string
			DeletionTimestamp *string
			OwnerReferences   []struct{ Kind string }
		}
		Status struct {
			Phase                 string
			Conditions            []struct{ Type, Status, Reason, Message string }
			InitContainerStatuses []containerStatus
			ContainerStatuses     []containerStatus
		}
	}
}

type containerStatus struct {
	Name         string
	Ready        bool
	RestartCount int
	State        struct {
		Waiting    *struct{ Reason, Message string }
		Terminated *struct {
			Reason   string
			ExitCode int
		}
		Running *struct{}
	}
}

// NotReady takes `kubectl get pods -o json` and returns one phrase for each pod that is neither ready nor finished, for
// instance "flask-5d9 (flask: CrashLoopBackOff, 3 restarts)".
func NotReady(pods []byte) []string {
	var list podList
	if json.Unmarshal(pods, &list) != nil {
		return nil
	}
	var lines []string
	for _, p := range list.Items {
		failedRun := p.Status.Phase == "Failed" && len(p.Metadata.OwnerReferences) == 1 && p.Metadata.OwnerReferences[0].Kind == "Job"
		if p.Status.Phase == "Succeeded" || failedRun || p.Metadata.DeletionTimestamp != nil { // a Job makes another pod
			continue
		}
		ready := false
		reason := p.Status.Phase
		for _, c := range p.Status.Conditions {
			switch {
			case c.Type == "Ready":
				ready = c.Status == "True"
			case c.Type == "PodScheduled" && c.Status == "False":
				reason = c.Reason + ": " + brief(c.Message)
			}
		}
		if ready {
			continue
		}
		for _, c := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
			switch {
			case c.State.Waiting != nil && c.State.Waiting.Reason != "PodInitializing":
				reason = c.Name + ": " + c.State.Waiting.Reason
			case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
				reason = fmt.Sprintf("%s: exit %d", c.Name, c.State.Terminated.ExitCode)
			case c.State.Running != nil && !c.Ready:
				reason = c.Name + ": starting"
			default:
				continue
			}
			if c.RestartCount > 0 {
				reason += fmt.Sprintf(", %d restarts", c.RestartCount)
			}
			break
		}
		lines = append(lines, fmt.Sprintf("%s (%s)", p.Metadata.Name, reason))
	}
	sort.Strings(lines)
	return lines
}

// brief cuts a message to what fits in a line beside others.
func brief(message string) string {
	const width = 70
	if runes := []rune(message); len(runes) > width {
		return string(runes[:width]) + "…"
	}
	return message
}

// diagnosis is what a person would look at first when the installation fails.
func (r Release) diagnosis() string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var b strings.Builder
	pods, _ := r.run(ctx, r.Kubectl, "-n", r.Namespace, "get", "pods,pvc", "-o", "wide").CombinedOutput()
	b.Write(pods)
	out, err := r.run(ctx, r.Kubectl, "-n", r.Namespace, "get", "pods", "-o", "json").Output()
	if err == nil {
		for _, line := range NotReady(out) {
			name, _, _ := strings.Cut(line, " ")
			fmt.Fprintf(&b, "\n%s; its last lines:\n", line)
			logs, _ := r.run(ctx, r.Kubectl, "-n", r.Namespace, "logs", name, "--all-containers", "--tail=8").CombinedOutput()
			b.Write(logs)
		}
	}
	fmt.Fprintf(&b, "Remedy: look closer with `kubectl -n %s describe pod NAME`, then run the same command again; it continues where this ended", r.Namespace)
	return b.String()
}

func bases(files []string) []string {
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	return names
}
