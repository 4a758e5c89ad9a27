// Package helmtemplate is «helm template», flags and output, with our renderer
// in it.
package helmtemplate

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/cli/values"
	"helm.sh/helm/v3/pkg/downloader"
	"helm.sh/helm/v3/pkg/getter"
	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/registry"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/client-go/util/homedir"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// command is «helm template» with this package's renderer in it.
type command struct {
	out       io.Writer
	settings  *cli.EnvSettings
	config    *action.Configuration
	client    *action.Install
	values    values.Options
	kube      string
	apis      []string
	showOnly  []string
	validate  bool
	crds      bool
	skipTests bool
	helm      int
}

// AddFlags gives cmd the flags of «helm template», those that all of
// Helm's commands share included, and makes it print the same.
//
// Charts are located, downloaded and verified by Helm's code; --validate and
// --dry-run=server, which ask a cluster, are Helm's altogether.
func AddFlags(cmd *cobra.Command) {
	t := &command{settings: cli.New(), config: new(action.Configuration)}
	t.client = action.NewInstall(t.config)
	t.settings.AddFlags(cmd.Flags())
	t.addInstallFlags(cmd.Flags())
	t.addTemplateFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t.out = cmd.OutOrStdout()
		return t.run(args)
	}
}

func (t *command) addTemplateFlags(f *pflag.FlagSet) {
	f.StringArrayVarP(&t.showOnly, "show-only", "s", []string{}, "only show manifests rendered from the given templates")
	f.StringVar(&t.client.OutputDir, "output-dir", "", "writes the executed templates to files in output-dir instead of stdout")
	f.BoolVar(&t.validate, "validate", false, "validate your manifests against the Kubernetes cluster you are currently pointing at. This is the same validation performed on an install")
	f.BoolVar(&t.crds, "include-crds", false, "include CRDs in the templated output")
	f.BoolVar(&t.skipTests, "skip-tests", false, "skip tests from templated output")
	f.BoolVar(&t.client.IsUpgrade, "is-upgrade", false, "set .Release.IsUpgrade instead of .Release.IsInstall")
	f.StringVar(&t.kube, "kube-version", "", "Kubernetes version used for Capabilities.KubeVersion")
	f.StringSliceVarP(&t.apis, "api-versions", "a", []string{}, "Kubernetes api versions used for Capabilities.APIVersions")
	f.BoolVar(&t.client.UseReleaseName, "release-name", false, "use release name in the output-dir path.")
	bindPostRenderer(f, &t.client.PostRenderer)
	f.IntVar(&t.helm, "helm", 3, "major version of Helm to render as: 3 or 4")
}

// addInstallFlags adds the flags that «helm template» has from «helm install».
// Those that only matter to an installation are taken and have no effect, as
// under Helm.
func (t *command) addInstallFlags(f *pflag.FlagSet) {
	c, v := t.client, &t.values
	f.BoolVar(&c.CreateNamespace, "create-namespace", false, "create the release namespace if not present")
	f.StringVar(&c.DryRunOption, "dry-run", "", "simulate an install. If --dry-run is set with no option being specified or as '--dry-run=client', it will not attempt cluster connections. Setting '--dry-run=server' allows attempting cluster connections.")
	f.Lookup("dry-run").NoOptDefVal = "client"
	f.BoolVar(&c.Force, "force", false, "force resource updates through a replacement strategy")
	f.BoolVar(&c.DisableHooks, "no-hooks", false, "prevent hooks from running during install")
	f.BoolVar(&c.Replace, "replace", false, "re-use the given name, only if that name is a deleted release which remains in the history. This is unsafe in production")
	f.DurationVar(&c.Timeout, "timeout", 300*time.Second, "time to wait for any individual Kubernetes operation (like Jobs for hooks)")
	f.BoolVar(&c.Wait, "wait", false, "if set, will wait until all Pods, PVCs, Services, and minimum number of Pods of a Deployment, StatefulSet, or ReplicaSet are in a ready state before marking the release as successful. It will wait for as long as --timeout")
	f.BoolVar(&c.WaitForJobs, "wait-for-jobs", false, "if set and --wait enabled, will wait until all Jobs have been completed before marking the release as successful. It will wait for as long as --timeout")
	f.BoolVarP(&c.GenerateName, "generate-name", "g", false, "generate the name (and omit the NAME parameter)")
	f.StringVar(&c.NameTemplate, "name-template", "", "specify template used to name the release")
	f.StringVar(&c.Description, "description", "", "add a custom description")
	f.BoolVar(&c.Devel, "devel", false, "use development versions, too. Equivalent to version '>0.0.0-0'. If --version is set, this is ignored")
	f.BoolVar(&c.DependencyUpdate, "dependency-update", false, "update dependencies if they are missing before installing the chart")
	f.BoolVar(&c.DisableOpenAPIValidation, "disable-openapi-validation", false, "if set, the installation process will not validate rendered templates against the Kubernetes OpenAPI Schema")
	f.BoolVar(&c.Atomic, "atomic", false, "if set, the installation process deletes the installation on failure. The --wait flag will be set automatically if --atomic is used")
	f.BoolVar(&c.SkipCRDs, "skip-crds", false, "if set, no CRDs will be installed. By default, CRDs are installed if not already present")
	f.BoolVar(&c.SubNotes, "render-subchart-notes", false, "if set, render subchart notes along with the parent")
	f.BoolVar(&c.SkipSchemaValidation, "skip-schema-validation", false, "if set, disables JSON schema validation")
	f.StringToStringVarP(&c.Labels, "labels", "l", nil, "Labels that would be added to release metadata. Should be divided by comma.")
	f.BoolVar(&c.EnableDNS, "enable-dns", false, "enable DNS lookups when rendering templates")
	f.BoolVar(&c.HideNotes, "hide-notes", false, "if set, do not show notes in install output. Does not affect presence in chart metadata")
	f.BoolVar(&c.TakeOwnership, "take-ownership", false, "if set, install will ignore the check for helm annotations and take ownership of the existing resources")

	f.StringSliceVarP(&v.ValueFiles, "values", "f", []string{}, "specify values in a YAML file or a URL (can specify multiple)")
	f.StringArrayVar(&v.Values, "set", []string{}, "set values on the command line (can specify multiple or separate values with commas: key1=val1,key2=val2)")
	f.StringArrayVar(&v.StringValues, "set-string", []string{}, "set STRING values on the command line (can specify multiple or separate values with commas: key1=val1,key2=val2)")
	f.StringArrayVar(&v.FileValues, "set-file", []string{}, "set values from respective files specified via the command line (can specify multiple or separate values with commas: key1=path1,key2=path2)")
	f.StringArrayVar(&v.JSONValues, "set-json", []string{}, "set JSON values on the command line (can specify multiple or separate values with commas: key1=jsonval1,key2=jsonval2)")
	f.StringArrayVar(&v.LiteralValues, "set-literal", []string{}, "set a literal STRING value on the command line")

	f.StringVar(&c.Version, "version", "", "specify a version constraint for the chart version to use. This constraint can be a specific tag (e.g. 1.1.1) or it may reference a valid range (e.g. ^2.0.0). If this is not specified, the latest version is used")
	f.BoolVar(&c.Verify, "verify", false, "verify the package before using it")
	f.StringVar(&c.Keyring, "keyring", defaultKeyring(), "location of public keys used for verification")
	f.StringVar(&c.RepoURL, "repo", "", "chart repository url where to locate the requested chart")
	f.StringVar(&c.Username, "username", "", "chart repository username where to locate the requested chart")
	f.StringVar(&c.Password, "password", "", "chart repository password where to locate the requested chart")
	f.StringVar(&c.CertFile, "cert-file", "", "identify HTTPS client using this SSL certificate file")
	f.StringVar(&c.KeyFile, "key-file", "", "identify HTTPS client using this SSL key file")
	f.BoolVar(&c.InsecureSkipTLSverify, "insecure-skip-tls-verify", false, "skip tls certificate checks for the chart download")
	f.BoolVar(&c.PlainHTTP, "plain-http", false, "use insecure HTTP connections for the chart download")
	f.StringVar(&c.CaFile, "ca-file", "", "verify certificates of HTTPS-enabled servers using this CA bundle")
	f.BoolVar(&c.PassCredentialsAll, "pass-credentials", false, "pass credentials to all domains")
}

func defaultKeyring() string {
	if v, ok := os.LookupEnv("GNUPGHOME"); ok {
		return filepath.Join(v, "pubring.gpg")
	}
	return filepath.Join(homedir.HomeDir(), ".gnupg", "pubring.gpg")
}

// asHelm sets what Helm's main sets for its process.
var asHelm = sync.OnceFunc(func() {
	log.SetFlags(log.Lshortfile)
	kube.ManagedFieldsManager = "helm"
})

func (t *command) run(args []string) error {
	if t.helm != 3 && t.helm != 4 {
		return fmt.Errorf("--helm %d: 3 or 4", t.helm)
	}
	if t.helm == 4 && (t.client.PostRenderer != nil || t.asksCluster()) {
		return errors.New("--helm 4 goes without --post-renderer, which takes a plugin in Helm 4, and without asking a cluster")
	}
	asHelm()
	t.client.Namespace = t.settings.Namespace()
	release := engine.Release{APIVersions: t.apis, EnableDNS: t.client.EnableDNS, IncludeCRDs: t.crds,
		SkipSchema: t.client.SkipSchemaValidation, SubNotes: t.client.SubNotes,
		Namespace: t.client.Namespace, KubeVersion: t.kube}
	if t.kube != "" {
		if err := release.Check(); err != nil {
			return err
		}
	}
	reg, err := t.registry()
	if err != nil {
		return fmt.Errorf("missing registry client: %w", err)
	}
	t.client.SetRegistryClient(reg)
	if t.client.DryRunOption == "" {
		t.client.DryRunOption = "true"
	}
	t.client.DryRun, t.client.Replace, t.client.ClientOnly = true, true, !t.validate
	t.client.IncludeCRDs, t.client.APIVersions = t.crds, chartutil.VersionSet(t.apis)
	t.client.ReleaseName = "release-name"
	if t.client.Version == "" && t.client.Devel {
		t.client.Version = ">0.0.0-0"
	}
	name, ref, err := t.client.NameAndChart(args)
	if err != nil {
		return err
	}
	t.client.ReleaseName, release.Name = name, name
	release.Upgrade = t.client.IsUpgrade
	path, err := t.client.LocateChart(ref, t.settings)
	if err != nil {
		return err
	}
	vals, err := t.overrides().Merge()
	if err != nil {
		return err
	}
	ch, err := t.load(path)
	if err != nil {
		return err
	}
	switch t.client.DryRunOption {
	case "false", "true", "none", "client", "server":
	default:
		return errors.New("Invalid dry-run flag. Flag must one of the following: false, true, none, client, server")
	}
	var printed *printout
	if t.asksCluster() {
		printed, err = t.install(path, vals)
	} else {
		printed, err = t.render(ch, vals, release)
	}
	if err != nil && !t.settings.Debug {
		if printed != nil {
			return fmt.Errorf("%w\n\nUse --debug flag to render out invalid YAML", err)
		}
		return err
	}
	if printed != nil {
		if printErr := t.print(printed); printErr != nil {
			return printErr
		}
	}
	return err
}

func (t *command) asksCluster() bool {
	switch t.client.DryRunOption {
	case "server", "none", "false":
		return true
	}
	return t.validate
}

func (t *command) overrides() engine.Overrides {
	v := t.values
	return engine.Overrides{Helm: engine.Helm(t.helm), Getters: t.getters(), Files: v.ValueFiles, JSON: v.JSONValues, Set: v.Values,
		String: v.StringValues, FromFile: v.FileValues, Literal: v.LiteralValues}
}

// load reads the chart and sees to it that its dependencies are there.
func (t *command) load(path string) (*engine.Chart, error) {
	c, err := engine.LoadFor(engine.Helm(t.helm), path)
	if err != nil {
		return nil, err
	}
	switch c.Type() {
	case "", "application":
	default:
		return nil, errors.Errorf("%s charts are not installable", c.Type())
	}
	if c.Deprecated() {
		fmt.Fprintln(os.Stderr, "WARNING: This chart is deprecated")
	}
	if missing := c.Missing(); len(missing) > 0 {
		err := errors.Errorf("found in Chart.yaml, but missing in charts/ directory: %s", strings.Join(missing, ", "))
		advice := "An error occurred while checking for chart dependencies. You may need to run `helm dependency build` to fetch missing dependencies"
		if t.helm == 4 {
			advice = "an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' to fetch missing dependencies"
		}
		err = errors.Wrap(err, advice)
		if !t.client.DependencyUpdate {
			return nil, err
		}
		man := &downloader.Manager{
			Out: t.out, ChartPath: path, Keyring: t.client.Keyring,
			Getters: getter.All(t.settings), RepositoryConfig: t.settings.RepositoryConfig,
			RepositoryCache: t.settings.RepositoryCache, Debug: t.settings.Debug,
			RegistryClient: t.client.GetRegistryClient(),
		}
		if err := man.Update(); err != nil {
			return nil, err
		}
		if c, err = engine.LoadFor(engine.Helm(t.helm), path); err != nil {
			return nil, errors.Wrap(err, "failed reloading chart after repo update")
		}
	}
	return c, nil
}

// render renders without a cluster.
func (t *command) render(c *engine.Chart, vals map[string]any, release engine.Release) (*printout, error) {
	result, err := c.Render(context.Background(), vals, release)
	if driver.ContainsSystemLabels(t.client.Labels) {
		var broken *engine.SchemaError
		if err == nil || !errors.As(err, &broken) {
			return nil, fmt.Errorf("user supplied labels contains system reserved label name. System labels: %+v", driver.GetSystemLabels())
		}
	}
	if err != nil {
		return failedPrintout(err), err
	}
	for _, w := range result.Warnings {
		if !w.Logged() {
			fmt.Fprintln(os.Stderr, w.Text)
		}
	}
	o := &printout{hooks: result.Hooks}
	if t.client.OutputDir != "" {
		if err := t.writeManifests(result); err != nil {
			return o, err
		}
	} else {
		o.manifest = result.Documents()
	}
	if t.client.PostRenderer != nil {
		b, err := t.client.PostRenderer.Run(bytes.NewBufferString(o.manifest))
		if err != nil {
			return o, errors.Wrap(err, "error while running post render on files")
		}
		o.manifest = b.String()
	}
	return o, nil
}

// install runs Helm's own dry run, which asks the cluster.
func (t *command) install(path string, vals map[string]any) (*printout, error) {
	nolog := func(string, ...any) {}
	if err := t.config.Init(t.settings.RESTClientGetter(), t.settings.Namespace(), os.Getenv("HELM_DRIVER"), nolog); err != nil {
		return nil, err
	}
	if t.kube != "" {
		v, err := chartutil.ParseKubeVersion(t.kube)
		if err != nil {
			return nil, err
		}
		t.client.KubeVersion = v
	}
	var ch *chart.Chart
	ch, err := loader.Load(path)
	if err != nil {
		return nil, err
	}
	rel, err := t.client.RunWithContext(context.Background(), ch, vals)
	if rel == nil {
		return nil, err
	}
	o := &printout{manifest: rel.Manifest}
	for _, h := range rel.Hooks {
		m := engine.Manifest{Template: h.Path, Text: h.Manifest, Kind: h.Kind, Name: h.Name, Hook: &engine.Hook{}}
		for _, e := range h.Events {
			m.Hook.Events = append(m.Hook.Events, string(e))
		}
		o.hooks = append(o.hooks, m)
	}
	return o, err
}

// getters are Helm's, by scheme.
func (t *command) getters() map[string]engine.Getter {
	bySchemes := make(map[string]engine.Getter)
	for _, provider := range getter.All(t.settings) {
		for _, scheme := range provider.Schemes {
			if bySchemes[scheme] != nil {
				continue
			}
			bySchemes[scheme] = func(url string) ([]byte, error) {
				g, err := provider.New()
				if err != nil {
					return nil, err
				}
				data, err := g.Get(url, getter.WithURL(url))
				if err != nil {
					return nil, err
				}
				return data.Bytes(), nil
			}
		}
	}
	return bySchemes
}

func (t *command) registry() (*registry.Client, error) {
	c := t.client
	opts := []registry.ClientOption{
		registry.ClientOptDebug(t.settings.Debug),
		registry.ClientOptEnableCache(true),
		registry.ClientOptWriter(os.Stderr),
		registry.ClientOptCredentialsFile(t.settings.RegistryConfig),
		registry.ClientOptBasicAuth(c.Username, c.Password),
	}
	switch {
	case c.CertFile != "" && c.KeyFile != "" || c.CaFile != "" || c.InsecureSkipTLSverify:
		web, err := tlsClient(c.CertFile, c.KeyFile, c.CaFile, c.InsecureSkipTLSverify)
		if err != nil {
			return nil, fmt.Errorf("can't create TLS config for client: %w", err)
		}
		opts = append(opts, registry.ClientOptHTTPClient(web))
	case c.PlainHTTP:
		opts = append(opts, registry.ClientOptPlainHTTP())
	}
	return registry.NewClient(opts...)
}
