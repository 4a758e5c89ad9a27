// Package crd takes the place of Traefik's provider for custom resources of its own, of which we have none.
package crd

import (
	"errors"

	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/safe"
)

// Provider has no settings.
type Provider struct {
	Enabled bool `description:"Not compiled in." json:"enabled,omitempty" toml:"enabled,omitempty" yaml:"enabled,omitempty" export:"true"`
}

// FillExtensionBuilderRegistry has nothing to fill.
func (p *Provider) FillExtensionBuilderRegistry(any) {}

// Init refuses to start.
func (p *Provider) Init() error {
	return errors.New("the provider of custom resources is not compiled in")
}

// Provide is never called, since Init fails.
func (p *Provider) Provide(chan<- dynamic.Message, *safe.Pool) error { return nil }
