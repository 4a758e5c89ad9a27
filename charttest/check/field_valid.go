package check

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/internal/validation"
)

var fieldValid = &Check{
	Name: "field-valid",
	Why: "The API server refuses values outside of a closed set, numbers out of range, names and paths out of form, two fields of which one may be set, " +
		"and a missing field that another requires. The rules are the server's own, for the version of Kubernetes that is rendered for.",
	Remedy: "Give the field one of the values that the finding names, or leave out the field that it forbids.",
	Run: func(p *Pass) {
		misspelt := map[*charttest.Object][]string{}
		for _, problem := range p.Render.Problems {
			i := max(0, strings.LastIndexByte(problem.Field, '.'))
			misspelt[problem.Object] = append(misspelt[problem.Object], problem.Field[:i])
		}
		for _, o := range p.Render.Objects {
			for _, e := range p.refused(o) {
				// What is missing may be there under a name that strict decoding reports.
				if e.Type == field.ErrorTypeRequired && slices.ContainsFunc(misspelt[o], func(in string) bool { return strings.HasPrefix(e.Field, in) }) {
					continue
				}
				if !ofMetadata(e.Field) {
					p.refusal(o, e)
				}
			}
		}
	},
}

// refused is what the API server's validation would say of an object.
func (p *Pass) refused(o *charttest.Object) field.ErrorList {
	errs, ok := p.index.refused[o]
	if !ok {
		target, _ := p.target()
		if t, ok := o.Typed.(interface{ APILifecycleRemoved() (int, int) }); !ok || !target.reached(t.APILifecycleRemoved()) { // apiAvailable says that
			errs = judgements.of(o, target.minor)
		}
		p.index.refused[o] = errs
	}
	return errs
}

// judgements remembers what the rules say of an object: most profiles of a chart
// make most objects alike.
var judgements judged

type judged struct {
	mu    sync.Mutex
	known map[judgement]field.ErrorList
}

type judgement struct {
	yaml, object string // the document, and which of its objects
	minor        int
}

// maxJudged bounds the objects remembered.
const maxJudged = 8192

func (j *judged) of(o *charttest.Object, minor int) field.ErrorList {
	key := judgement{o.YAML, o.APIVersion + " " + o.Namespace + " " + o.String(), minor}
	j.mu.Lock()
	errs, ok := j.known[key]
	j.mu.Unlock()
	if ok {
		return errs
	}
	errs = validation.Validate(o.Typed, minor)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.known == nil || len(j.known) >= maxJudged {
		j.known = make(map[judgement]field.ErrorList)
	}
	j.known[key] = errs
	return errs
}

func (p *Pass) refusal(o *charttest.Object, e *field.Error) {
	at := keyed.ReplaceAllString(e.Field, ".$1")
	if key, ok := strings.CutPrefix(at, "data."); ok && o.Kind == "Secret" && o.Content()["data"] == nil && o.Content()["stringData"] != nil {
		at = "stringData." + key // as written, which the API server puts into data
	}
	p.Report(o, at, "%s: %s", at, shorten(e.ErrorBody()))
}

// keyed are the keys of tables in the API server's paths: «limits[cpu]».
var keyed = regexp.MustCompile(`\[([^\]]*[^\]0-9][^\]]*)\]`)

func shorten(s string) string {
	if runes := []rune(s); len(runes) > 300 {
		return string(runes[:300]) + "…"
	}
	return s
}

// ofMetadata says whether a field is one of names, labels and annotations,
// which metadataValid reports.
func ofMetadata(at string) bool {
	return strings.HasPrefix(at, "metadata.") || strings.Contains(at, ".metadata.labels") && !strings.Contains(at, "selector") || strings.Contains(at, ".metadata.annotations")
}
