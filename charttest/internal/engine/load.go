package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/ignore"
)

// Chart is a chart that was read once and can be rendered many times, also by
// several goroutines at once. It is never changed after Load.
type Chart struct {
	helm        Helm
	path        string
	source      *chart.Chart
	sources     map[string]string // template name as Helm prints it → file on disk
	gates       gates
	shapes      programs
	programs    programs
	parsed      sources
	instruments instruments
	fragments   fragments
	crds        crds
	documents   documents
	everything  everything
	schemas     sync.Map // *byte of a schema's first byte → *compiledSchema
}

// LoadError says why a path is no chart.
type LoadError struct {
	Path string // what was to be loaded
	Err  error  // what Helm said
}

func (e *LoadError) Error() string { return e.Err.Error() }
func (e *LoadError) Unwrap() error { return e.Err }

// Load reads the chart in the directory or archive at path. Every error is a
// *LoadError.
func Load(path string) (c *Chart, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("loading the chart panicked: %v", r)
		}
		if err != nil {
			c, err = nil, &LoadError{Path: path, Err: err}
		}
	}()
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var source *chart.Chart
	if info.IsDir() {
		files, err := readDir(path)
		if err != nil {
			return nil, err
		}
		source, err = loader.LoadFiles(files)
		if err != nil {
			return nil, err
		}
	} else if source, err = loader.LoadFile(path); err != nil {
		return nil, err
	}
	c = &Chart{path: path, source: source}
	c.gates = findGates(source)
	c.sources = make(map[string]string)
	c.mapSources(source, source.Name(), path, info.IsDir())
	return c, nil
}

// Path is what Load was given.
func (c *Chart) Path() string { return c.path }

// Name is the chart's name in Chart.yaml.
func (c *Chart) Name() string { return c.source.Name() }

// Version is the chart's version in Chart.yaml.
func (c *Chart) Version() string {
	if c.source.Metadata == nil {
		return ""
	}
	return c.source.Metadata.Version
}

// Type is the chart's type in Chart.yaml: "", "application" or "library".
func (c *Chart) Type() string { return c.source.Metadata.Type }

// Deprecated says whether Chart.yaml calls the chart deprecated.
func (c *Chart) Deprecated() bool { return c.source.Metadata.Deprecated }

// Missing are the dependencies that Chart.yaml lists and the charts folder
// lacks. Helm renders nothing until they are there.
func (c *Chart) Missing() []string {
	have := make(map[string]bool)
	for _, sub := range c.source.Dependencies() {
		have[sub.Name()] = true
	}
	var names []string
	for _, d := range c.source.Metadata.Dependencies {
		if d != nil && !have[d.Name] {
			names = append(names, d.Name)
		}
	}
	return names
}

// Unpack unpacks a chart's archive below dir and returns the folder that the
// chart is in. Errors are of type *LoadError.
func Unpack(archive, dir string) (string, error) {
	if err := chartutil.ExpandFile(dir, archive); err != nil {
		return "", &LoadError{Path: archive, Err: err}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		return "", &LoadError{Path: archive, Err: errors.New("the archive does not hold one folder, the chart")}
	}
	return filepath.Join(dir, entries[0].Name()), nil
}

// readDir collects the files of an unpacked chart the way Helm's directory
// loader does (.helmignore, symbolic links followed, byte order marks cut),
// and refuses links that lead into a directory they are part of: Helm follows
// those until the kernel gives up, and two of them side by side for ever.
func readDir(dir string) ([]*loader.BufferedFile, error) {
	top, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	rules := ignore.Empty()
	if file := filepath.Join(top, ignore.HelmIgnore); exists(file) {
		if rules, err = ignore.ParseFile(file); err != nil {
			return nil, err
		}
	}
	rules.AddDefaults()
	w := walker{top: top, rules: rules}
	real, err := filepath.EvalSymlinks(top)
	if err != nil {
		return nil, err
	}
	if err := w.dir("", []string{real}); err != nil {
		return nil, err
	}
	return w.files, nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// maxChartBytes bounds what one chart may weigh unpacked; Helm has the same
// bound for archives and none for directories.
var maxChartBytes = loader.MaxDecompressedChartSize

type walker struct {
	top   string
	rules *ignore.Rules
	files []*loader.BufferedFile
	bytes int64
}

// dir reads the directory rel (slash-separated, relative to the chart).
// inside holds the resolved paths of the directories it stands in.
func (w *walker) dir(rel string, inside []string) error {
	entries, err := os.ReadDir(filepath.Join(w.top, filepath.FromSlash(rel)))
	if err != nil {
		return err
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	for _, entry := range entries {
		name := entry.Name()
		if rel != "" {
			name = rel + "/" + name
		}
		full := filepath.Join(w.top, filepath.FromSlash(name))
		info, err := os.Stat(full)
		if err != nil {
			return fmt.Errorf("error evaluating symlink %s: %w", full, err)
		}
		if w.rules.Ignore(name, info) {
			continue
		}
		if info.IsDir() {
			real := filepath.Join(inside[len(inside)-1], entry.Name())
			if entry.Type()&os.ModeSymlink != 0 {
				if real, err = filepath.EvalSymlinks(full); err != nil {
					return fmt.Errorf("error evaluating symlink %s: %w", full, err)
				}
				for _, outer := range inside {
					if outer == real {
						return fmt.Errorf("symbolic link %s leads into a directory that contains it (%s): remove the link or name it in .helmignore", full, real)
					}
				}
			}
			if err := w.dir(name, append(inside[:len(inside):len(inside)], real)); err != nil {
				return err
			}
			continue
		}
		if err := w.file(name, full, info); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) file(name, full string, info os.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("cannot load irregular file %s as it has file mode type bits set", full)
	}
	if info.Size() > loader.MaxDecompressedFileSize {
		return fmt.Errorf("chart file %q is larger than the maximum file size %d", info.Name(), loader.MaxDecompressedFileSize)
	}
	f, err := os.Open(full)
	if err != nil {
		return fmt.Errorf("error reading %s: %w", name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, loader.MaxDecompressedFileSize+1))
	if err != nil {
		return fmt.Errorf("error reading %s: %w", name, err)
	}
	if w.bytes += int64(len(data)); w.bytes > maxChartBytes {
		return fmt.Errorf("the chart's files are larger than %d bytes together: name what is no part of the chart in .helmignore", maxChartBytes)
	}
	data = bytes.TrimPrefix(data, []byte{0xEF, 0xBB, 0xBF})
	w.files = append(w.files, &loader.BufferedFile{Name: name, Data: data})
	return nil
}

// mapSources notes for every template the file it was read from, so that
// reports can be clicked on. Helm names a template by its chart's *name*,
// while the directory under charts/ may be called anything.
func (c *Chart) mapSources(ch *chart.Chart, prefix, dir string, unpacked bool) {
	join := func(name string) string {
		if unpacked {
			return filepath.Join(dir, filepath.FromSlash(name))
		}
		return dir + ":" + name // inside an archive
	}
	for _, list := range [][]*chart.File{ch.Templates, ch.Files, ch.Raw} {
		for _, t := range list {
			if t != nil {
				c.sources[prefix+"/"+t.Name] = join(t.Name)
			}
		}
	}
	for _, dep := range ch.Dependencies() {
		sub, open := join("charts/"+dep.Name()), unpacked
		if unpacked {
			sub, open = findSubchart(filepath.Join(dir, "charts"), dep)
		}
		for _, name := range namesOf(ch, dep) {
			c.mapSources(dep, prefix+"/charts/"+name, sub, open)
		}
	}
}

// namesOf returns the names under which a dependency can be rendered: its own
// and its aliases.
func namesOf(parent *chart.Chart, dep *chart.Chart) []string {
	names := []string{dep.Name()}
	for _, d := range parent.Metadata.Dependencies {
		if d != nil && d.Alias != "" && d.Name == dep.Name() {
			names = append(names, d.Alias)
		}
	}
	return names
}

// findSubchart finds the directory or archive under charts/ that dep was read
// from.
func findSubchart(dir string, dep *chart.Chart) (string, bool) {
	if exists(filepath.Join(dir, dep.Name(), "Chart.yaml")) {
		return filepath.Join(dir, dep.Name()), true
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if data, err := os.ReadFile(filepath.Join(dir, e.Name(), "Chart.yaml")); err == nil {
			for _, raw := range dep.Raw {
				if raw.Name == "Chart.yaml" && bytes.Equal(raw.Data, data) {
					return filepath.Join(dir, e.Name()), true
				}
			}
		}
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), dep.Name()+"-") && strings.HasSuffix(e.Name(), ".tgz") {
			return filepath.Join(dir, e.Name()), false
		}
	}
	return filepath.Join(dir, dep.Name()), true
}

// Source returns the file that a template, named as in Helm's «# Source:»
// lines, was read from, or the name itself if it is none of the chart's.
func (c *Chart) Source(template string) string {
	if file, ok := c.sources[template]; ok {
		return file
	}
	return template
}
