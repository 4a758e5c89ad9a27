package engine

import (
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/pkg/errors"
	"helm.sh/helm/v3/pkg/chartutil"
)

// worker executes a program, one render at a time. Functions with state
// (include, tpl, lookup, random ones) are bound to the worker once and look at
// its current render.
type worker struct {
	program *program
	root    *template.Template
	parsed  map[string]*snippet // tpl strings seen before
	render  *execution
}

// execution is the state of one render.
type execution struct {
	release  *Release
	over     <-chan struct{} // closed when the render's time is over
	included map[string]int
	depth    int // of tpl
	written  int64
	writes   int
	random   *random // nil: the real thing
	trace    *trace  // nil unless instrumented
	ahead    chan<- string
}

func newWorker(p *program) *worker {
	w := &worker{program: p, root: template.Must(p.root.Clone()), parsed: make(map[string]*snippet)}
	w.root.Option("missingkey=zero")
	w.root.Funcs(w.functions())
	w.bind(w.root)
	return w
}

// run executes every template and returns what each wrote, by position in
// program.templates.
func (w *worker) run(x *execution, dots []map[string]any) (out []string, err error) {
	w.render = x
	defer func() {
		close(x.ahead)
		w.render = nil
		if r := recover(); r != nil {
			err = panicked(r)
		}
	}()
	out = make([]string, len(w.program.templates))
	for i, s := range w.program.templates {
		if s.partial {
			continue
		}
		dot := dots[s.scope]
		dot["Template"] = chartutil.Values{"Name": s.name, "BasePath": s.basePath}
		var buf output
		buf.x = x
		if x.trace != nil {
			x.trace.open(&buf)
		}
		// The dot's type shows in templates that print it.
		if err := w.root.ExecuteTemplate(&buf, s.name, chartutil.Values(dot)); err != nil {
			return nil, execFailure(w.program.helm, s.name, err)
		}
		if x.trace != nil {
			x.trace.close(s.name, buf.text.String())
		}
		out[i] = noValue(buf.text.String())
		if !s.notes {
			x.ahead <- out[i]
		}
	}
	return out, nil
}

// noValue removes what Go prints for a missing key of an untyped map; Helm
// does the same.
func noValue(s string) string { return strings.ReplaceAll(s, "<no value>", "") }

// panicked is Helm's error for a panic, which text/template lets through only
// outside of functions.
func panicked(r any) *Failure {
	return &Failure{
		Reason:  Broken,
		Message: fmt.Sprintf("rendering template failed: %v", r),
		text:    fmt.Sprintf("rendering template failed: %v", r),
	}
}

// maxOutput bounds what the templates of one render may write together,
// included text counted each time.
const maxOutput = 512 << 20

// output is where a template writes. It ends renders that would never end.
type output struct {
	text strings.Builder
	x    *execution
}

func (o *output) Write(p []byte) (int, error) {
	if t := o.x.trace; t != nil {
		if n, ok := t.program.passes.probe(p); ok {
			t.pass(n)
			return len(p), nil
		}
	}
	if err := o.x.account(len(p)); err != nil {
		return 0, err
	}
	return o.text.Write(p)
}

func (o *output) WriteString(s string) (int, error) {
	if err := o.x.account(len(s)); err != nil {
		return 0, err
	}
	return o.text.WriteString(s)
}

func (x *execution) account(n int) error {
	if x.written += int64(n); x.written > maxOutput {
		return &endless{fmt.Sprintf("the templates wrote more than %d bytes: is there a loop or a recursion without end?", maxOutput)}
	}
	if x.writes++; x.writes&0xff == 0 {
		return x.expired()
	}
	return nil
}

func (x *execution) expired() error {
	select {
	case <-x.over:
		return &endless{"the templates did not end in the time given to them: is there a loop or a recursion without end?"}
	default:
		return nil
	}
}

// maxIncludes is Helm's bound on includes of one name inside each other.
const maxIncludes = 1000

// maxTpl bounds tpl inside tpl. Helm has no bound: it dies of its stack.
const maxTpl = 1000

func (w *worker) include(t *template.Template) func(string, any) (string, error) {
	return func(name string, data any) (string, error) {
		x := w.render
		if x.included[name] > maxIncludes {
			return "", errors.Wrapf(fmt.Errorf("unable to execute template"), "rendering template has a nested reference name: %s", name)
		}
		if err := x.expired(); err != nil {
			return "", err
		}
		x.included[name]++
		var buf output
		buf.x = x
		if x.trace != nil {
			x.trace.open(&buf)
		}
		err := t.ExecuteTemplate(&buf, name, data)
		if x.trace != nil {
			x.trace.closeInclude(name, buf.text.String())
		}
		x.included[name]--
		return buf.text.String(), err
	}
}

// snippet is a tpl string that defines no templates of its own, parsed.
type snippet struct {
	tree *template.Template // nil: has defines, or names the root
}

// maxSnippets bounds the tpl strings a worker remembers.
const maxSnippets = 4096

func (w *worker) tpl(parent *template.Template) func(string, any) (string, error) {
	return func(text string, vals any) (string, error) {
		if !strings.Contains(text, "{{") {
			return noValue(text), nil
		}
		x := w.render
		if x.depth >= maxTpl {
			return "", &endless{fmt.Sprintf("tpl calls itself more than %d times", maxTpl)}
		}
		if err := x.expired(); err != nil {
			return "", err
		}
		x.depth++
		defer func() { x.depth-- }()
		t, err := w.snippet(parent, text)
		if err != nil {
			return "", err
		}
		var buf output
		buf.x = x
		if x.trace != nil {
			x.trace.open(&buf)
		}
		err = t.Execute(&buf, vals)
		if x.trace != nil {
			x.trace.closeInclude("", buf.text.String())
		}
		if err != nil {
			return "", errors.Wrapf(err, "error during tpl function execution for %q", text)
		}
		return noValue(buf.text.String()), nil
	}
}

// snippet parses a tpl string. Helm clones all templates for that, so that
// what the string defines is gone afterwards. A string that defines nothing
// can't be told apart if it is parsed once and executed among the originals.
func (w *worker) snippet(parent *template.Template, text string) (*template.Template, error) {
	if parent == w.root {
		if s, ok := w.parsed[text]; ok && s.tree != nil {
			return s.tree, nil
		} else if !ok && len(w.parsed) < maxSnippets {
			s := &snippet{}
			w.parsed[text] = s
			if !strings.Contains(text, "define") && !strings.Contains(text, "block") && !strings.Contains(text, rootName) {
				// Parsed apart, so that the set of templates stays as it is;
				// then hung beside it.
				apart, err := template.New(rootName).Funcs(w.program.helm.functions()).Parse(text)
				if err != nil {
					return nil, errors.Wrapf(err, "cannot parse template %q", text)
				}
				addTicks(apart.Tree.Root)
				s.tree = w.root.New(rootName)
				s.tree.Tree = apart.Tree
				return s.tree, nil
			}
		}
	}
	t, err := parent.Clone()
	if err != nil {
		return nil, errors.Wrapf(err, "cannot clone template")
	}
	t.Option("missingkey=zero")
	w.bind(t)
	t, err = t.New(parent.Name()).Parse(text)
	if err != nil {
		return nil, errors.Wrapf(err, "cannot parse template %q", text)
	}
	return t, nil
}

// bind makes include and tpl see the templates of t.
func (w *worker) bind(t *template.Template) {
	t.Funcs(template.FuncMap{"include": w.include(t), "tpl": w.tpl(t)})
}

// DefaultTimeout is how long a render may take where its Release sets no
// limit. Charts of good repute render in milliseconds.
const DefaultTimeout = time.Minute
