// Command comfyui-relay is one ComfyUI to its clients, in front of one or more servers.
//
// Environment: SERVICE_TOKEN, PORT (8188), MANAGEMENT_PORT (8081), BACKENDS (base URLs separated by commas;
// dns+http://host:port is resolved again and again, and its servers are the studio's own: they are sent the token),
// ENDPOINTS (a ConfigMap that names further servers, see package endpoint, in the namespace POD_NAMESPACE or the pod's own, of
// the cluster that the process runs in or KUBECONFIG names; while there is none, prompts wait), ALLOW_CIDRS (networks that those may be in
// beside public ones), CREDENTIALS (a directory with what servers given by URL ask for, see package outbound), FALLBACK (as BACKENDS:
// servers that draw when no other has been there for FALLBACK_AFTER, 10m), DATABASE_URL (PostgreSQL, to keep prompts over
// a restart; without it they are in memory only), RELAY_NAME (the host's name and PORT: a relay that comes back under its
// name has its prompts at once), POLL (1s), LOST_AFTER (30s: a server silent for so long is given up), STALL_AFTER (5m: the
// least time without a sign of life after which a server at work is given up, longer where its prompts take long), ATTEMPTS
// (3: with how many lost servers a prompt fails), HISTORY_LIMIT (1000 finished prompts), HISTORY_AGE (168h, with a
// database), TMPDIR (uploads), GOMEMLIMIT (160MiB), LOG_LEVEL.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	_ "golang.org/x/crypto/x509roots/fallback" // authorities for https backends, where the system has none: the image is FROM scratch

	"github.com/ai-film/ai-film/services/comfyui/endpoint"
	"github.com/ai-film/ai-film/services/comfyui/relay"
	"github.com/ai-film/ai-film/services/comfyui/wire"
	"github.com/ai-film/ai-film/services/internal/outbound"
	"github.com/ai-film/ai-film/services/internal/serving"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	ended := make(chan struct{})
	started := false
	serving.Main("comfyui", "8188", func(s *serving.Service) error {
		r, err := setup(ctx, s)
		if err != nil {
			return err
		}
		started = true
		go func() {
			defer close(ended)
			r.Run(ctx)
		}()
		return nil
	})
	if started {
		<-ended
	}
}

func setup(ctx context.Context, s *serving.Service) (*relay.Relay, error) {
	wire.LimitMemory(160 << 20)
	s.People = true // who opens ComfyUI's page gives the token as password
	o := relay.Options{Token: s.Token, Backends: os.Getenv("BACKENDS"), Fallback: os.Getenv("FALLBACK"),
		Endpoints: os.Getenv("ENDPOINTS") != "", Credentials: outbound.NewCredentials(os.Getenv("CREDENTIALS"))}
	var err error
	if o.Guard, err = outbound.NewGuard(os.Getenv("ALLOW_CIDRS")); err != nil {
		return nil, fmt.Errorf("ALLOW_CIDRS: %w", err)
	}
	if o.FallbackAfter, err = serving.EnvDuration("FALLBACK_AFTER", 10*time.Minute); err != nil {
		return nil, err
	}
	if o.Dir, err = relay.UploadDir(os.TempDir()); err != nil {
		return nil, err
	}
	if o.Poll, err = serving.EnvDuration("POLL", time.Second); err != nil {
		return nil, err
	}
	if o.LostAfter, err = serving.EnvDuration("LOST_AFTER", 30*time.Second); err != nil {
		return nil, err
	}
	if o.StallAfter, err = serving.EnvDuration("STALL_AFTER", 5*time.Minute); err != nil {
		return nil, err
	}
	if o.Attempts, err = serving.EnvInt("ATTEMPTS", 3, 1, 100); err != nil {
		return nil, err
	}
	if o.HistoryLimit, err = serving.EnvInt("HISTORY_LIMIT", 1000, 1, 100000); err != nil {
		return nil, err
	}
	keep := relay.Keep{Count: o.HistoryLimit}
	if keep.Age, err = serving.EnvDuration("HISTORY_AGE", 7*24*time.Hour); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	o.Name = serving.Env("RELAY_NAME", host+":"+serving.Env("PORT", "8188"))
	if url := os.Getenv("DATABASE_URL"); url != "" {
		store, err := relay.OpenPostgres(context.WithoutCancel(ctx), url, o.Name, keep)
		if err != nil {
			return nil, err
		}
		o.Store = store
		s.Need("postgresql", store.Ready)
	}
	r, err := relay.New(o)
	if err != nil {
		return nil, err
	}
	if o.Endpoints {
		if err := follow(ctx, r, os.Getenv("ENDPOINTS")); err != nil {
			return nil, fmt.Errorf("ENDPOINTS: %w", err)
		}
	}
	s.Need("comfyui", r.Ready)
	r.Measure(s.Metrics)
	r.Routes(s.Handle, s.Work)
	return r, nil
}

// follow has the relay use the servers that a ConfigMap names, now and whenever it changes.
func follow(ctx context.Context, r *relay.Relay, name string) error {
	place, err := endpoint.Connect(name)
	if err != nil {
		return err
	}
	go place.Watch(ctx, func(data map[string]string) {
		all, wrong := endpoint.Parse(data)
		why := ""
		if len(wrong) > 0 {
			why = "the ConfigMap " + name + " has entries that can't be used: " + strings.Join(wrong, "; ")
			slog.Warn("endpoints can't be used", "configmap", name, "reason", why)
		}
		slog.Info("endpoints", "configmap", name, "servers", len(all))
		r.Use(all, why)
	}, func(err error) {
		slog.Warn("the ConfigMap can't be watched", "configmap", name, "error", err.Error())
		r.Unnamed("the ConfigMap " + name + " can't be read: " + err.Error())
	})
	return nil
}
