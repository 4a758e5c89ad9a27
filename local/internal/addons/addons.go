// Package addons installs what a bare control plane lacks: names (CoreDNS), volumes (local-path-provisioner), an ingress
// (Traefik) and measurements (metrics-server), each a static program in a scratch image.
package addons

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/ai-film/ai-film/local/internal/images"
	"github.com/ai-film/ai-film/local/internal/network"
	"github.com/ai-film/ai-film/local/internal/place"
)

//go:embed *.yaml
var manifests embed.FS

// Settings fill the manifests.
type Settings struct {
	Places      place.Places
	IngressIP   string // address the ingress listens on, 127.0.0.1 by default
	IngressPort int
}

// Apply creates or updates one add-on, which has a manifest <name>.yaml and in it a Deployment of that name.
func (s Settings) Apply(ctx context.Context, name string, image images.Image) error {
	manifest, err := s.render(name, image)
	if err != nil {
		return err
	}
	// Server-side, so that what an earlier version of us set and this one doesn't is removed.
	cmd := s.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "--field-manager=ai-film-local", "-f", "-")
	cmd.Stdin = bytes.NewReader(manifest)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("install %s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// Await returns when the Deployments of the add-ons are available.
func (s Settings) Await(ctx context.Context, names ...string) error {
	for _, name := range names {
		cmd := s.kubectl(ctx, "-n", "kube-system", "rollout", "status", "deployment/"+name, "--timeout=180s")
		if out, err := cmd.CombinedOutput(); err != nil {
			why, _ := s.kubectl(ctx, "-n", "kube-system", "get", "pods,events", "-o", "wide").CombinedOutput()
			return fmt.Errorf("%s does not become ready: %s\n%s", name, bytes.TrimSpace(out), why)
		}
	}
	return nil
}

func (s Settings) kubectl(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, filepath.Join(s.Places.Bin(), "kubectl"), append([]string{"--kubeconfig", s.Places.Kubeconfig()}, args...)...)
}

func (s Settings) render(name string, image images.Image) ([]byte, error) {
	t, err := template.New(name+".yaml").Option("missingkey=error").ParseFS(manifests, name+".yaml")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Image": image.Ref, "BaseImage": images.Base, "DNSIP": network.DNSIP, "Volumes": s.Places.Volumes(),
		"IngressIP": s.IngressIP, "IngressPort": s.IngressPort, "Resolvers": strings.Join(network.Resolvers(), " "),
	})
	return b.Bytes(), err
}
