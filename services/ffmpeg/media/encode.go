package media

import (
	"context"
	"fmt"
	"image/png"
	"regexp"
	"strconv"

	"github.com/ai-film/ai-film/services/internal/jobs"
	"github.com/ai-film/ai-film/services/internal/program"
	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/internal/volume"
)

// EncodeRequest is the body of /v1/encode.
type EncodeRequest struct {
	Frames string `json:"frames"`
	Output string `json:"output"`
	FPS    *int   `json:"fps"` // default 24
	CRF    *int   `json:"crf"` // default 18; 1 is best, 51 worst
}

// EncodeResult is what /v1/encode answers.
type EncodeResult struct {
	Path    string  `json:"path"`
	Frames  int     `json:"frames"`
	Seconds float64 `json:"seconds"`
}

// The largest of what is taken. Encoding a picture of 2560×1440 takes 0.9 GB with four threads, of 4096×2304 more than twice
// that: well above any film's size, and within the memory of the smallest home.
const (
	maxFrames  = 20000
	maxPixels  = 2560 * 1440
	maxFilm    = 500000   // frames of all clips
	maxSeconds = 4 * 3600 // of a film
)

// Encode accepts a request to make a shot's frames into a clip.
func (s *Studio) Encode(_ context.Context, subject volume.Subject, r EncodeRequest) (jobs.Job, error) {
	fps, crf := or(r.FPS, 24), or(r.CRF, 18)
	if err := number("fps", fps, 1, 60); err != nil {
		return nil, err
	}
	if err := number("crf", crf, 1, 51); err != nil {
		return nil, err
	}
	folder := s.Volume.Of(subject, "ffmpeg")
	dir, err := folder.Input("frames", r.Frames, true, "images")
	if err != nil {
		return nil, err
	}
	out, err := folder.Output("output", r.Output, []string{".mp4"}, "videos")
	if err != nil {
		return nil, err
	}
	frames, width, height, err := s.frames("frames", dir)
	if err != nil {
		return nil, err
	}
	if err := s.Volume.Room(out, int64(frames)*int64(width)*int64(height)*2/5); err != nil {
		return nil, err
	}
	return func(ctx context.Context, progress func(float64)) (any, bool, error) {
		if err := s.alike(ctx, "frames", dir, frames, width, height); err != nil {
			return nil, false, err
		}
		key := s.Volume.NewKey(ctx, "encode", 1, []int{fps, crf}).Directory(dir, frameName.MatchString)
		return once(ctx, s, out, key, func(EncodeResult) bool { return s.there(out) }, func() (EncodeResult, error) {
			result := EncodeResult{out.String(), frames, seconds(frames, fps)}
			return result, s.encode(ctx, dir, out, frames, fps, crf, progress)
		})
	}, nil
}

func (s *Studio) encode(ctx context.Context, dir, out volume.Path, frames, fps, crf int, progress func(float64)) error {
	draft := s.Volume.Draft(out)
	defer draft.Discard()
	args := append(s.decoding(), "-f", "image2", "-c:v", "png", "-framerate", strconv.Itoa(fps), "-start_number", "1", "-i", pattern(s.Volume.OS(dir)),
		"-an", "-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,format=yuv420p")
	args = append(args, whole...)
	args = append(args, s.h264(crf, fps)...)
	args = append(args, "-movflags", "+faststart", "-f", "mp4", draft.OS())
	if err := s.ffmpeg(ctx, program.Program{Args: args}, frames, progress); err != nil {
		return err
	}
	if made, err := s.look(ctx, draft.OS()); err != nil {
		return err
	} else if made.frames != frames || made.fps != fps {
		return serving.NewProblem(500, "wrong encoding", fmt.Sprintf("%d frames at %d fps came out of %d at %d",
			made.frames, made.fps, frames, fps), "make the frames again: one may be damaged")
	}
	return draft.Publish()
}

var frameName = regexp.MustCompile(`^frame_\d{5}\.png$`)

const framesRemedy = "make the frames again: frame_00001.png … without a gap, all of one size"

// frames looks at a directory of frames as far as it must be known before a job waits for its turn: how many they are,
// counted from 1 without a gap, and the size of the first.
func (s *Studio) frames(field string, dir volume.Path) (n, width, height int, err error) {
	names, err := s.Volume.Names(dir)
	if err != nil {
		return 0, 0, 0, err
	}
	for _, name := range names { // sorted
		if !frameName.MatchString(name) {
			continue
		}
		if n++; dir.Frame(n).String() != dir.String()+"/"+name {
			return 0, 0, 0, serving.Invalid(field, framesRemedy, "%s is missing", dir.Frame(n))
		}
	}
	switch {
	case n == 0:
		return 0, 0, 0, serving.Invalid(field, framesRemedy, "no frame_00001.png in %s", dir)
	case n > maxFrames:
		return 0, 0, 0, serving.Invalid(field, "cut the shot into shorter ones", "%d frames are more than %d", n, maxFrames)
	}
	if width, height, err = s.size(field, dir.Frame(1)); err != nil {
		return 0, 0, 0, err
	}
	if width%2 != 0 || height%2 != 0 || min(width, height) < 16 || max(width, height) > maxPixels || width*height > maxPixels {
		return 0, 0, 0, serving.Invalid(field, "render in another size", "frames are %d×%d: want even sides from 16, and at most %d pixels", width, height, maxPixels)
	}
	return n, width, height, nil
}

// alike refuses frames that are no pictures of one size.
func (s *Studio) alike(ctx context.Context, field string, dir volume.Path, frames, width, height int) error {
	for n := 1; n <= frames && ctx.Err() == nil; n++ {
		w, h, err := s.size(field, dir.Frame(n))
		if err != nil {
			return err
		}
		if w != width || h != height {
			return serving.Invalid(field, framesRemedy, "%s is %d×%d, those before it %d×%d", dir.Frame(n), w, h, width, height)
		}
	}
	return context.Cause(ctx)
}

// size is a frame's, by its header. A file that is larger than its pixels can be holds something else, which decoders unpack.
func (s *Studio) size(field string, frame volume.Path) (width, height int, err error) {
	f, err := s.Volume.Open(frame)
	if err != nil {
		return 0, 0, serving.Invalid(field, framesRemedy, "%v", err)
	}
	defer f.Close()
	c, err := png.DecodeConfig(f)
	if err != nil {
		return 0, 0, serving.Invalid(field, framesRemedy, "%s is not a PNG image: %v", frame, err)
	}
	if size := s.Volume.Size(frame); size < 0 || size > volume.LargestPNG(c.Width, c.Height) {
		return 0, 0, serving.Invalid(field, framesRemedy, "%s has %d bytes, which %d×%d pixels never have", frame, size, c.Width, c.Height)
	}
	return c.Width, c.Height, nil
}

func or[T any](p *T, fallback T) T {
	if p == nil {
		return fallback
	}
	return *p
}
