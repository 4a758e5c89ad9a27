package crd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/typed/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// goModule says that definitions are in a Go module.
const goModule = "go:"

// Load reads definitions from sources: files and folders (*.yaml, *.yml and
// *.json, folders below too), and Go modules as go:MODULE@VERSION[/FOLDER],
// which the go command fetches.
func Load(ctx context.Context, sources ...string) (*Schemas, error) {
	s := new(Schemas)
	for _, source := range sources {
		if err := s.load(ctx, source); err != nil {
			return nil, fmt.Errorf("schemas %s: %w", source, err)
		}
	}
	return s, nil
}

func (s *Schemas) load(ctx context.Context, source string) error {
	path := source
	if module, ok := strings.CutPrefix(source, goModule); ok {
		var err error
		if path, err = inModule(ctx, module); err != nil {
			return err
		}
	}
	before := len(s.text)
	err := filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch filepath.Ext(file) {
		case ".yaml", ".yml", ".json":
		default:
			if file != path {
				return nil
			}
		}
		data, err := os.ReadFile(file)
		if err == nil {
			s.Add(file, string(data))
		}
		return err
	})
	if err == nil && len(s.text) == before {
		err = errors.New("there is no CustomResourceDefinition in it")
	}
	return err
}

// inModule is a folder of a module, fetched if need be.
func inModule(ctx context.Context, module string) (string, error) {
	path, rest, ok := strings.Cut(module, "@")
	if !ok {
		return "", errors.New("want go:MODULE@VERSION[/FOLDER]")
	}
	version, folder, _ := strings.Cut(rest, "/")
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", path+"@"+version)
	cmd.Dir = os.TempDir() // outside of any module, whose vendor folder or replacements would count
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	failed := cmd.Run()
	if errors.Is(failed, exec.ErrNotFound) {
		return "", errors.New("the go command fetches modules: install Go, https://go.dev/dl")
	}
	var fetched struct{ Dir, Error string }
	if err := json.Unmarshal(out.Bytes(), &fetched); err != nil {
		return "", fmt.Errorf("go mod download: %w: %s", errors.Join(failed, err), strings.TrimSpace(said.String()))
	}
	if fetched.Error != "" {
		return "", fmt.Errorf("go mod download: %s", fetched.Error)
	}
	return filepath.Join(fetched.Dir, filepath.FromSlash(folder)), nil
}

// FromCluster adds the definitions that a cluster has. The user must be allowed
// to list them.
func (s *Schemas) FromCluster(ctx context.Context, config *rest.Config) error {
	client, err := apiextensionsclient.NewForConfig(config)
	if err != nil {
		return err
	}
	list, err := client.CustomResourceDefinitions().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("reading the cluster's definitions of custom resources: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.have == nil {
		s.have = map[string]*definition{}
	}
	for i := range list.Items {
		d, err := internal(&list.Items[i])
		if err != nil {
			return err
		}
		if key := d.Spec.Group + "/" + d.Spec.Names.Kind; s.have[key] == nil {
			s.have[key] = &definition{from: "the cluster", crd: d}
		}
	}
	return nil
}
