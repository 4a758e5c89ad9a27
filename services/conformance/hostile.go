package conformance

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// HostilePNGs are pictures that are small as files and cost gigabytes, or all time there is, when they are unpacked by who
// trusts them; and such as are damaged. By name.
func HostilePNGs() map[string][]byte {
	bomb := zeros()
	small := chunk("IDAT", deflated(make([]byte, 64*(1+64*3))))
	end := chunk("IEND", nil)
	animation := func(width, height, number uint32) []byte {
		b := binary.BigEndian.AppendUint32(nil, number)
		b = binary.BigEndian.AppendUint32(b, width)
		b = binary.BigEndian.AppendUint32(b, height)
		return append(b, make([]byte, 14)...)
	}
	picture := func(parts ...[]byte) []byte {
		return append([]byte("\x89PNG\r\n\x1a\n"), bytes.Join(parts, nil)...)
	}
	return map[string][]byte{
		"huge by its header":                picture(header(60000, 60000, 8, 2), chunk("IDAT", bomb), end),
		"larger than four billion pixels":   picture(header(1<<31-1, 1<<31-1, 16, 6), small, end),
		"huge by one side":                  picture(header(64, 4000000, 8, 2), small, end),
		"huge by the other":                 picture(header(4000000, 64, 8, 2), small, end),
		"of no width":                       picture(header(0, 64, 8, 2), small, end),
		"a text of a gibibyte":              picture(header(64, 64, 8, 2), chunk("zTXt", append([]byte("k\x00\x00"), bomb...)), small, end),
		"a profile of a gibibyte":           picture(header(64, 64, 8, 2), chunk("iCCP", append([]byte("k\x00\x00"), bomb...)), small, end),
		"a chunk that claims two gibibytes": picture(header(64, 64, 8, 2), claim("tEXt", 0x7ffffff0)),
		"pixels that claim two gibibytes":   picture(header(64, 64, 8, 2), claim("IDAT", 0x7ffffff0)),
		"a second header":                   picture(header(64, 64, 8, 2), header(60000, 60000, 8, 2), chunk("IDAT", bomb), end),
		"an animation with a huge picture":  picture(header(64, 64, 8, 2), chunk("acTL", []byte{0, 0, 3, 232, 0, 0, 0, 0}), chunk("fcTL", animation(60000, 60000, 0)), small, chunk("fdAT", append([]byte{0, 0, 0, 1}, bomb...)), end),
		"cut off":                           picture(header(1024, 1024, 8, 2), claim("IDAT", 5000)),
		"without pixels":                    picture(header(1024, 1024, 8, 2), end),
		"of an unknown depth":               picture(header(64, 64, 7, 2), small, end),
		"of an unknown colour":              picture(header(64, 64, 8, 9), small, end),
		"of a palette that is not there":    picture(header(64, 64, 8, 3), small, end),
		"a wrong checksum":                  picture(header(64, 64, 8, 2), append(small[:len(small)-4:len(small)-4], 1, 2, 3, 4), end),
		"followed by more than its pixels":  append(picture(header(64, 64, 8, 2), small, end), make([]byte, 8<<20)...),
	}
}

func header(width, height uint32, depth, colour byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, width)
	b = binary.BigEndian.AppendUint32(b, height)
	return chunk("IHDR", append(b, depth, colour, 0, 0, 0))
}

func chunk(kind string, content []byte) []byte {
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(content))), kind...)
	b = append(b, content...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// claim is the head of a chunk that never comes to its end.
func claim(kind string, size uint32) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, size), kind...), make([]byte, 100)...)
}

func deflated(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// zeros is a gibibyte of zeros, a thousandth as large.
var zeros = sync.OnceValue(func() []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	piece := make([]byte, 1<<20)
	for range 1 << 10 {
		w.Write(piece)
	}
	w.Close()
	return out.Bytes()
})
