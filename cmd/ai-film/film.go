package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ai-film/ai-film/internal/studio"
	"github.com/ai-film/ai-film/internal/studio/monitor"
)

// longestBrief is what the studio takes, in characters.
const longestBrief = 20_000

// quietLines is how long the log may stay silent while a film is made.
const quietLines = 30 * time.Second

type filmCommand struct {
	studioFlags
	brief, title, output, follow string
	settings                     studio.Settings
	seed                         int64
	detach, plain                bool
}

func newFilm() *cobra.Command {
	f := new(filmCommand)
	cmd := &cobra.Command{
		Use:   "film --brief FILE",
		Short: "Make a film from a brief and bring it home",
		Long: `Submit a brief to the studio, follow the film while it is made, download the
video and check it.

A brief is a page of story in plain UTF-8 text: characters with names, scenes,
a change or two. The studio is the one at --url, or else the release that the
kubeconfig's cluster has in --namespace; its password is read from the release's
Secret.

On a terminal a table shows each shot and stage; elsewhere, with --plain or
where NO_COLOR is set, a line is written for each step. A broken connection is
resumed. Ctrl-C leaves the film in the making: --follow takes it up again.

The video is written beside its target and renamed when it is whole: its size
and SHA-256 are those the studio tells, it can be played while it loads, has
picture, sound and subtitles, and is as long as planned.

` + exitHelp,
		Example: `  ai-film film --brief story.txt -o story.mp4
  echo "Mara waits at the harbour." | ai-film film --brief - --seconds 12
  ai-film film --brief story.txt --width 1280 --height 720 --title "Stars"
  ai-film film --brief story.txt --detach      # print the film's id and go
  ai-film film --follow 3f2a -o story.mp4      # take it up again`,
		Args: exactly(0, "no arguments; the brief is a file: --brief FILE"),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.brief, "brief", "", "`FILE` that holds the brief, - for standard input")
	flags.StringVarP(&f.output, "output", "o", "film.mp4", "`FILE` for the video; replaced when it exists")
	flags.StringVar(&f.title, "title", "", "title of the film (default the studio finds one)")
	flags.Float64Var(&f.settings.Seconds, "seconds", 0, "length, 5 to 600 (default the studio's, 36)")
	flags.IntVar(&f.settings.Width, "width", 0, "width in pixels, a multiple of 8, 160 to 1920 (default the studio's, 640)")
	flags.IntVar(&f.settings.Height, "height", 0, "height in pixels, a multiple of 8, 96 to 1080 (default the studio's, 360)")
	flags.Int64Var(&f.seed, "seed", 0, "the same brief, settings and seed make the same film (default the studio's, 1)")
	flags.StringVar(&f.follow, "follow", "", "take up the film with this `ID` instead of submitting one")
	flags.BoolVar(&f.detach, "detach", false, "submit, print the film's id and go")
	flags.BoolVar(&f.plain, "plain", false, "lines instead of a table")
	f.register(cmd)
	return cmd
}

func (f *filmCommand) run(cmd *cobra.Command) error {
	ctx, stop := interruptible(cmd)
	defer stop()
	submission, err := f.submission(cmd)
	if err != nil {
		return err
	}
	if !f.detach {
		// Better now than when the film is made.
		if err := writable(f.output); err != nil {
			return codedError{err, exitUsage}
		}
	}
	client, err := f.connect(ctx)
	if err != nil {
		return err
	}
	film, err := f.begin(ctx, client, submission)
	if err != nil {
		return coded(err)
	}
	if f.detach {
		fmt.Fprintln(cmd.OutOrStdout(), film.ID)
		return nil
	}
	film, err = f.watch(ctx, cmd, client, film)
	if err != nil {
		return f.interrupted(cmd, film, err)
	}
	switch film.State {
	case studio.Failed:
		if film.Error != nil {
			return codedError{fmt.Errorf("the film failed: %w", film.Error), exitFilmFailed}
		}
		return codedError{errors.New("the film failed"), exitFilmFailed}
	case studio.Cancelled, studio.Deleted:
		return codedError{fmt.Errorf("the film was %s", film.State), exitCancelled}
	}
	if err := f.bringHome(ctx, cmd, client, film); err != nil {
		return f.interrupted(cmd, film, err)
	}
	return nil
}

// submission reads what the flags ask for; nil with --follow.
func (f *filmCommand) submission(cmd *cobra.Command) (*studio.Submission, error) {
	flags := cmd.Flags()
	if f.follow != "" {
		for _, name := range []string{"brief", "title", "seconds", "width", "height", "seed", "detach"} {
			if flags.Changed(name) {
				return nil, usageError("--follow takes up a film that was submitted; --%s has no place there", name)
			}
		}
		return nil, nil
	}
	if f.brief == "" {
		return nil, usageError("a film needs a brief: --brief FILE, or --brief - for standard input")
	}
	for name, given := range map[string]float64{"seconds": f.settings.Seconds, "width": float64(f.settings.Width), "height": float64(f.settings.Height)} {
		if flags.Changed(name) && !(given > 0) {
			return nil, usageError("--%s must be more than 0", name)
		}
	}
	if flags.Changed("seed") {
		f.settings.Seed = &f.seed
	}
	brief, err := readBrief(cmd.InOrStdin(), f.brief)
	if err != nil {
		return nil, codedError{err, exitUsage}
	}
	return &studio.Submission{Brief: brief, Title: f.title, Settings: f.settings}, nil
}

// readBrief reads a brief from a file, or from in where the name is «-».
func readBrief(in io.Reader, name string) (string, error) {
	what := "the brief on standard input"
	if name != "-" {
		what = "the brief " + name
		file, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("the brief cannot be read: %w", err)
		}
		defer file.Close()
		in = file
	}
	// A file much too large is not read to its end, a device has none.
	text, err := io.ReadAll(io.LimitReader(in, 4*longestBrief+4))
	if err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", what, err)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	full := len(text) >= 4*longestBrief
	switch {
	case bytes.IndexByte(text, 0) >= 0 || !full && !utf8.Valid(text):
		return "", fmt.Errorf("%s is not UTF-8 text\n  what helps: iconv -f ISO-8859-1 -t UTF-8, or save it as plain text", what)
	case full || utf8.RuneCount(text) > longestBrief:
		return "", fmt.Errorf("%s has more than %d characters\n  what helps: a page or two is plenty; make several films of a long story", what, longestBrief)
	case len(bytes.TrimSpace(text)) == 0:
		return "", fmt.Errorf("%s is empty\n  what helps: write a few sentences of story", what)
	}
	return string(text), nil
}

// writable makes the directory of the output and tries to write there.
func writable(output string) error {
	if info, err := os.Stat(output); err == nil && info.IsDir() {
		return fmt.Errorf("--output %s is a directory; name a file in it", output)
	}
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	probe, err := os.CreateTemp(filepath.Dir(output), "."+filepath.Base(output)+".*.tmp")
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	probe.Close()
	return os.Remove(probe.Name())
}

func (f *filmCommand) begin(ctx context.Context, client *studio.Client, submission *studio.Submission) (*studio.Film, error) {
	if submission != nil {
		return client.Submit(ctx, *submission)
	}
	id, err := client.Resolve(ctx, f.follow)
	if err != nil {
		return nil, err
	}
	return client.Get(ctx, id)
}

// watch shows the film until it has ended. The film it returns is never nil.
func (f *filmCommand) watch(ctx context.Context, cmd *cobra.Command, client *studio.Client, film *studio.Film) (*studio.Film, error) {
	out := cmd.ErrOrStderr()
	var display monitor.Display
	if size := terminal(out); size != nil && !f.plain && os.Getenv("NO_COLOR") == "" {
		fmt.Fprintf(out, "Film %s\n", film.ID)
		display = monitor.NewScreen(out, size, film)
	} else {
		fmt.Fprintf(out, "Film %s\n", film.ID)
		display = monitor.NewLines(out, film, quietLines)
	}
	defer display.Close()
	client.Broken = func(err error) {
		if ctx.Err() == nil {
			display.Note(fmt.Sprintf("connection lost, trying again: %s", strings.SplitN(err.Error(), "\n", 2)[0]))
		}
	}

	// Events tell that something changed; the database knows all about it.
	changed := make(chan struct{}, 1)
	changed <- struct{}{}
	reading, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-reading.Done():
				return
			case <-changed:
			}
			if now, err := client.Get(reading, film.ID); err == nil {
				display.Show(now)
			}
			select {
			case <-reading.Done():
				return
			case <-time.After(300 * time.Millisecond):
			}
		}
	}()
	last, err := client.Follow(ctx, film.ID, func(event studio.Event) {
		display.Tell(event)
		if event.State != "running" || event.Progress == nil {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	})
	stop()
	<-ended
	if err != nil {
		return film, err
	}
	if last.State != studio.Deleted {
		display.Show(last)
	}
	return last, nil
}

// bringHome downloads the video, checks it and writes what was done.
func (f *filmCommand) bringHome(ctx context.Context, cmd *cobra.Command, client *studio.Client, film *studio.Film) error {
	out := cmd.ErrOrStderr()
	tell := func(done, total int64) {}
	if terminal(out) != nil && !f.plain && os.Getenv("NO_COLOR") == "" {
		last := time.Time{}
		tell = func(done, total int64) {
			if done == total || time.Since(last) > 100*time.Millisecond {
				last = time.Now()
				fmt.Fprintf(out, "\r\x1b[KDownloading %.1f of %.1f MiB", float64(done)/(1<<20), float64(total)/(1<<20))
			}
		}
	}
	beside, err := os.MkdirTemp(filepath.Dir(f.output), "."+filepath.Base(f.output)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(beside)
	whole := filepath.Join(beside, "film.mp4")
	err = client.Download(ctx, film, whole, tell)
	if terminal(out) != nil {
		fmt.Fprint(out, "\r\x1b[K")
	}
	if err != nil {
		return err
	}
	video, err := studio.ReadMP4(whole)
	if err == nil {
		err = video.Check(film)
	}
	if err != nil {
		return codedError{fmt.Errorf("the video does not pass, and %s was not written: %w\n  what helps: it can be seen on the studio's page; make the film again", f.output, err), exitVideo}
	}
	if err := os.Rename(whole, f.output); err != nil {
		return err
	}
	stdout := cmd.OutOrStdout()
	fmt.Fprintln(stdout)
	monitor.Summary(stdout, film)
	fmt.Fprintf(stdout, "\n%s: %s, %.1f s, %d × %d, %.1f MiB", f.output, monitor.Clean(film.Name()), video.Duration.Seconds(),
		cmp.Or(film.Video.Width, film.Settings.Width), cmp.Or(film.Video.Height, film.Settings.Height), float64(film.Video.Bytes)/(1<<20))
	if film.StartedAt != nil && film.FinishedAt != nil {
		fmt.Fprintf(stdout, ", made in %s", monitor.Took(film.FinishedAt.Sub(*film.StartedAt).Seconds()))
	}
	fmt.Fprintln(stdout)
	return nil
}

// interrupted tells how to go on with a film that goes on without us.
func (f *filmCommand) interrupted(cmd *cobra.Command, film *studio.Film, err error) error {
	var known codedError
	if errors.As(err, &known) {
		return err
	}
	out := cmd.ErrOrStderr()
	fmt.Fprintf(out, "\nThe studio keeps film %s.\n", film.ID)
	fmt.Fprintln(out, "  take it up: "+f.again(cmd, "ai-film film --follow "+film.ID+" -o "+quoted(f.output)))
	fmt.Fprintln(out, "  cancel it:  "+f.again(cmd, "ai-film cancel "+film.ID))
	return coded(err)
}

// terminal returns how to ask for the size of the terminal that out is, or nil
// if it is none.
func terminal(out io.Writer) func() (columns, rows int) {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return func() (int, int) {
		columns, rows, err := term.GetSize(int(file.Fd()))
		if err != nil || columns == 0 || rows == 0 {
			return 80, 24
		}
		return columns, rows
	}
}
