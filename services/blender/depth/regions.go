package depth

import (
	"cmp"
	"math"
	"slices"
)

// regions divides a picture into areas of one tone and gives each pixel the number of its own, from 1: the graph-based
// segmentation of Felzenszwalb and Huttenlocher (IJCV 2004), on the four neighbours' distance in CIE L*a*b*. Two areas stay
// apart where the step between them is larger than any within the one or the other and scale/size. Areas of fewer than
// least pixels join the neighbour that is most like them.
func regions(p Plate, scale float32, least int) labels {
	w, h := p[0].W, p[0].H
	type step struct {
		a, b int32
		far  float32
	}
	steps := make([]step, 0, 2*w*h)
	far := func(a, b int) float32 {
		var d float32
		for _, c := range p {
			d += (c.V[a] - c.V[b]) * (c.V[a] - c.V[b])
		}
		return float32(math.Sqrt(float64(d)))
	}
	for i := range w * h {
		if i%w < w-1 {
			steps = append(steps, step{int32(i), int32(i + 1), far(i, i+1)})
		}
		if i < w*(h-1) {
			steps = append(steps, step{int32(i), int32(i + w), far(i, i+w)})
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(a.far, b.far) })

	parent, size, within := make([]int32, w*h), make([]int, w*h), make([]float32, w*h)
	for i := range parent {
		parent[i], size[i] = int32(i), 1
	}
	root := func(i int32) int32 {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	join := func(a, b int32, far float32) {
		parent[b] = a
		size[a] += size[b]
		within[a] = max(within[a], within[b], far)
	}
	for _, s := range steps {
		a, b := root(s.a), root(s.b)
		if a != b && s.far <= min(within[a]+scale/float32(size[a]), within[b]+scale/float32(size[b])) {
			join(a, b, s.far)
		}
	}
	for _, s := range steps {
		if a, b := root(s.a), root(s.b); a != b && min(size[a], size[b]) < least {
			join(a, b, s.far)
		}
	}
	out, numbers := labels{w, h, make([]int, w*h)}, map[int32]int{}
	for i := range out.v {
		r := root(int32(i))
		if numbers[r] == 0 {
			numbers[r] = len(numbers) + 1
		}
		out.v[i] = numbers[r]
	}
	return out
}
