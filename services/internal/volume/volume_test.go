package volume

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ai-film/ai-film/services/internal/serving"
)

func open(t *testing.T) (*Volume, string) {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"images/films/f/s", "videos/films/f"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o770); err != nil {
			t.Fatal(err)
		}
	}
	v, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return v, dir
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o660); err != nil {
		t.Fatal(err)
	}
}

// status is that of the problem in err; 0 for none.
func status(err error) int {
	if err == nil {
		return 0
	}
	return serving.AsProblem(err).Status
}

func TestDraftAppearsWholeOrNotAtAll(t *testing.T) {
	v, dir := open(t)
	p, err := v.Of(Subject{Film: "f"}, "ffmpeg").Output("output", "videos/films/f/film.mp4", []string{".mp4"}, "videos")
	if err != nil {
		t.Fatal(err)
	}
	d := v.Draft(p)
	write(t, d.OS(), "half")
	if v.Size(p) != -1 {
		t.Error("seen before it is published")
	}
	d.Discard()
	if left, _ := os.ReadDir(dir + "/videos/films/f"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	d = v.Draft(p)
	write(t, d.OS(), "whole")
	if err := d.Publish(); err != nil {
		t.Fatal(err)
	}
	if err := v.Record(p, "k1", map[string]int{"frames": 48}); err != nil {
		t.Fatal(err)
	}
	var r struct{ Frames int }
	if !v.Recorded(p, "k1", &r) || r.Frames != 48 || v.Recorded(p, "k2", &r) {
		t.Errorf("recorded: %+v", r)
	}
	b, _ := os.ReadFile(dir + "/videos/films/f/film.mp4.json")
	if string(b) != `{"key":"k1","made_by":"ffmpeg","result":{"frames":48}}`+"\n" {
		t.Errorf("sidecar: %s", b)
	}
	// Publishing anew takes the sidecar away first: it must never speak of another output.
	d = v.Draft(p)
	write(t, d.OS(), "other")
	if err := d.Publish(); err != nil {
		t.Fatal(err)
	}
	if v.Recorded(p, "k1", &r) {
		t.Error("the old sidecar describes the new output")
	}
	for _, broken := range []string{"", "{", "[]", `{"key":"k1"}`} {
		write(t, dir+"/videos/films/f/film.mp4.json", broken)
		if v.Recorded(p, "k1", &r) {
			t.Errorf("believes the sidecar %q", broken)
		}
	}
}

func TestDirectoriesReplaceEachOtherUnderConcurrency(t *testing.T) {
	v, dir := open(t)
	p, err := v.Of(Subject{Film: "f"}, "ffmpeg").Output("output", "images/films/f/s/move", nil, "images")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			d := v.Draft(p)
			defer d.Discard()
			if err := os.Mkdir(d.OS(), 0o770); err != nil {
				t.Error(err)
			}
			for n := range 3 {
				if err := os.WriteFile(filepath.Join(d.OS(), filepath.Base(p.Frame(n+1).String())), []byte{byte(i)}, 0o660); err != nil {
					t.Error(err)
				}
			}
			if err := d.Publish(); err != nil && !errors.Is(err, os.ErrExist) {
				t.Logf("lost the race: %v", err) // its caller asks again and finds the winner's
			}
		})
	}
	wg.Wait()
	names, err := v.Names(p)
	if err != nil || len(names) != 3 {
		t.Fatalf("%v %v", names, err)
	}
	var first byte
	for n := range 3 {
		b, err := os.ReadFile(v.OS(p.Frame(n + 1)))
		if err != nil || n > 0 && b[0] != first {
			t.Errorf("a mixture: %v %v", b, err)
		}
		first = b[0]
	}
	if left, _ := os.ReadDir(dir + "/images/films/f/s"); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAbandonedDraftsGo(t *testing.T) {
	v, dir := open(t)
	old, young := dir+"/images/films/f/s/.move.0123456789abcdef.tmp", dir+"/images/films/f/s/.move.fedcba9876543210.tmp"
	for _, d := range []string{old, young} {
		if err := os.MkdirAll(d, 0o770); err != nil {
			t.Fatal(err)
		}
		write(t, d+"/frame_00001.png", "x")
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	p, _ := v.Of(Subject{Film: "f"}, "ffmpeg").Output("output", "images/films/f/s/move", nil, "images")
	v.Draft(p)
	if _, err := os.Stat(old); err == nil {
		t.Error("a draft of yesterday stays")
	}
	if _, err := os.Stat(young); err != nil {
		t.Error("another job's draft was deleted")
	}
}

func TestKeyTellsWhatIsDifferent(t *testing.T) {
	v, dir := open(t)
	write(t, dir+"/images/films/f/s/frame_00001.png", "one")
	write(t, dir+"/images/films/f/s/frame_00002.png", "two")
	p, _ := v.Of(Subject{Film: "f"}, "ffmpeg").Input("frames", "images/films/f/s", true, "images")
	all := func(string) bool { return true }
	sum := func(operation string, version int, params any) string {
		s, err := v.NewKey(t.Context(), operation, version, params).Directory(p, all).Sum()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	base := sum("encode", 1, 18)
	if base != sum("encode", 1, 18) || len(base) != 64 {
		t.Error("not the same twice")
	}
	keys := map[string]string{"base": base, "operation": sum("cut", 1, 18), "version": sum("encode", 2, 18), "parameter": sum("encode", 1, 19)}
	write(t, dir+"/images/films/f/s/frame_00002.png", "TWO")
	keys["contents"] = sum("encode", 1, 18)
	write(t, dir+"/images/films/f/s/frame_00001.png", "oneT")
	write(t, dir+"/images/films/f/s/frame_00002.png", "WO")
	keys["boundary"] = sum("encode", 1, 18)
	os.Rename(dir+"/images/films/f/s/frame_00002.png", dir+"/images/films/f/s/frame_00003.png")
	keys["name"] = sum("encode", 1, 18)
	seen := map[string]string{}
	for what, k := range keys {
		if other := seen[k]; other != "" {
			t.Errorf("%s and %s have the same key", what, other)
		}
		seen[k] = what
	}
	if _, err := v.NewKey(t.Context(), "x", 1, nil).File(Path{rel: "images/films/f/s/none"}).Sum(); err == nil {
		t.Error("a key of a file that isn't there")
	}
}

func TestRoom(t *testing.T) {
	v, _ := open(t)
	p, _ := v.Of(Subject{Film: "f"}, "ffmpeg").Output("output", "videos/films/f/film.mp4", []string{".mp4"}, "videos")
	if err := v.Room(p, 1); err != nil {
		t.Error(err)
	}
	if err := v.Room(p, 1<<60); status(err) != 507 || serving.AsProblem(err).Remedy == "" {
		t.Errorf("%v", err)
	}
}
