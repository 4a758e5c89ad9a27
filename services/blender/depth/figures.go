package depth

// standing labels the figures that stand in the picture, from 1; 0 is no figure. A figure is made of whole regions of the
// picture, so that no edge of the mask runs through a coat or a face: those that an edge sets apart from the background,
// and those that mostly border on such. It is in one piece, reaches below the horizon, and is tall rather than wide.
func standing(p Plate, horizon float64) labels {
	w, h := p[0].W, p[0].H
	soft := Plate{p[0].Blurred(1), p[1].Blurred(1), p[2].Blurred(1)}
	regions := regions(soft, 40, max(4, w*h/1500))
	areas := areas(p, regions)
	setApart(areas)
	found := labels{w, h, make([]int, w*h)}
	next := 1
	// Who does not stand alone at the lowest level, but together with half of the ground, may do so at a higher one.
	for _, level := range []float32{1.5, 3, 6, 12, 24} {
		figure := belonging(areas, level, w, h)
		mask := func() []bool {
			bits := NewMap(w, h)
			for i, n := range regions.v {
				if figure[n] && found.v[i] == 0 {
					bits.V[i] = 1
				}
			}
			return closed(bits)
		}
		for _, blob := range blobs(mask(), w, h) {
			for _, n := range beyondItsFeet(blob, regions, areas, horizon) {
				figure[n] = false
			}
		}
		for _, blob := range blobs(mask(), w, h) {
			sure := 0
			for _, i := range blob {
				if areas[regions.v[i]].away > max(3.5, level) {
					sure++
				}
			}
			if 5*sure < len(blob) || !stands(blob, w, h, horizon) {
				continue
			}
			for _, i := range blob {
				if found.v[i] == 0 {
					found.v[i] = next
				}
			}
			next++
		}
	}
	return found
}

// stands tells whether a blob of a picture of w × h pixels has the size, place and shape of what stands on the ground.
func stands(blob []int, w, h int, horizon float64) bool {
	x0, y0, x1, y1 := w, h, 0, 0
	for _, i := range blob {
		x, y := i%w, i/w
		x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
	}
	wide, tall := float64(x1-x0+1), float64(y1-y0+1)
	top, bottom := float64(y0)/float64(h), float64(y1)/float64(h-1)
	switch {
	case len(blob) > w*h*3/4: // the place itself
		return false
	case len(blob) < w*h/800, tall < 0.08*float64(h):
		return false
	case bottom < horizon+0.03: // in the sky or on the far shore
		return false
	case wide > 0.92*float64(w) && top > horizon/2: // the ground
		return false
	}
	return tall >= 0.9*wide || y1 >= h-2 && top < horizon+0.05
}

// belonging tells of each region whether it is part of what stands out by this level, in CIE L*a*b*.
func belonging(areas []area, level float32, w, h int) []bool {
	figure := make([]bool, len(areas))
	for n, a := range areas {
		figure[n] = a.away > level && a.size > 0
	}
	for changed := true; changed; {
		changed = false
		for n, a := range areas {
			if figure[n] || a.background {
				continue
			}
			ours, all, most, carried := 0, 0, 0, false
			for m, e := range a.beside {
				all += e.long
				if b := areas[m]; figure[m] {
					ours += e.long
					most = max(most, b.size)
					carried = carried || a.x0 >= b.x0-4 && a.x1 <= b.x1+4 && a.y0 < b.y0 && 2*a.size < 3*b.size && 4*e.long > a.x1-a.x0
				}
			}
			// Held by what is around it, standing below it, or carried by it as a head is by shoulders.
			held := a.size < 2*most && (10*ours > 6*all || a.away > 0.4*level && 10*ours > 3*all)
			standing := ours > 0 && a.y1 == h-1 && a.margin == 0 && a.x1-a.x0 < w/2 && a.y1-a.y0 > (a.x1-a.x0)*2/3
			if held || standing || carried {
				figure[n], changed = true, true
			}
		}
	}
	return figure
}

// beyondItsFeet are the regions of a blob that hang in the air beside it: a window, a lamp, a cloud behind someone's head.
func beyondItsFeet(blob []int, regions labels, areas []area, horizon float64) []int {
	line := int(horizon * float64(regions.h-1))
	left, right := regions.w, -1
	for _, i := range blob {
		if i/regions.w > line {
			left, right = min(left, i%regions.w), max(right, i%regions.w)
		}
	}
	left, right = left-regions.w/20, right+regions.w/20
	outside := map[int]int{}
	for _, i := range blob {
		if x := i % regions.w; x < left || x > right {
			outside[regions.v[i]]++
		}
	}
	var beyond []int
	for n, pixels := range outside {
		if areas[n].y1 <= line && 2*pixels > areas[n].size {
			beyond = append(beyond, n)
		}
	}
	return beyond
}

// labels gives each pixel the number of its figure, 0 for none.
type labels struct {
	w, h int
	v    []int
}

// closed is where a mask is set, with gaps of two pixels closed: an outline is a region of its own.
func closed(bits *Map) []bool {
	grown, out := NewMap(bits.W, bits.H), make([]bool, len(bits.V))
	for i, v := range bits.Blurred(1).V {
		if v > 0.01 {
			grown.V[i] = 1
		}
	}
	for i, v := range grown.Blurred(1).V {
		out[i] = v > 0.99
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
