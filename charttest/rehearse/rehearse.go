// Package rehearse installs a chart before anyone pays for the machines: in
// Kubernetes' own control plane (etcd, API server, controllers, scheduler), on
// simulated nodes of the shapes that its .verify.yaml describes, by Helm itself.
// Then it lets the load grow and shrink, drains each node, loses one, upgrades,
// rolls back, uninstalls and installs again, and looks after each act whether
// what must hold holds. What doesn't is a finding at the template's line.
//
//	result, err := rehearse.Run(ctx, "charts/shop", rehearse.Config{})
//	require.NoError(t, err)
//	require.Empty(t, result.Findings())
//
// Pods run nothing: kwok (https://kwok.sigs.k8s.io) says of them what a kubelet
// would. Images, probes and what programs do are for a real node to try.
package rehearse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	helmengine "helm.sh/helm/v3/pkg/engine"
	"k8s.io/klog/v2"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/dryrun"
	"github.com/ai-film/ai-film/charttest/internal/controlplane"
	"github.com/ai-film/ai-film/charttest/internal/rehearsed"
	"github.com/ai-film/ai-film/charttest/verify"
)

// Config says what is rehearsed.
type Config struct {
	// Verify has the profiles and what is known of their clusters: nodes and
	// what others make, as .verify.yaml says (see [verify.LoadConfig]).
	Verify verify.Config
	// Profiles by name; all if empty.
	Profiles []string
	// Acts by name; all if empty. The first is always install.
	Acts []string
	// From is the chart's previous version, a folder or an archive, that the act
	// upgrade starts from. With "" it starts from the chart itself.
	From string
	// Programs is the folder of etcd, kube-apiserver, kube-controller-manager,
	// kube-scheduler and kwok. With "" it is $KUBEBUILDER_ASSETS, else they are
	// looked for on the PATH.
	Programs string
	// Progress, if not nil, is told what goes on. It is called by one goroutine at
	// a time.
	Progress func(profile, act, what string)
}

// Result is what was seen of a chart.
type Result struct {
	Chart     string      `json:"chart"`
	Path      string      `json:"path"`
	Version   string      `json:"kubernetes"` // of the control plane
	Profiles  []Rehearsal `json:"profiles"`
	ElapsedNS int64       `json:"elapsed_ns"`
}

// Rehearsal is what was seen of one profile.
type Rehearsal struct {
	Profile  string   `json:"profile"`
	Nodes    []string `json:"nodes"` // shapes, such as "2 × n1-standard-4 (3920m CPU, 12300Mi)"
	Acts     []Act    `json:"acts"`
	Timeline Timeline `json:"timeline"`
}

// Act is one step.
type Act struct {
	Name     string          `json:"name"`
	Outcome  Outcome         `json:"outcome"`
	Log      []string        `json:"log"` // what was installed where, what moved, what scaled
	At       float64         `json:"at"`  // seconds after the start
	Seconds  float64         `json:"seconds"`
	Findings []check.Finding `json:"findings"`
	Accepted []check.Finding `json:"accepted,omitempty"`
}

// Outcome of an act.
type Outcome string

// Outcomes.
const (
	Passed     Outcome = "passed"
	Failed     Outcome = "failed"
	Skipped    Outcome = "skipped"     // there is nothing to try it on
	NotReached Outcome = "not reached" // an act before it failed in a way that leaves nothing to go on with
)

// Findings are those of all acts.
func (r *Result) Findings() []check.Finding {
	var all []check.Finding
	for _, p := range r.Profiles {
		for _, a := range p.Acts {
			all = append(all, a.Findings...)
		}
	}
	return all
}

// Acts are the names of all acts, in order.
func Acts() []string {
	var names []string
	for _, a := range script {
		names = append(names, a.name)
	}
	return names
}

// Error is why a rehearsal can't take place, with what helps. It is no fault
// of the chart's.
type Error = dryrun.Error

// Run rehearses the chart in a folder or an archive. Errors are those that keep
// it from taking place: *charttest.LoadError, *verify.Error, *Error or the
// context's. What is wrong with a chart that can be loaded is a finding.
func Run(ctx context.Context, path string, config Config) (*Result, error) {
	start := time.Now()
	ctx = klog.NewContext(ctx, klog.Logger{}) // errors are returned, not logged
	if runtime.GOOS != "linux" {
		return nil, &Error{Message: "rehearsals take place on Linux", Remedy: "rehearse in a container or a virtual machine"}
	}
	paths, err := controlplane.Find(config.Programs, programs...)
	if err != nil {
		return nil, &Error{Message: "there is no control plane to rehearse on", Err: err,
			Remedy: "name the folder with these programs (--programs DIR or KUBEBUILDER_ASSETS); kwok is built by «go install sigs.k8s.io/kwok/cmd/kwok@v0.8.0»"}
	}
	chart, err := charttest.Load(path)
	if err != nil {
		return nil, err
	}
	for _, name := range config.Acts {
		if !slices.Contains(Acts(), name) {
			return nil, &Error{Message: fmt.Sprintf("there is no act %q", name), Remedy: "acts are " + strings.Join(Acts(), ", ")}
		}
	}
	profiles := config.Verify.ProfilesOf(chart)
	for _, name := range config.Profiles {
		if !slices.ContainsFunc(profiles, func(p charttest.Profile) bool { return p.Name == name }) {
			var names []string
			for _, p := range profiles {
				names = append(names, p.Name)
			}
			return nil, &Error{Message: fmt.Sprintf("there is no profile %q", name), Remedy: "the chart's profiles are " + strings.Join(names, ", ")}
		}
	}
	result := &Result{Chart: chart.Name(), Path: path, Profiles: []Rehearsal{}}
	for _, p := range profiles {
		if len(config.Profiles) > 0 && !slices.Contains(config.Profiles, p.Name) {
			continue
		}
		s := &stage{chart: chart, profile: p, config: config, known: config.Verify.ClusterOf(p.Name), told: map[string]bool{}}
		s.profile.Release, s.profile.Namespace = cmp.Or(p.Release, "rehearsal"), cmp.Or(p.Namespace, "rehearsal")
		rehearsal, err := s.rehearse(ctx, paths)
		if err != nil {
			return nil, err
		}
		result.Profiles, result.Version = append(result.Profiles, *rehearsal), s.version
	}
	result.ElapsedNS = int64(time.Since(start))
	return result, nil
}

// stage is one profile's rehearsal under way.
type stage struct {
	*cluster
	chart   *charttest.Chart
	profile charttest.Profile
	config  Config
	known   check.Cluster
	version string
	helm    *helm
	render  *charttest.Render // what is installed, for the places of findings
	act     *Act
	secrets map[string]map[string][]byte // of the release, when it was first installed
	started time.Time
	told    map[string]bool // findings of the acts before
}

// errOver ends a rehearsal whose findings leave nothing to go on with.
var errOver = errors.New("there is nothing to go on with")

// step is an act as the script has it. Its error is errOver, or one that keeps
// the rehearsal from taking place.
type step struct {
	name string
	run  func(*stage, context.Context) error
}

// rehearse takes a profile through the acts, on a cluster of its own.
func (s *stage) rehearse(ctx context.Context, paths controlplane.Programs) (_ *Rehearsal, err error) {
	s.say("prepare", "starting the control plane")
	if s.cluster, err = newCluster(ctx, paths, s.known, s.profile.APIVersions); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &Error{Message: "the control plane doesn't start", Err: err, Remedy: "see the message; the programs must be of one version of Kubernetes"}
	}
	defer s.Close()
	info, err := s.client.Discovery().ServerVersion()
	if err != nil {
		return nil, err
	}
	s.version = info.GitVersion
	if s.helm, err = newHelm(s.cluster, s.profile.Release, s.profile.Namespace); err != nil {
		return nil, err
	}
	s.started = s.tracks.start
	out := &Rehearsal{Profile: s.profile.Name}
	for _, p := range s.pools {
		out.Nodes = append(out.Nodes, p.String())
	}
	over := false
	for _, step := range script {
		if len(s.config.Acts) > 0 && step.name != script[0].name && !slices.Contains(s.config.Acts, step.name) {
			continue
		}
		act := Act{Name: step.name, Outcome: Passed, At: time.Since(s.started).Seconds(), Findings: []check.Finding{}, Log: []string{}}
		s.act = &act
		if over {
			act.Outcome = NotReached
		} else {
			s.mu.Lock()
			s.tell = func() {
				running, all := s.counts()
				s.say(step.name, fmt.Sprintf("%d of %d pods run", running, all))
			}
			s.mu.Unlock()
			s.say(step.name, "")
			err := step.run(s, ctx)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if broken := s.broken(); broken != nil {
				return nil, &Error{Message: "the control plane broke down", Err: broken, Remedy: "this is no fault of the chart's; try again, with more memory"}
			}
			if err != nil && !errors.Is(err, errOver) {
				return nil, fmt.Errorf("%s, %s: %w", s.profile.Name, step.name, err)
			}
			over = err != nil
		}
		s.sift(&act)
		if len(act.Findings) > 0 {
			act.Outcome = Failed
		}
		act.Seconds = time.Since(s.started).Seconds() - act.At
		out.Acts = append(out.Acts, act)
	}
	out.Timeline = s.timeline()
	return out, nil
}

// sift takes the accepted findings out, locates the others, and keeps one of
// those that an act before has shown.
func (s *stage) sift(act *Act) {
	var kept []check.Finding
	for _, f := range act.Findings {
		f.Profiles, f.Versions = []string{s.profile.Name}, []string{s.version}
		f.Locate()
		key := fmt.Sprint(f.Check, f.Object, f.Field, f.File, f.Line)
		if s.told[key] {
			continue
		}
		s.told[key] = true
		if reason := s.config.Verify.Accepts(f); reason != "" {
			f.Accepted = reason
			act.Accepted = append(act.Accepted, f)
			continue
		}
		kept = append(kept, f)
	}
	act.Findings = append([]check.Finding{}, kept...)
}

func (s *stage) say(act, what string) {
	if s.config.Progress != nil {
		s.config.Progress(s.profile.Name, act, what)
	}
}

// log adds a line to the act's.
func (s *stage) log(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	s.act.Log = append(s.act.Log, line)
	s.say(s.act.Name, line)
}

// find adds a finding, about an object of the chart if it has that object.
func (s *stage) find(c *check.Check, kind, name, field, remedy, format string, args ...any) {
	f := check.Finding{Check: c.Name, Message: fmt.Sprintf(format, args...), Remedy: c.Remedy, Object: kind + "/" + name, Field: field, File: s.chart.Path()}
	if s.render != nil {
		if o := s.render.Object(kind, name); o != nil {
			f = c.Finding(o, field, "%s", f.Message)
		}
	}
	if remedy != "" {
		f.Remedy = remedy
	}
	s.act.Findings = append(s.act.Findings, f)
}

// renderWith renders what Helm is about to install: with what the cluster serves
// and has. An error is a finding.
func (s *stage) renderWith(ctx context.Context, chart *charttest.Chart, upgrade bool) error {
	p := s.profile
	p.KubeVersion, p.Discovered, p.Upgrade, p.Random, p.Fresh, p.Lax = s.version, true, upgrade, true, true, true
	p.LookupFunc = helmengine.NewLookupFunction(s.cluster.config)
	r, err := chart.Render(ctx, p)
	if r == nil && err != nil {
		if ctx.Err() != nil {
			return err
		}
		f := check.Finding{Check: rehearsed.Refused.Name, Message: err.Error(), Remedy: rehearsed.Refused.Remedy, File: chart.Path()}
		var failure *charttest.Failure
		if errors.As(err, &failure) {
			f.Message = failure.Message
			if failure.Place.File != "" {
				f.File, f.Line = failure.Place.File, failure.Place.Line
			}
		}
		s.act.Findings = append(s.act.Findings, f)
		return errOver
	}
	s.render = r
	return nil
}

func (s *stage) timeline() Timeline {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := *s.tracks
	for key, track := range t.open {
		if strings.HasPrefix(key, "node/") {
			t.Nodes = append(t.Nodes, *track)
		} else {
			t.Pods = append(t.Pods, *track)
		}
	}
	for _, all := range [][]Track{t.Nodes, t.Pods} {
		slices.SortFunc(all, func(a, b Track) int { return cmp.Or(cmp.Compare(a.Since, b.Since), strings.Compare(a.Name, b.Name)) })
	}
	t.open = nil
	return t
}
