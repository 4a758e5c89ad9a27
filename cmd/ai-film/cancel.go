package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ai-film/ai-film/internal/studio"
)

func newCancel() *cobra.Command {
	var where studioFlags
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "Stop making a film; it stays in the list",
		Long: `Ask the studio to stop making a film. What is running ends within moments; the
film stays in the list as cancelled.

ID is the film's id, or the beginning of one if no other begins with it.

` + exitHelp,
		Example: `  ai-film cancel 3f2a`,
		Args:    exactly(1, "the id of one film"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			client, err := where.connect(ctx)
			if err != nil {
				return err
			}
			id, err := client.Resolve(ctx, args[0])
			if err != nil {
				return coded(err)
			}
			film, err := client.Cancel(ctx, id)
			if err != nil {
				return coded(err)
			}
			if film.State == studio.Cancelled {
				fmt.Fprintf(cmd.OutOrStdout(), "%s is cancelled\n", id)
			} else {
				fmt.Fprintf(cmd.OutOrStdout(), "%s is %s and stops within moments\n", id, film.State)
			}
			return nil
		},
	}
	where.register(cmd)
	return cmd
}
