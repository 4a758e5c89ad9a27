package animatic

// portrait is a head in three-quarter view. Coordinates of its shapes: x −1 … 1 across the face (1 on the side it looks
// to), y −1 … 1 from the crown to the chin.
type portrait struct {
	p          *painter
	who        person
	x, y, w, h float64
	facing     float64
	far        float64
	skin       rgb
	dice       *dice
}

func (f *portrait) at(u, v float64) pt { return pt{f.x + u*f.w*f.facing, f.y + v*f.h} }

func (f *portrait) shape(uv ...float64) path {
	points := make([]pt, 0, len(uv)/2)
	for i := 0; i+1 < len(uv); i += 2 {
		points = append(points, f.at(uv[i], uv[i+1]))
	}
	if f.facing < 0 {
		for i, j := 0, len(points)-1; i < j; i, j = i+1, j-1 {
			points[i], points[j] = points[j], points[i]
		}
	}
	return path{spline(points, true)}
}

func (f *portrait) stroke(width float64, uv ...float64) path {
	points := make([]pt, 0, len(uv)/2)
	for i := 0; i+1 < len(uv); i += 2 {
		points = append(points, f.at(uv[i], uv[i+1]))
	}
	points = spline(points, false)
	var q path
	for i := 0; i+1 < len(points); i++ {
		t := float64(i) / float64(len(points))
		r := width * f.h * (.35 + .65*(1-(2*t-1)*(2*t-1))) / 2
		q = append(q, capsule(points[i], points[i+1], r, r))
	}
	return q
}

func (f *portrait) ink(c rgb, spread float64) ink { return f.p.solid(c, f.far, f.x, f.w*spread) }

func (f *portrait) hair() rgb {
	switch f.who.hair {
	case "white", "gray", "grey", "silver":
		return hex(0xcfccc6)
	case "red":
		return hex(0x9c4a26)
	case "blond", "yellow", "golden", "gold":
		return hex(0xd0a95c)
	case "black":
		return hex(0x2c2628)
	}
	return pick(newDice("hair", f.who.name), []rgb{hex(0x4a3324), hex(0x5e4230), hex(0x3a2a22)})
}

func (f *portrait) long() bool {
	if f.who.hair == "long" || f.who.hair == "braid" {
		return true
	}
	return f.who.gender == "woman" && f.who.hair != "bun" && f.who.age != "old"
}

// back adds what hangs behind the shoulders.
func (f *portrait) back(m *model) {
	if f.who.robot {
		return
	}
	if f.long() {
		m.add(f.shape(-.1, -1.15, .8, -1.0, 1.05, -.2, .92, .8, .7, 1.35, -.2, 1.55, -1.05, 1.6, -1.35, .9, -1.28, 0, -1.0, -.8), f.ink(f.hair().scale(.72), 1.3))
	}
	if f.who.garment == "cloak" || f.who.hat == "hood" || f.hooded() {
		m.add(f.shape(0, -1.38, .95, -1.05, 1.22, -.2, 1.18, .9, .8, 1.5, -.9, 1.5, -1.4, .9, -1.42, -.3, -1.0, -1.1), f.ink(f.who.coat.scale(.62), 1.4))
	}
}

func (f *portrait) hooded() bool {
	w := f.p.scene.weather
	return f.who.garment == "raincoat" && f.who.hat == "" && (w == "rain" || w == "storm")
}

// front adds face, hair and hat.
func (f *portrait) front(m *model) {
	p, skin := f.p, f.skin
	outline := f.shape(0, -1, .56, -.88, .86, -.46, .90, .02, .84, .40, .66, .74, .40, .97, .10, 1.03, -.34, .90, -.70, .56, -.90, .06, -.90, -.42, -.60, -.86)
	if f.who.robot {
		f.robot(m)
		return
	}
	// the ear on the near side
	m.add(f.shape(-.78, -.12, -.66, -.02, -.68, .24, -.80, .28, -.90, .10), f.ink(skin.scale(.92), 1))
	m.add(outline, f.ink(skin, 1.02))
	fine := f.h * p.scale // pixels of half a face
	if fine > 7 {
		f.features(m, fine)
	} else if fine > 3.2 {
		for _, u := range []float64{.02, .58} {
			q := f.at(u, -.02)
			m.add(ellipse(q.x, q.y, f.w*.085, f.h*.075), flat(p.lit(hex(0x2a2024), f.far, .3)))
		}
	}
	f.beard(m)
	f.coiffure(m)
	f.hat(m)
}

func (f *portrait) features(m *model, fine float64) {
	p, skin := f.p, f.skin
	line := p.lit(hex(0x3a2420), f.far, .4)
	flush := skin.times(rgb{1.02, .80, .76})
	// the cheek away from the light
	side := p.light.side * f.facing // 1: the light comes from where the face looks
	if side > 0 {
		m.add(f.shape(-.30, -.86, -.60, -.86, -.90, -.42, -.90, .06, -.70, .56, -.34, .90, -.30, .60, -.42, .10, -.40, -.40), f.ink(skin.scale(.80), 1.6).fade(.55))
	} else {
		m.add(f.shape(.66, -.80, .86, -.46, .90, .02, .84, .40, .66, .74, .40, .97, .48, .60, .62, .30, .60, -.20), f.ink(skin.scale(.80), 1.6).fade(.55))
	}
	for _, u := range []float64{-.20, .70} {
		q := f.at(u, .30)
		m.add(ellipse(q.x, q.y, f.w*.20, f.h*.13), flat(p.lit(flush, f.far, .6)).fade(.40))
	}
	big := 1.0
	if f.who.age == "child" {
		big = 1.22
	}
	mood := p.scene.mood
	iris := pick(newDice("iris", f.who.name), []rgb{hex(0x4a3a2a), hex(0x3f5f74), hex(0x50683f), hex(0x33302e)})
	for i, u := range []float64{.02, .58} {
		w := []float64{.20, .16}[i] * big
		open := .105 * big
		switch mood {
		case "wonder":
			open *= 1.35
		case "sad":
			open *= .8
		}
		if fine > 16 {
			m.add(f.shape(u-w, -.02, u-w*.3, -.02-open, u+w*.5, -.02-open*.9, u+w, -.01, u+w*.4, -.02+open*.75, u-w*.5, -.02+open*.7), flat(p.lit(hex(0xf2ece2), f.far, .72)))
			q := f.at(u+w*.16, -.03)
			m.add(ellipse(q.x, q.y, f.w*w*.48, f.h*open*.95), flat(p.lit(iris, f.far, .6)))
			m.add(ellipse(q.x, q.y, f.w*w*.24, f.h*open*.5), flat(p.lit(hex(0x16100f), f.far, .5)))
			m.add(ellipse(q.x-f.w*.03, q.y-f.h*open*.4, f.w*w*.13, f.h*open*.2), flat(rgb{1, 1, .98}).fade(.9))
			m.add(f.stroke(.050, u-w*1.05, 0, u-w*.3, -.035-open, u+w*.5, -.03-open*.9, u+w*1.08, -.01), flat(line))
			m.add(f.stroke(.016, u-w*.7, .06+open*.8, u, .075+open*.9, u+w*.7, .05+open*.8), flat(line).fade(.45))
		} else {
			q := f.at(u+.02, -.02)
			m.add(ellipse(q.x, q.y, f.w*.085*big, f.h*open), flat(line))
		}
		lift := map[string]float64{"tense": .05, "sad": -.07, "wonder": -.05, "joyful": -.03}[mood]
		inner, outer := -.27, -.27
		if i == 0 {
			inner += lift // towards the nose
			if mood == "wonder" || mood == "joyful" {
				outer += lift
			}
			m.add(f.stroke(.075, u-w*1.1, outer+.03, u-w*.1, outer-.05, u+w*1.05, inner), flat(p.lit(f.hair().scale(.7), f.far, .4)))
		} else {
			inner += lift
			m.add(f.stroke(.070, u-w*.9, inner, u+w*.2, outer-.05, u+w*1.15, outer+.03), flat(p.lit(f.hair().scale(.7), f.far, .4)))
		}
	}
	// nose: its side in shade, and the line under its tip
	m.add(f.shape(.34, -.10, .46, .22, .50, .33, .38, .37, .26, .33, .30, .15), f.ink(skin.scale(.84), 1.6).fade(.6))
	m.add(f.stroke(.034, .26, .32, .36, .375, .48, .34, .50, .30), flat(line).fade(.75))
	if fine > 16 {
		m.add(f.shape(.36, .02, .44, .20, .42, .26, .37, .18), f.ink(skin.scale(1.10), 1.4).fade(.6))
	}
	// mouth
	lip := skin.times(rgb{.86, .52, .50})
	bend := map[string]float64{"joyful": .085, "sad": -.065, "tense": -.02, "wonder": .03, "calm": .025}[mood]
	if mood == "wonder" && fine > 12 {
		q := f.at(.30, .62)
		m.add(ellipse(q.x, q.y, f.w*.13, f.h*.07), flat(p.lit(hex(0x5a2624), f.far, .5)))
	} else {
		if f.who.gender == "woman" || fine > 16 {
			m.add(f.shape(.08, .605, .24, .575, .31, .59, .38, .575, .52, .60, .38, .655+bend*.4, .30, .665+bend*.5, .20, .655+bend*.4), f.ink(lip, 1.5).fade(.75))
		}
		m.add(f.stroke(.034, .06, .61-bend*.5, .30, .61+bend*.6, .54, .60-bend*.5), flat(line).fade(.9))
	}
	if fine > 16 {
		m.add(f.stroke(.02, .20, .78, .32, .80, .42, .775), flat(line).fade(.35))
	}
	if f.who.age == "old" && fine > 10 {
		for _, w := range [][]float64{{-.10, .34, -.06, .48, -.09, .64}, {.62, .34, .64, .46, .60, .60}, {-.26, .02, -.36, .06}, {-.26, .07, -.35, .13},
			{-.10, -.52, .24, -.55, .56, -.52}, {-.02, -.62, .26, -.65, .50, -.62}} {
			m.add(f.stroke(.024, w...), flat(line).fade(.42))
		}
	}
	if f.who.glasses {
		for i, u := range []float64{.02, .58} {
			w := []float64{.27, .22}[i]
			ring := f.stroke(.03, u-w, 0, u-w*.7, -.19, u, -.22, u+w*.7, -.19, u+w, 0, u+w*.7, .17, u, .20, u-w*.7, .17, u-w, 0)
			m.add(ring, flat(p.lit(hex(0x2a2420), f.far, .5)))
		}
		m.add(f.stroke(.03, -.25, -.04, -.6, -.06, -.86, -.06), flat(p.lit(hex(0x2a2420), f.far, .5)))
	}
}

func (f *portrait) beard(m *model) {
	if !f.who.beard && !(f.who.gender == "man" && f.who.age == "old" && newDice("beard", f.who.name).chance(.7)) {
		return
	}
	c := f.hair()
	m.add(f.shape(-.80, .10, -.62, .38, -.30, .46, .02, .50, .30, .47, .56, .50, .78, .36, .88, .10, .86, .50, .72, .92, .42, 1.26, .14, 1.36, -.24, 1.20, -.62, .86, -.82, .46),
		f.p.folds(f.ink(c, 1.1), f.x, f.w*.4))
	m.add(f.shape(.02, .52, .16, .44, .30, .47, .44, .44, .60, .52, .44, .58, .30, .56, .16, .58), f.ink(c.scale(1.14), 1.1))
	m.add(f.stroke(.03, .16, .66, .30, .68, .44, .66), flat(f.p.lit(hex(0x5a2e2a), f.far, .4)))
}

func (f *portrait) coiffure(m *model) {
	if f.who.hair == "bald" || f.hooded() {
		return
	}
	c := f.hair()
	ink := f.p.folds(f.ink(c, 1.15), f.x, f.w*.5)
	switch {
	case f.long():
		m.add(f.shape(.05, -1.12, .60, -1.00, .93, -.56, .98, -.06, .92, .34, .86, -.08, .76, -.40, .50, -.64, .22, -.78, -.10, -.62, -.38, -.34, -.58, .04, -.68, .56, -.78, 1.06, -.98, 1.34, -1.14, 1.02, -1.14, .40, -1.08, -.30, -.80, -.90), ink)
		f.strands(m, c, .22, -.80, -.06, -1.06, -.62, -.88, -.98, -.30, -1.04, .30)
		f.strands(m, c, .22, -.80, -.02, -.98, -.48, -.76, -.82, -.20, -.92, .42)
		f.strands(m, c, .24, -.80, .52, -.92, .84, -.52, .93, -.02)
	case f.who.hair == "bun" || f.who.gender == "woman" && f.who.age == "old":
		q := f.at(-.55, -1.12)
		m.add(ellipse(q.x, q.y, f.w*.46, f.h*.36), ink)
		m.add(f.shape(.05, -1.10, .64, -.98, .94, -.50, .92, -.20, .76, -.50, .36, -.68, -.10, -.58, -.52, -.22, -.64, .10, -.98, .16, -1.04, -.40, -.74, -.90), ink)
	case f.who.hair == "curly":
		for i := range 9 {
			t := float64(i) / 8
			q := f.at(lerp(-1.0, .92, t), -.50-.55*(1-(2*t-1)*(2*t-1))-.05)
			m.add(ellipse(q.x, q.y, f.w*.36, f.h*.30), ink)
		}
	default:
		m.add(f.shape(.10, -1.14, .62, -1.04, .92, -.66, .92, -.30, .78, -.52, .52, -.64, .20, -.72, -.16, -.62, -.46, -.48, -.58, -.16, -.66, .14, -.88, .18, -1.02, -.16, -.98, -.60, -.62, -1.02), ink)
		if f.who.age == "child" {
			m.add(f.shape(.0, -1.10, .14, -1.34, .22, -1.12, .40, -1.28, .40, -1.04), ink)
		}
	}
	if f.h*f.p.scale > 16 {
		for i := range 5 {
			u := -.7 + .32*float64(i)
			m.add(f.stroke(.022, u*.5+.1, -1.06, u*.9, -.92, u, -.66), flat(f.p.lit(c.scale(1.35), f.far, .8)).fade(.16))
		}
	}
}

// strands is a line of light along the hair.
func (f *portrait) strands(m *model, c rgb, uv ...float64) {
	if f.h*f.p.scale > 12 {
		m.add(f.stroke(.045, uv...), flat(f.p.lit(c.scale(1.5).plus(rgb{.05, .05, .05}), f.far, .8)).fade(.30))
	}
}

func (f *portrait) hat(m *model) {
	c := pick(newDice("hat", f.who.name), []rgb{hex(0x4a3c34), hex(0x3a4658), hex(0x6a4a38), hex(0x7a3a34)})
	switch f.who.hat {
	case "brim":
		if f.who.garment == "raincoat" {
			c = f.who.coat.scale(.94)
		}
		m.add(f.shape(-.80, -.56, -.72, -1.20, -.30, -1.42, .34, -1.42, .74, -1.18, .84, -.56), f.ink(c, 1.1))
		m.add(f.shape(-1.55, -.40, -.80, -.70, .05, -.76, .90, -.70, 1.60, -.42, .90, -.48, .05, -.52, -.80, -.46), f.ink(c.scale(.9), 1.7))
		m.add(f.shape(-.80, -.66, .04, -.84, .84, -.66, .84, -.78, .04, -.98, -.80, -.78), f.ink(c.scale(.55), 1.1))
	case "cap":
		m.add(f.shape(-.94, -.46, -.98, -.92, -.50, -1.26, .30, -1.30, .90, -1.02, .92, -.52, 0, -.66), f.ink(c, 1.1))
		m.add(f.shape(.10, -.62, .92, -.66, 1.42, -.42, .98, -.40, .46, -.46), f.ink(c.scale(.55), 1.3))
	case "beanie":
		m.add(f.shape(-.96, -.44, -1.0, -.94, -.52, -1.36, .24, -1.40, .84, -1.04, .94, -.48, 0, -.60), f.ink(c.mix(hex(0xa03c34), .5), 1.1))
		m.add(f.shape(-1.0, -.36, -1.0, -.66, 0, -.84, .96, -.68, .98, -.40, 0, -.56), f.ink(c.mix(hex(0xa03c34), .5).scale(1.2), 1.1))
	case "hood":
		f.hood(m, f.who.coat)
	case "crown":
		m.add(poly(f.at(-.86, -.62).x, f.at(0, -.62).y, f.at(-.98, -1.24).x, f.at(0, -1.24).y, f.at(-.45, -.94).x, f.at(0, -.94).y, f.at(0, -1.40).x, f.at(0, -1.40).y,
			f.at(.45, -.94).x, f.at(0, -.94).y, f.at(.98, -1.24).x, f.at(0, -1.24).y, f.at(.86, -.62).x, f.at(0, -.62).y), f.ink(hex(0xe0b840), 1))
	case "helmet":
		q := f.at(.02, -.06)
		m.add(ellipse(q.x, q.y, f.w*1.42, f.h*1.36), f.ink(hex(0xdfe8f0), 1.4).fade(.30))
		m.add(f.stroke(.12, -1.38, .4, -1.42, -.3, -1.0, -1.1, 0, -1.42, 1.0, -1.1, 1.42, -.3, 1.38, .4), f.ink(hex(0xe8ecf0), 1.4))
	case "scarf":
		m.add(f.shape(.05, -1.18, .70, -1.0, .98, -.40, .90, -.10, .76, -.50, .30, -.72, -.20, -.56, -.56, -.02, -.50, .74, -.10, 1.10, -.60, 1.24, -1.06, .60, -1.12, -.40, -.78, -.98), f.ink(c.mix(hex(0xa85a4a), .6), 1.2))
	case "witch":
		m.add(f.shape(-.78, -.60, -.50, -1.5, -.10, -2.3, .10, -2.2, .42, -1.5, .80, -.60, 0, -.74), f.ink(hex(0x3a3050), 1.1))
		m.add(f.shape(-1.70, -.42, -.80, -.72, .05, -.80, .90, -.72, 1.75, -.44, .90, -.46, .05, -.54, -.80, -.46), f.ink(hex(0x332a48), 1.7))
	}
	if f.hooded() {
		f.hood(m, f.who.coat)
	}
}

func (f *portrait) hood(m *model, c rgb) {
	m.add(f.shape(.10, -1.36, .80, -1.12, 1.14, -.50, 1.10, .30, .86, .98, .80, .50, .86, -.10, .70, -.62, .20, -.82, -.34, -.70, -.66, -.20, -.72, .40, -.50, 1.04, -.90, 1.16, -1.24, .50, -1.26, -.40, -.86, -1.10), f.ink(c, 1.3))
}

func (f *portrait) robot(m *model) {
	p := f.p
	m.add(f.shape(-.9, -.85, 0, -1.0, .9, -.85, .98, 0, .86, .85, 0, 1.0, -.86, .85, -.98, 0), f.ink(hex(0xaab6c0), 1.1))
	m.add(f.shape(-.6, -.35, .1, -.42, .82, -.35, .84, .12, .1, .2, -.6, .12), f.ink(hex(0x26303a), 1.2))
	for _, u := range []float64{-.12, .48} {
		q := f.at(u, -.1)
		m.add(ellipse(q.x, q.y, f.w*.15, f.h*.13), flat(hex(0x7fe8ff)))
		p.shine(q.x, q.y, f.h*1.2, rgb{.4, .85, 1}, .3)
	}
	m.add(limb([]pt{f.at(0, -1), f.at(0, -1.45)}, f.w*.05), f.ink(hex(0x77828e), 1))
	q := f.at(0, -1.5)
	m.add(ellipse(q.x, q.y, f.w*.14, f.h*.10), flat(hex(0xff6a4a)))
	m.add(f.stroke(.05, -.3, .55, .1, .58, .5, .55), flat(hex(0x4a545e)))
}
