package conformance

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// listing is everything on the volumes with its size, but for drafts.
func (s *suite) listing(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, volume := range []string{"images", "videos"} {
		filepath.WalkDir(s.path(volume), func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			size := int64(0)
			if info, err := d.Info(); err == nil && !d.IsDir() {
				size = info.Size()
			}
			fmt.Fprintf(&all, "%s %s %d\n", p, d.Type(), size)
			return nil
		})
	}
	return all.String()
}

// drafts are the hidden files below the film's folders.
func (s *suite) drafts() (found []string) {
	for _, volume := range []string{"images", "videos"} {
		filepath.WalkDir(s.path(volume+"/films/"+s.film), func(p string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasPrefix(d.Name(), ".") {
				found = append(found, p)
				if d.IsDir() {
					return fs.SkipDir
				}
			}
			return nil
		})
	}
	return found
}

// unchanged wants a request refused with nothing changed on the volumes.
func (s *suite) unchanged(t *testing.T, what string, r request, status int, title, field string) {
	t.Helper()
	before := s.listing(t)
	s.refused(t, what, r, status, title, field)
	if after := s.listing(t); s.Data != "" && after != before {
		t.Errorf("%s: changed\n%s\nto\n%s", what, before, after)
	}
}

// outputs: at the depth of the layout, of the film and shot in the headers, and nowhere else.
func (s *suite) outputs(t *testing.T) {
	s.each(t, func(t *testing.T, o Operation) {
		if o.Output == "" {
			t.Skip("makes nothing")
		}
		good := s.body(o, nil)[o.Output].(string)
		volume, _, _ := strings.Cut(good, "/")
		name, ext := path.Base(good), path.Ext(good)
		film := volume + "/films/" + s.film
		for _, bad := range []string{
			"", "/", ".", "..", volume, volume + "/", volume + "/films", volume + "/films/", film, film + "/", volume + "/" + name, film + "/a/b/" + name, film + "/a/b/c/" + name,
			volume + "/films/other/" + s.shot + "/" + name, volume + "/films/" + strings.ToUpper(s.film) + "/" + s.shot + "/" + name, volume + "/film/" + s.film + "/" + s.shot + "/" + name,
			"/" + good, "./" + good, good + "/", good + "/.", strings.Replace(good, "/", "//", 1), film + "/../" + s.film + "/" + s.shot + "/" + name,
			film + "/" + s.shot + "/../../../../etc/" + name, film + "/" + s.shot + "/.hidden" + ext, film + "/.hidden/" + name, film + "/" + s.shot + "/" + name + ".json",
			film + "/s 01/" + name, film + "/s.01/" + name, film + "/ѕ01/" + name, film + "/" + s.shot + "/x\x00" + ext, film + "/" + s.shot + "/x\n" + ext, strings.ReplaceAll(good, "/", `\`),
			film + "/" + s.shot + "/" + strings.Repeat("x", 201) + ext, "models/films/" + s.film + "/" + s.shot + "/" + name, "postgres/" + name, "~/" + name, "file://" + good, "C:" + good,
			film + "/%2e%2e/" + name, film + "/" + strings.Repeat("x/", 600) + name,
		} {
			s.unchanged(t, fmt.Sprintf("output %q", bad), request{path: "/v1/" + o.Name, body: s.body(o, map[string]any{o.Output: bad})}, 422, "invalid request", o.Output)
		}
		if parts := strings.Split(good, "/"); len(parts) == 5 {
			s.unchanged(t, "output of another shot", request{path: "/v1/" + o.Name, header: map[string]string{"X-Shot-Id": "another"}, body: s.body(o, nil)}, 422, "invalid request", o.Output)
		}
		s.unchanged(t, "output of another film", request{path: "/v1/" + o.Name, header: map[string]string{"X-Film-Id": "another"}, body: s.body(o, nil)}, 422, "invalid request", "")
		if s.Data == "" {
			return
		}
		// Links that lead away, whatever is at their end.
		away := t.TempDir()
		os.Chmod(away, 0o777)
		for link, to := range map[string]string{"out": away, "up": "../..", "loop": "loop", "other": "../other-film"} {
			place := s.path(film + "/" + link)
			os.MkdirAll(filepath.Dir(place), 0o777)
			if err := os.Symlink(to, place); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(place)
			s.unchanged(t, "output over the link "+link, request{path: "/v1/" + o.Name, body: s.body(o, map[string]any{o.Output: film + "/" + link + "/" + name})}, 422, "invalid request", o.Output)
		}
		if left, _ := os.ReadDir(away); len(left) > 0 {
			t.Errorf("written outside: %v", left)
		}
	})
}

// inputs: files and directories of the film, and nothing that opening would hang on.
func (s *suite) inputs(t *testing.T) {
	s.each(t, func(t *testing.T, o Operation) {
		if len(o.Paths) == 0 {
			t.Skip("takes no files")
		}
		before := s.listing(t)
		for _, field := range o.Paths {
			good := ""
			for _, l := range leaves("", s.body(o, nil)) {
				if l.path == field {
					good = l.value.(string)
				}
			}
			volume, _, _ := strings.Cut(good, "/")
			film := volume + "/films/" + s.film
			base := path.Base(good)
			for _, bad := range []string{
				"", volume, volume + "/films", film, "/" + good, good + "/", "./" + good, film + "/../" + s.film + strings.TrimPrefix(good, film), volume + "/films/other" + strings.TrimPrefix(good, film),
				film + "/none/" + base, "/etc/passwd", "../../etc/passwd", "models/" + base, film + "/" + s.shot + "/.hidden" + path.Ext(base), "concat:" + good, "http://127.0.0.1/" + base,
				good + "\x00", good + "\n", strings.Repeat("x", 5000),
			} {
				s.unacceptable(t, fmt.Sprintf("%s %q", field, bad), o, map[string]any{field: bad}, field)
			}
			// Things that are no files, and links to what is.
			dir := film + "/strange"
			if err := os.MkdirAll(s.path(dir), 0o777); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(s.path(dir))
			ext := path.Ext(base)
			os.Symlink("/etc/passwd", s.path(dir+"/passwd"+ext))
			os.Symlink("/dev/zero", s.path(dir+"/zero"+ext))
			os.Symlink("/", s.path(dir+"/root"+ext))
			os.Symlink("nowhere", s.path(dir+"/dangling"+ext))
			syscall.Mkfifo(s.path(dir+"/pipe"+ext), 0o666)
			os.WriteFile(s.path(dir+"/empty"+ext), nil, 0o666)
			os.WriteFile(s.path(dir+"/text"+ext), []byte("no picture, no film"), 0o666)
			os.Mkdir(s.path(dir+"/directory"+ext), 0o777)
			for _, name := range []string{"passwd", "zero", "root", "dangling", "pipe", "empty", "text", "directory"} {
				s.unacceptable(t, field+" that is "+name, o, map[string]any{field: dir + "/" + name + ext}, field)
			}
			// Frames that are no pictures.
			if info, err := os.Stat(s.path(good)); err == nil && info.IsDir() {
				for name, make := range map[string]func(string) error{
					"a pipe":      func(p string) error { return syscall.Mkfifo(p, 0o666) },
					"a link":      func(p string) error { return os.Symlink("/etc/passwd", p) },
					"an endless":  func(p string) error { return os.Symlink("/dev/zero", p) },
					"a text":      func(p string) error { return os.WriteFile(p, []byte("no picture"), 0o666) },
					"a directory": func(p string) error { return os.Mkdir(p, 0o777) },
				} {
					for _, n := range []string{"first", "second"} {
						frames, strange := dir+"/"+n+name, "/frame_00001.png"
						if err := os.MkdirAll(s.path(frames), 0o777); err != nil {
							t.Fatal(err)
						}
						if n == "second" {
							strange = "/frame_00002.png"
							if err := os.Link(s.path(good+"/frame_00001.png"), s.path(frames+"/frame_00001.png")); err != nil {
								t.Fatal(err)
							}
						}
						if err := make(s.path(frames + strange)); err != nil {
							t.Fatal(err)
						}
						s.unacceptable(t, name+" for the "+n+" frame", o, map[string]any{field: frames}, "")
					}
				}
			}
			os.RemoveAll(s.path(dir))
		}
		if after := s.listing(t); after != before {
			t.Errorf("refused, and yet something changed: %s\nto\n%s", before, after)
		}
	})
}

// unacceptable wants a request refused with 422 before or while the job runs.
func (s *suite) unacceptable(t *testing.T, what string, o Operation, change map[string]any, field string) {
	t.Helper()
	l := s.job(t.Context(), t, o, change, nil)
	if l.State != "refused" && l.State != "failed" || l.Problem == nil || l.Problem.Status != 422 || field != "" && len(l.Problem.Errors) > 0 && !slices.Contains(l.Problem.fields(), field) {
		t.Errorf("%s: want 422 of %q, got %+v %+v", what, field, l, l.Problem)
	}
}

// ownership: what somebody else put where an output would stand is left alone.
func (s *suite) ownership(t *testing.T) {
	s.each(t, func(t *testing.T, o Operation) {
		if o.Output == "" || s.Data == "" {
			t.Skip("makes nothing, or nothing can be seen of it")
		}
		good := s.body(o, nil)[o.Output].(string)
		for what, make := range map[string]func(place string) error{
			"directory": func(p string) error { return os.Mkdir(p, 0o777) },
			"file":      func(p string) error { return os.WriteFile(p, []byte("mine"), 0o666) },
			"theirs": func(p string) error {
				return os.WriteFile(p+".json", []byte(`{"key":"x","made_by":"somebody","result":{}}`), 0o666)
			},
			"notes": func(p string) error { return os.WriteFile(p+".json", []byte("my notes"), 0o666) },
			"link":  func(p string) error { return os.Symlink("nowhere", p) },
			"found": func(p string) error {
				if err := os.Mkdir(p, 0o777); err != nil {
					return err
				}
				return os.WriteFile(filepath.Join(p, "frame_00001.png"), []byte("mine"), 0o666)
			},
		} {
			place := path.Join(path.Dir(good), "of-others-"+what+path.Ext(good))
			if err := os.MkdirAll(filepath.Dir(s.path(place)), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := make(s.path(place)); err != nil {
				t.Fatal(err)
			}
			before := s.listing(t)
			l := s.job(t.Context(), t, o, map[string]any{o.Output: place}, nil)
			if l.Problem == nil || l.Problem.Status != 409 && (what != "link" || l.Problem.Status != 422) || l.Problem.Status == 409 && l.Problem.Title != "output is not ours" || l.Problem.Remedy == "" {
				t.Errorf("%s in the way: %+v %+v", what, l, l.Problem)
			}
			if after := s.listing(t); after != before {
				t.Errorf("%s in the way: changed %s\nto\n%s", what, before, after)
			}
			os.RemoveAll(s.path(place))
			os.Remove(s.path(place) + ".json")
		}
	})
}

// record is the sidecar of an output.
func (s *suite) record(t *testing.T, output string) (r struct {
	Key    string          `json:"key"`
	MadeBy string          `json:"made_by"`
	Result json.RawMessage `json:"result"`
}) {
	t.Helper()
	b, err := os.ReadFile(s.path(output) + ".json")
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		t.Errorf("sidecar of %s: %v", output, err)
	}
	return r
}
