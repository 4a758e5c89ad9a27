// Package render moves a camera through stills and sets titles, with the real Blender.
package render

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/ai-film/ai-film/services/internal/jobs"
	"github.com/ai-film/ai-film/services/internal/program"
	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/internal/volume"
	"github.com/ai-film/ai-film/services/limits"
)

//go:embed film.py
var script []byte

// Studio does the operations of the service.
type Studio struct {
	Blender string // program
	Samples int    // Cycles' samples a pixel
	Threads int    // that one job renders with
	Memory  int64  // bytes that Blender may take; 0 for no limit
	Fonts   *Fonts
	Volume  *volume.Volume

	places jobs.Places
}

// reserve is the memory that the service itself takes while Blender runs, bytes. Before that it takes more, to look into
// the depth of a still, and gives it back.
const reserve = 128 << 20

// FromEnvironment makes the studio as BLENDER, SAMPLES, BLENDER_THREADS, JOB_MEMORY_MIB, FONT_DIR and DATA_DIR say, for so
// many jobs at once. Threads default to the CPUs that the container may use, a job's memory to its share of the container's.
func FromEnvironment(workers int) (*Studio, error) {
	samples, err := serving.EnvInt("SAMPLES", 4, 1, 4096)
	if err != nil {
		return nil, err
	}
	threads, err := serving.EnvInt("BLENDER_THREADS", runtime.GOMAXPROCS(0), 1, 256)
	if err != nil {
		return nil, err
	}
	memory, err := program.Memory(workers, reserve)
	if err != nil {
		return nil, err
	}
	v, err := volume.Open(serving.Env("DATA_DIR", "/data"))
	if err != nil {
		return nil, err
	}
	fonts, err := FindFonts(serving.Env("FONT_DIR", "/usr/share/fonts"))
	if err != nil {
		return nil, err
	}
	return &Studio{Blender: serving.Env("BLENDER", "blender"), Samples: samples, Threads: threads, Memory: memory, Fonts: fonts, Volume: v}, nil
}

// Serve adds the operations and what they need to the service.
func (s *Studio) Serve(service *serving.Service, q *jobs.Queue) {
	service.Need("blender", func(context.Context) error { _, err := program.Find(s.Blender); return err })
	service.Need("images", func(context.Context) error { return s.Volume.Writable("images") })
	service.Handle("POST /v1/move", service.Work(jobs.Handler(q, "move", s.Move)))
	service.Handle("POST /v1/title", service.Work(jobs.Handler(q, "title", s.Title)))
}

// Picture is the size and number of the frames to render, common to all operations.
type Picture struct {
	Width  int `json:"width"`
	Height int `json:"height"`
	FPS    int `json:"fps"`
	Frames int `json:"frames"`
}

func (p Picture) check() error {
	for _, c := range []struct {
		field          string
		n, least, most int
	}{{"width", p.Width, 64, 3840}, {"height", p.Height, 64, 2160}, {"fps", p.FPS, 1, 60}, {"frames", p.Frames, 1, 2000}} {
		if c.n < c.least || c.n > c.most {
			return serving.Invalid(c.field, "", "want %d to %d, not %d", c.least, c.most, c.n)
		}
	}
	if p.Width%2 != 0 || p.Height%2 != 0 {
		return serving.Invalid("width", "give an even width and height, as film has", "%d×%d is odd", p.Width, p.Height)
	}
	if err := limits.Film.CheckShape(p.Width, p.Height); err != nil {
		return serving.Invalid("width", "", "%v", err)
	}
	return nil
}

// bytes is what the frames may take on the disk: PNG, hardly less than the pixels where there is grain.
func (p Picture) bytes() int64 { return int64(p.Width) * int64(p.Height) * int64(p.Frames) * 5 / 2 }

// Result is what every operation answers.
type Result struct {
	Frames int    `json:"frames"`
	FPS    int    `json:"fps"`
	Path   string `json:"path"`
	Depth  string `json:"depth,omitempty"`
}

// render has Blender make the frames of a job and publishes them at out. parameters are what film.py reads, without
// what is the same for all.
func (s *Studio) render(ctx context.Context, p Picture, parameters map[string]any, scratch string, out volume.Path, progress func(float64)) error {
	draft := s.Volume.Draft(out)
	defer draft.Discard()
	if err := os.Mkdir(draft.OS(), 0o770); err != nil {
		return err
	}
	parameters["width"], parameters["height"], parameters["fps"], parameters["frames"] = p.Width, p.Height, p.FPS, p.Frames
	parameters["samples"], parameters["threads"], parameters["output"] = s.Samples, s.Threads, draft.OS()
	b, err := json.Marshal(parameters)
	if err != nil {
		return err
	}
	job, film := filepath.Join(scratch, "parameters.json"), filepath.Join(scratch, "film.py")
	if err := errors.Join(os.WriteFile(job, b, 0o600), os.WriteFile(film, script, 0o600)); err != nil {
		return err
	}
	last := ""
	blender := program.Program{
		Path: s.Blender, Memory: s.Memory,
		Args: []string{"-b", "--factory-startup", "--disable-autoexec", "-noaudio", "-t", strconv.Itoa(s.Threads),
			"--python-exit-code", "3", "--python", film, "--", job},
		// Blender takes the standard library of whichever python3 is first on the PATH, and that may lack NumPy.
		Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + scratch, "TMPDIR=" + scratch, "XDG_CACHE_HOME=" + scratch, "PYTHONDONTWRITEBYTECODE=1", "OMP_NUM_THREADS=1"},
		Line: func(line string) {
			if n, ok := strings.CutPrefix(line, "film: frame "); ok {
				if done, err := strconv.Atoi(n); err == nil {
					progress(float64(done) / float64(p.Frames))
				}
			} else if line = strings.TrimSpace(line); strings.Contains(line, "Error") || strings.Contains(line, "rror:") {
				last = line
			}
		},
	}
	if _, err := blender.Run(ctx); err != nil {
		if bad, ok := errors.AsType[*program.Error](err); ok {
			if full := s.Volume.Room(out, 0); full != nil { // some versions say so, some don't
				return full
			}
			return serving.NewProblem(500, "blender failed", strings.TrimSpace(bad.Error()+" "+last), "ask again; if it goes on, give it more memory or see the service's log")
		}
		return err
	}
	for n := range p.Frames {
		if err := pixelsOnly(filepath.Join(draft.OS(), fmt.Sprintf("frame_%05d.png", n+1))); err != nil {
			// Blender goes on after a frame it could not write.
			if full := s.Volume.Room(out, 0); full != nil {
				return full
			}
			return serving.NewProblem(500, "blender failed", strings.TrimSpace(fmt.Sprintf("frame %d: %v. %s", n+1, err, last)), "ask again; if it goes on, see the service's log")
		}
	}
	return draft.Publish()
}

// once does a job whose output nobody else makes meanwhile, unless it is recorded already and there: then that is the
// answer.
func (s *Studio) once(ctx context.Context, place volume.Path, key *volume.Key, do func(scratch string) (Result, error)) (any, bool, error) {
	free, err := s.places.Take(ctx, place.String())
	if err != nil {
		return nil, false, err
	}
	defer free()
	sum, err := key.Sum()
	if err != nil {
		return nil, false, fmt.Errorf("reading the inputs: %w", err)
	}
	var result Result
	if s.Volume.Recorded(place, sum, &result) && s.whole(place, result) {
		return result, true, nil
	}
	scratch, err := os.MkdirTemp("", "render-")
	if err != nil {
		return nil, false, err
	}
	defer os.RemoveAll(scratch)
	if result, err = do(scratch); err != nil {
		return nil, false, err
	}
	return result, false, s.Volume.Record(place, sum, result)
}

// whole tells whether all of a result still is in its place.
func (s *Studio) whole(place volume.Path, r Result) bool {
	for n := range r.Frames {
		if s.Volume.Size(place.Frame(n+1)) <= 0 {
			return false
		}
	}
	return r.Depth == "" || s.Volume.Size(place.With(".depth.png")) > 0
}

// checkStill looks at a still's header: what it would take to decode it must be known before it waits for its turn.
func (s *Studio) checkStill(p volume.Path) error {
	f, err := s.Volume.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	c, err := stillConfig(p, f)
	if size := s.Volume.Size(p); err == nil && size > volume.LargestPNG(c.Width, c.Height) {
		return badStill(p, "has %d bytes, which %d×%d pixels never have", size, c.Width, c.Height)
	}
	return err
}

func stillConfig(p volume.Path, f io.Reader) (image.Config, error) {
	c, err := png.DecodeConfig(f)
	if err != nil {
		return c, badStill(p, "is not a PNG image: %v", err)
	}
	// A film's widest picture at the full scale of what a still may be drawn in; 64-bit colours take 8 bytes a pixel.
	if min(c.Width, c.Height) < 32 || max(c.Width, c.Height) > 8192 || c.Width*c.Height > maxStill {
		return c, badStill(p, "is %d×%d: want sides from 32 to 8192 and at most %d pixels", c.Width, c.Height, maxStill)
	}
	return c, nil
}

// maxStill is the pixels of the largest still: 4096×2304. Decoding it and estimating its depth takes well below the memory
// that the chart gives the service.
const maxStill = 4096 * 2304

func badStill(p volume.Path, format string, args ...any) error {
	return serving.Invalid("still", "make the still again, as PNG", p.String()+" "+format, args...)
}

// readStill reads a PNG of the volume, cut to the shape that is asked for.
func (s *Studio) readStill(p volume.Path, width, height int) (*image.NRGBA, error) {
	f, err := s.Volume.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := stillConfig(p, f)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return nil, err
	}
	img, err := png.Decode(bufio.NewReader(f))
	if err != nil {
		return nil, badStill(p, "is damaged: %v", err)
	}
	w, h := c.Width, c.Height
	if w*height > h*width { // too wide: cut at both sides, as a projector's mask does
		w = max(1, h*width/height)
	} else {
		h = max(1, w*height/width)
	}
	cut := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(cut, cut.Rect, image.Black, image.Point{}, draw.Src)
	draw.Draw(cut, cut.Rect, img, img.Bounds().Min.Add(image.Pt((c.Width-w)/2, (c.Height-h)/2)), draw.Over)
	return cut, nil
}
