package animatic

import (
	"image"
	"math"

	"golang.org/x/image/vector"
)

// unit is the height of every picture in the painter's own units: shapes are placed on a canvas 360 high and as wide
// as the aspect asks, and scaled to pixels when they are filled.
const unit = 360.0

// rgb is a colour in display (sRGB) values, 0 … 1; lights may go above until the picture is developed.
type rgb [3]float32

func hex(v uint32) rgb {
	return rgb{float32(v>>16&255) / 255, float32(v>>8&255) / 255, float32(v&255) / 255}
}

func (c rgb) mix(d rgb, t float64) rgb {
	f := float32(clamp(t, 0, 1))
	return rgb{c[0] + (d[0]-c[0])*f, c[1] + (d[1]-c[1])*f, c[2] + (d[2]-c[2])*f}
}

func (c rgb) scale(f float64) rgb {
	g := float32(f)
	return rgb{c[0] * g, c[1] * g, c[2] * g}
}

func (c rgb) times(d rgb) rgb { return rgb{c[0] * d[0], c[1] * d[1], c[2] * d[2]} }
func (c rgb) plus(d rgb) rgb  { return rgb{c[0] + d[0], c[1] + d[1], c[2] + d[2]} }
func (c rgb) luma() float64 {
	return 0.299*float64(c[0]) + 0.587*float64(c[1]) + 0.114*float64(c[2])
}

func (c rgb) saturate(f float64) rgb {
	l := float32(c.luma())
	return rgb{l, l, l}.mix(c, 0).plus(rgb{(c[0] - l) * float32(f), (c[1] - l) * float32(f), (c[2] - l) * float32(f)})
}

func clamp(v, low, high float64) float64 { return math.Max(low, math.Min(high, v)) }

func smooth(low, high, v float64) float64 {
	t := clamp((v-low)/(high-low), 0, 1)
	return t * t * (3 - 2*t)
}

func lerp(a, b, t float64) float64 { return a + (b-a)*t }

// ink gives the colour and opacity (0 … 1) of a shape at a point in the painter's units.
type ink func(x, y float64) (rgb, float64)

func flat(c rgb) ink { return func(_, _ float64) (rgb, float64) { return c, 1 } }

// vertical runs from top at y0 to bottom at y1.
func vertical(y0, y1 float64, top, bottom rgb) ink {
	return func(_, y float64) (rgb, float64) { return top.mix(bottom, (y-y0)/(y1-y0)), 1 }
}

func (i ink) fade(a float64) ink {
	return func(x, y float64) (rgb, float64) {
		c, b := i(x, y)
		return c, a * b
	}
}

// canvas is the picture being painted: w × h pixels, three float32 each.
type canvas struct {
	w, h  int
	scale float64 // pixels per unit
	width float64 // in units
	pix   []float32
	focus []float32 // how much a pixel belongs to a figure: the brush is finer there

	// zoom about (cx, cy): what is drawn while it is set appears that much nearer
	zoom, cx, cy float64

	mask   []uint8 // scratch
	raster vector.Rasterizer
}

func newCanvas(w, h int) *canvas {
	s := float64(h) / unit
	return &canvas{w: w, h: h, scale: s, width: float64(w) / s, zoom: 1,
		pix: make([]float32, 3*w*h), focus: make([]float32, w*h), mask: make([]uint8, w*h)}
}

func (c *canvas) toPixel(x, y float64) (float64, float64) {
	return ((x-c.cx)*c.zoom + c.cx) * c.scale, ((y-c.cy)*c.zoom + c.cy) * c.scale
}

func (c *canvas) toUnit(px, py float64) (float64, float64) {
	return (px/c.scale-c.cx)/c.zoom + c.cx, (py/c.scale-c.cy)/c.zoom + c.cy
}

func (c *canvas) blend(i int, col rgb, a float32) {
	p := c.pix[3*i : 3*i+3 : 3*i+3]
	p[0] += (col[0] - p[0]) * a
	p[1] += (col[1] - p[1]) * a
	p[2] += (col[2] - p[2]) * a
}

// all lays ink over the whole picture.
func (c *canvas) all(paint ink) {
	for y := 0; y < c.h; y++ {
		for x := 0; x < c.w; x++ {
			ux, uy := c.toUnit(float64(x)+.5, float64(y)+.5)
			col, a := paint(ux, uy)
			if a > 0 {
				c.blend(y*c.w+x, col, float32(a))
			}
		}
	}
}

// fill paints a closed path (several contours are allowed), antialiased.
func (c *canvas) fill(p path, paint ink) {
	x0, y0, x1, y1 := c.cover(p)
	if x0 >= x1 || y0 >= y1 {
		return
	}
	for py := y0; py < y1; py++ {
		row := c.mask[(py-y0)*(x1-x0):]
		for px := x0; px < x1; px++ {
			m := row[px-x0]
			if m == 0 {
				continue
			}
			ux, uy := c.toUnit(float64(px)+.5, float64(py)+.5)
			col, a := paint(ux, uy)
			if a > 0 {
				c.blend(py*c.w+px, col, float32(a)*float32(m)/255)
			}
		}
	}
}

// cover rasterizes a path into c.mask and returns the pixel bounds it covers there.
func (c *canvas) cover(p path) (x0, y0, x1, y1 int) {
	minX, minY, maxX, maxY := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, contour := range p {
		for _, q := range contour {
			x, y := c.toPixel(q.x, q.y)
			minX, maxX = math.Min(minX, x), math.Max(maxX, x)
			minY, maxY = math.Min(minY, y), math.Max(maxY, y)
		}
	}
	x0, y0 = max(0, int(math.Floor(math.Max(minX, -1)))), max(0, int(math.Floor(math.Max(minY, -1))))
	x1, y1 = min(c.w, int(math.Ceil(math.Min(maxX, float64(c.w)+1)))), min(c.h, int(math.Ceil(math.Min(maxY, float64(c.h)+1))))
	if x0 >= x1 || y0 >= y1 || math.IsNaN(minX+maxX+minY+maxY) {
		return 0, 0, 0, 0
	}
	w, h := x1-x0, y1-y0
	c.raster.Reset(w, h)
	for _, contour := range p {
		for i, q := range contour {
			x, y := c.toPixel(q.x, q.y)
			// Far outside, only the direction of an edge matters; the rasterizer overflows on huge coordinates.
			fx := float32(clamp(x-float64(x0), -4*float64(c.w), 5*float64(c.w)))
			fy := float32(clamp(y-float64(y0), -4*float64(c.h), 5*float64(c.h)))
			if i == 0 {
				c.raster.MoveTo(fx, fy)
			} else {
				c.raster.LineTo(fx, fy)
			}
		}
		c.raster.ClosePath()
	}
	m := image.Alpha{Pix: c.mask[:w*h], Stride: w, Rect: image.Rect(0, 0, w, h)}
	clear(m.Pix)
	c.raster.Draw(&m, m.Rect, image.Opaque, image.Point{})
	return x0, y0, x1, y1
}

// line strokes an open polyline with round ends; width is in units and may change along it (t is 0 … 1).
func (c *canvas) line(points []pt, width func(t float64) float64, paint ink) {
	if len(points) < 2 {
		return
	}
	var p path
	n := float64(len(points) - 1)
	for i := 0; i+1 < len(points); i++ {
		a, b := points[i], points[i+1]
		p = append(p, capsule(a, b, width(float64(i)/n)/2, width(float64(i+1)/n)/2))
	}
	c.fill(p, paint)
}

func even(w float64) func(float64) float64 { return func(float64) float64 { return w } }

// tapered is a brush line: thin at both ends.
func tapered(w float64) func(float64) float64 {
	return func(t float64) float64 { return w * (0.25 + 0.75*math.Sin(math.Pi*clamp(t, 0, 1))) }
}

// glow adds light around a point, falling off to nothing at radius.
func (c *canvas) glow(x, y, radius float64, col rgb, strength float64) {
	px, py := c.toPixel(x, y)
	r := radius * c.scale * c.zoom
	for iy := max(0, int(py-r)); iy < min(c.h, int(py+r)+1); iy++ {
		for ix := max(0, int(px-r)); ix < min(c.w, int(px+r)+1); ix++ {
			d := math.Hypot(float64(ix)+.5-px, float64(iy)+.5-py) / r
			if d >= 1 {
				continue
			}
			f := float32(strength * (1 - d) * (1 - d) * (1 - d*0.3))
			p := c.pix[3*(iy*c.w+ix):]
			for k := range 3 {
				v := col[k] * f
				p[k] += v * (1.15 - min(1, p[k])*0.75)
			}
		}
	}
}

// blur softens the picture by a radius in units, as a lens does what is out of focus (three box passes are close to a
// Gaussian).
func (c *canvas) blur(radius float64) {
	r := int(math.Round(radius * c.scale))
	if r < 1 {
		return
	}
	line := make([]float32, 3*max(c.w, c.h))
	for range 2 {
		for y := 0; y < c.h; y++ {
			boxBlur(c.pix[3*y*c.w:], 3, c.w, r, line)
		}
		for x := 0; x < c.w; x++ {
			boxBlur(c.pix[3*x:], 3*c.w, c.h, r, line)
		}
	}
}

func boxBlur(pix []float32, stride, n, r int, line []float32) {
	norm := 1 / float32(2*r+1)
	for k := range 3 {
		at := func(i int) float32 { return pix[min(max(i, 0), n-1)*stride+k] }
		var sum float32
		for i := -r; i <= r; i++ {
			sum += at(i)
		}
		for i := 0; i < n; i++ {
			line[i] = sum * norm
			sum += at(i+r+1) - at(i-r)
		}
		for i := 0; i < n; i++ {
			pix[i*stride+k] = line[i]
		}
	}
}

// image converts to 8 bits.
func (c *canvas) image() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, c.w, c.h))
	for i := 0; i < c.w*c.h; i++ {
		for k := range 3 {
			img.Pix[4*i+k] = uint8(clamp(float64(c.pix[3*i+k]), 0, 1)*255 + .5)
		}
		img.Pix[4*i+3] = 255
	}
	return img
}
