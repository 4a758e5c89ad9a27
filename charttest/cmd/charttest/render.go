package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ai-film/ai-film/charttest/internal/helmtemplate"
)

func newRender() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "render [RELEASE] CHART",
		Short: "Render a chart: the flags and the bytes of «helm template»",
		Long: `Render a chart's templates and print the manifests.

The flags are those of «helm template», and so is every byte of the output. The
renderer is the one that charttest and «charttest verify» use, which makes this
the way to see what they see. Only --validate and --dry-run=server ask a
cluster.`,
		Example: `  charttest render charts/ai-film -f charts/ai-film/values/dev.yaml
  charttest render studio charts/ai-film --namespace film --kube-version 1.36
  charttest render charts/ai-film --show-only templates/ingress.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 {
				return fmt.Errorf("%q requires at least 1 argument\n\nUsage:  %s", cmd.CommandPath(), cmd.UseLine())
			}
			return nil
		},
	}
	helmtemplate.AddFlags(cmd)
	return cmd
}
