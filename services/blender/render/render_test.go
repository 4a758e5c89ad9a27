package render

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ai-film/ai-film/services/internal/jobs"
	"github.com/ai-film/ai-film/services/internal/jobs/jobstest"
	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/internal/volume"
	"github.com/ai-film/ai-film/services/limits"
)

type m = map[string]any

// bench is the whole service with the real Blender, at one sample a pixel.
type bench struct{ *jobstest.Bench }

func newBench(t *testing.T, limit int) *bench {
	t.Helper()
	fonts, err := FindFonts("/usr/share/fonts")
	if err != nil {
		t.Fatal(err)
	}
	return &bench{jobstest.New(t, "blender", limit, []string{"blender"}, func(s *serving.Service, q *jobs.Queue, v *volume.Volume) {
		(&Studio{Blender: "blender", Samples: 1, Threads: 2, Fonts: fonts, Volume: v}).Serve(s, q)
	})}
}

// still draws a still of a bright sky over a speckled ground; nothing in it is darker than 60.
func (b *bench) still(name string, width, height int) string {
	b.Helper()
	rng := rand.New(rand.NewPCG(3, 3))
	coarse := make([]uint8, 4096)
	for i := range coarse {
		coarse[i] = uint8(rng.IntN(140))
	}
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			n := coarse[(x/4*31+y/4*57+x/4*(y/4))%4096]
			img.SetNRGBA(x, y, color.NRGBA{100 + n, 90 + n/2, 70 + n, 255})
		}
	}
	file := b.Path("images/films/f/s/" + name)
	if err := os.MkdirAll(filepath.Dir(file), 0o770); err != nil {
		b.Fatal(err)
	}
	if err := writePNG(file, img); err != nil {
		b.Fatal(err)
	}
	return "images/films/f/s/" + name
}

func (b *bench) frame(p string) image.Image {
	b.Helper()
	f, err := os.Open(b.Path(p))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		b.Fatalf("%s: %v", p, err)
	}
	return img
}

func luma(img image.Image, x, y int) float64 {
	return float64(color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y)
}

// shift is by how many pixels a strip of rows moved sideways from one frame to the other: the best match within ±30.
func shift(from, to image.Image, y0, y1 int) int {
	width := from.Bounds().Dx()
	best, least := 0, math.Inf(1)
	for d := -30; d <= 30; d++ {
		var sum float64
		for y := y0; y < y1; y++ {
			for x := 40; x < width-40; x++ {
				e := luma(to, x+d, y) - luma(from, x, y)
				sum += e * e
			}
		}
		if sum < least {
			best, least = d, sum
		}
	}
	return best
}

func TestMoveHasParallax(t *testing.T) {
	b := newBench(t, 16)
	still := b.still("f 灯/still.png", 320, 180)
	request := m{"still": still, "output": "images/films/f/s/move", "width": 320, "height": 180, "fps": 12, "frames": 24, "move": "truck-left", "strength": 1.0}
	var progress []float64
	l := b.Ask(t.Context(), "move", request, func(l jobstest.Line) { progress = append(progress, l.Progress) })
	if l.State != "done" || l.Cached || l.Result["frames"] != 24.0 || l.Result["fps"] != 12.0 || l.Result["path"] != "images/films/f/s/move" || l.Result["depth"] != "images/films/f/s/move.depth.png" {
		t.Fatalf("%+v", l)
	}
	if len(progress) < 3 {
		t.Errorf("progress: %v", progress)
	}
	if names := b.Left("images/films/f/s/move"); len(names) != 24 || names[0] != "frame_00001.png" || names[23] != "frame_00024.png" {
		t.Errorf("frames: %v", names)
	}
	first, last := b.frame("images/films/f/s/move/frame_00001.png"), b.frame("images/films/f/s/move/frame_00024.png")
	if first.Bounds() != image.Rect(0, 0, 320, 180) {
		t.Errorf("size %v", first.Bounds())
	}
	far, near := shift(first, last, 15, 45), shift(first, last, 150, 170)
	t.Logf("over 2 s the sky moves %d px, the ground in front %d px", far, near)
	if near-far < 8 { // the camera goes left, so near things go right
		t.Error("no parallax")
	}
	depth := b.frame("images/films/f/s/move.depth.png").(*image.Gray16)
	if sky, ground := depth.Gray16At(160, 5).Y, depth.Gray16At(160, 175).Y; sky > 5000 || ground < 55000 {
		t.Errorf("depth: sky %d, ground %d", sky, ground)
	}

	before, _ := os.Stat(b.Path("images/films/f/s/move/frame_00001.png"))
	if l := b.Done("move", request); !l.Cached || l.Result["frames"] != 24.0 {
		t.Errorf("asked again: %+v", l)
	}
	if after, _ := os.Stat(b.Path("images/films/f/s/move/frame_00001.png")); !os.SameFile(before, after) {
		t.Error("rendered again though nothing changed")
	}
	// A lost frame, another move and another still each make it anew; the same request, the same pixels.
	want, _ := os.ReadFile(b.Path("images/films/f/s/move/frame_00003.png"))
	os.Remove(b.Path("images/films/f/s/move/frame_00003.png"))
	request["strength"] = 1
	if l := b.Done("move", request); l.Cached {
		t.Error("a lost frame is not missed")
	}
	if got, _ := os.ReadFile(b.Path("images/films/f/s/move/frame_00003.png")); !bytes.Equal(got, want) {
		t.Error("the same request, another picture")
	}
	request["frames"] = 3
	if l := b.Done("move", request); l.Cached || len(b.Left("images/films/f/s/move")) != 3 {
		t.Errorf("%+v %v", l, b.Left("images/films/f/s/move"))
	}
	if names := b.Left("images/films/f/s"); len(names) != 4 { // still, move, its depth, its sidecar
		t.Errorf("left: %v", names)
	}
}

func TestMoveWithoutReliefIsAPan(t *testing.T) {
	b := newBench(t, 16)
	still := b.still("still.png", 320, 180)
	request := m{"still": still, "output": "images/films/f/s/move", "width": 320, "height": 180, "fps": 12, "frames": 24, "move": "truck-left", "relief": 0}
	b.Done("move", request)
	first, last := b.frame("images/films/f/s/move/frame_00001.png"), b.frame("images/films/f/s/move/frame_00024.png")
	far, near := shift(first, last, 15, 45), shift(first, last, 150, 170)
	t.Logf("over 2 s the sky moves %d px, the ground in front %d px", far, near)
	if near-far > 1 || far-near > 1 || far < 3 {
		t.Error("no pan")
	}
	request["relief"] = 1
	if l := b.Done("move", request); l.Cached {
		t.Error("the same frames for another relief")
	}
}

func TestNoMoveShowsABlackBorder(t *testing.T) {
	b := newBench(t, 16)
	still := b.still("still.png", 256, 144)
	for _, move := range moves {
		b.Done("move", m{"still": still, "output": "images/films/f/s/" + move, "width": 192, "height": 108, "fps": 1, "frames": 6, "move": move, "strength": 2})
		var before image.Image
		for _, name := range b.Left("images/films/f/s/" + move) {
			img := b.frame("images/films/f/s/" + move + "/" + name)
			for y := range 108 {
				for x := range 192 {
					if luma(img, x, y) < 50 {
						t.Fatalf("%s/%s: black at %d, %d", move, name, x, y)
					}
				}
			}
			if before != nil {
				var change float64
				for x := range 192 {
					change += math.Abs(luma(img, x, 90) - luma(before, x, 90))
				}
				if change/192 < 1 {
					t.Errorf("%s/%s: nothing moves", move, name)
				}
			}
			before = img
		}
	}
}

func TestStillsOfOtherShapesAreCutToTheFilms(t *testing.T) {
	b := newBench(t, 16)
	for name, size := range map[string]image.Point{"square.png": {200, 200}, "wide.png": {400, 100}, "upright.png": {90, 160}} {
		l := b.Done("move", m{"still": b.still(name, size.X, size.Y), "output": "images/films/f/s/" + name + ".move", "width": 128, "height": 72, "fps": 12, "frames": 1, "move": "dolly-in"})
		if got := b.frame(l.Result["path"].(string) + "/frame_00001.png").Bounds(); got != image.Rect(0, 0, 128, 72) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTitle(t *testing.T) {
	b := newBench(t, 16)
	request := func(text, subtitle, out string) m {
		return m{"text": text, "subtitle": subtitle, "output": "images/films/f/s/" + out, "width": 320, "height": 180, "fps": 12, "frames": 2, "seed": 1}
	}
	for out, c := range map[string][2]string{
		"short":    {"Mara", ""},
		"unicode":  {"灯台守 Ночь Ünï", "ελληνικά עברית"},
		"long":     {strings.Repeat("A very long title ", 11), "and a subtitle that has much to say as well, more than fits into one line of the picture"},
		"unbroken": {strings.Repeat("Donaudampfschifffahrt", 5), ""},
		"hostile":  {`"); import os; os.abort() #`, "%s {0} \\n <b>"},
	} {
		l := b.Done("title", request(c[0], c[1], out))
		if l.Result["depth"] != nil || l.Result["frames"] != 2.0 {
			t.Errorf("%s: %+v", out, l)
		}
		first, second := b.frame("images/films/f/s/"+out+"/frame_00001.png"), b.frame("images/films/f/s/"+out+"/frame_00002.png")
		bright, differ := 0, 0
		for y := range 180 {
			for x := range 320 {
				v := luma(first, x, y)
				if v > 150 {
					bright++
					if x < 6 || x >= 314 || y < 6 || y >= 174 {
						t.Fatalf("%s: letters reach the border at %d, %d", out, x, y)
					}
				}
				if math.Abs(v-luma(second, x, y)) > 20 {
					differ++
				}
			}
		}
		if bright < 250 {
			t.Errorf("%s: only %d pixels of letters", out, bright)
		}
		if differ < 50 {
			t.Errorf("%s: the camera stands still", out)
		}
	}
	if l := b.Done("title", request("Mara", "", "short")); !l.Cached {
		t.Error("rendered again though nothing changed")
	}
	// Letters that no font has are left out, so the picture is the same as without them.
	b.Done("title", request("Mara\U000E1234", "", "left"))
	x, _ := os.ReadFile(b.Path("images/films/f/s/short/frame_00001.png"))
	y, _ := os.ReadFile(b.Path("images/films/f/s/left/frame_00001.png"))
	if !bytes.Equal(x, y) {
		t.Error("a letter without a font is seen")
	}
	// A film must not fail for a title of nothing else.
	b.Done("title", request("\U000E1234", "", "nothing"))
}

// What a film may be is rendered: the widest and the tallest pictures, the longest title and logline.
func TestTitleAtTheLimits(t *testing.T) {
	b := newBench(t, 4)
	film := limits.Film
	text := strings.Repeat("Mare 灯台 ", film.Lengths.Title.Max)
	title, logline := string([]rune(text)[:film.Lengths.Title.Max-1])+".", string([]rune(text)[:film.Lengths.Logline.Max-1])+"."
	low, narrow := film.Picture.Height.Min, film.Picture.Width.Min
	for _, size := range [][2]int{{film.Picture.Widest * low, low}, {narrow, film.Picture.Tallest * narrow}, {narrow, low}} {
		if err := film.CheckPicture(size[0], size[1]); err != nil {
			t.Fatal(err)
		}
		out := fmt.Sprintf("title%dx%d", size[0], size[1])
		b.Done("title", m{"text": title, "subtitle": logline, "output": "images/films/f/s/" + out, "width": size[0], "height": size[1], "fps": 12, "frames": 1,
			"seed": film.Seed.Max})
		frame, letters := b.frame("images/films/f/s/"+out+"/frame_00001.png"), 0
		for y := range size[1] {
			for x := range size[0] {
				if luma(frame, x, y) > 120 {
					letters++
					if x < 2 || x >= size[0]-2 || y < 2 || y >= size[1]-2 {
						t.Fatalf("%s: letters reach the border at %d, %d", out, x, y)
					}
				}
			}
		}
		if letters < 50 {
			t.Errorf("%s: only %d pixels of letters", out, letters)
		}
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t, 16)
	still := b.still("still.png", 128, 72)
	os.WriteFile(b.Path("images/films/f/s/text.png"), []byte("no picture"), 0o660)
	raw, _ := os.ReadFile(b.Path(still))
	os.WriteFile(b.Path("images/films/f/s/half.png"), raw[:len(raw)/2], 0o660)
	os.WriteFile(b.Path("images/films/f/s/empty.png"), nil, 0o660)
	b.still("small.png", 16, 16)
	// A PNG of a few bytes that says it is 100 000 pixels wide.
	bomb := append([]byte{}, raw...)
	copy(bomb[16:24], []byte{0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0})
	os.WriteFile(b.Path("images/films/f/s/bomb.png"), bomb, 0o660)
	os.Symlink("/etc/passwd", b.Path("images/films/f/s/link.png"))
	os.Symlink(t.TempDir(), b.Path("images/films/f/s/away"))
	os.WriteFile(b.Path("images/films/f/s/file"), nil, 0o660)
	for name, c := range map[string]struct {
		change m
		field  string
	}{
		"not there":        {m{"still": "images/films/f/s/none.png"}, "still"},
		"not an image":     {m{"still": "images/films/f/s/text.png"}, "still"},
		"half an image":    {m{"still": "images/films/f/s/half.png"}, "still"},
		"empty":            {m{"still": "images/films/f/s/empty.png"}, "still"},
		"too small":        {m{"still": "images/films/f/s/small.png"}, "still"},
		"a bomb":           {m{"still": "images/films/f/s/bomb.png"}, "still"},
		"a link":           {m{"still": "images/films/f/s/link.png"}, "still"},
		"a directory":      {m{"still": "images"}, "still"},
		"another volume":   {m{"still": "videos/films/f/still.png"}, "still"},
		"traversal":        {m{"still": "images/films/f/s/../../etc/passwd"}, "still"},
		"output away":      {m{"output": "images/films/f/s/away/move"}, "output"},
		"output absolute":  {m{"output": "/tmp/move"}, "output"},
		"no such move":     {m{"move": "zoom"}, "move"},
		"a script":         {m{"script": "import os"}, "script"},
		"width huge":       {m{"width": 100000}, "width"},
		"width odd":        {m{"width": 101}, "width"},
		"width missing":    {m{"width": 0}, "width"},
		"height huge":      {m{"height": 1 << 40}, "height"},
		"frames none":      {m{"frames": 0}, "frames"},
		"frames negative":  {m{"frames": -1}, "frames"},
		"frames huge":      {m{"frames": 1000000}, "frames"},
		"fps text":         {m{"fps": "12"}, "fps"},
		"strength extreme": {m{"strength": 1e9}, "strength"},
		"strength minus":   {m{"strength": -1}, "strength"},
		"relief extreme":   {m{"relief": 1.5}, "relief"},
		"relief minus":     {m{"relief": -0.1}, "relief"},
	} {
		request := m{"still": still, "output": "images/films/f/s/out", "width": 128, "height": 72, "fps": 12, "frames": 2, "move": "dolly-in"}
		for k, v := range c.change {
			request[k] = v
		}
		if l := b.Ask(t.Context(), "move", request, nil); l.State != "refused" && name != "half an image" || l.Problem.Status != 422 || !strings.HasSuffix(l.Problem.Errors[0].Field, c.field) {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if l := b.Ask(t.Context(), "move", m{"still": still, "output": "images/films/f/s/file", "width": 128, "height": 72, "fps": 12, "frames": 2, "move": "dolly-in"}, nil); l.Problem.Status != 409 {
		t.Errorf("a file of somebody else's as output: %+v", l)
	}
	for name, change := range map[string]m{
		"no text": {"text": ""}, "white space": {"text": " \n\t"}, "too long": {"text": strings.Repeat("x", 201)}, "a number": {"text": 1},
		"seed minus": {"seed": -1}, "unknown": {"font": "/etc/passwd"},
	} {
		request := m{"text": "x", "subtitle": "", "output": "images/films/f/s/out", "width": 128, "height": 72, "fps": 12, "frames": 2, "seed": 1}
		for k, v := range change {
			request[k] = v
		}
		if l := b.Ask(t.Context(), "title", request, nil); l.State != "refused" || l.Problem.Status != 422 {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if b.Left("images/films/f/s/out") != nil {
		t.Error("a refused output is there")
	}
}

func TestBlenderKilledOrLeftGoesAndATryAgainWorks(t *testing.T) {
	b := newBench(t, 0)
	still := b.still("still.png", 256, 144)
	request := m{"still": still, "output": "images/films/f/s/move", "width": 256, "height": 144, "fps": 12, "frames": 400, "move": "orbit-left"}
	for _, how := range []string{"killed", "left"} {
		ctx, hangUp := context.WithCancel(t.Context())
		rendering, done := make(chan bool, 1000), make(chan jobstest.Line)
		go func() {
			done <- b.Ask(ctx, "move", request, func(l jobstest.Line) {
				if l.Progress > 0 {
					rendering <- true
				}
			})
		}()
		pid := b.Child("film.py")
		<-rendering
		if l := b.Ask(t.Context(), "move", request, nil); l.Problem.Status != 429 {
			t.Errorf("the queue has no place, yet: %+v", l)
		}
		if how == "killed" {
			b.Kill(pid)
		} else {
			hangUp()
		}
		l := <-done
		hangUp()
		if how == "killed" && (l.State != "failed" || l.Problem.Status != 500 || !strings.Contains(l.Problem.Detail, "killed")) {
			t.Errorf("%+v", l)
		}
		b.Eventually(how+": Blender is gone", func() bool { return !jobstest.Alive(pid) })
		b.Eventually(how+": nothing is half made", func() bool {
			for _, name := range b.Left("images/films/f/s") {
				if name != "still.png" && name != "move.depth.png" && name != "move.json" { // which says whose the depth is
					return false
				}
			}
			return true
		})
	}
	request["frames"] = 2
	var l jobstest.Line
	b.Eventually("the worker is free", func() bool {
		l = b.Ask(t.Context(), "move", request, nil)
		return l.State != "refused"
	})
	if l.State != "done" || l.Cached || len(b.Left("images/films/f/s/move")) != 2 {
		t.Errorf("%+v", l)
	}
}

func TestConcurrentRequestsForOneMove(t *testing.T) {
	b := newBench(t, 16)
	still := b.still("still.png", 128, 72)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 4 {
		wg.Go(func() {
			l := b.Ask(t.Context(), "move", m{"still": still, "output": "images/films/f/s/move", "width": 128, "height": 72, "fps": 12, "frames": 2, "move": "crane-up"}, nil)
			mu.Lock()
			defer mu.Unlock()
			if l.State != "done" {
				t.Errorf("%+v", l)
			}
			if !l.Cached {
				made++
			}
		})
	}
	wg.Wait()
	if made != 1 {
		t.Errorf("rendered %d times", made)
	}
}
