package main

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"text/template"

	"github.com/Masterminds/semver/v3"
	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest"
)

// module is what tests in Go import.
const module = "github.com/ai-film/ai-film/charttest"

func newInit() *cobra.Command {
	var kind string
	cmd := &cobra.Command{
		Use:   "init [CHART]",
		Short: "Write a first test for a chart, and a .verify.yaml",
		Long: `Write a first test for a chart that has none, made of what the chart renders
now, so that it passes; and a .verify.yaml with what the chart shows of the
clusters it is for.

--test go         CHART/NAME_test.go, which «go test» runs. Without a go.mod,
                  one is made at the top of the repository, or in the chart's
                  folder where there is no repository.
--test unittest   CHART/tests/NAME_test.yaml, a suite of helm-unittest, which
                  «charttest unittest» and «helm unittest» run.

What is there is kept: no file is overwritten. All that was written is told;
the chart's .helmignore should name it, and one is made if there is none.`,
		Example: `  charttest init charts/shop
  charttest init charts/shop --test unittest`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "."
			if len(args) == 1 {
				path = args[0]
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			return initialise(ctx, cmd.OutOrStdout(), path, kind)
		},
	}
	cmd.Flags().StringVar(&kind, "test", "go", "what to write the test in: go or unittest")
	return cmd
}

//go:embed first
var firstFiles embed.FS

var first = sync.OnceValues(func() (*template.Template, error) {
	return template.New("").Delims("«", "»").Funcs(template.FuncMap{
		"quote": func(s string) string { return fmt.Sprintf("%q", s) },
		"yaml": func(v any) (string, error) {
			text, err := yaml.Marshal(v)
			return strings.TrimSuffix(string(text), "\n"), err
		},
	}).ParseFS(firstFiles, "first/*")
})

// observed is what a chart shows when it is rendered: what first tests are
// made of.
type observed struct {
	Name     string
	Package  string              // the name as Go has it
	Profiles []string            // that render, of those that ship with the chart
	All      bool                // they are all, for every version
	Versions []string            // of Kubernetes that the chart is for
	Narrow   bool                // they are not the newest four
	Lax      string              // the first thing that strict decoding has to say, if any
	Refusal  string              // what the chart asks for, if no profile renders
	Schema   bool                // a schema asks for it
	Values   []string            // files of the profile that objects are of, from the chart's folder
	Objects  []observedObject    // what the chart's own templates make; its subcharts' if there are none
	Image    *observedImage      // of the first workload
	Foreign  map[string][]string // kinds that neither Kubernetes nor the chart has, by apiVersion
}

type observedObject struct{ Template, APIVersion, Kind, Name string }

type observedImage struct {
	observedObject
	Import, Path, Image string // the Go package of the kind; the field and what it says
	Alone               bool   // the template makes nothing else
}

// Minor is that of the newest version, Pattern what matches the refusal.
func (o *observed) Minor() string   { return strings.TrimPrefix(o.Versions[len(o.Versions)-1], "1.") }
func (o *observed) Pattern() string { return regexp.QuoteMeta(o.Refusal) }

// Go is the field as Go has it.
func (i *observedImage) Go() string {
	return strings.NewReplacer("spec", "Spec", "template", "Template", "jobTemplate", "JobTemplate", "containers", "Containers", "image", "Image").Replace(i.Path)
}

// initialise writes what a chart lacks.
func initialise(ctx context.Context, say io.Writer, path, kind string) error {
	if kind != "go" && kind != "unittest" {
		return fmt.Errorf("there is no --test %s: go or unittest", kind)
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return fmt.Errorf("%s: tests are written beside a chart's folder, not an archive's: unpack it", path)
	}
	chart, err := charttest.Load(path)
	if err != nil {
		return err
	}
	if missing := chart.Missing(); len(missing) > 0 {
		return fmt.Errorf("%s: the charts folder lacks %s: run «helm dependency build %s» first", path, strings.Join(missing, ", "), path)
	}
	o, err := observe(ctx, chart)
	if err != nil {
		return err
	}
	test, pattern := o.Package+"_test.go", "*_test.go"
	if kind == "unittest" {
		test, pattern = filepath.Join("tests", o.Name+"_test.yaml"), filepath.Join("tests", "*_test.yaml")
	}
	w := writer{dir: path, say: say}
	if have, _ := filepath.Glob(filepath.Join(path, pattern)); len(have) > 0 {
		fmt.Fprintf(say, "kept  %s: the chart has tests\n", have[0])
	} else {
		w.write(test, kind+".tmpl", o)
	}
	w.write(".verify.yaml", "verify.tmpl", o)
	module := ""
	if kind == "go" && w.err == nil {
		module, w.err = w.module(ctx, o)
	}
	w.ignore(chart, module)
	if w.err != nil {
		return w.err
	}
	run := "go test " + packageOf(path)
	if kind == "unittest" {
		run = "charttest unittest " + path
	}
	fmt.Fprintf(say, "now: %s\n     charttest verify %s\n", run, path)
	return nil
}

// observe renders the chart's profiles.
func observe(ctx context.Context, chart *charttest.Chart) (*observed, error) {
	o := &observed{Name: chart.Name(), Package: regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(chart.Name()), ""), All: true, Foreign: map[string][]string{}}
	if o.Package == "" || o.Package[0] <= '9' {
		o.Package = "chart" + o.Package
	}
	about, err := os.ReadFile(filepath.Join(chart.Path(), "Chart.yaml"))
	if err != nil {
		return nil, err
	}
	var metadata struct{ Type, KubeVersion string }
	if err := yaml.Unmarshal(about, &metadata); err != nil {
		return nil, err
	}
	if metadata.Type == "library" {
		return nil, fmt.Errorf("%s is a library, which renders nothing by itself: test a chart that uses it", chart.Name())
	}
	if err := o.versions(metadata.KubeVersion); err != nil {
		return nil, err
	}
	version := o.Versions[len(o.Versions)-1]
	var failure error
	for _, p := range chart.Profiles() {
		var whole *charttest.Render
		for _, v := range o.Versions {
			r, err := chart.Render(ctx, p, charttest.KubeVersion(v))
			var strict *charttest.StrictError
			if errors.As(err, &strict) {
				o.Lax, err = cmp.Or(o.Lax, strings.TrimPrefix(strict.Problems[0].String(), filepath.Clean(chart.Path())+string(filepath.Separator))), nil
			}
			if err != nil {
				failure, whole = firstError(failure, err), nil
				break
			}
			whole = r
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if o.All = o.All && whole != nil; whole == nil {
			continue
		}
		o.Profiles = append(o.Profiles, p.Name)
		o.foreign(whole)
		if len(o.Profiles) == 1 {
			if err := o.takeOver(ctx, chart, p, version); err != nil {
				return nil, err
			}
		}
	}
	if len(o.Profiles) == 0 {
		var said *charttest.Failure
		var schema *charttest.SchemaError
		o.Refusal = failure.Error()
		if errors.As(failure, &said) {
			o.Refusal = said.Message
		} else if errors.As(failure, &schema) {
			o.Refusal, o.Schema = schema.Violations[0].Message, true
		}
		o.Refusal, _, _ = strings.Cut(o.Refusal, "\n")
	}
	return o, nil
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// versions are the newest Kubernetes versions that the chart says it is for.
func (o *observed) versions(constraint string) error {
	o.Versions = charttest.KubeVersions
	if constraint == "" {
		return nil
	}
	c, err := semver.NewConstraint(constraint)
	if err != nil {
		return fmt.Errorf("Chart.yaml: kubeVersion %q: %w", constraint, err)
	}
	takes := func(v string) bool { return c.Check(semver.MustParse(v+".0")) || c.Check(semver.MustParse(v+".99")) }
	var takesThem []string
	for _, v := range charttest.KubeVersions {
		if takes(v) {
			takesThem = append(takesThem, v)
		}
	}
	for minor := semver.MustParse(charttest.KubeVersions[0]).Minor(); len(takesThem) == 0; minor-- {
		if minor == 0 {
			return fmt.Errorf("Chart.yaml: kubeVersion %q takes no Kubernetes version up to %s", constraint, charttest.DefaultKubeVersion)
		}
		if v := fmt.Sprintf("1.%d", minor); takes(v) {
			takesThem = []string{v}
		}
	}
	o.Narrow = len(takesThem) < len(o.Versions)
	o.Versions = takesThem
	return nil
}

// takeOver takes over what the first profile that renders makes, as far as it is
// the same with other random values.
func (o *observed) takeOver(ctx context.Context, chart *charttest.Chart, p charttest.Profile, version string) error {
	for _, file := range p.Files {
		rel, err := filepath.Rel(chart.Path(), file)
		if err != nil {
			return err
		}
		o.Values = append(o.Values, filepath.ToSlash(rel))
	}
	as := charttest.Profile{Release: "demo", KubeVersion: version, Lax: true}
	r, err := chart.Render(ctx, p, as)
	if err != nil {
		return err
	}
	other, err := chart.Render(ctx, p, as, charttest.Seed(2))
	if err != nil {
		return err
	}
	count, own := map[string]int{}, false
	for _, object := range r.Objects {
		count[object.Template]++
		own = own || !object.CRD && strings.HasPrefix(object.Template, chart.Name()+"/templates/")
	}
	for _, object := range r.Objects {
		file := strings.TrimPrefix(object.Template, chart.Name()+"/")
		if object.CRD || own && !strings.HasPrefix(file, "templates/") || object.Name == "" || other.Object(object.Kind, object.Name) == nil {
			continue
		}
		seen := observedObject{file, object.APIVersion, object.Kind, object.Name}
		o.Objects = append(o.Objects, seen)
		path, pod := podTemplate(object)
		if o.Image != nil || pod == nil || len(pod.Spec.Containers) == 0 {
			continue
		}
		was := other.Object(object.Kind, object.Name)
		_, again := podTemplate(was)
		if image := pod.Spec.Containers[0].Image; again != nil && again.Spec.Containers[0].Image == image {
			o.Image = &observedImage{seen, "k8s.io/api/" + object.APIVersion, path + ".spec.containers[0].image", image, count[object.Template] == 1}
		}
	}
	return nil
}

// foreign notes the kinds that something else must bring to the cluster.
func (o *observed) foreign(r *charttest.Render) {
	defined := map[string]bool{}
	for _, object := range r.Objects {
		if object.Kind == "CustomResourceDefinition" {
			group, _ := object.Content()["spec"].(map[string]any)["group"].(string)
			defined[group] = true
		}
	}
	for _, object := range r.Objects {
		group, _, _ := strings.Cut(object.APIVersion, "/")
		if _, custom := object.Typed.(*unstructured.Unstructured); custom && !defined[group] && group != object.APIVersion && !slices.Contains(o.Foreign[object.APIVersion], object.Kind) {
			o.Foreign[object.APIVersion] = append(o.Foreign[object.APIVersion], object.Kind)
		}
	}
}

// writer writes files that aren't there, and tells of it.
type writer struct {
	dir     string
	say     io.Writer
	written []string // from dir
	err     error
}

func (w *writer) write(name, from string, o *observed) {
	if w.err != nil {
		return
	}
	var text bytes.Buffer
	templates, err := first()
	if err == nil {
		err = templates.ExecuteTemplate(&text, from, o)
	}
	if w.err = err; err != nil {
		return
	}
	data := text.Bytes()
	if strings.HasSuffix(name, ".go") {
		if data, w.err = format.Source(data); w.err != nil {
			return
		}
	}
	w.file(name, data)
}

// file writes a file, but never over another.
func (w *writer) file(name string, data []byte) {
	path := filepath.Join(w.dir, name)
	if w.err = os.MkdirAll(filepath.Dir(path), 0o755); w.err != nil {
		return
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		fmt.Fprintf(w.say, "kept  %s\n", path)
		return
	}
	if err == nil {
		_, err = file.Write(data)
		err = errors.Join(err, file.Close())
	}
	if w.err = err; err == nil {
		w.written = append(w.written, filepath.ToSlash(name))
		fmt.Fprintf(w.say, "wrote %s\n", path)
	}
}

// module sees to it that the test's module requires this one. It returns the
// folder of a go.mod that was made.
func (w *writer) module(ctx context.Context, o *observed) (made string, err error) {
	command := func(dir string, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = dir
		var out, said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &said
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
		}
		return strings.TrimSpace(out.String()), nil
	}
	mod, err := command(w.dir, "env", "GOMOD")
	if err != nil {
		return "", fmt.Errorf("tests in Go need Go, https://go.dev/dl (or --test unittest): %w", err)
	}
	dir := w.dir
	if mod == "" || mod == os.DevNull {
		name := "example.org/" + o.Package
		git := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel")
		git.Dir = w.dir
		if top, err := git.Output(); err == nil {
			dir = strings.TrimSpace(string(top))
			name = "example.org/" + regexp.MustCompile(`[^A-Za-z0-9._~-]+`).ReplaceAllString(filepath.Base(dir), "-")
		}
		if _, err := command(dir, "mod", "init", name); err != nil {
			return "", err
		}
		made = dir
		fmt.Fprintf(w.say, "wrote %s: module %s, call it what you like\n", filepath.Join(dir, "go.mod"), name)
	}
	if _, err := command(w.dir, "list", "-m", module); err != nil {
		version := "latest"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path == module && strings.HasPrefix(info.Main.Version, "v") && !strings.Contains(info.Main.Version, "+") {
			version = info.Main.Version
		}
		if _, err := command(w.dir, "get", module+"@"+version); err != nil {
			return made, fmt.Errorf("the test is written, but its module lacks the library: %w", err)
		}
		fmt.Fprintf(w.say, "added %s to go.mod\n", module)
	}
	if made != "" {
		_, err = command(w.dir, "mod", "tidy")
	}
	return made, err
}

// ignore keeps out of the chart what is there for its tests.
func (w *writer) ignore(chart *charttest.Chart, module string) {
	if w.err != nil {
		return
	}
	lines := []string{".verify.yaml", "tests/", "*_test.go"}
	if here, err := filepath.Abs(w.dir); err == nil && module == here {
		lines = append(lines, "go.mod", "go.sum")
	}
	file := filepath.Join(w.dir, ".helmignore")
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		w.file(".helmignore", []byte("# What is no part of the chart.\n"+strings.Join(lines, "\n")+"\n"))
		return
	}
	if w.err = err; err != nil {
		return
	}
	have := strings.Split(string(data), "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool { return slices.Contains(have, line) })
	if len(lines) > 0 && len(w.written) > 0 {
		fmt.Fprintf(w.say, "add to %s, so that they stay out of the chart's archive: %s\n", file, strings.Join(lines, " "))
	}
}

// packageOf is a folder as go test takes it.
func packageOf(path string) string {
	if clean := filepath.ToSlash(filepath.Clean(path)); clean != "." && !filepath.IsAbs(path) && !strings.HasPrefix(clean, "..") {
		return "./" + clean
	}
	return filepath.ToSlash(path)
}

// podTemplate is the pod template of a workload and where it stands.
func podTemplate(o *charttest.Object) (path string, pod *corev1.PodTemplateSpec) {
	switch w := o.Typed.(type) {
	case *appsv1.Deployment:
		return "spec.template", &w.Spec.Template
	case *appsv1.StatefulSet:
		return "spec.template", &w.Spec.Template
	case *appsv1.DaemonSet:
		return "spec.template", &w.Spec.Template
	case *batchv1.Job:
		return "spec.template", &w.Spec.Template
	case *batchv1.CronJob:
		return "spec.jobTemplate.spec.template", &w.Spec.JobTemplate.Spec.Template
	}
	return "", nil
}
