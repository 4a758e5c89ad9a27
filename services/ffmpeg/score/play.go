package score

import (
	"encoding/binary"
	"io"
	"math"
	"slices"
)

// Frames is how many samples each channel has.
func (p *Piece) Frames() int { return p.frames }

// Play writes the music as interleaved stereo of 32-bit little-endian floats, block by block. Samples stay within ±1.
func (p *Piece) Play(w io.Writer) error {
	const block = 2048
	mix, part := make([][2]float64, block), make([][2]float64, block)
	out := make([]byte, 0, block*8)
	left, right := newRoom(0), newRoom(23)
	players := make([]*player, len(p.sections))
	for i := range p.sections {
		players[i] = &player{section: &p.sections[i]}
	}
	fadeIn, fadeOut := p.fades()
	for from := 0; from < p.frames; from += block {
		n := min(block, p.frames-from)
		clear(mix)
		for _, pl := range players {
			pl.play(mix[:n], part[:n], from)
		}
		out = out[:0]
		for i, m := range mix[:n] {
			t := float64(from + i)
			env := smooth(t/fadeIn) * smooth((float64(p.frames)-t)/fadeOut)
			l := math.Tanh((m[0] + 0.35*left.hear(m[0])) * env * 0.7) // soft where it grows too loud
			r := math.Tanh((m[1] + 0.35*right.hear(m[1])) * env * 0.7)
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(l)))
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(r)))
		}
		if _, err := w.Write(out); err != nil {
			return err
		}
	}
	return nil
}

// fades are the lengths of the fade from and to silence, frames.
func (p *Piece) fades() (in, out float64) {
	n := float64(p.frames)
	return min(0.8*Rate, n/8) + 1, min(2.5*Rate, n/4) + 1
}

// player plays the notes of a section.
type player struct {
	section *section
	next    int
	voices  []*voice
}

// play adds frames from on to mix, by way of part, as loud as the section is then.
func (p *player) play(mix, part [][2]float64, from int) {
	s := p.section
	to := from + len(mix)
	for p.next < len(s.notes) && int(s.notes[p.next].at*Rate) < to {
		p.voices = append(p.voices, newVoice(s.notes[p.next], &s.style))
		p.next++
	}
	if len(p.voices) == 0 {
		return
	}
	clear(part)
	p.voices = slices.DeleteFunc(p.voices, func(v *voice) bool { return v.add(part, from) })
	for i, x := range part {
		g := s.gain(float64(from+i) / Rate)
		mix[i][0] += g * x[0]
		mix[i][1] += g * x[1]
	}
}

// gain is how loud the section is at t seconds: 1 inside, 0 outside, equal power where two meet.
func (s *section) gain(t float64) float64 {
	in := min(max((t-s.from)/s.fadeIn+0.5, 0), 1)
	out := min(max((s.to-t)/s.fadeOut+0.5, 0), 1)
	return math.Sin(in*math.Pi/2) * math.Sin(out*math.Pi/2)
}
