package main

import (
	"testing"

	"github.com/ai-film/ai-film/services/conformance"
)

func TestMain(m *testing.M) { conformance.Main(m, main) }

func TestConformance(t *testing.T) { conformance.RunSelf(t, "ffmpeg.json") }
