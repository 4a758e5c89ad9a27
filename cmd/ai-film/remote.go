package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/ai-film/ai-film/internal/studio"
)

const remoteHelp = `Exit codes: 0 all well, 1 the server is not used (what keeps it from being used
is told), 2 wrong usage, 5 no studio was reached or it refused the secret,
130 interrupted.`

func newRemote() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remote",
		Short: "Let a ComfyUI with a GPU elsewhere draw for the studio",
		Long: `Let a ComfyUI with a GPU elsewhere, on Colab or any other box, draw for the
studio, and see how it stands with those that do. docs/remote-gpu.md tells how
to set one up.`,
	}
	cmd.AddCommand(newRemoteRegister(), newRemoteTrigger(), newRemoteStatus(), newRemoteRelease())
	return cmd
}

// remoteFlags say where the bridge is and with what registrations are signed.
type remoteFlags struct {
	bridge, secretFile string
	release            studio.Release
}

func (f *remoteFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.bridge, "bridge", "", "the bridge's URL, for who can't reach the cluster (default the release in the cluster)")
	flags.StringVar(&f.secretFile, "secret-file", "", "with --bridge: a file with the key bridge-secret of the studio's Secret (default $AI_FILM_BRIDGE_SECRET)")
	flags.StringVarP(&f.release.Namespace, "namespace", "n", "ai-film", "namespace of the release")
	flags.StringVar(&f.release.Context, "context", "", "context of the kubeconfig (default the current one)")
	flags.StringVar(&f.release.Kubeconfig, "kubeconfig", "", "kubeconfig (default $KUBECONFIG, else ~/.kube/config)")
	flags.StringVar(&f.release.Secret, "secret", "ai-film", "Secret that holds bridge-secret")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usageError("%w; see «%s --help»", err, cmd.CommandPath())
	})
}

func (f *remoteFlags) connect(ctx context.Context) (*studio.Bridge, error) {
	if f.bridge == "" {
		bridge, err := f.release.Bridge(ctx)
		if err != nil {
			return nil, codedError{err, exitUnreachable}
		}
		return bridge, nil
	}
	secret := os.Getenv("AI_FILM_BRIDGE_SECRET")
	if f.secretFile != "" {
		text, err := os.ReadFile(f.secretFile)
		if err != nil {
			return nil, usageError("--secret-file: %w", err)
		}
		secret = strings.TrimSpace(string(text))
	}
	if secret == "" {
		return nil, usageError("--bridge needs the studio's secret: --secret-file or $AI_FILM_BRIDGE_SECRET\n  what helps: kubectl -n ai-film get secret ai-film -o jsonpath='{.data.bridge-secret}' | base64 -d")
	}
	bridge, err := studio.NewBridge(f.bridge, secret)
	if err != nil {
		return nil, codedError{err, exitUsage}
	}
	return bridge, nil
}

// send has the bridge do something, and shows its steps.
func (f *remoteFlags) send(cmd *cobra.Command, registration studio.Registration) (*studio.Registered, error) {
	ctx, stop := interruptible(cmd)
	defer stop()
	bridge, err := f.connect(ctx)
	if err != nil {
		return nil, err
	}
	done, err := bridge.Send(ctx, registration, func(step string) { fmt.Fprintf(cmd.ErrOrStderr(), "… %s\n", step) })
	var problem *studio.Problem
	if errors.As(err, &problem) && problem.Status == 422 && problem.Title != "invalid request" { // of the server, not of the usage
		return nil, codedError{err, exitFailed}
	}
	return done, coded(err)
}

func newRemoteRegister() *cobra.Command {
	var where remoteFlags
	var name string
	var weight float64
	cmd := &cobra.Command{
		Use:   "register URL",
		Short: "Have the studio draw with the ComfyUI at a URL",
		Long: `Have the studio draw with the ComfyUI at a URL. The studio's bridge asks it what
it is, looks for the nodes and models that films need, has it draw, and waits
until the relay uses it. Registering again under the same name takes the new
URL in place of the old one; what the old one had under way goes to the new.

` + remoteHelp,
		Example: `  ai-film remote register https://some-words.trycloudflare.com
  ai-film remote register https://gpu.example.com --name workstation --weight 2`,
		Args: exactly(1, "the URL of a ComfyUI"),
		RunE: func(cmd *cobra.Command, args []string) error {
			done, err := where.send(cmd, studio.Registration{Act: "register", Name: name, URL: args[0], Weight: weight})
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if done.Unchanged {
				fmt.Fprintf(out, "%s draws at %s, as before\n", done.Name, done.URL)
				return nil
			}
			fmt.Fprintf(out, "%s draws at %s\n", done.Name, done.URL)
			if m := done.Measured; m != nil {
				fmt.Fprintf(out, "  %s, %.1f GiB, ComfyUI %s\n  %.0f ms there and back, a small picture in %.1f s (the first in %.1f s)\n",
					printable(cmp.Or(m.GPU, "no GPU")), m.VRAM, printable(m.Version), m.RoundTrip, m.Next, m.First)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "colab", "name of the server")
	cmd.Flags().Float64Var(&weight, "weight", 1, "its share of the work beside others of its pace")
	where.register(cmd)
	return cmd
}

func newRemoteRelease() *cobra.Command {
	var where remoteFlags
	var url string
	cmd := &cobra.Command{
		Use:   "release NAME",
		Short: "Have the studio draw no more with a ComfyUI elsewhere",
		Long: `Have the studio draw no more with a ComfyUI elsewhere. It gets no more prompts,
and finishes the one under way if it can. Others go on, or prompts wait for the
next, or the preview draws, as the release's values say.

` + remoteHelp,
		Example: `  ai-film remote release colab`,
		Args:    exactly(1, "the name of a server"),
		RunE: func(cmd *cobra.Command, args []string) error {
			done, err := where.send(cmd, studio.Registration{Act: "release", Name: args[0], URL: url})
			if err != nil {
				return err
			}
			if done.Unchanged {
				fmt.Fprintf(cmd.OutOrStdout(), "%s was not registered\n", args[0])
			} else {
				fmt.Fprintf(cmd.OutOrStdout(), "%s draws no more\n", args[0])
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "only if this is still its URL")
	where.register(cmd)
	return cmd
}

func newRemoteStatus() *cobra.Command {
	var where remoteFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say who draws, and why nobody does",
		Long: `Say who draws, how many prompts wait, and what keeps a server from being used.
Without --bridge the relay is asked, through the cluster, and no bridge is
needed.

` + remoteHelp,
		Example: `  ai-film remote status
  ai-film remote status --json | jq -r .state`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			servers, err := where.servers(cmd)
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(servers)
			}
			return showServers(cmd.OutOrStdout(), servers)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	where.register(cmd)
	return cmd
}

func (f *remoteFlags) servers(cmd *cobra.Command) (*studio.Servers, error) {
	if f.bridge != "" {
		done, err := f.send(cmd, studio.Registration{Act: "status"})
		if err != nil {
			return nil, err
		}
		if done.Relay == nil {
			return nil, errors.New("the bridge says nothing of the relay")
		}
		return done.Relay, nil
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	servers, err := f.release.Servers(ctx)
	if err != nil {
		return nil, codedError{err, exitUnreachable}
	}
	return servers, nil
}

// printable is what servers elsewhere said, without what a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

func showServers(out io.Writer, s *studio.Servers) error {
	says := map[string]string{"ready": "drawing", "fallback": "the preview draws", "waiting": "waiting for a server"}
	fmt.Fprintf(out, "%s; %d prompts have no server\n", cmp.Or(says[s.State], s.State), s.Waiting)
	if s.Why != "" {
		fmt.Fprintf(out, "  %s\n", printable(s.Why))
	}
	if len(s.Servers) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tSTATE\tQUEUE\tPACE\tWEIGHT\tGPU\tURL")
	for _, one := range s.Servers {
		state := "ready"
		switch {
		case one.Leaving:
			state = "leaving"
		case !one.Ready:
			state = "away"
		}
		pace := "-"
		if one.Pace > 0 {
			pace = fmt.Sprintf("%.1fs", one.Pace)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%g\t%s\t%s\n", cmp.Or(one.Name, "-"), state, one.Queue, pace, one.Weight, printable(cmp.Or(one.GPU, "-")), printable(one.URL))
	}
	return table.Flush()
}

func newRemoteTrigger() *cobra.Command {
	var where remoteFlags
	var wait time.Duration
	var region, template, account string
	cmd := &cobra.Command{
		Use:   "trigger KIND WHOM",
		Short: "Have somebody start a ComfyUI that registers itself",
		Long: `Have somebody start a ComfyUI that registers itself, and wait until the studio
draws with one.

  webhook URL              POST {"event":"remote-gpu"} to a URL; the token in
                           $AI_FILM_TRIGGER_TOKEN, if any, goes as a bearer
  github OWNER/REPOSITORY  send the repository_dispatch event remote-gpu, which
                           starts .github/workflows/remote-gpu.yml there; the
                           token is in $GITHUB_TOKEN
  colab-enterprise BOOK    run a notebook (gs://…) by «gcloud colab executions
                           create», the one way to start Colab from outside that
                           Google has; needs --region, --template and
                           --service-account

A notebook of consumer Colab has no such way: open it and run its cells.

` + remoteHelp,
		Example: `  ai-film remote trigger webhook https://start.example.com/gpu --wait 10m
  ai-film remote trigger github me/films
  ai-film remote trigger colab-enterprise gs://films/ai-film-comfyui.ipynb \
      --region us-central1 --template t4 --service-account films@example.com`,
		Args: exactly(2, "a kind of trigger and whom to trigger"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			if err := trigger(ctx, cmd.ErrOrStderr(), args[0], args[1], region, template, account); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "… triggered\n")
			if wait == 0 {
				return nil
			}
			for until := time.Now().Add(wait); ; {
				servers, err := where.servers(cmd)
				if err == nil && servers.State == "ready" {
					return showServers(cmd.OutOrStdout(), servers)
				}
				if time.Now().After(until) {
					if err != nil {
						return err
					}
					return fmt.Errorf("no server after %v: %s", wait, servers.Why)
				}
				select {
				case <-time.After(5 * time.Second):
				case <-ctx.Done():
					return coded(ctx.Err())
				}
			}
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 15*time.Minute, "how long to wait for a server; 0s not at all")
	cmd.Flags().StringVar(&region, "region", "", "colab-enterprise: the region")
	cmd.Flags().StringVar(&template, "template", "", "colab-enterprise: the runtime template, with a GPU")
	cmd.Flags().StringVar(&account, "service-account", "", "colab-enterprise: the account the notebook runs as")
	where.register(cmd)
	return cmd
}

// trigger asks somebody to start a server. It never prints a token.
func trigger(ctx context.Context, log io.Writer, kind, whom, region, template, account string) error {
	switch kind {
	case "webhook":
		return post(ctx, whom, os.Getenv("AI_FILM_TRIGGER_TOKEN"), map[string]any{"event": "remote-gpu"})
	case "github":
		owner, repository, ok := strings.Cut(whom, "/")
		if !ok || owner == "" || repository == "" || strings.Contains(repository, "/") {
			return usageError("%q is no OWNER/REPOSITORY", whom)
		}
		token := os.Getenv("GITHUB_TOKEN")
		if token == "" {
			return usageError("$GITHUB_TOKEN is not set: a token that may write the contents of %s", whom)
		}
		base := cmp.Or(os.Getenv("GITHUB_API_URL"), "https://api.github.com")
		return post(ctx, base+"/repos/"+owner+"/"+repository+"/dispatches", token, map[string]any{"event_type": "remote-gpu"})
	case "colab-enterprise":
		if region == "" || template == "" || account == "" || !strings.HasPrefix(whom, "gs://") {
			return usageError("colab-enterprise takes a notebook gs://…, --region, --template and --service-account")
		}
		run := exec.CommandContext(ctx, "gcloud", "colab", "executions", "create", "--display-name=ai-film-comfyui",
			"--gcs-notebook-uri="+whom, "--region="+region, "--notebook-runtime-template="+template, "--service-account="+account,
			"--gcs-output-uri="+whom[:strings.LastIndex(whom, "/")], "--async")
		run.Stdout, run.Stderr = log, log
		if err := run.Run(); err != nil {
			return fmt.Errorf("gcloud colab executions create: %w\n  what helps: gcloud auth login, and the Colab Enterprise API in the project", err)
		}
		return nil
	}
	return usageError("%q is none of webhook, github, colab-enterprise", kind)
}

func post(ctx context.Context, url, token string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader(text))
	if err != nil {
		return usageError("%w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	// A token goes to whom it is for, and nowhere they send us.
	client := &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		said, _ := io.ReadAll(io.LimitReader(answer.Body, 500))
		return fmt.Errorf("the trigger answered %s: %s", answer.Status, bytes.TrimSpace(said))
	}
	return nil
}
