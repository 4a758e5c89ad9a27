// Package depth estimates how near things are in a still: the ground as a plane up to the horizon, what stands out from
// its surroundings as upright figures on it, the sky far away. It splits the still into the figures and what is behind
// them, so that a camera can move between the two.
//
// A figure is made of whole regions of the picture, so that no plane ends in the middle of a face or a coat: head, hat, hair
// and clothes that stand together are on one. What is doubtful joins the figure: a piece of background that moves with
// someone is hardly seen, a torn face is.
//
// The ground-plane prior is that of Hoiem, Efros and Hebert, «Automatic Photo Pop-up» (SIGGRAPH 2005); edges follow the
// picture by the guided filter of He, Sun and Tang (ECCV 2010).
package depth

import (
	"image"
	"math"
)

// Map is a picture of one number a pixel, row by row, of W × H pixels.
type Map struct {
	W, H int
	V    []float32
}

// NewMap makes a map of zeros.
func NewMap(w, h int) *Map { return &Map{w, h, make([]float32, w*h)} }

// At is the value at a pixel; outside, that of the nearest inside.
func (m *Map) At(x, y int) float32 {
	return m.V[min(max(y, 0), m.H-1)*m.W+min(max(x, 0), m.W-1)]
}

// Resized is the map in another size, bilinear, or averaged where it shrinks by much.
func (m *Map) Resized(w, h int) *Map {
	src := m
	for src.W >= 2*w && src.H >= 2*h {
		half := NewMap(src.W/2, src.H/2)
		for y := range half.H {
			for x := range half.W {
				half.V[y*half.W+x] = (src.At(2*x, 2*y) + src.At(2*x+1, 2*y) + src.At(2*x, 2*y+1) + src.At(2*x+1, 2*y+1)) / 4
			}
		}
		src = half
	}
	out := NewMap(w, h)
	for y := range h {
		sy := (float64(y)+0.5)*float64(src.H)/float64(h) - 0.5
		y0 := int(math.Floor(sy))
		fy := float32(sy - float64(y0))
		for x := range w {
			sx := (float64(x)+0.5)*float64(src.W)/float64(w) - 0.5
			x0 := int(math.Floor(sx))
			fx := float32(sx - float64(x0))
			top := src.At(x0, y0)*(1-fx) + src.At(x0+1, y0)*fx
			low := src.At(x0, y0+1)*(1-fx) + src.At(x0+1, y0+1)*fx
			out.V[y*w+x] = top*(1-fy) + low*fy
		}
	}
	return out
}

// Blurred is the map averaged over squares of 2r+1 pixels, fewer at the borders.
func (m *Map) Blurred(r int) *Map { return m.blurred(r, r) }

// blurred averages over windows of 2rx+1 by 2ry+1 pixels.
func (m *Map) blurred(rx, ry int) *Map {
	across, out := NewMap(m.W, m.H), NewMap(m.W, m.H)
	for y := range m.H {
		slide(m.W, rx, func(i int) float32 { return m.V[y*m.W+i] }, func(i int, v float32) { across.V[y*m.W+i] = v })
	}
	for x := range m.W {
		slide(m.H, ry, func(i int) float32 { return across.V[i*m.W+x] }, func(i int, v float32) { out.V[i*m.W+x] = v })
	}
	return out
}

func slide(n, r int, get func(int) float32, set func(int, float32)) {
	sum, count := 0.0, 0
	for i := 0; i < min(r, n); i++ {
		sum += float64(get(i))
		count++
	}
	for i := range n {
		if i+r < n {
			sum += float64(get(i + r))
			count++
		}
		if i-r-1 >= 0 {
			sum -= float64(get(i - r - 1))
			count--
		}
		set(i, float32(sum/float64(count)))
	}
}

// Plate is a picture as three maps: lightness and the two colour axes of CIE L*a*b*, about 0…100 and ±100.
type Plate [3]*Map

// NewPlate reads an image.
func NewPlate(img *image.NRGBA) Plate {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	p := Plate{NewMap(w, h), NewMap(w, h), NewMap(w, h)}
	var linear [256]float64
	for i := range linear {
		if v := float64(i) / 255; v <= 0.04045 {
			linear[i] = v / 12.92
		} else {
			linear[i] = math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	f := func(t float64) float64 {
		if t > 0.008856 {
			return math.Cbrt(t)
		}
		return 7.787*t + 16.0/116
	}
	for y := range h {
		row := img.Pix[y*img.Stride:]
		for x := range w {
			r, g, b := linear[row[4*x]], linear[row[4*x+1]], linear[row[4*x+2]]
			fx := f((0.4124*r + 0.3576*g + 0.1805*b) / 0.9505)
			fy := f(0.2126*r + 0.7152*g + 0.0722*b)
			fz := f((0.0193*r + 0.1192*g + 0.9505*b) / 1.089)
			i := y*w + x
			p[0].V[i], p[1].V[i], p[2].V[i] = float32(116*fy-16), float32(500*(fx-fy)), float32(200*(fy-fz))
		}
	}
	return p
}

// Resized is the plate in another size.
func (p Plate) Resized(w, h int) Plate {
	return Plate{p[0].Resized(w, h), p[1].Resized(w, h), p[2].Resized(w, h)}
}

// Guided is m smoothed so that its edges are the guide's (He, Sun, Tang): a linear function of the guide in each window
// of 2r+1 pixels. eps is the variance of the guide below which it is taken for flat. m has the size of the guide, or a
// smaller one: then the guide's detail sharpens it up.
func Guided(guide, m *Map, r int, eps float32) *Map {
	g := guide.Resized(m.W, m.H)
	product := func(a, b *Map) *Map {
		out := NewMap(a.W, a.H)
		for i := range out.V {
			out.V[i] = a.V[i] * b.V[i]
		}
		return out
	}
	mean, meanM := g.Blurred(r), m.Blurred(r)
	corr, cross := product(g, g).Blurred(r), product(g, m).Blurred(r)
	a, b := NewMap(m.W, m.H), NewMap(m.W, m.H)
	for i := range a.V {
		a.V[i] = (cross.V[i] - mean.V[i]*meanM.V[i]) / (corr.V[i] - mean.V[i]*mean.V[i] + eps)
		b.V[i] = meanM.V[i] - a.V[i]*mean.V[i]
	}
	a, b = a.Blurred(r).Resized(guide.W, guide.H), b.Blurred(r).Resized(guide.W, guide.H)
	out := NewMap(guide.W, guide.H)
	for i := range out.V {
		out.V[i] = a.V[i]*guide.V[i] + b.V[i]
	}
	return out
}
