package engine

import (
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	"sigs.k8s.io/yaml"
)

const notesName = "NOTES.txt"

// Manifest is one document that a template wrote.
type Manifest struct {
	Template string // as in Helm's «# Source:» lines
	Text     string // the document, trimmed
	Line     int    // where the document starts in the template's output, from 1
	Kind     string
	Name     string
	Hook     *Hook // nil if Helm manages the object as part of the release
	Doc      *Document
}

// Hook says when Helm creates an object that is no part of the release proper.
type Hook struct {
	Events         []string
	Weight         int
	DeletePolicies []string
}

// sort splits the templates' output into documents and puts them into the
// order of installation, as Helm's SortManifests does, which parses each
// document twice more and loses where it stood.
func (r *Result) sort(p *program, out []string, rel Release, t *trace) error {
	r.Notes = notes(p, out, rel.SubNotes)
	r.Chart.documents.wrote(out)
	order := make([]int, 0, len(out))
	for i, s := range p.templates {
		if !s.partial && !s.notes && strings.TrimSpace(out[i]) != "" {
			order = append(order, i)
		}
	}
	sort.Slice(order, func(i, j int) bool { return p.templates[order[i]].name < p.templates[order[j]].name })
	for _, i := range order {
		for _, doc := range r.Chart.helm.split(out[i]) {
			m := Manifest{Template: p.templates[i].name, Text: doc.text, Line: doc.line}
			if err := r.add(m); err != nil {
				return notYAML(m, debugText(p, out), err, t)
			}
		}
	}
	byKind(r.Manifests, r.Chart.helm.ranks())
	byKind(r.Hooks, r.Chart.helm.ranks())
	r.CRDs = p.crds(r.Chart)
	return nil
}

// yamlLine finds the line in what the YAML parser says.
var yamlLine = regexp.MustCompile(`yaml: line (\d+):`)

func notYAML(m Manifest, text string, err error, t *trace) error {
	line := m.Line
	if found := yamlLine.FindStringSubmatch(err.Error()); found != nil {
		n, _ := strconv.Atoi(found[1])
		line += n - 1
	}
	e := &RenderError{Template: m.Template, Text: text, Line: line, Err: err}
	if t != nil {
		e.Frames = t.locate(m.Template, line)
	}
	return e
}

// debugText is all output as Helm prints it with --debug when some of it is
// no YAML.
func debugText(p *program, out []string) string {
	var b strings.Builder
	for i, s := range p.templates {
		if !s.partial && !s.notes && strings.TrimSpace(out[i]) != "" {
			fmt.Fprintf(&b, "---\n# Source: %s\n%s\n", s.name, out[i])
		}
	}
	return b.String()
}

func (r *Result) add(m Manifest) error {
	m.Doc = r.Chart.documents.get(m.Text)
	if m.Doc.err != nil {
		return fmt.Errorf("YAML parse error on %s: %w", m.Template, r.Chart.helm.headError(m.Doc.err))
	}
	head := &m.Doc.head
	m.Kind, m.Name = head.kind, head.name
	types, ok := head.annotations[release.HookAnnotation]
	if !ok {
		r.Manifests = append(r.Manifests, m)
		return nil
	}
	m.Hook = &Hook{}
	for _, t := range strings.Split(types, ",") {
		event, ok := events[strings.ToLower(strings.TrimSpace(t))]
		if !ok {
			r.Warnings = append(r.Warnings, Warning{Text: fmt.Sprintf("info: skipping unknown hook: %q", types), Manifest: m})
			return nil
		}
		m.Hook.Events = append(m.Hook.Events, string(event))
	}
	m.Hook.Weight, _ = strconv.Atoi(head.annotations[release.HookWeightAnnotation])
	if policies, ok := head.annotations[release.HookDeleteAnnotation]; ok {
		for _, policy := range strings.Split(policies, ",") {
			m.Hook.DeletePolicies = append(m.Hook.DeletePolicies, strings.ToLower(strings.TrimSpace(policy)))
		}
	}
	r.Hooks = append(r.Hooks, m)
	return nil
}

var events = map[string]release.HookEvent{
	"pre-install":   release.HookPreInstall,
	"post-install":  release.HookPostInstall,
	"pre-delete":    release.HookPreDelete,
	"post-delete":   release.HookPostDelete,
	"pre-upgrade":   release.HookPreUpgrade,
	"post-upgrade":  release.HookPostUpgrade,
	"pre-rollback":  release.HookPreRollback,
	"post-rollback": release.HookPostRollback,
	"test":          release.HookTest,
	"test-success":  release.HookTest, // as Helm 2 called it
}

// IsTest says whether the hook belongs to helm test.
func (h *Hook) IsTest() bool {
	for _, e := range h.Events {
		if e == string(release.HookTest) {
			return true
		}
	}
	return false
}

var installOrder = sync.OnceValue(func() map[string]int {
	order := make(map[string]int, len(releaseutil.InstallOrder))
	for i, kind := range releaseutil.InstallOrder {
		order[kind] = i
	}
	return order
})

// byKind sorts into Helm's order of installation: known kinds by rank, then
// unknown ones by name; stable otherwise.
func byKind(list []Manifest, rank map[string]int) {
	sort.SliceStable(list, func(i, j int) bool {
		a, aok := rank[list[i].Kind]
		b, bok := rank[list[j].Kind]
		if !aok && !bok {
			return list[i].Kind < list[j].Kind
		}
		if aok != bok {
			return aok
		}
		return a < b
	})
}

// document is a part of a template's output.
type document struct {
	text string
	line int
}

// split cuts a YAML stream at its separators, as Helm's regular expression
// (?:^|\s*\n)---\s* does, and notes the line where each document starts.
func split(stream string) []document {
	var docs []document
	line := 1
	// Trim as Helm does, counting the lines cut in front.
	trimmed := strings.TrimLeft(stream, spaces)
	line += strings.Count(stream[:len(stream)-len(trimmed)], "\n")
	rest := strings.TrimSpace(trimmed)
	emit := func(doc string, at int) {
		if doc == "" {
			return
		}
		text := strings.TrimSpace(doc)
		lead := doc[:len(doc)-len(strings.TrimLeft(doc, spaces))]
		docs = append(docs, document{text, at + strings.Count(lead, "\n")})
	}
	start, at := 0, line
	for i := 0; i < len(rest); {
		j := strings.Index(rest[i:], "---")
		if j < 0 {
			break
		}
		j += i
		if j > 0 && (rest[j-1] != '\n' || j == start) { // j == start: its newline went with the separator before
			i = j + 1
			continue
		}
		// White space before the newline and after the dashes belongs to the
		// separator.
		from := j
		if j > 0 {
			from = len(strings.TrimRight(rest[start:j], regexpSpaces)) + start
		}
		end := j + 3
		for end < len(rest) && strings.IndexByte(regexpSpaces, rest[end]) >= 0 {
			end++
		}
		emit(rest[start:from], at)
		at += strings.Count(rest[start:end], "\n")
		start, i = end, end
	}
	emit(rest[start:], at)
	return docs
}

const (
	regexpSpaces = "\t\n\f\r "                                                                                                                     // what \s matches
	spaces       = "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000" // what TrimSpace trims
)

// CRD is a file in a chart's crds/ folder.
type CRD struct {
	Template string // as in Helm's «# Source:» lines
	Text     string
	Docs     []Manifest // the documents in it
}

// crds are the files in the crds/ folders of a chart and its subcharts, shared by
// all combinations of subcharts. They are read only where somebody looks into
// them: printing takes none of that.
type crds struct {
	mu     sync.Mutex
	byName map[string]*crdFile
}

type crdFile struct {
	CRD
	data    *byte // where the file's data begins
	defines func() []string
}

func (c *crds) of(helm Helm, p *program) []*crdFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	var files []*crdFile
	for _, crd := range p.chart.CRDObjects() {
		file, ok := c.byName[crd.Filename]
		if data := unsafe.SliceData(crd.File.Data); !ok || file.data != data {
			file = &crdFile{CRD: CRD{Template: crd.Filename, Text: string(crd.File.Data)}, data: data}
			for _, doc := range helm.split(file.Text) {
				file.Docs = append(file.Docs, Manifest{Template: crd.Filename, Text: doc.text, Line: doc.line, Doc: &Document{Text: doc.text}})
			}
			file.defines = sync.OnceValue(func() (all []string) {
				for _, m := range file.Docs {
					all = append(all, definedBy(m)...)
				}
				return all
			})
			if c.byName == nil {
				c.byName = make(map[string]*crdFile)
			}
			c.byName[crd.Filename] = file
		}
		files = append(files, file)
	}
	return files
}

// crds are those of the program's charts.
func (p *program) crds(c *Chart) []CRD {
	var files []CRD
	for _, file := range c.crds.of(c.helm, p) {
		files = append(files, file.CRD)
	}
	return files
}

// defined are the versions and kinds that the crds/ folders define, as in
// .Capabilities.APIVersions.
func (p *program) defined(c *Chart) (all []string) {
	for _, file := range c.crds.of(c.helm, p) {
		all = append(all, file.defines()...)
	}
	return all
}

func definedBy(m Manifest) (all []string) {
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Version  string // of v1beta1
			Versions []struct {
				Name   string
				Served *bool
			}
		}
	}
	if yaml.Unmarshal([]byte(m.Text), &crd) != nil || crd.Spec.Group == "" {
		return nil
	}
	versions := []string{crd.Spec.Version}
	for _, v := range crd.Spec.Versions {
		if v.Served == nil || *v.Served {
			versions = append(versions, v.Name)
		}
	}
	for _, v := range versions {
		if v != "" {
			gv := crd.Spec.Group + "/" + v
			all = append(all, gv, gv+"/"+crd.Spec.Names.Kind)
		}
	}
	return all
}
