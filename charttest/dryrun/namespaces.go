package dryrun

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// Label marks the throw-away namespaces of rehearsals.
	Label = "ai-film.dev/rehearsal"

	enforce = "pod-security.kubernetes.io/enforce"

	atMost     = 10 * time.Minute // a rehearsal's time
	leaveTaken = 15 * time.Second // for deleting, after the context has ended
)

var abandoned = 15 * time.Minute // older namespaces are nobody's any more

var (
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	accounts   = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	limits     = schema.GroupVersionResource{Version: "v1", Resource: "limitranges"}
)

// target is the namespace that stands for one of the chart's.
type target struct {
	name string // on the server; "" if there is none
	own  bool   // made for this rehearsal
}

// targetFor finds or makes the namespace in which objects of the given one are
// rehearsed: a throw-away one for the release's own and for those that the
// chart makes, itself for one that the server has.
func (r *rehearsal) targetFor(ctx context.Context, namespace string) (target, error) {
	if s, ok := r.targets[namespace]; ok {
		return s, nil
	}
	labels := map[string]string{}
	made := r.render.Object("Namespace", namespace)
	if made != nil {
		for k, v := range made.Unstructured().GetLabels() {
			if !strings.HasPrefix(k, "kubernetes.io/") {
				labels[k] = v
			}
		}
	}
	var s target
	if namespace == r.namespace || made != nil {
		if level := r.cluster.PodSecurity; level != "" && namespace == r.namespace && labels[enforce] == "" {
			labels[enforce] = level
		}
		name, err := r.makeNamespace(ctx, labels)
		if err != nil {
			return s, err
		}
		s = target{name, true}
	} else {
		_, err := r.server.client.Resource(namespaces).Get(ctx, namespace, metav1.GetOptions{})
		switch {
		case err == nil:
			s = target{namespace, false}
		case !apierrors.IsNotFound(err):
			return s, r.server.failed("look for namespace "+namespace, err)
		}
	}
	r.targets[namespace] = s
	return s, nil
}

func (r *rehearsal) makeNamespace(ctx context.Context, labels map[string]string) (string, error) {
	labels[Label] = "true"
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	object.SetGenerateName("rehearsal-")
	object.SetLabels(labels)
	client := r.server.client.Resource(namespaces)
	// Not cancelled half-way, or it would be there without our knowing its name.
	uncancelled, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	made, err := client.Create(uncancelled, object, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil {
		return "", r.server.failed("make a throw-away namespace", err)
	}
	if len(r.targets) == 0 {
		r.sweep(ctx, made.GetCreationTimestamp().Time)
	}
	return made.GetName(), nil
}

// sweep deletes what killed rehearsals left. The time now is the server's. It
// is done on the way: a user who may not list namespaces can still rehearse.
func (r *rehearsal) sweep(ctx context.Context, now time.Time) {
	client := r.server.client.Resource(namespaces)
	list, err := client.List(ctx, metav1.ListOptions{LabelSelector: Label + "=true"})
	if err != nil {
		return
	}
	for _, n := range list.Items {
		if n.GetDeletionTimestamp() == nil && now.Sub(n.GetCreationTimestamp().Time) > abandoned {
			_ = client.Delete(ctx, n.GetName(), metav1.DeleteOptions{})
		}
	}
}

// delete deletes the throw-away namespaces, though the context may have ended.
func (r *rehearsal) delete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTaken)
	defer cancel()
	var failed error
	for _, s := range r.targets {
		if !s.own {
			continue
		}
		if err := r.server.client.Resource(namespaces).Delete(ctx, s.name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			failed = &Error{Message: "the throw-away namespace " + s.name + " could not be deleted", Err: err,
				Remedy: fmt.Sprintf("kubectl delete namespace --selector %s=true; the next rehearsal after %s does it too", Label, abandoned)}
		}
	}
	return failed
}

// create makes for real what admission looks up before it lets a pod in: the
// account it runs as and the limits of its namespace. Accounts lose their
// annotations, on which controllers of clouds act.
func (r *rehearsal) create(ctx context.Context) error {
	put := func(to schema.GroupVersionResource, namespace string, object *unstructured.Unstructured) error {
		_, err := r.server.client.Resource(to).Namespace(namespace).Create(ctx, object, metav1.CreateOptions{FieldManager: fieldManager})
		switch {
		case err == nil, apierrors.IsAlreadyExists(err):
			return nil
		case r.denied.note(err):
			return nil // told with all others
		case refused(err):
			return nil // its dry run says so, and pods that need it are said not to be rehearsed
		}
		return r.server.failed("make "+object.GetKind()+" "+object.GetName()+" in the throw-away namespace", err)
	}
	account := func(name string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ServiceAccount"}}
		o.SetName(name)
		return o
	}
	for _, s := range r.targets {
		if s.own { // the controller that makes it may be slow, or not run
			if err := put(accounts, s.name, account("default")); err != nil {
				return err
			}
		}
	}
	for _, o := range r.render.Objects {
		s := r.targets[r.namespaceOf(o)]
		if !s.own {
			continue
		}
		if at := templateOf(o.APIVersion, o.Kind); at != "" {
			path := append(strings.Split(at, "."), "spec", "serviceAccountName")
			if name, _, _ := unstructured.NestedString(o.Content(), path...); name != "" && r.cluster.Declares("ServiceAccount", name) {
				if err := put(accounts, s.name, account(name)); err != nil {
					return err
				}
			}
		}
		switch {
		case o.APIVersion != "v1":
		case o.Kind == "ServiceAccount":
			bare := account(o.Name)
			content := o.Unstructured()
			bare.SetLabels(content.GetLabels())
			for _, field := range []string{"automountServiceAccountToken", "imagePullSecrets"} {
				if v, ok := content.Object[field]; ok {
					bare.Object[field] = v
				}
			}
			if err := put(accounts, s.name, bare); err != nil {
				return err
			}
		case o.Kind == "LimitRange":
			content := o.Unstructured()
			content.SetNamespace(s.name)
			if err := put(limits, s.name, content); err != nil {
				return err
			}
		}
	}
	return nil
}
