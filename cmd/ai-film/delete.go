package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newDelete() *cobra.Command {
	var where studioFlags
	cmd := &cobra.Command{
		Use:     "delete ID...",
		Aliases: []string{"rm"},
		Short:   "Delete films and all their files",
		Long: `Delete films: their rows, stills, frames and videos. A film in the making is
stopped first. There is no way back.

ID is a film's id, or the beginning of one if no other begins with it.

` + exitHelp,
		Example: `  ai-film delete 3f2a
  ai-film list --json | jq -r '.[]|select(.state=="failed").id' |
    xargs ai-film delete`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("%s takes the ids of films; see «%[1]s --help»", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			client, err := where.connect(ctx)
			if err != nil {
				return err
			}
			// All are found before the first is deleted, so a slip in one name deletes none.
			ids := make([]string, len(args))
			for i, arg := range args {
				if ids[i], err = client.Resolve(ctx, arg); err != nil {
					return coded(err)
				}
			}
			for _, id := range ids {
				if err := client.Delete(ctx, id); err != nil {
					return coded(fmt.Errorf("%s: %w", id, err))
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s is deleted\n", id)
			}
			return nil
		},
	}
	where.register(cmd)
	return cmd
}
