package charttest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// Chart is a chart that was read once and can be rendered many times, also by
// several goroutines at once.
type Chart struct {
	engine  *engine.Chart
	helm    engine.Helm
	scheme  *runtime.Scheme
	getters map[string]engine.Getter
	memo    memo
}

// LoadOption changes what [Load] makes of a chart.
type LoadOption func(*Chart) error

// Helm renders as a major version of Helm does: 3, which is the default, or 4.
// The documentation tells what differs.
func Helm(major int) LoadOption {
	return func(c *Chart) error {
		if c.helm = engine.Helm(major); c.helm != engine.Helm3 && c.helm != engine.Helm4 {
			return fmt.Errorf("there is no Helm %d to render as: 3 or 4", major)
		}
		return nil
	}
}

// Types makes the types of custom resources known, so that their objects are
// decoded strictly and can be had with [Get]. It takes the AddToScheme that
// packages of API types offer.
func Types(add ...func(*runtime.Scheme) error) LoadOption {
	return func(c *Chart) error {
		if c.scheme == builtin() {
			c.scheme = newScheme()
		}
		for _, f := range add {
			if err := f(c.scheme); err != nil {
				return err
			}
		}
		return nil
	}
}

// Getter fetches values files that are named by a URL of a scheme, such as
// "https". Without one for its scheme, a URL is taken for the name of a file.
func Getter(scheme string, get func(url string) ([]byte, error)) LoadOption {
	return func(c *Chart) error {
		if c.getters == nil {
			c.getters = make(map[string]engine.Getter)
		}
		c.getters[scheme] = get
		return nil
	}
}

// Load reads the chart in a directory or an archive (.tgz). Dependencies must
// be in its charts/ folder, as after «helm dependency build». Errors are of
// type [*LoadError], or those of options.
func Load(path string, options ...LoadOption) (*Chart, error) {
	c := &Chart{scheme: builtin()}
	for _, option := range options {
		if err := option(c); err != nil {
			return nil, err
		}
	}
	read, err := engine.LoadFor(c.helm, path)
	if err != nil {
		return nil, convert(nil, err)
	}
	c.engine = read
	return c, nil
}

// MustLoad is [Load] for tests: it ends the test if the chart can't be read.
func MustLoad(t testing.TB, path string, options ...LoadOption) *Chart {
	t.Helper()
	c, err := Load(path, options...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return c
}

// Name is the chart's name in Chart.yaml.
func (c *Chart) Name() string { return c.engine.Name() }

// Version is the chart's version in Chart.yaml.
func (c *Chart) Version() string { return c.engine.Version() }

// Path is what the chart was loaded from.
func (c *Chart) Path() string { return c.engine.Path() }

// Missing are the dependencies that Chart.yaml lists and the charts folder
// lacks. They are rendered as if they were not listed; Helm renders nothing
// until «helm dependency build» has fetched them.
func (c *Chart) Missing() []string { return c.engine.Missing() }

// Profile is the profile of a values file that ships with the chart:
// values/NAME.yaml, or as chart-testing has it, ci/NAME-values.yaml. If there
// is no such file, rendering says so.
func (c *Chart) Profile(name string) Profile {
	file := filepath.Join(c.Path(), "values", name+".yaml")
	if _, err := os.Stat(file); err != nil {
		if ci := filepath.Join(c.Path(), "ci", name+"-values.yaml"); isFile(ci) {
			file = ci
		}
	}
	return Profile{Name: name, Files: []string{file}}
}

// Profiles are all profiles that ship with the chart, by name, after one
// without any values, called "default", or "values.yaml" where a file has that
// name (ci/default-values.yaml, which may well say something).
func (c *Chart) Profiles() []Profile {
	profiles := []Profile{{Name: "default"}}
	if len(c.Profile("default").Files) > 0 && isFile(c.Profile("default").Files[0]) {
		profiles[0].Name = "values.yaml"
	}
	for _, pattern := range []string{"values/*.yaml", "ci/*-values.yaml"} {
		files, _ := filepath.Glob(filepath.Join(c.Path(), filepath.FromSlash(pattern)))
		sort.Strings(files)
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".yaml")
			name = strings.TrimSuffix(name, "-values")
			profiles = append(profiles, Profile{Name: name, Files: []string{file}})
		}
	}
	return profiles
}

// ValuePlace returns the line that sets a value, given by its path from the
// root of the values ("flask.replicas"): in the last of the profile's files
// that has it, or else in the chart's values.yaml. Where no line has the value
// itself it is that of the nearest table.
func (c *Chart) ValuePlace(p Profile, path string) Place {
	var best Place
	for _, name := range slices.Backward(p.Files) {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // a URL
		}
		line, exact := findField(string(data), path)
		if exact {
			return Place{File: name, Line: line}
		}
		if best.File == "" && line > 1 {
			best = Place{File: name, Line: line}
		}
	}
	if place, exact := c.declared(path); exact || best.File == "" {
		return place
	}
	return best
}

// declared returns the line of a values.yaml that declares a value, in the
// outermost chart that has it, or the file where it should.
func (c *Chart) declared(path string) (place Place, exact bool) {
	files := c.engine.ValuesFiles()
	for _, f := range files {
		rest := path
		if f.Path != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(path, f.Path+"."); !ok {
				continue
			}
		}
		if line, exact := findField(f.Text, rest); exact {
			return Place{File: f.File, Line: line}, true
		}
	}
	for _, f := range files {
		place = Place{File: f.File}
		if line, _ := findField(f.Text, path); line > 1 {
			place.Line = line
		}
		return place, false
	}
	return Place{File: c.Path()}, false
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
