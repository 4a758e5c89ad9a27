package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/gruntwork-io/terratest/modules/helm"
	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/stretchr/testify/assert"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/ai-film/ai-film/charttest"
)

// The realistic suite: twenty sets of values, ten assertions each, two on each
// of these workloads.
const valueSets = 20

var workloads = []struct{ name, template string }{
	{"flask", "templates/application/flask.yaml"},
	{"langgraph", "templates/application/langgraph.yaml"},
	{"dagster", "templates/application/dagster.yaml"},
	{"blender", "templates/processing/blender.yaml"},
	{"ffmpeg", "templates/data/ffmpeg.yaml"},
}

// assertion is one of the ten: the image, or that Services stay out of the
// environment.
type assertion struct {
	workload, template string
	image              bool
}

func assertions() []assertion {
	var all []assertion
	for _, w := range workloads {
		all = append(all, assertion{w.name, w.template, true}, assertion{w.name, w.template, false})
	}
	return all
}

func (a assertion) holds(t assert.TestingT, d *appsv1.Deployment, n int) {
	pod := d.Spec.Template.Spec
	if a.image {
		image := pod.Containers[0].Image
		assert.True(t, strings.HasPrefix(image, fmt.Sprintf("r%d.example.org/", n)), image)
	} else {
		assert.Equal(t, new(false), pod.EnableServiceLinks)
	}
}

// suites are the contenders at the realistic suite. A test of terratest
// renders what it is about, as its documentation has it: 200 renders. To be
// fair to those who share, there is one that renders each template once a set.
func (b *bench) suites() []measure {
	return []measure{
		{"suite terratest", "a render of the template for every assertion", 1, timed(1, func() error { return b.terratest(false) })},
		{"suite terratest, shared", "a render of the whole chart for every set of values", 1, timed(1, func() error { return b.terratest(true) })},
		{"suite helm-unittest", "a test of ten assertions for every set of values", 1, timed(1, func() error { return command(b.unittest, b.unitSuite) })},
		{"suite charttest unittest", "the same file, by charttest's command", 1, timed(1, func() error { return command(b.program, "unittest", b.unitSuite) })},
		{"suite charttest unittest, one assertion", "helm-unittest's file of the renders above: a test of one assertion for every render of the whole chart", 10 * b.renders,
			timed(1, func() error { return command(b.program, "unittest", b.unitRender) })},
		{"suite charttest", "a render asked for by every assertion, a parallel subtest for every set of values", 1, timed(1, b.charttestSuite)},
	}
}

// failures collects what assertions complain about, where no test runs.
type failures struct {
	testing.TB
	messages []string
}

func (f *failures) Errorf(format string, args ...any) {
	f.messages = append(f.messages, fmt.Sprintf(format, args...))
}
func (f *failures) Fatal(args ...any)                 { f.messages = append(f.messages, fmt.Sprint(args...)) }
func (f *failures) Fatalf(format string, args ...any) { f.Errorf(format, args...) }
func (f *failures) Error(args ...any)                 { f.Fatal(args...) }
func (f *failures) Fail()                             { f.Fatal("failed") }
func (f *failures) FailNow()                          { panic(strings.Join(f.messages, "\n")) }
func (f *failures) Name() string                      { return "bench" }
func (f *failures) Helper()                           {}

func (f *failures) err() error {
	if len(f.messages) > 0 {
		return fmt.Errorf("%d assertions failed: %s", len(f.messages), f.messages[0])
	}
	return nil
}

func (b *bench) terratest(shared bool) error {
	t := new(failures)
	for n := range valueSets {
		values := make(map[string]string)
		for _, s := range sets(n) {
			key, value, _ := strings.Cut(s, "=")
			values[key] = value
		}
		options := &helm.Options{
			ValuesFiles: []string{b.chart + "/" + profileFile}, SetValues: values, Logger: logger.Discard,
		}
		var whole string
		if shared {
			whole = helm.RenderTemplate(t, options, b.chart, "reel", nil, "--kube-version", kubeVersion)
		}
		for _, a := range assertions() {
			text := whole
			if !shared {
				text = helm.RenderTemplate(t, options, b.chart, "reel", []string{a.template}, "--kube-version", kubeVersion)
			}
			var d appsv1.Deployment
			helm.UnmarshalK8SYaml(t, deployment(text, a.workload), &d)
			a.holds(t, &d, n)
		}
	}
	return t.err()
}

// deployment picks the document of a workload out of a rendered template.
func deployment(text, name string) string {
	for _, doc := range strings.Split(text, "\n---") {
		if strings.Contains(doc, "\nkind: Deployment\n") && strings.Contains(doc, "\n  name: "+name+"\n") {
			return doc
		}
	}
	return ""
}

func (b *bench) charttestSuite() error {
	chart, err := charttest.Load(b.chart) // a suite loads its chart once
	if err != nil {
		return err
	}
	// A subtest for every set of values, in parallel, as chart.Matrix has it.
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for n := range valueSets {
		group.Go(func() error {
			t := new(failures)
			for _, a := range assertions() {
				r, err := chart.Render(context.Background(), chart.Profile("gke-autoscaling"), charttest.KubeVersion(kubeVersion),
					charttest.Release("reel", ""), charttest.Set(sets(n)...))
				if err != nil {
					return err
				}
				a.holds(t, charttest.Get[*appsv1.Deployment](t, r, a.workload), n)
			}
			return t.err()
		})
	}
	return group.Wait()
}

// assertionSuite is the same suite for helm-unittest.
func assertionSuite() string {
	var s strings.Builder
	s.WriteString("suite: suite\n" + suiteHead + "templates:\n")
	for _, w := range workloads {
		s.WriteString("  - " + w.template + "\n")
	}
	s.WriteString("tests:\n")
	for n := range valueSets {
		fmt.Fprintf(&s, "  - it: set %d\n    set:\n", n)
		writeSets(&s, n)
		s.WriteString("    asserts:\n")
		for _, a := range assertions() {
			fmt.Fprintf(&s, "      - template: %s\n        documentSelector: {path: \"spec.template.spec.containers[0].name\", value: %s}\n", a.template, a.workload)
			if a.image {
				fmt.Fprintf(&s, "        matchRegex: {path: \"spec.template.spec.containers[0].image\", pattern: \"^r%d.example.org/\"}\n", n)
			} else {
				s.WriteString("        equal: {path: spec.template.spec.enableServiceLinks, value: false}\n")
			}
		}
	}
	return s.String()
}
