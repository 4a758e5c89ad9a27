// Package gateway takes the place of Traefik's provider for Kubernetes' Gateway API, whose module fits Kubernetes 0.32 only.
// Our Traefik reads Ingresses.
package gateway

import (
	"errors"

	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/safe"
)

// Provider has no settings.
type Provider struct {
	Enabled bool `description:"Not compiled in." json:"enabled,omitempty" toml:"enabled,omitempty" yaml:"enabled,omitempty" export:"true"`

	EntryPoints map[string]Entrypoint `json:"-" toml:"-" yaml:"-" label:"-" file:"-"`
}

// Entrypoint is set by the static configuration.
type Entrypoint struct {
	Address        string
	HasHTTPTLSConf bool
}

// Init refuses to start.
func (p *Provider) Init() error { return errors.New("the Gateway API provider is not compiled in") }

// Provide is never called, since Init fails.
func (p *Provider) Provide(chan<- dynamic.Message, *safe.Pool) error { return nil }
