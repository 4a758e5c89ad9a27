// Package envtest runs an API server for tests that are about what a real one
// does, without controllers or nodes.
package envtest

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/ai-film/ai-film/charttest/internal/controlplane"
)

// Nobody is the bearer token of a user without rights.
const Nobody = controlplane.Nobody

// ErrNoPrograms is the error of Run where nothing says where etcd and
// kube-apiserver are.
var ErrNoPrograms = errors.New("there is no etcd and kube-apiserver")

// Start starts an API server that ends with the test, and returns how to reach
// it as an administrator. Where there are no programs for it, the test is
// skipped. Service accounts are not asked for, and claims can be resized: both
// take controllers.
func Start(t testing.TB) *rest.Config {
	t.Helper()
	s, err := Run("--disable-admission-plugins=ServiceAccount,PersistentVolumeClaimResize")
	if errors.Is(err, ErrNoPrograms) {
		t.Skipf("there is no API server to try it on: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s.Config
}

// Run starts an API server with further flags; Stop ends it. Where nothing says
// where its programs are, the error is ErrNoPrograms.
func Run(flags ...string) (*controlplane.ControlPlane, error) {
	programs, err := controlplane.Find("", controlplane.Etcd, controlplane.APIServer)
	if err != nil {
		return nil, errors.Join(ErrNoPrograms, err)
	}
	return controlplane.Start(context.Background(), programs, flags...)
}

// Kubeconfig writes a kubeconfig file for programs.
func Kubeconfig(t testing.TB, config *rest.Config) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := controlplane.WriteKubeconfig(file, config); err != nil {
		t.Fatal(err)
	}
	return file
}
