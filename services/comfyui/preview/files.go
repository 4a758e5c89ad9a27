package preview

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/draw"
	_ "image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	_ "golang.org/x/image/webp"

	"github.com/ai-film/ai-film/services/comfyui/wire"
)

// files are the server's input, output and temp directories. All access goes through os.Root, so no name leads out.
type files struct {
	mu    sync.Mutex // guards choosing a free name
	roots map[string]*os.Root
	keep  int64
}

func (f *files) open(dir string, keep int64) error {
	f.roots, f.keep = map[string]*os.Root{}, keep
	for _, kind := range []string{"input", "output", "temp"} {
		name := filepath.Join(dir, kind)
		if err := os.MkdirAll(name, 0o770); err != nil {
			return fmt.Errorf("%s: %w (give a directory that can be written as TMPDIR)", kind, err)
		}
		root, err := os.OpenRoot(name)
		if err != nil {
			return err
		}
		f.roots[kind] = root
	}
	return nil
}

// annotated splits "x.png [output]" into name and directory; the default directory is otherwise.
func annotated(name, otherwise string) (string, string) {
	for _, kind := range []string{"output", "input", "temp"} {
		if cut, ok := strings.CutSuffix(name, " ["+kind+"]"); ok {
			return cut, kind
		}
	}
	return name, otherwise
}

func (f *files) images() []string {
	list := []string{}
	entries, _ := fs.ReadDir(f.roots["input"].FS(), ".")
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			list = append(list, e.Name())
		}
	}
	return list
}

func (f *files) stat(name string) (fs.FileInfo, error) {
	name, kind := annotated(name, "input")
	return f.roots[kind].Stat(path.Clean(name))
}

func (f *files) exists(name string) bool {
	info, err := f.stat(name)
	return err == nil && info.Mode().IsRegular()
}

// stamp changes when the file does.
func (f *files) stamp(name string) string {
	info, err := f.stat(name)
	if err != nil {
		return "missing"
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano())
}

// have tells whether all files ("kind/name") are there.
func (f *files) have(names []string) bool {
	for _, n := range names {
		kind, name, _ := strings.Cut(n, "/")
		if _, err := f.roots[kind].Stat(name); err != nil {
			return false
		}
	}
	return true
}

func (f *files) load(name string, maxPixels int) (*image.RGBA, error) {
	name, kind := annotated(name, "input")
	file, err := f.roots[kind].Open(path.Clean(name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	config, _, err := image.DecodeConfig(file)
	if err != nil {
		return nil, fmt.Errorf("cannot identify image file %q: %w", name, err)
	}
	if config.Width*config.Height > maxPixels {
		return nil, outOfMemory(fmt.Sprintf("%q has %d × %d pixels, more than the %d this preview server holds", name, config.Width, config.Height, maxPixels))
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(file)
	if err != nil {
		return nil, fmt.Errorf("cannot decode image file %q: %w", name, err)
	}
	rgba := image.NewRGBA(image.Rectangle{Max: img.Bounds().Size()})
	draw.Draw(rgba, rgba.Rect, img, img.Bounds().Min, draw.Src)
	return rgba, nil
}

// save writes the images of a SaveImage or PreviewImage node below a directory: <prefix>_00001_.png and so on.
func (x *execution) save(in map[string]any, kind, prefix string) (*cached, error) {
	f := &x.server.files
	batch := in["images"].(images)
	prefix = expand(prefix, batch[0].Rect.Size(), time.Now())
	clean := path.Clean(strings.ReplaceAll(prefix, `\`, "/"))
	if path.IsAbs(clean) || !filepath.IsLocal(clean) {
		return nil, fmt.Errorf("saving image outside the output folder is not allowed: filename_prefix %q", prefix)
	}
	folder, base := path.Split(clean)
	folder = strings.TrimSuffix(folder, "/")
	root := f.roots[kind]
	f.mu.Lock()
	defer f.mu.Unlock()
	if folder != "" {
		if err := root.MkdirAll(folder, 0o770); err != nil {
			return nil, err
		}
	}
	number := f.next(root, folder, base)
	c := &cached{outputs: []any{}}
	var list []any
	for i, img := range batch {
		name := fmt.Sprintf("%s_%05d_.png", strings.ReplaceAll(base, "%batch_num%", strconv.Itoa(i)), number+i)
		data, err := encodePNG(img, x.job.metadata())
		if err != nil {
			return nil, err
		}
		full := path.Join(folder, name)
		if err := write(root, full, data); err != nil {
			return nil, err
		}
		c.files = append(c.files, kind+"/"+full)
		list = append(list, map[string]any{"filename": name, "subfolder": folder, "type": kind})
	}
	c.ui = map[string]any{"images": list}
	f.prune(root)
	return c, nil
}

// write writes beside the file and renames, so that nobody reads half of one.
func write(root *os.Root, name string, data []byte) error {
	temp := path.Join(path.Dir(name), "."+path.Base(name)+".tmp")
	if err := root.WriteFile(temp, data, 0o660); err != nil {
		return err
	}
	return root.Rename(temp, name)
}

// next is one more than the highest counter of the prefix in use.
func (f *files) next(root *os.Root, folder, base string) int {
	if folder == "" {
		folder = "."
	}
	highest := 0
	counter := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(base), "%batch_num%", `\d+`) + `_(\d+)_`)
	entries, _ := fs.ReadDir(root.FS(), folder)
	for _, e := range entries {
		if m := counter.FindStringSubmatch(e.Name()); m != nil {
			n, _ := strconv.Atoi(m[1])
			highest = max(highest, n)
		}
	}
	return highest + 1
}

var placeholder = regexp.MustCompile(`%(width|height|year|month|day|hour|minute|second)%`)

// expand fills %width%, %year% and so on, as ComfyUI does.
func expand(prefix string, size image.Point, now time.Time) string {
	return placeholder.ReplaceAllStringFunc(prefix, func(m string) string {
		switch strings.Trim(m, "%") {
		case "width":
			return strconv.Itoa(size.X)
		case "height":
			return strconv.Itoa(size.Y)
		case "year":
			return now.Format("2006")
		case "month":
			return now.Format("01")
		case "day":
			return now.Format("02")
		case "hour":
			return now.Format("15")
		case "minute":
			return now.Format("04")
		}
		return now.Format("05")
	})
}

// prune deletes the oldest images while there are more bytes of them than are kept.
func (f *files) prune(root *os.Root) {
	type entry struct {
		name string
		fs.FileInfo
	}
	var all []entry
	var total int64
	fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				all, total = append(all, entry{name, info}), total+info.Size()
			}
		}
		return nil
	})
	slices.SortFunc(all, func(a, b entry) int { return a.ModTime().Compare(b.ModTime()) })
	for _, e := range all[:max(0, len(all)-1)] { // never the newest
		if total <= f.keep {
			return
		}
		root.Remove(e.name)
		total -= e.Size()
	}
}

func (s *Server) view(w http.ResponseWriter, r *http.Request) {
	q := wire.Query(r)
	name, kind := annotated(q.Get("filename"), "")
	if name == "" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if kind == "" {
		if kind = q.Get("type"); kind == "" {
			kind = "output"
		}
	}
	root := s.files.roots[kind]
	if root == nil || name[0] == '/' || strings.Contains(name, "..") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	folder := q.Get("subfolder")
	if folder != "" && !filepath.IsLocal(folder) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	data, err := root.ReadFile(path.Join(folder, path.Base(name)))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	s.serveImage(w, q.Get("preview"), q.Get("channel"), path.Base(name), data)
}

// serveImage answers with the file, or with a JPEG or single channels of it where asked. Go has no WebP encoder, so
// preview=webp is answered as JPEG.
func (s *Server) serveImage(w http.ResponseWriter, preview, channel, name string, data []byte) {
	kind := http.DetectContentType(data)
	if preview != "" || channel == "rgb" || channel == "a" {
		img, _, err := image.Decode(bytes.NewReader(data))
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		var out bytes.Buffer
		switch {
		case preview != "":
			quality := 90
			parts := strings.Split(preview, ";")
			if n, err := strconv.Atoi(parts[len(parts)-1]); err == nil && n >= 1 && n <= 100 {
				quality = n
			}
			err, kind = jpeg.Encode(&out, img, &jpeg.Options{Quality: quality}), "image/jpeg"
			name = strings.ReplaceAll(name, "png", "jpeg")
		case channel == "rgb":
			rgb := image.NewRGBA(img.Bounds())
			draw.Draw(rgb, rgb.Rect, img, rgb.Rect.Min, draw.Src)
			for i := 3; i < len(rgb.Pix); i += 4 {
				rgb.Pix[i] = 255
			}
			err, kind = png.Encode(&out, rgb), "image/png"
		default:
			alpha := image.NewNRGBA(img.Bounds())
			b := alpha.Rect
			for y := b.Min.Y; y < b.Max.Y; y++ {
				for x := b.Min.X; x < b.Max.X; x++ {
					_, _, _, a := img.At(x, y).RGBA()
					alpha.Pix[alpha.PixOffset(x, y)+3] = uint8(a >> 8)
				}
			}
			err, kind = png.Encode(&out, alpha), "image/png"
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		data = out.Bytes()
	}
	if !strings.HasPrefix(kind, "image/") || strings.Contains(kind, "svg") {
		kind = "application/octet-stream" // never let a browser run what somebody uploaded
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.Header().Set("Content-Disposition", fmt.Sprintf("filename=%q", name))
	w.Write(data)
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, wire.MaxUpload)
	if err := r.ParseMultipartForm(8 << 20); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	defer r.MultipartForm.RemoveAll()
	file, header, err := r.FormFile("image")
	if err != nil || header.Filename == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	defer file.Close()
	data, err := io.ReadAll(file)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	kind := r.FormValue("type")
	if kind == "" {
		kind = "input"
	}
	root := s.files.roots[kind]
	folder := path.Clean(r.FormValue("subfolder"))
	name := header.Filename // FormFile gives the base name only
	if root == nil || !filepath.IsLocal(path.Join(folder, name)) || !filepath.IsLocal(folder) || len(name) > 200 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.files.mu.Lock()
	defer s.files.mu.Unlock()
	if err := root.MkdirAll(folder, 0o770); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if overwrite := r.FormValue("overwrite"); overwrite != "true" && overwrite != "1" {
		ext := path.Ext(name)
		base := strings.TrimSuffix(name, ext)
		for i := 1; ; i++ {
			old, err := root.ReadFile(path.Join(folder, name))
			if err != nil || bytes.Equal(old, data) { // the same image again keeps its name
				break
			}
			name = fmt.Sprintf("%s (%d)%s", base, i, ext)
		}
	}
	if err := write(root, path.Join(folder, name), data); err != nil {
		http.Error(w, err.Error(), http.StatusInsufficientStorage)
		return
	}
	s.files.prune(root)
	if folder == "." {
		folder = ""
	}
	wire.Answer(w, 200, map[string]any{"name": name, "subfolder": folder, "type": kind})
}

// metadata is what ComfyUI writes into a PNG's text: the prompt, and what the client gave as extra_pnginfo.
func (j *job) metadata() [][2]string {
	out := [][2]string{{"prompt", string(j.prompt.Raw)}}
	var extra struct {
		Info map[string]json.RawMessage `json:"extra_pnginfo"`
	}
	json.Unmarshal(j.extra, &extra)
	var names []string
	for name := range extra.Info {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		out = append(out, [2]string{name, string(extra.Info[name])})
	}
	return out
}
