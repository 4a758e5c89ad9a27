package dryrun

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// complaint is one thing that the server has against an object.
type complaint struct{ field, message string }

// refused says whether an error is the server's judgement of an object, not
// an accident on the way to it.
func refused(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	code := status.Status().Code
	return code >= 400 && code < 500 && code != 401 && code != 408 && code != 429
}

// invalid says whether validation refused an object. Policies answer with the
// same reason, but name no field.
func invalid(err error) bool {
	return apierrors.IsInvalid(err) && slices.ContainsFunc(complaints(err), func(c complaint) bool { return c.field != "" })
}

// judge makes findings of the server's answer to a request; those that name no
// field are about the given one of what was sent, and for want of an object. It
// returns an error if that was no judgement.
func (r *rehearsal) judge(i int, err error, q request, field, absent string) error {
	switch {
	case err == nil:
		return nil
	case r.denied.note(err):
		return nil
	case !refused(err):
		return r.server.failed("rehearse "+r.render.Objects[i].String(), err)
	}
	if needed := r.unmade(err); needed != "" {
		r.omit(i, "it needs %s, which the chart makes and a dry run doesn't keep", needed)
		return nil
	}
	for _, c := range complaints(err) {
		message := c.message
		if c.field != "" {
			c.field = join(q.at, c.field)
			message = c.field + ": " + message
		} else {
			c.field = join(q.at, field)
		}
		if q.what != "" {
			message = q.what + " are refused: " + message
		}
		f := r.find(i, c.field, "%s", r.asRendered(shorten(message)))
		if absent != "" {
			f.Remedy = lacking(absent)
		}
	}
	return nil
}

// complaints of a refusal, one for each cause.
func complaints(err error) []complaint {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return nil
	}
	var all []complaint
	if d := status.Status().Details; d != nil {
		for _, c := range d.Causes {
			if c.Message != "" {
				all = append(all, complaint{fieldOf(c.Field), c.Message})
			}
		}
	}
	if len(all) == 0 {
		message := messageOf(err)
		field := ""
		if m := goField.FindStringSubmatch(message); m != nil {
			field = m[1]
		}
		all = []complaint{{field, message}}
	}
	return all
}

var (
	// `deployments.apps "web" is forbidden: `, `Service "web" is invalid: `, `Deployment in version "v1" cannot be handled as a Deployment: `
	preamble = regexp.MustCompile(`^(?:[\w.]+ "[^"]*" is (?:forbidden|invalid)|\w+ in version "[^"]*" cannot be handled as a \w+): `)
	goField  = regexp.MustCompile(`Go struct field \w*\.(\S+) of type`)
	unknown  = regexp.MustCompile(`(?:unknown|duplicate) field "([^"]+)"`)
	// A key of a map in brackets, as the server writes it: metadata.labels[app]
	mapKey    = regexp.MustCompile(`\[([^\]0-9][^\]]*)\]`)
	fieldPath = regexp.MustCompile(`^[a-z]\w*(?:\.\w+|\[[^\]]+\])+$`)
)

// messageOf is what the server said without the object's name, which a
// finding has anyhow.
func messageOf(err error) string { return preamble.ReplaceAllString(err.Error(), "") }

// fieldOf is a field's path as charttest writes it.
func fieldOf(field string) string {
	if field == "<nil>" {
		return ""
	}
	return mapKey.ReplaceAllString(field, ".$1")
}

// strictProblems are the fields that strict decoding found, if that is what
// the server has against an object.
func strictProblems(err error) []complaint {
	if err == nil || !strings.Contains(err.Error(), "strict decoding error") && !strings.Contains(err.Error(), "field not declared in schema") {
		return nil
	}
	var all []complaint
	for _, m := range unknown.FindAllStringSubmatch(err.Error(), -1) {
		all = append(all, complaint{m[1], m[0]})
	}
	return all
}

// unmade is the object for want of which a refusal came, if the chart makes it
// and a dry run hence doesn't.
func (r *rehearsal) unmade(err error) string {
	var names []string
	if m := noAccount.FindStringSubmatch(err.Error()); m != nil {
		names = append(names, m[1])
	}
	var status apierrors.APIStatus
	if apierrors.IsNotFound(err) && errors.As(err, &status) && status.Status().Details != nil {
		names = append(names, status.Status().Details.Name)
	}
	for _, name := range names {
		for _, o := range r.render.Objects {
			if o.Name == name && strings.Contains(strings.ToLower(err.Error()), strings.ToLower(o.Kind)) {
				return o.String()
			}
		}
	}
	return ""
}

// asRendered has the chart's own namespaces in a message, not those that stood
// for them: messages are then the same every time.
func (r *rehearsal) asRendered(message string) string {
	for namespace, s := range r.targets {
		if s.own {
			message = strings.ReplaceAll(message, s.name, namespace)
		}
	}
	return message
}

// shorten keeps a message readable: the server repeats whole values.
func shorten(message string) string {
	const most = 1000
	if runes := []rune(message); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return message
}

func join(path, field string) string {
	if path == "" || field == "" || field[0] == '[' {
		return path + field
	}
	return path + "." + field
}

// denials are the rights that the user lacks, each told once.
type denials struct {
	mu   sync.Mutex
	list []string
	user string
}

var denial = regexp.MustCompile(`is forbidden: User "([^"]*)" cannot (\S+) resource "([^"]+)" in API group "([^"]*)" (at the cluster scope|in the namespace "[^"]*")`)

// note remembers that the user may not do something, and says whether that is
// what an error tells.
func (d *denials) note(err error) bool {
	if err == nil || !apierrors.IsForbidden(err) {
		return false
	}
	m := denial.FindStringSubmatch(err.Error())
	if m == nil {
		return false // forbidden by admission
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.user = m[1]
	what := m[3]
	if m[4] != "" {
		what += "." + m[4]
	}
	scope := "in the throw-away namespace"
	if strings.HasPrefix(m[5], "at") {
		scope = "at the cluster scope"
	}
	if line := fmt.Sprintf("%s %s %s", m[2], what, scope); !slices.Contains(d.list, line) {
		d.list = append(d.list, line)
	}
	return true
}

// err is what the user lacks, altogether.
func (d *denials) err(s *Server) error {
	if len(d.list) == 0 {
		return nil
	}
	slices.Sort(d.list)
	return &Error{Message: fmt.Sprintf("user %q of the cluster at %s may not %s", d.user, s.host, strings.Join(d.list, ", nor ")),
		Remedy: "rehearse as a user who may install the chart and make namespaces, as a dry run needs the same rights (--kube-context), or grant these"}
}

// failed is an error for a request that was not answered as it should be.
func (s *Server) failed(doing string, err error) error {
	var denied denials
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case denied.note(err):
		return denied.err(s)
	case errors.Is(err, context.DeadlineExceeded), metav1.StatusReasonTimeout == apierrors.ReasonForError(err):
		return &Error{Message: "the cluster at " + s.host + " took too long to " + doing, Err: err,
			Remedy: "look after the cluster (kubectl get --raw '/readyz?verbose'), or after its admission webhooks, and try again"}
	case strings.Contains(err.Error(), "failed calling webhook"):
		return &Error{Message: "could not " + doing, Err: err,
			Remedy: "mend the webhook's service, or remove its configuration (kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations)"}
	}
	return &Error{Message: "could not " + doing + " at " + s.host, Err: err,
		Remedy: "look after the cluster (kubectl get --raw '/readyz?verbose'), and try again"}
}
