package monitor

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/ai-film/ai-film/internal/studio"
)

// allStages in the order a film goes through them.
var allStages = []string{"plan", "still", "move", "finish", "encode", "cut", "inspect"}

// Summary writes what each stage took: the service, how many it did, the
// seconds of all together and the slowest of them.
func Summary(out io.Writer, film *studio.Film) {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "STAGE\tSERVICE\tDONE\tKEPT\tSECONDS\tSLOWEST")
	for _, name := range allStages {
		var slowest studio.Stage
		var done, kept int
		var total, most float64
		service := ""
		for _, stage := range film.Stages {
			if stage.Stage != name || stage.State != "done" {
				continue
			}
			done++
			service = stage.Service
			if stage.Cached {
				kept++
			}
			if stage.Seconds != nil {
				total += *stage.Seconds
				if *stage.Seconds >= most {
					most, slowest = *stage.Seconds, stage
				}
			}
		}
		if done > 0 {
			fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%.1f\t%s %.1f\n", name, Clean(service), done, kept, total, cmp.Or(Clean(slowest.Shot), "film"), most)
		}
	}
	table.Flush()
}

// Shots writes, shot by shot, which service did what, when and how long.
func Shots(out io.Writer, film *studio.Film) {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "SHOT\tSTAGE\tSERVICE\tSTATE\tTAKE\tBEGAN\tTOOK")
	write := func(shot string, stages []string) {
		for _, name := range stages {
			for _, stage := range film.Stages {
				if stage.Shot != shot || stage.Stage != name {
					continue
				}
				took, state := "", stage.State
				if stage.Seconds != nil {
					took = Took(*stage.Seconds)
				}
				if stage.Cached {
					state = "kept"
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", cmp.Or(Clean(shot), "film"), stage.Stage, Clean(stage.Service), state,
					stage.Attempt, stage.StartedAt.Local().Format(time.TimeOnly), took)
			}
		}
	}
	write("", WholeStages[:1])
	for _, shot := range film.Shots() {
		write(shot, ShotStages)
	}
	write("", WholeStages[1:])
	table.Flush()
}

// List writes films, one a line.
func List(out io.Writer, films []studio.Film, now time.Time) {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "ID\tSTATE\tLENGTH\tSUBMITTED\tTITLE")
	for _, film := range films {
		length := ""
		if film.Seconds > 0 {
			length = fmt.Sprintf("%.1f s", film.Seconds)
		}
		state := film.State
		if film.CancelRequested && !studio.Over(state) {
			state = "stopping"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", film.ID, state, length, ago(now.Sub(film.CreatedAt)), cut(Clean(film.Name()), 40))
	}
	table.Flush()
}

func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}
