package media

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ai-film/ai-film/services/internal/jobs"
	"github.com/ai-film/ai-film/services/internal/jobs/jobstest"
	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/internal/volume"
)

type line = jobstest.Line

// bench is the whole service with the real ffmpeg.
type bench struct{ *jobstest.Bench }

func newBench(t *testing.T, limit int) *bench {
	t.Helper()
	return &bench{jobstest.New(t, "ffmpeg", limit, []string{"ffmpeg", "ffprobe"}, func(s *serving.Service, q *jobs.Queue, v *volume.Volume) {
		(&Studio{FFmpeg: "ffmpeg", FFprobe: "ffprobe", Threads: 2, Volume: v}).Serve(s, q)
	})}
}

// shoot makes a directory of frames: a bright disc before a gradient, which moves a pixel or two each frame.
func (b *bench) shoot(name string, frames, width, height int, hue uint8) {
	b.Helper()
	dir := filepath.Join(b.Dir, "images/films/f/s", name)
	if err := os.MkdirAll(dir, 0o770); err != nil {
		b.Fatal(err)
	}
	for n := 1; n <= frames; n++ {
		img := image.NewNRGBA(image.Rect(0, 0, width, height))
		for y := range height {
			for x := range width {
				c := color.NRGBA{hue, uint8(x * 255 / width), uint8(y * 255 / height), 255}
				if dx, dy := x-2*n, y-height/2; dx*dx+dy*dy < height*height/16 {
					c = color.NRGBA{255, 230, hue, 255}
				}
				img.SetNRGBA(x, y, c)
			}
		}
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("frame_%05d.png", n)))
		if err != nil {
			b.Fatal(err)
		}
		if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(f, img); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

// clip shoots and encodes.
func (b *bench) clip(name string, frames int, hue uint8) string {
	b.Helper()
	b.shoot(name, frames, 160, 90, hue)
	b.Done("encode", map[string]any{"frames": "images/films/f/s/" + name, "output": "videos/films/f/" + name + ".mp4", "fps": 24, "crf": 18})
	return "videos/films/f/" + name + ".mp4"
}

// tool runs ffmpeg or ffprobe itself, as a witness from outside, and returns all that it prints.
func (b *bench) tool(name string, args ...string) string {
	b.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		b.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// boxes are the names of an MP4's outermost boxes, in order.
func (b *bench) boxes(p string) (names []string) {
	b.Helper()
	raw, err := os.ReadFile(b.Path(p))
	if err != nil {
		b.Fatal(err)
	}
	for len(raw) >= 8 {
		size := int(raw[0])<<24 | int(raw[1])<<16 | int(raw[2])<<8 | int(raw[3])
		if size < 8 || size > len(raw) {
			b.Fatalf("%s: a box of %d bytes", p, size)
		}
		names = append(names, string(raw[4:8]))
		raw = raw[size:]
	}
	return names
}
