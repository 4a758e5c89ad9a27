package charttest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/tools/txtar"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/ai-film/ai-film/charttest"
)

// cinemaChart unpacks the chart of the examples.
func cinemaChart() (*charttest.Chart, func()) {
	archive, err := txtar.ParseFile("testdata/cinema.txtar")
	if err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "cinema")
	if err != nil {
		panic(err)
	}
	for _, f := range archive.Files {
		path := filepath.Join(dir, f.Name)
		_ = os.MkdirAll(filepath.Dir(path), 0o755)
		_ = os.WriteFile(path, f.Data, 0o644)
	}
	chart, err := charttest.Load(dir)
	if err != nil {
		panic(err)
	}
	return chart, func() { _ = os.RemoveAll(dir) }
}

func Example() {
	chart, done := cinemaChart()
	defer done()
	r, err := chart.Render(context.Background(), chart.Profile("large"), charttest.Release("odeon", "town"))
	if err != nil {
		fmt.Println(err)
		return
	}
	deployment, err := charttest.Find[*appsv1.Deployment](r, "odeon") // in a test: Get(t, r, "odeon")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*deployment.Spec.Replicas, deployment.Spec.Template.Spec.Containers[0].Image)
	// Output: 7 cinema:4.5
}

func ExampleChart_Render_failure() {
	chart, done := cinemaChart()
	defer done()
	_, err := chart.Render(context.Background(), charttest.Set("screens=101"))
	var refused *charttest.Failure
	if errors.As(err, &refused) {
		fmt.Println(refused.Template, refused.Line)
		fmt.Println(refused.Message)
	}
	// Output:
	// cinema/templates/_helpers.tpl 15
	// screens: at most 100, there is no bigger house
}

func ExampleChart_Render_schema() {
	chart, done := cinemaChart()
	defer done()
	_, err := chart.Render(context.Background(), charttest.Set("screens=many"))
	fmt.Println(err)
	// Output:
	// values break the schema of chart cinema:
	//   screens: got string, want integer
}

func ExampleRender_Diff() {
	chart, done := cinemaChart()
	defer done()
	before, err := chart.Render(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	after, err := chart.Render(context.Background(), charttest.Set("screens=3", "image.tag=5.0"))
	if err != nil {
		fmt.Println(err)
		return
	}
	d := after.Diff(before)
	fmt.Print(d)
	fmt.Println(len(d.Refused()), "refused")
	// Output:
	// ~ Deployment/release-name
	//     spec.replicas: 2 → 3
	//     spec.template.spec.containers[name=cinema].image: cinema:4.5 → cinema:5.0
	// 0 refused
}

func ExampleChart_Cover() {
	chart, done := cinemaChart()
	defer done()
	var renders []*charttest.Render
	for _, p := range chart.Profiles() {
		r, err := chart.Render(context.Background(), p)
		if err != nil {
			fmt.Println(err)
			return
		}
		renders = append(renders, r)
	}
	coverage, err := chart.Cover(context.Background(), renders...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("branches", coverage.Branches())
	// Output: branches 66.7% (6 of 9)
}
