// Package policy makes checks of rules written in CEL: of Kubernetes' own
// ValidatingAdmissionPolicy objects, and of short rules of one's own. They are
// evaluated without a cluster, by the library that the API server evaluates
// them with.
//
//	checks, err := policy.Load("policies/*.yaml")
//	require.NoError(t, err)
//	require.Empty(t, check.Run(r, check.Cluster{}, checks...))
//
// An expression sees what it would see in the API server: object (with the
// defaults of Kubernetes' own kinds), oldObject (null: a first installation),
// request, params, namespaceObject, variables and authorizer, which allows
// everything, as to an administrator. A policy for pods is also asked about the
// pods that workloads make.
package policy

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/check"
)

// Error says what is wrong with a policy or a rule.
type Error struct {
	Source string // the file, and the policy or rule
	Err    error
}

func (e *Error) Error() string { return e.Source + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Load reads ValidatingAdmissionPolicies, their bindings and the objects that
// they take as parameters from YAML files, whose names are patterns of
// filepath.Glob, and makes a check of each policy that is bound. Errors are of
// type [*Error].
func Load(patterns ...string) ([]*check.Check, error) {
	var objects []*unstructured.Unstructured
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err == nil && len(files) == 0 {
			err = fs.ErrNotExist
		}
		if err != nil {
			return nil, &Error{pattern, err}
		}
		for _, file := range files {
			read, err := readObjects(file)
			if err != nil {
				return nil, &Error{file, err}
			}
			objects = append(objects, read...)
		}
	}
	return Compile(objects...)
}

func readObjects(file string) ([]*unstructured.Unstructured, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []*unstructured.Unstructured
	for documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
		doc, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(doc, &u.Object); err != nil {
			return nil, err
		}
		if len(u.Object) > 0 {
			all = append(all, u)
		}
	}
}

// Compile makes a check of each ValidatingAdmissionPolicy among the objects
// that a ValidatingAdmissionPolicyBinding among them binds; what is neither can
// be a parameter, as can objects of the chart. Errors are of type [*Error].
func Compile(objects ...*unstructured.Unstructured) ([]*check.Check, error) {
	bindings := map[string][]*admissionv1.ValidatingAdmissionPolicyBinding{}
	var policies []*admissionv1.ValidatingAdmissionPolicy
	var params []*unstructured.Unstructured
	for _, u := range objects {
		name := u.GetKind() + "/" + u.GetName()
		if group, _, _ := strings.Cut(u.GetAPIVersion(), "/"); group != admissionv1.GroupName {
			params = append(params, u)
			continue
		}
		switch u.GetKind() { // v1 and v1beta1 are the same
		case "ValidatingAdmissionPolicy":
			p := new(admissionv1.ValidatingAdmissionPolicy)
			if err := strictly(u, p); err != nil {
				return nil, &Error{name, err}
			}
			policies = append(policies, p)
		case "ValidatingAdmissionPolicyBinding":
			b := new(admissionv1.ValidatingAdmissionPolicyBinding)
			if err := strictly(u, b); err != nil {
				return nil, &Error{name, err}
			}
			bindings[b.Spec.PolicyName] = append(bindings[b.Spec.PolicyName], b)
		}
	}
	var checks []*check.Check
	for _, p := range policies {
		name := "ValidatingAdmissionPolicy/" + p.Name
		if len(bindings[p.Name]) == 0 {
			return nil, &Error{name, errors.New("nothing binds it: a policy without a ValidatingAdmissionPolicyBinding is never asked")}
		}
		compiled, err := compile(p, bindings[p.Name], params)
		if err != nil {
			return nil, &Error{name, err}
		}
		checks = append(checks, &check.Check{
			Name:   p.Name,
			Why:    cmp.Or(p.Annotations["kubernetes.io/description"], "The ValidatingAdmissionPolicy "+p.Name+" denies it, or warns."),
			Remedy: "Do as the policy says, or have it leave the object out (matchConstraints, matchConditions, the binding's matchResources).",
			Run:    compiled.run,
		})
		delete(bindings, p.Name)
	}
	for name, list := range bindings {
		return nil, &Error{"ValidatingAdmissionPolicyBinding/" + list[0].Name, fmt.Errorf("there is no ValidatingAdmissionPolicy %q", name)}
	}
	return checks, nil
}

// strictly decodes an object; a field of no use is an error.
func strictly(u *unstructured.Unstructured, to any) error {
	data, err := u.MarshalJSON()
	if err != nil {
		return err
	}
	return yaml.UnmarshalStrict(data, to)
}

// Variable is a name for an expression.
type Variable = admissionv1.Variable

// Rule is a check of one expression.
type Rule struct {
	// Name of the check, in kebab-case.
	Name string `json:"name"`
	// Why is what goes wrong otherwise, and Remedy what to do about it.
	Why    string `json:"why,omitempty"`
	Remedy string `json:"remedy,omitempty"`
	// Kinds are the kinds asked about, as patterns of path.Match for "Kind" or
	// "group/version/Kind"; empty: all.
	Kinds []string `json:"kinds,omitempty"`
	// Variables are names for expressions, used as variables.NAME by those that
	// follow.
	Variables []Variable `json:"variables,omitempty"`
	// Expression in CEL is true of objects that are right.
	Expression string `json:"expression"`
	// Message says what is wrong; MessageExpression says it in CEL.
	Message           string `json:"message,omitempty"`
	MessageExpression string `json:"messageExpression,omitempty"`
	// Field is the one to blame, such as "metadata.labels"; by default that
	// which the expression names first.
	Field string `json:"field,omitempty"`
}

// Check compiles the rule. Errors are of type [*Error].
func (r Rule) Check() (*check.Check, error) {
	fail := func(format string, args ...any) (*check.Check, error) {
		return nil, &Error{"rule " + cmp.Or(r.Name, "without a name"), fmt.Errorf(format, args...)}
	}
	if r.Name == "" || strings.ContainsAny(r.Name, " /\t\n") {
		return fail("a rule needs a name without spaces and slashes")
	}
	if r.Expression == "" {
		return fail("it has no expression")
	}
	for _, pattern := range r.Kinds {
		if _, err := path.Match(pattern, ""); err != nil {
			return fail("kinds: %q: %w", pattern, err)
		}
	}
	p := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: r.Name}}
	p.Spec.MatchConstraints = &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.OperationAll},
		Rule:       admissionv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*"}},
	}}}}
	p.Spec.Variables = r.Variables
	p.Spec.Validations = []admissionv1.Validation{{Expression: r.Expression, Message: r.Message, MessageExpression: r.MessageExpression}}
	compiled, err := compile(p, []*admissionv1.ValidatingAdmissionPolicyBinding{{Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: r.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
	}}}, nil)
	if err != nil {
		return fail("%w", err)
	}
	compiled.kinds, compiled.field, compiled.own = r.Kinds, r.Field, true
	return &check.Check{
		Name: r.Name, Run: compiled.run,
		Why:    cmp.Or(r.Why, "A rule of this chart's authors: "+r.Expression),
		Remedy: cmp.Or(r.Remedy, "Make it so that "+r.Expression),
	}, nil
}
