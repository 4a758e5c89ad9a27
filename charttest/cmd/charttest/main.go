// Command charttest verifies and renders Helm charts: what package charttest
// does in tests, for those who write none.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() {
	if err := newRoot().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(exitCode(err))
	}
}

// exitCode is 1 unless the error asks for another.
func exitCode(err error) int {
	var coder interface{ ExitCode() int }
	if errors.As(err, &coder) {
		return coder.ExitCode()
	}
	return 1
}

// newRoot puts the command line together. Each subcommand has a file of its
// name.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "charttest",
		Short:         "Render and verify Helm charts",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		newInit(),
		newRehearse(),
		newRender(),
		newUnittest(),
		newVerify(),
	)
	cobra.AddTemplateFunc("wrapped", func(flags *pflag.FlagSet) string { return flags.FlagUsagesWrapped(columns) })
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", " | wrapped"))
	return root
}

// columns are those of a terminal that nobody has widened.
const columns = 80

// interruptible is a context that ends at Ctrl-C or SIGTERM; a second Ctrl-C
// ends the program at once.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
