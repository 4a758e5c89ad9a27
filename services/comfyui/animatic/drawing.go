// Package animatic paints storyboard frames from the prompt of a text-to-image graph: sky, far, middle and near planes
// with the haze and value of their distance, people and props on a ground plane in perspective.
//
// Shapes are filled with golang.org/x/image/vector: the Go project keeps it, it has no dependencies, and an antialiased
// nonzero fill is all a painter needs whose colours come from functions of the place (gradients, noise, haze), which
// drawing libraries with fixed brushes (fogleman/gg, unmaintained since 2019; tdewolff/canvas, which brings fonts, PDF
// and TeX) don't offer.
//
// Everything is deterministic: equal frames give equal pixels.
package animatic

import (
	"image"
	"math"
	"slices"
)

// Frame says what to paint.
type Frame struct {
	Positive, Negative string
	Seed               uint64
	Steps              int     // more steps, more brush work
	CFG                float64 // more, stronger colours and contrast; 7 is neutral
	Width, Height      int     // px
	// Start is a picture to paint over (image to image), or nil; Strength is how much of the new picture covers it, 0 … 1.
	Start    *image.RGBA
	Strength float64
}

// Drawing is a frame being painted. Call Step(0) to Step(Steps-1), then Image.
type Drawing struct {
	frame  Frame
	scene  scene
	passes []func()
	next   int // pass
	p      *painter
}

// painter is what the parts of a picture share.
type painter struct {
	*canvas
	scene   scene
	light   light
	dice    *dice
	noise   noise
	horizon float64 // units from the top
	eye     float64 // height of the camera above the ground, metres
	lamps   []lamp  // lights to let bloom at the end

	sideTaken int // places that things stand in already
}

type lamp struct {
	x, y, radius float64 // in pixels ÷ scale: after any zoom
	col          rgb
	strength     float64
}

// New reads the prompt and lays out the picture; nothing is painted yet.
func New(f Frame) *Drawing {
	s := read(f.Positive, f.Negative)
	text := newDice("frame", f.Positive, f.Negative, f.Seed, uint64(f.Steps), math.Float64bits(f.CFG))
	if s.place == "" {
		s.place = pick(text, []string{"field", "mountain", "lake", "sea", "forest", "desert"})
	}
	if s.time == "" {
		s.time = pick(text, []string{"dawn", "day", "dusk", "day"})
	}
	c := newCanvas(max(8, f.Width), max(8, f.Height))
	p := &painter{canvas: c, scene: s, dice: text, noise: noise(text.next())}
	p.light = lightOf(s, text)
	d := &Drawing{frame: f, scene: s, p: p}
	d.passes = p.compose()
	return d
}

// Steps is how many steps the drawing takes, at least 1.
func (d *Drawing) Steps() int { return max(1, d.frame.Steps) }

// Step paints the share of step i: first the planes from far to near, then brush strokes over them.
func (d *Drawing) Step(i int) {
	total := len(d.passes)
	share := total
	if n := d.Steps(); n > 1 { // the last third of the steps belongs to the brush
		share = min(total, int(math.Ceil(float64(total)*float64(i+1)/(float64(n)*.67))))
	}
	if i == d.Steps()-1 {
		share = total
	}
	for d.next < share {
		d.passes[d.next]()
		d.next++
	}
	if d.next == total {
		d.p.brush(newDice("brush", uint64(i), d.p.dice.state), 14+400/d.Steps())
	}
}

// Image develops the picture: bloom, grade, grain and vignette.
func (d *Drawing) Image() *image.RGBA {
	d.p.develop(d.frame.CFG)
	img := d.p.image()
	if d.frame.Start != nil && d.frame.Strength < 1 {
		under := d.frame.Start
		for y := 0; y < d.p.h; y++ {
			for x := 0; x < d.p.w; x++ {
				b := under.RGBAAt(under.Rect.Min.X+x*under.Rect.Dx()/d.p.w, under.Rect.Min.Y+y*under.Rect.Dy()/d.p.h)
				o := img.PixOffset(x, y)
				for k, v := range []uint8{b.R, b.G, b.B} {
					img.Pix[o+k] = uint8(lerp(float64(v), float64(img.Pix[o+k]), d.frame.Strength) + .5)
				}
			}
		}
	}
	return img
}

// compose lists the passes of the picture, far to near.
func (p *painter) compose() []func() {
	s := p.scene
	p.horizon, p.eye = unit*p.dice.in(.50, .56), 2.25
	var passes []func()
	add := func(f ...func()) { passes = append(passes, f...) }
	zoom, blur := 1.0, 0.0
	switch s.size {
	case "medium":
		zoom, blur = 1.35, .9
	case "close":
		zoom, blur = 1.9, 2.6
	}
	if len(s.cast) == 0 { // nobody to come close to: come close to the place itself
		blur = 0
	}
	add(func() {
		p.zoom, p.cx, p.cy = zoom, p.width*p.dice.in(.4, .6), p.horizon
		if s.interior && s.place != "cave" {
			p.cy = p.horizon * .9
		}
	})
	add(p.place()...)
	add(p.furnish)
	add(func() { p.zoom = 1; p.blur(blur) })
	if len(s.cast) > 0 {
		add(p.people)
	}
	if !s.interior {
		add(p.foreground, p.weather)
	}
	return passes
}

// place picks the planes of the location.
func (p *painter) place() []func() {
	if slices.Contains(rooms, p.scene.place) {
		return p.room()
	}
	sky := []func(){p.sky, p.clouds}
	switch p.scene.place {
	case "harbour":
		return append(sky, p.farShore, p.sea, p.quay)
	case "sea", "deck":
		return append(sky, p.islands, p.sea, p.shipDeck)
	case "beach":
		return append(sky, p.islands, p.sea, p.sand)
	case "cliff":
		return append(sky, p.islands, p.sea, p.cliff)
	case "forest":
		return append(sky, p.hills, p.forest)
	case "village":
		return append(sky, p.mountains, p.hills, p.meadow, p.village)
	case "city":
		return append(sky, p.skyline, p.street)
	case "desert":
		return append(sky, p.mesas, p.dunes)
	case "mountain":
		return append(sky, p.mountains, p.hills, p.slopes)
	case "snowfield":
		return append(sky, p.mountains, p.snowfield)
	case "space":
		return []func(){p.space}
	case "lake":
		return append(sky, p.mountains, p.hills, p.lake)
	case "castle":
		return append(sky, p.mountains, p.hills, p.meadow, p.castleHill)
	}
	return append(sky, p.mountains, p.hills, p.meadow)
}

// metre is how many units a metre measures at a foot line y.
func (p *painter) metre(y float64) float64 { return math.Max(.5, (y-p.horizon)/p.eye) }

// far is the distance of what stands at foot line y, for haze: 0 at the lower edge, 1 at the horizon.
func (p *painter) far(y float64) float64 {
	t := clamp((y-p.horizon)/(unit-p.horizon), 0.02, 1)
	return clamp(1-math.Pow(t, .55), 0, 1)
}

// shine keeps a light for the end, when it blooms over everything.
func (p *painter) shine(x, y, radius float64, col rgb, strength float64) {
	px, py := p.toPixel(x, y)
	p.lamps = append(p.lamps, lamp{px / p.scale, py / p.scale, radius * p.zoom, col, strength})
}

// textured varies an ink by noise stretched by sx, sy (units), so that a plane has marks that move with it.
func (p *painter) textured(paint ink, sx, sy, amount float64) ink {
	n := p.noise + noise(sx*131+sy*17)
	return func(x, y float64) (rgb, float64) {
		c, a := paint(x, y)
		return c.scale(1 + amount*2*(n.fractal(x/sx, y/sy, 3)-.5)), a
	}
}
