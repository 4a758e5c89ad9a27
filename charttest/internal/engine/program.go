package engine

import (
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// rootName is the name of the template that all others belong to. It shows in
// the errors of tpl, so it is Helm's.
const rootName = "gotpl"

// program is a chart with one combination of subcharts, its templates parsed.
// It is shared by all renders with that combination.
type program struct {
	helm      Helm
	chart     *chart.Chart
	scopes    []*scope  // parents before children
	templates []*source // in the order in which Helm parses and executes them
	probes    []probe   // of the chart's instrumented templates, those of this program among them
	own       []span    // where they are
	passes    passes
	root      *template.Template
	workers   sync.Pool
	fragments *fragments // the chart's
}

// scope is one chart's view of the world: what its templates see as dot.
type scope struct {
	name     string
	parent   int // index into scopes; -1 for the root
	metadata metadata
	files    files
}

// metadata is what templates see as .Chart; they can print its type.
type metadata = struct {
	chart.Metadata
	IsRoot bool
}

// source is one template file.
type source struct {
	name     string // as Helm prints it
	basePath string
	text     string
	scope    int
	partial  bool // nothing but defines: not executed by itself
	notes    bool
}

// programs caches the programs of a chart by the combination of subcharts and
// by whether they are instrumented.
type programs struct {
	mu    sync.Mutex
	byKey map[string]*entry
}

type entry struct {
	once    sync.Once
	program *program
	err     error
}

// maxPrograms bounds the combinations kept; a chart with ten conditions has a
// thousand, and a test that visits them all must not keep them all.
const maxPrograms = 64

func (p *programs) entry(key string) *entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.byKey[key]
	if !ok {
		if len(p.byKey) >= maxPrograms || p.byKey == nil {
			p.byKey = make(map[string]*entry)
		}
		e = new(entry)
		p.byKey[key] = e
	}
	return e
}

func (c *Chart) program(vals map[string]any, instrumented bool, sel Selection) (*program, error) {
	key, err := c.resolve(vals)
	if err != nil {
		return nil, err
	}
	of := key + sel.Key
	if instrumented {
		of += "+"
	}
	e := c.programs.entry(of)
	e.once.Do(func() {
		shape, err := c.shape(key, vals)
		if err != nil {
			e.err = err
			return
		}
		e.program = shape.part(sel.Keep)
		e.err = e.program.parse(c, instrumented)
	})
	if e.program == nil {
		return nil, e.err
	}
	return e.program, e.err
}

// shape is the program that all with the same combination of subcharts are
// parts of, not parsed.
func (c *Chart) shape(key string, vals map[string]any) (*program, error) {
	e := c.shapes.entry(key)
	e.once.Do(func() {
		processed, err := c.process(vals)
		if err != nil {
			e.err = err
			return
		}
		e.program = newProgram(c.helm, processed)
		e.program.fragments = &c.fragments
	})
	return e.program, e.err
}

// part is the program with partials and those of its other templates that are
// to be kept; keep nil keeps all.
func (p *program) part(keep func(template string) bool) *program {
	part := &program{helm: p.helm, chart: p.chart, scopes: p.scopes, fragments: p.fragments}
	for _, s := range p.templates {
		if s.partial || keep == nil || keep(s.name) {
			part.templates = append(part.templates, s)
		}
	}
	return part
}

func newProgram(helm Helm, ch *chart.Chart) *program {
	p := &program{helm: helm, chart: ch}
	sources := make(map[string]*source)
	p.addChart(ch, -1, sources)
	for _, s := range sources {
		p.templates = append(p.templates, s)
	}
	// Deeper paths first, then backwards by name: Helm's order decides which
	// of two defines of one name wins.
	sort.Slice(p.templates, func(i, j int) bool {
		a, b := p.templates[i].name, p.templates[j].name
		if ca, cb := strings.Count(a, "/"), strings.Count(b, "/"); ca != cb {
			return ca > cb
		}
		return a > b
	})
	return p
}

func (p *program) addChart(ch *chart.Chart, parent int, sources map[string]*source) {
	at := len(p.scopes)
	p.scopes = append(p.scopes, &scope{
		name:     ch.Name(),
		parent:   parent,
		metadata: metadata{*ch.Metadata, ch.IsRoot()},
		files:    newFiles(ch.Files),
	})
	for _, sub := range ch.Dependencies() {
		p.addChart(sub, at, sources)
	}
	full := ch.ChartFullPath()
	library := strings.EqualFold(ch.Metadata.Type, "library")
	for _, t := range ch.Templates {
		if t == nil || library && !strings.HasPrefix(filepath.Base(t.Name), "_") {
			continue
		}
		name := path.Join(full, t.Name)
		sources[name] = &source{
			name:     name,
			basePath: path.Join(full, "templates"),
			text:     string(t.Data),
			scope:    at,
			partial:  strings.HasPrefix(path.Base(name), "_"),
			notes:    strings.HasSuffix(name, notesName),
		}
	}
}

// sources are templates parsed before, by name. What executes them doesn't
// change them.
type sources struct{ byName sync.Map }

type parsedSource struct {
	text  string
	trees []*parse.Tree // it and what it defines, by name
	spans []span        // of each tree, if it is instrumented
	err   error
}

func (p *sources) parse(helm Helm, s *source) *parsedSource {
	if have, ok := p.byName.Load(s.name); ok && have.(*parsedSource).text == s.text {
		return have.(*parsedSource)
	}
	parsed := parseSource(helm, s)
	p.byName.Store(s.name, parsed)
	return parsed
}

func parseSource(helm Helm, s *source) *parsedSource {
	t, err := template.New(s.name).Funcs(helm.functions()).Parse(s.text)
	parsed := &parsedSource{text: s.text, err: err}
	if err == nil {
		for _, t := range t.Templates() {
			addTicks(t.Tree.Root)
			parsed.trees = append(parsed.trees, t.Tree)
		}
		slices.SortFunc(parsed.trees, func(a, b *parse.Tree) int { return strings.Compare(a.Name, b.Name) })
	}
	return parsed
}

// parse parses all templates, with probes if asked to.
func (p *program) parse(c *Chart, instrumented bool) error {
	if unread := p.trees(c, instrumented, true); unread != nil {
		return unread[0]
	}
	p.workers.New = func() any { return newWorker(p) }
	return nil
}

// parseWhatCan parses and instruments those templates that can be parsed, for
// what they say rather than to execute them, and says what is the matter with
// the others.
func (p *program) parseWhatCan(c *Chart) []*Failure { return p.trees(c, true, false) }

// trees parses the templates: all that can be, or up to the first that can't.
func (p *program) trees(c *Chart, instrumented, first bool) (unread []*Failure) {
	parsed := func(s *source) *parsedSource { return c.parsed.parse(p.helm, s) }
	spans := make(map[*parse.Tree]span)
	if instrumented {
		parsed = func(s *source) *parsedSource {
			source := c.instruments.parse(c, s)
			for i, tree := range source.trees {
				spans[tree] = source.spans[i]
			}
			return source
		}
	}
	p.root = template.New(rootName)
	p.root.Option("missingkey=zero")
	p.root.Funcs(p.helm.functions())
	for _, s := range p.templates {
		if failure := add(p.root, parsed, s); failure != nil {
			if unread = append(unread, failure); first {
				break
			}
		}
	}
	if instrumented {
		for _, t := range p.root.Templates() { // without what others replaced
			if at, ok := spans[t.Tree]; ok {
				p.own = append(p.own, at)
			}
		}
		slices.SortFunc(p.own, func(a, b span) int { return a.from - b.from })
		p.probes, p.passes = c.instruments.all()
	}
	return unread
}

// add adds a template and what it defines, as if it had been parsed there: what
// has nothing in it replaces nothing.
func add(root *template.Template, parse func(*source) *parsedSource, s *source) (failure *Failure) {
	defer func() {
		if r := recover(); r != nil {
			failure = panicked(r)
		}
	}()
	parsed := parse(s)
	if parsed.err != nil {
		return parseFailure(s.name, parsed.err)
	}
	at := root.New(s.name)
	for _, tree := range parsed.trees {
		if _, err := at.AddParseTree(tree.Name, tree); err != nil {
			return parseFailure(s.name, err)
		}
	}
	return nil
}

// values lays out what each scope's templates see, as Helm does.
func (p *program) values(vals chartutil.Values, release map[string]any, caps any) []map[string]any {
	dots := make([]map[string]any, len(p.scopes))
	subcharts := make([]map[string]any, len(p.scopes))
	for i, s := range p.scopes {
		subcharts[i] = make(map[string]any)
		dot := map[string]any{
			"Chart":        p.helm.about(s.metadata),
			"Files":        s.files,
			"Release":      release,
			"Capabilities": caps,
			"Values":       make(chartutil.Values),
			"Subcharts":    subcharts[i],
		}
		if s.parent < 0 {
			dot["Values"] = vals
		} else {
			parent := chartutil.Values(dots[s.parent])
			if vs, err := parent.Table("Values." + s.name); err == nil {
				dot["Values"] = vs
			}
			subcharts[s.parent][s.name] = dot
		}
		dots[i] = dot
	}
	return dots
}
