// Command comfyui-bridge takes registrations of ComfyUI servers elsewhere.
//
// Environment: BRIDGE_SECRET (at least 16 characters: what registrations are signed with), SERVICE_TOKEN (for the relay), RELAY_URL
// (http://comfyui:8188), ENDPOINTS (the ConfigMap to write, comfyui-endpoint; in the namespace POD_NAMESPACE or the pod's own, of the cluster
// that the process runs in or KUBECONFIG names), CHECKPOINT (that servers must have; sd_xl_base_1.0.safetensors), REQUIRE_GPU (true),
// ALLOW_CIDRS, CREDENTIALS (as of the relay), RENDEZVOUS (a URL with registrations), RENDEZVOUS_EVERY (1m), TRIAL (3m: for the first trial
// picture, models being loaded), SETTLE (1m: for the relay to follow), PORT (8190), MANAGEMENT_PORT (8081), LOG_LEVEL.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	_ "golang.org/x/crypto/x509roots/fallback" // authorities for https, where the system has none: the image is FROM scratch

	"github.com/ai-film/ai-film/services/comfyui/bridge"
	"github.com/ai-film/ai-film/services/comfyui/endpoint"
	"github.com/ai-film/ai-film/services/comfyui/wire"
	"github.com/ai-film/ai-film/services/internal/outbound"
	"github.com/ai-film/ai-film/services/internal/serving"
)

func main() {
	serving.Main("comfyui_bridge", "8190", func(s *serving.Service) error {
		wire.LimitMemory(120 << 20)
		o := bridge.Options{Secret: []byte(os.Getenv("BRIDGE_SECRET")), Token: s.Token, Relay: serving.Env("RELAY_URL", "http://comfyui:8188"),
			Checkpoint: serving.Env("CHECKPOINT", "sd_xl_base_1.0.safetensors"), Credentials: outbound.NewCredentials(os.Getenv("CREDENTIALS")),
			Rendezvous: os.Getenv("RENDEZVOUS"), Registry: s.Metrics, PlainHTTP: os.Getenv("ALLOW_CIDRS") != ""}
		if len(o.Secret) < 16 {
			return errors.New("BRIDGE_SECRET has fewer than 16 characters: give the key bridge-secret of the Secret ai-film")
		}
		// Who registers has no service token: a signature is asked for instead.
		s.Token = ""
		var err error
		if o.RequireGPU, err = strconv.ParseBool(serving.Env("REQUIRE_GPU", "true")); err != nil {
			return fmt.Errorf("REQUIRE_GPU: %w", err)
		}
		if o.Guard, err = outbound.NewGuard(os.Getenv("ALLOW_CIDRS")); err != nil {
			return fmt.Errorf("ALLOW_CIDRS: %w", err)
		}
		for name, d := range map[string]struct {
			into     *time.Duration
			fallback time.Duration
		}{"RENDEZVOUS_EVERY": {&o.Every, time.Minute}, "TRIAL": {&o.Trial, 3 * time.Minute}, "SETTLE": {&o.Settle, time.Minute}} {
			if *d.into, err = serving.EnvDuration(name, d.fallback); err != nil {
				return err
			}
		}
		if o.Place, err = endpoint.Connect(serving.Env("ENDPOINTS", "comfyui-endpoint")); err != nil {
			return fmt.Errorf("ENDPOINTS: %w", err)
		}
		b := bridge.New(o)
		s.Need("kubernetes", b.Ready)
		s.Handle("POST /v1/registrations", s.Work(b.Handler()))
		go b.Run(context.Background())
		return nil
	})
}
