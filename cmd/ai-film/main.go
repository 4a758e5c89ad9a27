// Command ai-film is the film studio's command line: it makes films with an
// installed studio.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() {
	if err := newRoot().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(exitCode(err))
	}
}

// exitCoder is an error that asks for an exit code other than 1.
type exitCoder interface{ ExitCode() int }

func exitCode(err error) int {
	if coder, ok := err.(exitCoder); ok {
		return coder.ExitCode()
	}
	return 1
}

// newRoot puts the command line together. Each subcommand has a file of its
// name.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "ai-film",
		Short:         "Make films on Kubernetes",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		newFilm(),
		newList(),
		newShow(),
		newCancel(),
		newDelete(),
		newRemote(),
	)
	cobra.AddTemplateFunc("wrapped", func(flags *pflag.FlagSet) string { return flags.FlagUsagesWrapped(columns) })
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", " | wrapped"))
	return root
}

// columns are those of a terminal that nobody has widened.
const columns = 80
