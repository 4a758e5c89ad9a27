package media

import (
	"context"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"

	"github.com/ai-film/ai-film/services/ffmpeg/score"
	"github.com/ai-film/ai-film/services/internal/program"
)

// pcm is how ffmpeg reads what score.Piece.Play writes.
var pcm = []string{"-f", "f32le", "-ar", "48000", "-ac", "2", "-i", "pipe:0"}

const (
	wantedLUFS = -18.0 // of the whole film
	highest    = 0.84  // −1.5 dBFS: room for what AAC adds between the samples
)

var (
	integrated = regexp.MustCompile(`(?s)Integrated loudness:\s+I:\s+(-?[\d.]+|-inf) LUFS`)
)

// loudness measures the music after EBU R 128 and gives the filter that brings it to the wanted loudness. One gain for
// the whole film keeps the music as it was played, which ffmpeg's loudnorm in a single pass does not.
func (s *Studio) loudness(ctx context.Context, music *score.Piece) (filter string, err error) {
	measure := program.Program{Path: s.FFmpeg, Memory: s.Memory, Tail: 8192,
		Args:  append([]string{"-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-protocol_whitelist", "file,pipe"}, append(pcm, "-af", "ebur128=framelog=verbose", "-f", "null", "pipe:1")...),
		Stdin: func(w io.Writer) error { return music.Play(w) }}
	told, err := measure.Told(ctx)
	if err != nil {
		return "", explained(err)
	}
	gain := 0.0
	// Less than 0.4 s has no loudness (R 128 counts blocks), silence has none either: as played, then.
	if m := integrated.FindStringSubmatch(told); m != nil {
		if lufs, err := strconv.ParseFloat(m[1], 64); err == nil && lufs > -69 && !math.IsInf(lufs, 0) {
			gain = wantedLUFS - lufs
		}
	}
	return fmt.Sprintf("volume=%.2fdB,alimiter=limit=%.3f:level=disabled:attack=5:release=80", gain, highest), nil
}
