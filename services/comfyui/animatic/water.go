package animatic

import "math"

// sea is water from the horizon to the lower edge: it mirrors the sky, and its waves grow as they come nearer.
func (p *painter) sea() {
	p.water(p.horizon, unit+40, hex(0x2c5a70))
}

func (p *painter) water(top, bottom float64, body rgb) {
	l, h := p.light, p.horizon
	n := p.noise + 501
	sunX := p.width * l.sunX
	deep := l.tone(body, .15, .45)
	surface := rect(-p.width, top, 3*p.width, bottom-top)
	p.fill(surface, func(x, y float64) (rgb, float64) {
		t := clamp((y-h)/(unit-h), .004, 1)
		c := l.low.mix(l.middle, smooth(0, .5, t)).mix(deep, smooth(.02, .95, t)*.78)
		// One unit of the picture covers ever more water towards the horizon.
		z := 1 / t
		wave := n.fractal((x-p.width/2)*z*.010, z*2.3, 4) - .5
		ripple := (n+9).at((x-p.width/2)*z*.045, z*13) - .5
		c = c.scale(1 + (.75*wave+.34*ripple)*smooth(0, .12, t))
		if wave+.4*ripple > .17 {
			c = c.mix(l.low.mix(rgb{1, 1, 1}, .3), .30*smooth(.17, .3, wave+.4*ripple))
		}
		if l.sunY > -100 { // the path of light below the sun
			spread := 9 + 62*t
			path := math.Exp(-math.Pow((x-sunX)/spread, 2))
			c = c.plus(l.sun.scale(path * (.10 + .62*smooth(.5, .68, (n+30).fractal(x*z*.022, z*7.5, 2))) * (1 - .35*t)))
		}
		return c.mix(l.haze, l.thick*.75*(1-smooth(0, .16, t))), 1
	})
}

func (p *painter) islands() {
	for range 2 + p.dice.n(2) {
		cx, w, hgt := p.dice.in(-.1, 1.1)*p.width, p.dice.in(60, 190), p.dice.in(8, 26)
		p.ridge(cx-w, cx+w, p.horizon+1, hgt, p.dice.in(22, 46), hex(0x55665c), p.dice.in(.80, .92))
	}
}

// farShore is the land across a bay, with a town's lights on it.
func (p *painter) farShore() {
	p.ridge(-p.width, 2*p.width, p.horizon+2, p.dice.in(34, 52), 120, hex(0x5c6d72), .90)
	p.ridge(-p.width, 2*p.width, p.horizon+2, p.dice.in(14, 22), 60, hex(0x4d5d54), .78)
	from := p.dice.in(-.1, .5) * p.width
	for range 26 {
		x := from + p.dice.float()*p.width*.55
		p.house(x, p.horizon+2, p.dice.in(5, 9), .74)
	}
}

// lake is a sheet of water between the far bank and the grass in front.
func (p *painter) lake() {
	p.water(p.horizon+6, unit, hex(0x2f6270))
	p.bank(unit*.80, hex(0x5d7040), .25)
}

// bank is the near edge of the land, falling off to one side.
func (p *painter) bank(y float64, c rgb, far float64) {
	side := -p.light.side
	points := []float64{-p.width, unit * 2}
	for i := range 25 {
		x := -p.width*.3 + float64(i)*p.width*1.6/24
		t := clamp((x/p.width-.5)*side+.5, 0, 1)
		points = append(points, x, y+46*(1-t)*(1-t)-18*t+p.dice.swing(3.5))
	}
	points = append(points, 2*p.width, unit*2)
	p.fill(poly(points...), p.ground(c, far))
	p.grass(y+8, unit+14, c, 240)
}

// quay is the stone edge of a harbour in front, with a wooden pier going out.
func (p *painter) quay() {
	l := p.light
	// boats at anchor, far to near
	for i := range 4 {
		y := p.horizon + 7 + float64(i)*9 + p.dice.in(0, 5)
		p.boat(p.dice.in(.05, .95)*p.width, y, .8+p.dice.float()*.5)
	}
	side := l.side
	x0 := p.width * (.5 + side*.21)
	// the pier runs to a point near the horizon
	top, bottom := p.horizon+13, unit*.84
	vx := p.width * (.5 + side*.05)
	left := func(y float64) float64 { return lerp(vx-2.5, x0-74, (y-top)/(bottom-top)) }
	right := func(y float64) float64 { return lerp(vx+2.5, x0+36, (y-top)/(bottom-top)) }
	wood := hex(0x8a6a4c)
	for i := 9; i >= 0; i-- { // posts behind the planks
		t := 1 / (1 + float64(9-i)*.55)
		y := top + (bottom-top)*t
		m := p.metre(y)
		for _, x := range []float64{left(y), right(y)} {
			p.fill(rect(x-.16*m, y-.5*m, .32*m, 1.7*m), p.textured(flat(l.tone(wood.scale(.55), p.far(y), .25)), 3, 14, .3))
		}
	}
	p.fill(poly(left(top), top, right(top), top, right(bottom), bottom, left(bottom), bottom), func(x, y float64) (rgb, float64) {
		z := 1 / math.Max(.01, (y-p.horizon)/(unit-p.horizon))
		plank := math.Floor(z * 5)
		f := p.noise.at(plank*3.7, 4)
		edge := z*5 - plank
		c := l.tone(wood.scale(.72+.5*f), p.far(y), .6)
		if edge < .10 {
			c = c.scale(.6)
		}
		return c.scale(.9 + .2*p.noise.at(x/2.2, y*1.3)), 1
	})
	// the quay wall in front
	stone := hex(0x8b8378)
	edge := unit * .83
	p.fill(rect(-p.width, edge, 3*p.width, unit), func(x, y float64) (rgb, float64) {
		z := 1 / math.Max(.05, (y-p.horizon)/(unit-p.horizon))
		row := math.Floor(z * 9)
		u := (x-p.width/2)*z*.028 + row*.5
		f := p.noise.at(math.Floor(u)*7.3, row*5.1)
		c := l.tone(stone.scale(.74+.34*f), p.far(y), .55)
		if z*9-row < .13 || u-math.Floor(u) < .045 {
			c = c.scale(.74)
		}
		return c.scale(.92 + .16*p.noise.fractal(x/5, y/3, 2)), 1
	})
	p.fill(rect(-p.width, edge-2, 3*p.width, 4.5), flat(l.tone(stone, .2, 1)))
	for i := range 3 {
		x := p.width * (.5 - side*(.18+.16*float64(i)))
		p.bollard(x, edge+7+float64(i)*3)
	}
}

func (p *painter) bollard(x, y float64) {
	m := p.metre(y)
	c := p.light.tone(hex(0x3d3f48), p.far(y), .4)
	p.fill(rect(x-.16*m, y-.42*m, .32*m, .42*m), p.round(c, x, .2*m))
	p.fill(ellipse(x, y-.44*m, .26*m, .10*m), flat(c.scale(1.3)))
}

// shipDeck is a ship's planked deck in front of the sea, with its rail.
func (p *painter) shipDeck() {
	if p.scene.place != "deck" {
		return
	}
	l := p.light
	edge := unit * .74
	wood := hex(0x9a7750)
	p.fill(rect(-p.width, edge, 3*p.width, unit), func(x, y float64) (rgb, float64) {
		t := (y - p.horizon + 40) / 80
		u := (x - p.width/2) / (t * 13)
		f := p.noise.at(math.Floor(u)*5.7, 3)
		c := l.tone(wood.scale(.78+.3*f), p.far(y)*.6, .6)
		if u-math.Floor(u) < .09 {
			c = c.scale(.62)
		}
		return c.scale(.93 + .14*p.noise.at(x/3, y/9)), 1
	})
	c := l.tone(hex(0xd8d2c4), .2, .7)
	for i := -6; i < 20; i++ {
		x := float64(i) * p.width / 13
		p.line([]pt{{x, edge + 2}, {x, edge - 46}}, even(3), p.round(c, x, 2))
	}
	for _, y := range []float64{edge - 46, edge - 24} {
		p.line([]pt{{-p.width, y}, {2 * p.width, y}}, even(3.4), vertical(y-2, y+2, c.scale(1.1), c.scale(.6)))
	}
}

// sand is the beach in front of the sea, with a wet edge and foam.
func (p *painter) sand() {
	l := p.light
	side := -l.side
	edge := func(x float64) float64 {
		t := clamp((x/p.width-.5)*side+.5, -.5, 1.5)
		return unit*(.86-.20*t) + 5*math.Sin(x/34+p.light.sunX*9)
	}
	for i, shift := range []float64{-9, -4, 0} {
		points := []float64{-p.width, 2 * unit}
		for k := range 61 {
			x := -p.width*.5 + float64(k)*p.width*2/60
			points = append(points, x, edge(x)+shift+2.5*math.Sin(x/11+float64(i)*2))
		}
		points = append(points, 2*p.width, 2*unit)
		switch i {
		case 0:
			p.fill(poly(points...), flat(rgb{1, 1, 1}.times(l.key.mix(rgb{1, 1, 1}, .3))).fade(.55))
		case 1:
			p.fill(poly(points...), flat(l.tone(hex(0x9a8261), .2, .5)).fade(.9))
		default:
			p.fill(poly(points...), p.ground(hex(0xd9bd8c), .15))
		}
	}
}
