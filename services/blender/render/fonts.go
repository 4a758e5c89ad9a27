package render

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/image/font/sfnt"
)

// Fonts knows which letters the fonts of the machine have. Blender's text takes four fonts, one of which each letter is
// set in.
type Fonts struct {
	files []string
	fonts []*sfnt.Font
}

// favourites come before all other fonts: display faces first, then what covers much.
var favourites = []string{"NotoSerif-Bold.ttf", "DejaVuSerif-Bold.ttf", "NotoSans-Bold.ttf", "DejaVuSans-Bold.ttf", "DroidSansFallbackFull.ttf"}

// FindFonts reads the fonts under a directory. It is an error if there is none.
func FindFonts(dir string) (*Fonts, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ext := strings.ToLower(filepath.Ext(path)); !d.IsDir() && (ext == ".ttf" || ext == ".otf") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("FONT_DIR: %w", err)
	}
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
		file, err := os.Open(path) // and stays open: letters are looked up in the file, not in memory
		if err != nil {
			return nil, err
		}
		if font, err := sfnt.ParseReaderAt(file); err == nil { // a damaged font is none
			f.files, f.fonts = append(f.files, path), append(f.fonts, font)
		} else {
			file.Close()
		}
	}
	if len(f.fonts) == 0 {
		return nil, fmt.Errorf("FONT_DIR: no font under %s: install fonts-dejavu-core", dir)
	}
	return f, nil
}

// Choice is the fonts for a text: up to four files, and for each letter that is not in the first the number of its file.
type Choice struct {
	Files []string       `json:"files"`
	Slots map[string]int `json:"slots"`

	Missing []rune `json:"-"` // letters that none of them has
}

// For chooses fonts for a text: each time the one that has most of the letters left.
func (f *Fonts) For(text string) Choice {
	left := map[rune]bool{}
	for _, r := range text {
		if r != ' ' && r != '\u200d' && r != '\ufe0f' {
			left[r] = true
		}
	}
	c := Choice{Slots: map[string]int{}}
	var buffer sfnt.Buffer
	for len(c.Files) < 4 && (len(left) > 0 || len(c.Files) == 0) {
		best, most := 0, -1
		for i, font := range f.fonts {
			has := 0
			for r := range left {
				if g, err := font.GlyphIndex(&buffer, r); err == nil && g != 0 {
					has++
				}
			}
			if has > most {
				best, most = i, has
			}
		}
		if most == 0 {
			break
		}
		for r := range left {
			if g, err := f.fonts[best].GlyphIndex(&buffer, r); err == nil && g != 0 {
				if len(c.Files) > 0 {
					c.Slots[string(r)] = len(c.Files)
				}
				delete(left, r)
			}
		}
		c.Files = append(c.Files, f.files[best])
	}
	for r := range left {
		c.Missing = append(c.Missing, r)
	}
	slices.Sort(c.Missing)
	return c
}
