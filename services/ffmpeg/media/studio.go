// Package media encodes, cuts and probes films with the real ffmpeg and ffprobe.
package media

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/ai-film/ai-film/services/internal/jobs"
	"github.com/ai-film/ai-film/services/internal/program"
	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/internal/volume"
)

// Studio does the operations of the service.
type Studio struct {
	FFmpeg, FFprobe string // programs
	Threads         int    // that one decoder, filter or encoder uses
	Memory          int64  // bytes that one of the programs may take; 0 for no limit
	Volume          *volume.Volume

	places jobs.Places
}

// reserve is the memory that the service itself takes at most, bytes.
const reserve = 128 << 20

// FromEnvironment makes the studio as FFMPEG, FFPROBE, FFMPEG_THREADS, JOB_MEMORY_MIB and DATA_DIR say, for so many jobs at
// once. Threads default to the CPUs that the container may use, a job's memory to its share of the container's.
func FromEnvironment(workers int) (*Studio, error) {
	threads, err := serving.EnvInt("FFMPEG_THREADS", runtime.GOMAXPROCS(0), 1, 64)
	if err != nil {
		return nil, err
	}
	memory, err := program.Memory(workers, reserve)
	if err != nil {
		return nil, err
	}
	v, err := volume.Open(serving.Env("DATA_DIR", "/data"))
	if err != nil {
		return nil, err
	}
	return &Studio{FFmpeg: serving.Env("FFMPEG", "ffmpeg"), FFprobe: serving.Env("FFPROBE", "ffprobe"), Threads: threads, Memory: memory, Volume: v}, nil
}

// Serve adds the operations and what they need to the service.
func (s *Studio) Serve(service *serving.Service, q *jobs.Queue) {
	for name, path := range map[string]string{"ffmpeg": s.FFmpeg, "ffprobe": s.FFprobe} {
		service.Need(name, func(context.Context) error { _, err := program.Find(path); return err })
	}
	for _, name := range []string{"images", "videos"} {
		service.Need(name, func(context.Context) error { return s.Volume.Writable(name) })
	}
	service.Handle("POST /v1/encode", service.Work(jobs.Handler(q, "encode", s.Encode)))
	service.Handle("POST /v1/cut", service.Work(jobs.Handler(q, "cut", s.Cut)))
	service.Handle("POST /v1/probe", service.Work(jobs.Handler(q, "probe", s.Probe)))
}

// ffmpeg runs ffmpeg over so many frames of video and tells its progress.
func (s *Studio) ffmpeg(ctx context.Context, p program.Program, frames int, progress func(float64)) error {
	p.Path, p.Memory = s.FFmpeg, s.Memory
	// Files and pipes only: nothing in a file can make ffmpeg fetch a URL.
	p.Args = append([]string{"-hide_banner", "-nostdin", "-y", "-loglevel", "error", "-xerror", "-progress", "pipe:1",
		"-stats_period", "0.25", "-filter_threads", strconv.Itoa(s.Threads), "-protocol_whitelist", "file,pipe"}, p.Args...)
	p.Line = func(line string) {
		if n, ok := strings.CutPrefix(line, "frame="); ok && frames > 0 {
			if done, err := strconv.Atoi(strings.TrimSpace(n)); err == nil {
				progress(float64(done) / float64(frames))
			}
		}
	}
	_, err := p.Run(ctx)
	return explained(err)
}

// ours are complaints of what is not the media's fault.
var ours = []string{"Unknown encoder", "Unrecognized option", "Option not found", "No such filter", "Permission denied", "Read-only file system",
	"Input/output error", "error while loading shared libraries"}

// explained makes of a program's bad end the problem its caller should see.
func explained(err error) error {
	bad, ok := errors.AsType[*program.Error](err)
	if !ok {
		return err
	}
	switch text := bad.Complaints; {
	case strings.Contains(text, "No space left on device"):
		return volume.Full(syscall.ENOSPC)
	case bad.Crashed(): // for want of memory, or taken in by what it was given
		return serving.NewProblem(422, "unreadable media", "the media can't be worked with: "+bad.Error(), "make them again, smaller if need be")
	case bad.Refused() && !slices.ContainsFunc(ours, func(s string) bool { return strings.Contains(text, s) }):
		return serving.NewProblem(422, "unreadable media", "the media can't be worked with: "+bad.Error(), "make them again")
	}
	return serving.NewProblem(500, "program failed", bad.Error(), "ask again; if it goes on, see the service's log")
}

// decoding are the options before an input of others' making: no more threads than we have CPUs, on whatever machine, and
// no picture that is larger than any of ours.
func (s *Studio) decoding() []string {
	return []string{"-threads", strconv.Itoa(s.Threads), "-max_pixels", strconv.Itoa(maxPixels)}
}

// demuxers are the formats that clips come in: nothing that names other files, as playlists do.
const demuxers = "mov,mp4,matroska,webm"

// h264 is the encoding of everything the studio makes: High profile, 4:2:0, BT.709, a key frame at least every 2 s so
// that players seek quickly, groups closed so that shots can be joined without encoding again.
func (s *Studio) h264(crf, fps int) []string {
	return []string{
		"-c:v", "libx264", "-preset", "medium", "-profile:v", "high", "-crf", strconv.Itoa(crf), "-pix_fmt", "yuv420p",
		"-g", strconv.Itoa(2 * fps), "-flags", "+cgop", "-threads", strconv.Itoa(s.Threads),
		"-x264-params", "stitchable=1", "-fps_mode", "passthrough", "-video_track_timescale", strconv.Itoa(timescale(fps)),
		"-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
	}
}

// timescale is the ticks a second in which a film counts time: a frame is 512 of them, exactly.
func timescale(fps int) int { return 512 * fps }

// whole are the arguments that make an output the same bytes each time, with nothing carried over from its inputs.
var whole = []string{"-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"}

// pattern is ffmpeg's name for a directory of frames: a % in the directory's own name must not count.
func pattern(dir string) string { return strings.ReplaceAll(dir, "%", "%%") + "/frame_%05d.png" }

// number refuses a number outside its range.
func number(field string, n, least, most int) error {
	if n < least || n > most {
		return serving.Invalid(field, "", "want %d to %d, not %d", least, most, n)
	}
	return nil
}

func seconds(frames, fps int) float64 { return float64(frames) / float64(fps) }

// once does a job whose output nobody else makes meanwhile, unless it is recorded already and there: then that is the
// answer. do publishes the output.
func once[R any](ctx context.Context, s *Studio, place volume.Path, key *volume.Key, there func(R) bool, do func() (R, error)) (any, bool, error) {
	free, err := s.places.Take(ctx, place.String())
	if err != nil {
		return nil, false, err
	}
	defer free()
	sum, err := key.Sum()
	if err != nil {
		return nil, false, fmt.Errorf("reading the inputs: %w", err)
	}
	var result R
	if s.Volume.Recorded(place, sum, &result) && there(result) {
		return result, true, nil
	}
	if result, err = do(); err != nil {
		return nil, false, err
	}
	return result, false, s.Volume.Record(place, sum, result)
}
