package charttest

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/diff"
)

// UpdateSnapshots is the environment variable that makes [Snapshot] write
// golden files instead of comparing with them, if it is not empty:
//
//	CHARTTEST_UPDATE=1 go test ./...
//
// It is no flag, because a flag belongs to the test program as a whole: one
// called -update panics in every package that has its own of that name, and
// «go test ./... -update» fails in every package that has none.
const UpdateSnapshots = "CHARTTEST_UPDATE"

// snapshotMark starts the first line of every golden file.
const snapshotMark = "# charttest snapshot of "

// Snapshot compares a render with a golden file and fails the test with what
// changes, as package diff sees it, and how to update the file. A golden file
// that is missing is a failure too. See [UpdateSnapshots].
//
// The file holds every object, CRDs and hooks included, as YAML: sorted by kind,
// namespace and name, keys sorted, text on lines of its own. Secrets are in it as
// short digests only; masks hide what else varies or is nobody's business.
// Random values are the same in every run (see [Seed]), so they need no mask.
func Snapshot(t testing.TB, r *Render, golden string, masks ...diff.Mask) {
	t.Helper()
	if r.Profile.Random {
		t.Fatalf("snapshot %s: the render has Random set, so no two are the same; leave it out", golden)
	}
	now := diff.Masked(r.unstructured(), masks...)
	text, err := snapshotText(r, now)
	if err != nil {
		t.Fatalf("snapshot %s: %v", golden, err)
	}
	if os.Getenv(UpdateSnapshots) != "" {
		if err := writeSnapshot(golden, text); err != nil {
			t.Fatalf("snapshot %s: %v", golden, err)
		}
		return
	}
	data, err := os.ReadFile(golden)
	if errors.Is(err, fs.ErrNotExist) {
		t.Errorf("snapshot %s is missing; to write it:\n  %s", golden, updateCommand(t))
		return
	}
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	was, err := readSnapshot(data)
	if err != nil {
		t.Errorf("snapshot %s can't be read: %v; to write it anew:\n  %s", golden, err, updateCommand(t))
		return
	}
	if d := diff.Objects(was, now); !d.Empty() {
		t.Errorf("snapshot %s: %d added, %d changed, %d removed:\n%sif that is meant:\n  %s", golden,
			d.Count(diff.Added), d.Count(diff.Changed), d.Count(diff.Removed), d, updateCommand(t))
	}
}

// Snapshots renders the chart with each of the profiles and compares it with
// the golden file DIR/PROFILE.yaml in a parallel subtest of the profile's name.
// Nil profiles are [Chart.Profiles]. A golden file in the directory that belongs
// to none of the profiles fails the test, or is deleted where snapshots are
// updated: without that, the file of a profile that was renamed would stay and
// be believed.
func (c *Chart) Snapshots(t *testing.T, dir string, profiles []Profile, masks ...diff.Mask) {
	t.Helper()
	if profiles == nil {
		profiles = c.Profiles()
	}
	expected := map[string]bool{}
	for _, p := range profiles {
		name := cmp.Or(p.Name, "default")
		file := filepath.Join(dir, name+".yaml")
		if expected[file] {
			t.Fatalf("snapshot %s: two profiles are called %q", file, name)
		}
		expected[file] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Snapshot(t, c.MustRender(t, p), file, masks...)
		})
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatalf("snapshots: %v", err)
	}
	for _, file := range files {
		if expected[file] || !isSnapshot(file) {
			continue
		}
		if os.Getenv(UpdateSnapshots) == "" {
			t.Errorf("snapshot %s belongs to no profile: delete it", file)
		} else if err := os.Remove(file); err != nil {
			t.Errorf("snapshot: %v", err)
		}
	}
}

// unstructured are the render's objects, shared with it.
func (r *Render) unstructured() []*unstructured.Unstructured {
	all := make([]*unstructured.Unstructured, len(r.Objects))
	for i, o := range r.Objects {
		all[i] = &unstructured.Unstructured{Object: o.Content()}
	}
	return all
}

// Diff says what changes from another render to this one.
func (r *Render) Diff(before *Render, options ...diff.Option) diff.Diff {
	return diff.Objects(before.unstructured(), r.unstructured(), options...)
}

func snapshotText(r *Render, objects []*unstructured.Unstructured) ([]byte, error) {
	sorted := slices.Clone(objects)
	slices.SortStableFunc(sorted, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetNamespace(), b.GetNamespace()),
			cmp.Compare(a.GetName(), b.GetName()), cmp.Compare(a.GetAPIVersion(), b.GetAPIVersion()))
	})
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s, profile %s; if a change is meant: %s=1 go test\n", snapshotMark, r.Chart.Name(),
		cmp.Or(r.Profile.Name, "default"), UpdateSnapshots)
	for _, o := range sorted {
		b.WriteString("---\n")
		if err := snapshotObject(&b, o.Object); err != nil {
			return nil, fmt.Errorf("%s/%s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return b.Bytes(), nil
}

// snapshotObject writes what the object is first, then what is in it.
func snapshotObject(b *bytes.Buffer, content map[string]any) error {
	first := []string{"apiVersion", "kind", "metadata"}
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(content)), func(key string) bool { return slices.Contains(first, key) })
	for _, key := range append(first, rest...) {
		value, ok := content[key]
		if !ok {
			continue
		}
		data, err := yaml.Marshal(map[string]any{key: value})
		if err != nil {
			return err
		}
		b.Write(data)
	}
	return nil
}

func readSnapshot(data []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		doc, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		var content map[string]any
		if err := yaml.Unmarshal(doc, &content); err != nil {
			return nil, err
		}
		if content != nil {
			objects = append(objects, &unstructured.Unstructured{Object: content})
		}
	}
}

func writeSnapshot(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if have, err := os.ReadFile(file); err == nil && bytes.Equal(have, text) {
		return nil
	}
	return os.WriteFile(file, text, 0o644)
}

func isSnapshot(file string) bool {
	data, err := os.ReadFile(file)
	return err == nil && bytes.HasPrefix(data, []byte(snapshotMark))
}

// updateCommand is what makes a test's snapshots anew.
func updateCommand(t testing.TB) string {
	parts := strings.Split(t.Name(), "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return fmt.Sprintf("%s=1 go test -run '%s' .", UpdateSnapshots, strings.Join(parts, "/"))
}
