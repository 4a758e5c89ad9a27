package depth

import (
	"image"
	"math"
	"slices"
)

// Scene is what Estimate sees in a still. All maps have the still's size.
type Scene struct {
	Horizon float64 // share of the height, from the top
	Ground  *Map    // nearness of what is behind the figures: 0 far to 1 near, linear in inverse distance
	Figures *Map    // how much of a pixel belongs to a figure, 0 to 1
	Near    *Map    // nearness of the figures, carried on beyond their edges
}

// Depth is the nearness of what is seen at each pixel.
func (s *Scene) Depth() *Map {
	out := NewMap(s.Ground.W, s.Ground.H)
	for i, a := range s.Figures.V {
		out.V[i] = s.Ground.V[i] + (s.Near.V[i]-s.Ground.V[i])*a
	}
	return out
}

const workWidth = 320 // pixels: figures are found at this width, their edges at the still's own

// Estimate looks at a still.
func Estimate(img *image.NRGBA) *Scene {
	full := NewPlate(img)
	w, h := full[0].W, full[0].H
	ww := min(workWidth, w)
	wh := max(8, int(math.Round(float64(h)*float64(ww)/float64(w))))
	small := full.Resized(ww, wh)
	horizon := findHorizon(small)
	ground := NewMap(ww, wh)
	for y := range wh {
		n := groundAt(float64(y)/float64(wh-1), horizon)
		for x := range ww {
			ground.V[y*ww+x] = n
		}
	}
	found := standing(small, horizon)
	near := cards(found, horizon)
	figures := NewMap(ww, wh)
	for i, label := range found.v {
		if label > 0 {
			figures.V[i] = 1
		}
	}
	return &Scene{
		Horizon: horizon,
		Ground:  ground.Resized(w, h),
		Figures: sharpened(full, figures),
		Near:    near.Resized(w, h),
	}
}

// groundAt is the nearness of the ground plane at a height of the picture. On a plane inverse distance grows linearly from
// the horizon down; above it is what is farther than any ground, with a rounded corner between.
func groundAt(y, horizon float64) float32 {
	const far, skyline = 0.0, 0.1
	if y > horizon {
		return float32(skyline + (1-skyline)*(y-horizon)/(1-horizon))
	}
	t := min((horizon-y)/0.25, 1)
	return float32(skyline + (far-skyline)*t*(2-t))
}

// findHorizon looks for the row where the picture changes most across its whole width, near where horizons are.
func findHorizon(p Plate) float64 {
	w, h := p[0].W, p[0].H
	best, bestRow := 0.0, 0.46
	step := max(1, h/90)
	for y := h * 30 / 100; y < h*62/100; y++ {
		changes := make([]float64, w)
		for x := range w {
			var d float64
			for _, c := range p {
				v := float64(c.At(x, y+step) - c.At(x, y-step))
				d += v * v
			}
			changes[x] = math.Sqrt(d)
		}
		slices.Sort(changes)
		off := (float64(y)/float64(h) - 0.46) / 0.14
		if score := changes[w*2/5] * math.Exp(-off*off/2); score > best {
			best, bestRow = score, float64(y)/float64(h)
		}
	}
	if best < 2 { // nothing there: a room, a face, a fog
		return 0.46
	}
	return bestRow
}

// HasFigures tells whether anything stands out.
func (s *Scene) HasFigures() bool {
	return slices.ContainsFunc(s.Figures.V, func(a float32) bool { return a > 0.5 })
}
