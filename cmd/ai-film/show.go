package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/ai-film/ai-film/internal/studio"
	"github.com/ai-film/ai-film/internal/studio/monitor"
)

func newShow() *cobra.Command {
	var where studioFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a film: which service did what in each shot, and how long",
		Long: `Show a film: which service did what in each shot, and how long.

ID is the film's id, or the beginning of one if no other begins with it.

` + exitHelp,
		Example: `  ai-film show 3f2a
  ai-film show 3f2a --json | jq .plan`,
		Args: exactly(1, "the id of one film"),
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
			if asJSON {
				raw, err := client.Raw(ctx, id)
				if err != nil {
					return coded(err)
				}
				var text bytes.Buffer
				if err := json.Indent(&text, raw, "", "  "); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), text.String())
				return nil
			}
			film, err := client.Get(ctx, id)
			if err != nil {
				return coded(err)
			}
			show(cmd.OutOrStdout(), film)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "the film's JSON as the API tells it")
	where.register(cmd)
	return cmd
}

func show(out io.Writer, film *studio.Film) {
	fmt.Fprintf(out, "%s\n", monitor.Clean(film.Name()))
	if film.Plan != nil && film.Plan.Logline != "" {
		fmt.Fprintf(out, "%s\n", monitor.Clean(film.Plan.Logline))
	}
	fmt.Fprintf(out, "\nid         %s\nstate      %s\n", film.ID, film.State)
	if film.CancelRequested && !studio.Over(film.State) {
		fmt.Fprintln(out, "           stopping, as asked")
	}
	seed := int64(0)
	if film.Settings.Seed != nil {
		seed = *film.Settings.Seed
	}
	fmt.Fprintf(out, "settings   %d × %d, %g s, seed %d\nsubmitted  %s\n", film.Settings.Width, film.Settings.Height, film.Settings.Seconds, seed,
		film.CreatedAt.Local().Format(time.DateTime))
	if film.StartedAt != nil && film.FinishedAt != nil {
		fmt.Fprintf(out, "took       %s\n", monitor.Took(film.FinishedAt.Sub(*film.StartedAt).Seconds()))
	}
	if film.Video != nil && film.Video.SHA256 != "" {
		fmt.Fprintf(out, "video      %.1f s, %d frames, %.1f MiB, sha256 %s\n", film.Video.Seconds, film.Video.Frames, float64(film.Video.Bytes)/(1<<20), film.Video.SHA256)
	}
	if film.Error != nil {
		fmt.Fprintf(out, "error      %s\n", film.Error.Error())
	}
	if len(film.Stages) > 0 {
		fmt.Fprintln(out)
		monitor.Shots(out, film)
	}
}
