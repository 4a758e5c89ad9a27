package depth

import (
	"image"
)

// spread carries m on from where it is known (1) to where it isn't (0): each gap takes the average of what is known around
// it, the nearest first. Windows are wide times as wide as they are tall. Where nothing is known at all, it stays 0.
func spread(m, known *Map, wide int) *Map {
	out := NewMap(m.W, m.H)
	copy(out.V, m.V)
	open := make([]bool, len(m.V))
	product := NewMap(m.W, m.H)
	for i, k := range known.V {
		open[i] = k < 0.5
		product.V[i] = m.V[i] * k
	}
	for r := 1; r < 2*max(m.W, m.H); r *= 2 {
		sum, weight := product.blurred(r*wide, r), known.blurred(r*wide, r)
		left := 0
		for i := range open {
			switch {
			case !open[i]:
			case weight.V[i] > 0.02:
				out.V[i], open[i] = sum.V[i]/weight.V[i], false
			default:
				left++
			}
		}
		if left == 0 {
			break
		}
	}
	return out
}

// sharpened brings a coarse mask of figures to the size of the picture, with the picture's edges, hard enough to cut out.
func sharpened(full Plate, coarse *Map) *Map {
	sum := NewMap(full[0].W, full[0].H)
	for c := range full {
		m := Guided(full[c], coarse, 3, 4)
		for i, v := range m.V {
			sum.V[i] += v / 3
		}
	}
	for i, v := range sum.V {
		t := min(max((v-0.25)/0.5, 0), 1)
		sum.V[i] = t * t * (3 - 2*t)
	}
	return sum
}

// Split takes the still apart: the figures with their transparency, and what is behind them, made up where they hide it
// from what surrounds them. Laid over each other they are the still again.
func Split(img *image.NRGBA, s *Scene) (figures, behind *image.NRGBA) {
	w, h := s.Figures.W, s.Figures.H
	figures, behind = image.NewNRGBA(image.Rect(0, 0, w, h)), image.NewNRGBA(image.Rect(0, 0, w, h))
	const grow = 3 // pixels around a figure that still have something of it
	around := s.Figures.Blurred(grow)
	known := NewMap(w, h)
	for i, a := range around.V {
		if a < 0.04 {
			known.V[i] = 1
		}
	}
	for c := range 3 {
		channel := NewMap(w, h)
		for i := range channel.V {
			channel.V[i] = float32(img.Pix[i/w*img.Stride+i%w*4+c])
		}
		// Places lie in bands: what is hidden looks like what is beside it more than like what is above.
		filled := spread(channel, known, 3)
		soft := filled.Blurred(2)
		for i, v := range filled.V {
			if known.V[i] < 0.5 {
				v = soft.V[i]
			}
			behind.Pix[4*i+c] = uint8(min(max(v+0.5, 0), 255))
			figures.Pix[4*i+c] = img.Pix[i/w*img.Stride+i%w*4+c]
		}
	}
	for i, a := range s.Figures.V {
		behind.Pix[4*i+3] = 255
		figures.Pix[4*i+3] = uint8(a*255 + 0.5)
	}
	return figures, behind
}

// Gray is the map as a 16-bit picture, 0 black and 1 white.
func (m *Map) Gray() *image.Gray16 {
	out := image.NewGray16(image.Rect(0, 0, m.W, m.H))
	for i, v := range m.V {
		n := uint16(min(max(v, 0), 1)*65535 + 0.5)
		out.Pix[2*i], out.Pix[2*i+1] = uint8(n>>8), uint8(n)
	}
	return out
}
