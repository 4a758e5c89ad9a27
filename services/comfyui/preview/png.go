package preview

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"strings"
	"unicode/utf16"
)

// encodePNG encodes an opaque image with tEXt chunks (PNG specification, 11.3.3.2) right after its header.
func encodePNG(img *image.RGBA, text [][2]string) ([]byte, error) {
	var plain bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&plain, img); err != nil {
		return nil, err
	}
	const header = 8 + 4 + 4 + 13 + 4 // signature, IHDR
	out := bytes.NewBuffer(make([]byte, 0, plain.Len()+4096))
	out.Write(plain.Bytes()[:header])
	for _, t := range text {
		data := append([]byte(latin(t[0])), 0)
		data = append(data, latin(t[1])...)
		binary.Write(out, binary.BigEndian, uint32(len(data)))
		chunk := append([]byte("tEXt"), data...)
		out.Write(chunk)
		binary.Write(out, binary.BigEndian, crc32.ChecksumIEEE(chunk))
	}
	out.Write(plain.Bytes()[header:])
	return out.Bytes(), nil
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
