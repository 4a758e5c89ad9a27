package rehearse

import (
	"cmp"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/ai-film/ai-film/charttest/internal/report"
)

// HTML writes the reports of all profiles as one page, each with a picture of
// its nodes and pods over time.
func HTML(w io.Writer, r *Result) error { return page.Execute(w, r) }

var page = template.Must(template.New("rehearsal").Funcs(template.FuncMap{
	"picture": func(p Rehearsal) template.HTML { return template.HTML(p.SVG()) },
	"place":   report.Place,
}).Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Rehearsal of {{.Chart}}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100% } td, th { padding: .3rem .8rem; text-align: left; vertical-align: top; border-top: 1px solid #ddd }
.passed { color: #1e6b34 } .failed { color: #b3261e } .skipped, .not { color: #777 } ul { margin: 0; padding-left: 1.1rem } svg { max-width: 100%; height: auto }
code { overflow-wrap: anywhere }
</style></head><body>
<h1>Rehearsal of {{.Chart}} on Kubernetes {{.Version}}</h1>
{{range .Profiles}}<h2>{{.Profile}}</h2>
<p>{{range $i, $n := .Nodes}}{{if $i}}; {{end}}{{$n}}{{end}}</p>
{{picture .}}
<table><tr><th>act</th><th>outcome</th><th>seconds</th><th>what happened</th></tr>
{{range .Acts}}<tr><td>{{.Name}}</td><td class="{{.Outcome}}">{{.Outcome}}</td><td>{{printf "%.1f" .Seconds}}</td><td><ul>{{range .Log}}<li>{{.}}</li>{{end}}
{{range .Findings}}<li class="failed"><code>{{place .}}</code> {{.Object}}: {{.Message}}<br>{{.Remedy}}</li>{{end}}
{{range .Accepted}}<li><code>{{place .}}</code> {{.Object}}: {{.Message}}<br>accepted: {{.Accepted}}</li>{{end}}</ul></td></tr>
{{end}}</table>
{{end}}</body></html>
`))

// The picture's measures, in its own units.
const (
	lane   = 7.0   // of one pod
	left   = 150.0 // where time begins
	wide   = 1000.0
	ground = 46.0 // below the names of the acts
)

// hues of the workloads, apart for most eyes.
var hues = []string{"#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44bb99", "#999933", "#882255", "#77aadd", "#bbbbbb"}

// SVG is the picture of a rehearsal: a band for each node with its pods, one
// colour each workload, pale before they were ready; above them those that
// waited for a node; from left to right the acts.
func (r Rehearsal) SVG() string {
	end := 1.0
	for _, a := range r.Acts {
		end = max(end, a.At+a.Seconds)
	}
	x := func(at float64) float64 {
		if at < 0 {
			at = end
		}
		return left + at/end*(wide-left-10)
	}
	colours := map[string]string{}
	var names []string
	for _, p := range r.Timeline.Pods {
		if !slices.Contains(names, p.Of) {
			names = append(names, p.Of)
		}
	}
	slices.Sort(names)
	for i, n := range names {
		colours[n] = hues[i%len(hues)]
	}
	var b strings.Builder
	y := ground
	band := func(title string, nodes []Track, pods []Track) {
		type row struct{ until float64 }
		var rows []row
		type placed struct {
			Track
			row int
		}
		var all []placed
		for _, p := range pods { // the first row that is free again
			i := slices.IndexFunc(rows, func(r row) bool { return r.until >= 0 && r.until <= p.Since })
			if i < 0 {
				rows = append(rows, row{})
				i = len(rows) - 1
			}
			rows[i].until = p.Until
			all = append(all, placed{p, i})
		}
		height := max(float64(len(rows)), 2)*lane + 6
		for _, node := range nodes {
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#f3f4f6"/>`, x(node.Since), y, x(node.Until)-x(node.Since), height)
			for _, away := range node.Away {
				fill := "#e2e2e2"
				if away.Why == "lost" {
					fill = "#f6c9c5"
				}
				fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s</title></rect>`, x(away.Since), y, max(x(away.Until)-x(away.Since), 1), height, fill, away.Why)
			}
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="end" font-size="11" fill="#444">%s</text>`, left-8, y+height/2+4, template.HTMLEscapeString(title))
		for _, p := range all {
			from, to, top := x(p.Since), x(p.Until), y+3+float64(p.row)*lane
			started := to
			if p.Ready >= 0 {
				started = x(p.Ready)
			}
			of := template.HTMLEscapeString(p.Name)
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" opacity=".35"><title>%s</title></rect>`, from, top, max(started-from, .5), lane-1.5, colours[p.Of], of)
			if p.Ready >= 0 {
				fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s</title></rect>`, started, top, max(to-started, 1), lane-1.5, colours[p.Of], of)
			}
		}
		y += height + 4
	}
	var waiting []Track
	on := map[string][]Track{}
	for _, p := range r.Timeline.Pods {
		if p.Node == "" {
			waiting = append(waiting, p)
		} else {
			on[p.Node] = append(on[p.Node], p)
		}
	}
	if len(waiting) > 0 {
		band("no node", nil, waiting)
	}
	lives := map[string][]Track{} // a name may come back
	var order []string
	sorted := slices.Clone(r.Timeline.Nodes)
	slices.SortStableFunc(sorted, func(a, b Track) int {
		return cmp.Or(strings.Compare(a.Of, b.Of), cmp.Compare(len(a.Name), len(b.Name)), strings.Compare(a.Name, b.Name))
	})
	for _, n := range sorted {
		if lives[n.Name] == nil {
			order = append(order, n.Name)
		}
		lives[n.Name] = append(lives[n.Name], n)
	}
	for _, name := range order {
		band(name, lives[name], on[name])
	}
	bottom := y
	for _, a := range r.Acts {
		if a.Seconds == 0 {
			continue
		}
		colour := "#333"
		if a.Outcome == Failed {
			colour = "#b3261e"
		}
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#999" stroke-width=".6" stroke-dasharray="2 2"/>`, x(a.At), ground-6, x(a.At), bottom)
		fmt.Fprintf(&b, `<text transform="translate(%.1f %.1f) rotate(-28)" font-size="11" fill="%s">%s</text>`, x(a.At)+3, ground-8, colour, a.Name)
	}
	y += 12
	at := left
	for _, n := range names {
		if n == "" {
			continue
		}
		if at+float64(len(n))*6.5+20 > wide {
			at, y = left, y+16
		}
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="9" height="9" fill="%s"/><text x="%.1f" y="%.1f" font-size="11" fill="#444">%s</text>`, at, y, colours[n], at+13, y+8.5, template.HTMLEscapeString(n))
		at += float64(len(n))*6.5 + 28
	}
	fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="end" font-size="11" fill="#444">%.0f s</text>`, wide-10, bottom+10, end)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="system-ui, sans-serif"><rect width="100%%" height="100%%" fill="#fff"/>%s</svg>`, wide, y+18, b.String())
}
