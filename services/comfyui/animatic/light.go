package animatic

// light is the lighting and palette of a scene.
type light struct {
	top, middle, low rgb     // the sky, zenith to horizon
	key              rgb     // multiplies what the light falls on
	shade            rgb     // multiplies what it doesn't
	haze             rgb     // what distance fades into
	thick            float64 // how much haze at the horizon, 0 … 1
	sun              rgb
	sunX, sunY       float64 // fraction of the width, and units above the horizon
	dark             bool    // lamps and windows are lit
	side             float64 // where the light comes from: −1 left, 1 right
}

func lightOf(s scene, d *dice) light {
	var l light
	switch s.time {
	case "dawn":
		l = light{top: hex(0x4f78a8), middle: hex(0xb8a4bf), low: hex(0xf9cfa4), key: rgb{1.02, .88, .78}, shade: rgb{.50, .53, .66},
			haze: hex(0xd8bfc0), thick: .74, sun: hex(0xffe3b0), sunY: 16}
	case "dusk":
		l = light{top: hex(0x2c3768), middle: hex(0x9c5878), low: hex(0xfba35c), key: rgb{1.04, .74, .56}, shade: rgb{.37, .34, .50},
			haze: hex(0xc07f80), thick: .70, sun: hex(0xffd08a), sunY: 10, dark: true}
	case "night":
		l = light{top: hex(0x0a122c), middle: hex(0x1a3260), low: hex(0x416499), key: rgb{.56, .66, .88}, shade: rgb{.20, .25, .42},
			haze: hex(0x345384), thick: .66, sun: hex(0xf2f0dc), sunY: 118, dark: true}
	default:
		l = light{top: hex(0x3d7fc2), middle: hex(0x86b8de), low: hex(0xdcebee), key: rgb{1.0, .97, .88}, shade: rgb{.60, .68, .80},
			haze: hex(0xbdd4e2), thick: .68, sun: hex(0xfff6d8), sunY: 120}
	}
	l.sunX = d.in(.16, .40)
	if d.chance(.5) {
		l.sunX = 1 - l.sunX
	}
	l.side = 1
	if l.sunX < .5 {
		l.side = -1
	}
	grade := func(f func(rgb) rgb) {
		for _, c := range []*rgb{&l.top, &l.middle, &l.low, &l.haze} {
			*c = f(*c)
		}
	}
	switch s.weather {
	case "rain", "storm", "clouds", "snow", "fog":
		by := map[string]float64{"rain": .62, "storm": .72, "clouds": .5, "snow": .55, "fog": .55}[s.weather]
		grade(func(c rgb) rgb { g := float32(c.luma()); return c.mix(rgb{g * .93, g * .98, g * 1.06}, by) })
		if s.weather == "storm" {
			if s.time != "night" {
				grade(func(c rgb) rgb { return c.scale(.66) })
				l.key = l.key.scale(.8)
			} else {
				grade(func(c rgb) rgb { return c.scale(1.25) })
				l.key, l.shade = l.key.scale(1.15), l.shade.scale(1.25)
			}
			l.dark = true
		}
		if s.weather == "fog" {
			l.thick = min(.93, l.thick+.22)
		}
		l.key = l.key.mix(l.shade, .35)
		if s.weather != "fog" && s.weather != "clouds" {
			l.sunY = -400 // behind the clouds
		}
	}
	switch s.mood {
	case "tense":
		grade(func(c rgb) rgb { return c.saturate(.72).times(rgb{.88, .96, .94}).scale(.9) })
		l.key, l.shade = l.key.times(rgb{.94, 1, .96}), l.shade.scale(.82)
	case "joyful":
		grade(func(c rgb) rgb { return c.saturate(1.22) })
		l.key = l.key.scale(1.08)
	case "sad":
		grade(func(c rgb) rgb { return c.saturate(.6).times(rgb{.9, .97, 1.06}) })
		l.key = l.key.saturate(.6)
	case "wonder":
		grade(func(c rgb) rgb { return c.saturate(1.15).times(rgb{1.02, .97, 1.08}) })
		l.top = l.top.mix(hex(0x2a2f86), .3)
		l.middle = l.middle.mix(hex(0x6f6fc0), .18)
	}
	shift := rgb{float32(d.in(.95, 1.05)), float32(d.in(.96, 1.04)), float32(d.in(.95, 1.05))}
	grade(func(c rgb) rgb { return c.times(shift) })
	return l
}

// tone lights a surface's own colour at a distance, 0 near … 1 at the horizon: farther is hazier and paler, nearer is
// deeper and darker, which is what the eye (and a depth estimate) reads distance from. facing is how much of the key
// light falls on it, 0 … 1.
func (l light) tone(c rgb, far, facing float64) rgb {
	lit := c.times(l.shade.mix(l.key, facing)).scale(lerp(.80, 1, smooth(0, .5, far)))
	return lit.mix(l.haze, l.thick*smooth(0, 1.05, far))
}
