package render

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// Fonts knows which letters the fonts of the machine have. Blender's text takes four fonts, one of which each letter is
// set in.
type Fonts struct{ faces []face }

// face is a font of a file: of a collection (.ttc, .otc) there are several.
type face struct {
	Face
	at   int64 // where its table directory begins in the file
	font *sfnt.Font
}

// Face names a font: a file, and which of a collection's fonts, counted from 0.
type Face struct {
	File  string `json:"file"`
	Index int    `json:"index"`
}

// largest is the size of a font file beyond which it is none, bytes: Blender reads it whole. The largest of Noto's
// collections has 30 MiB.
const largest = 128 << 20

// favourites come before all other fonts: display faces first, then what covers much.
var favourites = []string{"NotoSerif-Bold.ttf", "DejaVuSerif-Bold.ttf", "NotoSans-Bold.ttf", "DejaVuSans-Bold.ttf", "DroidSansFallbackFull.ttf",
	"NotoSerifCJK-Bold.ttc", "NotoSansCJK-Bold.ttc"}

// FindFonts reads the fonts and collections of fonts under a directory. What is damaged or no regular file is none. It is
// an error if there is no font.
func FindFonts(dir string) (*Fonts, error) {
	if _, err := os.ReadDir(dir); err != nil {
		return nil, fmt.Errorf("FONT_DIR: %w", err)
	}
	var files []string
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && slices.Contains([]string{".ttf", ".otf", ".ttc", ".otc"}, strings.ToLower(filepath.Ext(path))) {
			files = append(files, path)
		}
		return nil // a folder that can't be read has no fonts for us
	})
	rank := func(path string) int {
		name := filepath.Base(path)
		for i, f := range favourites {
			if name == f {
				return i
			}
		}
		switch { // of a family, the bold upright
		case strings.Contains(name, "Italic"), strings.Contains(name, "Oblique"), strings.Contains(name, "Mono"):
			return len(favourites) + 2
		case strings.Contains(name, "Bold"):
			return len(favourites)
		}
		return len(favourites) + 1
	}
	sort.SliceStable(files, func(i, j int) bool {
		a, b := rank(files[i]), rank(files[j])
		return a < b || a == b && files[i] < files[j]
	})
	f := &Fonts{}
	for _, path := range files {
		f.faces = append(f.faces, readFaces(path)...)
	}
	if len(f.faces) == 0 {
		return nil, fmt.Errorf("FONT_DIR: no font under %s: install fonts-dejavu-core", dir)
	}
	return f, nil
}

// readFaces are the fonts of a file, none if it is damaged. The file stays open: letters are looked up in it, not in memory.
func readFaces(path string) (faces []face) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > largest { // a pipe would never open
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			faces = nil
		}
		if len(faces) == 0 {
			file.Close()
		}
	}()
	collection, err := sfnt.ParseCollectionReaderAt(file)
	if err != nil {
		return nil
	}
	for i := range collection.NumFonts() {
		font, err := collection.Font(i)
		if err != nil {
			continue
		}
		at, err := directory(file, i)
		if err == nil {
			_, err = tables(file, at)
		}
		if err == nil {
			faces = append(faces, face{Face{path, i}, at, font})
		}
	}
	return faces
}

// has tells whether a face can set a letter: it maps it to a glyph whose outline is whole.
func (f face) has(buffer *sfnt.Buffer, r rune) (has bool) {
	defer func() {
		if recover() != nil {
			has = false
		}
	}()
	g, err := f.font.GlyphIndex(buffer, r)
	if err != nil || g == 0 {
		return false
	}
	_, err = f.font.LoadGlyph(buffer, g, fixed.I(100), nil)
	return err == nil || strings.HasPrefix(err.Error(), "sfnt: unsupported") // what sfnt doesn't know FreeType may
}

// Choice is the fonts for a text: up to four, and for each letter that is not in the first the number of its font.
type Choice struct {
	Faces []Face         `json:"faces"`
	Slots map[string]int `json:"slots"`

	Missing []rune `json:"-"` // letters that none of them has
}

// For chooses fonts for a text: each time the one that has most of the letters left, of several the first.
func (f *Fonts) For(text string) Choice {
	left := map[rune]bool{}
	for _, r := range text {
		if r != ' ' && r != '\u200d' && r != '\ufe0f' {
			left[r] = true
		}
	}
	c := Choice{Slots: map[string]int{}}
	var buffer sfnt.Buffer
	has := make([][]rune, len(f.faces)) // of the letters of the text
	for i, face := range f.faces {
		for r := range left {
			if face.has(&buffer, r) {
				has[i] = append(has[i], r)
			}
		}
		if len(has[i]) == len(left) { // none can have more
			break
		}
	}
	for len(c.Faces) < 4 && (len(left) > 0 || len(c.Faces) == 0) {
		best, most := 0, -1
		for i := range has {
			n := 0
			for _, r := range has[i] {
				if left[r] {
					n++
				}
			}
			if n > most {
				best, most = i, n
			}
		}
		if most == 0 {
			break
		}
		for _, r := range has[best] {
			if left[r] && len(c.Faces) > 0 {
				c.Slots[string(r)] = len(c.Faces)
			}
			delete(left, r)
		}
		c.Faces = append(c.Faces, f.faces[best].Face)
	}
	for r := range left {
		c.Missing = append(c.Missing, r)
	}
	slices.Sort(c.Missing)
	return c
}

// Files gives each font of a choice as a file of its own. Blender opens the first font of a collection only, so the others
// are written into scratch.
func (f *Fonts) Files(c Choice, scratch string) (files []string, err error) {
	for i, chosen := range c.Faces {
		if chosen.Index == 0 {
			files = append(files, chosen.File)
			continue
		}
		n := slices.IndexFunc(f.faces, func(f face) bool { return f.Face == chosen })
		if n < 0 {
			return nil, fmt.Errorf("no font %d in %s", chosen.Index, chosen.File)
		}
		out := filepath.Join(scratch, fmt.Sprintf("font%d.otf", i))
		if err := f.faces[n].write(out); err != nil {
			return nil, fmt.Errorf("font %d of %s: %w", chosen.Index, chosen.File, err)
		}
		files = append(files, out)
	}
	return files, nil
}

// directory is where the table directory of a collection's font begins; of a font that stands alone, 0.
// https://learn.microsoft.com/typography/opentype/spec/otff#font-collections
func directory(file io.ReaderAt, index int) (int64, error) {
	var head [4]byte
	if _, err := file.ReadAt(head[:], 0); err != nil {
		return 0, err
	}
	if string(head[:]) != "ttcf" {
		return 0, nil
	}
	_, err := file.ReadAt(head[:], 12+4*int64(index))
	return int64(binary.BigEndian.Uint32(head[:])), err
}

// tables reads a font's table directory: its header of 12 bytes and 16 for each table. It is an error if the tables are
// larger than any font, which in a small file they can be by lying on top of each other.
func tables(file io.ReaderAt, at int64) ([]byte, error) {
	head := make([]byte, 12)
	if _, err := file.ReadAt(head, at); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[4:]))
	head = append(head, make([]byte, 16*n)...)
	if _, err := file.ReadAt(head[12:], at+12); err != nil {
		return nil, err
	}
	sum := int64(len(head))
	for i := range n {
		sum += int64(binary.BigEndian.Uint32(head[12+16*i+12:])) + 3
	}
	if sum > largest {
		return nil, errors.New("its tables are too large")
	}
	return head, nil
}

// write makes a font of a collection a file: its directory with new offsets, and the tables behind it, as they are.
func (f face) write(out string) error {
	in, err := os.Open(f.File)
	if err != nil {
		return err
	}
	defer in.Close()
	head, err := tables(in, f.at)
	if err != nil {
		return err
	}
	whole := slices.Clone(head)
	for entry := 12; entry < len(head); entry += 16 {
		from, size := binary.BigEndian.Uint32(head[entry+8:]), binary.BigEndian.Uint32(head[entry+12:])
		binary.BigEndian.PutUint32(whole[entry+8:], uint32(len(whole)))
		table := make([]byte, (size+3)&^3)
		if _, err := in.ReadAt(table[:size], int64(from)); err != nil {
			return err
		}
		whole = append(whole, table...)
	}
	return os.WriteFile(out, whole, 0o600)
}
