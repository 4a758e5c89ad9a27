package wild

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest/internal/controlplane"
	"github.com/ai-film/ai-film/charttest/rehearse"
)

// What a rehearsal finds in charts of others, with their own values: nothing,
// but what an API server says too. All ten take about 150 s of a processor, so
// that they are rehearsed only where AI_FILM_REHEARSE says so (with -timeout=0).
func TestRehearsals(t *testing.T) {
	if os.Getenv("AI_FILM_REHEARSE") == "" {
		t.Skip("AI_FILM_REHEARSE=1 rehearses charts of others")
	}
	var missing *controlplane.MissingError
	if _, err := controlplane.Find("", controlplane.Etcd, controlplane.APIServer, controlplane.ControllerManager, controlplane.Scheduler, controlplane.Kwok); errors.As(err, &missing) {
		t.Skip(err)
	}
	dirs := charts(t)
	for name, want := range map[string][]string{
		"metrics-server": nil, "descheduler": nil, "external-dns": nil, "ingress-nginx": nil, "sealed-secrets": nil, "local-path-provisioner": nil,
		"cert-manager": nil, "metallb": nil, "gatekeeper": nil, "flagger": nil,
		// Its HPA is written for autoscaling/v2beta1, which Kubernetes 1.25 took out.
		"podinfo": {"rehearsal-refused HorizontalPodAutoscaler/rehearsal-podinfo"},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := rehearse.Run(t.Context(), dirs[name], rehearse.Config{Profiles: []string{"default"}})
			require.NoError(t, err)
			var found []string
			for _, f := range result.Findings() {
				found = append(found, f.Check+" "+f.Object)
				assert.NotEmpty(t, f.Line, f)
			}
			assert.Equal(t, want, found)
		})
	}
}
