package check

import (
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/ai-film/ai-film/charttest"
)

// This file knows what a render shows of makers beside the chart itself: what
// its programs and operators may make while it runs, and what is told to them.

// madeByOthers says whether an object that the chart doesn't make may be made
// by somebody else, by what the render itself shows: a rule that lets one of
// its accounts create that kind, a custom resource whose operator does, or the
// name in the configuration of a program. An object of the chart's own that
// stands idle under a similar name speaks against it: then it was meant.
func (p *Pass) madeByOthers(kind, name string) bool {
	switch {
	case p.Cluster.Declares(kind, name), len(p.Render.Chart.Missing()) > 0: // of what isn't there nothing is known
		return true
	case p.index.told().existing.matches(name), p.index.mentions(kind, name):
		return true
	case p.index.operated(kind, name):
		return true
	}
	return p.index.mayCreate(kind) && !p.index.idle(kind, name)
}

// podsDeclared is the remedy where others make pods.
const podsDeclared = " If others make the pods, or a program sets the label on them, declare them by a label " +
	"(external: [Pod/role=leader] under cluster in the verify configuration)."

// podsOfOthers says whether pods that a selector wants, and that no template
// of the chart has, may be there all the same: they are declared, an operator
// or a program of the chart makes them, or sets the labels on its own pods.
// o is the object that selects.
func (p *Pass) podsOfOthers(o *charttest.Object, selector *metav1.LabelSelector) bool {
	ix := p.index
	if len(ix.workloads) == 0 || ix.custom() || len(p.Render.Chart.Missing()) > 0 || p.Cluster.declaresPods(selector.MatchLabels) || ofTheCluster(selector.MatchLabels) {
		return true
	}
	elsewhere := o.Namespace != "" && o.Namespace != p.releaseNamespace()
	if elsewhere && !slices.ContainsFunc(ix.workloads, func(w workload) bool { return p.namespace(w.object) == o.Namespace }) {
		return true
	}
	if ix.mayChange("pods") && slices.ContainsFunc(ix.workloads, func(w workload) bool { return lacksOnly(w.template.Labels, selector) }) {
		return true
	}
	return ix.mayCreate("Pod") && !slices.ContainsFunc(ix.workloads, func(w workload) bool { return misspelt(w.template.Labels, selector.MatchLabels) })
}

// servicesOfOthers is podsOfOthers for Services.
func (p *Pass) servicesOfOthers(selector *metav1.LabelSelector) bool {
	if len(p.Render.Chart.Missing()) > 0 || ofTheCluster(selector.MatchLabels) {
		return true
	}
	return p.index.mayCreate("Service") && !slices.ContainsFunc(p.Render.Objects, func(o *charttest.Object) bool {
		svc, ok := o.Typed.(*corev1.Service)
		return ok && misspelt(svc.Labels, selector.MatchLabels)
	})
}

// ofTheCluster says whether labels are those of what every cluster runs.
func ofTheCluster(want map[string]string) bool {
	switch want["k8s-app"] {
	case "kube-dns", "kube-proxy", "kubelet", "metrics-server":
		return true
	}
	switch want["component"] {
	case "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd":
		return true
	case "apiserver":
		return want["provider"] == "kubernetes"
	}
	return false
}

// lacksOnly says whether pods have all the labels that a selector wants but
// for some that a program could set: those that its template doesn't have at
// all, and that aren't for templates to set.
func lacksOnly(have map[string]string, selector *metav1.LabelSelector) bool {
	matches := 0
	for key, value := range selector.MatchLabels {
		switch set, ok := have[key]; {
		case ok && set == value:
			matches++
		case ok, strings.HasPrefix(key, "app.kubernetes.io/"), strings.HasPrefix(key, "helm.sh/"), key == "app", key == "release", key == "chart", key == "heritage":
			return false
		}
	}
	return matches > 0
}

// misspelt says whether the labels wanted are those of a template, one value
// written a little differently.
func misspelt(have, want map[string]string) bool {
	differ := 0
	for key, value := range want {
		if set, ok := have[key]; !ok || set != value {
			if differ++; !ok || !similar(set, value) {
				return false
			}
		}
	}
	return differ == 1
}

// similar says whether two names are one but for two letters or a part that one
// of them has at its end.
func similar(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if rest, ok := strings.CutPrefix(b, a); ok && a != "" && (rest == "" || rest[0] == '-' && strings.Count(rest, "-") == 1) {
		return true
	}
	return min(len(a), len(b)) > 2 && distance(a, b) <= 2
}

// distance is how many letters are to be put in, taken out or replaced (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := above
			if a[i] != b[j] {
				next = 1 + min(above, row[j], row[j+1])
			}
			above, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

// idle says whether the chart makes an object of the kind that nothing refers
// to and whose name is similar.
func (ix *index) idle(kind, name string) bool {
	for key := range ix.names {
		if key[0] == kind && similar(key[1], name) && !ix.referred()[key] {
			return true
		}
	}
	return false
}

// referred are the objects, by kind and name, that pods refer to.
func (ix *index) referred() map[[2]string]bool {
	if ix.references == nil {
		ix.references = map[[2]string]bool{}
		for _, w := range ix.workloads {
			for _, r := range podReferences(w) {
				ix.references[[2]string{r.kind, r.name}] = true
			}
		}
	}
	return ix.references
}

// operated says whether a custom resource of the render may have its operator
// make the object: any may for Secrets, such as certificates and passwords;
// other objects carry the resource's name in theirs.
func (ix *index) operated(kind, name string) bool {
	if kind == "Secret" && ix.custom() {
		return true
	}
	for _, o := range ix.render.Objects {
		if !builtin(o.APIVersion) && o.Name != "" && strings.Contains(name, o.Name) && ix.makes(o) {
			return true
		}
	}
	return false
}

// rights are what the accounts that the render binds may do.
type rights struct{ create, change map[string]bool } // resources; "*" for all

// allowed reads the roles that are bound to service accounts, which programs
// have; users and groups may do things, but don't belong to the chart.
func (ix *index) allowed() *rights {
	if ix.rights != nil {
		return ix.rights
	}
	ix.rights = &rights{create: map[string]bool{}, change: map[string]bool{}}
	for _, o := range ix.render.Objects {
		switch t := o.Typed.(type) {
		case *rbacv1.RoleBinding:
			ix.bind(t.RoleRef, t.Subjects)
		case *rbacv1.ClusterRoleBinding:
			ix.bind(t.RoleRef, t.Subjects)
		}
	}
	return ix.rights
}

func (ix *index) bind(ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
	if !slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool { return s.Kind == rbacv1.ServiceAccountKind }) {
		return
	}
	var rules []rbacv1.PolicyRule
	if ref.Kind == "ClusterRole" && (ref.Name == "cluster-admin" || ref.Name == "admin" || ref.Name == "edit") { // Kubernetes' own
		rules = []rbacv1.PolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}}
	}
	if o := ix.names[[2]string{ref.Kind, ref.Name}]; o != nil {
		switch t := o.Typed.(type) {
		case *rbacv1.Role:
			rules = t.Rules
		case *rbacv1.ClusterRole:
			rules = append(t.Rules[:len(t.Rules):len(t.Rules)], ix.aggregated(t)...)
		}
	}
	for _, rule := range rules {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				switch verb {
				case "*":
					ix.rights.create[resource], ix.rights.change[resource] = true, true
				case "create":
					ix.rights.create[resource] = true
				case "patch", "update":
					ix.rights.change[resource] = true
				}
			}
		}
	}
}

// aggregated are the rules that a ClusterRole has from others.
func (ix *index) aggregated(role *rbacv1.ClusterRole) (rules []rbacv1.PolicyRule) {
	if role.AggregationRule == nil {
		return nil
	}
	for _, o := range ix.render.Objects {
		other, ok := o.Typed.(*rbacv1.ClusterRole)
		if ok && slices.ContainsFunc(role.AggregationRule.ClusterRoleSelectors, func(s metav1.LabelSelector) bool { return selects(&s, other.Labels) }) {
			rules = append(rules, other.Rules...)
		}
	}
	return rules
}

// makers are the resources by which objects of a kind come to be.
var makers = map[string][]string{
	"Secret": {"secrets"}, "ConfigMap": {"configmaps"}, "PersistentVolumeClaim": {"persistentvolumeclaims"},
	"ServiceAccount": {"serviceaccounts"}, "Service": {"services"}, "Role": {"roles"},
	"Deployment": {"deployments"}, "StatefulSet": {"statefulsets"}, "ReplicaSet": {"replicasets"},
	"Pod": {"pods", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs"},
}

func (ix *index) mayCreate(kind string) bool {
	all := makers[kind]
	return len(all) > 0 && (ix.allowed().create["*"] || slices.ContainsFunc(all, func(r string) bool { return ix.allowed().create[r] }))
}

func (ix *index) mayChange(resource string) bool {
	return ix.allowed().change[resource] || ix.allowed().change["*"]
}

// fillers are labels and annotations by which a chart asks others for an
// object's data: OpenShift's certificates, copies of Secrets elsewhere.
var fillers = []string{"service.beta.openshift.io/inject-cabundle", "config.openshift.io/inject-trusted-cabundle",
	"replicator.v1.mittwald.de/replicate-from", "reflector.v1.k8s.emberstack.com/reflects"}

// filled says whether others put data into an object of the chart: because it
// asks for it, or because it has none of its own and a program may.
func (ix *index) filled(o *charttest.Object) bool {
	if s, ok := o.Typed.(*corev1.Secret); ok && s.Type == corev1.SecretTypeServiceAccountToken {
		return true
	}
	meta := o.Unstructured()
	for _, key := range fillers {
		if meta.GetAnnotations()[key] != "" || meta.GetLabels()[key] != "" {
			return true
		}
	}
	for _, field := range []string{"data", "stringData", "binaryData"} {
		if data, ok := o.Content()[field].(map[string]any); ok && len(data) > 0 {
			return false
		}
	}
	return slices.ContainsFunc(makers[o.Kind], ix.mayChange)
}

// claimed says whether a claim is one that a StatefulSet makes for a pod.
func (ix *index) claimed(name string) bool {
	return slices.ContainsFunc(ix.workloads, func(w workload) bool {
		for _, claim := range w.claims {
			ordinal, ok := strings.CutPrefix(name, claim+"-"+w.object.Name+"-")
			if ok && ordinal != "" && strings.Trim(ordinal, "0123456789") == "" {
				return true
			}
		}
		return false
	})
}

// mentions says whether something in the render is told the name of an object
// other than by referring to it: an argument of a Job that makes it, a
// Certificate's secretName, an operator's configuration, a role that may read
// it. Where an object of another kind has that name too, or an account is
// meant, which goes by the chart's name mostly, the kind must be told with it.
func (ix *index) mentions(kind, name string) bool {
	hint, ok := hints[kind]
	if !ok {
		return false
	}
	common := kind == "ServiceAccount"
	for key := range ix.names {
		common = common || key[1] == name
	}
	for _, told := range ix.tellings() {
		for line := range strings.Lines(told.text) {
			if names(line, name) && (!common || strings.Contains(strings.ToLower(told.where+line), hint)) {
				return true
			}
		}
	}
	return false
}

// hints are words that tell of a kind whose objects programs are told to make.
// To be told of a Service or a Deployment is to use it.
var hints = map[string]string{"Secret": "secret", "ConfigMap": "config", "PersistentVolumeClaim": "claim", "ServiceAccount": "account"}

// names says whether a text has a name as a word of its own.
func names(text, name string) bool {
	part := func(b byte) bool {
		return b == '-' || b == '.' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z'
	}
	for rest := text; ; {
		i := strings.Index(rest, name)
		if i < 0 {
			return false
		}
		end := i + len(name)
		if (i == 0 || !part(rest[i-1])) && (end == len(rest) || !part(rest[end])) {
			return true
		}
		rest = rest[i+1:]
	}
}

// telling is a text that a program is told, and where.
type telling struct{ where, text string }

func (ix *index) tellings() []telling {
	if ix.heard != nil {
		return ix.heard
	}
	for _, o := range ix.render.Objects {
		switch t := o.Typed.(type) {
		case *corev1.ConfigMap:
			for key, text := range t.Data {
				ix.heard = append(ix.heard, telling{key, text})
			}
		case *corev1.Secret:
			for key, text := range t.StringData {
				ix.heard = append(ix.heard, telling{key, text})
			}
			for key, text := range t.Data {
				ix.heard = append(ix.heard, telling{key, string(text)})
			}
		case *networkingv1.Ingress:
			for _, tls := range t.Spec.TLS { // for cert-manager and its like to make
				if len(t.Annotations) > 0 {
					ix.heard = append(ix.heard, telling{"secret", tls.SecretName})
				}
			}
		}
		if !builtin(o.APIVersion) {
			ix.collect("", o.Content()["spec"])
		}
		ix.collect("", o.Content()["rules"])
		if meta, ok := o.Content()["metadata"].(map[string]any); ok {
			ix.collect("", meta["annotations"])
		}
	}
	for _, w := range ix.workloads {
		for _, c := range w.containers() {
			for _, arg := range append(append([]string{}, c.Command...), c.Args...) {
				ix.heard = append(ix.heard, telling{"", arg})
			}
			for _, env := range c.Env {
				ix.heard = append(ix.heard, telling{env.Name, env.Value})
			}
		}
	}
	return ix.heard
}

func (ix *index) collect(where string, v any) {
	switch t := v.(type) {
	case string:
		ix.heard = append(ix.heard, telling{where, t})
	case []any:
		for _, e := range t {
			ix.collect(where, e)
		}
	case map[string]any:
		for k, e := range t {
			ix.collect(where+" "+k, e)
		}
	}
}

// declaresPods says whether pods with the labels wanted are declared as made by
// others: "Pod/role=leader" stands for all pods that have that label.
func (c Cluster) declaresPods(want map[string]string) bool {
	for _, pattern := range c.External {
		text, ok := strings.CutPrefix(pattern, "Pod/")
		if !ok {
			continue
		}
		if text == "*" {
			return true
		}
		declared, err := labels.ConvertSelectorToLabelsMap(text)
		if err == nil && len(declared) > 0 && labels.SelectorFromSet(declared).Matches(labels.Set(want)) {
			return true
		}
	}
	return false
}

// existing are the names that the values say of what is there already:
// «existingSecret: mine». What is in braces may be anything.
type existing struct {
	names    map[string]bool
	patterns []*regexp.Regexp
}

var (
	saysExisting = regexp.MustCompile(`(?i)exist|external`)
	braces       = regexp.MustCompile(`\{\{.*?\}\}`)
)

func (e *existing) add(path, value string) {
	says := saysExisting.MatchString(path)
	if !strings.Contains(value, "{{") {
		if says && value != "" {
			e.names[value] = true
		}
		return
	}
	literal := braces.ReplaceAllString(value, "")
	if !says && strings.Trim(literal, "-. ") == "" {
		return // says nothing
	}
	parts := braces.Split(value, -1)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	if pattern, err := regexp.Compile("^(?:" + strings.Join(parts, ".*") + ")$"); err == nil {
		e.patterns = append(e.patterns, pattern)
	}
}

func (e *existing) matches(name string) bool {
	return e.names[name] || slices.ContainsFunc(e.patterns, func(p *regexp.Regexp) bool { return p.MatchString(name) })
}
