package helmtemplate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/postrender"

	"github.com/ai-film/ai-film/charttest/internal/engine"
)

// printout is what a command has to print.
type printout struct {
	manifest string
	hooks    []engine.Manifest
}

// failedPrintout is what --debug prints of a render that failed after
// templates had run, and nil if it failed before.
func failedPrintout(err error) *printout {
	var broken *engine.RenderError
	var failure *engine.Failure
	switch {
	case errors.As(err, &broken):
		return &printout{manifest: broken.Text}
	case errors.As(err, &failure) && failure.Reason != engine.Misnamed:
		return &printout{}
	}
	return nil
}

func (t *command) print(o *printout) error {
	var manifests bytes.Buffer
	fmt.Fprintln(&manifests, strings.TrimSpace(o.manifest))
	if !t.client.DisableHooks {
		written := make(map[string]bool)
		for _, h := range o.hooks {
			if t.skipTests && h.Hook.IsTest() {
				continue
			}
			if t.client.OutputDir == "" {
				h.Write(&manifests)
				continue
			}
			dir := t.outputDir()
			if _, err := os.Stat(filepath.Join(dir, h.Template)); err == nil {
				written[h.Template] = true
			}
			if err := t.writeFile(dir, h, written[h.Template]); err != nil {
				return err
			}
		}
	}
	if len(t.showOnly) == 0 {
		_, err := manifests.WriteTo(t.out)
		return err
	}
	return t.printOnly(manifests.String())
}

var sourceLine = regexp.MustCompile("# Source: [^/]+/(.+)")

// printOnly prints the documents of the templates that --show-only names.
func (t *command) printOnly(manifests string) error {
	documents := engine.SplitDocuments(engine.Helm(t.helm), manifests)
	var shown []string
	for _, pattern := range t.showOnly {
		pattern = filepath.ToSlash(pattern)
		missing := true
		for _, document := range documents {
			name := sourceLine.FindStringSubmatch(document)
			if name == nil {
				continue
			}
			if ok, _ := filepath.Match(pattern, name[1]); ok {
				shown = append(shown, document)
				missing = false
			}
		}
		if missing {
			return fmt.Errorf("could not find template %s in chart", pattern)
		}
	}
	for _, m := range shown {
		fmt.Fprintf(t.out, "---\n%s\n", m)
	}
	return nil
}

func (t *command) outputDir() string {
	if t.client.UseReleaseName {
		return filepath.Join(t.client.OutputDir, t.client.ReleaseName)
	}
	return t.client.OutputDir
}

// writeManifests writes the documents into --output-dir, a file a template.
func (t *command) writeManifests(r *engine.Result) error {
	written := make(map[string]bool)
	if r.IncludeCRDs {
		for _, crd := range r.CRDs { // never below the release's name
			if err := t.writeFile(t.client.OutputDir, crd.Manifest(), written[crd.Template]); err != nil {
				return err
			}
			written[crd.Template] = true
		}
	}
	for _, m := range r.Manifests {
		if err := t.writeFile(t.outputDir(), m, written[m.Template]); err != nil {
			return err
		}
		written[m.Template] = true
	}
	return nil
}

func (t *command) writeFile(dir string, m engine.Manifest, more bool) error {
	name := strings.Join([]string{dir, m.Template}, string(filepath.Separator))
	if err := os.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	flag := os.O_RDWR | os.O_CREATE | os.O_TRUNC
	if more {
		flag = os.O_APPEND | os.O_WRONLY
	}
	f, err := os.OpenFile(name, flag, 0o666)
	if err != nil {
		return err
	}
	m.Write(f)
	if err := f.Close(); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "wrote %s\n", name)
	return nil
}

// postRenderer are the flags --post-renderer and --post-renderer-args, in
// either order.
type postRenderer struct {
	to   *postrender.PostRenderer
	path string
	args []string
}

func bindPostRenderer(f *pflag.FlagSet, to *postrender.PostRenderer) {
	p := &postRenderer{to: to}
	f.Var((*postRendererPath)(p), "post-renderer", "the path to an executable to be used for post rendering. If it exists in $PATH, the binary will be used, otherwise it will try to look for the executable at the given path")
	f.Var((*postRendererArgs)(p), "post-renderer-args", "an argument to the post-renderer (can specify multiple)")
}

func (p *postRenderer) set() error {
	if p.path == "" {
		return nil
	}
	r, err := postrender.NewExec(p.path, p.args...)
	if err != nil {
		return err
	}
	*p.to = r
	return nil
}

type postRendererPath postRenderer

func (p *postRendererPath) String() string { return p.path }
func (p *postRendererPath) Type() string   { return "postRendererString" }
func (p *postRendererPath) Set(v string) error {
	if v == "" {
		return nil
	}
	p.path = v
	return (*postRenderer)(p).set()
}

type postRendererArgs postRenderer

func (p *postRendererArgs) String() string { return "[" + strings.Join(p.args, ",") + "]" }
func (p *postRendererArgs) Type() string   { return "postRendererArgsSlice" }
func (p *postRendererArgs) Set(v string) error {
	p.args = append(p.args, v)
	return (*postRenderer)(p).set()
}

// tlsClient is the HTTP client for registries with certificates of their own.
func tlsClient(cert, key, ca string, insecure bool) (*http.Client, error) {
	config := &tls.Config{InsecureSkipVerify: insecure}
	if cert != "" && key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("unable to load cert from files: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("can't read CA file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("failed to append certificates from file: %s", ca)
		}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment}}, nil
}
