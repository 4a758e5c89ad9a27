package dryrun

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ai-film/ai-film/charttest"
)

// Error is why a rehearsal can't take place, with what helps. It is no fault
// of the chart's.
type Error struct {
	Message string
	Remedy  string
	Err     error // the cause; may be nil
}

func (e *Error) Error() string {
	message := e.Message
	if e.Err != nil {
		message += ": " + e.Err.Error()
	}
	return message + "\n  what helps: " + e.Remedy
}

func (e *Error) Unwrap() error { return e.Err }

// Config is the cluster of a kubeconfig file and a context in it. With "" they
// are what kubectl would take: $KUBECONFIG, else ~/.kube/config, else the
// cluster of the pod that this runs in; and the current context. Errors are of
// type *Error.
func Config(kubeconfig, kubeContext string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: kubeContext}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err == nil {
		return config, nil
	}
	if kubeconfig == "" && kubeContext == "" && clientcmd.IsEmptyConfig(err) {
		return nil, &Error{Message: "there is no cluster to rehearse on: no kubeconfig was found",
			Remedy: "start one (make up, kind create cluster), and name its kubeconfig with --kubeconfig or $KUBECONFIG"}
	}
	return nil, &Error{Message: "the kubeconfig can't be used", Err: err,
		Remedy: "kubectl config get-contexts shows what there is; --kubeconfig and --kube-context choose"}
}

const (
	reachTimeout   = 10 * time.Second // for the first answer
	requestTimeout = 30 * time.Second // for each after it; webhooks may take 30 s by themselves
)

// oldest is the first Kubernetes whose field validation is generally available.
var oldest = version.MustParseGeneric("1.27")

// Server is an API server to rehearse on.
type Server struct {
	// Each is called after every object, if it isn't nil. Each rehearsal calls
	// it from one goroutine at a time.
	Each func(*charttest.Object)

	host    string
	version string
	client  dynamic.Interface
	kinds   map[schema.GroupVersionKind]kind
	unknown map[schema.GroupVersion]error // groups that could not be discovered
	memo    memo
}

// kind is where objects of a kind are sent.
type kind struct {
	resource   schema.GroupVersionResource
	namespaced bool
}

// Connect asks an API server for its version and for what it serves. Errors
// are of type *Error, or the context's.
func Connect(ctx context.Context, config *rest.Config) (*Server, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // the server has its own limits (priority and fairness); the client's would take seconds a profile
	config.Timeout = requestTimeout
	config.UserAgent = fieldManager
	config.WarningHandler, config.WarningHandlerWithContext = nil, warningsOfRequest{}
	s := &Server{host: config.Host, kinds: map[schema.GroupVersionKind]kind{}, unknown: map[schema.GroupVersion]error{}}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, &Error{Message: "the cluster's address or credentials can't be used", Err: err, Remedy: "correct the kubeconfig"}
	}
	s.client = client
	reach := rest.CopyConfig(config)
	reach.Timeout = reachTimeout
	asking, err := discovery.NewDiscoveryClientForConfig(reach)
	if err != nil {
		return nil, &Error{Message: "the cluster's address or credentials can't be used", Err: err, Remedy: "correct the kubeconfig"}
	}
	found := make(chan error, 1) // discovery takes no context
	go func() { found <- s.discover(asking) }()
	select {
	case err = <-found:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, s.unreachable(err)
	}
	have, err := version.ParseGeneric(s.version)
	if err != nil {
		return nil, &Error{Message: fmt.Sprintf("%s doesn't answer like an API server: its version is %q", s.host, s.version),
			Remedy: "kubectl cluster-info shows the server's address; correct the kubeconfig"}
	}
	if have.LessThan(oldest) {
		return nil, &Error{Message: fmt.Sprintf("the server is Kubernetes %s", s.version),
			Remedy: "rehearse on 1.27 or newer: older ones don't validate fields; without --server all versions can be verified"}
	}
	return s, nil
}

func (s *Server) discover(client *discovery.DiscoveryClient) error {
	info, err := client.ServerVersion()
	if err != nil {
		return err
	}
	s.version = info.GitVersion
	_, lists, err := client.ServerGroupsAndResources()
	var failed *discovery.ErrGroupDiscoveryFailed
	if errors.As(err, &failed) { // an aggregated API that is down is nobody's business unless the chart uses it
		s.unknown = failed.Groups
	} else if err != nil {
		return err
	}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			if !strings.Contains(r.Name, "/") && slices.Contains(r.Verbs, "create") {
				s.kinds[gv.WithKind(r.Kind)] = kind{gv.WithResource(r.Name), r.Namespaced}
			}
		}
	}
	return nil
}

func (s *Server) unreachable(err error) error {
	var timeout net.Error
	switch {
	case apierrors.IsUnauthorized(err):
		return &Error{Message: "the cluster at " + s.host + " doesn't know who asks", Err: err,
			Remedy: "renew the credentials in the kubeconfig (kubectl auth whoami shows whether they work)"}
	case apierrors.IsForbidden(err):
		return &Error{Message: "the cluster at " + s.host + " doesn't tell what it serves", Err: err,
			Remedy: "ask for the ClusterRole system:discovery, which every authenticated user has by default"}
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return &Error{Message: fmt.Sprintf("the cluster at %s doesn't answer within %s", s.host, reachTimeout), Err: err,
			Remedy: "start it, or choose another with --kubeconfig and --kube-context"}
	}
	return &Error{Message: "the cluster at " + s.host + " is not in reach", Err: err,
		Remedy: "start it, or choose another with --kubeconfig and --kube-context"}
}

// Version is the server's, such as "v1.36.3".
func (s *Server) Version() string { return s.version }

// Profile is a [charttest.Option]: it renders for the server's version, with
// the API versions that it serves in .Capabilities, as helm install does.
func (s *Server) Profile() charttest.Profile {
	seen := map[string]bool{}
	for gvk := range s.kinds {
		gv := gvk.GroupVersion().String()
		seen[gv], seen[gv+"/"+gvk.Kind] = true, true
	}
	p := charttest.Profile{KubeVersion: s.version}
	for v := range seen {
		p.APIVersions = append(p.APIVersions, v)
	}
	slices.Sort(p.APIVersions)
	return p
}

// warningsOfRequest hands the Warning headers of an answer to the one who sent
// the request.
type warningsOfRequest struct{}

type warningsKey struct{}

func (warningsOfRequest) HandleWarningHeaderWithContext(ctx context.Context, code int, _ string, text string) {
	if list, ok := ctx.Value(warningsKey{}).(*[]string); ok && code == 299 {
		*list = append(*list, text)
	}
}

var dryRun = []string{metav1.DryRunAll}

// fieldManager is who writes, in the server's records of fields and in its log.
const fieldManager = "ai-film-rehearsal"
