// Command blender-service moves cameras through stills and sets titles with Blender, one streaming HTTP request a job.
package main

import (
	"github.com/ai-film/ai-film/services/blender/render"
	"github.com/ai-film/ai-film/services/internal/jobs"
	"github.com/ai-film/ai-film/services/internal/serving"
)

func main() {
	serving.Main("blender", "9876", func(s *serving.Service) error {
		q, err := jobs.FromEnvironment(s)
		if err != nil {
			return err
		}
		studio, err := render.FromEnvironment(q.Workers)
		if err != nil {
			return err
		}
		studio.Serve(s, q)
		return nil
	})
}
