package media

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ai-film/ai-film/services/ffmpeg/score"
	"github.com/ai-film/ai-film/services/internal/jobs"
	"github.com/ai-film/ai-film/services/internal/program"
	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/internal/volume"
	"github.com/ai-film/ai-film/services/limits"
)

// CutRequest is the body of /v1/cut.
type CutRequest struct {
	Clips      []string   `json:"clips"`
	Output     string     `json:"output"`
	Poster     string     `json:"poster,omitempty"` // none if empty
	Title      string     `json:"title,omitempty"`
	Subtitles  []Subtitle `json:"subtitles,omitempty"`
	Language   string     `json:"language,omitempty"` // of the subtitles, ISO 639-2; default "und"
	Soundtrack struct {
		Seed uint64      `json:"seed,omitempty"`
		Cues []score.Cue `json:"cues"`
	} `json:"soundtrack"`
}

// CutResult is what /v1/cut answers.
type CutResult struct {
	Path    string  `json:"path"`
	Seconds float64 `json:"seconds"`
	Frames  int     `json:"frames"`
	Width   int     `json:"width"`
	Height  int     `json:"height"`
	Bytes   int64   `json:"bytes"`
	SHA256  string  `json:"sha256"`
}

// cut is an accepted request.
type cut struct {
	CutRequest
	clips       []volume.Path
	out, poster volume.Path
	bytes       int64 // of all clips
}

// Cut accepts a request to put a film together.
func (s *Studio) Cut(_ context.Context, subject volume.Subject, r CutRequest) (jobs.Job, error) {
	c, err := s.acceptCut(s.Volume.Of(subject, "ffmpeg"), r)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, progress func(float64)) (any, bool, error) {
		params := c.CutRequest
		params.Clips, params.Output, params.Poster = nil, "", strconv.FormatBool(c.Poster != "")
		key := s.Volume.NewKey(ctx, "cut", 1, params)
		for _, p := range c.clips {
			key.File(p)
		}
		there := func(r CutResult) bool {
			return s.Volume.Size(c.out) == r.Bytes && (c.Poster == "" || s.there(c.poster))
		}
		return once(ctx, s, c.out, key, there, func() (CutResult, error) { return s.cut(ctx, c, progress) })
	}, nil
}

func (s *Studio) acceptCut(folder volume.Folder, r CutRequest) (c *cut, err error) {
	c = &cut{CutRequest: r}
	if len(r.Clips) == 0 || len(r.Clips) > 2000 {
		return nil, serving.Invalid("clips", "give the clips of the film in order", "want 1 to 2000, not %d", len(r.Clips))
	}
	if n := limits.Film.Lengths.Title.Max; utf8.RuneCountInString(r.Title) > n || strings.ContainsFunc(r.Title, func(c rune) bool { return c < ' ' }) {
		return nil, serving.Invalid("title", "shorten it", "want one line of at most %d characters", n)
	}
	if c.Language == "" {
		c.Language = "und"
	}
	if !language.MatchString(c.Language) {
		return nil, serving.Invalid("language", `give a code such as "eng" or "deu"`, "%q is no ISO 639-2 code", r.Language)
	}
	if err := checkSubtitles(r.Subtitles); err != nil {
		return nil, err
	}
	if err := score.Check("soundtrack.cues", r.Soundtrack.Cues); err != nil {
		return nil, err
	}
	for i, p := range r.Clips {
		clip, err := folder.Input(fmt.Sprintf("clips.%d", i), p, false, "videos")
		if err != nil {
			return nil, err
		}
		c.clips = append(c.clips, clip)
		c.bytes += s.Volume.Size(clip)
	}
	if c.out, err = folder.Output("output", r.Output, []string{".mp4"}, "videos"); err != nil {
		return nil, err
	}
	if r.Poster != "" {
		if c.poster, err = folder.Output("poster", r.Poster, []string{".jpg", ".jpeg"}, "videos"); err != nil {
			return nil, err
		}
	}
	return c, s.Volume.Room(c.out, 2*c.bytes+(16<<20)) // faststart writes once more; and there is the sound
}

// cut makes the film from its clips.
func (s *Studio) cut(ctx context.Context, c *cut, progress func(float64)) (CutResult, error) {
	var none CutResult
	first, frames, alike, err := s.clips(ctx, c)
	if err != nil {
		return none, err
	}
	film := seconds(frames, first.fps)
	if film > maxSeconds {
		return none, serving.Invalid("clips", "cut a shorter film", "the film lasts %.0f s: want at most %d", film, maxSeconds)
	}
	for i, sub := range c.Subtitles {
		if sub.End > film+0.1 {
			return none, serving.Invalid(fmt.Sprintf("subtitles.%d.end", i), "", "%v is after the film's end at %v", sub.End, film)
		}
	}
	scratch, err := os.MkdirTemp("", "cut-")
	if err != nil {
		return none, err
	}
	defer os.RemoveAll(scratch)

	music := score.Compose(c.Soundtrack.Seed, c.Soundtrack.Cues, film)
	filter, err := s.loudness(ctx, music)
	if err != nil {
		return none, err
	}
	progress(0.1)
	draft := s.Volume.Draft(c.out)
	defer draft.Discard()
	var files []string
	for _, p := range c.clips {
		files = append(files, s.Volume.OS(p))
	}
	if !alike {
		if files, err = s.conform(ctx, files, first.fps, scratch, func(p float64) { progress(0.1 + 0.5*p) }); err != nil {
			return none, err
		}
	}
	err = s.join(ctx, c, files, first, frames, filter, music, scratch, draft.OS(), func(p float64) { progress(0.6 + 0.3*p) })
	if err != nil {
		return none, err
	}
	exact, err := s.even(ctx, draft.OS(), frames, first.fps)
	if err != nil {
		return none, err
	}
	if !exact {
		return none, serving.NewProblem(500, "wrong cut", fmt.Sprintf("the film has not exactly its clips' %d frames", frames), "encode the clips again")
	}
	result := CutResult{Path: c.out.String(), Seconds: film, Frames: frames, Width: first.Width, Height: first.Height}
	if result.Bytes, result.SHA256, err = digest(draft.OS()); err != nil {
		return none, err
	}
	if c.Poster != "" {
		if err := s.makePoster(ctx, draft.OS(), film, c.poster); err != nil {
			return none, err
		}
	}
	return result, draft.Publish()
}

// clips looks at all clips: the first, the sum of frames, and whether they can be joined without encoding again. It
// refuses clips that make no one film.
func (s *Studio) clips(ctx context.Context, c *cut) (first clip, frames int, alike bool, err error) {
	alike = true
	for i, p := range c.clips {
		field := fmt.Sprintf("clips.%d", i)
		k, err := s.look(ctx, s.Volume.OS(p))
		if ctx.Err() != nil {
			return first, 0, false, context.Cause(ctx)
		}
		if err != nil {
			return first, 0, false, serving.Invalid(field, "encode the shot again", "%s: %v", p, err)
		}
		if i == 0 {
			first = k
		}
		if k.Width != first.Width || k.Height != first.Height || k.fps != first.fps || k.Width%2+k.Height%2 != 0 {
			return first, 0, false, serving.Invalid(field, "encode all shots with one even size and rate", "%s is %d×%d at %d fps, the first %d×%d at %d",
				p, k.Width, k.Height, k.fps, first.Width, first.Height, first.fps)
		}
		alike = alike && k.Codec == "h264" && k.Profile == "High" && k.Pixels == "yuv420p" && k.ExtraHash == first.ExtraHash &&
			k.TimeBase == "1/"+strconv.Itoa(timescale(k.fps))
		if frames += k.frames; frames > maxFilm {
			return first, 0, false, serving.Invalid(field, "cut a shorter film", "the film has more than %d frames", maxFilm)
		}
	}
	return first, frames, alike, nil
}

// conform encodes clips of other makers into scratch as ours are encoded, so that they can be joined.
func (s *Studio) conform(ctx context.Context, files []string, fps int, scratch string, progress func(float64)) (ours []string, err error) {
	serving.Log(ctx).Info("clips can't be joined as they are, encoding them")
	for i, file := range files {
		out := filepath.Join(scratch, fmt.Sprintf("clip%04d.mp4", i))
		args := append(append(s.decoding(), "-format_whitelist", demuxers), "-i", file)
		args = append(append(args, "-map", "0:v:0", "-vf", "format=yuv420p"), whole...)
		args = append(append(args, s.h264(18, fps)...), "-f", "mp4", out)
		if err := s.ffmpeg(ctx, program.Program{Args: args}, 0, nil); err != nil {
			return nil, err
		}
		ours = append(ours, out)
		progress(float64(i+1) / float64(len(files)))
	}
	return ours, nil
}

// join writes the film: clips one after the other as they are, music, subtitles, title.
func (s *Studio) join(ctx context.Context, c *cut, files []string, first clip, frames int, filter string, music *score.Piece, scratch, out string, progress func(float64)) error {
	var list strings.Builder
	list.WriteString("ffconcat version 1.0\n")
	for _, file := range files {
		fmt.Fprintf(&list, "file '%s'\n", strings.ReplaceAll(file, "'", `'\''`))
	}
	clips := filepath.Join(scratch, "clips.ffconcat")
	if err := os.WriteFile(clips, []byte(list.String()), 0o600); err != nil {
		return err
	}
	args := append([]string{"-format_whitelist", "concat," + demuxers, "-f", "concat", "-safe", "0", "-i", clips}, pcm...)
	text := webVTT(c.Subtitles, seconds(frames, first.fps))
	if text != "" {
		file := filepath.Join(scratch, "subtitles.vtt")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
		args = append(args, "-f", "webvtt", "-i", file)
	}
	args = append(args, "-map", "0:v:0", "-map", "1:a:0")
	if text != "" {
		args = append(args, "-map", "2:s:0", "-c:s", "mov_text", "-metadata:s:s:0", "language="+c.Language, "-disposition:s:0", "default")
	}
	args = append(args, whole...)
	// ffmpeg adds up the clips' lengths in microseconds, which puts later clips a tick beside their frames' times.
	tick := strconv.Itoa(timescale(first.fps) / first.fps)
	args = append(args, "-c:v", "copy", "-video_track_timescale", strconv.Itoa(timescale(first.fps)),
		"-bsf:v", "setts=pts=round(PTS/"+tick+")*"+tick+":dts=round(DTS/"+tick+")*"+tick)
	args = append(args, "-af", filter, "-c:a", "aac", "-b:a", "192k", "-ar", "48000", "-ac", "2",
		"-metadata", "title="+c.Title, "-movflags", "+faststart", "-f", "mp4", out)
	return s.ffmpeg(ctx, program.Program{Args: args, Stdin: func(w io.Writer) error { return music.Play(w) }}, frames, progress)
}

// makePoster takes the most telling of the frames around a third of the film.
func (s *Studio) makePoster(ctx context.Context, film string, seconds float64, poster volume.Path) error {
	draft := s.Volume.Draft(poster)
	defer draft.Discard()
	err := s.ffmpeg(ctx, program.Program{Args: append([]string{"-threads", strconv.Itoa(s.Threads), "-ss", fmt.Sprintf("%.3f", seconds/3), "-i", film, "-an", "-sn",
		"-vf", "thumbnail=n=24", "-frames:v", "1", "-q:v", "3", "-update", "1"}, append(whole, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-f", "image2", draft.OS())...)}, 0, nil)
	if err != nil {
		return err
	}
	if err := draft.Publish(); err != nil {
		return err
	}
	return s.Volume.Record(poster, "", nil) // the film's key speaks for it
}

func digest(file string) (int64, string, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return n, hex.EncodeToString(h.Sum(nil)), err
}
