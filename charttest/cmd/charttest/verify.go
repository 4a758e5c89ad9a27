package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"maps"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ai-film/ai-film/charttest/check"
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

func newVerify() *cobra.Command {
	var (
		config, format, output  string
		versions                []string
		html                    string
		coverage                float64
		list, watch, values     bool
		onServer                bool
		kubeconfig, kubeContext string
		against, namespace      string
	)
	cmd := &cobra.Command{
		Use:   "verify [CHART]",
		Short: "Check a chart: every profile for every Kubernetes version",
		Long: `Render a chart with each of its profiles (values.yaml alone, values/*.yaml and
ci/*-values.yaml) for the four newest Kubernetes versions, decode what comes
out strictly, and check the objects against each other.

Findings name the template's line and a remedy. What can't be seen in a chart
(the cluster's nodes, objects that others make) and findings that are accepted,
with the reason, stand in the file .verify.yaml in the chart's folder.

With --server every profile is also sent to an API server (the kubeconfig's),
pods included, as dry runs in a throw-away namespace: what its validation,
admission, policies and webhooks refuse or warn of is found too.

With --against, what an upgrade would change is shown too, and what of it the
API server would refuse is a finding. DIR is another version of the chart, a
folder or an archive: every profile that both have is compared. RELEASE is one
installed in the cluster, compared as «helm upgrade --reset-then-reuse-values»
would change it.

Exit codes:
  0  no findings
  1  findings
  2  not verified: no chart or server, or wrong flags or configuration`,
		Example: `  charttest verify charts/ai-film
  charttest verify mychart --format sarif --output verify.sarif
  charttest verify mychart --kube-version 1.34,1.37 --watch
  charttest verify mychart --server --kube-context kind-kind
  charttest verify mychart --against mychart-1.2.0.tgz
  charttest verify mychart --against myrelease --namespace town
  charttest verify --list`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return unverified{fmt.Errorf("one chart at a time, not %d", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				return listChecks(cmd.OutOrStdout())
			}
			chart := "."
			if len(args) == 1 {
				chart = args[0]
			}
			write, ok := verify.Formats[format]
			if !ok {
				return unverified{fmt.Errorf("there is no format %q; formats are %s", format, strings.Join(slices.Sorted(maps.Keys(verify.Formats)), ", "))}
			}
			if !onServer && against == "" && kubeconfig+kubeContext != "" {
				return unverified{errors.New("--kubeconfig and --kube-context choose the cluster for --server and --against RELEASE")}
			}
			if against == "" && namespace != "" {
				return unverified{errors.New("--namespace is that of the release for --against RELEASE")}
			}
			ctx, stop := interruptible(cmd) // a rehearsal has a namespace to delete
			defer stop()
			once := func() error {
				return verifyOnce(ctx, cmd, chart, config, func(c *verify.Config) error {
					if len(versions) > 0 {
						c.KubeVersions = versions
					}
					if coverage > 0 {
						c.Coverage = coverage
					}
					c.Values = c.Values || values
					var err error
					if against != "" {
						if c.Against, err = whatAgainst(against, namespace, kubeconfig, kubeContext); err != nil {
							return err
						}
					}
					if !onServer {
						return nil
					}
					c.Progress = rehearsing(cmd.ErrOrStderr())
					c.Server, err = dryrun.Config(kubeconfig, kubeContext)
					return err
				}, output, html, write)
			}
			err := once()
			if !watch {
				return err
			}
			tell := func(err error) {
				var e unverified
				if errors.As(err, &e) {
					fmt.Fprintln(cmd.ErrOrStderr(), "Error:", err)
				}
			}
			tell(err)
			verify.Watch(ctx, 100*time.Millisecond, func() {
				fmt.Fprintln(cmd.OutOrStdout(), "────", time.Now().Format(time.TimeOnly))
				tell(once())
			}, chart, against)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config, "config", "", "configuration `file` (default CHART/.verify.yaml, if there is one)")
	flags.StringVar(&format, "format", "table", "table, json, junit, sarif or github")
	flags.StringVarP(&output, "output", "o", "", "write the report to `file` instead of standard output")
	flags.StringSliceVar(&versions, "kube-version", nil, "Kubernetes `versions` to verify for (default the four newest)")
	flags.BoolVar(&values, "values", false, "also find values that are dead, undeclared or let pass by the schema with wrong types")
	flags.Float64Var(&coverage, "coverage", 0, "`percent` of template branches that the profiles must take")
	flags.StringVar(&html, "coverage-html", "", "write the templates, with what the profiles took of them, to `file`")
	flags.BoolVar(&onServer, "server", false, "also rehearse every profile on an API server: dry runs with its admission, defaults and policies")
	flags.StringVar(&against, "against", "", "also show what an upgrade changes, from `RELEASE|DIR`: an installed release, or another version of the chart")
	flags.StringVarP(&namespace, "namespace", "n", "", "`namespace` of the release (default the context's)")
	flags.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig `file` of the cluster (default $KUBECONFIG, else ~/.kube/config)")
	flags.StringVar(&kubeContext, "kube-context", "", "`context` of the kubeconfig (default the current one)")
	flags.BoolVar(&list, "list", false, "list the checks with their reasons, and do nothing else")
	flags.BoolVar(&watch, "watch", false, "verify again whenever a file of the chart changes")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return unverified{err} })
	return cmd
}

func verifyOnce(ctx context.Context, cmd *cobra.Command, chart, configFile string, override func(*verify.Config) error, output, html string, write func(io.Writer, *verify.Result) error) error {
	config, err := verify.LoadConfig(chart, configFile)
	if err != nil {
		return unverified{err}
	}
	if err := override(&config); err != nil {
		return unverified{err}
	}
	result, err := verify.Run(ctx, chart, config)
	if config.Progress != nil {
		fmt.Fprint(cmd.ErrOrStderr(), "\r\x1b[K")
	}
	if ctx.Err() != nil {
		return unverified{errors.New("interrupted")}
	}
	if err != nil {
		return unverified{err}
	}
	w := cmd.OutOrStdout()
	if output != "" {
		file, err := os.Create(output)
		if err != nil {
			return unverified{err}
		}
		defer file.Close()
		w = file
	}
	if err := write(w, result); err != nil {
		return unverified{err}
	}
	if html != "" && result.Coverage != nil {
		file, err := os.Create(html)
		if err != nil {
			return unverified{err}
		}
		defer file.Close()
		if err := result.Coverage.HTML(file); err != nil {
			return unverified{err}
		}
	}
	if n := len(result.Findings); n > 0 {
		return findings(n)
	}
	return nil
}

func listChecks(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range append(check.All(), verify.Rules...) {
		fmt.Fprintf(t, "%s\t%s\n", c.Name, c.Why)
	}
	return t.Flush()
}

// rehearsing shows how far a rehearsal is, on a terminal and when it takes
// longer than one waits without wondering.
func rehearsing(w io.Writer) func(done, total int) {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	told := time.Now()
	return func(done, total int) {
		if time.Since(told) > 500*time.Millisecond {
			told = time.Now()
			fmt.Fprintf(w, "\rrehearsing: %d of %d objects\x1b[K", done, total)
		}
	}
}
