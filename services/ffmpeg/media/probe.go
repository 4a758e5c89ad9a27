package media

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ai-film/ai-film/services/internal/jobs"
	"github.com/ai-film/ai-film/services/internal/program"
	"github.com/ai-film/ai-film/services/internal/volume"
)

// ProbeRequest is the body of /v1/probe.
type ProbeRequest struct {
	Video string `json:"video"`
}

// ProbeResult is what ffprobe tells of a file, as it tells it.
type ProbeResult struct {
	Format  json.RawMessage `json:"format"`
	Streams json.RawMessage `json:"streams"`
}

// Probe accepts a request to look into a film.
func (s *Studio) Probe(_ context.Context, subject volume.Subject, r ProbeRequest) (jobs.Job, error) {
	video, err := s.Volume.Of(subject, "ffmpeg").Input("video", r.Video, false, "videos")
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, _ func(float64)) (any, bool, error) {
		var result ProbeResult
		err := s.ffprobe(ctx, s.Volume.OS(video), &result, "-show_format", "-show_streams")
		if err != nil {
			return nil, false, err
		}
		var format map[string]any // the file's name here is no business of the caller's
		if err := json.Unmarshal(result.Format, &format); err != nil {
			return nil, false, err
		}
		format["filename"] = video.String()
		result.Format, err = json.Marshal(format)
		return result, false, err
	}, nil
}

func (s *Studio) ffprobe(ctx context.Context, file string, into any, args ...string) error {
	out, err := s.probing(file, append(args, "-of", "json")).Run(ctx)
	if err != nil {
		return explained(err)
	}
	return json.Unmarshal(out, into)
}

// probing is ffprobe, about to look into a film.
func (s *Studio) probing(file string, args []string) *program.Program {
	args = append([]string{"-v", "error", "-protocol_whitelist", "file", "-format_whitelist", demuxers}, args...)
	return &program.Program{Path: s.FFprobe, Memory: s.Memory, Args: append(append(args, s.decoding()...), "-i", file)}
}

// clip is the video stream of a file, as far as joining it to others needs.
type clip struct {
	Codec     string `json:"codec_name"`
	Profile   string `json:"profile"`
	Pixels    string `json:"pix_fmt"`
	Width     int    `json:"width"`
	Height    int    `json:"height"`
	Rate      string `json:"r_frame_rate"` // "24/1"
	TimeBase  string `json:"time_base"`
	Frames    string `json:"nb_frames"`
	ExtraHash string `json:"extradata_hash"` // of the parameter sets: what a decoder is set up with

	fps, frames int
}

// codecs are those that clips come in.
var codecs = []string{"h264", "hevc", "mpeg4", "vp8", "vp9", "av1", "prores", "dnxhd", "mjpeg"}

// look reads the video stream of a clip.
func (s *Studio) look(ctx context.Context, file string) (clip, error) {
	var found struct {
		Streams []clip `json:"streams"`
	}
	err := s.ffprobe(ctx, file, &found, "-select_streams", "v", "-show_streams", "-show_data_hash", "sha256")
	if err != nil {
		return clip{}, err
	}
	if len(found.Streams) != 1 {
		return clip{}, fmt.Errorf("has %d video streams, not one", len(found.Streams))
	}
	c := found.Streams[0]
	up, down, _ := strings.Cut(c.Rate, "/")
	if c.fps, err = strconv.Atoi(up); err != nil || down != "1" || c.fps < 1 {
		return clip{}, fmt.Errorf("has no whole number of frames a second (%s)", c.Rate)
	}
	if !slices.Contains(codecs, c.Codec) {
		return clip{}, fmt.Errorf("is encoded as %.30q, which the studio doesn't read", c.Codec)
	}
	if min(c.Width, c.Height) < 16 || c.Width > maxPixels || c.Height > maxPixels || c.Width*c.Height > maxPixels {
		return clip{}, fmt.Errorf("is %d×%d: want sides from 16 and at most %d pixels", c.Width, c.Height, maxPixels)
	}
	if c.frames, err = strconv.Atoi(c.Frames); err != nil || c.frames < 1 || c.frames > maxFilm {
		return clip{}, fmt.Errorf("does not tell how many frames it has (%q)", c.Frames)
	}
	return c, nil
}

// even tells whether a film shows one frame every 1/fps seconds, from 0 on, with none doubled or missing.
func (s *Studio) even(ctx context.Context, file string, frames, fps int) (bool, error) {
	shown, packets, even := make([]bool, frames), 0, true
	tick := timescale(fps) / fps
	p := s.probing(file, []string{"-select_streams", "v", "-show_entries", "packet=pts", "-of", "csv=p=0"})
	p.Line = func(line string) {
		if line == "" {
			return
		}
		packets++
		pts, err := strconv.Atoi(strings.TrimSuffix(line, ","))
		n := pts / tick
		if err != nil || pts%tick != 0 || n < 0 || n >= frames || shown[n] {
			even = false
			return
		}
		shown[n] = true
	}
	_, err := p.Run(ctx)
	return even && packets == frames, explained(err)
}

// there tells whether a published file still is in its place.
func (s *Studio) there(p volume.Path) bool { return s.Volume.Size(p) > 0 }
