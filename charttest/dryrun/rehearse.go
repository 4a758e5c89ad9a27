package dryrun

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/dynamic"
	"k8s.io/klog/v2"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
)

// Rehearsal is what an API server said to a render.
type Rehearsal struct {
	Version     string          // of the server, such as "v1.36.3"
	Objects     int             // rehearsed
	Pods        int             // made of the objects' templates, and rehearsed
	Findings    []check.Finding // of the check Refused
	Unrehearsed []Unrehearsed

	render *charttest.Render
	said   []answer // by index of render.Objects
}

// Refused is the check of the server's own: what it refuses, or lets pass with a
// warning.
var Refused = &check.Check{
	Name:   "server",
	Why:    "The API server to rehearse on refuses the object or its pods, or warns: by validation, admission, a policy or a webhook.",
	Remedy: "Do as the server says. A policy that only this cluster has can be accepted, with the reason, in the verify configuration (suppress).",
}

// lacking is the remedy for what this cluster doesn't have: "RuntimeClass/fast",
// or a kind as in "example.org/v1/Film".
func lacking(what string) string {
	if parts := strings.Split(what, "/"); len(parts) > 2 {
		return fmt.Sprintf("Install what brings %s, or make it with the chart. If other clusters have it, declare it in the verify configuration (apiVersions: [%s/%s]).",
			parts[2], parts[0], parts[1])
	}
	return fmt.Sprintf("Make %s in the cluster or in the chart, or correct its name. If other clusters have it, declare it in the verify configuration (cluster: {external: [%[1]s]}).", what)
}

// Unrehearsed is an object, or a part of one, that this server could not judge.
type Unrehearsed struct {
	Object *charttest.Object
	Reason string
}

// rehearsal is one under way.
type rehearsal struct {
	server    *Server
	render    *charttest.Render
	cluster   check.Cluster
	namespace string            // the release's, as rendered
	targets   map[string]target // by namespace as rendered
	said      []answer
	lacking   map[schema.GroupVersionKind]bool // kinds that the server should have, and hasn't
	denied    denials
}

// answer is what the server said to one object.
type answer struct {
	kind      kind
	stored    *unstructured.Unstructured // as the server would keep it; nil if it refused
	pod       *unstructured.Unstructured
	sent      bool
	pods      int
	findings  []check.Finding
	omissions []Unrehearsed
}

// concurrent requests: enough that one profile takes a second over a network,
// few enough that a small server stays responsive.
const concurrent = 16

// Rehearse sends every object of a render to the server as a dry run. What is
// known of the cluster gives the namespace its Pod Security level, and says
// which objects it need not have; so do the API versions of the render's
// profile that the server lacks.
//
// Errors are of type [*Error], or the context's: the server could not be asked
// everything. What it refuses is a finding.
func (s *Server) Rehearse(ctx context.Context, render *charttest.Render, cluster check.Cluster) (result *Rehearsal, err error) {
	ctx, cancel := context.WithTimeout(klog.NewContext(ctx, klog.Logger{}), atMost) // errors are returned, not logged
	defer cancel()
	r := &rehearsal{
		server: s, render: render, cluster: cluster, namespace: cmp.Or(render.Profile.Namespace, "default"),
		targets: map[string]target{}, lacking: map[schema.GroupVersionKind]bool{}, said: make([]answer, len(render.Objects)),
	}
	defer func() {
		if failed := r.delete(ctx); failed != nil && err == nil {
			result, err = nil, failed
		}
	}()
	var first, rest []int
	if _, err := r.targetFor(ctx, r.namespace); err != nil {
		return nil, err
	}
	for i, o := range render.Objects {
		if !r.resolve(i) {
			continue
		}
		if r.said[i].kind.namespaced {
			if wrong := validation.IsDNS1123Label(r.namespaceOf(o)); len(wrong) > 0 && o.Namespace != "" {
				r.find(i, "metadata.namespace", "metadata.namespace: Invalid value: %q: %s", o.Namespace, wrong[0])
				continue
			}
			st, err := r.targetFor(ctx, r.namespaceOf(o))
			if err != nil {
				return nil, err
			}
			if st.name == "" {
				r.omit(i, "namespace %s, which it names, isn't in this cluster", r.namespaceOf(o))
				continue
			}
		}
		if o.Kind == "ServiceAccount" || o.Kind == "LimitRange" {
			first = append(first, i) // before they are made for real
		} else {
			rest = append(rest, i)
		}
	}
	if err := r.each(ctx, first); err != nil {
		return nil, err
	}
	if err := r.create(ctx); err != nil {
		return nil, err
	}
	if err := r.each(ctx, rest); err != nil {
		return nil, err
	}
	if err := r.denied.err(s); err != nil {
		return nil, err
	}
	return r.result(), nil
}

func (r *rehearsal) result() *Rehearsal {
	result := &Rehearsal{Version: r.server.version, render: r.render, said: r.said}
	for _, a := range r.said {
		if a.sent {
			result.Objects++
		}
		result.Pods += a.pods
		result.Findings = append(result.Findings, a.findings...)
		result.Unrehearsed = append(result.Unrehearsed, a.omissions...)
	}
	return result
}

// each rehearses objects, several at once. The first error ends it.
func (r *rehearsal) each(ctx context.Context, objects []int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg   sync.WaitGroup
		told sync.Mutex
		next = make(chan int)
	)
	for range min(concurrent, len(objects)) {
		wg.Go(func() {
			for i := range next {
				if err := r.rehearse(ctx, i); err != nil {
					cancel(err)
				}
				if r.server.Each != nil {
					told.Lock()
					r.server.Each(r.render.Objects[i])
					told.Unlock()
				}
			}
		})
	}
	for _, i := range objects {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (r *rehearsal) find(i int, field, format string, args ...any) *check.Finding {
	all := append(r.said[i].findings, Refused.Finding(r.render.Objects[i], field, format, args...))
	r.said[i].findings = all
	return &all[len(all)-1]
}

func (r *rehearsal) omit(i int, format string, args ...any) {
	r.said[i].omissions = append(r.said[i].omissions, Unrehearsed{r.render.Objects[i], fmt.Sprintf(format, args...)})
}

// namespaceOf is where an object is to be installed.
func (r *rehearsal) namespaceOf(o *charttest.Object) string { return cmp.Or(o.Namespace, r.namespace) }

// resolve finds where an object is sent. What the server has no kind for is a
// finding unless that can be explained.
func (r *rehearsal) resolve(i int) bool {
	o := r.render.Objects[i]
	gv, err := schema.ParseGroupVersion(o.APIVersion)
	if err != nil || o.Kind == "" || gv.Version == "" {
		r.omit(i, "it has no valid apiVersion and kind")
		return false
	}
	k, ok := r.server.kinds[gv.WithKind(o.Kind)]
	if ok {
		r.said[i].kind = k
		return true
	}
	switch {
	case r.server.unknown[gv] != nil:
		r.omit(i, "the server behind %s is down: %v", gv, r.server.unknown[gv])
	case r.defines(gv.WithKind(o.Kind)):
		r.omit(i, "its CustomResourceDefinition comes with the chart, and isn't in this cluster yet")
	case slices.Contains(r.render.Profile.APIVersions, o.APIVersion), slices.Contains(r.render.Profile.APIVersions, o.APIVersion+"/"+o.Kind),
		r.cluster.Declares(o.Kind, o.Name):
		r.omit(i, "this cluster doesn't serve %s, which the configuration says others do", o.APIVersion)
	case r.lacking[gv.WithKind(o.Kind)]: // told of the first one of its kind
		r.omit(i, "this server has no %s in %s", o.Kind, o.APIVersion)
	default:
		r.lacking[gv.WithKind(o.Kind)] = true
		f := r.find(i, "apiVersion", "this server has no %s in %s", o.Kind, o.APIVersion)
		if _, custom := o.Typed.(*unstructured.Unstructured); custom && strings.Contains(gv.Group, ".") {
			f.Remedy = lacking(o.APIVersion + "/" + o.Kind) // Kubernetes' own kinds can't be installed
		}
	}
	return false
}

// defines says whether the chart brings the definition of a kind.
func (r *rehearsal) defines(gvk schema.GroupVersionKind) bool {
	for _, o := range r.render.Objects {
		if o.Kind != "CustomResourceDefinition" {
			continue
		}
		group, _, _ := unstructured.NestedString(o.Content(), "spec", "group")
		name, _, _ := unstructured.NestedString(o.Content(), "spec", "names", "kind")
		if group == gvk.Group && name == gvk.Kind {
			return true
		}
	}
	return false
}

// rehearse asks the server about one object, and about the pods and claims
// that it would lead to.
func (r *rehearsal) rehearse(ctx context.Context, i int) error {
	o, a := r.render.Objects[i], &r.said[i]
	content := o.Unstructured()
	namespace := ""
	if a.kind.namespaced {
		namespace = r.targets[r.namespaceOf(o)].name
		content.SetNamespace(namespace)
	}
	a.sent = true
	stored, refusal, err := r.ask(ctx, i, request{kind: a.kind, namespace: namespace, content: content, validation: metav1.FieldValidationStrict})
	if err != nil {
		return err
	}
	a.stored = stored
	if refusal == nil || !apierrors.IsBadRequest(refusal) && !invalid(refusal) {
		return r.rehearsePods(ctx, i, namespace, content)
	}
	return nil
}

// request is one dry run for an object: of itself, or of what a controller
// would make of a part of it.
type request struct {
	kind       kind
	namespace  string
	content    *unstructured.Unstructured
	validation string // of fields: metav1.FieldValidationStrict or …Ignore
	at         string // path of the part; "" for the object itself
	what       string // such as "its pods"; "" for the object itself
}

// ask sends a request and takes down what the server says to it. An error is
// not the refusal, but what kept the server from judging.
func (r *rehearsal) ask(ctx context.Context, i int, q request) (stored *unstructured.Unstructured, refusal, err error) {
	for {
		stored, warnings, refusal := r.server.memo.send(ctx, r, q)
		if strict := strictProblems(refusal); q.validation == metav1.FieldValidationStrict && len(strict) > 0 {
			for _, c := range strict {
				r.find(i, c.field, "%s", c.message)
			}
			q.validation = metav1.FieldValidationIgnore // without them, what else would it say?
			continue
		}
		field, absent := "", ""
		if q.kind == pods {
			field, absent = offence(q.content, refusal)
		}
		if strings.HasSuffix(field, "ClassName") && r.expected(absent) { // the rest of the pod can still be judged
			r.omit(i, "the pods' %s isn't in this cluster, but the chart makes it or others are declared to", absent)
			unstructured.RemoveNestedField(q.content.Object, strings.Split(field, ".")...)
			continue
		}
		r.warned(i, warnings, q.at)
		return stored, refusal, r.judge(i, refusal, q, field, absent)
	}
}

var ofAnnotation = regexp.MustCompile(`^annotation "([^"]+)"`)

// warned makes findings of warnings about an object, or about a part of it with
// fields below at; each once.
func (r *rehearsal) warned(i int, warnings []string, at string) {
	a := &r.said[i]
	for _, w := range warnings {
		if strings.HasPrefix(w, "would violate PodSecurity") {
			continue // pods are asked for themselves
		}
		field := ""
		if path, _, ok := strings.Cut(w, ": "); ok && fieldPath.MatchString(path) {
			field = fieldOf(join(at, path))
			w = field + strings.TrimPrefix(w, path)
		} else if m := ofAnnotation.FindStringSubmatch(w); m != nil {
			field = join(at, "metadata.annotations."+m[1])
		} else if at == "" && strings.Contains(w, "deprecated") {
			field = "apiVersion"
		}
		message := "the server warns: " + r.asRendered(w)
		if !slices.ContainsFunc(a.findings, func(f check.Finding) bool { return f.Field == field && f.Message == message }) {
			r.find(i, field, "%s", message)
		}
	}
}

// send creates an object, or applies it over the one that is there, as a dry
// run.
func (r *rehearsal) send(ctx context.Context, q request) (*unstructured.Unstructured, []string, error) {
	var client dynamic.ResourceInterface = r.server.client.Resource(q.kind.resource)
	if q.kind.namespaced {
		client = r.server.client.Resource(q.kind.resource).Namespace(q.namespace)
	}
	var warnings []string
	stored, err := client.Create(context.WithValue(ctx, warningsKey{}, &warnings), q.content,
		metav1.CreateOptions{DryRun: dryRun, FieldManager: fieldManager, FieldValidation: q.validation})
	if !apierrors.IsAlreadyExists(err) || q.content.GetName() == "" {
		return stored, warnings, err
	}
	data, err := json.Marshal(q.content)
	if err != nil {
		return nil, nil, err
	}
	warnings = nil
	force := true // of a dry run: fields of other managers don't matter
	stored, err = client.Patch(context.WithValue(ctx, warningsKey{}, &warnings), q.content.GetName(), types.ApplyPatchType, data,
		metav1.PatchOptions{DryRun: dryRun, FieldManager: fieldManager, FieldValidation: q.validation, Force: &force})
	return stored, warnings, err
}
