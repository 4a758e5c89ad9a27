package media

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ai-film/ai-film/services/internal/jobs/jobstest"
)

type m = map[string]any

func TestEncode(t *testing.T) {
	b := newBench(t, 16)
	b.shoot("50% ünï 灯/finish", 29, 160, 90, 40)
	request := m{"frames": "images/films/f/s/50% ünï 灯/finish", "output": "videos/films/f/s ' 灯.mp4", "fps": 24, "crf": 18}
	l := b.Done("encode", request)
	if l.Cached || l.Result["path"] != "videos/films/f/s ' 灯.mp4" || l.Result["frames"] != 29.0 || l.Result["seconds"] != 29.0/24 {
		t.Errorf("%+v", l)
	}
	out := b.Path("videos/films/f/s ' 灯.mp4")
	told := b.tool("ffprobe", "-v", "error", "-count_frames", "-show_entries",
		"stream=codec_name,profile,pix_fmt,width,height,r_frame_rate,nb_read_frames,color_space,color_range", "-of", "default=nw=1", out)
	for _, want := range []string{"codec_name=h264", "profile=High", "pix_fmt=yuv420p", "width=160", "height=90", "r_frame_rate=24/1",
		"nb_read_frames=29", "color_space=bt709", "color_range=tv"} {
		if !strings.Contains(told, want+"\n") {
			t.Errorf("not %s in\n%s", want, told)
		}
	}
	if boxes := b.boxes("videos/films/f/s ' 灯.mp4"); slices.Index(boxes, "moov") > slices.Index(boxes, "mdat") {
		t.Errorf("no faststart: %v", boxes)
	}
	// The colours come through: mean of the decoded first frame against the PNG's.
	psnr := b.tool("ffmpeg", "-hide_banner", "-i", out, "-framerate", "24", "-i", strings.ReplaceAll(b.Path("images/films/f/s/50% ünï 灯/finish"), "%", "%%")+"/frame_%05d.png",
		"-lavfi", "[0]scale=in_color_matrix=bt709,format=gbrp[a];[1]format=gbrp[b];[a][b]psnr", "-f", "null", "-")
	if i := strings.LastIndex(psnr, "average:"); i < 0 || psnr[i+8:i+9] < "3" && psnr[i+8:i+11] != "inf" {
		t.Errorf("colours differ: %s", psnr[max(0, len(psnr)-200):])
	}

	before, _ := os.Stat(out)
	if l := b.Done("encode", request); !l.Cached || l.Result["frames"] != 29.0 {
		t.Errorf("asked again: %+v", l)
	}
	if after, _ := os.Stat(out); !os.SameFile(before, after) || after.ModTime() != before.ModTime() {
		t.Error("made again though nothing changed")
	}
	request["crf"] = 30
	if l := b.Done("encode", request); l.Cached {
		t.Error("another crf, the old clip")
	}
	os.Remove(out)
	if l := b.Done("encode", request); l.Cached {
		t.Error("a deleted clip is said to be there")
	}
	if _, err := os.Stat(out); err != nil {
		t.Error(err)
	}
	if names := b.Left("videos/films/f"); len(names) != 2 {
		t.Errorf("left behind: %v", names)
	}
}

func TestEncodeMakesTheSameBytes(t *testing.T) {
	b := newBench(t, 16)
	b.shoot("a", 12, 160, 90, 40)
	b.Done("encode", m{"frames": "images/films/f/s/a", "output": "videos/films/f/1.mp4"})
	b.Done("encode", m{"frames": "images/films/f/s/a", "output": "videos/films/f/2.mp4"})
	x, _ := os.ReadFile(b.Path("videos/films/f/1.mp4"))
	y, _ := os.ReadFile(b.Path("videos/films/f/2.mp4"))
	if string(x) != string(y) {
		t.Error("two encodings of the same frames differ")
	}
}

func TestEncodeRefuses(t *testing.T) {
	b := newBench(t, 16)
	b.shoot("good", 3, 160, 90, 40)
	b.shoot("odd", 2, 161, 91, 40)
	b.shoot("gap", 3, 160, 90, 40)
	os.Remove(b.Path("images/films/f/s/gap/frame_00002.png"))
	b.shoot("text", 2, 160, 90, 40)
	os.WriteFile(b.Path("images/films/f/s/text/frame_00002.png"), []byte("no picture"), 0o660)
	b.shoot("mixed", 1, 160, 90, 40)
	b.shoot("mixed2", 2, 80, 90, 40)
	os.Rename(b.Path("images/films/f/s/mixed2/frame_00002.png"), b.Path("images/films/f/s/mixed/frame_00002.png"))
	os.Mkdir(b.Path("images/films/f/s/empty"), 0o770)
	os.Symlink(t.TempDir(), b.Path("images/films/f/s/away"))
	os.Symlink("/etc/passwd", b.Path("videos/films/f/link.mp4"))
	for name, c := range map[string]struct {
		change m
		field  string
	}{
		"odd size":        {m{"frames": "images/films/f/s/odd"}, "frames"},
		"a gap":           {m{"frames": "images/films/f/s/gap"}, "frames"},
		"not an image":    {m{"frames": "images/films/f/s/text"}, "frames"},
		"several sizes":   {m{"frames": "images/films/f/s/mixed"}, "frames"},
		"no frames":       {m{"frames": "images/films/f/s/empty"}, "frames"},
		"not there":       {m{"frames": "images/films/f/s/none"}, "frames"},
		"a link away":     {m{"frames": "images/films/f/s/away"}, "frames"},
		"absolute":        {m{"frames": "/etc"}, "frames"},
		"traversal":       {m{"frames": "images/films/f/s/../images/good"}, "frames"},
		"wrong volume":    {m{"output": "images/films/f/s/x.mp4"}, "output"},
		"an option":       {m{"output": "-y.mp4"}, "output"},
		"a URL":           {m{"output": "https://x/videos/x.mp4"}, "output"},
		"a link":          {m{"output": "videos/films/f/link.mp4"}, "output"},
		"wrong extension": {m{"output": "videos/films/f/x.mkv"}, "output"},
		"no output":       {m{"output": ""}, "output"},
		"fps 0":           {m{"fps": 0}, "fps"},
		"fps huge":        {m{"fps": 100000}, "fps"},
		"fps text":        {m{"fps": "24"}, "fps"},
		"crf lossless":    {m{"crf": 0}, "crf"},
		"unknown field":   {m{"args": "-f rawvideo"}, "args"},
	} {
		request := m{"frames": "images/films/f/s/good", "output": "videos/films/f/x.mp4"}
		for k, v := range c.change {
			request[k] = v
		}
		// Frames after the first are looked at when it is the job's turn.
		late := name == "not an image" || name == "several sizes"
		if l := b.Ask(t.Context(), "encode", request, nil); (l.State != "refused") != late || l.Problem.Status != 422 || l.Problem.Errors[0].Field != c.field {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if b.Left("videos/films/f")[0] != "link.mp4" || len(b.Left("videos/films/f")) != 1 {
		t.Errorf("left behind: %v", b.Left("videos/films/f"))
	}
}

// A frame whose head is right and whose body is damaged is found by ffmpeg, not by us.
func TestDamagedFrameFailsAndLeavesNothing(t *testing.T) {
	b := newBench(t, 16)
	b.shoot("a", 12, 160, 90, 40)
	file := b.Path("images/films/f/s/a/frame_00007.png")
	raw, _ := os.ReadFile(file)
	os.WriteFile(file, raw[:len(raw)/2], 0o660)
	l := b.Ask(t.Context(), "encode", m{"frames": "images/films/f/s/a", "output": "videos/films/f/x.mp4"}, nil)
	if l.State != "failed" || l.Problem.Detail == "" {
		t.Errorf("%+v", l)
	}
	if names := b.Left("videos/films/f"); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
	os.WriteFile(file, raw, 0o660)
	if l := b.Done("encode", m{"frames": "images/films/f/s/a", "output": "videos/films/f/x.mp4"}); l.Result["frames"] != 12.0 {
		t.Errorf("%+v", l)
	}
}

func TestEncodersKilledOrLeftGoAndATryAgainWorks(t *testing.T) {
	b := newBench(t, 16)
	b.shoot("long", 40, 1280, 720, 40)
	request := m{"frames": "images/films/f/s/long", "output": "videos/films/f/x.mp4"}
	for _, how := range []string{"killed", "left"} {
		ctx, hangUp := context.WithCancel(t.Context())
		done := make(chan line)
		go func() { done <- b.Ask(ctx, "encode", request, nil) }()
		pid := b.Child("frame_%05d.png")
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
		b.Eventually(how+": the encoder is gone", func() bool { return !jobstest.Alive(pid) })
		b.Eventually(how+": nothing is left", func() bool { return len(b.Left("videos/films/f")) == 0 })
	}
	if l := b.Done("encode", request); l.Cached || l.Result["frames"] != 40.0 {
		t.Errorf("%+v", l)
	}
}

func TestConcurrentRequestsForOneClip(t *testing.T) {
	b := newBench(t, 16)
	b.shoot("a", 12, 160, 90, 40)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 5 {
		wg.Go(func() {
			l := b.Ask(t.Context(), "encode", m{"frames": "images/films/f/s/a", "output": "videos/films/f/x.mp4"}, nil)
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
		t.Errorf("made %d times", made)
	}
	if names := b.Left("videos/films/f"); len(names) != 2 {
		t.Errorf("left: %v", names)
	}
}

func TestQueueFull(t *testing.T) {
	b := newBench(t, 0)
	b.shoot("long", 40, 1280, 720, 40)
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	running := make(chan bool, 1)
	ended := make(chan bool)
	go func() {
		b.Ask(ctx, "encode", m{"frames": "images/films/f/s/long", "output": "videos/films/f/x.mp4"}, func(line) {
			select {
			case running <- true:
			default:
			}
		})
		close(ended)
	}()
	select {
	case <-running:
	case <-ended:
		t.Fatal("the job ended before it ran")
	}
	if l := b.Ask(t.Context(), "encode", m{"frames": "images/films/f/s/long", "output": "videos/films/f/y.mp4"}, nil); l.Problem.Status != 429 {
		t.Errorf("%+v", l)
	}
	hangUp()
	<-ended
}
