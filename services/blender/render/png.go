package render

import (
	"bufio"
	"encoding/binary"
	"errors"
	"image"
	"image/png"
	"os"
)

const pngHead = "\x89PNG\r\n\x1a\n"

// pixelsOnly takes the text out of a PNG file: Blender writes how long each frame took into it, and the same pixels
// shall be the same bytes. It is an error if the file isn't there whole.
func pixelsOnly(file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if len(raw) < 8 || string(raw[:8]) != pngHead {
		return errors.New("is no PNG")
	}
	kept := raw[:8:8]
	for rest := raw[8:]; ; {
		if len(rest) < 12 {
			return errors.New("is cut short")
		}
		size := uint64(binary.BigEndian.Uint32(rest)) + 12 // length, type and checksum around the data
		if size > uint64(len(rest)) {
			return errors.New("is cut short")
		}
		kind := string(rest[4:8])
		if kind != "tEXt" && kind != "zTXt" && kind != "iTXt" && kind != "tIME" {
			kept = append(kept, rest[:size]...)
		}
		if kind == "IEND" {
			return os.WriteFile(file, kept, 0o660)
		}
		rest = rest[size:]
	}
}

func writePNG(file string, img image.Image) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	return errors.Join(encoder.Encode(w, img), w.Flush(), f.Close())
}
