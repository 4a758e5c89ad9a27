package animatic

import (
	"encoding/binary"
	"hash/fnv"
	"math"
)

// dice is a small deterministic generator (SplitMix64): the same seed gives the same picture on every machine.
type dice struct{ state uint64 }

func newDice(parts ...any) *dice {
	h := fnv.New64a()
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			h.Write([]byte(p))
		case uint64:
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], p)
			h.Write(b[:])
		}
		h.Write([]byte{0})
	}
	return &dice{h.Sum64()}
}

func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// float is in [0, 1).
func (d *dice) float() float64 { return float64(d.next()>>11) / (1 << 53) }

// in is in [low, high).
func (d *dice) in(low, high float64) float64 { return low + (high-low)*d.float() }

// swing is in [-by, by).
func (d *dice) swing(by float64) float64 { return d.in(-by, by) }

func (d *dice) n(n int) int { return int(d.next() % uint64(n)) }

func (d *dice) chance(p float64) bool { return d.float() < p }

func pick[T any](d *dice, from []T) T { return from[d.n(len(from))] }

// noise is smooth value noise in 0 … 1.
type noise uint32

func (n noise) at(x, y float64) float64 {
	fx, fy := math.Floor(x), math.Floor(y)
	ix, iy := int32(fx), int32(fy)
	tx, ty := x-fx, y-fy
	tx, ty = tx*tx*(3-2*tx), ty*ty*(3-2*ty)
	a, b := n.corner(ix, iy), n.corner(ix+1, iy)
	c, d := n.corner(ix, iy+1), n.corner(ix+1, iy+1)
	top, bottom := a+(b-a)*tx, c+(d-c)*tx
	return top + (bottom-top)*ty
}

func (n noise) corner(x, y int32) float64 {
	h := uint32(x)*0x85ebca6b ^ uint32(y)*0xc2b2ae35 ^ uint32(n)
	h ^= h >> 15
	h *= 0x2c1b3c6d
	h ^= h >> 12
	h *= 0x297a2d39
	h ^= h >> 15
	return float64(h) / (1 << 32)
}

// fractal sums octaves of noise, 0 … 1.
func (n noise) fractal(x, y float64, octaves int) float64 {
	sum, amp, total := 0.0, 1.0, 0.0
	for i := range octaves {
		sum += amp * (n+noise(i*7919)).at(x, y)
		total += amp
		amp *= 0.5
		x, y = x*2.03+17.1, y*2.03+9.7
	}
	return sum / total
}

// ridged is fractal noise with sharp crests, as of mountains, 0 … 1.
func (n noise) ridged(x, y float64, octaves int) float64 {
	sum, amp, total := 0.0, 1.0, 0.0
	for i := range octaves {
		v := 1 - math.Abs(2*(n+noise(i*7919)).at(x, y)-1)
		sum += amp * v * v
		total += amp
		amp *= 0.5
		x, y = x*2.1+5.3, y*2.1+1.9
	}
	return sum / total
}
