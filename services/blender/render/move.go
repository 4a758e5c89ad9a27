package render

import (
	"context"
	"errors"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/ai-film/ai-film/services/blender/depth"
	"github.com/ai-film/ai-film/services/internal/jobs"
	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/internal/volume"
)

// MoveRequest is the body of /v1/move.
type MoveRequest struct {
	Still  string `json:"still"`
	Output string `json:"output"`
	Picture
	Move     string   `json:"move"`
	Strength *float64 `json:"strength"` // of the move; default 1
	Relief   *float64 `json:"relief"`   // share of the depth that the picture gets; 0 is a plain zoom or pan, 1 the default
}

var moves = []string{"dolly-in", "dolly-out", "truck-left", "truck-right", "crane-up", "crane-down", "orbit-left", "orbit-right"}

// Move accepts a request to move the camera through a still.
func (s *Studio) Move(_ context.Context, subject volume.Subject, r MoveRequest) (jobs.Job, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if !slices.Contains(moves, r.Move) {
		return nil, serving.Invalid("move", "use "+strings.Join(moves, ", "), "%q is no move", r.Move)
	}
	strength, relief := 1.0, 1.0
	if r.Strength != nil {
		strength = *r.Strength
	}
	if !(strength >= 0 && strength <= 2) {
		return nil, serving.Invalid("strength", "", "want 0 to 2, not %v", strength)
	}
	if r.Relief != nil {
		relief = *r.Relief
	}
	if !(relief >= 0 && relief <= 1) {
		return nil, serving.Invalid("relief", "", "want 0 to 1, not %v", relief)
	}
	folder := s.Volume.Of(subject, "blender")
	still, err := folder.Input("still", r.Still, false, "images")
	if err != nil {
		return nil, err
	}
	out, err := folder.Output("output", r.Output, nil, "images")
	if err != nil {
		return nil, err
	}
	if err := s.Volume.Room(out, r.bytes()); err != nil {
		return nil, err
	}
	if err := s.checkStill(still); err != nil {
		return nil, err
	}
	return func(ctx context.Context, progress func(float64)) (any, bool, error) {
		key := s.Volume.NewKey(ctx, "move", 2, []any{r.Picture, r.Move, strength, relief, s.Samples}).File(still)
		return s.once(ctx, out, key, func(scratch string) (Result, error) {
			result := Result{Frames: r.Frames, FPS: r.FPS, Path: out.String(), Depth: out.With(".depth.png").String()}
			return result, s.move(ctx, r, strength, relief, still, scratch, out, progress)
		})
	}, nil
}

// move estimates the depth of the still, takes it apart by it and has Blender render the parts.
func (s *Studio) move(ctx context.Context, r MoveRequest, strength, relief float64, still volume.Path, scratch string, out volume.Path, progress func(float64)) error {
	img, err := s.readStill(still, r.Width, r.Height)
	if err != nil {
		return err
	}
	scene := depth.Estimate(img)
	figures, behind := depth.Split(img, scene)
	file := func(name string) string { return filepath.Join(scratch, name) }
	depths := s.Volume.Draft(out.With(".depth.png"))
	defer depths.Discard()
	err = errors.Join(
		writePNG(file("figures.png"), figures), writePNG(file("behind.png"), behind),
		writePNG(file("near.png"), scene.Near.Gray()), writePNG(file("ground.png"), scene.Ground.Gray()),
		writePNG(depths.OS(), scene.Depth().Gray()),
	)
	if err != nil {
		return err
	}
	layers := []map[string]any{{"image": file("behind.png"), "depth": file("ground.png"), "cutout": false}}
	if scene.HasFigures() {
		layers = append(layers, map[string]any{"image": file("figures.png"), "depth": file("near.png"), "cutout": true})
	}
	if err := depths.Publish(); err != nil {
		return err
	}
	img, figures, behind, scene = nil, nil, nil, nil
	debug.FreeOSMemory() // Blender takes as much once more, in the same container
	return s.render(ctx, r.Picture, map[string]any{"operation": "move", "move": r.Move, "strength": strength, "relief": relief,
		"layers": layers}, scratch, out, progress)
}
