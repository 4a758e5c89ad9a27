package media

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/ai-film/ai-film/services/internal/serving"
)

// Subtitle is what the viewer reads from Start to End, seconds of the film.
type Subtitle struct {
	Start float64 `json:"start"`
	End   float64 `json:"end"`
	Text  string  `json:"text"`
}

// language is a three-letter code of ISO 639-2, the only kind that MP4 holds.
var language = regexp.MustCompile(`^[a-z]{3}$`)

func checkSubtitles(subtitles []Subtitle) error {
	end := 0.0
	for i, s := range subtitles {
		field := fmt.Sprintf("subtitles.%d", i)
		switch {
		case !(s.Start >= end-0.001):
			return serving.Invalid(field+".start", "give subtitles in order and without overlap", "%v is before the end of the one before it", s.Start)
		case !(s.End > s.Start) || s.End > 24*3600:
			return serving.Invalid(field+".end", "", "want more than %v, at most a day, not %v", s.Start, s.End)
		case len(s.Text) > 2000:
			return serving.Invalid(field+".text", "split it", "is longer than 2000 bytes")
		}
		end = s.End
	}
	return nil
}

// Between ffmpeg's subtitle codecs text travels as ASS, where braces begin a command and a backslash does before some
// letters. No version can write a literal brace; a word joiner, which nobody sees, keeps the backslash one.
var markup = strings.NewReplacer("{", "(", "}", ")", `\`, "\\\u2060", "&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "", "\u2028", "\n", "\u2029", "\n")

// webVTT writes the subtitles as WebVTT, in which any text can be told from markup; SubRip, simpler, has no way to write
// a literal "<i>". Times are cut off at the film's end. It is empty where nothing is to be read.
func webVTT(subtitles []Subtitle, film float64) string {
	var b strings.Builder
	for _, s := range subtitles {
		end := min(s.End, film)
		var lines []string
		for _, l := range strings.Split(markup.Replace(s.Text), "\n") {
			l = strings.Map(func(r rune) rune {
				if r < ' ' && r != '\t' || r == 0x7f {
					return -1
				}
				return r
			}, l)
			if l = strings.TrimSpace(l); l != "" { // an empty line would end the cue
				lines = append(lines, l)
			}
		}
		if len(lines) > 0 && s.Start < end {
			fmt.Fprintf(&b, "%s --> %s\n%s\n\n", clock(s.Start), clock(end), strings.Join(lines, "\n"))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "WEBVTT\n\n" + b.String()
}

// clock is a time in WebVTT's way: hours, minutes, seconds and milliseconds.
func clock(seconds float64) string {
	ms := int(math.Round(seconds * 1000))
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3600000, ms/60000%60, ms/1000%60, ms%1000)
}
