package render

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ai-film/ai-film/services/internal/jobs"
	"github.com/ai-film/ai-film/services/internal/jobs/jobstest"
	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/internal/volume"
)

// whoHas finds a font of the machine that has some letters and lacks others.
func whoHas(t *testing.T, letters, without string) face {
	t.Helper()
	fonts, err := FindFonts("/usr/share/fonts")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fonts.faces {
		if c := (&Fonts{faces: []face{f}}).For(letters); len(c.Missing) > 0 {
			continue
		}
		if c := (&Fonts{faces: []face{f}}).For(without); len(c.Missing) == len([]rune(without)) {
			return f
		}
	}
	t.Fatalf("no font here has %s and not %q: install fonts-dejavu-core and fonts-noto-cjk or fonts-droid-fallback", letters, without)
	return face{}
}

// alone is a font as a file of its own.
func (f face) alone(t *testing.T) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "alone.otf")
	if err := f.write(out); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// collection puts fonts into one file, as the format's specification says.
func collection(fonts ...[]byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte("ttcf\x00\x01\x00\x00"), uint32(len(fonts)))
	out = append(out, make([]byte, 4*len(fonts))...)
	for i, font := range fonts {
		at := uint32(len(out))
		binary.BigEndian.PutUint32(out[12+4*i:], at)
		font = slices.Clone(font)
		for n := range int(binary.BigEndian.Uint16(font[4:])) {
			offset := font[12+16*n+8:]
			binary.BigEndian.PutUint32(offset, binary.BigEndian.Uint32(offset)+at)
		}
		out = append(out, font...)
	}
	return out
}

func TestFonts(t *testing.T) {
	if _, err := FindFonts(t.TempDir()); err == nil || !strings.Contains(err.Error(), "FONT_DIR") {
		t.Errorf("no fonts: %v", err)
	}
	fonts, err := FindFonts("/usr/share/fonts")
	if err != nil {
		t.Fatal(err)
	}
	c := fonts.For("Ночь ab 灯")
	if len(c.Faces) == 0 || len(c.Missing) != 0 {
		t.Errorf("%+v", c)
	}
	if c := fonts.For("a\U000E1234"); len(c.Missing) != 1 || len(c.Faces) == 0 {
		t.Errorf("%+v", c)
	}
}

func TestCollectionsAreRead(t *testing.T) {
	latin, cjk := whoHas(t, "Mara", "灯"), whoHas(t, "灯", "")
	dir := t.TempDir()
	file := filepath.Join(dir, "both.TTC")
	if err := os.WriteFile(file, collection(latin.alone(t), latin.alone(t), cjk.alone(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	fonts, err := FindFonts(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c := fonts.For("Mara"); len(c.Missing) > 0 || len(c.Faces) != 1 || c.Faces[0].File != file {
		t.Errorf("%+v", c)
	}
	c := fonts.For("灯")
	if len(c.Missing) > 0 || len(c.Faces) != 1 || c.Faces[0] != (Face{file, 2}) {
		t.Fatalf("%+v", c)
	}
	files, err := fonts.Files(c, t.TempDir())
	if err != nil || len(files) != 1 || files[0] == file {
		t.Fatalf("%v %v", files, err)
	}
	got, _ := os.ReadFile(files[0])
	if want := cjk.alone(t); !bytes.Equal(got, want) {
		t.Errorf("%d bytes of the %d that went in", len(got), len(want))
	}
}

// What Blender draws from a collection is what it draws from the font alone.
func TestTitleFromACollection(t *testing.T) {
	latin, cjk := whoHas(t, "Mara", "灯"), whoHas(t, "灯", "")
	render := func(name string, font []byte) []byte {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), font, 0o600); err != nil {
			t.Fatal(err)
		}
		fonts, err := FindFonts(dir)
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{jobstest.New(t, "blender", 16, []string{"blender"}, func(s *serving.Service, q *jobs.Queue, v *volume.Volume) {
			(&Studio{Blender: "blender", Samples: 1, Threads: 2, Fonts: fonts, Volume: v}).Serve(s, q)
		})}
		l := b.Done("title", m{"text": "灯", "output": "images/films/f/s/move", "width": 320, "height": 180, "fps": 12, "frames": 1, "seed": 1})
		raw, err := os.ReadFile(b.Path(l.Result["path"].(string) + "/frame_00001.png"))
		if err != nil {
			t.Fatal(err)
		}
		bright := 0
		frame := b.frame(l.Result["path"].(string) + "/frame_00001.png")
		for y := range 180 {
			for x := range 320 {
				if luma(frame, x, y) > 120 {
					bright++
				}
			}
		}
		t.Logf("%s: %d pixels of letters", name, bright)
		if bright < 100 {
			t.Errorf("%s: the letter can't be seen", name)
		}
		return raw
	}
	want := render("alone.otf", cjk.alone(t))
	if !bytes.Equal(render("second.ttc", collection(latin.alone(t), cjk.alone(t))), want) {
		t.Error("the second font of a collection gives another picture")
	}
	if !bytes.Equal(render("first.otc", collection(cjk.alone(t), latin.alone(t))), want) {
		t.Error("the first font of a collection gives another picture")
	}
}

// Whatever lies in the directory of fonts, what is sound is found and nothing hangs.
func TestBrokenFontsAreNone(t *testing.T) {
	dir := t.TempDir()
	sound := whoHas(t, "Mara", "灯").alone(t)
	both := collection(sound, sound)
	far := slices.Clone(both)
	binary.BigEndian.PutUint32(far[16:], 1<<31-1)
	many := slices.Clone(both)
	binary.BigEndian.PutUint32(many[8:], 1<<31)
	wide := slices.Clone(sound)
	for n := range int(binary.BigEndian.Uint16(wide[4:])) { // each table the whole file, and more
		if string(wide[12+16*n:][:4]) == "GPOS" {
			binary.BigEndian.PutUint32(wide[12+16*n+12:], 1<<30)
		}
	}
	for name, b := range map[string][]byte{
		"empty.ttf": nil, "text.otf": []byte("no font"), "half.ttf": sound[:len(sound)/2], "head.ttf": sound[:12], "ttcf.ttc": []byte("ttcf"),
		"far.ttc": far, "many.ttc": many, "wide.ttf": wide, "half.ttc": both[:len(sound)/2], "zero.otc": make([]byte, 1<<16), "ones.ttf": bytes.Repeat([]byte{255}, 1<<16),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Damage all over the file: every table once.
	for n := range int(binary.BigEndian.Uint16(sound[4:])) {
		damaged := slices.Clone(sound)
		from := binary.BigEndian.Uint32(damaged[12+16*n+8:])
		size := binary.BigEndian.Uint32(damaged[12+16*n+12:])
		for i := range min(size, 4096) {
			damaged[from+i] ^= 0xff
		}
		if err := os.WriteFile(filepath.Join(dir, "damaged-"+string(rune('a'+n))+".ttf"), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.ttf"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Symlink("/dev/zero", filepath.Join(dir, "endless.ttf"))
	os.Symlink("loop.ttf", filepath.Join(dir, "loop.ttf"))
	os.Mkdir(filepath.Join(dir, "folder.ttf"), 0o700)
	large, err := os.Create(filepath.Join(dir, "large.ttf"))
	if err == nil {
		_, err = large.Write(sound)
	}
	if err == nil {
		err = large.Truncate(1 << 40)
	}
	if err != nil {
		t.Fatal(err)
	}
	if fonts, err := FindFonts(dir); err == nil {
		for _, f := range fonts.faces {
			if name := filepath.Base(f.File); !strings.HasPrefix(name, "damaged-") {
				t.Errorf("%s counts as a font", name)
			}
		}
		fonts.For("The lighthouse 灯台守 Ночь")
	}
	if err := os.WriteFile(filepath.Join(dir, "NotoSerif-Bold.ttf"), sound, 0o600); err != nil {
		t.Fatal(err)
	}
	fonts, err := FindFonts(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c := fonts.For("Mara"); len(c.Missing) > 0 || len(c.Faces) != 1 || filepath.Base(c.Faces[0].File) != "NotoSerif-Bold.ttf" {
		t.Errorf("%+v", c)
	}
}
