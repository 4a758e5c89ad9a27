package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ai-film/ai-film/charttest/unittest"
)

// failed is the error of suites that failed; the report has said what.
type failed struct{}

func (failed) Error() string { return "suites failed" }

func newUnittest() *cobra.Command {
	var (
		o                  unittest.Options
		colored, leave     bool
		subcharts          bool
		output, outputType string
		coverage           float64
	)
	cmd := &cobra.Command{
		Use:   "unittest CHART...",
		Short: "Run a chart's helm-unittest suites",
		Long: `Run the test suites of charts, written for helm-unittest ` + unittest.Version + ` and unchanged:
tests/*_test.yaml of each chart and of its subcharts. Flags, verdicts,
snapshots, reports and result files are helm-unittest's.

Beside its report there is a line for each failure, with the line of the
suite's file and the line of the template that wrote what is wrong. --coverage
says which branches of the templates no suite took, --strict-objects fails
tests whose objects break their schema. Suites and tests run in parallel.

Exit codes:
  0  all passed
  1  suites failed, or couldn't be run`,
		Example: `  charttest unittest charts/shop
  charttest unittest -f 'tests/unit/*.yaml' -o results.xml -t JUnit charts/shop
  charttest unittest --update-snapshot charts/shop
  charttest unittest --coverage 80 charts/shop`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("name a chart's folder or archive, such as: %s .", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "" && !isFormat(outputType) {
				return fmt.Errorf("--output-type %q: take one of %s", outputType, strings.Join(unittest.Formats, ", "))
			}
			o.NoSubcharts = !subcharts
			o.Coverage = cmd.Flags().Changed("coverage")
			if leave {
				o.RenderPath = ".debug"
			}
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(400) // of the little that stays while suites run
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			report := o.Execute(ctx, args...)
			var color *bool
			if cmd.Flags().Changed("color") {
				color = &colored
			}
			report.Print(cmd.OutOrStdout(), color)
			if output != "" {
				if err := writeResults(report, output, outputType); err != nil {
					return err
				}
			}
			if !report.Passed() {
				return failed{}
			}
			if o.Coverage && report.Coverage.Branches.Percent() < coverage {
				return fmt.Errorf("branches taken: %v, want %.1f%%", report.Coverage.Branches, coverage)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.Files, "file", "f", nil, "suite files, as a `glob` in the chart's folder (default "+unittest.DefaultFiles+")")
	f.StringArrayVarP(&o.Values, "values", "v", nil, "values files for all tests, as a `glob`")
	f.BoolVarP(&o.Update, "update-snapshot", "u", false, "keep snapshots as they are now")
	f.BoolVarP(&subcharts, "with-subchart", "s", true, "run the suites of subcharts in charts/, too")
	f.StringVarP(&output, "output-file", "o", "", "write the results to a `file`")
	f.StringVarP(&outputType, "output-type", "t", "XUnit", "`format` of that file: "+strings.Join(unittest.Formats, ", "))
	f.StringVar(&o.ChartTestsPath, "chart-tests-path", "", "`folder` in the chart's with a chart that renders suites")
	f.BoolVarP(&o.FailFast, "failfast", "q", false, "end a suite at its first failure, and the chart's suites with it")
	f.BoolVar(&o.Strict, "strict", false, "refuse suites with fields that helm-unittest doesn't know")
	f.BoolVar(&o.SkipSchema, "skip-schema-validation", false, "don't check values against values.schema.json")
	f.BoolVarP(&leave, "debugPlugin", "d", false, "leave what was rendered in .debug")
	f.BoolVar(&colored, "color", false, "print in color; without the flag: on a terminal")
	f.Float64Var(&coverage, "coverage", 0, "list branches never taken, and fail below this `percent`")
	f.BoolVar(&o.StrictObjects, "strict-objects", false, "fail tests whose objects break their schema")
	return cmd
}

func isFormat(name string) bool {
	for _, f := range unittest.Formats {
		if strings.EqualFold(f, name) {
			return true
		}
	}
	return false
}

func writeResults(report *unittest.Report, file, format string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := report.Write(f, format); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
