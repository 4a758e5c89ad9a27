package animatic

import (
	"math"
	"slices"
)

// ridge is a skyline of land from x0 to x1, rising up to height above base, with crags about step wide.
func (p *painter) ridge(x0, x1, base, height, step float64, c rgb, far float64) {
	n := p.noise + noise(far*1000) + noise(step)
	points := []float64{x0, base}
	shift := p.dice.in(0, 50)
	for x := x0; x <= x1; x += 3 {
		edge := smooth(0, .25, (x-x0)/(x1-x0)) * smooth(0, .25, (x1-x)/(x1-x0))
		points = append(points, x, base-height*edge*(.25+.75*n.fractal(x/step+shift, far*31, 5)))
	}
	points = append(points, x1, base)
	l := p.light
	p.fill(poly(points...), func(x, y float64) (rgb, float64) {
		facing := .5 + .9*(n.fractal(x/(step*.22)+shift, y/(step*.3), 3)-.5)
		t := l.tone(c, far, facing)
		return t.mix(l.haze, .45*l.thick*smooth(base-height, base, y)), 1
	})
}

// mountains are two ranges, the nearer one with sunlit and shaded faces and snow.
func (p *painter) mountains() {
	p.range_(p.dice.in(70, 96), 150, hex(0x77859c), .90)
	p.range_(p.dice.in(46, 74), 110, hex(0x64748a), .72)
}

func (p *painter) range_(height, step float64, c rgb, far float64) {
	n := p.noise + noise(far*5000)
	l, base := p.light, p.horizon+4
	top := func(x float64) float64 {
		return base - height*(.12+.95*n.ridged(x/step, far*7, 5))
	}
	points := []float64{-p.width, base}
	for x := -p.width; x <= 2*p.width; x += 2 {
		points = append(points, x, top(x))
	}
	points = append(points, 2*p.width, base)
	p.fill(poly(points...), func(x, y float64) (rgb, float64) {
		// A face looks to the light where the ground falls away from it; folds follow the noise of the ridge.
		bend := x + 16*(n.fractal(x/38, y/26, 3)-.5)
		slope := (top(bend+3) - top(bend-3)) / 6
		facing := clamp(.45-slope*l.side*1.3, 0, 1)
		col := c
		snow := smooth(.50, .78, (base-y)/height+.30*(n.fractal(x/9, y/9, 3)-.5))
		col = col.mix(hex(0xf2f4f6), snow*.9)
		t := l.tone(col, far, facing)
		return t.mix(l.haze, .6*l.thick*smooth(base-height*.6, base, y)), 1
	})
}

// hills roll one behind the other, with woods on them.
func (p *painter) hills() {
	green := hex(0x6b8250)
	if p.scene.weather == "snow" {
		green = hex(0xc9d2dc)
	}
	for i, far := range []float64{.72, .58, .46} {
		base := p.horizon + 5 + float64(i)*11
		height := 30 - float64(i)*4
		n := p.noise + noise(i*313)
		l := p.light
		top := func(x float64) float64 { return base - height*n.at(x/(150-float64(i)*20), float64(i)*9.3) }
		points := []float64{-p.width, unit}
		for x := -p.width; x <= 2*p.width; x += 6 {
			points = append(points, x, top(x))
		}
		points = append(points, 2*p.width, unit)
		c := green.scale(1 - .1*float64(i))
		for x := -p.width * .3; x < p.width*1.3; x += p.dice.in(5, 9) { // a wood along the crest
			if n.at(x/60+40, 7) > .55 {
				r := p.dice.in(3, 7) * (1 + float64(i)*.3)
				p.fill(ellipse(x, top(x)-r*.4, r, r*p.dice.in(.8, 1.3)), flat(l.tone(hex(0x44583c), far+.05, p.dice.in(.2, .6))))
			}
		}
		p.fill(poly(points...), p.textured(func(x, y float64) (rgb, float64) {
			return l.tone(c, far, .75-.4*smooth(top(x), top(x)+height*1.3, y)), 1
		}, 40, 6, .22))
	}
}

// ground inks a plane that comes towards the viewer; its marks widen with perspective.
func (p *painter) ground(c rgb, far float64) ink {
	l, h := p.light, p.horizon
	n := p.noise + 811
	return func(x, y float64) (rgb, float64) {
		t := clamp((y-h)/(unit-h), .02, 1.4)
		z := 1 / t
		mark := n.fractal((x-p.width/2)*z*.02, z*3.2, 4) - .5
		fine := (n+3).at((x-p.width/2)*z*.22, z*24) - .5
		return l.tone(c.scale(1+.42*mark+.20*fine), clamp(1-math.Pow(t, .6), 0, 1)*.85+far*.1, .62+.3*mark), 1
	}
}

func (p *painter) meadow() {
	c := hex(0x7c8c48)
	if p.scene.weather == "snow" {
		c = hex(0xdfe5ec)
	}
	p.fill(rect(-p.width, p.horizon+24, 3*p.width, unit), p.ground(c, 0))
	// a path that winds towards the hills
	l := p.light
	var left, right []pt
	x, sway := p.width*p.dice.in(.4, .6), p.dice.in(20, 60)*l.side
	for i := range 26 {
		t := float64(i) / 25
		y := lerp(p.horizon+27, unit+20, t*t)
		m := p.metre(y)
		cx := x + sway*math.Sin(t*4.2)*(.25+t) + (t-.3)*p.width*.12
		left, right = append(left, pt{cx - m*.9, y}), append([]pt{{cx + m*.9, y}}, right...)
	}
	p.fill(polygon(append(left, right...)...), p.ground(hex(0xb69c73), 0))
	if p.scene.weather != "snow" {
		p.grass(p.horizon+60, unit+10, c, 420)
	}
}

// grass sets tufts between two foot lines, far to near.
func (p *painter) grass(y0, y1 float64, c rgb, count int) {
	l := p.light
	for i := range count {
		t := float64(i) / float64(count)
		y := lerp(y0, y1, t*t*.6+t*.4)
		m := p.metre(y)
		x := p.dice.in(-.3, 1.3) * p.width
		col := l.tone(c.mix(hex(0xc9b560), p.dice.float()*.5).scale(p.dice.in(.5, 1.0)), p.far(y), p.dice.in(.3, .9))
		for range 2 {
			lean := p.dice.swing(.14) * m
			p.line([]pt{{x, y}, {x + lean*.4, y - m*.14}, {x + lean, y - m*p.dice.in(.2, .34)}},
				func(t float64) float64 { return m * .05 * (1.1 - t) }, flat(col).fade(.8))
		}
	}
}

// forest stands in rows: pale trunks far off, dark ones near, with light between them.
func (p *painter) forest() {
	l := p.light
	floor := hex(0x5a5a38)
	if p.scene.weather == "snow" {
		floor = hex(0xd6dde6)
	}
	p.fill(rect(-p.width, p.horizon-130, 3*p.width, 160), func(x, y float64) (rgb, float64) {
		d := math.Hypot(x-p.width*l.sunX, (y-p.horizon+30)*1.3)
		return l.haze.mix(l.tone(hex(0x44603c), .6, .5), .45).mix(l.low, .6*math.Exp(-d/120)), .85 * smooth(p.horizon-130, p.horizon-40, y)
	})
	p.fill(rect(-p.width, p.horizon+3, 3*p.width, unit), p.ground(floor, 0))
	for row := range 5 {
		y := p.horizon + 5 + 6*math.Pow(1.95, float64(row))
		m, far := p.metre(y), clamp(.86-.2*float64(row), 0, 1)
		for x := -p.width * .4; x < p.width*1.4; x += m * p.dice.in(1.6, 4.2) {
			if row > 2 && math.Abs(x-p.width/2) < p.width*.24 { // the clearing where the scene plays
				continue
			}
			p.trunk(x, y+p.dice.swing(3), m, far)
		}
		if row == 2 { // shafts of light
			for range 4 {
				x := p.dice.in(.1, .9) * p.width
				w := p.dice.in(14, 34)
				lean := -l.side * 90
				p.fill(poly(x, -20, x+w, -20, x+w+lean, p.horizon+60, x+lean-w*.4, p.horizon+60), func(_, y float64) (rgb, float64) {
					return l.sun, .13 * l.key.luma() * (1 - smooth(-20, p.horizon+50, y))
				})
			}
		}
	}
	p.grass(p.horizon+40, unit+12, floor.mix(hex(0x5f7a3a), .6), 420)
	p.canopy()
}

func (p *painter) trunk(x, y, m, far float64) {
	l := p.light
	c := l.tone(hex(0x6a5340), far, .45)
	w, tall := m*p.dice.in(.28, .5), m*p.dice.in(8, 13)
	lean := p.dice.swing(.05) * tall
	trunk := poly(x-w*.75, y, x-w*.42, y-w*1.4, x-w*.3+lean, y-tall, x+w*.3+lean, y-tall, x+w*.42, y-w*1.4, x+w*.8, y)
	p.fill(trunk, p.textured(p.round(c, x, w*.5), w*.3, w*2.2, .3))
	leaf := hex(0x4a6a38)
	if p.scene.weather == "snow" {
		leaf = hex(0x8a96a0)
	}
	for range 7 {
		r := m * p.dice.in(.7, 1.5)
		p.leaves(x+lean*.7+p.dice.swing(m*2.2), y-tall*p.dice.in(.50, 1.0), r, l.tone(leaf, far, p.dice.in(.2, .8)))
	}
}

// leaves is one clump of foliage with a ragged edge.
func (p *painter) leaves(x, y, r float64, c rgb) {
	var points []float64
	for i := range 11 {
		s, co := math.Sincos(2 * math.Pi * float64(i) / 11)
		k := r * p.dice.in(.72, 1.15)
		points = append(points, x+co*k*1.15, y+s*k*.8)
	}
	lift := p.light.side
	p.fill(curve(points...), p.textured(func(px, py float64) (rgb, float64) {
		f := clamp(.5+.5*((px-x)*lift*.5-(py-y))/r, 0, 1)
		return c.scale(.72 + .5*f), 1
	}, r*.3, r*.25, .35))
}

// canopy closes the upper edge with leaves near the viewer.
func (p *painter) canopy() {
	c := p.light.tone(hex(0x34502c), 0, .12)
	for i := range 26 {
		x := float64(i)/25*p.width*1.3 - p.width*.15
		edge := math.Abs(x/p.width-.5) * 2
		p.leaves(x, p.dice.in(-16, 4)+26*edge*edge, p.dice.in(18, 34), c.scale(p.dice.in(.8, 1.2)))
	}
}

func (p *painter) mesas() {
	for range 4 {
		x, w, hgt := p.dice.in(-.1, 1.1)*p.width, p.dice.in(30, 85), p.dice.in(18, 52)
		far := p.dice.in(.70, .9)
		base := p.horizon + 3
		l := p.light
		p.fill(poly(x-w*1.25, base, x-w*.9, base-hgt*.45, x-w*.8, base-hgt, x-w*.2, base-hgt*p.dice.in(.9, 1.05), x+w*.7, base-hgt*p.dice.in(.85, 1), x+w*.85, base-hgt*.4, x+w*1.3, base),
			p.textured(func(px, py float64) (rgb, float64) {
				band := .85 + .3*p.noise.at(2, py/3.4)
				return l.tone(hex(0xb3663f).scale(band), far, clamp(.5+.6*(px-x)/w*l.side, 0, 1)), 1
			}, 7, 40, .2))
	}
}

func (p *painter) dunes() {
	l := p.light
	sand := hex(0xd9a866)
	p.fill(rect(-p.width, p.horizon+1, 3*p.width, unit), p.ground(sand, .3))
	for i := range 5 {
		t := float64(i) / 4
		base := lerp(p.horizon+10, unit*.93, t*t)
		height := lerp(12, 62, t)
		step := lerp(90, 330, t)
		far := lerp(.62, .05, math.Sqrt(t))
		n := p.noise + noise(i*97)
		crest := func(x float64) float64 {
			v := n.at(x/step, float64(i)*3.1)
			return base - height*v*v*1.3
		}
		points := []float64{-p.width, 2 * unit}
		for x := -p.width; x <= 2*p.width; x += 5 {
			points = append(points, x, crest(x))
		}
		points = append(points, 2*p.width, 2*unit)
		p.fill(poly(points...), func(x, y float64) (rgb, float64) {
			slope := (crest(x+4) - crest(x-4)) / 8
			down := (y - crest(x)) / (height + 8)
			facing := clamp(.55-slope*l.side*2.6-.25*down, 0, 1)
			wind := math.Sin(y*lerp(1.5, .45, t) + 14*n.fractal(x/70, y/50, 2))
			ripple := .97 + lerp(.02, .06, t)*wind*n.at(x/55, y/40+7)
			return l.tone(sand.scale(ripple*(.94+.12*n.fractal(x/9, y/6, 2))), far, facing), 1
		})
	}
}

// slopes is a mountain path over rock and grass.
func (p *painter) slopes() {
	rock := hex(0x7d7a76)
	if p.scene.weather == "snow" {
		rock = hex(0xd4dbe4)
	}
	p.ridge(-p.width, 2*p.width, p.horizon+60, 74, 130, rock, .34)
	p.fill(rect(-p.width, p.horizon+52, 3*p.width, unit), p.ground(rock.mix(hex(0x6f7a4a), .35), 0))
	for i := range 34 {
		t := float64(i) / 33
		y := lerp(p.horizon+56, unit+6, t)
		x := p.dice.in(-.2, 1.2) * p.width
		if t > .35 && math.Abs(x-p.width/2) < p.width*.2 {
			continue
		}
		p.rock(x, y, p.metre(y)*p.dice.in(.2, .9), rock)
	}
}

func (p *painter) rock(x, y, r float64, c rgb) {
	l := p.light
	far := p.far(y)
	var points []float64
	for i := range 9 {
		s, co := math.Sincos(2*math.Pi*float64(i)/9 + .3)
		k := r * p.dice.in(.75, 1.15)
		points = append(points, x+co*k*1.3, y-r*.35+math.Min(s*k*.75, r*.36))
	}
	p.shadow(x, y, r*1.5, r*.25)
	p.fill(poly(points...), p.textured(func(px, py float64) (rgb, float64) {
		facing := clamp(.5+.55*((px-x)*l.side*.8-(py-y+r*.4))/r, 0, 1)
		return l.tone(c, far, facing), 1
	}, r*.4, r*.3, .3))
}

func (p *painter) snowfield() {
	p.fill(rect(-p.width, p.horizon+2, 3*p.width, unit), p.ground(hex(0xe6edf4), 0))
	for i := range 7 {
		t := float64(i) / 6
		y := lerp(p.horizon+8, unit, t*t)
		x := p.dice.in(-.1, 1.1) * p.width
		p.rock(x, y, p.metre(y)*p.dice.in(.4, 1.5), hex(0xc3d6e6))
	}
}

// cliff is a headland that falls to the sea on the side away from the light, with grass on top.
func (p *painter) cliff() {
	l := p.light
	side := -l.side
	at := func(t float64) float64 { return p.width/2 + side*(t-.5)*p.width } // 0: sea side, 1: land side
	stone, turf := hex(0x8a7a68), hex(0x788a4a)
	if p.scene.weather == "snow" {
		turf = hex(0xdfe5ec)
	}
	n := p.noise + 67
	var top []pt
	for i := range 40 {
		t := .30 + 1.2*float64(i)/39
		rise := 92 * smooth(.28, .92, t)
		top = append(top, pt{at(t), p.horizon + 66 - rise + 6*(n.fractal(t*9, 2, 3)-.5)})
	}
	body := append([]pt{}, top...)
	body = append(body, pt{at(2), unit * 2}, pt{at(.10), unit * 2}, pt{at(.19), unit * .9}, pt{at(.25), p.horizon + 96}, pt{at(.27), p.horizon + 78})
	p.fill(polygon(body...), func(x, y float64) (rgb, float64) {
		strata := .80 + .36*n.at(x/60, y/5) + .2*(n.fractal(x/12, y/16, 3)-.5)
		return l.tone(stone.scale(strata), .28-.2*smooth(p.horizon, unit, y), clamp(.42+.5*(n.fractal(x/22, y/40, 3)-.5), 0, 1)), 1
	})
	cap := append([]pt{}, top...)
	for i := len(top) - 1; i >= 0; i-- {
		q := top[i]
		t := float64(i) / float64(len(top)-1)
		cap = append(cap, pt{q.x - side*10*(1-t), q.y + 8 + 240*t*smooth(0, .5, t) + 10*n.at(t*23, 5)})
	}
	p.fill(polygon(cap...), p.ground(turf, .2))
	p.fill(rect(-p.width, unit*.90, 3*p.width, unit), p.ground(turf.scale(.9), 0))
	p.grass(unit*.88, unit+14, turf, 300)
	if slices.Contains(p.scene.props, "lighthouse") {
		p.lighthouse(at(.86), p.horizon-8, 8.2, .3)
	}
}

func (p *painter) castleHill() {
	p.castle(p.width*p.dice.in(.42, .62), p.horizon+8, 7, .5)
}
