package diff

import "slices"

// maxAligned bounds the table that aligning takes; what is larger is compared
// item by item.
const maxAligned = 4 << 20

// align pairs the items of two lists: those that are equal in the longest
// common subsequence, and between them the first with the first and so on.
// Aligning b with a gives the same pairs, turned round.
func align(a, b []string) []pair {
	if slices.Compare(a, b) > 0 { // of several longest, always take the same
		pairs := align(b, a)
		for i := range pairs {
			pairs[i].old, pairs[i].new = pairs[i].new, pairs[i].old
		}
		return pairs
	}
	var pairs []pair
	i, j := 0, 0
	upTo := func(ai, bj int) {
		for ; i < ai || j < bj; i, j = min(i+1, ai), min(j+1, bj) {
			p := pair{-1, -1, ""}
			if i < ai {
				p.old = i
			}
			if j < bj {
				p.new = j
			}
			pairs = append(pairs, p)
		}
	}
	for _, c := range common(a, b) {
		upTo(c[0], c[1])
		pairs = append(pairs, pair{c[0], c[1], ""})
		i, j = c[0]+1, c[1]+1
	}
	upTo(len(a), len(b))
	return pairs
}

// common are the indices of a longest common subsequence.
func common(a, b []string) [][2]int {
	var head, tail [][2]int
	start, endA, endB := 0, len(a), len(b)
	for start < endA && start < endB && a[start] == b[start] {
		head = append(head, [2]int{start, start})
		start++
	}
	for endA > start && endB > start && a[endA-1] == b[endB-1] {
		endA, endB = endA-1, endB-1
		tail = append(tail, [2]int{endA, endB})
	}
	slices.Reverse(tail)
	rows, columns := endA-start, endB-start
	if rows == 0 || columns == 0 || rows*columns > maxAligned {
		return append(head, tail...)
	}
	// longest[i][j] is the length for a[start+i:endA] and b[start+j:endB].
	longest := make([]int32, (rows+1)*(columns+1))
	at := func(i, j int) *int32 { return &longest[i*(columns+1)+j] }
	for i := rows - 1; i >= 0; i-- {
		for j := columns - 1; j >= 0; j-- {
			if a[start+i] == b[start+j] {
				*at(i, j) = *at(i+1, j+1) + 1
			} else {
				*at(i, j) = max(*at(i+1, j), *at(i, j+1))
			}
		}
	}
	for i, j := 0, 0; i < rows && j < columns; {
		switch {
		case a[start+i] == b[start+j]:
			head = append(head, [2]int{start + i, start + j})
			i, j = i+1, j+1
		case *at(i+1, j) >= *at(i, j+1):
			i++
		default:
			j++
		}
	}
	return append(head, tail...)
}
