package policy

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	celgo "github.com/google/cel-go/cel"
	celtypes "github.com/google/cel-go/common/types"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/environment"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/internal/defaults"
)

// compiled is a policy that was compiled, with what binds it.
type compiled struct {
	policy   *admissionv1.ValidatingAdmissionPolicy
	bindings []*admissionv1.ValidatingAdmissionPolicyBinding
	params   []*unstructured.Unstructured

	matches   matchconditions.Matcher // nil without conditions
	validates cel.ConditionEvaluator
	messages  cel.ConditionEvaluator

	own   bool     // a Rule
	kinds []string // a Rule's
	field string   // a Rule's
}

// The expressions as the compiler takes them.
type (
	expression string // of a message
	validation struct {
		admissionv1.Validation
		field string
	}
	variable admissionv1.Variable
)

func (e expression) GetExpression() string     { return string(e) }
func (expression) ReturnTypes() []*celgo.Type  { return []*celgo.Type{celgo.StringType} }
func (v *validation) GetExpression() string    { return v.Expression }
func (*validation) ReturnTypes() []*celgo.Type { return []*celgo.Type{celgo.BoolType} }
func (v *variable) GetExpression() string      { return v.Expression }
func (v *variable) GetName() string            { return v.Name }
func (*variable) ReturnTypes() []*celgo.Type   { return []*celgo.Type{celgo.AnyType, celgo.DynType} }

var base = sync.OnceValue(func() *environment.EnvSet {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
})

// compile is compilePolicy of k8s.io/apiserver's plugin ValidatingAdmissionPolicy,
// after the defaulting of the policy and its bindings. What doesn't compile is
// an error here.
func compile(p *admissionv1.ValidatingAdmissionPolicy, bindings []*admissionv1.ValidatingAdmissionPolicyBinding, params []*unstructured.Unstructured) (*compiled, error) {
	if p.Spec.MatchConstraints == nil || len(p.Spec.MatchConstraints.ResourceRules) == 0 {
		return nil, errors.New("it has no matchConstraints.resourceRules, which are required")
	}
	if len(p.Spec.Validations) == 0 && len(p.Spec.AuditAnnotations) == 0 {
		return nil, errors.New("it has neither validations nor auditAnnotations")
	}
	complete(p.Spec.MatchConstraints)
	for _, b := range bindings {
		if len(b.Spec.ValidationActions) == 0 {
			return nil, fmt.Errorf("its binding %s has no validationActions, which are required", b.Name)
		}
		complete(b.Spec.MatchResources)
	}
	c := &compiled{policy: p, bindings: bindings, params: params}
	compiler, err := cel.NewCompositedCompiler(base())
	if err != nil {
		return nil, err
	}
	with := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil, HasAuthorizer: true}
	var wrong []error
	for i := range p.Spec.Variables {
		if result := compiler.CompileAndStoreVariable((*variable)(&p.Spec.Variables[i]), with, environment.NewExpressions); result.Error != nil {
			wrong = append(wrong, fmt.Errorf("variable %s: %w", p.Spec.Variables[i].Name, result.Error))
		}
	}
	take := func(all []cel.ExpressionAccessor, with cel.OptionalVariableDeclarations) cel.ConditionEvaluator {
		e := compiler.CompileCondition(all, with, environment.NewExpressions)
		wrong = append(wrong, e.CompilationErrors()...)
		return e
	}
	if len(p.Spec.MatchConditions) > 0 {
		conditions := make([]cel.ExpressionAccessor, len(p.Spec.MatchConditions))
		for i := range p.Spec.MatchConditions {
			conditions[i] = (*matchconditions.MatchCondition)(&p.Spec.MatchConditions[i])
		}
		c.matches = matchconditions.NewMatcher(take(conditions, with), p.Spec.FailurePolicy, "policy", "validate", p.Name)
	}
	validations, messages := make([]cel.ExpressionAccessor, len(p.Spec.Validations)), make([]cel.ExpressionAccessor, len(p.Spec.Validations))
	for i, v := range p.Spec.Validations {
		validations[i] = &validation{v, fieldIn(v.Expression)}
		if v.MessageExpression != "" {
			messages[i] = expression(v.MessageExpression)
		}
	}
	c.validates = take(validations, with)
	with.HasAuthorizer = false
	c.messages = take(messages, with)
	return c, errors.Join(wrong...)
}

// complete is SetDefaults_MatchResources.
func complete(m *admissionv1.MatchResources) {
	if m == nil {
		return
	}
	defaults.Or(&m.MatchPolicy, admissionv1.Equivalent)
	defaults.Or(&m.NamespaceSelector, metav1.LabelSelector{})
	defaults.Or(&m.ObjectSelector, metav1.LabelSelector{})
}

// criteria are a policy's or a binding's, for k8s.io/apiserver's matcher.
type criteria struct{ *admissionv1.MatchResources }

func (c criteria) GetMatchResources() admissionv1.MatchResources { return *c.MatchResources }
func (c criteria) GetParsedNamespaceSelector() (labels.Selector, error) {
	return metav1.LabelSelectorAsSelector(c.NamespaceSelector)
}
func (c criteria) GetParsedObjectSelector() (labels.Selector, error) {
	return metav1.LabelSelectorAsSelector(c.ObjectSelector)
}

// administrator is who installs: rules of access are not what is checked here.
var administrator = authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return authorizer.DecisionAllow, "", nil
})

// request is an object as it would be created.
type request struct {
	object *charttest.Object
	made   *unstructured.Unstructured // the object, or a pod of it
	at     string                     // path of the pod in the object; "" for the object itself
}

// run is the check.
func (c *compiled) run(p *check.Pass) {
	r := newCluster(p)
	for _, o := range p.Render.Objects {
		if exempt(o) || !c.about(o) {
			continue
		}
		content := defaults.Content(o.Unstructured())
		requests := []request{{o, content, ""}}
		if pod, at := podOf(content); pod != nil && !c.own {
			requests = append(requests, request{o, pod, at})
		}
		for _, q := range requests {
			c.ask(p, r, q)
		}
	}
}

// about says whether a rule is for an object's kind.
func (c *compiled) about(o *charttest.Object) bool {
	return len(c.kinds) == 0 || slices.ContainsFunc(c.kinds, func(pattern string) bool {
		name := o.Kind
		if strings.Contains(pattern, "/") {
			name = o.APIVersion + "/" + o.Kind
		}
		ok, _ := path.Match(pattern, name)
		return ok
	})
}

// exempt are the kinds that admission by policies leaves out.
func exempt(o *charttest.Object) bool {
	return strings.HasPrefix(o.APIVersion, admissionv1.GroupName+"/")
}

// ask evaluates the policy for an object, as validator.Validate of
// k8s.io/apiserver's plugin does, once for each binding and parameter.
func (c *compiled) ask(p *check.Pass, r *cluster, q request) {
	gvk := q.made.GroupVersionKind()
	resource, _ := meta.UnsafeGuessKindToResource(gvk)
	namespace := r.namespaceOf(q.made)
	if gvk.GroupKind() != (schema.GroupKind{Kind: "Namespace"}) {
		q.made.SetNamespace(namespace)
	}
	attributes := admission.NewAttributesRecord(q.made, nil, gvk, namespace, q.made.GetName(), resource, "", admission.Create,
		&metav1.CreateOptions{}, false, &user.DefaultInfo{Name: "kubernetes-admin", Groups: []string{user.SystemPrivilegedGroup, user.AllAuthenticated}})
	if matches, _, _, err := r.matcher.Matches(attributes, r.interfaces, criteria{c.policy.Spec.MatchConstraints}); err != nil || !matches {
		return
	}
	said := map[string]bool{} // by several bindings, or for several parameters
	for _, b := range c.bindings {
		if b.Spec.MatchResources != nil {
			if matches, _, _, err := r.matcher.Matches(attributes, r.interfaces, criteria{b.Spec.MatchResources}); err != nil || !matches {
				continue
			}
		}
		if !slices.Contains(b.Spec.ValidationActions, admissionv1.Deny) && !slices.Contains(b.Spec.ValidationActions, admissionv1.Warn) {
			continue // an audit log is nobody's finding
		}
		params, err := c.paramsFor(p, b, namespace)
		if err != nil {
			c.tell(p, q, b, "", err.Error(), said)
		}
		for _, param := range params {
			versioned := &admission.VersionedAttributes{Attributes: attributes, VersionedKind: gvk, VersionedObject: admission.NewLazyObject(q.made)}
			for _, d := range c.decide(versioned, resource, param, r.namespaces[namespace]) {
				c.tell(p, q, b, d.field, d.message, said)
			}
		}
	}
}

// denial is a validation that an object fails.
type denial struct{ field, message string }

func (c *compiled) decide(versioned *admission.VersionedAttributes, resource schema.GroupVersionResource, param runtime.Object, namespace *corev1.Namespace) []denial {
	ctx := context.Background()
	failed := func(err error) []denial {
		if f := c.policy.Spec.FailurePolicy; f != nil && *f == admissionv1.Ignore {
			return nil
		}
		return []denial{{"", err.Error()}}
	}
	if c.matches != nil {
		switch m := c.matches.Match(ctx, versioned, param, administrator); {
		case m.Error != nil:
			return failed(m.Error)
		case !m.Matches:
			return nil
		}
	}
	admissionRequest := cel.CreateAdmissionRequest(versioned.Attributes, metav1.GroupVersionResource(resource), metav1.GroupVersionKind(versioned.VersionedKind))
	seen := cel.CreateNamespaceObject(namespace)
	results, budget, err := c.validates.ForInput(ctx, versioned, admissionRequest, cel.OptionalVariableBindings{VersionedParams: param, Authorizer: administrator}, seen, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return failed(err)
	}
	messages, _, _ := c.messages.ForInput(ctx, versioned, admissionRequest, cel.OptionalVariableBindings{VersionedParams: param}, seen, budget)
	var all []denial
	for i, result := range results {
		v := result.ExpressionAccessor.(*validation)
		switch {
		case result.Error != nil && unknowable(result.Error, versioned.VersionedKind):
		case result.Error != nil:
			for _, d := range failed(result.Error) {
				all = append(all, denial{v.field, d.message})
			}
		case result.EvalResult != celtypes.True:
			message := ""
			if i < len(messages) && messages[i].Error == nil && messages[i].EvalResult != nil {
				message, _ = messages[i].EvalResult.Value().(string)
			}
			if message = strings.TrimSpace(message); message == "" || strings.Contains(message, "\n") {
				message = strings.TrimSpace(v.Message)
			}
			if message == "" {
				message = "failed expression: " + strings.TrimSpace(v.Expression)
			}
			all = append(all, denial{v.field, message})
		}
	}
	return all
}

// unknowable says whether an expression may have failed for want of a default
// that only the definition of a custom resource has.
func unknowable(err error, of schema.GroupVersionKind) bool {
	return strings.Contains(of.Group, ".") && !strings.HasSuffix(of.Group, ".k8s.io") && strings.Contains(err.Error(), "no such key")
}

func (c *compiled) tell(p *check.Pass, q request, b *admissionv1.ValidatingAdmissionPolicyBinding, field, message string, said map[string]bool) {
	if c.field != "" {
		field = c.field
	}
	if q.at != "" {
		message = "its pods are refused: " + message
		if field = strings.TrimPrefix(q.at+"."+field, "."); !strings.HasPrefix(field, q.at+".spec") && !strings.HasPrefix(field, q.at+".metadata") {
			field = q.at
		}
	}
	if !slices.Contains(b.Spec.ValidationActions, admissionv1.Deny) {
		message = "the policy warns: " + message
	}
	if !said[message] {
		said[message] = true
		p.Report(q.object, strings.TrimSuffix(field, "."), "%s", message)
	}
}

// paramsFor are the parameters that a binding names: nil if the policy takes
// none.
func (c *compiled) paramsFor(p *check.Pass, b *admissionv1.ValidatingAdmissionPolicyBinding, namespace string) ([]runtime.Object, error) {
	kind, ref := c.policy.Spec.ParamKind, b.Spec.ParamRef
	if kind == nil || ref == nil {
		return []runtime.Object{nil}, nil
	}
	selector := labels.Everything()
	if ref.Selector != nil {
		var err error
		if selector, err = metav1.LabelSelectorAsSelector(ref.Selector); err != nil {
			return nil, err
		}
	}
	candidates := slices.Clone(c.params)
	for _, o := range p.Render.Objects {
		if o.APIVersion == kind.APIVersion && o.Kind == kind.Kind {
			u := o.Unstructured()
			if u.GetNamespace() == "" {
				u.SetNamespace(releaseNamespace(p))
			}
			candidates = append(candidates, u)
		}
	}
	if ref.Namespace != "" {
		namespace = ref.Namespace
	}
	var found []runtime.Object
	for _, u := range candidates {
		if u.GetAPIVersion() == kind.APIVersion && u.GetKind() == kind.Kind && (u.GetNamespace() == "" || u.GetNamespace() == namespace) &&
			(ref.Name == "" || u.GetName() == ref.Name) && selector.Matches(labels.Set(u.GetLabels())) {
			found = append(found, u)
		}
	}
	if len(found) == 0 && ref.ParameterNotFoundAction != nil && *ref.ParameterNotFoundAction == admissionv1.DenyAction {
		return nil, fmt.Errorf("no %s for the policy: give its file too", kind.Kind)
	}
	return found, nil
}

// cluster is what a policy sees besides the object.
type cluster struct {
	release    string // its namespace
	namespaces map[string]*corev1.Namespace
	scopes     map[schema.GroupKind]bool // namespaced, by the chart's definitions
	matcher    *matching.Matcher
	interfaces admission.ObjectInterfaces
}

func releaseNamespace(p *check.Pass) string {
	if n := p.Render.Profile.Namespace; n != "" {
		return n
	}
	return "default"
}

func newCluster(p *check.Pass) *cluster {
	r := &cluster{release: releaseNamespace(p), namespaces: map[string]*corev1.Namespace{}, scopes: map[schema.GroupKind]bool{},
		interfaces: admission.NewObjectInterfacesFromScheme(runtime.NewScheme())}
	add := func(name string, labels map[string]string) {
		n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}}}
		for k, v := range labels {
			n.Labels[k] = v
		}
		r.namespaces[name] = n
	}
	var own map[string]string
	if level := p.Cluster.PodSecurity; level != "" {
		own = map[string]string{"pod-security.kubernetes.io/enforce": level}
	}
	add(r.release, own)
	for _, o := range p.Render.Objects {
		if o.Kind == "CustomResourceDefinition" {
			u := o.Unstructured()
			group, _, _ := unstructured.NestedString(u.Object, "spec", "group")
			kind, _, _ := unstructured.NestedString(u.Object, "spec", "names", "kind")
			scope, _, _ := unstructured.NestedString(u.Object, "spec", "scope")
			r.scopes[schema.GroupKind{Group: group, Kind: kind}] = scope == "Namespaced"
		}
		if o.Namespace != "" && r.namespaces[o.Namespace] == nil {
			add(o.Namespace, nil)
		}
	}
	for _, o := range p.Render.Objects {
		if o.Kind == "Namespace" && o.APIVersion == "v1" {
			add(o.Name, o.Unstructured().GetLabels())
		}
	}
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)
	for _, n := range r.namespaces {
		_ = indexer.Add(n) // in memory
	}
	r.matcher = matching.NewMatcher(corelisters.NewNamespaceLister(indexer), nil)
	return r
}

// namespaceOf is where an object is created: "" for those of the cluster's
// scope, and its own name for a Namespace, as in the API server's requests.
func (r *cluster) namespaceOf(u *unstructured.Unstructured) string {
	gvk := u.GroupVersionKind()
	if gvk.GroupKind() == (schema.GroupKind{Kind: "Namespace"}) {
		return u.GetName()
	}
	if namespaced, ok := r.scopes[gvk.GroupKind()]; ok && !namespaced || !ok && clusterScoped[gvk.GroupKind().String()] {
		return ""
	}
	if n := u.GetNamespace(); n != "" {
		return n
	}
	return r.release
}

// clusterScoped are Kubernetes' own kinds without a namespace.
var clusterScoped = map[string]bool{
	"Node": true, "PersistentVolume": true,
	"ClusterRole.rbac.authorization.k8s.io": true, "ClusterRoleBinding.rbac.authorization.k8s.io": true,
	"StorageClass.storage.k8s.io": true, "VolumeAttachment.storage.k8s.io": true, "CSIDriver.storage.k8s.io": true, "CSINode.storage.k8s.io": true,
	"VolumeAttributesClass.storage.k8s.io": true, "PriorityClass.scheduling.k8s.io": true, "RuntimeClass.node.k8s.io": true,
	"IngressClass.networking.k8s.io": true, "IPAddress.networking.k8s.io": true, "ServiceCIDR.networking.k8s.io": true,
	"CustomResourceDefinition.apiextensions.k8s.io": true, "APIService.apiregistration.k8s.io": true,
	"CertificateSigningRequest.certificates.k8s.io": true, "ClusterTrustBundle.certificates.k8s.io": true,
	"FlowSchema.flowcontrol.apiserver.k8s.io": true, "PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io": true,
	"DeviceClass.resource.k8s.io": true, "ResourceSlice.resource.k8s.io": true,
}

// podOf is the pod that a workload's controller makes, and where its template
// stands.
func podOf(u *unstructured.Unstructured) (pod *unstructured.Unstructured, at string) {
	switch gk := u.GroupVersionKind().GroupKind(); {
	case gk.Group == "apps" && (gk.Kind == "Deployment" || gk.Kind == "StatefulSet" || gk.Kind == "DaemonSet" || gk.Kind == "ReplicaSet"),
		gk.Group == "batch" && gk.Kind == "Job":
		at = "spec.template"
	case gk.Group == "batch" && gk.Kind == "CronJob":
		at = "spec.jobTemplate.spec.template"
	default:
		return nil, ""
	}
	template, ok, _ := unstructured.NestedMap(u.Object, strings.Split(at, ".")...)
	if !ok {
		return nil, ""
	}
	pod = &unstructured.Unstructured{Object: template}
	pod.SetAPIVersion("v1")
	pod.SetKind("Pod")
	pod.SetGenerateName(u.GetName() + "-")
	pod.SetNamespace(u.GetNamespace())
	return defaults.Content(pod), at
}

var objectPath = regexp.MustCompile(`\bobject((?:\.\??\w+)+)(\(?)`)

// fieldIn is the field of the object that an expression names first.
func fieldIn(expression string) string {
	m := objectPath.FindStringSubmatch(expression)
	if m == nil {
		return ""
	}
	names := strings.Split(strings.ReplaceAll(strings.TrimPrefix(m[1], "."), "?", ""), ".")
	if m[2] != "" { // a call of something of the field
		names = names[:len(names)-1]
	}
	return strings.Join(names, ".")
}
