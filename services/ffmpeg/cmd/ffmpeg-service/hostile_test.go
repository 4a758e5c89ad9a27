package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ai-film/ai-film/services/conformance"
)

type m = map[string]any

// TestHostileMedia gives the service what is made to cost memory or time. It says no and lives on, and all of it stays
// within the least memory that any profile gives the container.
func TestHostileMedia(t *testing.T) {
	limit := conformance.MemoryLimit(t, "ffmpeg")
	t.Setenv("JOB_MEMORY_MIB", strconv.FormatInt((limit-reserve)>>20, 10))
	target := conformance.StartSelf(t, "ffmpeg.json")
	peak := target.Watch(t)
	images, videos := filepath.Join(target.Data, "images/films/f1/s01-01"), filepath.Join(target.Data, "videos/films/f1")
	for _, dir := range []string{images, videos} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	write := func(file string, b []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	tool := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin", "-y"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg %v: %v %s", args, err, out)
		}
	}
	unfit := func(what, state string, p *conformance.Problem) {
		t.Helper()
		if state == "done" || p == nil || p.Status != 422 {
			t.Errorf("%s: %s %+v", what, state, p)
		}
	}

	// Frames, as the first and as a later one.
	tool("-f", "lavfi", "-i", "testsrc2=s=64x64:r=24", "-frames:v", "3", filepath.Join(images, "good_%d.png"))
	good, err := os.ReadFile(filepath.Join(images, "good_1.png"))
	if err != nil {
		t.Fatal(err)
	}
	pngs := conformance.HostilePNGs()
	for _, name := range slices.Sorted(maps.Keys(pngs)) {
		for _, at := range []int{1, 2} {
			frames := "images/films/f1/s01-01/" + strconv.Itoa(at) + strings.ReplaceAll(name, " ", "-")
			for n := 1; n <= 3; n++ {
				picture := good
				if n == at {
					picture = pngs[name]
				}
				write(filepath.Join(target.Data, frames, fmt.Sprintf("frame_%05d.png", n)), picture)
			}
			state, p := target.Job(t, "encode", m{"frames": frames, "output": "videos/films/f1/" + conformance.Shot + ".mp4"})
			// Decoders look at no more than the pixels, or take what they can of it.
			harmless := []string{"a text of a gibibyte", "a profile of a gibibyte", "followed by more than its pixels", "a wrong checksum", "an animation with a huge picture"}
			if state == "done" && slices.Contains(harmless, name) {
				continue
			}
			unfit(fmt.Sprintf("frame %d, %s", at, name), state, p)
		}
	}

	// Films.
	shot := filepath.Join(videos, "shot.mp4")
	tool("-f", "lavfi", "-i", "testsrc2=s=160x96:r=24:d=0.5", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-profile:v", "high", shot)
	raw, err := os.ReadFile(shot)
	if err != nil {
		t.Fatal(err)
	}
	films := map[string][]byte{
		"a list":               []byte("ffconcat version 1.0\nfile /etc/passwd\n"),
		"a list of itself":     []byte("ffconcat version 1.0\nfile a-list-of-itself.mp4\nfile a-list-of-itself.mp4\n"),
		"a playlist":           []byte("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"),
		"a playlist elsewhere": []byte("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:1/x.ts\n#EXT-X-ENDLIST\n"),
		"a manifest":           []byte(`<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet><Representation><BaseURL>file:///etc/passwd</BaseURL></Representation></AdaptationSet></Period></MPD>`),
		"a session":            []byte("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 1 RTP/AVP 96\na=rtpmap:96 H264/90000\n"),
		"zeros":                make([]byte, 1<<20),
		"half":                 raw[:len(raw)/2],
		"a billion frames":     counted(raw, 1_000_000_000),
		"a million frames":     counted(raw, 1_000_000),
		"slow":                 slow(raw),
		"boxes in boxes":       nested(100_000),
	}
	for name, args := range map[string][]string{
		"huge":           {"-f", "lavfi", "-i", "testsrc2=s=8000x6000:r=24", "-frames:v", "1", "-c:v", "mpeg4"},
		"tiny":           {"-f", "lavfi", "-i", "testsrc2=s=8x8:r=24", "-frames:v", "4", "-c:v", "mpeg4"},
		"of no codec of": {"-f", "lavfi", "-i", "testsrc2=s=64x64:r=24", "-frames:v", "4", "-c:v", "rawvideo", "-f", "mov"},
		"only sound":     {"-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac"},
		"odd":            {"-f", "lavfi", "-i", "testsrc2=s=161x97:r=24", "-frames:v", "4", "-vf", "scale=161:97,format=yuv444p", "-c:v", "libx264"},
		"another rate":   {"-f", "lavfi", "-i", "testsrc2=s=160x96:r=30000/1001", "-frames:v", "4", "-c:v", "mpeg4"},
	} {
		file := filepath.Join(t.TempDir(), "made.mp4")
		tool(append(args, file)...)
		if films[name], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	films["no film but a picture"] = pngs["huge by its header"]
	films["a title of 20 MB"] = titled(t, tool, shot, 20<<20)
	for _, name := range slices.Sorted(maps.Keys(films)) {
		video := "videos/films/f1/" + strings.ReplaceAll(name, " ", "-") + ".mp4"
		write(filepath.Join(target.Data, video), films[name])
		if state, p := target.Job(t, "probe", m{"video": video}); state != "done" {
			unfit("probe "+name, state, p)
		}
		cut := func(clips ...string) (string, *conformance.Problem) {
			return target.Job(t, "cut", m{"clips": clips, "output": "videos/films/f1/film.mp4", "poster": "videos/films/f1/poster.jpg",
				"soundtrack": m{"cues": []m{{"start": 0, "seconds": 80000, "mood": "joyful"}}}})
		}
		for _, clips := range [][]string{{video}, {"videos/films/f1/shot.mp4", video}} {
			if state, p := cut(clips...); state != "done" || name != "a title of 20 MB" {
				unfit(fmt.Sprintf("cut %v", clips), state, p)
			}
		}
	}

	// The domain's largest picture is made within the limit, and the largest that the service takes is made or refused.
	for _, size := range []string{"1920x1080", "2560x1440"} {
		frames := "images/films/f1/s01-01/" + size
		os.MkdirAll(filepath.Join(target.Data, frames), 0o777)
		tool("-f", "lavfi", "-i", "testsrc2=s="+size+":r=24", "-frames:v", "50", "-compression_level", "1", filepath.Join(target.Data, frames, "frame_%05d.png"))
		if state, p := target.Job(t, "encode", m{"frames": frames, "output": "videos/films/f1/" + size + ".mp4"}); size == "1920x1080" && state != "done" {
			t.Errorf("%s: %s %+v", size, state, p)
		} else if state != "done" {
			unfit(size, state, p)
		}
		os.RemoveAll(filepath.Join(target.Data, frames))
	}
	if state, p := target.Job(t, "probe", m{"video": "videos/films/f1/shot.mp4"}); state != "done" {
		t.Errorf("afterwards: %s %+v", state, p)
	}
	most := peak()
	t.Logf("%d MiB at most, of %d", most>>20, limit>>20)
	if most > limit {
		t.Error("the container would have been killed")
	}
}

// reserve is what the service takes for itself.
const reserve = 128 << 20

// counted is a film whose tables claim so many frames of one byte.
func counted(film []byte, frames uint32) []byte {
	film = slices.Clone(film)
	if i := bytes.Index(film, []byte("stsz")); i > 0 {
		binary.BigEndian.PutUint32(film[i+8:], 1)
		binary.BigEndian.PutUint32(film[i+12:], frames)
	}
	if i := bytes.Index(film, []byte("stts")); i > 0 {
		binary.BigEndian.PutUint32(film[i+12:], frames)
	}
	if i := bytes.Index(film, []byte("stsc")); i > 0 {
		binary.BigEndian.PutUint32(film[i+16:], frames)
	}
	return film
}

// slow is a film whose frames last 100,000 s each.
func slow(film []byte) []byte {
	film = slices.Clone(film)
	if i := bytes.Index(film, []byte("stts")); i > 0 {
		binary.BigEndian.PutUint32(film[i+16:], 1<<30)
	}
	return film
}

// nested is a file of boxes that each hold the next.
func nested(depth int) []byte {
	out := []byte("\x00\x00\x00\x14ftypisom\x00\x00\x00\x00isom")
	for n := range depth {
		out = binary.BigEndian.AppendUint32(out, uint32((depth-n)*8))
		out = append(out, "moov"...)
	}
	return out
}

// titled is a film with a title of so many bytes.
func titled(t *testing.T, tool func(...string), film string, size int) []byte {
	t.Helper()
	dir := t.TempDir()
	text := append([]byte(";FFMETADATA1\ntitle="), bytes.Repeat([]byte("x"), size)...)
	if err := os.WriteFile(filepath.Join(dir, "title.txt"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	tool("-i", film, "-f", "ffmetadata", "-i", filepath.Join(dir, "title.txt"), "-map_metadata", "1", "-c", "copy", filepath.Join(dir, "titled.mp4"))
	b, err := os.ReadFile(filepath.Join(dir, "titled.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
