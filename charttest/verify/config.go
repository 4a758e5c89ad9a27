package verify

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/crd"
	"github.com/ai-film/ai-film/charttest/internal/rehearsed"
	"github.com/ai-film/ai-film/charttest/policy"
)

// ConfigFile is where a chart keeps its verify configuration, from the chart's
// folder. It may name files of the chart; list it in .helmignore.
const ConfigFile = ".verify.yaml"

// Config says what a chart is verified with and what is known of the clusters
// it is for. The zero Config verifies all profiles for the newest Kubernetes
// versions.
type Config struct {
	// KubeVersions to render for; charttest.KubeVersions if empty.
	KubeVersions []string `json:"kubeVersions,omitempty"`
	// APIVersions that clusters have beyond Kubernetes' own.
	APIVersions []string `json:"apiVersions,omitempty"`
	// Helm is the major version of Helm to render as: 3, also if 0, or 4.
	Helm int `json:"helm,omitempty"`
	// Release and Namespace to render as; "release-name" in "default" if empty.
	Release   string `json:"release,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	// Schemas are where definitions of custom resources are, beside those that
	// the chart brings: files and folders, from the chart's folder, and Go modules
	// as go:MODULE@VERSION[/FOLDER]. See package crd.
	Schemas []string `json:"schemas,omitempty"`
	// Cluster is what is known of every cluster.
	Cluster check.Cluster `json:"cluster,omitempty"`
	// Profiles by name, beyond those in the chart's values/ and ci/ folders or
	// with more to say of them.
	Profiles map[string]Profile `json:"profiles,omitempty"`
	// Suppress lists findings that are known and accepted.
	Suppress []Suppression `json:"suppress,omitempty"`
	// Values asks for findings about values: dead ones, undeclared ones, and
	// those whose wrong types the schema lets pass.
	Values bool `json:"values,omitempty"`
	// Coverage is the share of template branches, in percent, that the profiles
	// must execute; 0 asks for none.
	Coverage float64 `json:"coverage,omitempty"`

	// Rules are checks of one expression in CEL each.
	Rules []policy.Rule `json:"rules,omitempty"`
	// Policies are files, from the chart's folder, with Kubernetes' own
	// ValidatingAdmissionPolicies, their bindings and their parameters. Patterns
	// are those of filepath.Glob.
	Policies []string `json:"policies,omitempty"`
	// Checks of one's own in Go, run beside those of package check.
	Checks []*check.Check `json:"-"`
	// SchemasOf is a cluster whose definitions of custom resources count, after
	// those of Schemas; none if nil. Those of Server count without being named.
	SchemasOf *rest.Config `json:"-"`
	// Server is an API server to rehearse every profile on; none if nil. See
	// package dryrun.
	Server *rest.Config `json:"-"`
	// Against is what an upgrade to the chart would start from; none is looked
	// at if it is nil.
	Against *Against `json:"-"`
	// Repository are findings of the Rules "version-increment" and "maintainers",
	// which take a look at the repository around the chart; nil if nobody looked.
	Repository []check.Finding `json:"-"`
	// Progress, if not nil, is told how many of how many renders have been
	// verified, then how many of how many objects have been rehearsed.
	Progress func(done, total int, of string) `json:"-"`
}

// Profile is one set of values and the cluster that it is for.
type Profile struct {
	// Files are values files, from the chart's folder. Empty: the profile of
	// that name that ships with the chart.
	Files []string `json:"files,omitempty"`
	// Values are laid over the files.
	Values map[string]any `json:"values,omitempty"`
	// APIVersions adds to those that clusters have.
	APIVersions []string `json:"apiVersions,omitempty"`
	// Cluster adds to what is known of every cluster.
	Cluster check.Cluster `json:"cluster,omitempty"`
}

// Suppression accepts findings of one check.
type Suppression struct {
	Check  string `json:"check"`            // name of the check
	Object string `json:"object,omitempty"` // pattern of path.Match for "Kind/name"; "" for all
	Reason string `json:"reason"`           // why it is accepted; required
}

func (s Suppression) matches(f check.Finding) bool {
	if s.Check != f.Check {
		return false
	}
	if s.Object == "" {
		return true
	}
	ok, _ := path.Match(s.Object, f.Object)
	return ok
}

// Accepts is the reason why a finding is accepted; "" if it isn't.
func (c Config) Accepts(f check.Finding) string {
	for _, s := range c.Suppress {
		if s.matches(f) {
			return s.Reason
		}
	}
	return ""
}

// Error is why a verification can't take place: something is wrong in a
// configuration file, or there is nothing to compare with.
type Error struct {
	Source string // the file, or "--against NAME"
	Err    error
}

func (e *Error) Error() string { return e.Source + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// LoadConfig reads a configuration file. With file "" it reads the chart's
// own, if it has one. It may speak of checks of one's own, which are then in
// the Config. Errors are of type [*Error].
func LoadConfig(chartDir, file string, own ...*check.Check) (Config, error) {
	c := Config{Checks: own}
	optional := file == ""
	if optional {
		file = filepath.Join(chartDir, ConfigFile)
	}
	data, err := os.ReadFile(file)
	if optional && (errors.Is(err, fs.ErrNotExist) || err != nil && isArchive(chartDir)) {
		return c, nil
	}
	if err != nil {
		return c, &Error{file, err}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return c, nil
	}
	if err := yaml.UnmarshalStrict(data, &c); err != nil {
		return c, &Error{file, err}
	}
	if c.Helm != 0 && c.Helm != 3 && c.Helm != 4 {
		return c, &Error{file, fmt.Errorf("helm: %d: 3 or 4", c.Helm)}
	}
	if err := c.podSecurity(); err != nil {
		return c, &Error{file, err}
	}
	known := map[string]bool{}
	checks, err := c.checks(chartDir, nil)
	if err != nil {
		return c, &Error{file, err.(*Error).Err}
	}
	for _, k := range slices.Concat(checks, Rules, rehearsed.All()) {
		known[k.Name] = true
	}
	for i, s := range c.Suppress {
		if !known[s.Check] {
			return c, &Error{file, fmt.Errorf("suppress[%d]: there is no check %q (charttest verify --list shows them)", i, s.Check)}
		}
		if s.Reason == "" {
			return c, &Error{file, fmt.Errorf("suppress[%d]: a suppression of %q needs a reason", i, s.Check)}
		}
		if _, err := path.Match(s.Object, ""); err != nil {
			return c, &Error{file, fmt.Errorf("suppress[%d]: object %q: %w", i, s.Object, err)}
		}
	}
	return c, nil
}

// podSecurity says whether the levels asked for are levels.
func (c Config) podSecurity() error {
	levels := map[string]string{"cluster": c.Cluster.PodSecurity}
	for name, p := range c.Profiles {
		levels["profiles."+name+".cluster"] = p.Cluster.PodSecurity
	}
	for _, at := range sortedKeys(levels) {
		switch levels[at] {
		case "", "restricted", "baseline", "privileged":
		default:
			return fmt.Errorf("%s.podSecurity: %q is no level of Pod Security: those are restricted, baseline and privileged", at, levels[at])
		}
	}
	return nil
}

// checks are those that are run over renders of the chart in a folder. Errors
// are of type *Error.
func (c Config) checks(chartDir string, schemas *crd.Schemas) ([]*check.Check, error) {
	all := append(Checks(schemas), c.Checks...)
	for _, r := range c.Rules {
		made, err := r.Check()
		if err != nil {
			return nil, &Error{ConfigFile, err}
		}
		all = append(all, made)
	}
	var files []string
	for _, f := range c.Policies {
		if !filepath.IsAbs(f) {
			f = filepath.Join(chartDir, f)
		}
		files = append(files, f)
	}
	policies, err := policy.Load(files...)
	if err != nil {
		return nil, &Error{ConfigFile, err}
	}
	all = append(all, policies...)
	names := map[string]bool{}
	for _, k := range append(slices.Clone(all), Rules...) {
		if names[k.Name] {
			return nil, &Error{ConfigFile, fmt.Errorf("there are two checks %q: call a rule or policy otherwise", k.Name)}
		}
		names[k.Name] = true
	}
	return all, nil
}

// Checks are those of package check and that of package crd, whose schemas may
// be nil.
func Checks(schemas *crd.Schemas) []*check.Check { return append(check.All(), schemas.Check()) }

// schemas reads the definitions of custom resources.
func (c Config) schemas(ctx context.Context, chart string) (*crd.Schemas, error) {
	sources := slices.Clone(c.Schemas)
	for i, source := range sources {
		if !strings.HasPrefix(source, "go:") && !filepath.IsAbs(source) {
			sources[i] = filepath.Join(chart, filepath.FromSlash(source))
		}
	}
	schemas, err := crd.Load(ctx, sources...)
	if err != nil {
		return nil, err
	}
	if c.SchemasOf != nil {
		return schemas, schemas.FromCluster(ctx, c.SchemasOf)
	}
	if c.Server != nil {
		if err := schemas.FromCluster(ctx, c.Server); err != nil && !apierrors.IsForbidden(err) {
			return nil, err
		}
	}
	return schemas, nil
}

// as is the version of Helm to load charts for.
func (c Config) as() charttest.LoadOption { return charttest.Helm(cmp.Or(c.Helm, 3)) }

func isArchive(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// ProfilesOf are the chart's, as the configuration has them.
func (c Config) ProfilesOf(chart *charttest.Chart) []charttest.Profile {
	all := chart.Profiles()
	have := map[string]int{}
	for i, p := range all {
		have[p.Name] = i
	}
	for _, name := range sortedKeys(c.Profiles) {
		p := c.Profiles[name]
		i, ok := have[name]
		if !ok {
			all = append(all, charttest.Profile{Name: name})
			i = len(all) - 1
		}
		if len(p.Files) > 0 {
			all[i].Files = nil
			for _, f := range p.Files {
				if !filepath.IsAbs(f) {
					f = filepath.Join(chart.Path(), f)
				}
				all[i].Files = append(all[i].Files, f)
			}
		}
		all[i].Values = p.Values
	}
	for i := range all {
		all[i].Release, all[i].Namespace, all[i].Discovered = c.Release, c.Namespace, true
		all[i].APIVersions = append(slices.Clone(c.APIVersions), c.Profiles[all[i].Name].APIVersions...)
	}
	return all
}

// ClusterOf is what is known of a profile's cluster.
func (c Config) ClusterOf(profile string) check.Cluster {
	known, own := c.Cluster, c.Profiles[profile].Cluster
	known.External = append(append([]string{}, known.External...), own.External...)
	if len(own.Nodes) > 0 {
		known.Nodes = own.Nodes
	}
	if len(own.StorageClasses) > 0 {
		known.StorageClasses = own.StorageClasses
	}
	if own.PodSecurity != "" {
		known.PodSecurity = own.PodSecurity
	}
	return known
}
