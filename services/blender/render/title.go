package render

import (
	"context"
	"slices"
	"strings"

	"github.com/ai-film/ai-film/services/internal/jobs"
	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/internal/volume"
	"github.com/ai-film/ai-film/services/limits"
)

// TitleRequest is the body of /v1/title.
type TitleRequest struct {
	Text     string `json:"text"`
	Subtitle string `json:"subtitle,omitempty"`
	Output   string `json:"output"`
	Picture
	Seed uint32 `json:"seed,omitempty"` // of colours and the camera's way
}

// Title accepts a request to set a title.
func (s *Studio) Title(ctx context.Context, subject volume.Subject, r TitleRequest) (jobs.Job, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	r.Text, r.Subtitle = oneLine(r.Text), oneLine(r.Subtitle)
	if r.Text == "" {
		return nil, serving.Invalid("text", "give the title of the film", "is empty")
	}
	if err := limits.Film.Lengths.Title.Check(r.Text); err != nil {
		return nil, serving.Invalid("text", "shorten it", "%v", err)
	}
	if err := limits.Film.Lengths.Logline.Check(r.Subtitle); err != nil {
		return nil, serving.Invalid("subtitle", "shorten it", "%v", err)
	}
	fonts := s.Fonts.For(r.Text + r.Subtitle)
	if len(fonts.Missing) > 0 { // a film must not fail for an emoji in its title
		serving.Log(ctx).Warn("no font has these letters, they are left out", "letters", string(fonts.Missing))
		leave := func(c rune) rune {
			if slices.Contains(fonts.Missing, c) {
				return -1
			}
			return c
		}
		r.Text, r.Subtitle = oneLine(strings.Map(leave, r.Text)), oneLine(strings.Map(leave, r.Subtitle))
		if r.Text == "" { // nor for a title of nothing else
			r.Text = "…"
			fonts = s.Fonts.For(r.Text + r.Subtitle)
		}
	}
	out, err := s.Volume.Of(subject, "blender").Output("output", r.Output, nil, "images")
	if err != nil {
		return nil, err
	}
	if err := s.Volume.Room(out, r.bytes()); err != nil {
		return nil, err
	}
	return func(ctx context.Context, progress func(float64)) (any, bool, error) {
		key := s.Volume.NewKey(ctx, "title", 1, []any{r.Text, r.Subtitle, fonts, r.Picture, r.Seed, s.Samples})
		return s.once(ctx, out, key, func(scratch string) (Result, error) {
			files, err := s.Fonts.Files(fonts, scratch)
			if err != nil {
				return Result{}, err
			}
			result := Result{Frames: r.Frames, FPS: r.FPS, Path: out.String()}
			return result, s.render(ctx, r.Picture, map[string]any{"operation": "title", "text": r.Text, "subtitle": r.Subtitle,
				"fonts": map[string]any{"files": files, "slots": fonts.Slots}, "seed": r.Seed}, scratch, out, progress)
		})
	}, nil
}

// oneLine is the text with each run of white space made one space, and without characters that are not seen.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufeff' {
			return -1
		}
		return r
	}, s)
}
