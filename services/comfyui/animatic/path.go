package animatic

import "math"

type pt struct{ x, y float64 }

// path is a list of closed contours, flattened; all contours of a shape turn the same way, so overlaps stay filled.
type path [][]pt

func polygon(points ...pt) path { return path{points} }

// poly takes x, y, x, y, …
func poly(xy ...float64) path {
	var points []pt
	for i := 0; i+1 < len(xy); i += 2 {
		points = append(points, pt{xy[i], xy[i+1]})
	}
	return path{points}
}

func rect(x, y, w, h float64) path { return poly(x, y, x+w, y, x+w, y+h, x, y+h) }

func ellipse(cx, cy, rx, ry float64) path { return arcShape(cx, cy, rx, ry, 0) }

// arcShape is an ellipse turned by angle.
func arcShape(cx, cy, rx, ry, angle float64) path {
	n := 12 + int(math.Sqrt(math.Max(rx, ry))*4)
	points := make([]pt, n)
	sin, cos := math.Sincos(angle)
	for i := range points {
		s, c := math.Sincos(2 * math.Pi * float64(i) / float64(n))
		points[i] = pt{cx + rx*c*cos - ry*s*sin, cy + rx*c*sin + ry*s*cos}
	}
	return path{points}
}

// curve is a smooth closed shape through the points (Catmull-Rom).
func curve(xy ...float64) path {
	var points []pt
	for i := 0; i+1 < len(xy); i += 2 {
		points = append(points, pt{xy[i], xy[i+1]})
	}
	return path{spline(points, true)}
}

func spline(p []pt, closed bool) []pt {
	n := len(p)
	if n < 3 {
		return p
	}
	at := func(i int) pt {
		if closed {
			return p[(i+n)%n]
		}
		return p[min(max(i, 0), n-1)]
	}
	segments := n - 1
	if closed {
		segments = n
	}
	const parts = 8
	out := make([]pt, 0, segments*parts+1)
	for i := range segments {
		a, b, c, d := at(i-1), at(i), at(i+1), at(i+2)
		for k := range parts {
			t := float64(k) / parts
			out = append(out, pt{catmull(a.x, b.x, c.x, d.x, t), catmull(a.y, b.y, c.y, d.y, t)})
		}
	}
	if !closed {
		out = append(out, p[n-1])
	}
	return out
}

func catmull(a, b, c, d, t float64) float64 {
	return 0.5 * (2*b + (c-a)*t + (2*a-5*b+4*c-d)*t*t + (3*b-a-3*c+d)*t*t*t)
}

// capsule is a segment with round ends of radius ra and rb.
func capsule(a, b pt, ra, rb float64) []pt {
	angle := math.Atan2(b.y-a.y, b.x-a.x)
	const n = 5
	out := make([]pt, 0, 2*n+2)
	for i := 0; i <= n; i++ {
		s, c := math.Sincos(angle + math.Pi/2 + math.Pi*float64(i)/n)
		out = append(out, pt{a.x + ra*c, a.y + ra*s})
	}
	for i := 0; i <= n; i++ {
		s, c := math.Sincos(angle - math.Pi/2 + math.Pi*float64(i)/n)
		out = append(out, pt{b.x + rb*c, b.y + rb*s})
	}
	return out
}

// limb is a bent tube through the points, with radii at its points.
func limb(points []pt, radii ...float64) path {
	var p path
	for i := 0; i+1 < len(points); i++ {
		ra, rb := radii[min(i, len(radii)-1)], radii[min(i+1, len(radii)-1)]
		p = append(p, capsule(points[i], points[i+1], ra, rb))
	}
	return p
}

func (p path) each(f func(pt) pt) path {
	out := make(path, len(p))
	for i, contour := range p {
		out[i] = make([]pt, len(contour))
		for j, q := range contour {
			out[i][j] = f(q)
		}
	}
	return out
}
