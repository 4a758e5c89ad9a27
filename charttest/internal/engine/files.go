package engine

import (
	"encoding/base64"
	"path"
	"strings"

	"github.com/gobwas/glob"
	"helm.sh/helm/v3/pkg/chart"
)

// files is what templates see as .Files: the chart's files by name. Its
// methods are Helm's, whose type is private.
type files map[string][]byte

func newFiles(from []*chart.File) files {
	f := make(files, len(from))
	for _, file := range from {
		f[file.Name] = file.Data
	}
	return f
}

// GetBytes returns the file's content, empty if there is no such file.
func (f files) GetBytes(name string) []byte {
	if v, ok := f[name]; ok {
		return v
	}
	return []byte{}
}

// Get returns the file's content, empty if there is no such file.
func (f files) Get(name string) string { return string(f.GetBytes(name)) }

// Glob returns the files whose names match the pattern.
func (f files) Glob(pattern string) files {
	g, err := glob.Compile(pattern, '/')
	if err != nil {
		g, _ = glob.Compile("**")
	}
	matched := make(files)
	for name, data := range f {
		if g.Match(name) {
			matched[name] = data
		}
	}
	return matched
}

// AsConfig renders the files as a ConfigMap's data, by base name.
func (f files) AsConfig() string {
	if f == nil {
		return ""
	}
	return toYAML(f.byBase(func(data []byte) string { return string(data) }))
}

// AsSecrets renders the files as a Secret's data, by base name.
func (f files) AsSecrets() string {
	if f == nil {
		return ""
	}
	return toYAML(f.byBase(base64.StdEncoding.EncodeToString))
}

func (f files) byBase(encode func([]byte) string) map[string]string {
	m := make(map[string]string, len(f))
	for name, data := range f {
		m[path.Base(name)] = encode(data)
	}
	return m
}

// Lines returns the file's lines.
func (f files) Lines(name string) []string {
	if f == nil || len(f[name]) == 0 {
		return []string{}
	}
	return strings.Split(strings.TrimSuffix(string(f[name]), "\n"), "\n")
}
