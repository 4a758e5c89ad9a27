package media

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image/jpeg"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// film is a request for the cut of three clips: 12, 29 and 24 frames, 65 in all, 2.708 s.
func (b *bench) film() m {
	b.Helper()
	return m{
		"clips":  []string{b.clip("a", 12, 10), b.clip("b's 灯", 29, 120), b.clip("c", 24, 240)},
		"output": "videos/films/f/film.mp4", "poster": "videos/films/f/poster.jpg", "title": "Der Leuchtturmwärter: 灯台; #1 = 'x'",
		"subtitles": []m{
			{"start": 0.25, "end": 0.5, "text": "Wer da? <i>Ich</i> & \\N du {\\b1}"},
			{"start": 0.5, "end": 2.0, "text": "zwei\n\nZeilen 灯 --> é"},
			{"start": 2.25, "end": 2.75, "text": "bis zum Ende"},
		},
		"language":   "deu",
		"soundtrack": m{"seed": 5, "cues": []m{{"start": 0, "seconds": 1.5, "mood": "wonder"}, {"start": 1.5, "seconds": 1.25, "mood": "joyful"}}},
	}
}

func TestCut(t *testing.T) {
	b := newBench(t, 16)
	request := b.film()
	l := b.Done("cut", request)
	const frames, seconds = 65, 65.0 / 24
	out := b.Path("videos/films/f/film.mp4")
	raw, _ := os.ReadFile(out)
	sum := sha256.Sum256(raw)
	for k, want := range (m{"path": "videos/films/f/film.mp4", "frames": 65.0, "width": 160.0, "height": 90.0, "bytes": float64(len(raw)),
		"sha256": hex.EncodeToString(sum[:]), "seconds": seconds}) {
		if l.Result[k] != want {
			t.Errorf("%s: %v, not %v", k, l.Result[k], want)
		}
	}
	if boxes := b.boxes("videos/films/f/film.mp4"); slices.Index(boxes, "moov") > slices.Index(boxes, "mdat") {
		t.Errorf("no faststart: %v", boxes)
	}

	var told struct {
		Format  struct{ Tags map[string]string }
		Streams []struct {
			Codec       string `json:"codec_name"`
			Profile     string
			Pixels      string `json:"pix_fmt"`
			Rate        string `json:"r_frame_rate"`
			Average     string `json:"avg_frame_rate"`
			Frames      string `json:"nb_read_frames"`
			Start       string `json:"start_time"`
			Duration    string
			SampleRate  string `json:"sample_rate"`
			Channels    int
			Tags        map[string]string
			Disposition map[string]int
		}
	}
	if err := json.Unmarshal([]byte(b.tool("ffprobe", "-v", "error", "-count_frames", "-show_format", "-show_streams", "-of", "json", out)), &told); err != nil {
		t.Fatal(err)
	}
	if len(told.Streams) != 3 {
		t.Fatalf("%+v", told)
	}
	video, audio, text := told.Streams[0], told.Streams[1], told.Streams[2]
	if video.Codec != "h264" || video.Profile != "High" || video.Pixels != "yuv420p" || video.Rate != "24/1" || video.Average != "24/1" ||
		video.Frames != "65" || video.Start != "0.000000" {
		t.Errorf("video: %+v", video)
	}
	length, _ := strconv.ParseFloat(audio.Duration, 64)
	if audio.Codec != "aac" || audio.SampleRate != "48000" || audio.Channels != 2 || math.Abs(length-seconds) > 0.03 || audio.Start != "0.000000" {
		t.Errorf("audio: %+v", audio)
	}
	if text.Codec != "mov_text" || text.Tags["language"] != "deu" || text.Disposition["default"] != 1 {
		t.Errorf("subtitles: %+v", text)
	}
	if told.Format.Tags["title"] != request["title"] {
		t.Errorf("title: %q", told.Format.Tags["title"])
	}

	srt := b.tool("ffmpeg", "-v", "error", "-i", out, "-map", "0:s", "-f", "srt", "-")
	srt = strings.NewReplacer("\r", "", "\u2060", "").Replace(srt) // nobody sees a word joiner; FFmpeg 7 adds its own
	for _, want := range []string{
		"00:00:00,250 --> 00:00:00,500\nWer da? <i>Ich</i> & \\N du (\\b1)\n",
		"00:00:00,500 --> 00:00:02,000\nzwei\nZeilen 灯 --> é\n",
		"00:00:02,250 --> 00:00:02,708\nbis zum Ende\n", // no longer than the film
	} {
		if !strings.Contains(srt, want) {
			t.Errorf("not %q in\n%s", want, srt)
		}
	}

	// What is shown is the clips' frames, one by one: joined without encoding again.
	film := b.frameSums(out)
	var clips []string
	for _, c := range request["clips"].([]string) {
		clips = append(clips, b.frameSums(b.Path(c))...)
	}
	if len(film) != frames || !slices.Equal(film, clips) {
		t.Errorf("the film's %d frames are not the clips' %d", len(film), len(clips))
	}

	f, err := os.Open(b.Path("videos/films/f/poster.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if c, err := jpeg.DecodeConfig(f); err != nil || c.Width != 160 || c.Height != 90 {
		t.Errorf("poster: %+v %v", c, err)
	}
	if names := b.Left("videos/films/f"); !slices.Equal(names, []string{"a.mp4", "a.mp4.json", "b's 灯.mp4", "b's 灯.mp4.json", "c.mp4", "c.mp4.json",
		"film.mp4", "film.mp4.json", "poster.jpg", "poster.jpg.json"}) {
		t.Errorf("left: %v", names)
	}
}

// frameSums are the MD5 sums of a video's decoded frames.
func (b *bench) frameSums(file string) (sums []string) {
	b.Helper()
	for line := range strings.Lines(b.tool("ffmpeg", "-v", "error", "-i", file, "-map", "0:v", "-f", "framemd5", "-")) {
		if !strings.HasPrefix(line, "#") {
			fields := strings.Split(strings.TrimSpace(line), ",")
			sums = append(sums, strings.TrimSpace(fields[len(fields)-1]))
		}
	}
	return sums
}

var measured = regexp.MustCompile(`(?s)I:\s+(-?[\d.]+) LUFS.*Peak:\s+(-?[\d.]+) dBFS`)

func TestLoudness(t *testing.T) {
	b := newBench(t, 16)
	clip := b.clip("a", 240, 10)
	for seed, mood := range []string{"calm", "tense", "joyful", "sad", "wonder"} {
		out := fmt.Sprintf("videos/films/f/%s.mp4", mood)
		b.Done("cut", m{"clips": []string{clip}, "output": out, "title": mood, "subtitles": []m{},
			"soundtrack": m{"seed": seed, "cues": []m{{"start": 0, "seconds": 10, "mood": mood}}}})
		told := b.tool("ffmpeg", "-hide_banner", "-nostats", "-i", b.Path(out), "-af", "ebur128=peak=true:framelog=verbose", "-f", "null", "-")
		found := measured.FindStringSubmatch(told[strings.LastIndex(told, "Summary:"):])
		if found == nil {
			t.Fatal(told)
		}
		lufs, _ := strconv.ParseFloat(found[1], 64)
		peak, _ := strconv.ParseFloat(found[2], 64)
		t.Logf("%-7s %.1f LUFS, peak %.1f dBFS", mood, lufs, peak)
		if math.Abs(lufs+18) > 1 || peak > -0.5 {
			t.Errorf("%s: %.1f LUFS, peak %.1f dBFS", mood, lufs, peak)
		}
	}
}

// Clips that a decoder must be set up for differently can't be joined as they are.
func TestCutEncodesWhatCantBeJoined(t *testing.T) {
	b := newBench(t, 16)
	own := b.clip("a", 12, 10)
	b.tool("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=24:d=1", "-pix_fmt", "yuv420p", "-c:v", "libx264",
		"-profile:v", "main", "-bf", "0", b.Path("videos/films/f/other.mp4"))
	b.tool("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=24:d=1", "-c:v", "mpeg4", b.Path("videos/films/f/old.mp4"))
	l := b.Done("cut", m{"clips": []string{own, "videos/films/f/other.mp4", "videos/films/f/old.mp4", own}, "output": "videos/films/f/film.mp4", "title": "x", "subtitles": []m{},
		"soundtrack": m{"seed": 1, "cues": []m{{"start": 0, "seconds": 3, "mood": "calm"}}}})
	if l.Result["frames"] != 72.0 {
		t.Errorf("%+v", l)
	}
	if told := b.tool("ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries", "stream=profile,nb_read_frames", "-of", "csv=p=0",
		b.Path("videos/films/f/film.mp4")); strings.TrimSpace(told) != "High,72" {
		t.Error(told)
	}
}

func TestCutIsMadeOnceAndAnew(t *testing.T) {
	b := newBench(t, 16)
	request := b.film()
	first := b.Done("cut", request)
	if l := b.Done("cut", request); !l.Cached || l.Result["sha256"] != first.Result["sha256"] {
		t.Errorf("asked again: %+v", l)
	}
	os.Remove(b.Path("videos/films/f/poster.jpg"))
	if l := b.Done("cut", request); l.Cached || l.Result["sha256"] != first.Result["sha256"] {
		t.Errorf("without its poster: %+v", l)
	}
	os.WriteFile(b.Path("videos/films/f/film.mp4"), []byte("cut short"), 0o660)
	if l := b.Done("cut", request); l.Cached || l.Result["sha256"] != first.Result["sha256"] {
		t.Errorf("damaged: %+v", l)
	}
	for field, value := range (m{"title": "other", "language": "eng", "subtitles": []m{}, "soundtrack": m{"seed": 6, "cues": request["soundtrack"].(m)["cues"]}}) {
		changed := m{}
		for k, v := range request {
			changed[k] = v
		}
		changed[field] = value
		if l := b.Done("cut", changed); l.Cached || l.Result["sha256"] == first.Result["sha256"] {
			t.Errorf("another %s, the same film", field)
		}
	}
	b.shoot("c", 24, 160, 90, 99)
	b.Done("encode", m{"frames": "images/films/f/s/c", "output": "videos/films/f/c.mp4"})
	if l := b.Done("cut", request); l.Cached || l.Result["sha256"] == first.Result["sha256"] {
		t.Error("another clip, the same film")
	}
}

func TestCutRefuses(t *testing.T) {
	b := newBench(t, 16)
	a := b.clip("a", 12, 10)
	b.shoot("large", 4, 320, 180, 1)
	b.Done("encode", m{"frames": "images/films/f/s/large", "output": "videos/films/f/large.mp4"})
	b.shoot("slow", 4, 160, 90, 1)
	b.Done("encode", m{"frames": "images/films/f/s/slow", "output": "videos/films/f/slow.mp4", "fps": 12})
	os.WriteFile(b.Path("videos/films/f/text.mp4"), []byte("no film"), 0o660)
	os.WriteFile(b.Path("videos/films/f/list.mp4"), []byte("ffconcat version 1.0\nfile /etc/passwd\n"), 0o660)
	os.WriteFile(b.Path("videos/films/f/play.mp4"), []byte("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n"), 0o660)
	os.WriteFile(b.Path("videos/films/f/empty.mp4"), nil, 0o660)
	os.Symlink("/etc/passwd", b.Path("videos/films/f/link.mp4"))
	cue := func(start, seconds float64, mood string) m {
		return m{"seed": 1, "cues": []m{{"start": start, "seconds": seconds, "mood": mood}}}
	}
	for name, c := range map[string]struct {
		change m
		field  string
	}{
		"no clips":           {m{"clips": []string{}}, "clips"},
		"clip not there":     {m{"clips": []string{a, "videos/films/f/none.mp4"}}, "clips.1"},
		"clip a link":        {m{"clips": []string{"videos/films/f/link.mp4"}}, "clips.0"},
		"clip no film":       {m{"clips": []string{a, "videos/films/f/text.mp4"}}, "clips.1"},
		"clip empty":         {m{"clips": []string{"videos/films/f/empty.mp4"}}, "clips.0"},
		"clip a list":        {m{"clips": []string{"videos/films/f/list.mp4"}}, "clips.0"},
		"clip a playlist":    {m{"clips": []string{"videos/films/f/play.mp4"}}, "clips.0"},
		"other size":         {m{"clips": []string{a, "videos/films/f/large.mp4"}}, "clips.1"},
		"other rate":         {m{"clips": []string{a, "videos/films/f/slow.mp4"}}, "clips.1"},
		"poster no jpg":      {m{"poster": "videos/films/f/p.png"}, "poster"},
		"poster elsewhere":   {m{"poster": "images/films/f/s/p.jpg"}, "poster"},
		"title of two lines": {m{"title": "a\nb"}, "title"},
		"language of two":    {m{"language": "en"}, "language"},
		"language an option": {m{"language": "eng:x"}, "language"},
		"subtitle backwards": {m{"subtitles": []m{{"start": 0.2, "end": 0.1, "text": "x"}}}, "subtitles.0.end"},
		"subtitles overlap":  {m{"subtitles": []m{{"start": 0, "end": 0.3, "text": "x"}, {"start": 0.2, "end": 0.4, "text": "y"}}}, "subtitles.1.start"},
		"subtitle too late":  {m{"subtitles": []m{{"start": 3, "end": 4, "text": "x"}}}, "subtitles.0.end"},
		"no mood":            {m{"soundtrack": cue(0, 1, "angry")}, "soundtrack.cues.0.mood"},
		"no cues":            {m{"soundtrack": m{"seed": 1}}, "soundtrack.cues"},
		"no soundtrack":      {m{"soundtrack": m{}}, "soundtrack.cues"},
		"seed negative":      {m{"soundtrack": m{"seed": -1}}, "soundtrack.seed"},
		"unknown deep field": {m{"soundtrack": m{"seeds": 1}}, "soundtrack.seeds"},
	} {
		request := m{"clips": []string{a}, "output": "videos/films/f/f.mp4", "title": "x", "subtitles": []m{}, "soundtrack": cue(0, 0.5, "calm")}
		for k, v := range c.change {
			request[k] = v
		}
		l := b.Ask(t.Context(), "cut", request, nil)
		if l.State != "refused" && l.State != "failed" || l.Problem.Status != 422 || l.Problem.Errors[0].Field != c.field {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if slices.Contains(b.Left("videos/films/f"), "f.mp4") {
		t.Error("a refused film is there")
	}
}

func TestCutKilledHalfWayLeavesTheOldFilm(t *testing.T) {
	b := newBench(t, 16)
	clip := b.clip("a", 200, 10)
	request := m{"clips": []string{clip}, "output": "videos/films/f/film.mp4", "poster": "videos/films/f/p.jpg", "title": "1", "subtitles": []m{},
		"soundtrack": m{"seed": 1, "cues": []m{{"start": 0, "seconds": 8, "mood": "calm"}}}}
	first := b.Done("cut", request)
	request["title"] = "2"
	done := make(chan line)
	go func() { done <- b.Ask(context.Background(), "cut", request, nil) }()
	b.Kill(b.Child("clips.ffconcat"))
	if l := <-done; l.State != "failed" {
		t.Errorf("%+v", l)
	}
	request["title"] = "1"
	if l := b.Done("cut", request); !l.Cached || l.Result["sha256"] != first.Result["sha256"] {
		t.Errorf("the old film is lost: %+v", l)
	}
	request["title"] = "2"
	if l := b.Done("cut", request); l.Cached {
		t.Errorf("%+v", l)
	}
	if names := b.Left("videos/films/f"); !slices.Equal(names, []string{"a.mp4", "a.mp4.json", "film.mp4", "film.mp4.json", "p.jpg", "p.jpg.json"}) {
		t.Errorf("left: %v", names)
	}
}

func TestProbe(t *testing.T) {
	b := newBench(t, 16)
	clip := b.clip("a", 12, 10)
	l := b.Done("probe", m{"video": clip})
	format, _ := l.Result["format"].(map[string]any)
	streams, _ := l.Result["streams"].([]any)
	if format["duration"] != "0.500000" || format["filename"] != clip || len(streams) != 1 || streams[0].(map[string]any)["codec_name"] != "h264" {
		t.Errorf("%+v", l)
	}
	os.WriteFile(b.Path("videos/films/f/text.mp4"), []byte("no film"), 0o660)
	if l := b.Ask(t.Context(), "probe", m{"video": "videos/films/f/text.mp4"}, nil); l.State != "failed" || l.Problem.Status != 422 {
		t.Errorf("%+v", l)
	}
	if l := b.Ask(t.Context(), "probe", m{"video": "videos/films/f/none.mp4"}, nil); l.State != "refused" || l.Problem.Status != 422 {
		t.Errorf("%+v", l)
	}
}

func TestClock(t *testing.T) {
	for seconds, want := range map[float64]string{0: "00:00:00.000", 61.0415: "00:01:01.042", 3599.9996: "01:00:00.000"} {
		if got := clock(seconds); got != want {
			t.Errorf("clock(%v) = %s", seconds, got)
		}
	}
}
