package animatic

import "math"

// people places the cast by the size of the shot.
func (p *painter) people() {
	cast := p.scene.cast
	center := p.width * .5
	if p.scene.place == "sea" {
		p.hull(false)
		defer p.hull(true)
	}
	switch p.scene.size {
	case "close":
		if len(cast) > 1 {
			p.person(cast[1], p.width*(.5+.27*p.light.side), unit*2.35, unit*2.15, -p.light.side, .10)
		}
		p.person(cast[0], p.width*(.5-.13*p.light.side*float64(min(1, len(cast)-1)))-p.width*.04*p.light.side, unit*2.78, unit*2.72, p.light.side, 0)
	case "medium":
		n := min(len(cast), 3)
		for i := n - 1; i >= 0; i-- {
			at := center + (float64(i)-float64(n-1)/2)*p.width*.27
			if n == 1 {
				at = center - p.width*.10*p.light.side
			}
			facing := p.light.side
			if n > 1 {
				facing = 1
				if at > center {
					facing = -1
				}
			}
			p.person(cast[i], at+p.dice.swing(8), unit*1.50, unit*1.36, facing, .03)
		}
	default:
		n := min(len(cast), 5)
		for i := n - 1; i >= 0; i-- {
			y := unit * (.875 + .035*float64(i%2))
			if p.scene.interior {
				y = unit * (.90 + .03*float64(i%2))
			}
			if p.scene.place == "sea" {
				y = unit * .90
			}
			m := p.metre(y)
			spread := clamp(m*1.15, p.width*.07, p.width*.15)
			at := center + (float64(i)-float64(n-1)/2)*spread - p.width*.09*p.light.side*boolTo(n < 3)
			facing := 1.0
			if at > center {
				facing = -1
			}
			if p.scene.place != "sea" {
				p.shadow(at, y, m*.42, m*.10)
			}
			p.person(cast[i], at, y, m*1.72, facing, p.far(y)*.6)
		}
		if p.scene.crowd {
			for i := range 9 {
				y := unit * (.72 + .008*float64(i))
				at := p.width * (.06 + .88*float64((i*5)%9)/8)
				q := describe("crowd"+string(rune('a'+i)), "")
				p.person(q, at, y, p.metre(y)*1.7, pick(p.dice, []float64{-1, 1}), p.far(y))
			}
		}
	}
}

func boolTo(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// person paints one character standing at foot line y; height is an adult's in units, facing −1 left or 1 right.
func (p *painter) person(who person, x, y, height, facing, far float64) {
	d := newDice("body", who.name)
	head := .155
	if p.scene.size == "close" && who.age == "child" {
		y -= height * .10 // a child is framed too
	}
	full := height
	switch who.age {
	case "child":
		height *= .70
		head = .205
		if p.scene.size == "close" {
			height, y = full*.86, y-full*.10
		} else if p.scene.size == "medium" {
			height, y = full*.80, y-full*.14
		}
	case "old":
		height *= .96
	}
	if who.gender == "woman" {
		height *= .97
	}
	at := func(u, v float64) pt { return pt{x + u*height*facing, y + v*height} }
	shape := func(uv ...float64) path {
		xy := make([]float64, len(uv))
		for i := 0; i+1 < len(uv); i += 2 {
			q := at(uv[i], uv[i+1])
			xy[i], xy[i+1] = q.x, q.y
		}
		c := curve(xy...)
		if facing < 0 { // keep the turn of a mirrored outline
			c = c.each(func(q pt) pt { return q })
			for i, j := 0, len(c[0])-1; i < j; i, j = i+1, j-1 {
				c[0][i], c[0][j] = c[0][j], c[0][i]
			}
		}
		return c
	}
	skin := pick(d, []rgb{hex(0xe2b08c), hex(0xd39c78), hex(0xb57d58), hex(0x8a5a3f), hex(0xecc3a2), hex(0xc78f6b)})
	trousers := pick(d, []rgb{hex(0x3d4454), hex(0x54483e), hex(0x4a5248), hex(0x5a4f58)})
	if who.robot {
		skin, trousers = hex(0xa9b4bf), hex(0x77828e)
	}
	ink := func(c rgb, u, r float64) ink { return p.solid(c, far, x+u*height*facing, r*height) }
	m := &model{p: p}
	s := height
	chin := -1 + head
	shoulder := chin - .008
	shoulder += .036
	wide := .118
	if who.gender == "man" {
		wide = .132
	}
	if who.age == "child" {
		wide = .12
	}
	hem, flare := -.46, wide*.92
	switch who.garment {
	case "coat", "raincoat":
		hem, flare = -.27, wide*1.22
	case "cloak":
		hem, flare = -.10, wide*1.55
	case "dress":
		hem, flare = -.16, wide*1.60
	case "suit", "jacket":
		hem, flare = -.44, wide*.98
	}

	headX, headY, hw, hh := x+.012*height*facing, y+(-1+head*.5)*s, head*s*.425, head*s*.5
	face := &portrait{p: p, who: who, x: headX, y: headY, w: hw, h: hh, facing: facing, far: far, skin: skin, dice: d}
	face.back(m)

	// legs and shoes
	stance := d.in(.035, .06)
	for _, leg := range []float64{-1, 1} {
		hip, foot := at(leg*.052, -.46), at(leg*stance, -.02)
		knee := at(leg*.055+.012, -.25)
		m.add(limb([]pt{hip, knee, foot}, .058*s, .046*s, .032*s), ink(trousers.scale(.85+.1*leg), leg*.05, .06))
		m.add(limb([]pt{at(leg*stance-.012, -.016), at(leg*stance+.048, -.012)}, .024*s, .018*s), ink(hex(0x2e2622), leg*stance, .06))
	}
	coat := who.coat
	sleeve := coat.scale(.92)
	// the arm behind
	armBack := []pt{at(-wide*.84, shoulder+.052), at(-wide*1.12, shoulder+.19), at(-wide*.95, shoulder+.345)}
	m.add(limb(armBack, .042*s, .036*s, .028*s), ink(sleeve.scale(.9), -wide, .05))
	m.add(ellipse(armBack[2].x, armBack[2].y+.02*s, .023*s, .028*s), ink(skin, -wide*.95, .03))
	// neck and body
	m.add(limb([]pt{at(.004, chin-.03), at(0, shoulder+.02)}, .036*s, .042*s), ink(skin.scale(.86), 0, .04))
	torso := shape(-.045, shoulder-.030, 0, shoulder-.014, .05, shoulder-.030, wide*.55, shoulder-.008, wide*.93, shoulder+.024, wide*1.02, shoulder+.075, wide*1.00, shoulder+.16,
		wide*.88, -.56, flare, hem, flare*.3, hem+.012, -flare*.4, hem+.012, -flare, hem, -wide*.90, -.56, -wide*1.00, shoulder+.16, -wide*1.02, shoulder+.075, -wide*.93, shoulder+.024, -wide*.55, shoulder-.008)
	m.add(torso, p.folds(ink(coat, 0, wide*1.15), x, wide*s))
	p.dress(m, who, at, shape, ink, coat, wide, shoulder, hem, flare, s)
	if who.scarf != nil {
		c := *who.scarf
		m.add(shape(.02, shoulder-.01, .055, shoulder+.02, .045, shoulder+.10, .010, shoulder+.095, .015, shoulder+.03), ink(c.scale(.9), 0, wide))
		m.add(shape(-.062, shoulder-.040, 0, shoulder-.030, .066, shoulder-.040, .070, shoulder-.006, .02, shoulder+.022, -.03, shoulder+.018, -.066, shoulder-.004), ink(c, 0, wide*.6))
	}
	// the arm in front, with what it holds
	elbow, hand := at(wide*1.16, shoulder+.19), at(wide*1.02, shoulder+.35)
	if who.holds != "" {
		elbow, hand = at(wide*1.22, shoulder+.18), at(wide*1.85, shoulder+.20)
	}
	p.hold(m, who, hand, s, facing, far)
	m.add(limb([]pt{at(wide*.84, shoulder+.055), elbow, hand}, .042*s, .038*s, .029*s), ink(sleeve, wide, .06))
	m.add(ellipse(hand.x, hand.y+.008*s, .026*s, .028*s), p.solid(skin, far, hand.x, .03*s))
	face.front(m)
	m.paint(clamp(height*.0042, .6, 2.2), clamp(height*.006, .8, 4), far)
	if who.holds == "lantern" {
		p.glowLantern(hand, s)
	}
}

// folds darkens cloth along a few soft vertical lines.
func (p *painter) folds(under ink, x, r float64) ink {
	n := p.noise + 404
	return func(px, py float64) (rgb, float64) {
		c, a := under(px, py)
		u := (px - x) / r
		return c.scale(1 - .20*smooth(.55, .85, n.fractal(u*2.6+py/r*.18, py/r*.35, 2))), a
	}
}

// dress adds what a garment has beside its cut: collar, buttons, belt, hood.
func (p *painter) dress(m *model, who person, at func(u, v float64) pt, shape func(...float64) path, ink func(rgb, float64, float64) ink, coat rgb, wide, shoulder, hem, flare, s float64) {
	dark := coat.scale(.70)
	seam := func(width float64, uv ...float64) {
		var points []pt
		for i := 0; i+1 < len(uv); i += 2 {
			points = append(points, at(uv[i], uv[i+1]))
		}
		m.add(limb(points, width*s), ink(dark, 0, wide))
	}
	switch who.garment {
	case "coat", "raincoat", "jacket", "suit":
		seam(.0028, .022, shoulder+.03, .026, hem)
		for i := range 4 {
			q := at(.042, lerp(shoulder+.09, math.Min(hem, -.42), float64(i)/3))
			m.add(ellipse(q.x, q.y, .007*s, .007*s), ink(coat.scale(.5), 0, wide))
		}
		m.add(shape(-wide*.62, shoulder-.02, -.01, shoulder+.012, .02, shoulder+.075, -.03, shoulder+.045, -wide*.60, shoulder+.025), ink(coat.scale(1.12), 0, wide))
		m.add(shape(wide*.62, shoulder-.02, wide*.60, shoulder+.025, .06, shoulder+.045, .02, shoulder+.075, .02, shoulder+.012), ink(coat.scale(1.06), 0, wide))
		seam(.0024, wide*.42, -.48, wide*.75, -.485)
	case "dress":
		m.add(shape(-wide*.86, -.585, 0, -.575, wide*.86, -.585, wide*.86, -.555, 0, -.545, -wide*.86, -.555), ink(dark, 0, wide))
		for _, u := range []float64{-.6, -.15, .3, .65} {
			seam(.0022, u*wide*.7, -.52, u*flare, hem+.004)
		}
	case "sweater":
		for i := range 5 {
			v := lerp(shoulder+.10, hem-.03, float64(i)/4)
			seam(.0016, -wide*.8, v, 0, v+.012, wide*.8, v)
		}
		m.add(shape(-.05, shoulder-.025, 0, shoulder-.012, .055, shoulder-.025, .058, shoulder+.01, 0, shoulder+.026, -.052, shoulder+.01), ink(coat.scale(.85), 0, wide))
	case "cloak":
		m.add(shape(-wide*.9, shoulder-.03, 0, shoulder+.03, wide*.9, shoulder-.03, wide*1.0, shoulder+.07, 0, shoulder+.11, -wide, shoulder+.07), ink(coat.scale(1.1), 0, wide))
		q := at(.01, shoulder+.05)
		m.add(ellipse(q.x, q.y, .014*s, .014*s), ink(hex(0xd2b25a), 0, wide))
	default:
		seam(.0024, .01, shoulder+.02, .014, hem)
		m.add(shape(-.05, shoulder-.022, 0, shoulder+.004, .01, shoulder+.04, -.04, shoulder+.024), ink(coat.scale(1.14), 0, wide))
		m.add(shape(.055, shoulder-.022, .045, shoulder+.024, .01, shoulder+.04, .005, shoulder+.004), ink(coat.scale(1.1), 0, wide))
		m.add(shape(-wide*.9, hem-.03, 0, hem-.02, wide*.9, hem-.03, wide*.9, hem-.006, 0, hem, -wide*.9, hem-.006), ink(hex(0x3b2c22), 0, wide))
	}
}

// hold adds the thing in the forward hand.
func (p *painter) hold(m *model, who person, hand pt, s, facing, far float64) {
	solid := func(c rgb, r float64) ink { return p.solid(c, far, hand.x, r*s) }
	switch who.holds {
	case "lantern":
		y := hand.y + .03*s
		m.add(limb([]pt{{hand.x, hand.y}, {hand.x, y}}, .004*s), solid(hex(0x4a3c2a), .02))
		m.add(poly(hand.x-.030*s, y+.012*s, hand.x, y-.006*s, hand.x+.030*s, y+.012*s), solid(hex(0x54452f), .03))
		m.add(rect(hand.x-.024*s, y+.012*s, .048*s, .066*s), flat(hex(0xffdf92)))
		m.add(ellipse(hand.x, y+.046*s, .010*s, .020*s), flat(hex(0xfffbe6)))
		for _, u := range []float64{-.024, .020} {
			m.add(rect(hand.x+u*s, y+.010*s, .005*s, .070*s), solid(hex(0x4a3c2a), .03))
		}
		m.add(rect(hand.x-.032*s, y+.076*s, .064*s, .014*s), solid(hex(0x54452f), .03))
	case "umbrella":
		top := hand.y - .50*s
		m.add(limb([]pt{{hand.x, hand.y + .04*s}, {hand.x - .02*s*facing, top}}, .005*s), solid(hex(0x3a3230), .02))
		x := hand.x - .02*s*facing
		var dome []float64
		for i := range 13 {
			sin, cos := math.Sincos(math.Pi + math.Pi*float64(i)/12)
			dome = append(dome, x+cos*.27*s, top+.03*s+sin*.15*s)
		}
		for i := range 4 {
			u := .27 - .135*float64(i)
			dome = append(dome, x+(u-.03)*s, top+.018*s, x+(u-.0675)*s, top+.008*s, x+(u-.105)*s, top+.018*s)
		}
		m.add(poly(dome...), p.solid(who.coat.mix(hex(0xa83a38), .7), far, x, .28*s))
	case "staff", "sword":
		m.add(limb([]pt{{hand.x - .02*s*facing, hand.y + .42*s}, {hand.x + .015*s*facing, hand.y - .42*s}}, .009*s, .007*s), solid(hex(0x7a5a38), .02))
	case "book":
		m.add(poly(hand.x-.05*s, hand.y-.06*s, hand.x+.055*s, hand.y-.075*s, hand.x+.062*s, hand.y+.02*s, hand.x-.045*s, hand.y+.03*s), solid(hex(0xeee4cc), .08))
	case "bag":
		m.add(limb([]pt{{hand.x - .02*s, hand.y + .06*s}, {hand.x, hand.y}, {hand.x + .02*s, hand.y + .06*s}}, .005*s), solid(hex(0x4a3426), .03))
		m.add(curve(hand.x-.055*s, hand.y+.06*s, hand.x+.055*s, hand.y+.06*s, hand.x+.065*s, hand.y+.15*s, hand.x-.065*s, hand.y+.15*s), solid(hex(0x6e4b30), .07))
	case "balloon", "kite":
		end := pt{hand.x + .08*s*facing, hand.y - .62*s}
		m.add(limb(spline([]pt{hand, {hand.x + .05*s*facing, hand.y - .3*s}, end}, false), .002*s), solid(hex(0x3a3230), .02))
		if who.holds == "balloon" {
			m.add(ellipse(end.x, end.y-.09*s, .078*s, .095*s), p.solid(hex(0xc23a34), far, end.x, .08*s))
		} else {
			m.add(poly(end.x, end.y-.14*s, end.x+.085*s, end.y-.02*s, end.x, end.y+.10*s, end.x-.085*s, end.y-.02*s), p.solid(hex(0xd9a03a), far, end.x, .08*s))
		}
	case "telescope":
		m.add(limb([]pt{{hand.x - .05*s*facing, hand.y + .01*s}, {hand.x + .15*s*facing, hand.y - .05*s}}, .014*s, .022*s), solid(hex(0xb08a44), .1))
	case "fish":
		m.add(ellipse(hand.x, hand.y+.09*s, .026*s, .07*s), solid(hex(0x9fb0b8), .03))
	case "net":
		m.add(curve(hand.x-.05*s, hand.y, hand.x+.05*s, hand.y, hand.x+.08*s, hand.y+.18*s, hand.x-.08*s, hand.y+.18*s), solid(hex(0x8a7f5c), .08))
	case "flower":
		for i := range 5 {
			q := pt{hand.x + (float64(i)-2)*.020*s, hand.y - (.07+.02*float64(i%2))*s}
			m.add(limb([]pt{hand, q}, .004*s), solid(hex(0x55743c), .02))
			m.add(ellipse(q.x, q.y, .018*s, .018*s), solid(pick(newDice("petal", uint64(i)), []rgb{hex(0xd9546a), hex(0xf0c04a), hex(0xe8e0ee)}), .04))
		}
	}
}

func (p *painter) glowLantern(hand pt, s float64) {
	strength := .35
	if p.light.dark || p.scene.time == "dawn" {
		strength = .85
	}
	p.shine(hand.x, hand.y+.075*s, math.Max(20, .42*s), rgb{1, .70, .34}, strength)
}
