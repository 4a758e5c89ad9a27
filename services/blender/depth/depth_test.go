package depth

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"
)

// harbour is a still with a sky, a ground with planks, and someone in yellow who stands on it; w × h pixels.
func harbour(w, h int) (*image.NRGBA, image.Rectangle) {
	rng := rand.New(rand.NewPCG(1, 1))
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	horizon := h * 46 / 100
	for y := range h {
		for x := range w {
			n := uint8(rng.IntN(8))
			c := color.NRGBA{90 + n, 110 + n, 190 - uint8(y*60/h) + n, 255}
			if y > horizon {
				c = color.NRGBA{80 + n, 60 + n, 70 + n, 255}
				if (y-horizon)*(y-horizon)/(h/3)%6 == 0 || (x+y)%37 == 0 {
					c = color.NRGBA{50 + n, 40 + n, 48 + n, 255}
				}
			}
			img.SetNRGBA(x, y, c)
		}
	}
	figure := image.Rect(w*45/100, h*35/100, w*54/100, h*80/100)
	for y := figure.Min.Y; y < figure.Max.Y; y++ {
		for x := figure.Min.X; x < figure.Max.X; x++ {
			img.SetNRGBA(x, y, color.NRGBA{230, 180 - uint8((y-figure.Min.Y)*40/h), 30, 255})
		}
	}
	return img, figure
}

func TestFigureStandsWholeOnTheGround(t *testing.T) {
	img, figure := harbour(640, 360)
	s := Estimate(img)
	if math.Abs(s.Horizon-0.46) > 0.03 {
		t.Errorf("horizon at %.2f", s.Horizon)
	}
	d := s.Depth()
	at := func(x, y int) float32 { return d.At(x, y) }
	x := (figure.Min.X + figure.Max.X) / 2
	head, feet := at(x, figure.Min.Y+8), at(x, figure.Max.Y-8)
	if math.Abs(float64(head-feet)) > 0.03 {
		t.Errorf("head at %.2f, feet at %.2f", head, feet)
	}
	if ground := at(40, figure.Max.Y); math.Abs(float64(ground-feet)) > 0.08 {
		t.Errorf("stands at %.2f on ground at %.2f", feet, ground)
	}
	if sky, beside, near := at(40, 20), at(40, figure.Min.Y+40), at(40, 355); !(sky <= 0.05 && sky < beside && beside < feet && feet < near && near > 0.95) {
		t.Errorf("sky %.2f, beside %.2f, figure %.2f, ground at the front %.2f", sky, beside, feet, near)
	}
	inside, outside := 0.0, 0.0
	for y := range 360 {
		for x := range 640 {
			if a := float64(s.Figures.At(x, y)); image.Pt(x, y).In(figure) {
				inside += a
			} else if !image.Pt(x, y).In(figure.Inset(-4)) {
				outside += a
			}
		}
	}
	area := float64(figure.Dx() * figure.Dy())
	if inside < 0.95*area || outside > 0.05*area {
		t.Errorf("%.0f %% of the figure found, and %.0f %% of its area elsewhere", 100*inside/area, 100*outside/area)
	}
}

func TestSplitPartsMakeTheStillAgain(t *testing.T) {
	img, figure := harbour(640, 360)
	s := Estimate(img)
	figures, behind := Split(img, s)
	var far int
	for y := range 360 {
		for x := range 640 {
			f, b, want := figures.NRGBAAt(x, y), behind.NRGBAAt(x, y), img.NRGBAAt(x, y)
			a := float64(f.A) / 255
			if math.Abs(float64(f.G)*a+float64(b.G)*(1-a)-float64(want.G)) > 24 {
				far++
			}
			if b.A != 255 {
				t.Fatal("one can look through what is behind")
			}
		}
	}
	if far > 640*360/200 {
		t.Errorf("%d pixels differ", far)
	}
	// Nothing of the figure is left behind it.
	if c := behind.NRGBAAt((figure.Min.X+figure.Max.X)/2, (figure.Min.Y+figure.Max.Y)/2); c.R > 150 {
		t.Errorf("behind the figure: %v", c)
	}
}

func TestAnyStillHasADepth(t *testing.T) {
	noise := func(w, h int, seed uint64) *image.NRGBA {
		rng := rand.New(rand.NewPCG(seed, 0))
		img := image.NewNRGBA(image.Rect(0, 0, w, h))
		for i := range img.Pix {
			img.Pix[i] = uint8(rng.Uint32())
		}
		return img
	}
	flat := image.NewNRGBA(image.Rect(0, 0, 320, 180))
	for i := range flat.Pix {
		flat.Pix[i] = 255
	}
	half := image.NewNRGBA(image.Rect(0, 0, 320, 180))
	for i := range half.Pix[:len(half.Pix)/2] {
		half.Pix[i] = 255
	}
	for name, img := range map[string]*image.NRGBA{
		"noise": noise(320, 180, 1), "upright": noise(90, 160, 2), "tiny": noise(32, 32, 3), "white": flat, "half": half, "black": image.NewNRGBA(image.Rect(0, 0, 64, 64)),
	} {
		s := Estimate(img)
		figures, behind := Split(img, s)
		if figures.Rect != img.Rect || behind.Rect != img.Rect {
			t.Errorf("%s: sizes %v %v", name, figures.Rect, behind.Rect)
		}
		for _, v := range s.Depth().V {
			if !(v >= -0.01 && v <= 1.01) {
				t.Fatalf("%s: depth %v", name, v)
			}
		}
		if name == "white" || name == "black" {
			if s.HasFigures() {
				t.Errorf("a figure in %s", name)
			}
		}
	}
}

func TestSameStillSameDepth(t *testing.T) {
	img, _ := harbour(320, 180)
	a, b := Estimate(img).Depth().Gray(), Estimate(img).Depth().Gray()
	if string(a.Pix) != string(b.Pix) {
		t.Error("two depths of one still")
	}
}
