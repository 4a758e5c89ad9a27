package rehearse

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/action"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/cli/values"
	"helm.sh/helm/v3/pkg/getter"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest"
)

// hookPatience is longer than any hook takes on simulated nodes; one that never
// ends is noticed by nothing happening.
const hookPatience = 24 * time.Hour

// helm is Helm itself, for one release.
type helm struct {
	config             action.Configuration
	release, namespace string
}

func newHelm(c *cluster, release, namespace string) (*helm, error) {
	flags := genericclioptions.NewConfigFlags(true)
	cache := filepath.Join(filepath.Dir(c.kubeconfig), "discovery")
	flags.KubeConfig, flags.Namespace, flags.CacheDir = &c.kubeconfig, &namespace, &cache
	flags.WrapConfigFn = func(config *rest.Config) *rest.Config {
		config.WarningHandler = rest.NoWarnings{}
		return config
	}
	h := &helm{release: release, namespace: namespace}
	return h, h.config.Init(flags, namespace, "secret", func(string, ...any) {})
}

// load reads a chart and the values of a profile as helm install does.
func load(path string, p charttest.Profile) (*helmchart.Chart, map[string]any, error) {
	chart, err := loader.Load(path)
	if err != nil {
		return nil, nil, err
	}
	from := values.Options{ValueFiles: p.Files}
	merged, err := from.MergeValues(getter.Providers{{Schemes: []string{"http", "https"}, New: getter.NewHTTPGetter}})
	if err != nil {
		return nil, nil, err
	}
	own, err := plain(p.Values)
	if err != nil {
		return nil, nil, err
	}
	return chart, chartutil.CoalesceTables(own, merged), nil
}

// plain is a copy with the types that YAML gives.
func plain(v map[string]any) (map[string]any, error) {
	data, err := sigsyaml.Marshal(v)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	return out, sigsyaml.Unmarshal(data, &out)
}

func (h *helm) install(ctx context.Context, path string, p charttest.Profile) error {
	chart, values, err := load(path, p)
	if err != nil {
		return err
	}
	i := action.NewInstall(&h.config)
	i.ReleaseName, i.Namespace, i.Timeout, i.DisableOpenAPIValidation = h.release, h.namespace, hookPatience, true
	_, err = i.RunWithContext(ctx, chart, values)
	return err
}

// upgrade upgrades the release. With a stamp every pod's template is changed,
// as by new images.
func (h *helm) upgrade(ctx context.Context, path string, p charttest.Profile, stamp string) error {
	chart, values, err := load(path, p)
	if err != nil {
		return err
	}
	u := action.NewUpgrade(&h.config)
	u.Namespace, u.Timeout, u.DisableOpenAPIValidation = h.namespace, hookPatience, true
	if stamp != "" {
		u.PostRenderer = stamped(stamp)
	}
	_, err = u.RunWithContext(ctx, h.release, chart, values)
	return err
}

func (h *helm) rollback(ctx context.Context, to int) error {
	r := action.NewRollback(&h.config)
	r.Version, r.Timeout = to, hookPatience
	return inBackground(ctx, func() error { return r.Run(h.release) })
}

func (h *helm) uninstall(ctx context.Context) error {
	u := action.NewUninstall(&h.config)
	u.Timeout, u.DeletionPropagation = hookPatience, "background"
	return inBackground(ctx, func() error {
		_, err := u.Run(h.release)
		if errors.Is(err, driver.ErrReleaseNotFound) {
			return nil
		}
		return err
	})
}

// manifest is that of a revision, without its hooks; of the latest for 0.
func (h *helm) manifest(revision int) (string, error) {
	get := action.NewGet(&h.config)
	get.Version = revision
	r, err := get.Run(h.release)
	if err != nil {
		return "", err
	}
	return r.Manifest, nil
}

// inBackground is for those of Helm's actions that take no context.
func inBackground(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stamped is a post-renderer that gives every template of pods an annotation.
type stamped string

func (s stamped) Run(in *bytes.Buffer) (*bytes.Buffer, error) {
	var out bytes.Buffer
	r := yaml.NewYAMLReader(bufio.NewReader(in))
	for {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return &out, nil
		}
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(string(doc)) == "" {
			continue
		}
		var o map[string]any
		if err := sigsyaml.Unmarshal(doc, &o); err != nil {
			return nil, err
		}
		switch o["kind"] {
		case "Deployment", "StatefulSet", "DaemonSet":
			if spec, ok := o["spec"].(map[string]any); ok {
				if template, ok := spec["template"].(map[string]any); ok {
					annotate(template, string(s))
					if doc, err = sigsyaml.Marshal(o); err != nil {
						return nil, err
					}
				}
			}
		}
		fmt.Fprintf(&out, "---\n%s\n", doc)
	}
}

func annotate(template map[string]any, stamp string) {
	metadata, ok := template["metadata"].(map[string]any)
	if !ok {
		metadata = map[string]any{}
		template["metadata"] = metadata
	}
	annotations, ok := metadata["annotations"].(map[string]any)
	if !ok {
		annotations = map[string]any{}
		metadata["annotations"] = annotations
	}
	annotations["charttest.dev/rehearsal"] = stamp
}
