package validation

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

type integer interface{ ~int | ~int32 | ~int64 }

func (j *judge) invalid(at *field.Path, v any, problems ...string) {
	for _, p := range problems {
		j.say(field.Invalid(at, v, p))
	}
}

func (j *judge) require(given bool, at *field.Path, detail string) bool {
	if !given {
		j.say(field.Required(at, detail))
	}
	return given
}

func (j *judge) forbid(given bool, at *field.Path, detail string) {
	if given {
		j.say(field.Forbidden(at, detail))
	}
}

// form holds text to a form, if there is some.
func (j *judge) form(at *field.Path, text string, form func(string) []string) {
	if text != "" {
		j.invalid(at, text, form(text)...)
	}
}

// named requires text, of a form.
func (j *judge) named(at *field.Path, text string, form func(string) []string) {
	if j.require(text != "", at, "") {
		j.invalid(at, text, form(text)...)
	}
}

func label(s string) []string     { return validation.IsDNS1123Label(s) }
func subdomain(s string) []string { return validation.IsDNS1123Subdomain(s) }
func qualified(s string) []string { return validation.IsQualifiedName(s) }

// among requires text of a closed set whose Go type is none of its own.
func (j *judge) among(at *field.Path, text string, set ...string) {
	if !slices.Contains(set, text) {
		j.say(field.NotSupported(at, text, set))
	}
}

// least holds a number to be no less than another.
func least[N integer](j *judge, at *field.Path, n *N, low int64) {
	if n != nil && int64(*n) < low {
		j.invalid(at, *n, fmt.Sprintf("must be greater than or equal to %d", low))
	}
}

func within[N integer](j *judge, at *field.Path, n *N, low, high int64) {
	if n != nil && (int64(*n) < low || int64(*n) > high) {
		j.invalid(at, *n, validation.InclusiveRangeError(int(low), int(high)))
	}
}

// one allows one of a struct's members, which are pointers, and may require
// it. It returns the names of those that are given.
func (j *judge) one(at *field.Path, members any, what string, required bool) []string {
	v := reflect.ValueOf(members).Elem()
	var given []string
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			given = append(given, name)
		}
	}
	if required && len(given) == 0 {
		j.say(field.Required(at, "must specify a "+what))
	}
	for _, name := range given[min(len(given), 1):] {
		j.say(field.Forbidden(at.Child(name), fmt.Sprintf("may not specify more than 1 %s; %s is given too", what, given[0])))
	}
	return given
}

// noBack refuses paths that go up.
func (j *judge) noBack(at *field.Path, path string) {
	if slices.Contains(strings.Split(path, "/"), "..") {
		j.invalid(at, path, "must not contain '..'")
	}
}

// descending allows paths that stay below where they start.
func (j *judge) descending(at *field.Path, path string) {
	if strings.HasPrefix(path, "/") {
		j.invalid(at, path, "must be a relative path")
	}
	j.noBack(at, path)
}

// within allows descending paths that don't begin with two dots either.
func (j *judge) reserved(at *field.Path, path string) {
	j.descending(at, path)
	if strings.HasPrefix(path, "..") && !strings.HasPrefix(path, "../") {
		j.invalid(at, path, "must not start with '..'")
	}
}

func (j *judge) ip(at *field.Path, text string) {
	j.say(validation.IsValidIPForLegacyField(at, text, j.minor >= 36, nil)...)
}

func (j *judge) cidr(at *field.Path, text string) {
	j.say(validation.IsValidCIDRForLegacyField(at, text, j.minor >= 36, nil)...)
}

// port is one by number or by name.
func (j *judge) port(at *field.Path, port intstr.IntOrString) {
	if port.Type == intstr.Int {
		j.invalid(at, port.IntVal, validation.IsValidPortNum(int(port.IntVal))...)
	} else {
		j.invalid(at, port.StrVal, validation.IsValidPortName(port.StrVal)...)
	}
}

// part is a number, or a share in percent, of all.
func (j *judge) part(at *field.Path, part *intstr.IntOrString, most100 bool) {
	if part == nil {
		return
	}
	if part.Type == intstr.Int {
		if part.IntVal < 0 {
			j.invalid(at, part.IntVal, "must be greater than or equal to 0")
		}
		return
	}
	j.invalid(at, part.StrVal, validation.IsValidPercent(part.StrVal)...)
	if percent, ok := percentOf(part); ok && most100 && percent > 100 {
		j.invalid(at, part.StrVal, "must not be greater than 100%")
	}
}

func percentOf(part *intstr.IntOrString) (int, bool) {
	if part == nil || part.Type != intstr.String || len(validation.IsValidPercent(part.StrVal)) > 0 {
		return 0, false
	}
	n := 0
	_, err := fmt.Sscanf(part.StrVal, "%d%%", &n)
	return n, err == nil
}

// none says whether a number or share is nothing.
func none(part *intstr.IntOrString) bool {
	if part == nil {
		return false
	}
	percent, ok := percentOf(part)
	return part.Type == intstr.Int && part.IntVal == 0 || ok && percent == 0
}

func (j *judge) selector(at *field.Path, s *metav1.LabelSelector) {
	if s != nil {
		j.say(metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, at)...)
	}
}

func (j *judge) labels(at *field.Path, labels map[string]string) {
	j.say(metavalidation.ValidateLabels(labels, at)...)
}

// meta holds an object's metadata to the rules of its kind. The namespace may
// be missing: it is the release's then.
func (j *judge) meta(m *metav1.ObjectMeta, name apivalidation.ValidateNameFunc) {
	j.plainMeta(m, name)
	for i, f := range m.Finalizers {
		if len(qualified(f)) == 0 {
			j.finalizer(field.NewPath("metadata", "finalizers").Index(i), f)
		}
	}
}

// plainMeta is meta for kinds that take any qualified name for a finalizer.
func (j *judge) plainMeta(m *metav1.ObjectMeta, name apivalidation.ValidateNameFunc) {
	j.say(apivalidation.ValidateObjectMeta(inNamespace(m), true, name, field.NewPath("metadata"))...)
}

func inNamespace(m *metav1.ObjectMeta) *metav1.ObjectMeta {
	if m.Namespace == "" {
		m = m.DeepCopy()
		m.Namespace = "default"
	}
	return m
}

func (j *judge) finalizer(at *field.Path, name string) {
	j.invalid(at, name, qualified(name)...)
	if !strings.Contains(name, "/") && !slices.Contains([]string{"kubernetes", "orphan", "foregroundDeletion"}, name) {
		j.invalid(at, name, "name is neither a standard finalizer name nor is it fully qualified")
	}
}

// clusterMeta is meta for kinds that are in no namespace.
func (j *judge) clusterMeta(m *metav1.ObjectMeta, name apivalidation.ValidateNameFunc) {
	if m.Namespace != "" { // another check tells
		m = m.DeepCopy()
		m.Namespace = "default"
	}
	j.meta(m, name)
}

// template holds the metadata of an object that is made of a template.
func (j *judge) template(m *metav1.ObjectMeta, at *field.Path) {
	j.labels(at.Child("labels"), m.Labels)
	j.say(apivalidation.ValidateAnnotations(m.Annotations, at.Child("annotations"))...)
}

func (j *judge) quantity(at *field.Path, q resource.Quantity) {
	if q.Sign() < 0 {
		j.invalid(at, q.String(), "must be greater than or equal to 0")
	}
}

func isNative(name string) bool {
	return !strings.Contains(name, "/") || strings.Contains(name, "kubernetes.io/")
}

func isExtended(name string) bool {
	return !isNative(name) && !strings.HasPrefix(name, "requests.") && len(qualified("requests."+name)) == 0
}

func isHuge(name string) bool { return strings.HasPrefix(name, "hugepages-") }

var countable = []string{"pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
	"persistentvolumeclaims", "services.nodeports", "services.loadbalancers"}

func isInteger(name string) bool { return slices.Contains(countable, name) || isExtended(name) }

// amount is of a resource.
func (j *judge) amount(at *field.Path, name string, q resource.Quantity) {
	j.quantity(at, q)
	if isInteger(name) && q.MilliValue()%1000 != 0 {
		j.invalid(at, q.String(), "must be an integer")
	}
}

func (j *judge) json(at *field.Path, text string) {
	if !json.Valid([]byte(text)) {
		j.invalid(at, "<secret contents redacted>", "is no JSON")
	}
}

// enumOf is the closed set of a value's Go type.
func enumOf[T ~string](T) []string { return enums[reflect.TypeFor[T]()] }
