package ct

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/ignore"
	"sigs.k8s.io/yaml"
)

// Choice is a chart to verify and why.
type Choice struct {
	Path string // its folder, as seen from the working directory where that is above it
	// Because is why: "changed", or what it depends on. "" if it was named.
	Because string
	// Own says that files of the chart itself changed, which is what ct goes by.
	Own bool
}

// Chosen are the charts that changed, and since when.
type Chosen struct {
	Charts []Choice
	Since  string // the reference compared with, resolved: "main", or "origin/main"
	Base   string // commit of the merge base

	git git
}

// All are all charts of the chart directories but those that are excluded, as
// «ct lint --all» takes them.
func (c Config) All() ([]Choice, error) {
	var all []Choice
	for _, parent := range c.ChartDirs {
		entries, err := os.ReadDir(parent)
		if err != nil {
			return nil, fmt.Errorf("chart-dirs: %w", err)
		}
		for _, e := range entries {
			if dir := filepath.Join(parent, e.Name()); isChart(dir) {
				all = append(all, Choice{Path: dir})
			}
		}
	}
	return slices.DeleteFunc(all, c.excluded), nil
}

// excluded says whether a chart is to be left out.
func (c Config) excluded(choice Choice) bool {
	if slices.Contains(c.ExcludedCharts, filepath.Base(choice.Path)) {
		return true
	}
	about, err := read(choice.Path)
	return c.ExcludeDeprecated && err == nil && about.Deprecated
}

// Changed are the charts in which something differs from the merge base of a
// reference and HEAD, in commits, in the index or in the working tree: those
// that ct chooses, and besides the charts that have one of these as a dependency
// in the repository (file://…, or a symbolic link), those that a file was moved
// out of, and those with files that git doesn't know yet. With since "" the
// reference is the remote's target branch, as for ct. Where charts are named, it
// is those of them, else those of the chart directories.
func (c Config) Changed(ctx context.Context, since string, named ...string) (*Chosen, error) {
	var all []Choice
	for _, path := range named {
		all = append(all, Choice{Path: path})
	}
	if len(named) == 0 {
		var err error
		if all, err = c.All(); err != nil {
			return nil, err
		}
	}
	where := "."
	if len(named) > 0 {
		where = named[0]
	}
	g, err := git{where}.root(ctx)
	if err != nil {
		return nil, err
	}
	chosen := &Chosen{git: g}
	if chosen.Since, err = g.resolve(ctx, c.Remote, since, c.TargetBranch); err != nil {
		return nil, err
	}
	if chosen.Base, err = g.base(ctx, chosen.Since, c.Since); err != nil {
		return nil, err
	}
	files, err := g.changed(ctx, chosen.Base)
	if err != nil {
		return nil, err
	}
	for _, choice := range all {
		chart, err := real(choice.Path)
		if err != nil {
			return nil, err
		}
		own := below(files, chart)
		if c.UseHelmignore {
			if own, err = part(chart, own); err != nil {
				return nil, err
			}
		}
		if len(own) > 0 {
			choice.Because, choice.Own = "changed", true
		} else if i := slices.IndexFunc(local(chart, map[string]bool{}), func(on string) bool {
			if len(below(files, on)) > 0 {
				choice.Because = "depends on " + short(on)
			}
			return choice.Because != ""
		}); i < 0 {
			continue
		}
		chosen.Charts = append(chosen.Charts, choice)
	}
	return chosen, nil
}

// below are the files in a folder, from there, or "" for the path itself.
func below(files []string, dir string) []string {
	var all []string
	for _, file := range files {
		if rest, ok := strings.CutPrefix(file, dir); ok && (rest == "" || rest[0] == filepath.Separator) {
			all = append(all, filepath.ToSlash(strings.TrimPrefix(rest, string(filepath.Separator))))
		}
	}
	return all
}

// local is what a chart takes from elsewhere in the repository: the folders of
// its dependencies and of theirs, and what symbolic links lead to.
func local(chart string, seen map[string]bool) []string {
	if seen[chart] {
		return nil
	}
	seen[chart] = true
	var all []string
	_ = filepath.WalkDir(chart, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSymlink != 0 {
			if to, err := real(path); err == nil {
				all = append(all, to)
			}
		}
		return nil // what can't be read is for loading to complain of
	})
	about, _ := read(chart)
	for _, d := range about.Dependencies {
		path, ok := strings.CutPrefix(d.Repository, "file://")
		if !ok {
			continue
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(chart, filepath.FromSlash(path))
		}
		if to, err := real(path); err == nil {
			all = append(append(all, to), local(to, seen)...)
		}
	}
	return all
}

// metadata is the part of a Chart.yaml that ct looks at.
type metadata struct {
	Name         string
	Version      string
	Deprecated   bool
	Maintainers  []struct{ Name string }
	Dependencies []struct{ Name, Repository string }
}

func read(chart string) (m metadata, err error) {
	data, err := os.ReadFile(filepath.Join(chart, "Chart.yaml"))
	if err == nil {
		err = yaml.Unmarshal(data, &m)
	}
	return m, err
}

// part are those of a chart's files that its .helmignore doesn't name.
func part(chart string, files []string) ([]string, error) {
	rules, err := ignore.ParseFile(filepath.Join(chart, ignore.HelmIgnore))
	if errors.Is(err, os.ErrNotExist) {
		rules, err = ignore.Empty(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(chart, ignore.HelmIgnore), err)
	}
	rules.AddDefaults()
	return slices.DeleteFunc(files, func(file string) bool {
		for i, r := range file {
			if r == '/' && rules.Ignore(file[:i], entry{dir: true}) {
				return true
			}
		}
		return rules.Ignore(file, entry{})
	}), nil
}

// entry is all that the rules ask of a file, which may be gone.
type entry struct {
	fs.FileInfo
	dir bool
}

func (e entry) IsDir() bool { return e.dir }

func isChart(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "Chart.yaml"))
	return err == nil && info.Mode().IsRegular()
}

// real is a path without symbolic links, as git knows it.
func real(path string) (string, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(full)
}

// short is a path as seen from the working directory, if it is below.
func short(path string) string {
	dir, err := real(".")
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(dir, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
