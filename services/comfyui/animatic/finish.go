package animatic

import "math"

// foreground frames the picture with something dark and near, as storyboards do to give depth.
func (p *painter) foreground() {
	if p.scene.size == "close" || p.scene.place == "sea" && len(p.scene.cast) > 0 {
		return
	}
	l := p.light
	side := -l.side
	edge := p.width * (.5 + side*.5)
	switch p.scene.place {
	case "forest", "field", "village", "lake", "castle", "cliff":
		c := l.tone(hex(0x2c3a24), 0, .10)
		for range 16 {
			p.leaves(edge-side*p.dice.in(-12, 96), p.dice.in(-22, 34), p.dice.in(13, 27), c.scale(p.dice.in(.8, 1.25)))
		}
		for range 46 * int(boolTo(p.scene.weather != "snow")) {
			x := p.dice.in(-.02, 1.02) * p.width
			tall := p.dice.in(12, 34) * (.45 + math.Abs(x/p.width-.5)*1.4)
			lean := p.dice.swing(9)
			p.line([]pt{{x, unit + 4}, {x + lean*.3, unit - tall*.6}, {x + lean, unit - tall}}, func(t float64) float64 { return 2.6 * (1.05 - t) }, flat(c))
		}
	case "harbour":
		c := l.tone(hex(0x4a3a30), 0, .18)
		x := edge - side*p.width*.035
		d := &model{p: p}
		d.add(rect(x-12, unit*.50, 24, unit), p.textured(p.solid(c, 0, x, 13), 4, 26, .4))
		d.add(ellipse(x, unit*.50, 12, 4), flat(c.scale(1.2)))
		for i := range 4 {
			d.add(limb([]pt{{x - 12.5, unit*.58 + float64(i)*4}, {x, unit*.58 + 3 + float64(i)*4}, {x + 12.5, unit*.58 + float64(i)*4}}, 2), p.solid(hex(0xb09a6a).scale(.55), 0, x, 13))
		}
		d.paint(1, 2, 0)
	case "beach", "desert", "mountain", "snowfield", "sea", "space":
		c := map[string]rgb{"beach": hex(0x8a7452), "desert": hex(0x9a6a3c), "snowfield": hex(0x9fb2c4), "space": hex(0x6a686e)}[p.scene.place]
		if c == (rgb{}) {
			c = hex(0x5a5650)
		}
		for i := range 4 {
			p.rock(edge-side*p.dice.in(-10, 70)*float64(i%2+1)*.7, unit+p.dice.in(0, 10), p.dice.in(20, 44), c.scale(.62))
		}
	}
}

// brush lays strokes of paint over the picture: each takes the colour where it starts, a little lighter or darker, and
// runs along what is there, not across it. Figures get finer strokes.
func (p *painter) brush(d *dice, strokes int) {
	for range strokes {
		x, y := d.n(p.w), d.n(p.h)
		i := y*p.w + x
		detail := p.focus[i]
		if detail > .5 && d.chance(.6) {
			continue
		}
		gx := p.lumaAt(x+2, y) - p.lumaAt(x-2, y)
		gy := p.lumaAt(x, y+2) - p.lumaAt(x, y-2)
		strength := math.Hypot(gx, gy)
		angle := math.Atan2(gy, gx) + math.Pi/2
		if strength < .012 {
			angle = d.swing(.5)
		}
		long := d.in(4, 11) * p.scale
		thick := d.in(.7, 1.9) * p.scale
		if detail > .5 {
			long, thick = long*.4, thick*.5
		}
		c := rgb{p.pix[3*i], p.pix[3*i+1], p.pix[3*i+2]}.scale(1 + d.swing(.075))
		p.dab(float64(x), float64(y), long, thick, angle, c, float32(d.in(.25, .55)))
	}
}

func (p *painter) lumaAt(x, y int) float64 {
	i := min(max(y, 0), p.h-1)*p.w + min(max(x, 0), p.w-1)
	return rgb{p.pix[3*i], p.pix[3*i+1], p.pix[3*i+2]}.luma()
}

// dab is one stroke in pixels: an ellipse of half axes long and thick with a soft edge.
func (p *painter) dab(x, y, long, thick, angle float64, c rgb, alpha float32) {
	sin, cos := math.Sincos(angle)
	for py := max(0, int(y-long)); py <= min(p.h-1, int(y+long)); py++ {
		for px := max(0, int(x-long)); px <= min(p.w-1, int(x+long)); px++ {
			dx, dy := float64(px)-x, float64(py)-y
			u, v := (dx*cos+dy*sin)/long, (dy*cos-dx*sin)/thick
			if r := u*u + v*v; r < 1 {
				p.blend(py*p.w+px, c, alpha*float32(math.Min(1, 2.5*(1-r))))
			}
		}
	}
}

// develop lets the lights bloom, grades the picture and gives it grain. cfg sets how strong colour and contrast are.
func (p *painter) develop(cfg float64) {
	for _, l := range p.lamps {
		p.glow(l.x, l.y, l.radius, l.col, l.strength*.6)
	}
	p.lamps = nil
	strength := clamp(cfg/7, .3, 2.2)
	contrast, colour := float32(lerp(.90, 1.09, strength/2+.05)), lerp(.80, 1.14, strength/2+.1)
	if p.scene.grey {
		colour = 0
	}
	grain := p.noise + 999
	tint := map[string]rgb{"tense": {.97, 1.0, .98}, "sad": {.95, .98, 1.04}, "joyful": {1.03, 1.01, .97}, "wonder": {1.0, .99, 1.03}, "calm": {1.01, 1, .99}}[p.scene.mood]
	for y := 0; y < p.h; y++ {
		v := float64(y)/float64(p.h) - .5
		for x := 0; x < p.w; x++ {
			u := float64(x)/float64(p.w) - .5
			i := y*p.w + x
			c := rgb{p.pix[3*i], p.pix[3*i+1], p.pix[3*i+2]}.saturate(colour).times(tint)
			// paper tooth at two scales: what holds still on the plane for a tracker to follow
			paper := grain.at(float64(x)/p.scale*.55, float64(y)/p.scale*.55)*.6 + grain.corner(int32(x), int32(y))*.4 - .5
			vignette := float32(1 - .42*smooth(.32, .95, u*u*2.2+v*v*2.4))
			k := (1 + float32(paper)*.07) * vignette
			for ch := range 3 {
				w := (c[ch]-.46)*contrast + .46
				w = w*k + float32(paper)*.010
				if w > .82 { // roll highlights off instead of clipping them
					w = .82 + .18*float32(math.Tanh(float64(w-.82)/.18))
				}
				p.pix[3*i+ch] = max(0, w)
			}
		}
	}
}
