package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"strings"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/ai-film/ai-film/charttest/dryrun"
	"github.com/ai-film/ai-film/charttest/internal/ct"
	"github.com/ai-film/ai-film/charttest/verify"
)

// gitPrefix says that --against names a commit.
const gitPrefix = "git:"

// whatAgainst is what --against names: a commit, a folder or archive if there
// is one, else a release of the cluster. done clears away what was made for it.
func (v *verification) whatAgainst(ctx context.Context, chart string) (against *verify.Against, done func(), err error) {
	done = func() {}
	if ref, ok := strings.CutPrefix(v.against, gitPrefix); ok {
		dir, err := os.MkdirTemp("", "against")
		if err != nil {
			return nil, done, err
		}
		done = func() { _ = os.RemoveAll(dir) }
		before, err := ct.Checkout(ctx, chart, ref, dir)
		if err != nil {
			done()
			return nil, func() {}, &verify.Error{Source: "--against " + v.against, Err: err}
		}
		if before == "" { // a new chart
			return nil, done, nil
		}
		return &verify.Against{Chart: before}, done, nil
	}
	if _, err := os.Stat(v.against); err == nil {
		return &verify.Against{Chart: v.against}, done, nil
	}
	if verify.LooksLikePath(v.against) {
		return nil, done, &verify.Error{Source: "--against " + v.against, Err: errors.New("there is no such folder or archive")}
	}
	cluster, err := dryrun.Config(v.kubeconfig, v.context())
	if err != nil {
		return nil, done, &verify.Error{Source: "--against " + v.against, Err: err}
	}
	namespace := cmp.Or(v.namespace, os.Getenv("HELM_NAMESPACE"))
	if namespace == "" {
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		rules.ExplicitPath = v.kubeconfig
		loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: v.context()})
		if namespace, _, err = loaded.Namespace(); err != nil {
			return nil, done, &verify.Error{Source: "--against " + v.against, Err: err}
		}
	}
	return &verify.Against{Release: v.against, Namespace: namespace, Cluster: cluster}, done, nil
}

// context is that of the kubeconfig. Helm keeps flags like --kube-context from
// its plugins and tells them by variables.
func (v *verification) context() string {
	return cmp.Or(v.kubeContext, os.Getenv("HELM_KUBECONTEXT"))
}
