package depth

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"testing"

	"github.com/ai-film/ai-film/services/comfyui/animatic"
)

// spot is a place of a picture, in shares of its width and height.
type spot struct{ x, y float64 }

// whole checks that all the spots, all on one figure, are cut out, on one plane.
func whole(t *testing.T, s *Scene, spots ...spot) {
	t.Helper()
	near := make([]float64, len(spots))
	for n, at := range spots {
		x, y := int(at.x*float64(s.Figures.W)), int(at.y*float64(s.Figures.H))
		near[n] = float64(s.Near.At(x, y))
		if a := s.Figures.At(x, y); a < 0.9 {
			t.Errorf("%.0f %% of the figure at %v", 100*a, at)
		}
		if math.Abs(near[n]-near[0]) > 0.02 {
			t.Errorf("nearness %.2f at %v, %.2f at %v", near[n], at, near[0], spots[0])
		}
	}
}

// room is a wall with a floor and nobody there.
func room() *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, 320, 180))
	for y := range 180 {
		for x := range 320 {
			c := color.NRGBA{uint8(110 + x/20), uint8(95 + y/20), 80, 255}
			if y > 120 {
				c = color.NRGBA{70, uint8(48 + x/40), 36, 255}
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

func disc(img *image.NRGBA, x, y, rx, ry int, c color.NRGBA) {
	for dy := -ry; dy <= ry; dy++ {
		for dx := -rx; dx <= rx; dx++ {
			if dx*dx*ry*ry+dy*dy*rx*rx <= rx*rx*ry*ry {
				img.SetNRGBA(x+dx, y+dy, c)
			}
		}
	}
}

func box(img *image.NRGBA, x0, y0, x1, y1 int, c color.NRGBA) {
	draw.Draw(img, image.Rect(x0, y0, x1, y1), image.NewUniform(c), image.Point{}, draw.Src)
}

var (
	skin  = color.NRGBA{196, 148, 120, 255}
	hair  = color.NRGBA{40, 28, 24, 255}
	coat  = color.NRGBA{40, 70, 140, 255}
	scarf = color.NRGBA{190, 40, 40, 255}
	light = color.NRGBA{255, 244, 200, 255}
)

// someone stands at x, from the hair at 40 to the feet at 165, in clothes of these colours from the neck down.
func someone(img *image.NRGBA, x int, clothes ...color.NRGBA) {
	disc(img, x, 56, 13, 17, hair)
	disc(img, x, 60, 10, 13, skin)
	for n, c := range clothes {
		box(img, x-20, 72+n*93/len(clothes), x+20, 72+(n+1)*93/len(clothes), c)
	}
}

func TestAFigureIsOnOnePlane(t *testing.T) {
	head, chest, feet := spot{0.5, 0.34}, spot{0.5, 0.55}, spot{0.5, 0.88}
	for name, c := range map[string]struct {
		draw  func(*image.NRGBA)
		spots [][]spot
	}{
		"a lamp behind the head": {func(img *image.NRGBA) {
			disc(img, 160, 52, 34, 30, light)
			someone(img, 160, coat)
		}, [][]spot{{head, chest, feet}}},
		"a lamp beside the head, as bright as the face": {func(img *image.NRGBA) {
			disc(img, 182, 60, 14, 14, color.NRGBA{220, 170, 130, 255})
			someone(img, 160, coat)
		}, [][]spot{{head, chest, feet}}},
		"a lamp that shines on half of the figure": {func(img *image.NRGBA) {
			someone(img, 160, coat)
			for y := 40; y < 165; y++ {
				for x := 160; x < 180; x++ {
					if c := img.NRGBAAt(x, y); y >= 72 || c == skin || c == hair {
						img.SetNRGBA(x, y, color.NRGBA{c.R/2 + 127, c.G/2 + 120, c.B/2 + 90, 255})
					}
				}
			}
		}, [][]spot{{head, chest, feet, {0.47, 0.6}, {0.54, 0.6}}}},
		"clothes of many colours, one that of the wall": {func(img *image.NRGBA) {
			someone(img, 160, coat, color.NRGBA{118, 98, 80, 255}, scarf, light, hair)
		}, [][]spot{{head, chest, {0.5, 0.66}, {0.5, 0.77}, feet}}},
		"two side by side": {func(img *image.NRGBA) {
			someone(img, 138, coat)
			someone(img, 182, scarf)
		}, [][]spot{{{0.43, 0.34}, {0.43, 0.6}, {0.43, 0.88}}, {{0.57, 0.34}, {0.57, 0.6}, {0.57, 0.88}}}},
		"a wide hat": {func(img *image.NRGBA) {
			someone(img, 160, coat)
			box(img, 134, 42, 186, 48, scarf)
			box(img, 146, 26, 174, 43, scarf)
		}, [][]spot{{{0.5, 0.19}, {0.44, 0.25}, head, chest, feet}}},
		"long hair": {func(img *image.NRGBA) {
			someone(img, 160, coat)
			box(img, 145, 56, 151, 100, hair)
			box(img, 169, 56, 175, 100, hair)
		}, [][]spot{{head, chest, {0.462, 0.5}, {0.537, 0.5}, feet}}},
	} {
		t.Run(name, func(t *testing.T) {
			img := room()
			c.draw(img)
			s := Estimate(img)
			for _, spots := range c.spots {
				whole(t, s, spots...)
			}
			if wall := s.Figures.At(20, 30) + s.Figures.At(300, 30); wall > 0.1 {
				t.Errorf("the wall is a figure by %.2f", wall)
			}
		})
	}
}

// What the preview server paints: people before a lamp, in fog, at night, two of them, with hats, without a horizon.
func TestPeopleOfThePreviewAreWhole(t *testing.T) {
	for name, c := range map[string]struct {
		prompt string
		seed   uint64
		spots  [][]spot
	}{
		"before a lamp and a window": {"medium shot, interior, kitchen at night, Mara Voss (a woman of seventy with grey hair in a yellow coat), a lamp, tense mood", 2,
			[][]spot{{{0.425, 0.25}, {0.40, 0.67}, {0.40, 0.9}}}},
		"close, under a lamp, with a hat": {"close shot, interior, living room at night, Tomas (an old man with a beard and a hat) and a lamp, calm mood", 1,
			[][]spot{{{0.477, 0.15}, {0.49, 0.37}, {0.52, 0.8}}}},
		"a street lamp before the shoulder": {"medium shot, exterior, street at night, Ada (a young woman in a red dress), a street lamp, calm mood", 2,
			[][]spot{{{0.354, 0.29}, {0.354, 0.7}}}},
		"in fog": {"medium shot, exterior, lake at day, fog, Tomas (an old man in a grey coat)", 1,
			[][]spot{{{0.60, 0.28}, {0.60, 0.65}, {0.60, 0.85}}}},
		"at night": {"medium shot, exterior, beach at night, Bo (a boy in a green jacket)", 1,
			[][]spot{{{0.60, 0.28}, {0.60, 0.6}, {0.60, 0.9}}}},
		"close, two": {"close shot, interior, kitchen at day, Ada (a young woman with red hair in a green dress) and Bo (an old man with a beard)", 2,
			[][]spot{{{0.30, 0.39}, {0.28, 0.8}}, {{0.73, 0.36}, {0.78, 0.8}}}},
		"two at dusk": {"medium shot, exterior, harbour at dusk, Mara Voss (a lighthouse keeper of seventy in a yellow oilskin coat) and Tomas (a man with a hat and a scarf)", 1,
			[][]spot{{{0.37, 0.31}, {0.36, 0.75}}, {{0.617, 0.13}, {0.61, 0.26}, {0.625, 0.7}}}},
		"hair and hat": {"close shot, exterior, desert at dusk, Ada (a young woman with long black hair and a hat)", 2,
			[][]spot{{{0.48, 0.14}, {0.485, 0.36}, {0.47, 0.83}, {0.38, 0.4}}}},
		"a robot like the wall": {"medium shot, interior, workshop at day, Rusty (a small robot), lamp", 1,
			[][]spot{{{0.597, 0.21}, {0.61, 0.6}, {0.67, 0.6}}}},
	} {
		t.Run(name, func(t *testing.T) {
			d := animatic.New(animatic.Frame{Positive: c.prompt, Negative: "text", Seed: c.seed, Width: 640, Height: 360, Steps: 12, CFG: 7})
			for i := range d.Steps() {
				d.Step(i)
			}
			img := image.NewNRGBA(image.Rect(0, 0, 640, 360))
			draw.Draw(img, img.Rect, d.Image(), image.Point{}, draw.Src)
			s := Estimate(img)
			for _, spots := range c.spots {
				whole(t, s, spots...)
			}
		})
	}
}
