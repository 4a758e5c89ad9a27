package charttest

import (
	"html/template"
	"io"
	"strings"
)

// HTML writes the coverage as one page: each file with the lines that were
// executed and those that were not, and beside them the branches never taken.
func (cov *Coverage) HTML(w io.Writer) error {
	page := coveragePage{Branches: cov.Branches(), Lines: cov.Lines()}
	for _, f := range cov.Files {
		file := coverageFile{FileCoverage: f}
		missed := make(map[int][]string)
		for _, m := range f.Missed {
			missed[m.Place.Line] = append(missed[m.Place.Line], m.Branch)
		}
		for i, text := range strings.Split(strings.TrimSuffix(cov.texts[f.File], "\n"), "\n") {
			line := coverageLine{Number: i + 1, Text: text, Missed: missed[i+1]}
			if hit, ok := f.lines[i+1]; ok && hit {
				line.Class = "hit"
			} else if ok {
				line.Class = "miss"
			}
			file.Text = append(file.Text, line)
		}
		page.Files = append(page.Files, file)
	}
	return coverageHTML.Execute(w, page)
}

type coveragePage struct {
	Branches, Lines Share
	Files           []coverageFile
}

type coverageFile struct {
	FileCoverage
	Text []coverageLine
}

type coverageLine struct {
	Number int
	Text   string
	Class  string
	Missed []string
}

var coverageHTML = template.Must(template.New("coverage").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Template coverage</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .1rem .8rem; text-align: left }
details { margin: .6rem 0; border: 1px solid #ddd; border-radius: 6px; padding: .4rem .8rem }
summary { cursor: pointer } pre { margin: .5rem 0; overflow-x: auto; font-size: 13px }
.hit { background: #e6f4ea } .miss { background: #fce8e6 } .n { color: #999; user-select: none; display: inline-block; width: 3.5em }
.never { color: #b3261e; font-style: italic }
</style></head><body>
<h1>Template coverage</h1>
<p>Branches taken: {{.Branches}}. Lines executed: {{.Lines}}.</p>
{{range .Files}}<details{{if .Missed}} open{{end}}><summary>{{.File}}: branches {{.Branches}}, lines {{.Lines}}</summary>
<pre>{{range .Text}}<div class="{{.Class}}"><span class="n">{{.Number}}</span>{{.Text}}{{range .Missed}} <span class="never">never taken: {{.}}</span>{{end}}</div>{{end}}</pre></details>
{{end}}</body></html>
`))
