// Command ffmpeg-service encodes shots and cuts films with FFmpeg, one streaming HTTP request a job.
package main

import (
	"github.com/ai-film/ai-film/services/ffmpeg/media"
	"github.com/ai-film/ai-film/services/internal/jobs"
	"github.com/ai-film/ai-film/services/internal/serving"
)

func main() {
	serving.Main("ffmpeg", "8080", func(s *serving.Service) error {
		q, err := jobs.FromEnvironment(s)
		if err != nil {
			return err
		}
		studio, err := media.FromEnvironment(q.Workers)
		if err != nil {
			return err
		}
		studio.Serve(s, q)
		return nil
	})
}
