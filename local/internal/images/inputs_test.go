package images

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tree writes files below a new directory and returns it.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		put(t, dir, name, content)
	}
	return dir
}

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func services(t *testing.T) string {
	return tree(t, map[string]string{
		".dockerignore":         "**/__pycache__\n**/tests\n",
		"flask/Containerfile":   "FROM debian\nCOPY aifilm /app/aifilm\nCOPY flask/web \\\n  flask/réglages.toml /app/\nCOPY --from=venv /opt /opt\n",
		"flask/web/app.py":      "print()",
		"flask/réglages.toml":   "a = 1",
		"flask/tests/test_a.py": "assert True",
		"aifilm/db.py":          "import psycopg",
		"aifilm/tests/t.py":     "",
		"opencv/other.py":       "unrelated",
	})
}

func tag(t *testing.T, dir string) string {
	t.Helper()
	tag, _, err := Tag(filepath.Join(dir, "flask", "Containerfile"), dir)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

func TestTagDependsOnWhatIsCopied(t *testing.T) {
	changes := map[string]struct {
		change  func(t *testing.T, dir string)
		changed bool
	}{
		"nothing":           {func(*testing.T, string) {}, false},
		"own source":        {func(t *testing.T, d string) { put(t, d, "flask/web/app.py", "print(1)") }, true},
		"shared source":     {func(t *testing.T, d string) { put(t, d, "aifilm/db.py", "import redis") }, true},
		"new file":          {func(t *testing.T, d string) { put(t, d, "flask/web/new.py", "") }, true},
		"deep new file":     {func(t *testing.T, d string) { put(t, d, "flask/web/a/b/c.html", "") }, true},
		"Containerfile":     {func(t *testing.T, d string) { put(t, d, "flask/Containerfile", "FROM scratch\nCOPY aifilm /app\n") }, true},
		"name beyond ASCII": {func(t *testing.T, d string) { put(t, d, "flask/réglages.toml", "a = 2") }, true},
		"another service":   {func(t *testing.T, d string) { put(t, d, "opencv/other.py", "changed") }, false},
		"a test":            {func(t *testing.T, d string) { put(t, d, "flask/tests/test_a.py", "assert 1") }, false},
		"an ignored cache":  {func(t *testing.T, d string) { put(t, d, "aifilm/__pycache__/db.pyc", "x") }, false},
		"executable bit":    {func(t *testing.T, d string) { chmod(t, filepath.Join(d, "flask/web/app.py"), 0o755) }, true},
		"time only":         {func(t *testing.T, d string) { touch(t, filepath.Join(d, "flask/web/app.py")) }, false},
		"moved between files": {func(t *testing.T, d string) {
			put(t, d, "flask/web/app.py", "")
			put(t, d, "flask/web/b.py", "print()")
		}, true},
	}
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			dir := services(t)
			before := tag(t, dir)
			c.change(t, dir)
			if after := tag(t, dir); (after != before) != c.changed {
				t.Errorf("changed = %v, want %v", after != before, c.changed)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
}

func TestTagDoesNotDependOnThePlace(t *testing.T) {
	if a, b := tag(t, services(t)), tag(t, services(t)); a != b {
		t.Errorf("two checkouts of the same have tags %s and %s", a, b)
	}
}

func TestTagListsInputs(t *testing.T) {
	dir := services(t)
	_, inputs, err := Tag(filepath.Join(dir, "flask", "Containerfile"), dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"aifilm/db.py", "flask/réglages.toml", "flask/web/app.py"}; !slices.Equal(inputs, want) {
		t.Errorf("inputs %q, want %q", inputs, want)
	}
}

func TestTagRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"COPY nowhere /app":      "nothing of that name",
		"COPY $WHAT /app":        "variable",
		"COPY alone":             "needs a source and a destination",
		`COPY ["a", /app]`:       "invalid character",
		"COPY ../../etc /app":    "nothing of that name", // stays inside the context
		"ADD flask/fifo /app":    "neither file",
		"copy flask/nowhere.* /": "nothing of that name",
	} {
		dir := services(t)
		put(t, dir, "flask/Containerfile", "FROM scratch\n"+line+"\n")
		if strings.Contains(line, "fifo") {
			fifo(t, filepath.Join(dir, "flask", "fifo"))
		}
		_, _, err := Tag(filepath.Join(dir, "flask", "Containerfile"), dir)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", line, err, want)
		}
	}
}

func TestValuesNamesBuiltImagesOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep", "images.yaml")
	err := Values(file, []Image{
		{Name: "flask", Ref: "docker.io/aifilm/flask:0123456789ab"},
		{Name: "postgresql", Ref: "docker.io/library/postgres:17"},
		{Name: "unknown", Ref: "docker.io/aifilm/unknown:1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := `# The images built on this machine; written anew by every build.
application:
  flask:
    image: {registry: docker.io, repository: aifilm/flask, tag: "0123456789ab"}
data:
  postgresql:
    image: {registry: docker.io, repository: library/postgres, tag: "17"}
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
