package depth

import (
	"cmp"
	"math"
	"slices"
)

// area is what is known of one of a picture's regions, in pixels.
type area struct {
	size           int
	x0, y0, x1, y1 int
	margin         int          // length along the left, upper and right edge of the picture
	beside         map[int]edge // by the number of the region beyond
	background     bool         // runs along those edges
	away           float32      // how much of a step there is, at least, between it and the background, in CIE L*a*b*
}

// edge is where two regions meet: how long, and the sum of the steps across.
type edge struct {
	long int
	step float32
}

// areas measures the regions, by number; that of number 0 is empty.
func areas(p Plate, l labels) []area {
	var out []area
	at := func(n int) *area {
		for len(out) <= n {
			out = append(out, area{x0: l.w, y0: l.h, x1: -1, y1: -1, beside: map[int]edge{}})
		}
		return &out[n]
	}
	for i, n := range l.v {
		x, y := i%l.w, i/l.w
		a := at(n)
		a.size++
		a.x0, a.y0, a.x1, a.y1 = min(a.x0, x), min(a.y0, y), max(a.x1, x), max(a.y1, y)
		if x == 0 || x == l.w-1 {
			a.margin++
		}
		if y == 0 {
			a.margin++
		}
		for _, d := range [2][2]int{{1, 0}, {0, 1}} {
			dx, dy := d[0], d[1]
			if x+dx >= l.w || y+dy >= l.h {
				continue
			}
			m := l.v[i+dx+dy*l.w]
			if m == n {
				continue
			}
			var step float32
			for _, c := range p {
				v := c.At(x+2*dx, y+2*dy) - c.At(x-dx, y-dy)
				step += v * v
			}
			step = float32(math.Sqrt(float64(step)))
			for _, pair := range [2][2]int{{n, m}, {m, n}} {
				side := at(pair[0]).beside
				e := side[pair[1]]
				side[pair[1]] = edge{e.long + 1, e.step + step}
			}
		}
	}
	return out
}

// setApart finds how far each region is from the background: the least sum of steps on any way to a region that runs along
// the picture's left, upper or right edge, less what even surfaces have of steps (Wei et al., «Geodesic Saliency Using
// Background Priors», ECCV 2012).
func setApart(found []area) {
	even := min(max(commonStep(found)/2, 2), 5)
	for n := range found {
		found[n].away = math.MaxFloat32
		a := found[n]
		// A band that ends at a side of the picture goes on there.
		if band := a.margin > 0 && a.x1-a.x0 > 2*(a.y1-a.y0); band || float64(a.margin) > 0.5*math.Sqrt(float64(a.size)) {
			found[n].away, found[n].background = 0, true
		}
	}
	for changed := true; changed; {
		changed = false
		for n := range found {
			for m, e := range found[n].beside {
				way := found[m].away + max(0, e.step/float32(e.long)-even)
				if way < found[n].away {
					found[n].away, changed = way, true
				}
			}
		}
	}
}

// commonStep is the step that half of the length of all edges between regions has at most.
func commonStep(found []area) float32 {
	var steps []edge
	total := 0
	for n := range found {
		for m, e := range found[n].beside {
			if m > n {
				steps = append(steps, edge{e.long, e.step / float32(e.long)})
				total += e.long
			}
		}
	}
	slices.SortFunc(steps, func(a, b edge) int { return cmp.Compare(a.step, b.step) })
	sum := 0
	for _, s := range steps {
		if sum += s.long; 2*sum >= total {
			return s.step
		}
	}
	return 0
}
