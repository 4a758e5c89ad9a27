package check

import (
	appsv1 "k8s.io/api/apps/v1"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/internal/validation"
)

// derived reports names that the API server takes, but not what controllers
// make of them: the names of other objects, and values of labels, which have 63
// characters at most.
func (p *Pass) derived() {
	for _, w := range p.index.workloads {
		o := w.object
		switch w.object.Typed.(type) {
		case *appsv1.StatefulSet:
			// Its pods are labelled with the name of their revision: the
			// StatefulSet's, a hyphen and ten digits.
			if n := len(o.Name); n > 52 && n <= 63 {
				p.Report(o, "metadata.name", "name %q has %d characters; above 52 the label controller-revision-hash of its pods gets too long, and no pod is ever made", o.Name, n)
			}
		case *appsv1.Deployment:
			if n := len(o.Name); n > 242 && n <= 253 {
				p.Report(o, "metadata.name", "name %q has %d characters; above 242 the names of its ReplicaSets get too long, and none is ever made", shorten(o.Name), n)
			}
		}
	}
}

// ruled says whether the rules of the API server for an object's kind are
// known, metadata and all.
func ruled(o *charttest.Object) bool { return validation.Covers(o.Typed) }
