package integration

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gruntwork-io/terratest/modules/helm"
	"github.com/gruntwork-io/terratest/modules/k8s"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
)

// home is what an upgrade must not touch.
type home struct {
	passwords map[string][]byte
	claims    map[string]types.UID
	volumes   map[string]string
}

func homeOf(t *testing.T) home {
	t.Helper()
	h := home{claims: map[string]types.UID{}, volumes: map[string]string{}}
	if installed(t).Global.ExistingSecret == "" {
		h.passwords = k8s.GetSecretContext(t, t.Context(), cluster(), "ai-film").Data
		require.NotEmpty(t, h.passwords["admin-password"])
	}
	for name := range installed(t).Storage {
		if claim, err := k8s.GetPersistentVolumeClaimContextE(t, t.Context(), cluster(), name+"-pvc"); err == nil {
			h.claims[name], h.volumes[name] = claim.UID, claim.Spec.VolumeName
		}
	}
	require.NotEmpty(t, h.claims)
	return h
}

// given are the values the release was installed with, as a file.
func given(t *testing.T) string {
	t.Helper()
	out, err := helm.RunHelmCommandAndGetStdOutContextE(t, t.Context(), helmIn(namespace), "get", "values", release, "--output", "yaml")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "values.yaml")
	require.NoError(t, os.WriteFile(file, []byte(out), 0o600))
	return file
}

// An upgrade that replaces the pods of two services keeps passwords, volumes and films, and the page answers throughout.
func TestUpgradeKeepsAllThatMatters(t *testing.T) {
	before := homeOf(t)
	values := given(t)
	flask := pods(t)["flask"][0].Name
	var list []byte
	call(t, "GET", "/api/films?limit=5", nil, &list)

	upgrade := func(args ...string) {
		out, err := helm.RunHelmCommandAndGetOutputContextE(t, t.Context(), helmIn(namespace), "upgrade",
			append([]string{release, chart, "--values", values, "--wait", "--timeout", "8m"}, args...)...)
		require.NoError(t, err, out)
	}
	t.Cleanup(func() {
		// The release goes back to the values it had. t.Context is over by now.
		out, err := helm.RunHelmCommandAndGetOutputContextE(t, context.Background(), helmIn(namespace), "upgrade",
			release, chart, "--values", values, "--wait", "--timeout", "8m")
		assert.NoError(t, err, out)
	})

	var asked, failed atomic.Int64
	host, stop := installed(t).Ingress.Host, make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
			response, _, err := request(context.Background(), host, "", "GET", "/login", nil)
			asked.Add(1)
			if err != nil || response.StatusCode != 200 {
				failed.Add(1)
			}
		}
	}()
	upgrade("--set", "application.flask.env.LOG_LEVEL=debug", "--set", "data.ffmpeg.env.LOG_LEVEL=debug")
	for leaving(t, flask) { // the old pod is asked until it is gone
		time.Sleep(time.Second)
	}
	close(stop)
	<-done
	assert.Zero(t, failed.Load(), "of %d requests during the upgrade", asked.Load())
	assert.Greater(t, asked.Load(), int64(20))

	assert.NotEqual(t, flask, pods(t)["flask"][0].Name, "the upgrade replaced flask's pod")
	assert.Equal(t, before, homeOf(t))
	var after []byte
	call(t, "GET", "/api/films?limit=5", nil, &after)
	assert.JSONEq(t, string(list), string(after), "no film is lost")
}

// leaving says whether a pod is still there.
func leaving(t *testing.T, pod string) bool {
	t.Helper()
	_, err := k8s.GetPodContextE(t, t.Context(), cluster(), pod)
	return err == nil
}

// A claim cannot change its home; the upgrade is refused before it begins, with the remedy.
func TestChangedHomeIsRefused(t *testing.T) {
	for _, set := range []string{"storage.postgres.storageClass=elsewhere", "storage.images.storageClass=elsewhere"} {
		out, err := helm.RunHelmCommandAndGetOutputContextE(t, t.Context(), helmIn(namespace), "upgrade", release, chart,
			"--values", given(t), "--set", set, "--dry-run=server")
		require.Error(t, err, set)
		assert.Contains(t, out+err.Error(), "back up", set)
		assert.Contains(t, out+err.Error(), "is of class", set)
	}
}
