// Package score composes and plays a film's music: pads, a slow arpeggio and a bass whose harmony, tempo and sound follow
// the moods of the film. The same seed and cues give the same samples.
package score

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/ai-film/ai-film/services/internal/serving"
)

// Rate is samples a second of each of the two channels.
const Rate = 48000

// Cue asks for music of a mood (calm, tense, joyful, sad, wonder) from Start for Seconds.
type Cue struct {
	Start   float64 `json:"start"`
	Seconds float64 `json:"seconds"`
	Mood    string  `json:"mood"`
}

// Check refuses cues that can't be played: 422, named by the field they came in.
func Check(field string, cues []Cue) error {
	if len(cues) == 0 || len(cues) > 2000 {
		return serving.Invalid(field, "give a cue for each scene", "want 1 to 2000 cues, not %d", len(cues))
	}
	end := 0.0
	for i, c := range cues {
		at := fmt.Sprintf("%s.%d", field, i)
		switch {
		case styles[c.Mood].bpm == 0:
			return serving.Invalid(at+".mood", "use calm, tense, joyful, sad or wonder", "%q is no mood", c.Mood)
		case !(c.Seconds > 0 && c.Seconds <= 24*3600):
			return serving.Invalid(at+".seconds", "", "want more than 0, at most a day, not %v", c.Seconds)
		case !(c.Start >= end-0.02 && c.Start <= 24*3600):
			return serving.Invalid(at+".start", "give the cues in order and without overlap", "%v is before the end of the cue before it", c.Start)
		}
		end = c.Start + c.Seconds
	}
	return nil
}

// Piece is composed music.
type Piece struct {
	frames   int // samples of each channel
	sections []section
}

// section is a stretch of one mood with the notes it needs, by their start.
type section struct {
	from, to     float64 // seconds; of the film, between the middles of the crossfades
	fadeIn       float64 // seconds, centred on from
	fadeOut      float64 // centred on to
	notes        []note
	style        style
	root, number int
}

// note is one sound to be made. pitch is MIDI's (69 = 440 Hz).
type note struct {
	at, length       float64 // seconds; of the film
	pitch            float64
	loudness, panned float64 // 0 to 1; −1 left to 1 right
	voice            voiceKind
}

type voiceKind int

const (
	padVoice voiceKind = iota
	arpVoice
	bassVoice
)

// Compose writes the music for a film of so many seconds.
func Compose(seed uint64, cues []Cue, seconds float64) *Piece {
	p := &Piece{frames: int(math.Round(seconds * Rate))}
	for _, c := range cues {
		if c.Start >= seconds {
			break
		}
		end := min(c.Start+c.Seconds, seconds)
		if n := len(p.sections); n > 0 && c.Start-p.sections[n-1].to < 0.05 {
			last := &p.sections[n-1]
			last.to = c.Start
			if last.style.bpm == styles[c.Mood].bpm { // the music of a mood goes on over shots and scenes
				last.to = end
				continue
			}
		}
		p.sections = append(p.sections, section{from: c.Start, to: end, style: styles[c.Mood]})
	}
	key := 48 + rand.New(rand.NewPCG(seed, 0)).IntN(9) - 4 // the tonic, G#2 to E3
	for i := range p.sections {
		s := &p.sections[i]
		s.number, s.root = i, key
		if s.style.minor {
			s.root = key - 3
		}
		s.fadeIn, s.fadeOut = 0.3, 0.6
		if i > 0 && s.from-p.sections[i-1].to < 0.05 {
			width := min(1.6, (s.to-s.from)/2, (s.from-p.sections[i-1].from)/2)
			s.fadeIn, p.sections[i-1].fadeOut = width, width
		}
	}
	for i := range p.sections {
		p.sections[i].compose(seed, i == len(p.sections)-1)
	}
	return p
}

// compose writes the notes of a section: a chord a bar, the last one of the film the tonic.
func (s *section) compose(seed uint64, last bool) {
	rng := rand.New(rand.NewPCG(seed, uint64(s.number)+1))
	st := s.style
	chords := st.progressions[rng.IntN(len(st.progressions))]
	pattern := st.patterns[rng.IntN(len(st.patterns))]
	beat := 60 / st.bpm
	bar := 4 * beat
	end := s.to + s.fadeOut/2
	begin := max(0, s.from-s.fadeIn/2)
	bars := int(math.Ceil((end - begin) / bar))
	var voicing []int
	for b := range bars {
		at := begin + float64(b)*bar
		chord := chords[b%len(chords)]
		if last && b == bars-1 && bars > 1 {
			chord = chords[0]
		}
		voicing = lead(voicing, s.root, chord)
		length := min(bar, end-at)
		s.pad(at, length, voicing)
		s.bassLine(at, length, beat, s.root+chord[0]%12, rng)
		s.arpeggio(at, length, beat, voicing, pattern, rng)
	}
	slices.SortStableFunc(s.notes, func(a, b note) int { return cmp.Compare(a.at, b.at) })
}

// lead puts a chord's notes into the octave in which they move least from the chord before (voice leading).
func lead(before []int, root int, chord []int) []int {
	const lowest, highest = 53, 74
	notes := make([]int, 0, len(chord))
	for i, c := range chord {
		want := 60 + 3*i
		if i < len(before) {
			want = before[i]
		}
		n := root + c
		for n < want-6 || n < lowest {
			n += 12
		}
		for n > want+6 && n-12 >= lowest || n > highest {
			n -= 12
		}
		notes = append(notes, n)
	}
	slices.Sort(notes)
	return slices.Compact(notes)
}

func (s *section) pad(at, length float64, voicing []int) {
	for i, n := range voicing {
		pan := 0.6 * (2*float64(i)/float64(max(1, len(voicing)-1)) - 1)
		s.notes = append(s.notes, note{at, length, float64(n), 0.16 * s.style.pad, pan, padVoice})
	}
}

func (s *section) bassLine(at, length, beat float64, pitch int, rng *rand.Rand) {
	for pitch > 43 {
		pitch -= 12
	}
	if !s.style.pulse {
		s.notes = append(s.notes, note{at, min(length, 3.6*beat), float64(pitch), 0.5 * s.style.bass, 0, bassVoice})
		return
	}
	for t := 0.0; t < length-0.1; t += beat / 2 {
		loud := 0.3 + 0.06*rng.Float64()
		if math.Mod(t, 2*beat) < 0.01 {
			loud = 0.5
		}
		s.notes = append(s.notes, note{at + t, 0.4 * beat, float64(pitch), loud * s.style.bass, 0, bassVoice})
	}
}

func (s *section) arpeggio(at, length, beat float64, voicing, pattern []int, rng *rand.Rand) {
	step := beat / float64(s.style.stepsPerBeat)
	for i := 0; float64(i)*step < length-0.05; i++ {
		index, skip, accent, pan := pattern[i%len(pattern)], rng.Float64(), rng.Float64(), rng.Float64()
		if index < 0 || skip < s.style.rest && i > 0 {
			continue
		}
		pitch := voicing[index%len(voicing)] + 12*(index/len(voicing)) + 12*s.style.octave
		loud := 0.2 + 0.1*accent
		if i%(2*s.style.stepsPerBeat) == 0 {
			loud += 0.06
		}
		late := 0.012 * accent // a player is not a clock
		s.notes = append(s.notes, note{at + float64(i)*step + late, 2, float64(pitch), loud * s.style.arp, pan - 0.5, arpVoice})
	}
}
