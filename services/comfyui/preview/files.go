package preview

import (
	"bytes"
	"cmp"
	"crypto/sha256"
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
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	_ "golang.org/x/image/webp"

	"github.com/ai-film/ai-film/services/comfyui/wire"
)

// files are the server's input, output and temp directories. All access goes through os.Root, so no name leads out.
type files struct {
	mu    sync.Mutex // guards choosing a free name
	base  *os.Root   // the directory they are in, and arriving: what is not whole yet
	roots map[string]*os.Root
	keep  int64         // bytes of all
	age   time.Duration // of the oldest
}

const arriving = "arriving"

func (f *files) open(dir string, keep int64, age time.Duration) (err error) {
	f.roots, f.keep, f.age = map[string]*os.Root{}, keep, age
	if f.base, err = os.OpenRoot(dir); err != nil {
		return err
	}
	f.base.RemoveAll(arriving)
	for _, kind := range []string{"input", "output", "temp", arriving} {
		if err := f.base.MkdirAll(kind, 0o770); err != nil {
			return fmt.Errorf("%s: %w (give a directory that can be written as TMPDIR)", kind, err)
		}
		if kind != arriving {
			if f.roots[kind], err = f.base.OpenRoot(kind); err != nil {
				return err
			}
		}
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

// decode reads an image of at most maxPixels pixels: its header tells before anything is unpacked, since a file of some
// kilobytes can claim gigabytes.
func decode(file io.ReadSeeker, name string, maxPixels int) (image.Image, error) {
	config, _, err := image.DecodeConfig(file)
	if err != nil {
		return nil, fmt.Errorf("cannot identify image file %q: %w", name, err)
	}
	if config.Width < 1 || config.Height < 1 || config.Width > maxPixels/config.Height {
		return nil, outOfMemory(fmt.Sprintf("%q has %d × %d pixels, more than the %d this preview server holds", name, config.Width, config.Height, maxPixels))
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(file)
	if err != nil {
		return nil, fmt.Errorf("cannot decode image file %q: %w", name, err)
	}
	return img, nil
}

func (f *files) load(name string, maxPixels int) (*image.RGBA, error) {
	name, kind := annotated(name, "input")
	file, err := f.roots[kind].Open(path.Clean(name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	img, err := decode(file, name, maxPixels)
	if err != nil {
		return nil, err
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
	if x.interrupted() { // perhaps its folder was just deleted
		return nil, errInterrupted
	}
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
		full := path.Join(folder, name)
		if err := f.write(path.Join(kind, full), func(w io.Writer) error { return encodePNG(w, img, x.job.metadata()) }); err != nil {
			return nil, err
		}
		c.files = append(c.files, kind+"/"+full)
		list = append(list, map[string]any{"filename": name, "subfolder": folder, "type": kind})
	}
	c.ui = map[string]any{"images": list}
	f.prune()
	return c, nil
}

// write writes a file below another name and renames it, so that nobody reads half of one.
func (f *files) write(name string, content func(io.Writer) error) error {
	temp := path.Join(arriving, uuid.NewString())
	defer f.base.Remove(temp)
	file, err := f.base.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o660)
	if err != nil {
		return err
	}
	err = errors.Join(content(file), file.Close())
	if err == nil {
		err = f.base.Rename(temp, name)
	}
	return err
}

// next is one more than the highest counter of the prefix in use.
func (f *files) next(root *os.Root, folder, base string) int {
	if folder == "" {
		folder = "."
	}
	highest := 0
	counter := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(base), "%batch_num%", `\d+`) + `_(\d{1,9})_`)
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

// prune deletes what is older than is kept, and the oldest images while there are more bytes of them.
func (f *files) prune() {
	type entry struct {
		name string
		fs.FileInfo
	}
	var all []entry
	var total int64
	fs.WalkDir(f.base.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil && !strings.HasPrefix(name, arriving) {
				all, total = append(all, entry{name, info}), total+info.Size()
			}
		}
		return nil
	})
	slices.SortFunc(all, func(a, b entry) int { return a.ModTime().Compare(b.ModTime()) })
	for _, e := range all[:max(0, len(all)-1)] { // never the newest
		if total <= f.keep && time.Since(e.ModTime()) < f.age {
			return
		}
		f.base.Remove(e.name)
		f.base.Remove(path.Dir(e.name)) // if it is empty
		total -= e.Size()
	}
}

// forget deletes the images of a film: those in its folder.
func (f *files) forget(film string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	for _, root := range f.roots {
		err = errors.Join(err, root.RemoveAll(film))
	}
	return err
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
	file, err := root.Open(path.Join(folder, path.Base(name)))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	s.serveImage(w, r, q.Get("preview"), q.Get("channel"), path.Base(name), file, info.ModTime())
}

// serveImage answers with the file, or with a JPEG or single channels of it where asked. Go has no WebP encoder, so
// preview=webp is answered as JPEG.
func (s *Server) serveImage(w http.ResponseWriter, r *http.Request, preview, channel, name string, file io.ReadSeeker, modified time.Time) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if preview == "" && channel != "rgb" && channel != "a" {
		head := make([]byte, 512)
		n, _ := io.ReadFull(file, head)
		kind := http.DetectContentType(head[:n])
		if !strings.HasPrefix(kind, "image/") || strings.Contains(kind, "svg") {
			kind = "application/octet-stream" // never let a browser run what somebody uploaded
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Disposition", disposition(name))
		http.ServeContent(w, r, "", modified, file)
		return
	}
	select { // one at a time: each holds a whole picture
	case s.viewing <- struct{}{}:
		defer func() { <-s.viewing }()
	case <-r.Context().Done():
		return
	}
	img, err := decode(file, name, s.options.MaxPixels)
	if _, large := errors.AsType[outOfMemory](err); large {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	kind := "image/png"
	if preview != "" {
		kind, name = "image/jpeg", strings.ReplaceAll(name, "png", "jpeg")
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", disposition(name))
	switch {
	case preview != "":
		quality := 90
		parts := strings.Split(preview, ";")
		if n, err := strconv.Atoi(parts[len(parts)-1]); err == nil && n >= 1 && n <= 100 {
			quality = n
		}
		err = jpeg.Encode(w, img, &jpeg.Options{Quality: quality})
	case channel == "rgb":
		rgb := image.NewRGBA(img.Bounds())
		draw.Draw(rgb, rgb.Rect, img, rgb.Rect.Min, draw.Src)
		for i := 3; i < len(rgb.Pix); i += 4 {
			rgb.Pix[i] = 255
		}
		err = png.Encode(w, rgb)
	default:
		alpha := image.NewNRGBA(img.Bounds())
		b := alpha.Rect
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				_, _, _, a := img.At(x, y).RGBA()
				alpha.Pix[alpha.PixOffset(x, y)+3] = uint8(a >> 8)
			}
		}
		err = png.Encode(w, alpha)
	}
	if err != nil { // half an image must not look like a whole one
		panic(http.ErrAbortHandler)
	}
}

// disposition names a file for a browser that saves it, whatever is in the name (RFC 6266).
func disposition(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, name)
	if plain == name {
		return `filename="` + name + `"`
	}
	return `filename="` + plain + `"; filename*=UTF-8''` + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	temp := path.Join(arriving, uuid.NewString())
	file, err := s.files.base.OpenFile(temp, os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o660)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInsufficientStorage)
		return
	}
	defer s.files.base.Remove(temp)
	defer file.Close()
	form, status, err := wire.ReadUpload(w, r, file)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	kind := cmp.Or(form.Fields["type"], "input")
	root := s.files.roots[kind]
	folder, name := path.Clean(form.Fields["subfolder"]), form.Name
	if root == nil || !filepath.IsLocal(path.Join(folder, name)) || !filepath.IsLocal(folder) || len(name) > 200 || name == "." {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.files.mu.Lock()
	defer s.files.mu.Unlock()
	if err := root.MkdirAll(folder, 0o770); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if overwrite := form.Fields["overwrite"]; overwrite != "true" && overwrite != "1" {
		ext := path.Ext(name)
		base := strings.TrimSuffix(name, ext)
		for i := 1; ; i++ {
			if _, err := root.Lstat(path.Join(folder, name)); err != nil || same(root, path.Join(folder, name), file) { // the same image again keeps its name
				break
			}
			name = fmt.Sprintf("%s (%d)%s", base, i, ext)
		}
	}
	if err := s.files.base.Rename(temp, path.Join(kind, folder, name)); err != nil {
		http.Error(w, err.Error(), http.StatusConflict) // a directory is in the way
		return
	}
	s.files.prune()
	if folder == "." {
		folder = ""
	}
	wire.Answer(w, 200, map[string]any{"name": name, "subfolder": folder, "type": kind})
}

// same tells whether a file has the content of another.
func same(root *os.Root, name string, other *os.File) bool {
	file, err := root.Open(name)
	if err != nil {
		return false
	}
	defer file.Close()
	var sums [2][]byte
	for i, f := range []*os.File{file, other} {
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return false
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, io.NewSectionReader(f, 0, info.Size())); err != nil {
			return false
		}
		sums[i] = sum.Sum(nil)
	}
	return bytes.Equal(sums[0], sums[1])
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
