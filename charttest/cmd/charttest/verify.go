package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ai-film/ai-film/charttest/dryrun"
	"github.com/ai-film/ai-film/charttest/verify"
)

// findings is the error of a verification that found something.
type findings int

func (n findings) Error() string {
	if n == 1 {
		return "1 finding"
	}
	return fmt.Sprintf("%d findings", int(n))
}

// unverified is an error that kept the verification from starting.
type unverified struct{ error }

func (unverified) ExitCode() int   { return 2 }
func (e unverified) Unwrap() error { return e.error }

// verification is what the flags of «charttest verify» say.
type verification struct {
	charts                       []string
	config, format, output, html string
	versions                     []string
	helm                         int
	coverage                     float64
	list, watch, values          bool
	onServer                     bool
	kubeconfig, kubeContext      string
	against, namespace           string
	ct, since                    string
	changed, all                 bool
	schemas, reports             []string
}

func newVerify() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use:   "verify [CHART...]",
		Short: "Check charts: every profile for every Kubernetes version",
		Long: `Render charts with each of their profiles (values.yaml alone, values/*.yaml and
ci/*-values.yaml) for the four newest Kubernetes versions, decode what comes
out strictly, and check the objects against each other.

Findings name the template's line and a remedy. What can't be seen in a chart
(the cluster's nodes, objects that others make) and findings that are accepted,
with the reason, stand in the file .verify.yaml in the chart's folder.

With --changed-since, only charts with changes since they left that branch are
verified: in their files, or in what they depend on in the repository. --changed
and --all take the charts that chart-testing (ct) would take. Its ct.yaml is
read: chart-dirs, excluded-charts, exclude-deprecated, use-helmignore, remote,
target-branch, since; check-version-increment and validate-maintainers make
findings.

With --server every profile is also sent to an API server (the kubeconfig's),
pods included, as dry runs in a throw-away namespace: what its validation,
admission, policies and webhooks refuse or warn of is found too.

With --against, what an upgrade would change is shown too, and what of it the
API server would refuse is a finding. DIR is another version of the chart, a
folder or an archive: every profile that both have is compared. With git:REF it
is the chart as it was where the branch left REF. RELEASE is one installed in
the cluster, compared as «helm upgrade --reset-then-reuse-values» would change
it.

Exit codes:
  0  no findings, or no chart that changed
  1  findings
  2  not verified: no chart or server, or wrong flags or configuration`,
		Example: `  charttest verify charts/ai-film
  charttest verify charts/* --changed-since main
  charttest verify mychart --format sarif --output verify.sarif
  charttest verify mychart --kube-version 1.34,1.37 --watch
  charttest verify mychart --server --kube-context kind-kind
  charttest verify mychart --against mychart-1.2.0.tgz
  charttest verify mychart --against git:main
  charttest verify mychart --against myrelease --namespace town
  charttest verify --list`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if v.list {
				return listChecks(cmd.OutOrStdout())
			}
			v.charts = args
			return v.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&v.config, "config", "", "configuration `file` (default CHART/.verify.yaml, if there is one)")
	flags.StringVar(&v.format, "format", "table", "table, json, junit, sarif, github or markdown")
	flags.StringVarP(&v.output, "output", "o", "", "write the report to `file` instead of standard output")
	flags.StringArrayVar(&v.reports, "report", nil, "also write the report as `FORMAT=FILE`; may be repeated")
	flags.StringSliceVar(&v.versions, "kube-version", nil, "Kubernetes `versions` to verify for (default the four newest)")
	flags.IntVar(&v.helm, "helm", 0, "major `version` of Helm to render as, 3 or 4 (default 3)")
	flags.BoolVar(&v.values, "values", false, "also find values that are dead, undeclared or let pass by the schema with wrong types")
	flags.Float64Var(&v.coverage, "coverage", 0, "`percent` of template branches that the profiles must take")
	flags.StringVar(&v.html, "coverage-html", "", "write the templates, with what the profiles took of them, to `file`")
	flags.StringArrayVar(&v.schemas, "schemas", nil, "also hold custom resources to definitions in `SOURCE`: a file, a folder, go:MODULE@VERSION[/FOLDER], or cluster, the kubeconfig's")
	flags.StringVar(&v.since, "changed-since", "", "only charts that changed since they left `REF`, a branch, tag or commit")
	flags.BoolVar(&v.changed, "changed", false, "only charts that changed since ct's target branch, as «ct lint» takes them")
	flags.BoolVar(&v.all, "all", false, "all charts of ct's chart-dirs, as «ct lint --all» takes them")
	flags.StringVar(&v.ct, "ct-config", "", "chart-testing's `file` (default ct.yaml, where ct looks for it)")
	flags.BoolVar(&v.onServer, "server", false, "also rehearse every profile on an API server: dry runs with its admission, defaults and policies")
	flags.StringVar(&v.against, "against", "", "also show what an upgrade changes, from `RELEASE|DIR|git:REF`: an installed release, or another version of the chart")
	flags.StringVarP(&v.namespace, "namespace", "n", "", "`namespace` of the release (default the context's)")
	flags.StringVar(&v.kubeconfig, "kubeconfig", "", "kubeconfig `file` of the cluster (default $KUBECONFIG, else ~/.kube/config)")
	flags.StringVar(&v.kubeContext, "kube-context", "", "`context` of the kubeconfig (default the current one)")
	flags.BoolVar(&v.list, "list", false, "list the checks with their reasons, and do nothing else")
	flags.BoolVar(&v.watch, "watch", false, "verify again whenever a file of the chart changes")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return unverified{err} })
	return cmd
}

// memory is what verifying takes at most unless it needs more, in bytes: pipelines
// have little of it, and renders leave much behind.
const memory = 190 << 20

// theCluster says that definitions are the cluster's.
const theCluster = "cluster"

// wrong says what is wrong in the combination of flags.
func (v *verification) wrong() error {
	selecting := v.since != "" || v.changed || v.all
	switch _, ok := verify.Formats[v.format]; {
	case !ok:
		return fmt.Errorf("there is no format %q; formats are %s", v.format, formats())
	case !v.onServer && v.against == "" && !slices.Contains(v.schemas, theCluster) && v.kubeconfig+v.kubeContext != "":
		return errors.New("--kubeconfig and --kube-context choose the cluster for --server, --schemas cluster and --against RELEASE")
	case v.helm != 0 && v.helm != 3 && v.helm != 4:
		return fmt.Errorf("--helm %d: 3 or 4", v.helm)
	case v.against == "" && v.namespace != "":
		return errors.New("--namespace is that of the release for --against RELEASE")
	case v.all && (v.changed || v.since != "" || len(v.charts) > 0):
		return errors.New("--all takes every chart: name none, and leave --changed and --changed-since out")
	case v.changed && v.since != "":
		return errors.New("--changed goes by ct's target branch, --changed-since by what it is given: one of them")
	case v.ct != "" && !selecting:
		return errors.New("--ct-config is for --changed-since, --changed and --all")
	case (selecting || len(v.charts) > 1) && v.html != "":
		return errors.New("--coverage-html is for one chart at a time")
	case (selecting || len(v.charts) > 1) && v.against != "" && !strings.HasPrefix(v.against, gitPrefix):
		return errors.New("--against RELEASE or DIR is for one chart at a time; for many there is --against git:REF")
	}
	for _, report := range v.reports {
		if format, file, _ := strings.Cut(report, "="); verify.Formats[format] == nil || file == "" {
			return fmt.Errorf("--report %s: want FORMAT=FILE, with one of the formats %s", report, formats())
		}
	}
	return nil
}

func formats() string { return strings.Join(slices.Sorted(maps.Keys(verify.Formats)), ", ") }

func (v *verification) run(cmd *cobra.Command) error {
	if err := v.wrong(); err != nil {
		return unverified{err}
	}
	ctx, stop := interruptible(cmd) // a rehearsal has a namespace to delete
	defer stop()
	targets, err := v.targets(ctx, cmd.ErrOrStderr())
	if err != nil {
		return unverified{err}
	}
	err = v.once(ctx, cmd, targets)
	if !v.watch {
		return err
	}
	tell := func(err error) {
		var e unverified
		if errors.As(err, &e) {
			fmt.Fprintln(cmd.ErrOrStderr(), "Error:", err)
		}
	}
	tell(err)
	paths := []string{v.against}
	for _, t := range targets {
		paths = append(paths, t.Path)
	}
	verify.Watch(ctx, 100*time.Millisecond, func() {
		fmt.Fprintln(cmd.OutOrStdout(), "────", time.Now().Format(time.TimeOnly))
		tell(v.once(ctx, cmd, targets))
	}, paths...)
	return nil
}

// once verifies the charts and writes the report. One of many that can't be
// verified doesn't keep the others from it.
func (v *verification) once(ctx context.Context, cmd *cobra.Command, targets []target) error {
	results := []*verify.Result{} // a report on none is one, too
	found := 0
	var failed error
	for _, t := range targets {
		result, err := v.verify(ctx, cmd, t)
		if ctx.Err() != nil {
			return unverified{errors.New("interrupted")}
		}
		if err != nil && len(targets) == 1 {
			return unverified{err}
		}
		if err != nil {
			failed = unverified{errors.New("not everything was verified: see the report")}
			result = &verify.Result{Chart: t.Path, Path: t.Path, Unverified: err.Error()}
		}
		found += len(result.Findings)
		results = append(results, result)
	}
	if err := v.write(cmd.OutOrStdout(), results); err != nil {
		return unverified{err}
	}
	if failed == nil && found > 0 {
		return findings(found)
	}
	return failed
}

func (v *verification) verify(ctx context.Context, cmd *cobra.Command, t target) (*verify.Result, error) {
	config, err := verify.LoadConfig(t.Path, v.config)
	if err != nil {
		return nil, err
	}
	if len(v.versions) > 0 {
		config.KubeVersions = v.versions
	}
	if v.helm != 0 {
		config.Helm = v.helm
	}
	if v.coverage > 0 {
		config.Coverage = v.coverage
	}
	config.Values = config.Values || v.values
	if config.Repository, err = t.findings(ctx); err != nil {
		return nil, err
	}
	if v.against != "" {
		done := func() {}
		if config.Against, done, err = v.whatAgainst(ctx, t.Path); err != nil {
			return nil, err
		}
		defer done()
	}
	for _, source := range v.schemas {
		switch full, err := filepath.Abs(source); {
		case source == theCluster:
			if config.SchemasOf, err = dryrun.Config(v.kubeconfig, v.context()); err != nil {
				return nil, err
			}
		case strings.HasPrefix(source, "go:"):
			config.Schemas = append(config.Schemas, source)
		case err != nil:
			return nil, err
		default: // as seen from here, not from the chart
			config.Schemas = append(config.Schemas, full)
		}
	}
	if v.onServer {
		if config.Server, err = dryrun.Config(v.kubeconfig, v.context()); err != nil {
			return nil, err
		}
	}
	config.Progress = progress(cmd.ErrOrStderr())
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memory)
	}
	result, err := verify.Run(ctx, t.Path, config)
	if config.Progress != nil {
		fmt.Fprint(cmd.ErrOrStderr(), "\r\x1b[K")
	}
	return result, err
}

// write writes the reports, and the page of what was covered.
func (v *verification) write(w io.Writer, results []*verify.Result) error {
	to := func(file, format string) error {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		return errors.Join(verify.Formats[format](f, results...), f.Close())
	}
	for _, report := range v.reports {
		format, file, _ := strings.Cut(report, "=")
		if err := to(file, format); err != nil {
			return err
		}
	}
	if v.output != "" {
		if err := to(v.output, v.format); err != nil {
			return err
		}
	} else if err := verify.Formats[v.format](w, results...); err != nil {
		return err
	}
	if v.html == "" || results[0].Coverage == nil {
		return nil
	}
	file, err := os.Create(v.html)
	if err != nil {
		return err
	}
	defer file.Close()
	return results[0].Coverage.HTML(file)
}

func listChecks(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range append(verify.Checks(nil), verify.Rules...) {
		fmt.Fprintf(t, "%s\t%s\n", c.Name, c.Why)
	}
	return t.Flush()
}

// progress shows how far a verification is, on a terminal and when it takes
// longer than one waits without wondering.
func progress(w io.Writer) func(done, total int, of string) {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	told := time.Now()
	return func(done, total int, of string) {
		if time.Since(told) > 500*time.Millisecond {
			told = time.Now()
			fmt.Fprintf(w, "\r%d of %d %s\x1b[K", done, total, of)
		}
	}
}
