package studio

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"
)

// An MP4 is what the boxes of a video file tell (ISO/IEC 14496-12).
type MP4 struct {
	Duration time.Duration // of the movie header
	Tracks   []string      // handlers: vide, soun, and sbtl or text
}

// ReadMP4 reads a video's boxes, not its pictures. It fails unless the file
// begins with ftyp, its boxes fill it exactly, and moov stands before mdat, so
// that players can begin before they have it all.
func ReadMP4(path string) (*MP4, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	movie := new(MP4)
	var seen []string
	err = boxes(file, 0, info.Size(), func(kind string, from, to int64) error {
		seen = append(seen, kind)
		if kind != "moov" {
			return nil
		}
		return boxes(file, from, to, func(kind string, from, to int64) error {
			switch kind {
			case "mvhd":
				return movie.header(file, from, to)
			case "trak":
				return movie.track(file, from, to)
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("%s is not a whole MP4: %w", path, err)
	}
	moov, mdat := slices.Index(seen, "moov"), slices.Index(seen, "mdat")
	switch {
	case len(seen) == 0 || seen[0] != "ftyp":
		return nil, fmt.Errorf("%s is not an MP4: it does not begin with ftyp", path)
	case moov < 0 || mdat < 0:
		return nil, fmt.Errorf("%s is not a whole MP4: of moov and mdat one is missing", path)
	case moov > mdat:
		return nil, fmt.Errorf("%s cannot start at once: moov stands after mdat", path)
	}
	return movie, nil
}

// Check compares the video with the film it should be: a picture, a sound and,
// where the plan has any, a subtitle track, and the planned length within a
// frame a shot.
func (m *MP4) Check(film *Film) error {
	for _, needed := range []string{"vide", "soun"} {
		if !slices.Contains(m.Tracks, needed) {
			return fmt.Errorf("the video has tracks %v, and none of kind %s", m.Tracks, needed)
		}
	}
	if film.Plan == nil {
		return nil
	}
	subtitled := slices.ContainsFunc(film.Plan.Scenes, func(scene Scene) bool {
		return slices.ContainsFunc(scene.Shots, func(shot Shot) bool { return shot.Subtitle != "" })
	})
	if subtitled && !slices.Contains(m.Tracks, "sbtl") && !slices.Contains(m.Tracks, "text") {
		return fmt.Errorf("the video has tracks %v, and no subtitles", m.Tracks)
	}
	fps := film.Plan.FPS
	if fps <= 0 {
		fps = 24
	}
	if allowed := float64(len(film.Shots())) / fps; math.Abs(m.Duration.Seconds()-film.Plan.Seconds) > allowed {
		return fmt.Errorf("the video is %.2f s long, %.2f s were planned", m.Duration.Seconds(), film.Plan.Seconds)
	}
	return nil
}

func (m *MP4) header(file io.ReaderAt, from, to int64) error {
	header := make([]byte, min(to-from, 32))
	if _, err := file.ReadAt(header, from); err != nil {
		return err
	}
	var scale, length uint64
	switch {
	case len(header) >= 20 && header[0] == 0:
		scale, length = uint64(binary.BigEndian.Uint32(header[12:])), uint64(binary.BigEndian.Uint32(header[16:]))
	case len(header) >= 32 && header[0] == 1:
		scale, length = uint64(binary.BigEndian.Uint32(header[20:])), binary.BigEndian.Uint64(header[24:])
	}
	if scale == 0 {
		return fmt.Errorf("its movie header has no time scale")
	}
	m.Duration = time.Duration(float64(length) / float64(scale) * float64(time.Second))
	return nil
}

func (m *MP4) track(file io.ReaderAt, from, to int64) error {
	return boxes(file, from, to, func(kind string, from, to int64) error {
		if kind != "mdia" {
			return nil
		}
		return boxes(file, from, to, func(kind string, from, to int64) error {
			if kind != "hdlr" || to-from < 12 {
				return nil
			}
			handler := make([]byte, 4)
			_, err := file.ReadAt(handler, from+8)
			m.Tracks = append(m.Tracks, string(handler))
			return err
		})
	})
}

// boxes calls visit with the kind of every box between two offsets, and where
// its contents begin and end.
func boxes(file io.ReaderAt, from, to int64, visit func(kind string, from, to int64) error) error {
	for at := from; at < to; {
		head := make([]byte, 16)
		if n, err := file.ReadAt(head, at); n < 8 {
			return fmt.Errorf("a box is cut off at %d: %w", at, err)
		}
		size, kind, inside := int64(binary.BigEndian.Uint32(head)), string(head[4:8]), at+8
		switch size {
		case 0: // to the end
			size = to - at
		case 1:
			size, inside = int64(binary.BigEndian.Uint64(head[8:])), at+16
		}
		if size < inside-at || size > to-at {
			return fmt.Errorf("box %q at %d has %d bytes, there are %d", kind, at, size, to-at)
		}
		if err := visit(kind, inside, at+size); err != nil {
			return err
		}
		at += size
	}
	return nil
}
