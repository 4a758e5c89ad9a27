package main

import (
	"errors"
	"os"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/ai-film/ai-film/charttest/dryrun"
	"github.com/ai-film/ai-film/charttest/verify"
)

// whatAgainst is what --against names: a folder or archive if there is one,
// else a release of the cluster.
func whatAgainst(name, namespace, kubeconfig, kubeContext string) (*verify.Against, error) {
	if _, err := os.Stat(name); err == nil {
		return &verify.Against{Chart: name}, nil
	}
	if verify.LooksLikePath(name) {
		return nil, &verify.AgainstError{What: name, Err: errors.New("there is no such folder or archive")}
	}
	cluster, err := dryrun.Config(kubeconfig, kubeContext)
	if err != nil {
		return nil, &verify.AgainstError{What: name, Err: err}
	}
	if namespace == "" {
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		rules.ExplicitPath = kubeconfig
		loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: kubeContext})
		if namespace, _, err = loaded.Namespace(); err != nil {
			return nil, &verify.AgainstError{What: name, Err: err}
		}
	}
	return &verify.Against{Release: name, Namespace: namespace, Cluster: cluster}, nil
}
