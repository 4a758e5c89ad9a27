package unittest

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"go.yaml.in/yaml/v3"
)

// Version is that of helm-unittest whose suites are understood; suites may ask
// for a minimum.
const Version = "1.1.2"

// part is one of the suites of a file, or one of the documents of a text.
type part struct {
	text string
	line int // where it starts, from 0
}

// parts cuts a text at its separators, which are (?:^|\s*\n)---\s* as
// helm-unittest has it.
func parts(text string) []part {
	const space = "\t\n\f\r "
	var all []part
	line, start := 0, 0
	cut := func(end, next int) {
		all = append(all, part{text[start:end], line})
		line += strings.Count(text[start:next], "\n")
		start = next
	}
	after := func(i int) int { return len(text) - len(strings.TrimLeft(text[i:], space)) }
	if strings.HasPrefix(text, "---") {
		cut(0, after(3))
	}
	for {
		i := strings.Index(text[start:], "\n---")
		if i < 0 {
			cut(len(text), len(text))
			return all
		}
		cut(start+len(strings.TrimRight(text[start:start+i], space)), after(start+i+4))
	}
}

// suite is a test suite, decoded from one document of a file.
type suite struct {
	Name             string `yaml:"suite"`
	Values           []string
	Set              map[string]any
	Templates        []string
	ExcludeTemplates []string `yaml:"excludeTemplates"`
	IncludeCRDs      bool     `yaml:"includeCrds"`
	Release          release
	Chart            chartVersion
	Capabilities     struct {
		MajorVersion string   `yaml:"majorVersion"`
		MinorVersion string   `yaml:"minorVersion"`
		APIVersions  []string `yaml:"apiVersions"`
	}
	KubernetesProvider provider     `yaml:"kubernetesProvider"`
	PostRenderer       postRenderer `yaml:"postRenderer"`
	Tests              []*test
	SnapshotID         string `yaml:"snapshotId"`
	Skip               struct {
		Reason         string `yaml:"reason"`
		MinimumVersion string `yaml:"minimumVersion"`
	} `yaml:"skip"`

	file     string // relative to the working directory
	line     int    // of the file, where the document starts, from 0
	route    string // of the chart: "parent" or "parent/charts/child"
	rendered bool   // the file was rendered from a chart of suites
}

type release struct {
	Name      string
	Namespace string
	Revision  int
	IsUpgrade bool `yaml:"upgrade"`
}

type chartVersion struct {
	Version    string
	AppVersion string `yaml:"appVersion"`
}

type postRenderer struct {
	Cmd  string   `yaml:"cmd"`
	Args []string `yaml:"args"`
}

// test is one test of a suite, with what the suite says for all of them.
type test struct {
	Name             name `yaml:"it"`
	Values           []string
	Set              map[string]any
	Template         string
	Templates        []string
	DocumentIndex    *int `yaml:"documentIndex"`
	DocumentIndices  map[string][]int
	DocumentSelector *selector `yaml:"documentSelector"`
	Release          release
	Chart            chartVersion
	Capabilities     map[string]any `yaml:"capabilities"`
	Assertions       []*assertion   `yaml:"asserts"`
	Skip             struct {
		Reason string `yaml:"reason"`
	} `yaml:"skip"`
	KubernetesProvider provider     `yaml:"kubernetesProvider"`
	PostRenderer       postRenderer `yaml:"postRenderer"`

	suite        *suite
	kube         kubeVersion
	apiVersions  []string
	mustRender   bool     // no assertion expects a failure
	templates    []string // patterns of what is rendered
	skipTemplate []string
}

// name is a test's name and the line it stands on.
type name struct {
	text string
	line int
}

// UnmarshalYAML notes the line.
func (n *name) UnmarshalYAML(node *yaml.Node) error {
	n.line = node.Line
	return node.Decode(&n.text)
}

type kubeVersion struct{ major, minor string }

// parseFile returns the suites of a file. With an error there may be suites,
// up to the one that has it.
func (o *Options) parseFile(file, route string, values []string) ([]*suite, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return o.parseSuites(string(content), file, route, values, false)
}

func (o *Options) parseSuites(content, file, route string, values []string, rendered bool) ([]*suite, error) {
	var suites []*suite
	for _, part := range parts(content) {
		if strings.TrimSpace(part.text) == "" {
			continue
		}
		s, err := o.parseSuite(part.text, file, route, values, rendered)
		if err != nil {
			return suites, err
		}
		if s != nil {
			s.line = part.line
			suites = append(suites, s)
		}
	}
	return suites, nil
}

// parseSuite returns nil for a document with nothing in it.
func (o *Options) parseSuite(content, file, route string, values []string, rendered bool) (*suite, error) {
	s := &suite{route: route, rendered: rendered, file: file}
	if dir, err := os.Getwd(); err == nil {
		abs, _ := filepath.Abs(file)
		if s.file, err = filepath.Rel(dir, abs); err != nil {
			return nil, err
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(content))
	decoder.KnownFields(o.Strict)
	switch err := decoder.Decode(s); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil && strings.Contains(err.Error(), "unknown escape character"):
		// Patterns such as "\d" between double quotes: once more with every
		// backslash doubled. The suite is taken as it is then.
		return s, yaml.Unmarshal(doubleBackslashes(content), s)
	case err != nil:
		return nil, err
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	s.Values = append(s.Values, values...)
	return s, nil
}

// doubleBackslashes makes every run of backslashes one of even length.
func doubleBackslashes(content string) []byte {
	return oddBackslashes.ReplaceAllFunc([]byte(content), func(run []byte) []byte {
		if len(run)%2 == 1 {
			run = append(slices.Clone(run), '\\')
		}
		return run
	})
}

var oddBackslashes = regexp.MustCompile(`\\+`)

func (s *suite) validate() error {
	if len(s.Tests) == 0 {
		return errors.New("no tests found")
	}
	if s.rendered && s.Name == "" {
		return errors.New("helm chart based test suites must include `suite` field")
	}
	if minimum := s.Skip.MinimumVersion; minimum != "" && !meets(Version, minimum) {
		s.Skip.Reason = fmt.Sprintf("Test suite requires minimum unittest plugin version %s, but current version is %s", minimum, Version)
	}
	for _, t := range s.Tests {
		if t == nil || len(t.Assertions) == 0 {
			return errors.New("no asserts found")
		}
	}
	return nil
}

func meets(version, minimum string) bool {
	have, err := semver.NewVersion(version)
	if err != nil {
		return false
	}
	want, err := semver.NewVersion(minimum)
	return err == nil && have.Compare(want) >= 0
}

// polish gives the tests what the suite says.
func (s *suite) polish() {
	s.Tests = slices.DeleteFunc(s.Tests, func(t *test) bool { return t == nil })
	for _, t := range s.Tests {
		t.suite = s
		t.Name.line += s.line
		t.Release.Name = cmp.Or(t.Release.Name, s.Release.Name)
		t.Release.Namespace = cmp.Or(t.Release.Namespace, s.Release.Namespace)
		t.Release.Revision = cmp.Or(t.Release.Revision, s.Release.Revision)
		t.Release.IsUpgrade = cmp.Or(t.Release.IsUpgrade, s.Release.IsUpgrade)
		t.Chart.Version = cmp.Or(t.Chart.Version, s.Chart.Version)
		t.Chart.AppVersion = cmp.Or(t.Chart.AppVersion, s.Chart.AppVersion)
		t.polishCapabilities()
		t.KubernetesProvider.Objects = append(t.KubernetesProvider.Objects, s.KubernetesProvider.Objects...)
		if len(s.KubernetesProvider.Scheme) > 0 {
			scheme := maps.Clone(t.KubernetesProvider.Scheme)
			if scheme == nil {
				scheme = map[string]kindProperties{}
			}
			maps.Copy(scheme, s.KubernetesProvider.Scheme)
			t.KubernetesProvider.Scheme = scheme
		}
		if t.PostRenderer.Cmd == "" {
			t.PostRenderer = s.PostRenderer
		}
		t.Values = slices.Concat(s.Values, t.Values)
		t.Skip.Reason = cmp.Or(s.Skip.Reason, t.Skip.Reason)
		t.templates, t.skipTemplate = s.Templates, s.ExcludeTemplates
		if len(t.templates) == 0 {
			t.templates = []string{"**"}
		}
		t.mustRender = true
		for _, a := range t.Assertions {
			if a != nil {
				a.line += s.line
				t.mustRender = t.mustRender && a.mustRender
			}
		}
	}
}

func (t *test) polishCapabilities() {
	of := t.suite.Capabilities
	t.kube = kubeVersion{cmp.Or(versionPart(t.Capabilities["majorVersion"]), of.MajorVersion), cmp.Or(versionPart(t.Capabilities["minorVersion"]), of.MinorVersion)}
	// A list, or nothing said, is added to the suite's; anything else empties it.
	given, said := t.Capabilities["apiVersions"]
	list, isList := given.([]any)
	if said && !isList {
		return
	}
	t.apiVersions = []string{}
	for _, item := range list {
		if text, ok := item.(string); ok {
			t.apiVersions = append(t.apiVersions, text)
		}
	}
	t.apiVersions = append(t.apiVersions, of.APIVersions...)
}

func versionPart(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int, int64:
		return fmt.Sprint(v)
	}
	return ""
}

// snapshotFile is where the suite's snapshots are.
func (s *suite) snapshotFile() string {
	name := filepath.Base(s.file)
	if s.SnapshotID != "" {
		name += "_" + s.SnapshotID
	}
	return filepath.Join(filepath.Dir(s.file), "__snapshot__", name+".snap")
}

// parseRendered parses suites that templates wrote. Those without an id for
// their snapshots are numbered in their file.
func (c *chartRun) parseRendered(chart, folder, route string, files map[string]string, values []string) ([]*suite, error) {
	var suites []*suite
	var wrong []error
	for _, template := range slices.Sorted(maps.Keys(files)) {
		of, err := c.run.parseSuites(files[template], filepath.Join(folder, strings.Replace(template, chart, "", 1)), route, values, true)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("test suite template (%s) error: %w", template, err))
		} else if len(of) == 0 {
			wrong = append(wrong, fmt.Errorf("test suite template (%s) file did not render a manifest", template))
		}
		for i, s := range of {
			s.SnapshotID = cmp.Or(s.SnapshotID, fmt.Sprint(i))
		}
		suites = append(suites, of...)
	}
	return suites, errors.Join(wrong...)
}
