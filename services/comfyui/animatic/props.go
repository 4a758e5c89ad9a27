package animatic

import (
	"math"
	"slices"
)

// furnish places the things a prompt names, each where it belongs: on the land, on the water, in the sky or in the room.
func (p *painter) furnish() {
	p.sideTaken = 0
	names := slices.Clone(p.scene.props)
	if len(names) > 7 {
		names = names[:7]
	}
	for _, name := range names {
		if p.scene.interior && p.scene.place != "cave" {
			p.indoorProp(name)
		} else {
			p.outdoorProp(name)
		}
	}
}

// spot is the next free place to stand for a thing: alternately left and right of the middle, nearer each time.
func (p *painter) spot() (x, y float64) {
	side := p.light.side
	if p.sideTaken%2 == 1 {
		side = -side
	}
	reach := .20 + .055*float64(p.sideTaken/2)
	x = p.width * (.5 + side*(reach+p.dice.in(0, .05))/p.zoom)
	y = lerp(p.horizon, unit, .58+.06*float64(p.sideTaken%3))
	p.sideTaken++
	return x, y
}

func (p *painter) onWater() bool {
	return slices.Contains([]string{"harbour", "sea", "beach", "cliff", "lake", "deck"}, p.scene.place)
}

func (p *painter) outdoorProp(name string) {
	l := p.light
	side := l.side
	switch name {
	case "lighthouse":
		if p.scene.place == "cliff" {
			return // it stands there already
		}
		x := p.width * (.5 - side*.30/p.zoom)
		p.ridge(x-95, x+95, p.horizon+6, 36, 36, hex(0x6a665c), .45)
		p.lighthouse(x, p.horizon-14, 6.4, .38)
	case "boat":
		if p.scene.place == "sea" && len(p.scene.cast) > 0 {
			return // they sit in it
		}
		if p.onWater() {
			p.boat(p.width*(.5+side*.16/p.zoom), p.horizon+34, 2.2)
			return
		}
		x, y := p.spot()
		p.boat(x, y, 1.4)
	case "ship":
		p.sailingShip(p.width*(.5+side*.17/p.zoom), p.horizon+8, 38)
	case "whale":
		x, y := p.width*(.5+side*.15), p.horizon+40
		m := &model{p: p}
		m.add(curve(x-58, y+4, x-34, y-15, x+8, y-20, x+42, y-7, x+60, y+4, x, y+7), p.solid(hex(0x46586a), .3, x, 60))
		m.paint(.8, 1.4, .3)
		p.line([]pt{{x - 24, y - 16}, {x - 30, y - 38}, {x - 42, y - 44}}, tapered(3), flat(rgb{.95, .97, 1}).fade(.6))
	case "gulls":
		for range 9 {
			x, y, w := p.dice.in(.1, .9)*p.width, p.dice.in(.12, .8)*p.horizon, p.dice.in(3, 9)
			c := l.tone(hex(0x454b58), .35, .5)
			p.line(spline([]pt{{x - w, y - w*.3}, {x - w*.4, y - w*.45}, {x, y}, {x + w*.4, y - w*.45}, {x + w, y - w*.3}}, false), tapered(w*.22), flat(c))
		}
	case "moon":
		if p.scene.time != "night" {
			p.fill(ellipse(p.width*(1-l.sunX), unit*.14, 11, 11), p.textured(flat(hex(0xf6f2e2)), 4, 4, .1).fade(.8))
		}
	case "planet":
		if p.scene.place != "space" {
			p.globe(p.width*(1-l.sunX), unit*.17, 26)
		}
	case "balloon":
		x, y, r := p.width*(.5-side*.2), p.horizon*.42, 24.0
		m := &model{p: p}
		for i := range 6 {
			u := lerp(-1, 1, (float64(i)+.5)/6)
			c := hex(0xc9463c)
			if i%2 == 1 {
				c = hex(0xf0dcb4)
			}
			m.add(curve(x+u*r-r*.2, y, x+u*r*.8, y-r*math.Sqrt(1-u*u*.8), x+u*r+r*.2, y, x+u*r*.35, y+r*1.25), p.solid(c, .35, x, r))
		}
		m.add(rect(x-4, y+r*1.55, 8, 6), p.solid(hex(0x7a5636), .35, x, 5))
		m.paint(.7, 1.2, .35)
	case "rocket":
		x, y := p.spot()
		p.rocket(x, y, p.metre(y)*5)
	case "tower":
		p.tower(p.width*(.5-side*.26/p.zoom), p.horizon+22, 24, .42)
	case "castle":
		p.castle(p.width*(.5-side*.26/p.zoom), p.horizon+10, 5, .55)
	case "windmill":
		p.windmill(p.width*(.5-side*.27/p.zoom), p.horizon+26, 19, .4)
	case "bridge":
		p.bridge()
	case "house":
		x := p.width * (.5 - side*.29/p.zoom)
		y := p.horizon + 46
		if p.scene.place == "harbour" || p.scene.place == "sea" {
			y = p.horizon + 4
			p.house(x, y, 15, .55)
			return
		}
		p.house(x, y, p.metre(y)*2.5, p.far(y))
	case "lamppost":
		x, y := p.spot()
		p.lamppost(x, y, p.far(y))
	case "train":
		p.train()
	default:
		if p.scene.place == "sea" {
			return // nothing to stand on
		}
		x, y := p.spot()
		p.stand(name, x, y, p.metre(y))
	}
}

func (p *painter) indoorProp(name string) {
	_, _, _, y1 := p.back()
	x, _ := p.spot()
	y := lerp(y1, unit, .42)
	m := (y - p.horizon) / p.eye
	switch name {
	case "window":
		return // every furnished room has one
	case "books":
		if p.scene.place != "library" {
			x0, y0, x1, _ := p.back()
			at := x1 - 78
			if p.light.side > 0 {
				at = x0 + 8
			}
			p.shelves(at, y0+14, 66, y1-y0-18)
		}
	case "fire", "lighthouse", "boat", "ship", "house", "tower", "gulls", "moon", "rocks":
		return // the hearth burns already, and the others are out of doors
	case "bed":
		if p.scene.place == "bedroom" {
			return
		}
		p.bed(x, y+16, m*.9)
	default:
		p.stand(name, x, y+p.dice.in(0, 18), m)
	}
}

// boat is a small open boat or fishing boat on foot line y (its waterline), size about 1.
func (p *painter) boat(x, y, size float64) {
	m := p.metre(y) * size
	far := p.far(y) * .9
	c := pick(p.dice, []rgb{hex(0xa8443a), hex(0x3f6a8c), hex(0x4f7a5c), hex(0xc9a24a), hex(0xd8d2c4)})
	d := &model{p: p}
	for i := range 5 { // its mirror image, broken by the waves
		w := m * (1.9 - .25*float64(i)) * p.dice.in(.8, 1.1)
		p.fill(ellipse(x, y+m*(.12+.16*float64(i)), w, m*.07), flat(p.light.tone(c.scale(.5), far, .3)).fade(.5-.08*float64(i)))
	}
	cabin := p.dice.chance(.55)
	if cabin {
		d.add(rect(x-.75*m, y-1.55*m, 1.05*m, 1.0*m), p.solid(hex(0xded6c6), far, x, m))
		d.add(rect(x-.62*m, y-1.40*m, .32*m, .34*m), flat(p.lit(hex(0x44586a), far, .6)))
		d.add(rect(x-.20*m, y-1.40*m, .32*m, .34*m), flat(p.lit(hex(0x44586a), far, .6)))
		d.add(rect(x-.85*m, y-1.66*m, 1.25*m, .14*m), p.solid(c.scale(.8), far, x, m))
		d.add(limb([]pt{{x + .75*m, y - .6*m}, {x + .75*m, y - 2.5*m}}, .045*m), p.solid(hex(0x6a5038), far, x, m))
		d.add(limb([]pt{{x + .75*m, y - 2.4*m}, {x + 1.9*m, y - .8*m}}, .012*m), p.solid(hex(0x4a4038), far, x, m))
		if p.light.dark {
			p.shine(x-.2*m, y-1.25*m, 1.6*m, rgb{1, .76, .4}, .5)
		}
	} else {
		d.add(limb([]pt{{x + .1*m, y - .4*m}, {x + .1*m, y - 3.2*m}}, .05*m, .03*m), p.solid(hex(0x6a5038), far, x, m))
		if p.dice.chance(.5) {
			d.add(curve(x+.16*m, y-3.1*m, x+.9*m, y-1.9*m, x+1.25*m, y-.75*m, x+.16*m, y-.7*m), p.solid(hex(0xe6dcc4), far, x+.5*m, m))
		}
	}
	hull := curve(x-2.0*m, y-.62*m, x-1.0*m, y-.50*m, x+.6*m, y-.50*m, x+1.7*m, y-.74*m, x+2.25*m, y-.95*m, x+1.85*m, y-.28*m, x+1.3*m, y+.06*m, x-1.45*m, y+.06*m, x-1.85*m, y-.2*m)
	d.add(hull, p.textured(p.solid(c, far, x, 2.1*m), 1.2*m, .10*m, .22))
	d.add(limb(spline([]pt{{x - 2.0*m, y - .60*m}, {x - 1.0*m, y - .48*m}, {x + .6*m, y - .48*m}, {x + 1.7*m, y - .72*m}, {x + 2.22*m, y - .92*m}}, false), .06*m), p.solid(hex(0xe8e0d0), far, x, 2*m))
	d.paint(clamp(m*.03, .4, 1.4), clamp(m*.05, .7, 2.4), far)
}

func (p *painter) sailingShip(x, y, s float64) {
	far := .55
	d := &model{p: p}
	wood, sail := hex(0x6a4a34), hex(0xece2cc)
	for i, u := range []float64{-.62, 0, .6} {
		top := []float64{1.9, 2.3, 1.8}[i]
		d.add(limb([]pt{{x + u*s, y - .3*s}, {x + u*s, y - top*s}}, .03*s, .018*s), p.solid(wood, far, x, s))
		for k := range 3 {
			v0 := lerp(.62, top-.15, float64(k)/3)
			v1 := lerp(.62, top-.15, float64(k+1)/3) - .06
			w := .40 - .07*float64(k)
			d.add(curve(x+(u-w)*s, y-v0*s, x+u*s, y-(v0-.05)*s, x+(u+w)*s, y-v0*s, x+(u+w*.82+.05)*s, y-(v0+v1)/2*s, x+(u+w*.8)*s, y-v1*s, x+(u-w*.8)*s, y-v1*s, x+(u-w*.80+.06)*s, y-(v0+v1)/2*s), p.solid(sail, far, x+u*s, .5*s))
		}
	}
	d.add(curve(x-1.25*s, y-.62*s, x-.6*s, y-.34*s, x+.7*s, y-.34*s, x+1.5*s, y-.62*s, x+1.15*s, y+.02*s, x-1.0*s, y+.02*s), p.solid(wood, far, x, 1.2*s))
	d.paint(.6, 1.2, far)
}

// lighthouse stands with its foot at y; m is units to its half width.
func (p *painter) lighthouse(x, y, m, far float64) {
	d := &model{p: p}
	tall := 11.5 * m
	at := func(t float64) (float64, float64) { return y - t*tall, lerp(1.35, .82, t) * m }
	for i := range 5 {
		y0, w0 := at(float64(i) / 5)
		y1, w1 := at(float64(i+1) / 5)
		c := hex(0xeae4d8)
		if i%2 == 1 {
			c = hex(0xb5423a)
		}
		d.add(poly(x-w1, y1, x+w1, y1, x+w0, y0, x-w0, y0), p.solid(c, far, x, 1.4*m))
	}
	d.add(rect(x-1.15*m, y-tall-.35*m, 2.3*m, .45*m), p.solid(hex(0x4a4a50), far, x, m))
	d.add(rect(x-.62*m, y-tall-1.65*m, 1.24*m, 1.35*m), flat(p.lit(hex(0xfff0b8), far*.5, 1)))
	for _, u := range []float64{-.62, -.05, .52} {
		d.add(rect(x+u*m, y-tall-1.65*m, .10*m, 1.35*m), p.solid(hex(0x3c3c42), far, x, m))
	}
	d.add(poly(x-.85*m, y-tall-1.6*m, x, y-tall-2.7*m, x+.85*m, y-tall-1.6*m), p.solid(hex(0xa83c34), far, x, m))
	for _, t := range []float64{.25, .55} {
		wy, _ := at(t)
		d.add(rect(x-.16*m, wy-.3*m, .32*m, .55*m), flat(p.lit(hex(0x35404e), far, .5)))
	}
	d.paint(.7, 1.4, far)
	lampY := y - tall - m
	if p.light.dark || p.scene.time == "dawn" || p.scene.weather == "fog" || p.scene.weather == "storm" {
		for _, a := range []float64{-1, 1} { // the beams
			reach := p.width * .9
			p.fill(poly(x, lampY-1.0, x, lampY+1.0, x+a*reach, lampY-20-34, x+a*reach, lampY-20+22), func(px, _ float64) (rgb, float64) {
				return rgb{1, .95, .74}, .34 * math.Pow(1-clamp(math.Abs(px-x)/reach, 0, 1), 1.6)
			})
		}
		p.shine(x, lampY, 9*m, rgb{1, .9, .6}, .9)
	}
}

func (p *painter) castle(x, y, m, far float64) {
	p.ridge(x-26*m, x+26*m, y+6, 5.5*m, 60, hex(0x667254), far+.05)
	y -= 2.6 * m
	d := &model{p: p}
	stone := hex(0x9a9288)
	tower := func(u, w, tall float64, roof bool) {
		cx := x + u*m
		d.add(rect(cx-w*m, y-tall*m, 2*w*m, tall*m+2*m), p.textured(p.solid(stone, far, cx, w*m*1.2), 3, 2, .2))
		if roof {
			d.add(poly(cx-w*1.25*m, y-tall*m, cx, y-(tall+3.2*w)*m, cx+w*1.25*m, y-tall*m), p.solid(hex(0x6a4a58), far, cx, w*m))
		} else {
			for i := range 3 {
				d.add(rect(cx-w*m+float64(i)*w*.75*m, y-(tall+.6)*m, w*.45*m, .7*m), p.solid(stone, far, cx, w*m))
			}
		}
		for i := range 2 {
			lit := p.lit(hex(0x33384a), far, .4)
			if p.light.dark {
				lit = hex(0xffcf7a).mix(p.light.haze, .25)
			}
			d.add(rect(cx-.22*m, y-(tall-1.2-1.9*float64(i))*m, .44*m, .9*m), flat(lit))
		}
	}
	tower(-4.6, 1.3, 8, true)
	tower(4.4, 1.2, 7, true)
	d.add(rect(x-4.6*m, y-4.2*m, 9*m, 6*m), p.textured(p.solid(stone.scale(.95), far, x, 5*m), 3, 2, .2))
	for i := range 8 {
		d.add(rect(x-4.4*m+float64(i)*1.15*m, y-4.9*m, .6*m, .8*m), p.solid(stone, far, x, 5*m))
	}
	tower(-1.6, 1.0, 6.4, false)
	tower(1.2, 1.6, 10.5, true)
	d.paint(.6, 1.2, far)
}

func (p *painter) windmill(x, y, m, far float64) {
	d := &model{p: p}
	d.add(poly(x-.85*m, y, x-.5*m, y-2.7*m, x+.5*m, y-2.7*m, x+.85*m, y), p.solid(hex(0xd6c8ae), far, x, m))
	d.add(curve(x-.58*m, y-2.65*m, x-.4*m, y-3.2*m, x+.4*m, y-3.2*m, x+.58*m, y-2.65*m), p.solid(hex(0x74483a), far, x, m))
	d.add(rect(x-.16*m, y-.7*m, .32*m, .7*m), p.solid(hex(0x54402f), far, x, m))
	d.paint(.6, 1.3, far)
	a := p.dice.in(.2, 1.2)
	v := &model{p: p}
	for i := range 4 {
		s, c := math.Sincos(a + math.Pi/2*float64(i))
		hub := pt{x, y - 2.85*m}
		tip := pt{hub.x + c*2.3*m, hub.y + s*2.3*m}
		v.add(limb([]pt{hub, tip}, .05*m), p.solid(hex(0x5a4434), far, x, m))
		nx, ny := -s*.42*m, c*.42*m
		v.add(poly(hub.x+c*.5*m, hub.y+s*.5*m, tip.x, tip.y, tip.x+nx, tip.y+ny, hub.x+c*.5*m+nx, hub.y+s*.5*m+ny), p.solid(hex(0xeee4d0), far, x, 2*m).fade(.85))
	}
	v.paint(.5, 1, far)
}

func (p *painter) bridge() {
	y := p.horizon + 16
	d := &model{p: p}
	stone := hex(0x8e8478)
	x0, x1 := p.width*.08, p.width*.92
	for i := range 5 {
		cx := lerp(x0, x1, float64(i)/4)
		d.add(rect(cx-7, y-22, 14, 30), p.textured(p.solid(stone, .5, cx, 9), 5, 3, .25))
	}
	var deck []pt
	for i := range 41 {
		u := float64(i) / 40
		deck = append(deck, pt{lerp(-20, p.width+20, u), y - 22 - 13*math.Sin(math.Pi*u)})
	}
	d.add(limb(deck, 5), p.textured(p.solid(stone, .5, p.width/2, p.width/2), 9, 3, .25))
	d.paint(.6, 1.2, .5)
}

func (p *painter) train() {
	y := p.horizon + 30
	m := p.metre(y) * 1.6
	d := &model{p: p}
	far := p.far(y)
	p.fill(rect(-p.width, y, 3*p.width, m*.14), flat(p.lit(hex(0x4a4440), far, .5)))
	for car := range 4 {
		x := p.width*.12 + float64(car)*m*5.4
		c := hex(0x7a3a38)
		if car == 3 {
			c = hex(0x34383e)
			d.add(rect(x+m*3.6, y-m*2.6, m*.35, m*.9), p.solid(c, far, x+m*3.8, m*.3))
			p.fill(curve(x+m*3.7, y-m*2.8, x+m*3.0, y-m*3.8, x+m*.5, y-m*4.2, x-m*3, y-m*4.0, x-m*.4, y-m*3.4), flat(rgb{.9, .9, .92}.times(p.light.key)).fade(.5))
		}
		d.add(rect(x, y-m*1.9, m*5.0, m*1.6), p.solid(c, far, x+m*2.5, m*3))
		for i := range 5 {
			window := p.lit(hex(0x5f7482), far, .6)
			if p.light.dark {
				window = hex(0xffd890)
			}
			d.add(rect(x+m*(.4+.92*float64(i)), y-m*1.55, m*.6, m*.6), flat(window))
		}
		for i := range 4 {
			d.add(ellipse(x+m*(.7+1.2*float64(i)), y-m*.2, m*.25, m*.25), flat(p.lit(hex(0x24242a), far, .5)))
		}
	}
	d.paint(.6, 1.2, far)
}

func (p *painter) rocket(x, y, s float64) {
	d := &model{p: p}
	far := p.far(y) * .6
	c := hex(0xd8dade)
	for _, a := range []float64{-1, 1} {
		d.add(poly(x+a*.13*s, y-.36*s, x+a*.32*s, y-.02*s, x+a*.30*s, y+.01*s, x+a*.10*s, y-.12*s), p.solid(hex(0xb5423a), far, x, .3*s))
	}
	d.add(curve(x, y-1.1*s, x+.13*s, y-.8*s, x+.16*s, y-.4*s, x+.11*s, y-.06*s, x-.11*s, y-.06*s, x-.16*s, y-.4*s, x-.13*s, y-.8*s), p.solid(c, far, x, .17*s))
	d.add(curve(x, y-1.1*s, x+.08*s, y-.93*s, x+.10*s, y-.86*s, x-.10*s, y-.86*s, x-.08*s, y-.93*s), p.solid(hex(0xb5423a), far, x, .17*s))
	d.add(ellipse(x, y-.65*s, .055*s, .055*s), flat(hex(0x6fb8d8)))
	d.paint(1, 2, far)
}

// bed stands with its foot at y; s is half its length in units.
func (p *painter) bed(x, y, s float64) {
	d := &model{p: p}
	wood := hex(0x7a5438)
	d.add(rect(x-s, y-.95*s, s*.14, .95*s), p.solid(wood, .1, x, s))
	d.add(poly(x-.9*s, y-.55*s, x+.55*s, y-.55*s, x+s, y-.30*s, x+s, y-.08*s, x-.9*s, y-.08*s), p.folds(p.solid(pick(p.dice, []rgb{hex(0x9a4a44), hex(0x4a6a8a), hex(0x8a8a5a)}), .1, x, s), x, s))
	d.add(curve(x-.88*s, y-.56*s, x-.80*s, y-.72*s, x-.45*s, y-.70*s, x-.40*s, y-.54*s), p.solid(hex(0xeee8dc), .1, x-.6*s, .4*s))
	d.add(rect(x+.94*s, y-.52*s, s*.10, .52*s), p.solid(wood, .1, x, s))
	p.shadow(x, y, s, s*.08)
	d.paint(.9, 1.6, .1)
}

// hull is the open boat that people at sea sit in: its far side, and its near side in front of them.
func (p *painter) hull(near bool) {
	l := p.light
	wood := hex(0x8a5f3c)
	mid, w := p.width*.5-p.width*.05*l.side, p.width*.34
	top, bottom := unit*.86, unit*1.02
	if p.scene.size != "wide" {
		w, top, bottom = p.width*.62, unit*.88, unit*1.2
		mid = p.width * .5
	}
	rim := func(sag, t float64) pt {
		x := mid - w + 2*w*t
		return pt{x, top + sag*math.Sin(math.Pi*t) - 26*math.Pow(math.Abs(2*t-1), 3)}
	}
	edge := func(sag float64) []pt {
		var points []pt
		for i := range 31 {
			points = append(points, rim(sag, float64(i)/30))
		}
		return points
	}
	d := &model{p: p}
	if !near {
		points := edge(-8)
		back := append(append([]pt{}, points...), pt{mid + w*.8, bottom}, pt{mid - w*.8, bottom})
		d.add(polygon(back...), p.textured(p.solid(wood.scale(.5), 0, mid, w), 40, 4, .3))
		d.add(limb(points, 2.6), p.solid(wood.scale(1.1), 0, mid, w))
		d.paint(1, 2, 0)
		return
	}
	points := edge(16)
	front := append(append([]pt{}, points...), pt{mid + w*.72, bottom}, pt{mid - w*.72, bottom})
	d.add(polygon(front...), func(x, y float64) (rgb, float64) {
		c, _ := p.solid(wood, 0, mid, w)(x, y)
		t := clamp((x-mid+w)/(2*w), 0, 1)
		plank := (y - rim(16, t).y) / 9
		if plank-math.Floor(plank) < .14 {
			c = c.scale(.62)
		}
		return c.scale(.88 + .24*p.noise.fractal(x/30, y/2.5, 2)), 1
	})
	d.add(limb(points, 3.4), p.solid(hex(0xd8cdb4), 0, mid, w))
	d.paint(1, 2.2, 0)
	if p.scene.size == "wide" { // water laps along it
		for i := range 14 {
			x := mid - w*.9 + w*1.8*float64(i)/13
			p.line([]pt{{x - 16, unit - 3 + p.dice.swing(3)}, {x, unit - 7 + p.dice.swing(3)}, {x + 16, unit - 3}}, tapered(2.4), flat(l.low.mix(rgb{1, 1, 1}, .3)).fade(.4))
		}
	}
}
