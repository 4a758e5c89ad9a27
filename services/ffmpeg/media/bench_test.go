package media

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ai-film/ai-film/services/internal/jobs"
	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/internal/volume"
)

// bench is the whole service, with the real ffmpeg, on loopback and over a directory of its own.
type bench struct {
	*testing.T
	dir, url string
	studio   *Studio
}

func newBench(t *testing.T, limit int) *bench {
	t.Helper()
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatal("these tests need the real thing: apt-get install ffmpeg")
		}
	}
	dir := t.TempDir()
	for _, d := range []string{"images", "videos"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o770); err != nil {
			t.Fatal(err)
		}
	}
	v, err := volume.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := serving.New("ffmpeg", slog.New(slog.NewTextHandler(io.Discard, nil)))
	studio := &Studio{FFmpeg: "ffmpeg", FFprobe: "ffprobe", Threads: 2, Volume: v}
	studio.Serve(s, jobs.New(s, 1, limit, 2*time.Minute))
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return &bench{t, dir, server.URL, studio}
}

// line is a line of a job's stream, or the problem of a request that was refused (State "refused").
type line struct {
	State    string
	Progress float64
	Cached   bool
	Result   map[string]any
	Problem  serving.Problem
}

// ask sends a request and gives each line to see (nil for none); it returns the last.
func (b *bench) ask(ctx context.Context, operation string, body any, see func(line)) (last line) {
	b.Helper()
	text, ok := body.(string)
	if !ok {
		raw, err := json.Marshal(body)
		if err != nil {
			b.Fatal(err)
		}
		text = string(raw)
	}
	r, _ := http.NewRequestWithContext(ctx, "POST", b.url+"/v1/"+operation, strings.NewReader(text))
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return line{State: "broken"}
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		last.State = "refused"
		if err := json.NewDecoder(answer.Body).Decode(&last.Problem); err != nil || last.Problem.Status != answer.StatusCode {
			b.Errorf("%d without a problem: %v", answer.StatusCode, err)
		}
		return last
	}
	for s := bufio.NewScanner(answer.Body); s.Scan(); {
		last = line{}
		if err := json.Unmarshal(s.Bytes(), &last); err != nil {
			b.Errorf("%s: %v", s.Text(), err)
		}
		if see != nil {
			see(last)
		}
	}
	return last
}

// done asks and wants it done.
func (b *bench) done(operation string, body any) line {
	b.Helper()
	l := b.ask(b.Context(), operation, body, nil)
	if l.State != "done" {
		b.Fatalf("%s: %+v", operation, l)
	}
	return l
}

// shoot makes a directory of frames: a bright disc before a gradient, which moves a pixel or two each frame.
func (b *bench) shoot(name string, frames, width, height int, hue uint8) {
	b.Helper()
	dir := filepath.Join(b.dir, "images", name)
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
	b.done("encode", map[string]any{"frames": "images/" + name, "output": "videos/" + name + ".mp4", "fps": 24, "crf": 18})
	return "videos/" + name + ".mp4"
}

func (b *bench) path(p string) string { return filepath.Join(b.dir, filepath.FromSlash(p)) }

// tool runs ffmpeg or ffprobe itself, as a witness from outside, and returns all that it prints.
func (b *bench) tool(name string, args ...string) string {
	b.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		b.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// left lists what a directory of the volume holds, drafts too.
func (b *bench) left(dir string) (names []string) {
	b.Helper()
	entries, err := os.ReadDir(b.path(dir))
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// boxes are the names of an MP4's outermost boxes, in order.
func (b *bench) boxes(p string) (names []string) {
	b.Helper()
	raw, err := os.ReadFile(b.path(p))
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
