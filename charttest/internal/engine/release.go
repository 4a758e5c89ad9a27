package engine

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/chartutil"
)

// Release is everything beside chart and values that a render depends on. The
// zero value renders as a bare «helm template» does.
type Release struct {
	Name        string   // "release-name" if empty
	Namespace   string   // "default" if empty
	KubeVersion string   // as --kube-version; empty: Helm's default
	APIVersions []string // as --api-versions, added to Helm's default
	Served      []string // in place of Helm's default, with what the chart's crds/ define; nil for that
	Upgrade     bool     // as --is-upgrade
	EnableDNS   bool     // as --enable-dns
	SkipSchema  bool     // as --skip-schema-validation
	SubNotes    bool     // as --render-subchart-notes
	IncludeCRDs bool     // as --include-crds

	// Lookup answers the function lookup; nil answers that there is nothing.
	Lookup func(apiVersion, kind, namespace, name string) (map[string]any, error)
	// Seed fixes what random and certificate functions return, and Now what
	// date functions take for the present.
	Seeded bool
	Seed   uint64
	Now    time.Time
	// Decode, unless nil, is called for each document as soon as its template is
	// through, beside the templates that follow; Document.Decoded has what it
	// returned.
	Decode func(*Document) any
	// Timeout ends renders that don't end by themselves; 0 is DefaultTimeout.
	Timeout time.Duration
}

// Result is a rendered release.
type Result struct {
	Chart     *Chart
	Manifests []Manifest // in the order of installation
	Hooks     []Manifest // in the order in which helm template prints them
	CRDs      []CRD      // the chart's crds/ folders
	Notes     string
	Values    map[string]any // as the root chart's templates saw them
	Warnings  []Warning      // what Helm would log

	IncludeCRDs bool // whether they are among the documents

	// traced is the same render with a trace, made when first asked for.
	traced func() (*trace, error)
}

// RenderError is a render that failed after templates had run.
type RenderError struct {
	Text     string  // the documents that were rendered, for debugging
	Template string  // the template that wrote what can't be parsed
	Line     int     // of its output, where the document starts
	Frames   []Frame // who wrote that line
	Err      error
}

func (e *RenderError) Error() string { return e.Err.Error() }
func (e *RenderError) Unwrap() error { return e.Err }

// Render renders the chart. The values are not changed and may be shared with
// other renders. Errors are *SchemaError, *Failure or *RenderError, or what
// dependency resolution had to say.
func (c *Chart) Render(ctx context.Context, vals map[string]any, release Release) (*Result, error) {
	return c.render(ctx, vals, release, false)
}

// RenderTraced is Render with a record of what was executed and read. It is
// slower.
func (c *Chart) RenderTraced(ctx context.Context, vals map[string]any, release Release) (*Result, error) {
	return c.render(ctx, vals, release, true)
}

func (c *Chart) render(ctx context.Context, vals map[string]any, release Release, traced bool) (*Result, error) {
	if release.Name == "" {
		release.Name = "release-name"
	}
	if release.Namespace == "" {
		release.Namespace = "default"
	}
	if release.Timeout == 0 {
		release.Timeout = DefaultTimeout
	}
	if err := chartutil.ValidateReleaseName(release.Name); err != nil {
		text := c.helm.nameCheck() + fmt.Sprintf("release name %q: %s", release.Name, err)
		return nil, &Failure{Reason: Misnamed, Message: text, text: text}
	}
	caps, err := c.helm.capabilities(release)
	if err != nil {
		return nil, err
	}
	p, err := c.program(vals, traced, Selection{})
	if p == nil {
		return nil, err
	}
	parseErr := err // Helm validates values before it parses templates
	merge := coalescer{helm: c.helm}
	coalesced, err := merge.coalesceValues(p.chart, vals)
	if err != nil {
		return nil, err
	}
	merge.switches(p.chart, coalesced, "")
	if !release.SkipSchema {
		if err := c.validate(p.chart, coalesced); err != nil {
			return nil, err
		}
	}
	if want := p.chart.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, caps.held) {
		text := fmt.Sprintf("chart requires kubeVersion: %s which is incompatible with Kubernetes %s", want, caps.told)
		return nil, &Failure{Reason: KubeOld, Message: text, text: text}
	}
	if parseErr != nil {
		return nil, parseErr
	}
	if release.Served != nil { // Helm installs crds/ first, and asks the cluster then
		*caps.apis = append(slices.Clone(*caps.apis), p.defined(c)...)
	}
	x := &execution{release: &release, included: make(map[string]int), ahead: c.documents.ahead(release.Decode)}
	if release.Seeded {
		x.random = newRandom(release.Seed, release.Now)
	}
	if traced {
		x.trace = newTrace(p, coalesced)
	}
	out, err := p.execute(ctx, x, p.values(coalesced, releaseValues(release), caps.dot), release.Timeout)
	if err != nil {
		return nil, err
	}
	result := &Result{Chart: c, Values: coalesced, Warnings: merge.warnings, IncludeCRDs: release.IncludeCRDs}
	if traced {
		result.traced = func() (*trace, error) { return x.trace, nil }
	} else {
		result.traced = sync.OnceValues(func() (*trace, error) {
			release.Decode = nil // only what is executed and read is wanted of it
			// A render that was cancelled afterwards can still be traced.
			r, err := c.render(context.WithoutCancel(ctx), vals, release, true)
			if err != nil {
				return nil, err
			}
			return r.traced()
		})
	}
	if err := result.sort(p, out, release, x.trace); err != nil {
		var broken *RenderError
		if errors.As(err, &broken) && !traced {
			// Render once more to learn which line of the template it was.
			if _, err := result.traced(); err != nil {
				return nil, err
			}
		}
		return nil, err
	}
	return result, nil
}

// execute runs the program on a worker of its own, and gives up on both when
// the time is over: text/template can't be interrupted.
func (p *program) execute(ctx context.Context, x *execution, dots []map[string]any, timeout time.Duration) ([]string, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	x.over = ctx.Done()
	type outcome struct {
		out []string
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		w := p.workers.Get().(*worker)
		out, err := w.run(x, dots)
		p.workers.Put(w)
		done <- outcome{out, err}
	}()
	select {
	case o := <-done:
		if o.err != nil && ctx.Err() == context.Canceled {
			return nil, context.Cause(ctx)
		}
		return o.out, o.err
	case <-ctx.Done():
	}
	// What goes round in templates notices by itself, and knows where it was;
	// what hangs in a function is left behind.
	select {
	case o := <-done:
		if o.err != nil && ctx.Err() != context.Canceled {
			return nil, o.err
		}
	case <-time.After(time.Second):
	}
	if ctx.Err() == context.Canceled {
		return nil, context.Cause(ctx)
	}
	text := fmt.Sprintf("the templates did not end within %s: is there a loop or a recursion without end?", timeout)
	return nil, &Failure{Reason: Endless, Message: text, text: text}
}

// Check says what is wrong with a release whatever the chart: a *Failure of its
// version of Kubernetes.
func (r Release) Check() error {
	_, err := Helm3.capabilities(r)
	return err
}

func releaseValues(r Release) map[string]any {
	return map[string]any{
		"Name":      r.Name,
		"Namespace": r.Namespace,
		"IsUpgrade": r.Upgrade,
		"IsInstall": !r.Upgrade,
		"Revision":  1,
		"Service":   "Helm",
	}
}

// Text is what helm template prints: CRDs if they were asked for, manifests,
// then hooks.
func (r *Result) Text(hooks bool) string {
	var b strings.Builder
	b.WriteString(strings.TrimSpace(r.Documents()) + "\n")
	if hooks {
		for _, m := range r.Hooks {
			m.Write(&b)
		}
	}
	return b.String()
}

// Sum is that of what the render prints: documents, hooks and notes.
func (r *Result) Sum() (sum [sha256.Size]byte) {
	hash := sha256.New()
	w := bufio.NewWriter(hash)
	if r.IncludeCRDs {
		for _, crd := range r.CRDs {
			crd.Manifest().Write(w)
		}
	}
	for _, list := range [][]Manifest{r.Manifests, r.Hooks} {
		for _, m := range list {
			m.Write(w)
		}
	}
	_, _ = w.WriteString(r.Notes)
	_ = w.Flush() // no hash fails
	hash.Sum(sum[:0])
	return sum
}

// Documents are CRDs, if asked for, and manifests, without hooks.
func (r *Result) Documents() string {
	var b strings.Builder
	if r.IncludeCRDs {
		for _, crd := range r.CRDs {
			crd.Manifest().Write(&b)
		}
	}
	for _, m := range r.Manifests {
		m.Write(&b)
	}
	return b.String()
}

// Manifest is the file as a manifest.
func (c CRD) Manifest() Manifest { return Manifest{Template: c.Template, Text: c.Text} }

// Write writes a manifest as helm template does.
func (m Manifest) Write(w io.Writer) {
	_, _ = io.WriteString(w, "---\n# Source: "+m.Template+"\n"+m.Text+"\n")
}

// notes picks the notes out of the templates' output.
func notes(p *program, out []string, all bool) string {
	own := path.Join(p.chart.Name(), "templates", notesName)
	var parts []string
	for i, s := range p.templates {
		if s.notes && (all || s.name == own) && (out[i] != "" || s.name == own) {
			parts = append(parts, out[i])
		}
	}
	return strings.Join(parts, "\n")
}
