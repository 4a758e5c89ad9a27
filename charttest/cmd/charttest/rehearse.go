package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ai-film/ai-film/charttest/internal/ct"
	"github.com/ai-film/ai-film/charttest/rehearse"
	"github.com/ai-film/ai-film/charttest/verify"
)

// rehearsal is what the flags of «charttest rehearse» say.
type rehearsal struct {
	config, programs, from  string
	profiles, acts, reports []string
	format, output, dir     string
	quiet                   bool
}

func newRehearse() *cobra.Command {
	var r rehearsal
	cmd := &cobra.Command{
		Use:   "rehearse [CHART]",
		Short: "Install a chart on simulated nodes; scale, drain, upgrade it there",
		Long: `Install a chart with each of its profiles in Kubernetes' own control plane, on
simulated nodes of the shapes in .verify.yaml (nodes: count, or min and max for
a pool that grows), and see what holds: after the installation, when the load
grows and shrinks, while each node is drained and one is lost, after an upgrade,
a rollback, an uninstallation, and an installation on the claims that were kept.

Findings name the template's line and a remedy. etcd, kube-apiserver,
kube-controller-manager, kube-scheduler and kwok are looked for in --programs,
else in KUBEBUILDER_ASSETS, else on the PATH. They run on free ports of the
loopback and end with the rehearsal, also after Ctrl-C.

Exit codes:
  0  no findings
  1  findings
  2  not rehearsed: no chart or programs, or wrong flags or configuration`,
		Example: `  charttest rehearse charts/ai-film --profile k3s-single-gpu
  charttest rehearse mychart --act drain,upgrade --from git:main
  charttest rehearse mychart --reports out --report html=rehearsal.html`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.run(cmd, append(args, ".")[0])
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&r.profiles, "profile", nil, "`profiles` to rehearse (default all)")
	flags.StringSliceVar(&r.acts, "act", nil, "`acts` beside install: "+strings.Join(rehearse.Acts()[1:], ", ")+" (default all)")
	flags.StringVar(&r.from, "from", "", "`DIR|git:REF`: the chart's previous version, a folder, an archive or a commit, to upgrade from (default itself)")
	flags.StringVar(&r.programs, "programs", "", "`folder` of the control plane's programs (default KUBEBUILDER_ASSETS)")
	flags.StringVar(&r.config, "config", "", "configuration `file` (default CHART/.verify.yaml, if there is one)")
	flags.StringVar(&r.format, "format", "table", "table, json, junit or html")
	flags.StringVarP(&r.output, "output", "o", "", "write the report to `file` instead of standard output")
	flags.StringArrayVar(&r.reports, "report", nil, "also write the report as `FORMAT=FILE`; may be repeated")
	flags.StringVar(&r.dir, "reports", "", "also write PROFILE.json, .xml, .html and .svg for each profile into `folder`")
	flags.BoolVarP(&r.quiet, "quiet", "q", false, "don't say what goes on")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return unverified{err} })
	return cmd
}

func (r *rehearsal) run(cmd *cobra.Command, chart string) error {
	formats := strings.Join(slices.Sorted(maps.Keys(rehearse.Formats)), ", ")
	if rehearse.Formats[r.format] == nil {
		return unverified{fmt.Errorf("there is no format %q; formats are %s", r.format, formats)}
	}
	for _, report := range r.reports {
		if format, file, _ := strings.Cut(report, "="); rehearse.Formats[format] == nil || file == "" {
			return unverified{fmt.Errorf("--report %s: want FORMAT=FILE, with one of the formats %s", report, formats)}
		}
	}
	ctx, stop := interruptible(cmd) // programs are to be ended
	defer stop()
	config := rehearse.Config{Profiles: r.profiles, Acts: r.acts, From: r.from, Programs: r.programs}
	var err error
	if config.Verify, err = verify.LoadConfig(chart, r.config); err != nil {
		return unverified{err}
	}
	done, err := r.checkout(ctx, chart, &config)
	if err != nil {
		return unverified{err}
	}
	defer done()
	if !r.quiet {
		config.Progress = rehearsing(cmd.ErrOrStderr())
	}
	result, err := rehearse.Run(ctx, chart, config)
	if ctx.Err() != nil {
		return unverified{errors.New("interrupted")}
	}
	if err != nil {
		return unverified{err}
	}
	if err := r.write(cmd.OutOrStdout(), result); err != nil {
		return unverified{err}
	}
	if n := len(result.Findings()); n > 0 {
		return findings(n)
	}
	return nil
}

// checkout brings the commit that --from names, if it names one.
func (r *rehearsal) checkout(ctx context.Context, chart string, config *rehearse.Config) (done func(), err error) {
	ref, ok := strings.CutPrefix(r.from, gitPrefix)
	if !ok {
		if _, err := os.Stat(r.from); r.from != "" && err != nil {
			return nil, &verify.Error{Source: "--from " + r.from, Err: err}
		}
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "from")
	if err != nil {
		return nil, err
	}
	done = func() { _ = os.RemoveAll(dir) }
	if config.From, err = ct.Checkout(ctx, chart, ref, dir); err == nil && config.From == "" {
		err = errors.New("the chart isn't there")
	}
	if err != nil {
		done()
		return nil, &verify.Error{Source: "--from " + r.from, Err: err}
	}
	return done, nil
}

func (r *rehearsal) write(w io.Writer, result *rehearse.Result) error {
	to := func(file, format string, result *rehearse.Result) error {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		return errors.Join(rehearse.Formats[format](f, result), f.Close())
	}
	for _, report := range r.reports {
		format, file, _ := strings.Cut(report, "=")
		if err := to(file, format, result); err != nil {
			return err
		}
	}
	if r.dir != "" {
		if err := os.MkdirAll(r.dir, 0o755); err != nil {
			return err
		}
		for _, p := range result.Profiles {
			one := *result
			one.Profiles = []rehearse.Rehearsal{p}
			name := filepath.Join(r.dir, p.Profile)
			for _, format := range []string{"json", "junit", "html"} {
				if err := to(name+"."+rehearse.Extensions[format], format, &one); err != nil {
					return err
				}
			}
			if err := os.WriteFile(name+".svg", []byte(p.SVG()+"\n"), 0o644); err != nil {
				return err
			}
		}
	}
	if r.output != "" {
		return to(r.output, r.format, result)
	}
	return rehearse.Formats[r.format](w, result)
}

// rehearsing says what goes on: on a terminal in one line that changes, else a
// line for each act.
func rehearsing(w io.Writer) func(profile, act, what string) {
	file, ok := w.(*os.File)
	terminal := ok && term.IsTerminal(int(file.Fd()))
	var mu sync.Mutex
	told, last := time.Now(), ""
	return func(profile, act, what string) {
		mu.Lock()
		defer mu.Unlock()
		head := profile + ": " + act
		if !terminal {
			if head != last {
				fmt.Fprintln(w, head)
			}
			last = head
			return
		}
		if head == last && time.Since(told) < 200*time.Millisecond {
			return
		}
		told, last = time.Now(), head
		line := []rune(strings.TrimSuffix(head+": "+what, ": "))
		fmt.Fprintf(w, "\r\x1b[K%s", string(line[:min(len(line), columns-1)]))
		if act == "" {
			fmt.Fprint(w, "\r\x1b[K")
		}
	}
}
