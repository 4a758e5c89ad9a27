package unittest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// outcome is what came of rendering for a test. Equal tests share it.
type outcome struct {
	once      sync.Once
	broken    error // there is nothing to assert
	renderErr error
	rendered  bool

	postRendered bool
	documents    map[string][]*document // by template
	templates    []string               // that were rendered, and CRDs
	texts        map[string]string      // by template
	outputs      *engine.Outputs        // nil if nothing was executed
	failure      *engine.Failure
}

// outcome returns the test's, made for it or for an equal one before.
func (r *chartRun) outcome(t *test) *outcome {
	values, err := r.run.userValues(t)
	if err != nil {
		return &outcome{broken: err}
	}
	key, err := json.Marshal(struct {
		Values                              json.RawMessage
		Route                               string
		Templates, Skipped, APIVersions     []string
		Release                             release
		Chart                               chartVersion
		Kube                                [2]string
		Objects                             []map[string]any
		Scheme                              map[string]kindProperties
		PostRenderer                        postRenderer
		MustRender, IncludeCRDs, SkipSchema bool
	}{values, t.suite.route, t.templates, t.skipTemplate, t.apiVersions, t.Release, t.Chart, [2]string{t.kube.major, t.kube.minor},
		t.KubernetesProvider.Objects, t.KubernetesProvider.Scheme, t.PostRenderer, t.mustRender, t.suite.IncludeCRDs, r.run.SkipSchema})
	if err != nil { // objects that JSON doesn't know
		o := new(outcome)
		r.render(o, t, values)
		return o
	}
	o := r.remembered(string(key))
	o.once.Do(func() { r.render(o, t, values) })
	return o
}

// maxRemembered bounds the outcomes kept.
const maxRemembered = 128

func (r *chartRun) remembered(key string) *outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o, ok := r.outcomes[key]; ok {
		return o
	}
	if len(r.recent) >= maxRemembered {
		delete(r.outcomes, r.recent[0])
		r.recent = slices.Delete(r.recent, 0, 1)
	}
	o := new(outcome)
	r.outcomes[key] = o
	r.recent = append(r.recent, key)
	return o
}

// render renders for a test as helm-unittest does.
func (r *chartRun) render(o *outcome, t *test, values []byte) {
	vals := map[string]any{}
	if o.broken = json.Unmarshal(values, &vals); o.broken != nil {
		return
	}
	files := r.execute(o, t, vals)
	if o.broken = r.write(files); o.broken != nil {
		return
	}
	if o.renderErr == nil {
		o.templates = slices.Sorted(maps.Keys(files))
	}
	if t.PostRenderer.Cmd != "" {
		o.postRendered = true
		if files, o.broken = t.PostRenderer.run(files); o.broken != nil {
			return
		}
	}
	o.texts = make(map[string]string, len(files))
	o.documents = make(map[string][]*document, len(files))
	if t.suite.IncludeCRDs {
		crds, err := r.chart.CustomResources(vals)
		if err != nil {
			o.broken = err
			return
		}
		for name, text := range crds {
			o.templates = append(o.templates, name)
			if o.documents[name], o.broken = r.run.documents(text); o.broken != nil {
				return
			}
		}
	}
	for name, text := range files {
		if !strings.HasPrefix(name, r.chart.Name()) {
			name = path.Join(r.chart.Name(), name)
		}
		extension := path.Ext(name)
		if !o.rendered {
			extension = ".yaml" // a failure's message
		}
		switch extension {
		case ".yaml", ".yml", ".tpl":
			if o.documents[name], o.broken = r.run.documents(text); o.broken != nil {
				return
			}
		case ".txt":
			o.documents[name] = textDocument(text)
		}
		o.texts[name] = text
	}
}

// execute renders, and returns what each template wrote; if they fail and the
// test expects it, the failure's message as the document of the template where
// it was.
func (r *chartRun) execute(o *outcome, t *test, vals map[string]any) map[string]string {
	if t.Release.Name != "" {
		if o.renderErr = engine.CheckReleaseName(t.Release.Name); o.renderErr != nil {
			return nil
		}
	}
	at := engine.Circumstances{
		Version: t.Chart.Version, AppVersion: t.Chart.AppVersion,
		KubeMajor: t.kube.major, KubeMinor: t.kube.minor, Revision: t.Release.Revision,
	}
	with := engine.Release{
		Name: t.Release.Name, Namespace: t.Release.Namespace, Upgrade: t.Release.IsUpgrade,
		APIVersions: t.apiVersions, SkipSchema: r.run.SkipSchema,
		Seeded: true, Now: r.run.start, // so that snapshots of passwords hold
	}
	if with.Name == "" {
		with.Name = "RELEASE-NAME"
	}
	if with.Namespace == "" {
		with.Namespace = "NAMESPACE"
	}
	if len(t.KubernetesProvider.Objects) > 0 {
		with.Lookup = t.KubernetesProvider.lookup
	}
	var err error
	o.outputs, err = r.chart.RenderOutputs(r.run.ctx, vals, with, t.selection(), at)
	if r.run.coverage != nil && o.outputs != nil {
		r.run.coverage.add(r.chart, o.outputs)
	}
	if err == nil {
		o.rendered = true
		return o.outputs.Files
	}
	if !errors.As(err, &o.failure) || t.mustRender {
		o.renderErr = err
		return nil
	}
	file, message := failedTemplateOf(err.Error())
	if file == "" && message == "" {
		o.renderErr = err
		return nil
	}
	text := encode(map[string]string{raw: message})
	files := make(map[string]string)
	if !strings.HasPrefix(path.Base(file), "_") {
		files[file] = text
		return files
	}
	for _, name := range t.templates {
		files[t.suite.templatePath(name)] = text
	}
	return files
}

func encode(v any) string {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	_ = encoder.Encode(v) // of texts: can't fail
	_ = encoder.Close()
	return text.String()
}

var failedAt = regexp.MustCompile("(?msU)^(?:.+: |.+ \\()(?:(.+):\\d+:\\d+).+(?:.+>)*: (.+)$")

// failedTemplateOf takes a failure's text apart as helm-unittest does: which
// template failed and why, of a text of several lines all but the first.
func failedTemplateOf(text string) (file, message string) {
	m := failedAt.FindStringSubmatch(text)
	if m == nil {
		return "", ""
	}
	if _, rest, ok := strings.Cut(text, "\n"); ok {
		return m[1], rest
	}
	return m[1], m[2]
}

// write leaves what was rendered behind, for debugging.
func (r *chartRun) write(files map[string]string) error {
	if r.run.RenderPath == "" {
		return nil
	}
	for name, text := range files {
		file := filepath.Join(r.run.RenderPath, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const filePrefix = "---\n#### file:"

var fileComment = regexp.MustCompile("#### file: (.*)")

// run gives everything to the post-renderer, and takes it apart by the comments
// that say which template it is of, if they are still there.
func (p postRenderer) run(files map[string]string) (map[string]string, error) {
	program, err := exec.LookPath(p.Cmd)
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return nil, fmt.Errorf("unable to find binary at %s: %w", p.Cmd, err)
	}
	var in, out, complaints bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		in.WriteString(filePrefix + " " + name + "\n" + strings.TrimSpace(files[name]) + "\n")
	}
	cmd := exec.Command(program, p.Args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &complaints
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("post-render failed: error while running command %s. error output:\n%s: %w", program, complaints.String(), err)
	}
	rendered := make(map[string]string)
	text := out.String()
	for text != "" {
		block := text
		if next := strings.Index(text[1:], filePrefix); next >= 0 {
			block = text[:next+1]
		}
		text = text[len(block):]
		if m := fileComment.FindStringSubmatch(block); m != nil {
			rendered[m[1]] = strings.TrimPrefix(block, "---\n"+m[0]+"\n")
		}
	}
	if len(rendered) == 0 {
		rendered["manifest.yaml"] = out.String()
	}
	return rendered, nil
}

// templatePath is the path of a template as suites name it, with or without
// templates/ in front.
func (s *suite) templatePath(name string) string { return path.Join(s.route, templateFile(name)) }

func templateFile(name string) string {
	for _, prefix := range []string{"templates", "charts", "crds", "**"} {
		if strings.HasPrefix(name, prefix) {
			return name
		}
	}
	return path.Join("templates", name)
}

// selection are the templates that the suite is about.
func (t *test) selection() engine.Selection {
	keep, drop := t.suite.patterns(t.templates), t.suite.patterns(t.skipTemplate)
	matches := func(patterns []*regexp.Regexp, name string) bool {
		return slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(name) })
	}
	return engine.Selection{
		Key:  strings.Join(slices.Concat([]string{"", t.suite.route, ""}, t.templates, []string{""}, t.skipTemplate), "\x00"),
		Keep: func(name string) bool { return matches(keep, name) && !matches(drop, name) },
	}
}

var escapes = strings.NewReplacer(
	".", `\.`, "+", `\+`, "[", `\[`, "]", `\]`, "?", `\?`, "(", `\(`, ")", `\)`, "|", `\|`, "{", `\{`, "}", `\}`, "^", `\^`, "$", `\$`,
	"**", `[0-9a-zA-Z_\-/\.]+`, "*", `[0-9a-zA-Z_\-_/\.]*`,
)

// patterns are regular expressions of names with wildcards. They match parts of
// a path, as helm-unittest has it.
func (s *suite) patterns(names []string) []*regexp.Regexp {
	var all []*regexp.Regexp
	for _, name := range names {
		if p, err := compile(escapes.Replace(s.templatePath(name))); err == nil {
			all = append(all, p)
		}
	}
	return all
}
