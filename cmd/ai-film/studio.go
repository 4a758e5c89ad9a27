package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ai-film/ai-film/internal/studio"
)

// Exit codes of the commands that speak to a studio; exitHelp tells users.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitFilmFailed  = 3
	exitCancelled   = 4
	exitUnreachable = 5
	exitVideo       = 6
	exitInterrupted = 130
)

const exitHelp = `Exit codes: 0 all well, 1 anything else, 2 wrong usage or a brief or setting
that was refused, 3 the film failed, 4 it was cancelled or deleted, 5 no studio
was reached or it refused the password, 6 the video does not pass the checks,
130 interrupted.`

// codedError is an error with an exit code of its own.
type codedError struct {
	error
	code int
}

func (e codedError) ExitCode() int { return e.code }
func (e codedError) Unwrap() error { return e.error }

func usageError(format string, values ...any) error {
	return codedError{fmt.Errorf(format, values...), exitUsage}
}

// coded gives an error of the client its exit code and, where it lacks one, a
// remedy.
func coded(err error) error {
	var problem *studio.Problem
	var unreachable *studio.Unreachable
	var known codedError
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled):
		return codedError{errors.New("interrupted"), exitInterrupted}
	case errors.As(err, &unreachable):
		return codedError{fmt.Errorf("%w\n  what helps: is the studio running (kubectl -n ai-film get pods), is the URL right?", err), exitUnreachable}
	case errors.As(err, &problem) && (problem.Status == 401 || problem.Status == 403):
		return codedError{err, exitUnreachable}
	case errors.As(err, &problem) && (problem.Status == 400 || problem.Status == 413 || problem.Status == 422):
		return codedError{err, exitUsage}
	}
	return codedError{err, exitFailed}
}

// studioFlags say where the studio is and who asks.
type studioFlags struct {
	url, user, password string
	release             studio.Release
}

func (f *studioFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.url, "url", os.Getenv("AI_FILM_URL"), "the studio's page, for instance http://ai-film.local (default $AI_FILM_URL, else the release in the cluster)")
	flags.StringVar(&f.user, "user", "admin", "user of the studio")
	flags.StringVar(&f.password, "password", "", "password of the studio (default $AI_FILM_PASSWORD, else the release's Secret)")
	flags.StringVarP(&f.release.Namespace, "namespace", "n", "ai-film", "namespace of the release")
	flags.StringVar(&f.release.Context, "context", "", "context of the kubeconfig (default the current one)")
	flags.StringVar(&f.release.Kubeconfig, "kubeconfig", "", "kubeconfig (default $KUBECONFIG, else ~/.kube/config)")
	flags.StringVar(&f.release.Secret, "secret", "ai-film", "Secret that holds admin-password")
	// A default from the environment is nobody's business in --help.
	flags.Lookup("url").DefValue = ""
	f.release.Service = "flask"
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usageError("%w; see «%s --help»", err, cmd.CommandPath())
	})
}

// connect returns a client of the studio that the flags name.
func (f *studioFlags) connect(ctx context.Context) (*studio.Client, error) {
	password := cmp.Or(f.password, os.Getenv("AI_FILM_PASSWORD"))
	if f.url == "" {
		client, err := f.release.Connect(ctx, password)
		if err != nil {
			return nil, codedError{err, exitUnreachable}
		}
		client.User = f.user
		return client, nil
	}
	if password == "" {
		return nil, usageError("--url needs a password: --password or $AI_FILM_PASSWORD\n  what helps: kubectl -n ai-film get secret ai-film -o jsonpath='{.data.admin-password}' | base64 -d")
	}
	client, err := studio.NewClient(f.url, f.user, password)
	if err != nil {
		return nil, codedError{err, exitUsage}
	}
	return client, nil
}

// again writes a command line for the same studio, the password aside.
func (f *studioFlags) again(cmd *cobra.Command, line string) string {
	for _, name := range []string{"url", "user", "namespace", "context", "kubeconfig", "secret"} {
		if flag := cmd.Flags().Lookup(name); flag.Changed {
			line += fmt.Sprintf(" --%s %s", name, quoted(flag.Value.String()))
		}
	}
	return line
}

// quoted is a word of a shell's command line.
func quoted(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+=,-") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

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

// exactly is cobra.ExactArgs in our words and with our exit code.
func exactly(count int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != count {
			return usageError("%s takes %s; see «%[1]s --help»", cmd.CommandPath(), what)
		}
		return nil
	}
}
