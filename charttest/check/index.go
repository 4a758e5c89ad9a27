package check

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ai-film/ai-film/charttest"
)

// workload is an object that makes pods.
type workload struct {
	object   *charttest.Object
	template *corev1.PodTemplateSpec
	path     string                // of the template: "spec.template"
	selector *metav1.LabelSelector // nil for Jobs, CronJobs and Pods
	replicas *int32                // nil if not set, or not a matter of this kind
	once     bool                  // runs to completion or by itself: Jobs, CronJobs, Pods
	claims   []string              // names of a StatefulSet's claim templates
	old      bool                  // of a version that is gone, with other defaults
}

// spec is the path of the pod's spec: "spec.template.spec", or "spec" for Pods.
func (w workload) spec() string { return join(w.path, "spec") }

// at most this many pods at a time; -1 is one for each node.
func (w workload) pods() int {
	switch w.object.Kind {
	case "DaemonSet":
		return -1
	case "Deployment", "StatefulSet", "ReplicaSet":
		if w.replicas != nil {
			return int(*w.replicas)
		}
	}
	return 1
}

// container is a container with its path in the object.
type container struct {
	*corev1.Container
	path string
	init bool
}

// containers of a pod, those that start first first. A sidecar (an init
// container that is restarted always) doesn't count as init.
func (w workload) containers() []container {
	var all []container
	spec := &w.template.Spec
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		all = append(all, container{c, elem(join(w.spec(), "initContainers"), i), !sidecar})
	}
	for i := range spec.Containers {
		all = append(all, container{&spec.Containers[i], elem(join(w.spec(), "containers"), i), false})
	}
	return all
}

// index holds a render's objects the way checks ask for them.
type index struct {
	workloads []workload
	labelled  map[[2]string][]workload        // by a label of their pods and its value
	names     map[[2]string]*charttest.Object // by kind and name
	render    *charttest.Render

	// Lazily:
	tolds      *told
	heard      []telling
	rights     *rights
	references map[[2]string]bool
	refused    map[*charttest.Object]field.ErrorList // by the API server's validation, as far as asked
	scopes     map[string]bool                       // whether a custom kind, as "group/Kind", is of the whole cluster
}

func newIndex(r *charttest.Render) *index {
	ix := &index{render: r, refused: make(map[*charttest.Object]field.ErrorList), names: make(map[[2]string]*charttest.Object, len(r.Objects)), labelled: make(map[[2]string][]workload)}
	for _, o := range r.Objects {
		ix.names[[2]string{o.Kind, o.Name}] = o
		if w, ok := workloadOf(o); ok {
			ix.workloads = append(ix.workloads, w)
			for key, value := range w.template.Labels {
				ix.labelled[[2]string{key, value}] = append(ix.labelled[[2]string{key, value}], w)
			}
		}
	}
	return ix
}

// withLabels are the workloads whose pods have, or get, all the labels. It looks at
// those with the rarest of them only, so that a chart of a thousand Services
// and workloads doesn't cost a million comparisons.
func (ix *index) withLabels(want map[string]string) []workload {
	rarest := ix.workloads
	for key, value := range want {
		if known, _ := (workload{object: new(charttest.Object)}).controlled(key, value); known {
			continue // no template has it
		}
		if some := ix.labelled[[2]string{key, value}]; len(some) < len(rarest) {
			rarest = some
		}
	}
	var all []workload
	for _, w := range rarest {
		if w.has(want) {
			all = append(all, w)
		}
	}
	return all
}

func workloadOf(o *charttest.Object) (workload, bool) {
	w := workload{object: o, path: "spec.template"}
	switch t := o.Typed.(type) {
	case *appsv1.Deployment:
		w.template, w.selector, w.replicas = &t.Spec.Template, t.Spec.Selector, t.Spec.Replicas
	case *appsv1.StatefulSet:
		w.template, w.selector, w.replicas = &t.Spec.Template, t.Spec.Selector, t.Spec.Replicas
		for _, claim := range t.Spec.VolumeClaimTemplates {
			w.claims = append(w.claims, claim.Name)
		}
	case *appsv1.ReplicaSet:
		w.template, w.selector, w.replicas = &t.Spec.Template, t.Spec.Selector, t.Spec.Replicas
	case *appsv1.DaemonSet:
		w.template, w.selector = &t.Spec.Template, t.Spec.Selector
	case *batchv1.Job:
		w.template, w.once = &t.Spec.Template, true
	case *batchv1.CronJob:
		w.template, w.once, w.path = &t.Spec.JobTemplate.Spec.Template, true, "spec.jobTemplate.spec.template"
	case *corev1.Pod:
		w.template, w.once, w.path = &corev1.PodTemplateSpec{ObjectMeta: t.ObjectMeta, Spec: t.Spec}, true, ""
	default:
		return former(o)
	}
	return w, true
}

// former is a workload of a version that is gone: apiAvailable reports it, and
// what selects its pods is as right as before.
func former(o *charttest.Object) (workload, bool) {
	group, _, _ := strings.Cut(o.APIVersion, "/")
	var current runtime.Object
	switch {
	case group != "extensions" && group != "apps" && group != "batch":
	case o.Kind == "Deployment":
		current = new(appsv1.Deployment)
	case o.Kind == "StatefulSet":
		current = new(appsv1.StatefulSet)
	case o.Kind == "DaemonSet":
		current = new(appsv1.DaemonSet)
	case o.Kind == "ReplicaSet":
		current = new(appsv1.ReplicaSet)
	case o.Kind == "CronJob":
		current = new(batchv1.CronJob)
	}
	if current == nil || runtime.DefaultUnstructuredConverter.FromUnstructured(o.Content(), current) != nil {
		return workload{}, false
	}
	w, ok := workloadOf(&charttest.Object{Typed: current})
	w.object, w.old = o, true
	return w, ok
}

// has says whether the render makes an object, or the cluster has it.
func (p *Pass) has(kind, name string) bool {
	return p.index.names[[2]string{kind, name}] != nil || p.Cluster.Declares(kind, name)
}

// selects says whether labels match a selector. An invalid selector matches
// nothing; selectorMatches reports it.
func selects(s *metav1.LabelSelector, have map[string]string) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(have))
}

// sameNamespace says whether two objects are in one namespace. One that names
// none is in the release's.
func (p *Pass) sameNamespace(a, b *charttest.Object) bool {
	return p.namespace(a) == p.namespace(b)
}

func (p *Pass) namespace(o *charttest.Object) string {
	if o.Namespace != "" {
		return o.Namespace
	}
	return p.releaseNamespace()
}

func (p *Pass) releaseNamespace() string {
	if ns := p.Render.Profile.Namespace; ns != "" {
		return ns
	}
	return "default"
}

// custom says whether the render has objects of types that Kubernetes doesn't
// know, whose controllers may make pods unseen.
func (ix *index) custom() bool { return slices.ContainsFunc(ix.render.Objects, ix.makes) }

// makes says whether an object is a custom resource whose operator makes pods,
// and what goes with them.
func (ix *index) makes(o *charttest.Object) bool {
	if builtin(o.APIVersion) {
		return false
	}
	group, _, _ := strings.Cut(o.APIVersion, "/")
	return !podless[group] || o.Kind == "Prometheus" || o.Kind == "Alertmanager" || o.Kind == "ThanosRuler" || o.Kind == "PrometheusAgent" || o.Kind == "Gateway"
}

// podless are the groups of well-known custom resources that make no pods, but
// for the kinds that custom names.
var podless = map[string]bool{
	"monitoring.coreos.com": true, "gateway.networking.k8s.io": true, "cert-manager.io": true, "keda.sh": true,
	"external-secrets.io": true, "traefik.io": true, "networking.istio.io": true, "security.istio.io": true,
	"autoscaling.k8s.io": true, "snapshot.storage.k8s.io": true, "bitnami.com": true,
}
