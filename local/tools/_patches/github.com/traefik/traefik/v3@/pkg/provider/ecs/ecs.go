// Package ecs takes the place of Traefik's provider for Amazon's ECS, which brings the SDKs of EC2, ECS and SSM. Our
// Traefik reads from Kubernetes only.
package ecs

import (
	"errors"

	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/safe"
)

// Provider has no settings.
type Provider struct {
	Enabled bool `description:"Not compiled in." json:"enabled,omitempty" toml:"enabled,omitempty" yaml:"enabled,omitempty" export:"true"`
}

// SetDefaults has nothing to set.
func (p *Provider) SetDefaults() {}

// Init refuses to start.
func (p *Provider) Init() error { return errors.New("the ECS provider is not compiled in") }

// Provide is never called, since Init fails.
func (p *Provider) Provide(chan<- dynamic.Message, *safe.Pool) error { return nil }
