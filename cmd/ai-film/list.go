package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ai-film/ai-film/internal/studio/monitor"
)

func newList() *cobra.Command {
	var where studioFlags
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the studio's films, newest first",
		Long:  "List the studio's films, newest first.\n\n" + exitHelp,
		Example: `  ai-film list
  ai-film list --limit 5 --url http://ai-film.local
  ai-film list --json | jq -r '.[] | select(.state == "failed") | .id'`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usageError("--limit must be at least 1")
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			client, err := where.connect(ctx)
			if err != nil {
				return err
			}
			films, err := client.List(ctx, limit, "")
			if err != nil {
				return coded(err)
			}
			if asJSON {
				if films == nil {
					fmt.Fprintln(cmd.OutOrStdout(), "[]")
					return nil
				}
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(films)
			}
			if len(films) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "No films yet. Make one: ai-film film --brief FILE")
				return nil
			}
			monitor.List(cmd.OutOrStdout(), films, time.Now())
			return nil
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	where.register(cmd)
	return cmd
}
