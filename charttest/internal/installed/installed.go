// Package installed reads the releases that Helm has installed in a cluster.
package installed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	helmengine "helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Release is a release as Helm keeps it in its cluster.
type Release struct {
	Name, Namespace string
	Revision        int
	Chart           string         // its name and version: "shop-1.2.0"
	Values          map[string]any // that its user gave
	Manifest        string         // its objects
	Hooks           []string       // the documents of its hooks

	// Lookup answers the template function lookup from the cluster.
	Lookup func(apiVersion, kind, namespace, name string) (map[string]any, error)
}

// ErrNotFound says that a cluster has no release of that name.
var ErrNotFound = errors.New("there is no such release")

// Find reads the release that an upgrade would start from: the
// deployed one, or if none is, the latest. It reads Helm's Secrets, or where
// HELM_DRIVER says so its ConfigMaps. Errors are those of the cluster, or
// ErrNotFound.
func Find(ctx context.Context, config *rest.Config, namespace, name string) (*Release, error) {
	config = rest.CopyConfig(config)
	if config.Timeout == 0 {
		config.Timeout = 30 * time.Second
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	var d driver.Driver
	switch kind := os.Getenv("HELM_DRIVER"); kind {
	case "", "secret", "secrets":
		d = driver.NewSecrets(client.CoreV1().Secrets(namespace))
	case "configmap", "configmaps":
		d = driver.NewConfigMaps(client.CoreV1().ConfigMaps(namespace))
	default:
		return nil, fmt.Errorf("HELM_DRIVER=%s: releases are read from secret or configmap", kind)
	}
	releases := storage.Init(d)
	var found *release.Release
	done := make(chan error, 1) // Helm's storage takes no context
	go func() {
		var err error
		if found, err = releases.Deployed(name); errors.Is(err, driver.ErrNoDeployedReleases) || errors.Is(err, driver.ErrReleaseNotFound) {
			found, err = releases.Last(name)
		}
		done <- err
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	in := &Release{
		Name: found.Name, Namespace: found.Namespace, Revision: found.Version, Values: found.Config, Manifest: found.Manifest,
		Lookup: helmengine.NewLookupFunction(config),
	}
	if found.Chart != nil && found.Chart.Metadata != nil {
		in.Chart = found.Chart.Metadata.Name + "-" + found.Chart.Metadata.Version
	}
	for _, h := range found.Hooks {
		in.Hooks = append(in.Hooks, h.Manifest)
	}
	return in, nil
}
