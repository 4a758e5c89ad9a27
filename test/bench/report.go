package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is out/bench/render.json. Ratios are of medians, and say how many
// times faster charttest is; floor_ratio is the other way round, charttest's
// time, checks included, over that of Helm's bare engine; verify_in_renders is
// the time of «charttest verify» in renders of the bare engine, over all profiles.
type Report struct {
	RenderVsHelmTemplate   float64 `json:"render_vs_helm_template"`
	RenderVsHelmUnittest   float64 `json:"render_vs_helm_unittest"`
	SuiteVsTerratest       float64 `json:"suite_vs_terratest"`
	SuiteVsTerratestShared float64 `json:"suite_vs_terratest_shared"`
	SuiteVsHelmUnittest    float64 `json:"suite_vs_helm_unittest"`               // its suite, a process each: ten assertions a test
	SuiteOneVsHelmUnittest float64 `json:"suite_vs_helm_unittest_one_assertion"` // one assertion a test
	FloorRatio             float64 `json:"floor_ratio"`
	FloorRatioUnchecked    float64 `json:"floor_ratio_without_checks"`
	VerifyInRenders        float64 `json:"verify_in_renders"`
	ObjectGrowth           float64 `json:"cost_growth_per_object"`  // of one of the most over one of the fewest
	ProfileGrowth          float64 `json:"cost_growth_per_profile"` // the same

	CPUs     int         `json:"cpus"`
	Go       string      `json:"go"`
	Memory   *Memory     `json:"memory"`
	Scaling  *Scaling    `json:"scaling"`
	Large    *Large      `json:"large"`
	Measures []Contender `json:"measures"`
}

// Contender is one line of the table.
type Contender struct {
	Name     string    `json:"name"`
	What     string    `json:"what"`
	MedianMS float64   `json:"median_ms"` // of one task
	RoundsMS []float64 `json:"rounds_ms"`
}

func newReport(measures []measure, results map[string][]time.Duration) *Report {
	r := &Report{CPUs: runtime.NumCPU(), Go: runtime.Version()}
	median := make(map[string]float64)
	for _, m := range measures {
		c := Contender{Name: m.name, What: m.what}
		for _, d := range results[m.name] {
			c.RoundsMS = append(c.RoundsMS, float64(d.Microseconds())/1000/float64(m.per))
		}
		sorted := slices.Sorted(slices.Values(c.RoundsMS))
		if len(sorted) > 0 {
			c.MedianMS = sorted[len(sorted)/2]
		}
		median[m.name] = c.MedianMS
		r.Measures = append(r.Measures, c)
	}
	ratio := func(of, to string) float64 {
		if median[of] == 0 || median[to] == 0 { // left out
			return 0
		}
		return median[of] / median[to]
	}
	r.RenderVsHelmTemplate = ratio("helm template", "charttest")
	r.RenderVsHelmUnittest = ratio("helm-unittest", "charttest")
	r.FloorRatio = ratio("charttest, checks", "helm engine")
	r.FloorRatioUnchecked = ratio("charttest", "helm engine")
	r.VerifyInRenders = ratio("charttest verify", "helm engine, profiles")
	r.SuiteVsTerratest = ratio("suite terratest", "suite charttest")
	r.SuiteVsTerratestShared = ratio("suite terratest, shared", "suite charttest")
	r.SuiteVsHelmUnittest = ratio("suite helm-unittest", "suite charttest unittest")
	r.SuiteOneVsHelmUnittest = ratio("helm-unittest", "suite charttest unittest, one assertion")
	return r
}

func (r *Report) write(dir string) error {
	if r.Scaling != nil {
		r.ObjectGrowth, r.ProfileGrowth = growth(r.Scaling.Objects), growth(r.Scaling.Profiles)
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "render.json"), append(data, '\n'), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "render.svg"), []byte(r.plot()), 0o644); err != nil {
		return err
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, c := range r.Measures {
		fmt.Fprintf(w, "%s\t%9.2f ms\t%s\n", c.Name, c.MedianMS, c.What)
	}
	fmt.Fprintln(w)
	for _, ratio := range []struct {
		name string
		is   float64
		want string
	}{
		{"render vs helm template", r.RenderVsHelmTemplate, "≥ 8"},
		{"render vs helm-unittest", r.RenderVsHelmUnittest, "≥ 2"},
		{"suite vs terratest", r.SuiteVsTerratest, "≥ 40"},
		{"suite vs terratest, shared renders", r.SuiteVsTerratestShared, ""},
		{"suite vs helm-unittest, ten assertions a test", r.SuiteVsHelmUnittest, "≥ 8"},
		{"suite vs helm-unittest, one assertion a test", r.SuiteOneVsHelmUnittest, "≥ 8"},
		{"floor: charttest with checks vs Helm's bare engine", r.FloorRatio, "≤ 1.5"},
		{"floor without checks", r.FloorRatioUnchecked, ""},
		{"charttest verify, in renders of the bare engine", r.VerifyInRenders, "≤ 60"},
		{"cost of an object, 960 vs 60 of them", r.ObjectGrowth, "about 1"},
		{"cost of a profile, 32 vs 4 of them", r.ProfileGrowth, "about 1"},
	} {
		if ratio.is == 0 { // left out
			continue
		}
		fmt.Fprintf(w, "%s\t%9.2f ×\t%s\n", ratio.name, ratio.is, ratio.want)
	}
	if l := r.Large; l != nil {
		fmt.Fprintf(w, "verify of %d templates, %d defines, %d profiles\t%9.2f ×\t≤ 150 renders of the bare engine\n", l.Templates, l.Defines, l.Profiles, l.Renders)
		fmt.Fprintf(w, "the same, peak memory\t%9.1f MB\t≤ 300\n", float64(l.PeakBytes)/1e6)
	}
	if r.Memory != nil {
		fmt.Fprintf(w, "heap after %d and %d renders\t%.1f and %.1f MB\t\n", r.Memory.Renders/10, r.Memory.Renders,
			float64(r.Memory.HeapAtTenth)/1e6, float64(r.Memory.HeapAtEnd)/1e6)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Print(table.String())
	return os.WriteFile(filepath.Join(dir, "render.txt"), []byte(table.String()), 0o644)
}

// plot draws the medians as bars on a logarithmic scale, and every round as a
// dot.
func (r *Report) plot() string {
	const left, width, row = 190, 520, 26
	low, high := 1.0, 10.0
	for _, c := range r.Measures {
		for _, ms := range c.RoundsMS {
			for ms < low {
				low /= 10
			}
			for ms > high {
				high *= 10
			}
		}
	}
	x := func(ms float64) float64 { return left + width*math.Log(ms/low)/math.Log(high/low) }
	var b strings.Builder
	height := row*len(r.Measures) + 50
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", left+width+90, height)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for ms := low; ms <= high*1.01; ms *= 10 {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="10" x2="%.1f" y2="%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle" fill="#666">%g ms</text>`+"\n",
			x(ms), x(ms), height-30, x(ms), height-12, ms)
	}
	for i, c := range r.Measures {
		y := 14 + i*row
		color := "#b8c4d6"
		if strings.Contains(c.Name, "charttest") || strings.HasPrefix(c.Name, "ai-film") {
			color = "#d1495b"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="16" fill="%s"/>`+"\n",
			left-8, y+13, c.Name, left, y, x(c.MedianMS)-left, color)
		for _, ms := range c.RoundsMS {
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%d" r="2" fill="#333"/>`, x(ms), y+8)
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%.1f ms</text>`+"\n", x(c.MedianMS)+14, y+13, c.MedianMS)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
