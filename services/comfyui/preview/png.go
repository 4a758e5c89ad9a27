package preview

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"strings"
	"unicode/utf16"
)

// encodePNG encodes an opaque image with tEXt chunks (PNG specification, 11.3.3.2) right after its header.
func encodePNG(w io.Writer, img *image.RGBA, text [][2]string) error {
	const header = 8 + 4 + 4 + 13 + 4 // signature, IHDR
	return (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&after{w: w, left: header, then: func() error {
		for _, t := range text {
			data := append([]byte(latin(t[0])), 0)
			data = append(data, latin(t[1])...)
			chunk := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
			chunk = append(append(chunk, "tEXt"...), data...)
			chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
			if _, err := w.Write(chunk); err != nil {
				return err
			}
		}
		return nil
	}}, img)
}

// after writes to w and calls then once left bytes are written.
type after struct {
	w    io.Writer
	left int
	then func() error
}

func (a *after) Write(b []byte) (int, error) {
	if a.left == 0 || len(b) < a.left {
		a.left = max(0, a.left-len(b))
		return a.w.Write(b)
	}
	n, err := a.w.Write(b[:a.left])
	if err == nil && n == a.left {
		if a.left, err = 0, a.then(); err == nil {
			var m int
			m, err = a.w.Write(b[n:])
			n += m
		}
	}
	return n, err
}

// latin writes what is not ASCII in JSON text as \u escapes, as Python's json.dumps does: tEXt is Latin-1 only.
func latin(text string) string {
	var out strings.Builder
	for _, r := range text {
		switch {
		case r < 0x80:
			out.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			a, b := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, a, b)
		}
	}
	return out.String()
}
