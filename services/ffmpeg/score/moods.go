package score

// style is how a mood sounds. Chords are semitones above the section's root; the first of each is its bass.
type style struct {
	bpm          float64
	minor        bool // root is the relative minor's, so that all sections of a film share their notes
	progressions [][][]int
	patterns     [][]int // steps of the arpeggio: index of a chord note, counted on into the next octave; −1 rests
	stepsPerBeat int
	rest         float64 // share of steps left out by chance
	pad, arp     float64 // loudness of the voices
	bass         float64
	pulse        bool // the bass repeats every half beat, not every bar
	bright       float64
	timbre       timbre
	octave       int // of the arpeggio, relative to the pad
}

// timbre is a two-operator FM sound (Chowning 1973): ratio of modulator to carrier, modulation index at the start, and
// the times in which index and loudness fall to 1/e, seconds.
type timbre struct {
	ratio, index, dull, decay float64
}

var styles = map[string]style{
	"calm": {
		bpm: 66, progressions: [][][]int{
			{{0, 4, 7, 14}, {9, 12, 16, 19}, {5, 9, 12, 16}, {7, 12, 14, 17}},
			{{0, 4, 7, 11}, {5, 9, 12, 16}, {9, 12, 16, 19}, {7, 11, 14, 16}},
		},
		patterns:     [][]int{{0, 2, 1, 3, 2, 4, 3, 1}, {0, 1, 2, 4, 3, 2, 1, 2}},
		stepsPerBeat: 2, rest: 0.18, pad: 0.77, arp: 0.88, bass: 0.45, bright: 0.35, timbre: timbre{3, 0.7, 0.25, 1.1}, octave: 1,
	},
	"joyful": {
		bpm: 100, progressions: [][][]int{
			{{0, 4, 7, 12}, {7, 11, 14, 19}, {9, 12, 16, 21}, {5, 9, 12, 17}},
			{{0, 4, 7, 14}, {5, 9, 12, 16}, {2, 5, 9, 12}, {7, 11, 14, 17}},
		},
		patterns:     [][]int{{0, 2, 4, 2, 3, 2, 4, 1}, {0, 3, 2, 4, 1, 3, 2, 5}},
		stepsPerBeat: 2, rest: 0.08, pad: 0.51, arp: 1.3, bass: 0.5, bright: 0.6, timbre: timbre{4, 0.9, 0.08, 0.45}, octave: 1,
	},
	"wonder": {
		bpm: 72, progressions: [][][]int{
			{{0, 4, 7, 11}, {2, 6, 9, 16}, {9, 12, 16, 23}, {5, 9, 12, 16}},
			{{0, 7, 11, 16}, {4, 7, 11, 14}, {5, 9, 12, 19}, {2, 6, 9, 12}},
		},
		patterns:     [][]int{{0, 3, 2, 5, -1, 4, 3, 6}, {2, -1, 4, 3, 5, -1, 6, 4}},
		stepsPerBeat: 2, rest: 0.2, pad: 0.72, arp: 0.96, bass: 0.36, bright: 0.5, timbre: timbre{3.5, 1.3, 0.7, 1.9}, octave: 1,
	},
	"sad": {
		bpm: 56, minor: true, progressions: [][][]int{
			{{0, 3, 7, 14}, {8, 12, 15, 19}, {3, 7, 10, 15}, {10, 14, 17, 22}},
			{{0, 3, 7, 12}, {5, 8, 12, 15}, {8, 12, 15, 19}, {7, 10, 14, 17}},
		},
		patterns:     [][]int{{0, -1, 2, 3, -1, 2, 1, -1}, {0, 2, -1, 4, 3, -1, 2, -1}},
		stepsPerBeat: 2, rest: 0.15, pad: 0.68, arp: 0.96, bass: 0.41, bright: 0.2, timbre: timbre{1, 1.1, 0.35, 1.6}, octave: 0,
	},
	"tense": {
		bpm: 88, minor: true, progressions: [][][]int{
			{{0, 3, 7, 12}, {0, 3, 8, 12}, {1, 5, 8, 13}, {0, 3, 7, 14}},
			{{0, 7, 12, 15}, {0, 6, 12, 15}, {0, 5, 8, 13}, {0, 3, 7, 11}},
		},
		patterns:     [][]int{{0, 1, 0, 2, 0, 1, 0, 3}, {0, 0, 2, 0, 1, 0, 3, 1}},
		stepsPerBeat: 2, rest: 0.05, pad: 0.64, arp: 0.64, bass: 0.63, pulse: true, bright: 0.25, timbre: timbre{2, 1.4, 0.06, 0.28}, octave: 0,
	},
}
