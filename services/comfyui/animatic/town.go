package animatic

import "math"

// round shades a shape as a cylinder standing at x with radius r: lit on the side of the light.
func (p *painter) round(c rgb, x, r float64) ink {
	side := p.light.side
	return func(px, _ float64) (rgb, float64) {
		f := clamp(.5+.5*(px-x)/r*side, 0, 1)
		return c.scale(.66 + .5*f), 1
	}
}

// shadow lies on the ground under a thing, drawn out away from the light.
func (p *painter) shadow(x, y, rx, ry float64) {
	shift := -p.light.side * rx * .35
	p.fill(ellipse(x+shift, y, rx*1.15, ry), flat(p.light.shade.scale(.25)).fade(.42))
}

// house is a small gabled house with foot line y; m is units to a metre.
func (p *painter) house(x, y, m, far float64) {
	l := p.light
	w, tall := m*p.dice.in(.8, 1.3), m*p.dice.in(.7, 1.1)
	wall := pick(p.dice, []rgb{hex(0xd8cbb2), hex(0xc9a27e), hex(0xb8c0c4), hex(0xc88f72), hex(0xe0d6c6)})
	roof := pick(p.dice, []rgb{hex(0x8a4a3c), hex(0x6b5a58), hex(0x74503c), hex(0x566070)})
	if p.scene.weather == "snow" {
		roof = hex(0xe4e9ef)
	}
	facing := .45 + .25*l.side
	p.fill(rect(x-w, y-tall, 2*w, tall+.6), p.textured(flat(l.tone(wall, far, facing)), m*.4, m*.3, .14))
	p.fill(rect(x-w*.1, y-tall, w*1.1, tall+.6), flat(l.tone(wall, far, 1-facing)).fade(.55))
	ridge := m * p.dice.in(.5, .85)
	p.fill(poly(x-w*1.14, y-tall, x-w*.85, y-tall-ridge, x+w*.85, y-tall-ridge, x+w*1.14, y-tall), p.textured(flat(l.tone(roof, far, .6)), m*.7, m*.09, .3))
	p.fill(rect(x+w*.3, y-tall-ridge*1.4, w*.22, ridge*.8), flat(l.tone(hex(0x7d5648), far, .4)))
	for _, u := range []float64{-.62, .02, .5} {
		window := l.tone(hex(0x3b4656), far, .5)
		lit := l.dark && p.dice.chance(.65)
		if lit {
			window = hex(0xffcf7a).mix(l.haze, far*.35)
		}
		p.fill(rect(x+u*w, y-tall*.75, w*.26, tall*.34), flat(window))
		if lit && m > 7 {
			p.shine(x+u*w+w*.13, y-tall*.6, m*1.1, rgb{1, .7, .32}, .22)
		}
	}
	if m > 9 {
		p.fill(rect(x-w*.28, y-tall*.62, w*.22, tall*.64), flat(l.tone(hex(0x5b4030), far, .4)))
	}
}

func (p *painter) village() {
	for row := range 3 {
		y := p.horizon + 26 + float64(row*row)*9
		m := p.metre(y) * 3.1
		far := p.far(y)
		for x := -p.width * .25; x < p.width*1.25; x += m * p.dice.in(2.2, 3.6) {
			if row == 2 && math.Abs(x-p.width/2) < p.width*.26 {
				continue
			}
			p.house(x, y+p.dice.in(0, 4), m*p.dice.in(.85, 1.15), far)
		}
		if row == 0 {
			p.tower(p.width*p.dice.in(.3, .7), y, m*1.0, far)
		}
	}
}

// tower is a church or clock tower with a spire.
func (p *painter) tower(x, y, m, far float64) {
	l := p.light
	w, tall := m*.55, m*3.2
	stone := l.tone(hex(0xb6ab98), far, .6)
	p.fill(rect(x-w, y-tall, 2*w, tall), p.textured(p.round(stone, x, w*1.6), m*.3, m*.2, .16))
	p.fill(poly(x-w*1.2, y-tall, x, y-tall-m*1.9, x+w*1.2, y-tall), p.round(l.tone(hex(0x5b6470), far, .6), x, w*1.4))
	p.fill(ellipse(x, y-tall*.82, w*.5, w*.5), flat(l.tone(hex(0xf0e6cc), far, .9)))
	p.line([]pt{{x, y - tall*.82}, {x, y - tall*.82 - w*.36}}, even(w*.1), flat(l.tone(hex(0x333333), far, .5)))
	p.line([]pt{{x, y - tall*.82}, {x + w*.26, y - tall*.82}}, even(w*.1), flat(l.tone(hex(0x333333), far, .5)))
}

// skyline is a far and a middle row of city blocks.
func (p *painter) skyline() {
	for row, far := range []float64{.88, .70} {
		for x := -p.width * .3; x < p.width*1.3; {
			w := p.dice.in(14, 34) * (1 + .3*float64(row))
			tall := p.dice.in(40, 150) * (1 - .25*float64(row))
			p.block(x, p.horizon+6, w, tall, far)
			x += w * p.dice.in(.8, 1.25)
		}
	}
}

// block is one building front with rows of windows.
func (p *painter) block(x, y, w, tall, far float64) {
	l := p.light
	c := pick(p.dice, []rgb{hex(0x8892a0), hex(0x9a8b80), hex(0x74808c), hex(0xa09a90), hex(0x8c7468)})
	p.fill(rect(x, y-tall, w, tall), p.textured(func(_, py float64) (rgb, float64) {
		return l.tone(c, far, .55).mix(l.haze, .35*l.thick*smooth(y-tall, y, py)), 1
	}, 9, 16, .16))
	shadow := x
	if l.side < 0 {
		shadow = x + w*.6
	}
	p.fill(rect(shadow, y-tall, w*.4, tall), flat(l.shade.scale(.3)).fade(.25*(1-far*.6)))
	size := lerp(4.4, 2.1, far)
	for wy := y - tall + size*1.4; wy < y-size; wy += size * 1.9 {
		for wx := x + size*.8; wx < x+w-size; wx += size * 1.6 {
			if l.dark && p.dice.chance(.42) {
				p.fill(rect(wx, wy, size*.8, size), flat(pick(p.dice, []rgb{hex(0xffd58a), hex(0xffc069), hex(0xe8e6d2)}).mix(l.haze, far*.4)).fade(.9))
			} else {
				p.fill(rect(wx, wy, size*.8, size), flat(l.tone(hex(0x3e4a5a), far, .6)).fade(.5))
			}
		}
	}
}

// street runs between two rows of houses to a vanishing point.
func (p *painter) street() {
	l := p.light
	vx, h := p.width*p.dice.in(.44, .56), p.horizon
	road := hex(0x6f6d70)
	wet := p.scene.weather == "rain" || p.scene.weather == "storm"
	p.fill(rect(-p.width, h+4, 3*p.width, unit), func(x, y float64) (rgb, float64) {
		c, a := p.ground(road, 0)(x, y)
		if wet {
			t := (y - h) / (unit - h)
			c = c.mix(l.low, .35*p.noise.fractal(x/30, y/9, 2)*(1-.5*t))
		}
		return c, a
	})
	for _, side := range []float64{-1, 1} {
		// pavement
		p.fill(poly(vx+side*4, h+5, vx+side*.46*p.width*1.9, unit*1.1, vx+side*p.width*2, unit*1.1, vx+side*14, h+5), p.ground(hex(0x96908a), 0))
		// fronts, far to near: x follows 1/z towards the vanishing point
		for i := 7; i >= 0; i-- {
			z0, z1 := 1+float64(i)*.75, 1+float64(i+1)*.75
			reach := p.width * .56
			xn, xf := vx+side*reach/z0*1.15, vx+side*reach/z1*1.15
			far := clamp(.12+float64(i)*.1, 0, .85)
			base := func(z float64) float64 { return h + (unit*.86-h)/z }
			up := p.dice.in(200, 300)
			roof := func(z float64) float64 { return h - up/z }
			c := pick(p.dice, []rgb{hex(0xa87c62), hex(0xb09a80), hex(0x8a8c90), hex(0x9c6a58), hex(0xbfae96), hex(0x7f8a88)})
			facing := .35 - .25*side*l.side
			p.fill(poly(xn, base(z0), xf, base(z1), xf, roof(z1), xn, roof(z0)), p.textured(func(x, y float64) (rgb, float64) {
				return l.tone(c, far, facing), 1
			}, 14/z0, 8/z0, .22))
			for floor := range 5 {
				for col := range 3 {
					za, zb := lerp(z0, z1, (float64(col)+.25)/3), lerp(z0, z1, (float64(col)+.75)/3)
					y := func(z, f float64) float64 { return lerp(base(z), roof(z), f) }
					f0, f1 := (float64(floor)+.30)/5.2, (float64(floor)+.80)/5.2
					xa, xb := vx+side*reach/za*1.15, vx+side*reach/zb*1.15
					window := l.tone(hex(0x33404f), far, .6)
					if l.dark && p.dice.chance(.5) {
						window = pick(p.dice, []rgb{hex(0xffcf80), hex(0xffb65c), hex(0xf2e2b8)}).mix(l.haze, far*.4)
						if floor == 0 {
							p.shine((xa+xb)/2, y(za, (f0+f1)/2), 38/za, rgb{1, .68, .34}, .30)
						}
					}
					p.fill(poly(xa, y(za, f0), xb, y(zb, f0), xb, y(zb, f1), xa, y(za, f1)), flat(window))
				}
			}
		}
		for i := 3; i >= 0; i-- {
			z := 1.35 + float64(i)*1.1
			p.lamppost(vx+side*p.width*.40/z, h+(unit*.86-h)/z, clamp(float64(i)*.18, 0, 1))
		}
	}
}

func (p *painter) lamppost(x, y, far float64) {
	l := p.light
	m := p.metre(y)
	c := l.tone(hex(0x30343c), far, .4)
	p.shadow(x, y, m*.4, m*.08)
	p.line([]pt{{x, y}, {x, y - 3.4*m}}, func(t float64) float64 { return m * (.16 - .07*t) }, flat(c))
	p.fill(poly(x-.2*m, y-3.4*m, x-.28*m, y-3.9*m, x+.28*m, y-3.9*m, x+.2*m, y-3.4*m), flat(c))
	glass := l.tone(hex(0xd8dcd8), far, .8)
	if l.dark {
		glass = hex(0xffe2a0)
		p.shine(x, y-3.65*m, 2.6*m, rgb{1, .74, .38}, .75)
		p.fill(ellipse(x, y, 1.6*m, .3*m), flat(hex(0xffc76a)).fade(.16))
	}
	p.fill(poly(x-.14*m, y-3.45*m, x-.2*m, y-3.85*m, x+.2*m, y-3.85*m, x+.14*m, y-3.45*m), flat(glass))
	p.fill(poly(x-.34*m, y-3.88*m, x, y-4.2*m, x+.34*m, y-3.88*m), flat(c))
}
