package score

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/ai-film/ai-film/services/internal/serving"
)

// play renders a piece to samples of the left and right channel.
func play(t *testing.T, p *Piece) (left, right []float64) {
	t.Helper()
	var b bytes.Buffer
	if err := p.Play(&b); err != nil {
		t.Fatal(err)
	}
	if b.Len() != p.Frames()*8 {
		t.Fatalf("%d bytes for %d frames", b.Len(), p.Frames())
	}
	for raw := b.Bytes(); len(raw) > 0; raw = raw[8:] {
		left = append(left, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
		right = append(right, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4:]))))
	}
	return left, right
}

func loud(x []float64) float64 {
	var sum float64
	for _, v := range x {
		sum += v * v
	}
	return math.Sqrt(sum / float64(len(x)))
}

func second(x []float64, from, to float64) []float64 { return x[int(from*Rate):int(to*Rate)] }

// spectrum is the loudness at each semitone from MIDI note 36 to 95 (Goertzel).
func spectrum(x []float64) []float64 {
	var out []float64
	for n := 36; n < 96; n++ {
		w := 2 * math.Pi * 440 * math.Pow(2, float64(n-69)/12) / Rate
		c, a, b := 2*math.Cos(w), 0.0, 0.0
		for _, v := range x {
			a, b = v+c*a-b, a
		}
		out = append(out, math.Sqrt(a*a+b*b-c*a*b)/float64(len(x)))
	}
	return out
}

func TestSameSeedSameMusic(t *testing.T) {
	cues := []Cue{{0, 2, "calm"}, {2, 2, "tense"}}
	var a, b, c bytes.Buffer
	Compose(7, cues, 4).Play(&a)
	Compose(7, cues, 4).Play(&b)
	Compose(8, cues, 4).Play(&c)
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("one seed, two pieces")
	}
	if bytes.Equal(a.Bytes(), c.Bytes()) {
		t.Error("two seeds, one piece")
	}
}

func TestEveryMoodIsMusicOfManyNotes(t *testing.T) {
	spectra := map[string][]float64{}
	for mood := range styles {
		for seed := range uint64(2) {
			left, right := play(t, Compose(seed, []Cue{{0, 5, mood}}, 5))
			for i := range left {
				if math.Abs(left[i]) >= 1 || math.Abs(right[i]) >= 1 || math.IsNaN(left[i]) {
					t.Fatalf("%s: sample %d is %v, %v", mood, i, left[i], right[i])
				}
			}
			if l := loud(second(left, 1, 4)); l < 0.03 || l > 0.5 {
				t.Errorf("%s: loudness %v", mood, l)
			}
			if loud(left[:480]) > 0.01 || loud(left[len(left)-480:]) > 0.001 {
				t.Errorf("%s begins or ends with a click", mood)
			}
			var difference float64
			for i := range left {
				difference += math.Abs(left[i] - right[i])
			}
			if difference/float64(len(left)) < 0.003 {
				t.Errorf("%s is mono", mood)
			}
			notes, peak := 0, 0.0
			s := spectrum(second(left, 1, 4))
			for _, v := range s {
				peak = max(peak, v)
			}
			for _, v := range s {
				if v > peak/30 {
					notes++
				}
			}
			if notes < 6 {
				t.Errorf("%s, seed %d: only %d notes", mood, seed, notes)
			}
			if seed == 1 {
				spectra[mood] = s
			}
		}
	}
	for a, x := range spectra {
		for b, y := range spectra {
			if a < b && cosine(x, y) > 0.97 {
				t.Errorf("%s sounds like %s (%.3f)", a, b, cosine(x, y))
			}
		}
	}
}

func cosine(a, b []float64) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab, aa, bb = ab+a[i]*b[i], aa+a[i]*a[i], bb+b[i]*b[i]
	}
	return ab / math.Sqrt(aa*bb)
}

func TestCuesMeetWithoutAGapAndTheSameMoodGoesOn(t *testing.T) {
	left, _ := play(t, Compose(3, []Cue{{0, 6, "sad"}, {6, 6, "joyful"}}, 12))
	for at := 4.5; at < 7.5; at += 0.25 {
		if l := loud(second(left, at, at+0.25)); l < 0.015 {
			t.Errorf("nearly silent at %v s: %v", at, l)
		}
	}
	one := Compose(3, []Cue{{0, 12, "calm"}}, 12)
	three := Compose(3, []Cue{{0, 3, "calm"}, {3, 5, "calm"}, {8, 4, "calm"}}, 12)
	var a, b bytes.Buffer
	one.Play(&a)
	three.Play(&b)
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the music begins anew at a cue of the same mood")
	}
	pause, _ := play(t, Compose(3, []Cue{{0, 4, "calm"}, {8, 4, "calm"}}, 12))
	if loud(second(pause, 7, 7.6)) > loud(second(pause, 2, 3))/20 {
		t.Error("no silence where there is no cue")
	}
}

func TestOddLengths(t *testing.T) {
	for _, seconds := range []float64{1.0 / 24, 0.3, 1, 2.0 / 3, 61.5} {
		left, _ := play(t, Compose(1, []Cue{{0, 1e4, "wonder"}}, seconds))
		if len(left) != int(math.Round(seconds*Rate)) {
			t.Errorf("%v s: %d frames", seconds, len(left))
		}
	}
}

func TestCuesAreChecked(t *testing.T) {
	for name, cues := range map[string][]Cue{
		"none": nil, "unknown mood": {{0, 1, "angry"}}, "empty mood": {{0, 1, ""}}, "no length": {{0, 0, "calm"}}, "negative": {{0, -1, "calm"}},
		"overlap": {{0, 3, "calm"}, {2, 3, "sad"}}, "before": {{-1, 3, "calm"}}, "NaN": {{0, math.NaN(), "calm"}}, "infinite": {{0, math.Inf(1), "calm"}},
	} {
		p, ok := errors.AsType[*serving.Problem](Check("cues", cues))
		if !ok || p.Status != 422 || len(p.Errors) != 1 {
			t.Errorf("%s: %v", name, p)
		}
	}
	if err := Check("cues", []Cue{{0, 3, "calm"}, {3, 3, "sad"}, {9, 1, "joyful"}}); err != nil {
		t.Error(err)
	}
}
