package depth

import (
	"math"
	"slices"
)

// standing labels the figures that stand in the picture, from 1; 0 is no figure. A figure differs from its row's
// surroundings, is in one piece, reaches below the horizon, and is tall rather than wide.
func standing(p Plate, horizon float64) labels {
	w, h := p[0].W, p[0].H
	strange := strangeness(p)
	const sure, likely = 1.0, 0.55
	found := labels{w, h, make([]int, w*h)}
	next := 1
	for _, blob := range blobs(closed(strange, likely), w, h) {
		peak := 0
		x0, y0, x1, y1 := w, h, 0, 0
		for _, i := range blob {
			x, y := i%w, i/w
			x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
			if strange.V[i] > sure {
				peak++
			}
		}
		wide, tall := float64(x1-x0+1), float64(y1-y0+1)
		bottom := float64(y1) / float64(h-1)
		reaches := y1 >= h-2
		switch {
		case len(blob) > w*h/2: // the place itself, lit unlike its margins
			continue
		case len(blob) < w*h/800, float64(peak) < 0.25*float64(len(blob)):
			continue
		case bottom < horizon+0.03: // in the sky or on the far shore
			continue
		case tall < 0.08*float64(h), wide > 0.92*float64(w):
			continue
		case tall < 0.9*wide && !(reaches && float64(y0)/float64(h) < horizon+0.05):
			continue
		}
		for _, i := range blob {
			found.v[i] = next
		}
		next++
	}
	return found
}

// labels gives each pixel the number of its figure, 0 for none.
type labels struct {
	w, h int
	v    []int
}

// strangeness is how much a pixel differs from what its row is like: the medians of the row's left, middle and right and
// what lies between left and right. 1 is what one notices.
func strangeness(p Plate) *Map {
	w, h := p[0].W, p[0].H
	out := NewMap(w, h)
	margin := max(3, w*16/100)
	for y := range h {
		left, spreadL := rowMedian(p, y, 0, margin)
		right, spreadR := rowMedian(p, y, w-margin, w)
		whole, _ := rowMedian(p, y, 0, w)
		tolerance := float32(min(max((spreadL+spreadR)/2*3, 13), 30))
		for x := range w {
			t := float32(x) / float32(w-1)
			var d [4]float32
			for c := range p {
				v := p[c].V[y*w+x]
				for k, m := range [4]float32{left[c], right[c], left[c] + (right[c]-left[c])*t, whole[c]} {
					d[k] += (v - m) * (v - m)
				}
			}
			nearest := min(d[0], d[1], d[2])
			// The row as a whole is a witness only where it agrees with a margin: in a close shot it is the figure itself.
			if agree(whole, left, tolerance) || agree(whole, right, tolerance) {
				nearest = min(nearest, d[3])
			}
			out.V[y*w+x] = float32(math.Sqrt(float64(nearest))) / tolerance
		}
	}
	return out.Blurred(1)
}

func agree(a, b [3]float32, tolerance float32) bool {
	var d float32
	for c := range a {
		d += (a[c] - b[c]) * (a[c] - b[c])
	}
	return d < tolerance*tolerance
}

// rowMedian is the median colour of the rows around y between two columns, and how far half of the lightness strays.
func rowMedian(p Plate, y, from, to int) (median [3]float32, spread float64) {
	values := make([]float32, 0, 5*(to-from))
	for c := range p {
		values = values[:0]
		for dy := -2; dy <= 2; dy++ {
			for x := from; x < to; x++ {
				values = append(values, p[c].At(x, y+dy))
			}
		}
		slices.Sort(values)
		median[c] = values[len(values)/2]
		spread += float64(values[len(values)*3/4]-values[len(values)/4]) / 2
	}
	return median, spread / 2
}

// closed is where m passes a threshold, with gaps of a few pixels closed and thin bridges cut.
func closed(m *Map, threshold float32) []bool {
	bits := NewMap(m.W, m.H)
	for i, v := range m.V {
		if v > threshold {
			bits.V[i] = 1
		}
	}
	// A disc grown and shrunk again by blurring: more than nothing around, then all around.
	grown := bits.Blurred(2)
	for i, v := range grown.V {
		grown.V[i] = 0
		if v > 0.22 {
			grown.V[i] = 1
		}
	}
	shrunk := grown.Blurred(1)
	for i, v := range shrunk.V {
		shrunk.V[i] = 0
		if v > 0.6 {
			shrunk.V[i] = 1
		}
	}
	// What hangs on by a thread is not part of it: keep what a square of 7 pixels fits into, and its rim.
	core := shrunk.Blurred(3)
	for i, v := range core.V {
		core.V[i] = 0
		if v > 0.93 {
			core.V[i] = 1
		}
	}
	rim := core.Blurred(4)
	out := make([]bool, len(bits.V))
	for i, v := range shrunk.V {
		out[i] = v > 0 && rim.V[i] > 0
	}
	return out
}

// blobs are the connected pieces of a mask with their holes filled, as indices.
func blobs(mask []bool, w, h int) [][]int {
	outside := make([]bool, len(mask)) // what isn't mask and touches top, left or right
	var stack []int
	push := func(i int) {
		if !mask[i] && !outside[i] {
			outside[i] = true
			stack = append(stack, i)
		}
	}
	for x := range w {
		push(x)
		push((h-1)*w + x)
	}
	for y := range h {
		push(y * w)
		push(y*w + w - 1)
	}
	neighbours(w, h, &stack, push)

	seen := make([]bool, len(mask))
	var found [][]int
	for start := range mask {
		if outside[start] || seen[start] {
			continue
		}
		var blob []int
		take := func(i int) {
			if !outside[i] && !seen[i] {
				seen[i] = true
				blob = append(blob, i)
				stack = append(stack, i)
			}
		}
		take(start)
		neighbours(w, h, &stack, take)
		found = append(found, blob)
	}
	return found
}

// neighbours visits the four neighbours of all that is or comes on the stack.
func neighbours(w, h int, stack *[]int, visit func(int)) {
	for len(*stack) > 0 {
		i := (*stack)[len(*stack)-1]
		*stack = (*stack)[:len(*stack)-1]
		x, y := i%w, i/w
		if x > 0 {
			visit(i - 1)
		}
		if x < w-1 {
			visit(i + 1)
		}
		if y > 0 {
			visit(i - w)
		}
		if y < h-1 {
			visit(i + w)
		}
	}
}

// cards gives each figure the nearness of the ground it stands on, all over, and carries that on around it.
func cards(figures labels, horizon float64) *Map {
	foot := map[int]int{}
	for i, l := range figures.v {
		foot[l] = max(foot[l], i/figures.w)
	}
	near, known := NewMap(figures.w, figures.h), NewMap(figures.w, figures.h)
	for i, l := range figures.v {
		if l > 0 {
			near.V[i], known.V[i] = groundAt(float64(foot[l])/float64(figures.h-1), horizon), 1
		}
	}
	return spread(near, known, 1)
}
