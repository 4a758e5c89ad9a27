package score

import (
	"math"
)

// wave is one period of a sound, to be read at any pitch. One more sample than its size makes interpolation simple.
type wave [waveSize + 1]float32

const waveSize = 2048

// harmonics makes a wave whose n-th harmonic has the loudness n^−fall.
func harmonics(count int, fall float64) *wave {
	var w wave
	for i := range w {
		var sum float64
		for n := 1; n <= count; n++ {
			sum += math.Sin(2*math.Pi*float64(n*i)/waveSize) * math.Pow(float64(n), -fall)
		}
		w[i] = float32(sum)
	}
	return &w
}

// at reads the wave at a phase counted in periods.
func (w *wave) at(phase float64) float64 {
	x := (phase - math.Floor(phase)) * waveSize
	i := int(x)
	f := float32(x - float64(i))
	return float64(w[i] + (w[i+1]-w[i])*f)
}

var (
	sine     = harmonics(1, 1)
	dark     = harmonics(5, 2.2)
	bright   = harmonics(9, 1.4)
	bassWave = harmonics(4, 1.9)
)

// voice is a note that sounds. Its frames are counted from its beginning.
type voice struct {
	note        note
	style       *style
	start, last int // frames of the film: first, and first after
	age         int
	hertz       float64
	phase       [3]float64 // of its oscillators, in periods
	left, right float64    // loudness by its place
	body        float64    // envelope of notes that decay, and its fall a frame
	fall        float64
	shine       float64 // FM index, and its fall a frame
	dulling     float64
}

func newVoice(n note, st *style) *voice {
	v := &voice{note: n, style: st, start: int(n.at * Rate), hertz: 440 * math.Pow(2, (n.pitch-69)/12), body: 1}
	release := 0.25
	switch n.voice {
	case padVoice:
		release = 1.4
		for i := range v.phase { // not all oscillators begin together
			v.phase[i] = math.Mod(n.pitch*0.37+float64(i)*0.31, 1)
		}
	case arpVoice:
		release = 0.1
		// High strings die sooner.
		v.fall = math.Exp(-1 / (st.timbre.decay * math.Pow(2, (72-n.pitch)/24) * Rate))
		v.shine, v.dulling = st.timbre.index, math.Exp(-1/(st.timbre.dull*Rate))
	}
	v.last = v.start + int((n.length+release)*Rate)
	angle := (n.panned + 1) * math.Pi / 4 // equal power
	v.left, v.right = n.loudness*math.Cos(angle)*math.Sqrt2, n.loudness*math.Sin(angle)*math.Sqrt2
	return v
}

// add mixes the voice into frames of the film that begin at from. It is true when the voice has ended.
func (v *voice) add(mix [][2]float64, from int) (ended bool) {
	first := max(0, v.start-from)
	end := min(len(mix), v.last-from)
	for i := first; i < end; i++ {
		t := float64(v.age) / Rate
		v.age++
		var l, r float64
		switch v.note.voice {
		case padVoice:
			l, r = v.padAt(t)
		case arpVoice:
			l = v.arpAt(t)
			r = l
		case bassVoice:
			v.phase[0] += v.hertz / Rate
			l = bassWave.at(v.phase[0]) * swell(t, v.note.length, 0.03, 0.22)
			r = l
		}
		mix[i][0] += l * v.left
		mix[i][1] += r * v.right
	}
	return v.last <= from+len(mix)
}

// padAt is three oscillators a few cents apart, the outer ones on either side, with a slow swell.
func (v *voice) padAt(t float64) (l, r float64) {
	const cents = 1.0029 // five
	v.phase[0] += v.hertz / Rate
	v.phase[1] += v.hertz * cents / Rate
	v.phase[2] += v.hertz / cents / Rate
	var s [3]float64
	for i := range s {
		d, b := dark.at(v.phase[i]), bright.at(v.phase[i])
		s[i] = d + (b-d)*v.style.bright
	}
	env := swell(t, v.note.length, 0.9, 1.4) * (1 + 0.12*sine.at(0.23*t+v.note.pitch*0.11))
	return (0.7*s[0] + s[1]) * env * 0.6, (0.7*s[0] + s[2]) * env * 0.6
}

// arpAt is a struck sound: two-operator FM that dulls and dies.
func (v *voice) arpAt(t float64) float64 {
	v.phase[0] += v.hertz / Rate
	v.phase[1] += v.hertz * v.style.timbre.ratio / Rate
	v.body *= v.fall
	v.shine *= v.dulling
	s := sine.at(v.phase[0] + v.shine*sine.at(v.phase[1])/(2*math.Pi))
	return s * v.body * swell(t, v.note.length, 0.004, 0.1)
}

// swell is the envelope of a held note: rises for attack, holds to its length, falls for release, all in seconds.
func swell(t, length, attack, release float64) float64 {
	up := 1.0
	if t < attack {
		up = smooth(t / attack)
	}
	if t <= length {
		return up
	}
	return up * (1 - smooth((t-length)/release))
}

// smooth goes from 0 to 1 with no corner.
func smooth(x float64) float64 {
	x = min(max(x, 0), 1)
	return x * x * (3 - 2*x)
}

// room is a small Schroeder reverberator: parallel combs with damped feedback, then all-passes; one for each ear.
type room struct {
	combs  [4]delay
	damped [4]float64
	passes [2]delay
}

type delay struct {
	line []float64
	at   int
}

func newRoom(spread int) *room {
	r := &room{}
	for i, n := range [...]int{1687, 1949, 2237, 2593} { // primes: the echoes never fall together
		r.combs[i].line = make([]float64, n+spread)
	}
	for i, n := range [...]int{557, 241} {
		r.passes[i].line = make([]float64, n+spread)
	}
	return r
}

func (r *room) hear(x float64) float64 {
	var sum float64
	for i := range r.combs {
		c := &r.combs[i]
		y := c.line[c.at]
		sum += y
		r.damped[i] += 0.6 * (y - r.damped[i])
		c.push(x + 0.84*r.damped[i])
	}
	sum /= 4
	for i := range r.passes {
		p := &r.passes[i]
		y := p.line[p.at]
		out := y - 0.5*sum
		p.push(sum + 0.5*out)
		sum = out
	}
	return sum
}

func (d *delay) push(x float64) {
	d.line[d.at] = x
	if d.at++; d.at == len(d.line) {
		d.at = 0
	}
}
