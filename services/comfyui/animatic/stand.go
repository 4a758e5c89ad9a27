package animatic

import (
	"math"
)

// stand paints a thing with foot line y; m is units to a metre.
func (p *painter) stand(name string, x, y, m float64) {
	far := p.far(y) * .7
	d := &model{p: p}
	solid := func(c rgb, r float64) ink { return p.solid(c, far, x, r*m) }
	p.shadow(x, y, m*.55, m*.10)
	switch name {
	case "dog":
		p.dog(d, x, y, m*.9, far)
	case "cat":
		c := pick(p.dice, []rgb{hex(0x4a4038), hex(0xb07a44), hex(0x8a8a8c)})
		d.add(limb(spline([]pt{{x + .16*m, y - .06*m}, {x + .34*m, y - .10*m}, {x + .36*m, y - .34*m}}, false), .035*m), solid(c, .3))
		d.add(curve(x-.14*m, y, x-.15*m, y-.26*m, x-.05*m, y-.42*m, x+.10*m, y-.36*m, x+.20*m, y-.14*m, x+.18*m, y), solid(c, .25))
		d.add(ellipse(x-.07*m, y-.46*m, .115*m, .10*m), solid(c, .2))
		d.add(poly(x-.17*m, y-.50*m, x-.15*m, y-.63*m, x-.08*m, y-.54*m), solid(c, .2))
		d.add(poly(x-.05*m, y-.54*m, x+.01*m, y-.63*m, x+.03*m, y-.50*m), solid(c, .2))
	case "horse":
		c := pick(p.dice, []rgb{hex(0x6a4630), hex(0x8a6a4a), hex(0x4a3c36), hex(0xc9bfae)})
		for _, u := range []float64{-.62, -.44, .48, .66} {
			d.add(limb([]pt{{x + u*m, y - .9*m}, {x + u*m + .03*m, y - .45*m}, {x + u*m, y - .03*m}}, .11*m, .07*m, .055*m), solid(c.scale(.85), .8))
		}
		d.add(curve(x-.80*m, y-1.35*m, x-.30*m, y-1.42*m, x+.35*m, y-1.36*m, x+.78*m, y-1.45*m, x+.80*m, y-.95*m, x+.30*m, y-.78*m, x-.40*m, y-.80*m, x-.80*m, y-.95*m), solid(c, .9))
		d.add(limb([]pt{{x + .62*m, y - 1.25*m}, {x + .98*m, y - 1.85*m}}, .25*m, .15*m), solid(c, .9))
		d.add(limb([]pt{{x + .98*m, y - 1.88*m}, {x + 1.32*m, y - 1.66*m}}, .15*m, .085*m), solid(c, 1.3))
		d.add(poly(x+.90*m, y-1.98*m, x+.96*m, y-2.14*m, x+1.02*m, y-1.98*m), solid(c, 1))
		d.add(limb(spline([]pt{{x + .84*m, y - 1.98*m}, {x + .66*m, y - 1.75*m}, {x + .48*m, y - 1.40*m}}, false), .07*m), solid(c.scale(.5), .9))
		d.add(limb(spline([]pt{{x - .80*m, y - 1.25*m}, {x - 1.02*m, y - 1.0*m}, {x - .98*m, y - .45*m}}, false), .08*m, .05*m), solid(c.scale(.5), .9))
	case "tree":
		p.tree(x, y, m*1.25, far)
		return
	case "lantern":
		s := m * 3
		p.hold(d, person{holds: "lantern"}, pt{x, y - .095*s}, s, 1, far)
		d.paint(.7, 1.2, far)
		p.glowLantern(pt{x, y - .095*s}, s)
		return
	case "fire":
		for _, a := range []float64{-1, 1, 0} {
			d.add(limb([]pt{{x - a*.5*m, y + .04*m}, {x + a*.42*m, y - .14*m}}, .08*m), solid(hex(0x4a3424), .6))
		}
		d.paint(.7, 1.2, far)
		p.flames(x, y-.05*m, 1.0*m)
		return
	case "car":
		c := pick(p.dice, []rgb{hex(0xa83c34), hex(0x3f6490), hex(0x8a8f96), hex(0xd0b45c)})
		d.add(curve(x-2.1*m, y-.35*m, x-2.05*m, y-.85*m, x-1.2*m, y-.98*m, x-.75*m, y-1.5*m, x+.75*m, y-1.5*m, x+1.25*m, y-.95*m, x+2.0*m, y-.82*m, x+2.1*m, y-.35*m, x, y-.28*m), solid(c, 2.1))
		d.add(curve(x-1.02*m, y-.96*m, x-.68*m, y-1.38*m, x-.06*m, y-1.40*m, x-.06*m, y-.96*m), solid(hex(0x8fa9b8), 1.5))
		d.add(curve(x+.06*m, y-.96*m, x+.06*m, y-1.40*m, x+.66*m, y-1.38*m, x+1.02*m, y-.96*m), solid(hex(0x8fa9b8), 1.5))
		for _, u := range []float64{-1.25, 1.25} {
			d.add(ellipse(x+u*m, y-.33*m, .36*m, .36*m), solid(hex(0x24242a), 2))
			d.add(ellipse(x+u*m, y-.33*m, .17*m, .17*m), solid(hex(0xb0b4b8), 2))
		}
		if p.light.dark {
			p.shine(x+2.1*m*p.light.side, y-.65*m, 1.9*m, rgb{1, .9, .65}, .7)
		}
	case "bicycle":
		c := hex(0x3a4a44)
		for _, u := range []float64{-.55, .55} {
			d.add(path(limb(spline(arcShape(x+u*m, y-.36*m, .36*m, .36*m, 0)[0], true), .028*m)), solid(hex(0x2a2a2e), 1))
		}
		for _, q := range [][]pt{{{x - .55*m, y - .36*m}, {x - .2*m, y - .85*m}, {x + .38*m, y - .85*m}, {x + .55*m, y - .36*m}}, {{x - .2*m, y - .85*m}, {x, y - .36*m}, {x + .38*m, y - .85*m}}, {{x - .55*m, y - .36*m}, {x, y - .36*m}}, {{x + .38*m, y - .85*m}, {x + .34*m, y - 1.05*m}, {x + .5*m, y - 1.05*m}}, {{x - .30*m, y - .95*m}, {x - .08*m, y - .95*m}}} {
			d.add(limb(q, .03*m), solid(c, 1))
		}
	case "table":
		c := hex(0x8a6242)
		for _, u := range []float64{-.7, -.5, .5, .7} {
			d.add(rect(x+u*m-.04*m, y-.70*m-.08*m*boolTo(math.Abs(u) < .6), .08*m, .70*m), solid(c.scale(.7), .8))
		}
		d.add(poly(x-.86*m, y-.72*m, x-.62*m, y-.92*m, x+.62*m, y-.92*m, x+.86*m, y-.72*m), solid(c.scale(1.1), .9))
		d.add(rect(x-.86*m, y-.73*m, 1.72*m, .09*m), solid(c.scale(.85), .9))
		d.add(ellipse(x+.2*m, y-.87*m, .12*m, .05*m), solid(hex(0xe0d8c8), .4))
		d.add(rect(x-.3*m, y-1.06*m, .12*m, .22*m), solid(hex(0x8fa0a8), .4))
	case "chair":
		c := hex(0x7a5438)
		for _, u := range []float64{-.24, .24} {
			d.add(rect(x+u*m-.03*m, y-.48*m, .06*m, .48*m), solid(c.scale(.8), .3))
			d.add(rect(x+u*m-.03*m, y-1.05*m, .06*m, .55*m), solid(c, .3))
		}
		d.add(poly(x-.29*m, y-.44*m, x-.24*m, y-.56*m, x+.24*m, y-.56*m, x+.29*m, y-.44*m), solid(c.scale(1.2), .3))
		for _, v := range []float64{.98, .82} {
			d.add(rect(x-.25*m, y-v*m-.04*m, .5*m, .09*m), solid(c, .3))
		}
	case "crate":
		for i, q := range []pt{{-.35, 0}, {.42, 0}, {.02, -.58}} {
			c := hex(0x9a7448).scale(p.dice.in(.85, 1.1))
			bx, by := x+q.x*m, y+q.y*m
			d.add(rect(bx-.34*m, by-.58*m, .68*m, .58*m), p.textured(solid(c, .8), .5*m, .06*m, .35))
			for _, v := range []float64{0, .27, .52} {
				d.add(rect(bx-.34*m, by-.06*m-v*m, .68*m, .035*m), solid(c.scale(.6), .8))
			}
			if i == 2 {
				break
			}
		}
	case "net":
		d.add(curve(x-.6*m, y, x-.45*m, y-.28*m, x-.05*m, y-.44*m, x+.42*m, y-.24*m, x+.62*m, y), p.textured(solid(hex(0x8a8258), .6), .06*m, .05*m, .7))
		for i := range 5 {
			d.add(ellipse(x+(float64(i)-2)*.2*m, y-.12*m-.12*m*float64(i%2), .07*m, .07*m), solid(hex(0xc8622c), .6))
		}
	case "tent":
		d.add(poly(x-1.4*m, y, x-.1*m, y-1.7*m, x+.15*m, y-1.7*m, x+1.4*m, y), solid(hex(0xc9833f), 1.4))
		d.add(poly(x-.1*m, y-1.6*m, x+.42*m, y, x-.42*m, y), solid(hex(0x3a2a22), 1.4))
		if p.light.dark {
			p.shine(x, y-.6*m, 2.4*m, rgb{1, .7, .36}, .45)
		}
	case "kite":
		p.hold(d, person{holds: "kite"}, pt{x, y}, m*3, 1, .3)
	case "flowers":
		for range 22 {
			fx, fy, r := x+p.dice.swing(1.6)*m, y+p.dice.in(-.2, .35)*m, p.dice.in(.05, .10)*m
			d.add(limb([]pt{{fx, fy}, {fx, fy - .3*m}}, .015*m), solid(hex(0x5a7a40), 1.4))
			d.add(ellipse(fx, fy-.32*m, r, r*.85), p.solid(pick(p.dice, []rgb{hex(0xd9485a), hex(0xf0c246), hex(0xe6dff0), hex(0x9a6ac0)}), far, fx, r))
		}
	case "fence":
		for i := range 9 {
			fx := x + (float64(i)-4)*.55*m
			d.add(poly(fx-.07*m, y, fx-.07*m, y-.85*m, fx, y-.97*m, fx+.07*m, y-.85*m, fx+.07*m, y), solid(hex(0xb8a88c), 2.4))
		}
		for _, v := range []float64{.3, .66} {
			d.add(rect(x-2.4*m, y-v*m-.05*m, 4.8*m, .10*m), solid(hex(0xa8987c), 2.4))
		}
	case "rocks":
		for i := range 4 {
			p.rock(x+(float64(i)-1.5)*.7*m, y+p.dice.swing(.1)*m, m*p.dice.in(.3, .6), hex(0x86807a))
		}
		return
	case "telescope":
		for _, u := range []float64{-.35, .35, .05} {
			d.add(limb([]pt{{x, y - 1.1*m}, {x + u*m, y}}, .035*m), solid(hex(0x5a4636), .4))
		}
		d.add(limb([]pt{{x - .4*m, y - .95*m}, {x + .55*m, y - 1.5*m}}, .08*m, .12*m), solid(hex(0xb08a44), .6))
	case "letter":
		d.add(poly(x-.25*m, y-.05*m, x+.2*m, y-.10*m, x+.26*m, y+.08*m, x-.2*m, y+.12*m), solid(hex(0xf0e8d4), .3))
	case "robot":
		d = nil
		q := describe("Robot", "robot")
		p.person(q, x, y, m*1.5, -p.light.side, far)
		return
	case "piano":
		d.add(rect(x-.9*m, y-1.25*m, 1.8*m, 1.25*m), solid(hex(0x2c2226), 1))
		d.add(poly(x-.95*m, y-.72*m, x+.95*m, y-.72*m, x+1.0*m, y-.58*m, x-1.0*m, y-.58*m), solid(hex(0xeee6d8), 1))
		for i := range 12 {
			d.add(rect(x-.85*m+float64(i)*.145*m, y-.72*m, .06*m, .08*m), solid(hex(0x18141a), 1))
		}
	case "umbrella":
		p.hold(d, person{holds: "umbrella", coat: hex(0x3f6795)}, pt{x, y - .35*m}, m*1.6, 1, far)
	case "well":
		d.add(rect(x-.55*m, y-.65*m, 1.1*m, .65*m), p.textured(solid(hex(0x8e887e), .6), .2*m, .12*m, .4))
		d.add(ellipse(x, y-.66*m, .58*m, .14*m), solid(hex(0x4a4640), .6))
		for _, u := range []float64{-.5, .5} {
			d.add(rect(x+u*m-.04*m, y-1.6*m, .08*m, 1.0*m), solid(hex(0x6a4c34), .6))
		}
		d.add(poly(x-.8*m, y-1.55*m, x, y-2.05*m, x+.8*m, y-1.55*m), solid(hex(0x7a4a3a), .8))
	case "snowman":
		for i, r := range []float64{.48, .36, .25} {
			d.add(ellipse(x, y-[]float64{.42, 1.10, 1.62}[i]*m, r*m, r*m), solid(hex(0xeef2f6), r))
		}
		d.add(poly(x, y-1.65*m, x+.3*m, y-1.58*m, x, y-1.56*m), solid(hex(0xe07a2c), .3))
	case "statue":
		d.add(rect(x-.5*m, y-.9*m, 1.0*m, .9*m), solid(hex(0xa09a90), .5))
		d.paint(.7, 1.2, far)
		q := describe("Statue", "old man in a cloak")
		q.coat, q.robot = hex(0x9a968c), true
		p.person(q, x, y-.9*m, m*1.6, p.light.side, far)
		return
	case "bed":
		p.bed(x, y, m*.9)
		return
	default:
		return
	}
	d.paint(clamp(m*.018, .5, 1.6), clamp(m*.03, .8, 3), far)
}

func (p *painter) dog(d *model, x, y, m, far float64) {
	c := pick(p.dice, []rgb{hex(0x8a5a34), hex(0x4a3e38), hex(0xc9a878), hex(0xa8a49c)})
	solid := func(c rgb, r float64) ink { return p.solid(c, far, x, r*m) }
	for _, u := range []float64{-.36, -.24, .24, .36} {
		d.add(limb([]pt{{x + u*m, y - .38*m}, {x + u*m + .02*m, y - .03*m}}, .075*m, .05*m), solid(c.scale(.85), .5))
	}
	d.add(limb(spline([]pt{{x - .42*m, y - .52*m}, {x - .60*m, y - .66*m}, {x - .62*m, y - .88*m}}, false), .05*m, .03*m), solid(c, .6))
	d.add(curve(x-.46*m, y-.58*m, x-.1*m, y-.64*m, x+.36*m, y-.68*m, x+.46*m, y-.42*m, x+.2*m, y-.30*m, x-.38*m, y-.34*m), solid(c, .6))
	d.add(limb([]pt{{x + .36*m, y - .58*m}, {x + .52*m, y - .82*m}}, .16*m, .15*m), solid(c, .6))
	d.add(limb([]pt{{x + .56*m, y - .84*m}, {x + .78*m, y - .76*m}}, .13*m, .07*m), solid(c.scale(1.06), .9))
	d.add(curve(x+.44*m, y-.98*m, x+.36*m, y-.88*m, x+.38*m, y-.64*m, x+.50*m, y-.78*m), solid(c.scale(.65), .6))
	d.add(ellipse(x+.84*m, y-.78*m, .035*m, .03*m), flat(hex(0x1a1616)))
	d.add(ellipse(x+.62*m, y-.89*m, .022*m, .022*m), flat(hex(0x1a1616)))
	d.add(limb([]pt{{x + .38*m, y - .66*m}, {x + .50*m, y - .58*m}}, .04*m), solid(hex(0xb0382e), .6))
}

func (p *painter) tree(x, y, m, far float64) {
	l := p.light
	c := l.tone(hex(0x6a4e36), far, .5)
	p.shadow(x, y, m*1.3, m*.16)
	trunk := curve(x-.34*m, y, x-.15*m, y-.6*m, x-.12*m, y-2.0*m, x+.12*m, y-2.0*m, x+.16*m, y-.6*m, x+.36*m, y)
	p.fill(trunk, p.textured(p.round(c, x, .2*m), .08*m, .6*m, .35))
	for _, b := range []pt{{-.9, -2.5}, {.8, -2.6}, {.2, -3.0}} {
		p.line([]pt{{x, y - 1.6*m}, {x + b.x*m*.6, y + b.y*m*.85}, {x + b.x*m, y + b.y*m}}, func(t float64) float64 { return m * (.16 - .12*t) }, flat(c))
	}
	leaf := pick(p.dice, []rgb{hex(0x5f7f3c), hex(0x4a6f3c), hex(0x8a8a3a)})
	for i := range 12 {
		a := float64(i) * 2.4
		r := .3 + .22*math.Sqrt(float64(i))
		p.leaves(x+math.Cos(a)*r*m*1.3, y-2.75*m-math.Sin(a)*r*m*.85, m*p.dice.in(.5, .8), l.tone(leaf, far, clamp(.45+.3*math.Sin(a), 0, 1)))
	}
}
