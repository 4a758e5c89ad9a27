package animatic

import (
	"bytes"
	"fmt"
	"image"
	"math"
	"strings"
	"testing"
)

func draw(t testing.TB, f Frame) *image.RGBA {
	t.Helper()
	if f.Width == 0 {
		f.Width, f.Height = 640, 360
	}
	if f.Steps == 0 {
		f.Steps = 20
	}
	if f.CFG == 0 {
		f.CFG = 7
	}
	d := New(f)
	for i := range d.Steps() {
		d.Step(i)
	}
	return d.Image()
}

const quay = "wide shot, exterior, harbour at dusk, Mara Voss (a lighthouse keeper of seventy in a yellow oilskin coat) and Tomas, " +
	"a lighthouse on the cliff, calm mood, cinematic storyboard"

func TestDeterministic(t *testing.T) {
	first := draw(t, Frame{Positive: quay, Negative: "text", Seed: 7})
	if again := draw(t, Frame{Positive: quay, Negative: "text", Seed: 7}); !bytes.Equal(first.Pix, again.Pix) {
		t.Error("the same frame differs")
	}
	for name, f := range map[string]Frame{
		"seed":     {Positive: quay, Negative: "text", Seed: 8},
		"prompt":   {Positive: quay + " at night", Negative: "text", Seed: 7},
		"negative": {Positive: quay, Negative: "text, people", Seed: 7},
		"steps":    {Positive: quay, Negative: "text", Seed: 7, Steps: 12},
		"cfg":      {Positive: quay, Negative: "text", Seed: 7, CFG: 3},
	} {
		if bytes.Equal(first.Pix, draw(t, f).Pix) {
			t.Errorf("another %s gives the same picture", name)
		}
	}
}

func luma(img *image.RGBA, y0, y1 int) (mean, deviation float64) {
	n, sum, squares := 0.0, 0.0, 0.0
	for y := y0; y < y1; y++ {
		for x := range img.Rect.Dx() {
			c := img.RGBAAt(x, y)
			l := .299*float64(c.R) + .587*float64(c.G) + .114*float64(c.B)
			n, sum, squares = n+1, sum+l, squares+l*l
		}
	}
	mean = sum / n
	return mean, math.Sqrt(math.Max(0, squares/n-mean*mean))
}

// Every place, time and size gives a picture with tone and texture from top to bottom: nothing black, nothing flat.
func TestEveryPlaceHasPicture(t *testing.T) {
	seen := map[string]bool{}
	for _, place := range places {
		if seen[place] {
			continue
		}
		seen[place] = true
		word := ""
		for w, p := range places {
			if p == place && (word == "" || w < word) {
				word = w
			}
		}
		for i, at := range []string{"dawn", "day", "dusk", "night"} {
			side := []string{"exterior", "interior"}[i%2]
			img := draw(t, Frame{Positive: fmt.Sprintf("%s shot, %s, %s at %s, Ada (young woman with a lantern) and Bo (old man)", []string{"wide", "medium", "close", "wide"}[i], side, word, at),
				Seed: uint64(i), Width: 208, Height: 120, Steps: 4})
			mean, deviation := luma(img, 0, 120)
			if mean < 14 || mean > 235 || deviation < 9 {
				t.Errorf("%s %s at %s: mean %.1f, deviation %.1f", side, place, at, mean, deviation)
			}
			for y := 0; y < 120; y += 20 {
				if _, d := luma(img, y, y+20); d < 1 {
					t.Errorf("%s %s at %s: rows %d to %d are flat (%.2f)", side, place, at, y, y+20, d)
				}
			}
		}
	}
}

// Distance is told by value: what is near is darker than the land at the horizon.
func TestNearIsDarkerThanFar(t *testing.T) {
	for _, place := range []string{"harbour", "beach", "meadow", "mountains", "lake", "desert", "forest"} {
		for seed := range uint64(3) {
			img := draw(t, Frame{Positive: "wide shot, exterior, " + place + " at day", Seed: seed})
			far, _ := luma(img, 188, 215)
			near, _ := luma(img, 320, 360)
			if near > far-8 {
				t.Errorf("%s, seed %d: near %.0f, far %.0f", place, seed, near, far)
			}
		}
	}
}

func TestReadsPrompts(t *testing.T) {
	s := read(quay, "")
	if s.size != "wide" || s.interior || s.place != "harbour" || s.time != "dusk" || s.mood != "calm" {
		t.Errorf("%+v", s)
	}
	if len(s.cast) != 2 || s.cast[0].name != "Mara Voss" || s.cast[1].name != "Tomas" {
		t.Fatalf("cast: %+v", s.cast)
	}
	mara := s.cast[0]
	if mara.gender != "woman" || mara.age != "old" || mara.coat != colours["yellow"] || mara.garment != "raincoat" {
		t.Errorf("Mara: %+v", mara)
	}
	if strings.Join(s.props, " ") != "lighthouse" {
		t.Errorf("props: %v", s.props)
	}
	if ines := read("close shot, exterior, beach, Ines (a young fisherwoman with a red scarf)", "").cast[0]; ines.scarf == nil || *ines.scarf != colours["red"] || ines.hasCoat {
		t.Errorf("Ines: %+v", ines)
	}
	for text, want := range map[string]string{
		"Hafen bei Nacht": "harbour night", "la forêt au crépuscule": "forest dusk", "灯台のある海、夜": "sea night", "пустыня": "desert ",
		"interior, lamp room at night": "lamproom night", "exterior, railway station at dawn": "city dawn", "interior, church at day": "hall day",
	} {
		if s := read(text, ""); s.place+" "+s.time != want {
			t.Errorf("%q: %s %s, want %s", text, s.place, s.time, want)
		}
	}
	if s := read(quay, "people, lighthouse, colour"); len(s.cast) != 0 || len(s.props) != 0 || !s.grey {
		t.Errorf("refused: %+v", s)
	}
	if s := read("an old knight and a child", ""); len(s.cast) != 2 {
		t.Errorf("anonymous: %+v", s.cast)
	}
}

func TestOddSizes(t *testing.T) {
	for _, size := range [][2]int{{8, 8}, {16, 1024}, {1024, 16}, {512, 512}, {361, 203}} {
		img := draw(t, Frame{Positive: quay, Width: size[0], Height: size[1], Steps: 2})
		if img.Rect.Dx() != size[0] || img.Rect.Dy() != size[1] {
			t.Errorf("%v: %v", size, img.Rect)
		}
	}
}

// Strength is how much of the new picture covers the one it starts from.
func TestPaintsOver(t *testing.T) {
	start := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for i := range start.Pix {
		start.Pix[i] = 255
	}
	f := Frame{Positive: "night", Width: 64, Height: 64, Start: start}
	if got := draw(t, f); !bytes.Equal(got.Pix, start.Pix) {
		t.Error("strength 0 changed the picture")
	}
	f.Strength = 1
	if mean, _ := luma(draw(t, f), 0, 64); mean > 150 {
		t.Errorf("strength 1 left it white: %.0f", mean)
	}
}

// Every named prop leaves a mark on the picture.
func TestPropsShow(t *testing.T) {
	seen := map[string]bool{"window": true, "planet": true, "moon": true} // drawn only where there is no other
	for _, prop := range props {
		if seen[prop] {
			continue
		}
		seen[prop] = true
		word := ""
		for w, v := range props {
			if v == prop && (word == "" || w < word) {
				word = w
			}
		}
		f := Frame{Width: 160, Height: 90, Steps: 1, Seed: 3}
		f.Positive = "wide shot, exterior, meadow at day, a " + word
		if n := len(read(f.Positive, "").props); n != 1 {
			t.Errorf("%s (%s) is read as %v", prop, word, read(f.Positive, "").props)
			continue
		}
		with := New(f)
		without := New(f)
		without.scene.props, without.p.scene.props = nil, nil
		for i := range with.Steps() {
			with.Step(i)
			without.Step(i)
		}
		if bytes.Equal(with.Image().Pix, without.Image().Pix) {
			t.Errorf("%s leaves no mark", prop)
		}
	}
}

func FuzzAnyText(f *testing.F) {
	f.Add(quay, "people", uint64(1))
	f.Add("", "", uint64(0))
	f.Add("((((Mara (x) ) и Том (мальчик", "(", uint64(1<<63))
	f.Add("close, interior, 灯台 🌊 \x00\xff", "色", uint64(5))
	f.Fuzz(func(t *testing.T, positive, negative string, seed uint64) {
		img := draw(t, Frame{Positive: positive, Negative: negative, Seed: seed, Width: 64, Height: 40, Steps: 2})
		if img.Rect.Dx() != 64 {
			t.Error(img.Rect)
		}
	})
}

func BenchmarkFrame(b *testing.B) {
	for b.Loop() {
		draw(b, Frame{Positive: quay, Seed: 1})
	}
}
