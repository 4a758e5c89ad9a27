package volume

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ai-film/ai-film/services/internal/serving"
)

// cases is testdata/paths.json, to which the Python services are held as well.
type cases struct {
	Tree struct {
		Directories  []string
		Files, Links map[string]string
	}
	Inputs, Outputs []struct {
		Path, Film, Shot, Why string
		Status                int
	}
	Owned []struct {
		There, Name, Why string
		Sidecar          *string
		Status           int
	}
}

func readCases(t *testing.T) (c cases) {
	t.Helper()
	b, err := os.ReadFile("testdata/paths.json")
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || len(c.Inputs) == 0 || len(c.Outputs) == 0 || len(c.Owned) == 0 {
		t.Fatal(err)
	}
	return c
}

// grow makes the tree of the cases and returns the volume and the directory next to DATA_DIR.
func (c cases) grow(t *testing.T) (v *Volume, dir, outside string) {
	t.Helper()
	dir, outside = t.TempDir(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(outside, "secret.png"), "s")
	for _, d := range append(c.Tree.Directories, "images", "videos") {
		must(os.MkdirAll(filepath.Join(dir, d), 0o770))
	}
	for file, text := range c.Tree.Files {
		must(os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o770))
		write(t, filepath.Join(dir, file), text)
	}
	for link, to := range c.Tree.Links {
		if rest, ok := strings.CutPrefix(to, "OUTSIDE"); ok {
			to = outside + rest
		}
		must(os.Symlink(to, filepath.Join(dir, link)))
	}
	v, err := Open(dir)
	must(err)
	return v, dir, outside
}

// listing is everything below a directory, to see that nothing changed.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		all.WriteString(p + " " + d.Type().String() + "\n")
		return err
	})
	return all.String()
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func TestInputs(t *testing.T) {
	c := readCases(t)
	v, _, _ := c.grow(t)
	for _, i := range c.Inputs {
		_, err := v.Of(Subject{or(i.Film, "f1"), i.Shot}, "blender").Input("still", i.Path, false, "images")
		if status(err) != i.Status || err != nil && serving.AsProblem(err).Errors[0].Field != "still" {
			t.Errorf("%q of %s (%s): want %d, got %v", i.Path, i.Film, i.Why, i.Status, err)
		}
	}
}

func TestOutputs(t *testing.T) {
	c := readCases(t)
	for _, o := range c.Outputs {
		v, dir, outside := c.grow(t)
		before := listing(t, dir) + listing(t, outside)
		_, err := v.Of(Subject{or(o.Film, "f1"), o.Shot}, "opencv").Output("output", o.Path, nil, "images", "videos")
		if status(err) != o.Status || err != nil && serving.AsProblem(err).Errors[0].Field != "output" {
			t.Errorf("%q of %s (%s): want %d, got %v", o.Path, o.Film, o.Why, o.Status, err)
		}
		if after := listing(t, dir) + listing(t, outside); err != nil && after != before {
			t.Errorf("%q was refused and yet changed something:\n%s", o.Path, after)
		}
	}
}

func TestOutputsOfOthersStay(t *testing.T) {
	for _, o := range readCases(t).Owned {
		v, dir := open(t)
		name := or(o.Name, "finish")
		place := filepath.Join(dir, "images/films/f/s", name)
		var err error
		switch o.There {
		case "directory":
			err = os.Mkdir(place, 0o770)
		case "file":
			write(t, place, "x")
		case "link":
			err = os.Symlink(t.TempDir(), place)
		case "inner link":
			write(t, filepath.Join(filepath.Dir(place), "target"), "x")
			err = os.Symlink("target", place)
		}
		if err != nil {
			t.Fatal(err)
		}
		if o.Sidecar != nil {
			write(t, place+".json", *o.Sidecar)
		}
		before := listing(t, dir)
		_, err = v.Of(Subject{Film: "f"}, "opencv").Output("output", "images/films/f/s/"+name, nil, "images")
		if status(err) != o.Status || o.Status == 409 && serving.AsProblem(err).Title != "output is not ours" {
			t.Errorf("%+v: %v", o, err)
		}
		if after := listing(t, dir); after != before {
			t.Errorf("%+v: changed\n%s", o, after)
		}
	}
}

// TestOwnershipIsAskedAgain puts something into the place while the output is made.
func TestOwnershipIsAskedAgain(t *testing.T) {
	v, dir := open(t)
	p, err := v.Of(Subject{Film: "f"}, "blender").Output("output", "images/films/f/s/move", nil, "images")
	if err != nil {
		t.Fatal(err)
	}
	d := v.Draft(p)
	defer d.Discard()
	if err := os.Mkdir(d.OS(), 0o770); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "images/films/f/s/move"), 0o770); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "images/films/f/s/move/mine.txt"), "kept")
	if err := d.Publish(); status(err) != 409 {
		t.Error(err)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "images/films/f/s/move/mine.txt")); string(b) != "kept" {
		t.Error("replaced")
	}
}
