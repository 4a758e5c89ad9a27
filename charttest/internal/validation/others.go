package validation

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	nodev1 "k8s.io/api/node/v1"
	storagev1 "k8s.io/api/storage/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var _ = []struct{}{
	rule(func(j *judge, c *admissionv1.ValidatingWebhookConfiguration, _ *field.Path) {
		j.plainMeta(&c.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		names := sets.Set[string]{}
		for i := range c.Webhooks {
			h := &c.Webhooks[i]
			j.webhook(field.NewPath("webhooks").Index(i), names, h.Name, h.ClientConfig, h.SideEffects, h.AdmissionReviewVersions, h.TimeoutSeconds, h.NamespaceSelector, h.ObjectSelector, h.MatchConditions)
		}
	}),
	rule(func(j *judge, c *admissionv1.MutatingWebhookConfiguration, _ *field.Path) {
		j.plainMeta(&c.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		names := sets.Set[string]{}
		for i := range c.Webhooks {
			h := &c.Webhooks[i]
			j.webhook(field.NewPath("webhooks").Index(i), names, h.Name, h.ClientConfig, h.SideEffects, h.AdmissionReviewVersions, h.TimeoutSeconds, h.NamespaceSelector, h.ObjectSelector, h.MatchConditions)
		}
	}),
	rule(func(j *judge, r *admissionv1.RuleWithOperations, at *field.Path) {
		j.require(len(r.Operations) > 0, at.Child("operations"), "")
		for i, o := range r.Operations {
			if o == "" {
				j.say(field.NotSupported(at.Child("operations").Index(i), o, enumOf(o)))
			}
			if o == admissionv1.OperationAll && len(r.Operations) > 1 {
				j.invalid(at.Child("operations"), o, "if '*' is present, must not specify other operations")
			}
		}
	}),
	rule(func(j *judge, r *admissionv1.Rule, at *field.Path) {
		for name, list := range map[string][]string{"apiGroups": r.APIGroups, "apiVersions": r.APIVersions} {
			j.require(len(list) > 0, at.Child(name), "")
			if len(list) > 1 && slices.Contains(list, "*") {
				j.invalid(at.Child(name), list, "if '*' is present, must not specify others")
			}
		}
		for i, v := range r.APIVersions {
			j.require(v != "", at.Child("apiVersions").Index(i), "")
		}
		j.require(len(r.Resources) > 0, at.Child("resources"), "")
		for i, resource := range r.Resources {
			here := at.Child("resources").Index(i)
			if !j.require(resource != "", here, "") {
				continue
			}
			if name, sub, ok := strings.Cut(resource, "/"); ok && (slices.Contains(r.Resources[:i], name+"/*") || slices.Contains(r.Resources[:i], "*/"+sub)) {
				j.invalid(here, resource, "an earlier one with '*' covers it")
			}
		}
		if len(r.Resources) > 1 && slices.Contains(r.Resources, "*/*") {
			j.invalid(at.Child("resources"), r.Resources, "if '*/*' is present, must not specify other resources")
		}
	}),
	rule(func(j *judge, c *nodev1.RuntimeClass, _ *field.Path) {
		j.plainMeta(&c.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		j.named(field.NewPath("handler"), c.Handler, label)
		if c.Overhead != nil {
			at := field.NewPath("overhead", "podFixed")
			j.resourceList(at, c.Overhead.PodFixed, nil, at)
		}
		if c.Scheduling == nil {
			return
		}
		j.labels(field.NewPath("scheduling", "nodeSelector"), c.Scheduling.NodeSelector)
		for i, t := range c.Scheduling.Tolerations {
			for _, other := range c.Scheduling.Tolerations[:i] {
				if t.Key == other.Key && t.Operator == other.Operator && t.Value == other.Value && t.Effect == other.Effect {
					j.say(field.Duplicate(field.NewPath("scheduling", "tolerations").Index(i), t.Key))
				}
			}
		}
	}),
	rule((*judge).endpointSlice),
	rule((*judge).endpoints),
	rule(func(j *judge, l *coordinationv1.Lease, _ *field.Path) {
		j.plainMeta(&l.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		if d := l.Spec.LeaseDurationSeconds; d != nil && *d <= 0 {
			j.invalid(field.NewPath("spec", "leaseDurationSeconds"), *d, "must be greater than 0")
		}
		least(j, field.NewPath("spec", "leaseTransitions"), l.Spec.LeaseTransitions, 0)
	}),
	rule(func(j *judge, d *storagev1.CSIDriver, _ *field.Path) {
		j.clusterMeta(&d.ObjectMeta, apivalidation.NameIsDNSSubdomain)
		at, s := field.NewPath("spec"), &d.Spec
		if p := s.FSGroupPolicy; p != nil {
			j.among(at.Child("fsGroupPolicy"), string(*p), "ReadWriteOnceWithFSType", "File", "None")
		}
		for i, m := range s.VolumeLifecycleModes {
			j.among(at.Child("volumeLifecycleModes").Index(i), string(m), "Persistent", "Ephemeral")
		}
		audiences := sets.Set[string]{}
		for i, t := range s.TokenRequests {
			here := at.Child("tokenRequests").Index(i)
			if audiences.Has(t.Audience) {
				j.say(field.Duplicate(here.Child("audience"), t.Audience))
			}
			audiences.Insert(t.Audience)
			if e := t.ExpirationSeconds; e != nil && (*e < 600 || *e > 1<<32) {
				j.invalid(here.Child("expirationSeconds"), *e, "may not specify a duration less than 10 minutes or larger than 2^32 seconds")
			}
		}
		if j.minor >= 35 && s.ServiceAccountTokenInSecrets != nil && len(s.TokenRequests) == 0 {
			j.invalid(at.Child("serviceAccountTokenInSecrets"), *s.ServiceAccountTokenInSecrets, "serviceAccountTokenInSecrets is set but no tokenRequests are specified")
		}
		least(j, at.Child("nodeAllocatableUpdatePeriodSeconds"), s.NodeAllocatableUpdatePeriodSeconds, 10)
	}),
	rule(func(j *judge, c *corev1.ReplicationController, _ *field.Path) {
		meta := c.ObjectMeta
		meta.GenerateName = "" // of which the server asks less
		j.invalid(field.NewPath("metadata", "generateName"), c.GenerateName, segment(c.GenerateName, true)...)
		j.meta(&meta, apivalidation.NameIsDNSSubdomain)
		at, s := field.NewPath("spec"), &c.Spec
		least(j, at.Child("replicas"), s.Replicas, 0)
		least(j, at.Child("minReadySeconds"), &s.MinReadySeconds, 0)
		if s.Template == nil {
			j.require(false, at.Child("template"), "")
			j.require(len(s.Selector) > 0, at.Child("selector"), "")
			return
		}
		if len(s.Selector) > 0 && !labels.SelectorFromSet(s.Selector).Matches(labels.Set(s.Template.Labels)) {
			j.invalid(at.Child("selector"), s.Selector, "`selector` does not match template `labels`")
		}
		if len(s.Selector) == 0 && len(s.Template.Labels) == 0 {
			j.require(false, at.Child("selector"), "")
		}
		if p := s.Template.Spec.RestartPolicy; p != "" && p != corev1.RestartPolicyAlways && slices.Contains(enumOf(p), string(p)) {
			j.say(field.NotSupported(at.Child("template", "spec", "restartPolicy"), p, []string{"Always"}))
		}
		j.forbid(s.Template.Spec.ActiveDeadlineSeconds != nil, at.Child("template", "spec", "activeDeadlineSeconds"), "activeDeadlineSeconds in ReplicationController is not Supported")
	}),
	rule(func(j *judge, t *corev1.PodTemplate, _ *field.Path) {
		j.meta(&t.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	}),
}

// webhook is what both kinds of webhooks have in common. What their conditions
// say in CEL isn't read.
func (j *judge) webhook(at *field.Path, names sets.Set[string], name string, c admissionv1.WebhookClientConfig, effects *admissionv1.SideEffectClass,
	versions []string, timeout *int32, namespaces, objects *metav1.LabelSelector, conditions []admissionv1.MatchCondition) {
	j.say(validation.IsFullyQualifiedName(at.Child("name"), name)...)
	if name != "" && names.Has(name) {
		j.say(field.Duplicate(at.Child("name"), name))
	}
	names.Insert(name)
	j.require(effects != nil, at.Child("sideEffects"), "must specify one of None, NoneOnDryRun")
	if effects != nil && (*effects == admissionv1.SideEffectClassUnknown || *effects == admissionv1.SideEffectClassSome) {
		j.say(field.NotSupported(at.Child("sideEffects"), *effects, []string{"None", "NoneOnDryRun"}))
	}
	within(j, at.Child("timeoutSeconds"), timeout, 1, 30)
	j.selector(at.Child("namespaceSelector"), namespaces)
	j.selector(at.Child("objectSelector"), objects)
	known := false
	for i, v := range versions {
		here := at.Child("admissionReviewVersions").Index(i)
		j.invalid(here, v, validation.IsDNS1035Label(v)...)
		if slices.Contains(versions[:i], v) {
			j.invalid(here, v, "duplicate version")
		}
		known = known || v == "v1" || v == "v1beta1"
	}
	if len(versions) == 0 {
		j.require(false, at.Child("admissionReviewVersions"), "must specify one of v1, v1beta1")
	} else if !known {
		j.invalid(at.Child("admissionReviewVersions"), versions, "must include at least one of v1, v1beta1")
	}
	seen := sets.Set[string]{}
	for i, m := range conditions {
		here := at.Child("matchConditions").Index(i)
		j.require(strings.TrimSpace(m.Expression) != "", here.Child("expression"), "")
		j.named(here.Child("name"), m.Name, qualified)
		if m.Name != "" && seen.Has(m.Name) {
			j.say(field.Duplicate(here.Child("name"), m.Name))
		}
		seen.Insert(m.Name)
	}
	if len(conditions) > 64 {
		j.say(field.TooMany(at.Child("matchConditions"), len(conditions), 64))
	}
	at = at.Child("clientConfig")
	switch {
	case (c.URL == nil) == (c.Service == nil):
		j.require(false, at, "exactly one of url or service is required")
	case c.URL != nil:
		u, err := url.Parse(*c.URL)
		switch at := at.Child("url"); {
		case err != nil:
			j.invalid(at, *c.URL, err.Error())
		case u.Scheme != "https":
			j.invalid(at, *c.URL, "'https' is the only allowed URL scheme; desired format: https://host[/path]")
		case u.Host == "":
			j.invalid(at, *c.URL, "host must be specified; desired format: https://host[/path]")
		case u.User != nil || u.Fragment != "" || u.RawQuery != "":
			j.invalid(at, *c.URL, "user information, fragments and query parameters are not permitted in the URL")
		}
	default:
		at := at.Child("service")
		j.filled(at, "name", c.Service.Name, "namespace", c.Service.Namespace)
		if p := c.Service.Port; p != nil {
			within(j, at.Child("port"), p, 1, 65535)
		}
		if p := c.Service.Path; p != nil {
			j.webPath(at.Child("path"), *p)
		}
	}
}

func (j *judge) webPath(at *field.Path, path string) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok && path != "" {
		j.invalid(at, path, "must start with a '/'")
		return
	}
	if rest == "" {
		return
	}
	segments := strings.Split(rest, "/")
	for i, s := range segments {
		if s == "" && i == len(segments)-1 {
			continue
		}
		if s == "" {
			j.invalid(at, path, fmt.Sprintf("segment[%d] may not be empty", i))
			continue
		}
		for _, problem := range subdomain(s) {
			j.invalid(at, path, fmt.Sprintf("segment[%d]: %s", i, problem))
		}
	}
}

// endpoint is an address that traffic is sent to.
func (j *judge) endpoint(at *field.Path, text string) {
	if a, err := netip.ParseAddr(text); err == nil && (a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast()) {
		j.invalid(at, text, "may not be unspecified, loopback or link-local")
	}
}

func (j *judge) endpointSlice(s *discoveryv1.EndpointSlice, _ *field.Path) {
	j.meta(&s.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	j.require(s.AddressType != "", field.NewPath("addressType"), "")
	for i, e := range s.Endpoints {
		here := field.NewPath("endpoints").Index(i)
		j.require(len(e.Addresses) > 0, here.Child("addresses"), "must contain at least 1 address")
		if len(e.Addresses) > 100 {
			j.say(field.TooMany(here.Child("addresses"), len(e.Addresses), 100))
		}
		for k, a := range e.Addresses {
			at := here.Child("addresses").Index(k)
			addr, err := netip.ParseAddr(a)
			switch s.AddressType {
			case discoveryv1.AddressTypeIPv4:
				j.ip(at, a)
				if err == nil && !addr.Is4() {
					j.invalid(at, a, "must be an IPv4 address")
				}
				j.endpoint(at, a)
			case discoveryv1.AddressTypeIPv6:
				j.say(validation.IsValidIP(at, a)...)
				if err == nil && !addr.Is6() {
					j.invalid(at, a, "must be an IPv6 address")
				}
				j.endpoint(at, a)
			case discoveryv1.AddressTypeFQDN:
				j.say(validation.IsFullyQualifiedDomainName(at, a)...)
			}
		}
		if n := e.NodeName; n != nil {
			j.invalid(here.Child("nodeName"), *n, subdomain(*n)...)
		}
		if h := e.Hostname; h != nil {
			j.invalid(here.Child("hostname"), *h, label(*h)...)
		}
		if e.Hints == nil {
			continue
		}
		seen := sets.Set[string]{}
		for k, z := range e.Hints.ForZones {
			at := here.Child("hints", "forZones").Index(k).Child("name")
			if seen.Has(z.Name) {
				j.say(field.Duplicate(at, z.Name))
			}
			seen.Insert(z.Name)
			j.invalid(at, z.Name, validation.IsValidLabelValue(z.Name)...)
		}
		for k, n := range e.Hints.ForNodes {
			j.invalid(here.Child("hints", "forNodes").Index(k).Child("name"), n.Name, subdomain(n.Name)...)
		}
	}
	names := sets.Set[string]{}
	for i, p := range s.Ports {
		here := field.NewPath("ports").Index(i)
		name := deref(p.Name)
		if name != "" {
			j.invalid(here.Child("name"), name, label(name)...)
		}
		if names.Has(name) {
			j.say(field.Duplicate(here.Child("name"), name))
		}
		names.Insert(name)
		if p.AppProtocol != nil {
			j.invalid(here.Child("appProtocol"), *p.AppProtocol, qualified(*p.AppProtocol)...)
		}
	}
}

func (j *judge) endpoints(e *corev1.Endpoints, _ *field.Path) {
	j.meta(&e.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	for i, s := range e.Subsets {
		at := field.NewPath("subsets").Index(i)
		j.require(len(s.Addresses)+len(s.NotReadyAddresses) > 0, at, "must specify `addresses` or `notReadyAddresses`")
		for name, list := range map[string][]corev1.EndpointAddress{"addresses": s.Addresses, "notReadyAddresses": s.NotReadyAddresses} {
			for k, a := range list {
				here := at.Child(name).Index(k)
				j.ip(here.Child("ip"), a.IP)
				j.endpoint(here.Child("ip"), a.IP)
				j.form(here.Child("hostname"), a.Hostname, label)
				if n := a.NodeName; n != nil {
					j.invalid(here.Child("nodeName"), *n, subdomain(*n)...)
				}
			}
		}
		for k, p := range s.Ports {
			here := at.Child("ports").Index(k)
			if p.Name == "" {
				j.require(len(s.Ports) == 1, here.Child("name"), "")
			} else {
				j.invalid(here.Child("name"), p.Name, label(p.Name)...)
			}
			j.invalid(here.Child("port"), p.Port, validation.IsValidPortNum(int(p.Port))...)
			if p.AppProtocol != nil {
				j.invalid(here.Child("appProtocol"), *p.AppProtocol, qualified(*p.AppProtocol)...)
			}
		}
	}
}
