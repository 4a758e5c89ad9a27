package animatic

import "math"

// room lists the passes of an interior: a back wall and floor in one-point perspective, light from a window, furniture
// by the kind of room.
func (p *painter) room() []func() {
	if p.scene.place == "cave" {
		return []func(){p.cave}
	}
	p.eye = 1.9
	return []func(){p.walls, p.fittings}
}

// back is the rectangle of the back wall.
func (p *painter) back() (x0, y0, x1, y1 float64) {
	w := p.width
	return w * .17, unit * .10, w * .83, unit * .70
}

type interior struct{ wall, floor, wood rgb }

func (p *painter) style() interior {
	switch p.scene.place {
	case "ship":
		return interior{hex(0x6f7b8c), hex(0x4c5562), hex(0x8894a4)}
	case "library":
		return interior{hex(0x7a5b42), hex(0x6e4a32), hex(0x5d3d28)}
	case "workshop":
		return interior{hex(0x8d8272), hex(0x77695a), hex(0x6f5440)}
	case "kitchen":
		return interior{hex(0xc9bb94), hex(0xa98a68), hex(0x8a6242)}
	case "hall":
		return interior{hex(0xa49a8c), hex(0x8a7f72), hex(0x5f4836)}
	case "lamproom":
		return interior{hex(0xb9b0a0), hex(0x7c6c5c), hex(0x7a5a40)}
	}
	return pick(p.dice, []interior{{hex(0xb79a78), hex(0x8a6546), hex(0x6b4a32)}, {hex(0x8fa09a), hex(0x8a6a4c), hex(0x70503a)},
		{hex(0xb08672), hex(0x7c5a42), hex(0x5f4230)}, {hex(0x9a94a8), hex(0x80664e), hex(0x654a38)}})
}

// indoors is how light falls in a room: warm where lamps burn, else from the window.
func (p *painter) indoors(c rgb, facing float64) rgb {
	key, shade := rgb{1, .95, .86}, rgb{.46, .45, .50}
	switch {
	case p.scene.place == "ship":
		key, shade = rgb{.82, .95, 1.08}, rgb{.28, .33, .44}
	case p.light.dark:
		key, shade = rgb{1.06, .80, .55}, rgb{.27, .22, .26}
	}
	if p.scene.mood == "tense" || p.scene.mood == "sad" {
		key, shade = key.times(rgb{.86, .94, .98}), shade.scale(.8)
	}
	return c.times(shade.mix(key, facing))
}

func (p *painter) walls() {
	x0, y0, x1, y1 := p.back()
	p.horizon = lerp(y0, y1, .55)
	w, h := p.width, unit
	st := p.style()
	mx, my := w*.5, lerp(y0, y1, .45)
	fall := func(x, y float64) float64 { // light pools in the middle of the room
		return .92 - .75*smooth(.1, 1.05, math.Hypot((x-mx)/w, (y-my)/h*.8)*1.7)
	}
	plane := func(shape path, c rgb, dim, sx, sy, mark float64) {
		p.fill(shape, p.textured(func(x, y float64) (rgb, float64) { return p.indoors(c, fall(x, y)*dim), 1 }, sx, sy, mark))
	}
	plane(poly(-w, -h, 2*w, -h, x1, y0, x0, y0), st.wall.scale(.82), .7, 50, 12, .12)
	plane(poly(-w, -h, x0, y0, x0, y1, -w, 2*h), st.wall.scale(.86), .85, 18, 60, .16)
	plane(poly(2*w, -h, x1, y0, x1, y1, 2*w, 2*h), st.wall.scale(.80), .85, 18, 60, .16)
	plane(rect(x0, y0, x1-x0, y1-y0), st.wall, 1, 26, 30, .14)
	// floor boards run to the vanishing point
	vx, vy := w/2, p.horizon
	p.fill(poly(x0, y1, x1, y1, 2*w, 2*h, -w, 2*h), func(x, y float64) (rgb, float64) {
		u := (x - vx) / (y - vy) * 7
		board := p.noise.at(math.Floor(u)*9.7, math.Floor(160/(y-vy)+math.Floor(u)*.37)*3)
		c := st.floor.scale(.76 + .4*board)
		if f := u - math.Floor(u); f < .06 {
			c = c.scale(.62)
		}
		z := 100 / (y - vy)
		c = c.scale(.92 + .16*p.noise.fractal(x*z*.08, z*16, 2))
		return p.indoors(c, fall(x, y)*.95), 1
	})
	if p.scene.place != "ship" { // beams and skirting
		for i := range 5 {
			t := (float64(i) + .5) / 5
			xa, xb := lerp(x0, x1, t), lerp(-w*.35, w*1.35, t)
			p.fill(poly(xa-2.5, y0, xa+2.5, y0, xb+13, -44, xb-13, -44), flat(p.indoors(st.wood.scale(.8), .3)))
		}
		p.fill(rect(x0, y1-5, x1-x0, 5), flat(p.indoors(st.wood, .55)))
	}
	p.fill(poly(x0-1.2, y0, x0+1.2, y0, x0+1.2, y1, x0-1.2, y1), flat(rgb{}).fade(.18))
	p.fill(poly(x1-1.2, y0, x1+1.2, y0, x1+1.2, y1, x1-1.2, y1), flat(rgb{}).fade(.18))
}

// view paints what is seen through a window: the sky of the hour with far hills or stars.
func (p *painter) view(x, y, w, h float64) {
	l := p.light
	p.fill(rect(x, y, w, h), func(_, py float64) (rgb, float64) {
		return l.top.mix(l.middle, smooth(0, .6, (py-y)/h)).mix(l.low, smooth(.4, .85, (py-y)/h)), 1
	})
	if p.scene.time == "night" || p.scene.place == "ship" {
		for range 26 {
			p.fill(ellipse(x+p.dice.float()*w, y+p.dice.float()*h*.7, .5, .5), flat(rgb{1, 1, .95}).fade(p.dice.in(.3, 1)))
		}
	}
	points := []float64{x, y + h}
	for i := range 17 {
		u := float64(i) / 16
		points = append(points, x+u*w, y+h*(.86-.22*p.noise.fractal(u*3+x, 4, 3)))
	}
	points = append(points, x+w, y+h)
	p.fill(poly(points...), flat(l.tone(hex(0x4f6a58), .55, .5)))
}

func (p *painter) pane(x, y, w, h float64) {
	st := p.style()
	frame := p.indoors(st.wood, .75)
	p.view(x, y, w, h)
	for _, q := range []path{rect(x-4, y-4, w+8, 4.5), rect(x-7, y+h, w+14, 6), rect(x-4, y, 4.5, h), rect(x+w, y, 4.5, h),
		rect(x+w/2-1.3, y, 2.6, h), rect(x, y+h*.42, w, 2.6)} {
		p.fill(q, p.textured(flat(frame), 3, 12, .2))
	}
	p.shine(x+w/2, y+h/2, w*1.7, p.light.low, .30)
	// the light it throws on the floor
	_, _, _, y1 := p.back()
	lean := (p.width/2 - x) * .55
	p.fill(poly(x+lean, y1+12, x+w+lean, y1+12, x+w+lean*1.9, y1+70, x-w*.1+lean*1.9, y1+70), flat(p.light.low).fade(.17))
}

// fittings furnish a room by its kind.
func (p *painter) fittings() {
	x0, y0, x1, y1 := p.back()
	w := x1 - x0
	left := p.light.side < 0
	at := func(t float64) float64 { // 0 … 1 along the back wall, mirrored with the light
		if left {
			return lerp(x0, x1, t)
		}
		return lerp(x1, x0, t)
	}
	window := func(t, ww, wh float64) { p.pane(at(t)-ww/2, lerp(y0, y1, .20), ww, wh) }
	switch p.scene.place {
	case "ship":
		p.view(x0+w*.10, y0+26, w*.8, 88)
		p.fill(path{rect(x0+w*.08, y0+20, w*.84, 6)[0]}, flat(p.indoors(hex(0x9aa8b8), .7)))
		for i := range 5 {
			p.line([]pt{{x0 + w*(.1+.2*float64(i)), y0 + 22}, {x0 + w*(.1+.2*float64(i)), y0 + 116}}, even(4), flat(p.indoors(hex(0x8896a6), .6)))
		}
		p.fill(poly(x0+w*.02, y1-8, x0+w*.12, y1-62, x1-w*.12, y1-62, x1-w*.02, y1-8), p.textured(vertical(y1-62, y1, p.indoors(hex(0x66758a), .9), p.indoors(hex(0x39434f), .4)), 12, 5, .14))
		for range 44 {
			x, y := p.dice.in(x0+w*.14, x1-w*.14), p.dice.in(y1-56, y1-18)
			c := pick(p.dice, []rgb{hex(0x6fe0d0), hex(0xffb454), hex(0xf0605a), hex(0x9ad0ff)})
			p.fill(rect(x, y, p.dice.in(2, 7), 2.4), flat(c))
			if p.dice.chance(.3) {
				p.shine(x, y, 16, c, .25)
			}
		}
	case "library":
		p.shelves(x0+3, y0+6, w*.40, y1-y0-10)
		p.shelves(x1-w*.34, y0+6, w*.33, y1-y0-10)
		p.pane(x0+w*.48, lerp(y0, y1, .16), 62, 92)
	case "kitchen":
		window(.70, 84, 68)
		p.fill(rect(x0+4, y1-58, w*.46, 58), p.textured(vertical(y1-58, y1, p.indoors(hex(0x9a7650), .9), p.indoors(hex(0x9a7650), .4)), 4, 20, .2))
		p.fill(rect(x0, y1-63, w*.48, 6), flat(p.indoors(hex(0xd8ccb0), .9)))
		for i := range 6 {
			x := x0 + 16 + float64(i)*w*.07
			p.line([]pt{{x, y0 + 52}, {x, y0 + 62}}, even(1), flat(p.indoors(hex(0x333333), .4)))
			p.fill(ellipse(x, y0+70, 7, 8), p.round(p.indoors(pick(p.dice, []rgb{hex(0xb0703c), hex(0x6d7480), hex(0xc28a50)}), .8), x, 7))
		}
		p.line([]pt{{x0 + 6, y0 + 52}, {x0 + w*.46, y0 + 52}}, even(2), flat(p.indoors(hex(0x4a3a2c), .5)))
	case "workshop":
		window(.28, 92, 72)
		p.shelves(at(.78)-50, y0+20, 100, 70)
		p.fill(rect(x0+8, y1-46, w*.55, 8), p.textured(flat(p.indoors(hex(0x8a6846), .9)), 16, 2, .25))
		for _, t := range []float64{.04, .5} {
			p.fill(rect(x0+w*t, y1-40, 8, 40), flat(p.indoors(hex(0x6a4e34), .5)))
		}
		for i := range 7 {
			x := x0 + w*.50 + float64(i)*15
			p.line([]pt{{x, y0 + 108}, {x + p.dice.swing(3), y0 + 128 + p.dice.in(0, 14)}}, even(p.dice.in(2, 4.5)), flat(p.indoors(hex(0x565a60), .6)))
		}
	case "bedroom":
		window(.26, 70, 84)
		p.bed(at(.72), y1+14, 58)
	case "hall":
		for i := range 4 {
			x := lerp(x0+24, x1-24, float64(i)/3)
			p.view(x-15, y0+26, 30, 96)
			p.fill(ellipse(x, y0+26, 15, 20), flat(p.light.middle))
			p.line([]pt{{x - 16, y0 + 124}, {x - 16, y0 + 22}, {x, y0 + 4}, {x + 16, y0 + 22}, {x + 16, y0 + 124}}, even(4), flat(p.indoors(hex(0xc0b6a6), .8)))
			p.shine(x, y0+70, 60, p.light.low, .22)
		}
		for _, x := range []float64{x0 - 18, x1 + 18, x0 - 92, x1 + 92} {
			p.fill(rect(x-11, -60, 22, y1+90), p.round(p.indoors(hex(0xb0a594), .8), x, 12))
		}
	case "lamproom":
		p.view(x0, y0+8, w, 116)
		for i := range 9 {
			x := lerp(x0, x1, float64(i)/8)
			p.line([]pt{{x, y0}, {x, y0 + 128}}, even(4), flat(p.indoors(hex(0x5a5048), .5)))
		}
		p.line([]pt{{x0, y0 + 126}, {x1, y0 + 126}}, even(8), flat(p.indoors(hex(0x6a5a4c), .7)))
		cx := at(.30)
		p.fill(rect(cx-24, y1-40, 48, 52), p.round(p.indoors(hex(0x6f6a5e), .8), cx, 26))
		p.fill(ellipse(cx, y1-78, 36, 44), p.textured(p.round(rgb{1.0, .93, .70}, cx, 40), 30, 3, .22))
		for i := range 6 {
			p.line([]pt{{cx - 34, y1 - 110 + float64(i)*13}, {cx + 34, y1 - 110 + float64(i)*13}}, even(1.6), flat(hex(0x9a7a3c)).fade(.7))
		}
		p.shine(cx, y1-78, 150, rgb{1, .86, .5}, .75)
	default:
		window(.28, 86, 80)
		p.fire(at(.76), y1)
		p.fill(rect(at(.52)-17, lerp(y0, y1, .24), 34, 44), flat(p.indoors(hex(0x6b4a2c), .8)))
		p.view(at(.52)-13, lerp(y0, y1, .24)+4, 26, 36)
	}
	if p.scene.place != "ship" && p.light.dark { // a hanging lamp
		x := at(.5)
		p.line([]pt{{x, -20}, {x, y0 + 30}}, even(1.4), flat(rgb{.08, .07, .07}))
		p.fill(poly(x-20, y0+46, x-7, y0+29, x+7, y0+29, x+20, y0+46), flat(p.indoors(hex(0x7c4a34), .7)))
		p.fill(ellipse(x, y0+47, 9, 4), flat(hex(0xffe6ae)))
		p.shine(x, y0+48, 150, rgb{1, .74, .42}, .5)
	}
}

// fire is a fireplace with its hearth at foot line y.
func (p *painter) fire(x, y float64) {
	stone := p.indoors(hex(0x9a8c80), .75)
	p.fill(rect(x-44, y-88, 88, 88), p.textured(flat(stone), 12, 7, .32))
	p.fill(rect(x-51, y-94, 102, 9), flat(p.indoors(hex(0x6a4a32), .9)))
	p.fill(rect(x-29, y-62, 58, 62), flat(hex(0x1c1412)))
	p.flames(x, y-2, 36)
}

func (p *painter) flames(x, y, tall float64) {
	for i := range 9 {
		fx, h, w := x+p.dice.swing(tall*.42), tall*p.dice.in(.5, 1.1), tall*p.dice.in(.14, .24)
		c := pick(p.dice, []rgb{hex(0xff7a24), hex(0xffa63a), hex(0xffd46a)})
		if i > 5 {
			c, h = hex(0xffe9a8), h*.55
		}
		p.fill(curve(fx, y-h, fx+w*.7, y-h*.45, fx+w, y-h*.12, fx, y, fx-w, y-h*.12, fx-w*.5, y-h*.5), flat(c).fade(.85))
	}
	p.shine(x, y-tall*.4, tall*4.2, rgb{1, .55, .2}, .7)
}

func (p *painter) shelves(x, y, w, h float64) {
	wood := p.style().wood
	p.fill(rect(x, y, w, h), flat(p.indoors(wood.scale(.42), .5)))
	rows := max(2, int(h/26))
	step := h / float64(rows)
	for r := range rows {
		base := y + step*float64(r+1) - 3
		for bx := x + 3; bx < x+w-6; {
			bw, bh := p.dice.in(2.6, 6), step*p.dice.in(.55, .86)
			c := pick(p.dice, []rgb{hex(0x8a3b34), hex(0x3f5a78), hex(0x5f6f48), hex(0xb08a4a), hex(0x5a4260), hex(0xcbb898), hex(0x46423f)})
			if !p.dice.chance(.12) {
				p.fill(rect(bx, base-bh, bw-.5, bh), p.round(p.indoors(c, p.dice.in(.5, .95)), bx+bw/2, bw))
			}
			bx += bw
		}
		p.fill(rect(x, base, w, 3), flat(p.indoors(wood, .7)))
	}
	p.fill(rect(x-2, y-2, 3.5, h+3), flat(p.indoors(wood, .75)))
	p.fill(rect(x+w-1.5, y-2, 3.5, h+3), flat(p.indoors(wood, .75)))
	p.fill(rect(x-3, y-4, w+6, 4.5), flat(p.indoors(wood, .9)))
}

// cave looks from the dark out to a bright mouth.
func (p *painter) cave() {
	p.horizon = unit * .56
	l := p.light
	n := p.noise + 21
	mx, my := p.width*p.dice.in(.4, .6), unit*.43
	p.all(func(x, y float64) (rgb, float64) { return l.middle.mix(l.low, smooth(.2, .6, y/unit)), 1 })
	p.mountains()
	p.hills()
	for i := range 5 {
		k := 1 + float64(i)*.42
		c := hex(0x6a6058).scale(.95 - .13*float64(i))
		hole := make([]pt, 0, 50)
		for a := range 48 {
			s, co := math.Sincos(-2 * math.Pi * float64(a) / 48) // turns against the frame: a hole in it
			r := .8 + .42*n.fractal(co*1.6+float64(i)*9, s*1.6+5, 4)
			hole = append(hole, pt{mx + co*p.width*.19*k*r, my + s*unit*.27*k*r})
		}
		frame := append(rect(-2*p.width, -2*unit, 5*p.width, 5*unit), hole)
		far := .5 - .12*float64(i)
		p.fill(frame, p.textured(func(x, y float64) (rgb, float64) {
			d := math.Hypot((x-mx)/p.width, (y-my)/unit)
			return l.tone(c, far, clamp(.85-d*1.5/k, 0, 1)*.8), 1
		}, 22, 15, .4))
	}
	p.fill(rect(-p.width, unit*.74, 3*p.width, unit), func(x, y float64) (rgb, float64) {
		c, _ := p.ground(hex(0x5c544c), 0)(x, y)
		d := math.Abs(x-mx) / p.width
		return c.scale(clamp(1.05-d*1.5, .25, 1)), smooth(unit*.74, unit*.80, y)
	})
}

// space is stars, a nebula, a planet, and the ground of a moon.
func (p *painter) space() {
	p.horizon, p.eye = unit*.66, 2.6
	n := p.noise + 11
	tint := pick(p.dice, []rgb{hex(0x7a3f8f), hex(0x2f6fa0), hex(0x9a4a5a), hex(0x2f8f86)})
	tint2 := pick(p.dice, []rgb{hex(0x2a4fb0), hex(0xb0643a), hex(0x4a3fa0)})
	p.all(func(x, y float64) (rgb, float64) {
		c := hex(0x05070f).mix(hex(0x0d1428), y/unit)
		v := n.fractal(x/150, y/110, 5)
		w := (n + 40).fractal(x/120+3, y/130, 4)
		return c.plus(tint.scale(.85 * smooth(.46, .78, v))).plus(tint2.scale(.6 * smooth(.5, .8, w))), 1
	})
	for range 420 {
		b := p.dice.float()
		r := .3 + .8*b*b*b
		p.fill(ellipse(p.dice.in(-.4, 1.4)*p.width, p.dice.in(-.4, 1)*unit, r, r), flat(pick(p.dice, []rgb{hex(0xffffff), hex(0xcfe0ff), hex(0xffe9cf)})).fade(.3+.7*b))
	}
	x, y, r := p.width*p.light.sunX, unit*p.dice.in(.22, .36), p.dice.in(42, 74)
	p.globe(x, y, r)
	// the moon's ground
	l := &p.light
	l.key, l.shade, l.haze, l.thick = rgb{.92, .93, .98}, rgb{.20, .21, .30}, hex(0x2a3048), .35
	p.ridge(-p.width, 2*p.width, p.horizon+8, 34, 90, hex(0x8f8c92), .5)
	p.fill(rect(-p.width, p.horizon+6, 3*p.width, unit), p.ground(hex(0x9a979c), 0))
	for i := range 12 {
		t := (float64(i) + .5) / 12
		cy := lerp(p.horizon+12, unit, t*t)
		m := p.metre(cy)
		cx, cr := p.dice.in(-.1, 1.1)*p.width, m*p.dice.in(.6, 1.7)
		p.fill(ellipse(cx, cy, cr, cr*.22), flat(l.shade.scale(.5)).fade(.55))
		p.fill(ellipse(cx-l.side*cr*.12, cy+cr*.05, cr*.9, cr*.17), flat(rgb{.75, .74, .78}).fade(.4))
	}
}

// globe is a planet lit from the light's side.
func (p *painter) globe(x, y, r float64) {
	n := p.noise + 61
	a, b := pick(p.dice, []rgb{hex(0xc98a5a), hex(0x5a8ac0), hex(0x8fb09a), hex(0xb86a6a)}), pick(p.dice, []rgb{hex(0xe8d0a8), hex(0xd8e4ec), hex(0x6a5a8a)})
	p.glow(x, y, r*1.5, a, .35)
	p.fill(ellipse(x, y, r, r), func(px, py float64) (rgb, float64) {
		u, v := (px-x)/r, (py-y)/r
		z := math.Sqrt(math.Max(0, 1-u*u-v*v))
		light := clamp(.15+1.1*(-p.light.side*u*.7-v*.3+z*.35), .03, 1.1)
		return a.mix(b, n.fractal(u*1.2/(z+.4), v*6+n.at(u*3, v*3), 4)).scale(light), 1
	})
	if p.dice.chance(.5) {
		p.line(spline([]pt{{x - r*1.8, y + r*.25}, {x - r*.6, y + r*.50}, {x + r*.6, y + r*.28}, {x + r*1.8, y - r*.30}}, false), tapered(r*.10), flat(b).fade(.7))
	}
}
