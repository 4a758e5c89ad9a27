package animatic

import "math"

// model is a thing made of shapes that is painted as one: an ink outline round it all, the shapes, and a rim of light
// along the edges that look to the light.
type model struct {
	p      *painter
	shapes []shape
}

type shape struct {
	path path
	ink  ink
}

func (m *model) add(q path, paint ink) { m.shapes = append(m.shapes, shape{q, paint}) }

// paint puts the model into the picture. outline and rim are widths in units; distance is 0 near … 1 far.
func (m *model) paint(outline, rim, distance float64) {
	p := m.p
	cover := make([]float32, p.w*p.h)
	bx0, by0, bx1, by1 := p.w, p.h, 0, 0
	for _, s := range m.shapes {
		x0, y0, x1, y1 := p.cover(s.path)
		for y := y0; y < y1; y++ {
			row := p.mask[(y-y0)*(x1-x0):]
			for x := x0; x < x1; x++ {
				if v := float32(row[x-x0]) / 255; v > cover[y*p.w+x] {
					cover[y*p.w+x] = v
				}
			}
		}
		if x1 > x0 {
			bx0, by0, bx1, by1 = min(bx0, x0), min(by0, y0), max(bx1, x1), max(by1, y1)
		}
	}
	if bx0 >= bx1 {
		return
	}
	r := max(1, int(math.Round(outline*p.zoom*p.scale)))
	dark := p.lit(hex(0x1d1a24), distance, .3)
	strength := float32(.72 * (1 - distance))
	offsets := make([][2]int, 0, 12)
	for i := range 12 {
		s, c := math.Sincos(2 * math.Pi * float64(i) / 12)
		offsets = append(offsets, [2]int{int(math.Round(c * float64(r))), int(math.Round(s * float64(r)))})
	}
	at := func(x, y int) float32 {
		if x < 0 || y < 0 || x >= p.w || y >= p.h {
			return 0
		}
		return cover[y*p.w+x]
	}
	for y := max(0, by0-r); y < min(p.h, by1+r); y++ {
		for x := max(0, bx0-r); x < min(p.w, bx1+r); x++ {
			if at(x, y) >= 1 {
				continue
			}
			var most float32
			for _, o := range offsets {
				most = max(most, at(x+o[0], y+o[1]))
			}
			if most > 0 {
				p.blend(y*p.w+x, dark, most*strength)
			}
		}
	}
	for _, s := range m.shapes {
		p.fill(s.path, s.ink)
	}
	d := max(1, int(math.Round(rim*p.zoom*p.scale)))
	dx, dy := d, -(d+1)/2
	if p.light.side < 0 {
		dx = -d
	}
	edge := p.light.sun.times(p.light.key).scale(1.15)
	if p.scene.interior {
		edge = p.indoors(rgb{1, .95, .85}, 1)
	}
	shine := float32(.55 * (1 - distance))
	for y := by0; y < by1; y++ {
		for x := bx0; x < bx1; x++ {
			i := y*p.w + x
			v := cover[i]
			p.focus[i] = max(p.focus[i], v)
			if v == 0 {
				continue
			}
			if y+dy < 0 || x+dx < 0 || x+dx >= p.w { // the edge of the picture is no edge of the thing
				continue
			}
			if away := v - at(x+dx, y+dy); away > 0 {
				c := rgb{p.pix[3*i], p.pix[3*i+1], p.pix[3*i+2]}
				p.blend(i, c.mix(edge, .55).plus(edge.scale(.12)), away*shine)
			}
		}
	}
}

// lit is how a colour looks at a distance in the light of the scene, outdoors or in.
func (p *painter) lit(c rgb, far, facing float64) rgb {
	if p.scene.interior && p.scene.place != "cave" {
		return p.indoors(c, facing)
	}
	return p.light.tone(c, far, facing)
}

// solid inks a rounded body about x with radius r.
func (p *painter) solid(c rgb, far, x, r float64) ink {
	side := p.light.side
	n := p.noise + noise(r*37)
	return func(px, py float64) (rgb, float64) {
		f := clamp(.5+.5*(px-x)/r*side, 0, 1)
		grain := 1 + .10*(n.fractal(px/(r*.5), py/(r*.8), 2)-.5)
		return p.lit(c.scale(grain), far, .12+.83*f*f*(3-2*f)), 1
	}
}
