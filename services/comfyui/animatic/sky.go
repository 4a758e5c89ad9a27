package animatic

import "math"

func (p *painter) sky() {
	l, h := p.light, p.horizon
	sunX, sunY := p.width*l.sunX, h-l.sunY
	p.all(func(x, y float64) (rgb, float64) {
		t := clamp(y/h, 0, 1)
		c := l.top.mix(l.middle, smooth(0, .68, t))
		c = c.mix(l.low, smooth(.42, 1.0, t))
		// The sky is brighter round the sun.
		d := math.Hypot((x-sunX)*.8, y-sunY)
		return c.mix(l.sun, .42*math.Exp(-d/85)), 1
	})
	if p.scene.time == "night" && p.scene.weather == "" {
		for range 190 {
			x, y := p.dice.in(-.4, 1.4)*p.width, p.dice.in(-.5, .97)*h
			b := p.dice.float()
			p.fill(ellipse(x, y, .35+.55*b*b, .35+.55*b*b), flat(hex(0xf4f1e2)).fade((.25+.7*b)*(1-smooth(.5, 1, y/h)*.8)))
		}
	}
	if l.sunY < -100 {
		return
	}
	r := 15.0
	if p.scene.time == "night" {
		r = 12
		p.glow(sunX, sunY, 110, rgb{.42, .5, .68}, .55)
		p.fill(ellipse(sunX, sunY, r, r), p.textured(flat(l.sun), 5, 5, .13))
		return
	}
	p.glow(sunX, sunY, 150, l.sun, .5)
	p.fill(ellipse(sunX, sunY, r, r), flat(l.sun.mix(rgb{1, 1, 1}, .35)))
}

func (p *painter) clouds() {
	l, h := p.light, p.horizon
	cover := map[string]float64{"": .50, "clouds": .68, "rain": .78, "storm": .86, "snow": .74, "fog": .5}[p.scene.weather]
	cover += p.dice.swing(.05)
	lit := l.low.mix(rgb{1, 1, 1}, .35)
	dim := l.middle.mix(l.shade, .38)
	switch p.scene.time {
	case "dusk":
		lit, dim = hex(0xffb98a).mix(l.low, .3), hex(0x6f4a72).mix(l.middle, .4)
	case "dawn":
		lit = hex(0xffdcc0)
	case "night":
		lit, dim = l.low.scale(1.1), l.top.mix(l.middle, .6)
	}
	if p.scene.weather == "storm" || p.scene.weather == "rain" {
		lit, dim = l.middle.scale(1.15), l.top.scale(.75)
	}
	n := p.noise + 77
	p.all(func(x, y float64) (rgb, float64) {
		if y > h {
			return rgb{}, 0
		}
		// Rows of cloud crowd together towards the horizon.
		depth := 1 / (.16 + (h-y)/h)
		u, v := (x-p.width/2)*depth*.011, depth*2.1
		body := n.fractal(u, v, 4)
		a := smooth(1-cover, 1.16-cover, body)
		if a == 0 {
			return rgb{}, 0
		}
		above := n.fractal(u+.05*l.side, v+.18, 3)
		c := dim.mix(lit, clamp(.5+3.2*(body-above), 0, 1))
		return c.mix(l.haze, smooth(.6, 1, y/h)*.5), a * .88 * (1 - smooth(.88, 1, y/h))
	})
}

// weather falls in front of everything.
func (p *painter) weather() {
	l := p.light
	switch p.scene.weather {
	case "rain", "storm":
		slant := p.dice.in(.12, .3) * l.side
		for range 420 {
			x, y, n := p.dice.in(-.1, 1.1)*p.width, p.dice.in(-.1, 1)*unit, p.dice.in(8, 26)
			p.line([]pt{{x, y}, {x - slant*n, y + n}}, even(p.dice.in(.35, .9)), flat(l.low.mix(rgb{1, 1, 1}, .4)).fade(p.dice.in(.10, .34)))
		}
		if p.scene.weather == "storm" {
			p.bolt()
		}
	case "snow":
		for range 330 {
			r := p.dice.in(.5, 2.3)
			p.fill(ellipse(p.dice.float()*p.width, p.dice.float()*unit, r, r), flat(rgb{.96, .97, 1}.times(l.key.mix(rgb{1, 1, 1}, .5))).fade(p.dice.in(.35, .9)))
		}
	case "fog":
		n := p.noise + 301
		p.all(func(x, y float64) (rgb, float64) {
			band := math.Exp(-math.Pow((y-p.horizon*1.12)/70, 2))
			return l.haze.mix(rgb{1, 1, 1}, .12), band * .75 * n.fractal(x/140, y/40, 3)
		})
	}
}

func (p *painter) bolt() {
	x, y := p.width*p.dice.in(.2, .8), 0.0
	points := []pt{{x, y}}
	for y < p.horizon*.9 {
		x, y = x+p.dice.swing(16), y+p.dice.in(9, 22)
		points = append(points, pt{x, y})
	}
	p.line(points, func(t float64) float64 { return 2.4 - 1.6*t }, flat(rgb{.95, .96, 1}))
	mid := points[len(points)/2]
	p.shine(mid.x, mid.y, 130, rgb{.7, .75, .95}, .6)
}
