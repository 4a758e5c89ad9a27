package engine

import (
	"math/rand/v2"
	"text/template"
	"time"
)

// random is what random, certificate and date functions draw from in a render
// whose outcome is fixed.
type random struct {
	rng  *rand.Rand
	seed uint64
	now  time.Time
	keys int // private keys handed out
}

func newRandom(seed uint64, now time.Time) *random {
	if now.IsZero() {
		now = fixedNow
	}
	return &random{rng: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)), seed: seed, now: now}
}

// fixedNow is the present of a render with a seed and without a time.
var fixedNow = time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)

// real returns a function of sprig's.
func real[F any](name string) F { return functions()[name].(F) }

// addRandom binds the functions that answer differently every time.
func (w *worker) addRandom(f template.FuncMap) {
	const (
		lower   = "abcdefghijklmnopqrstuvwxyz"
		upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		numbers = "0123456789"
	)
	ascii := make([]byte, 0, 95)
	for c := byte(32); c < 127; c++ {
		ascii = append(ascii, c)
	}
	for name, alphabet := range map[string]string{
		"randAlphaNum": lower + upper + numbers,
		"randAlpha":    lower + upper,
		"randNumeric":  numbers,
		"randAscii":    string(ascii),
	} {
		genuine := real[func(int) string](name)
		f[name] = func(n int) string {
			if w.render.random == nil || n < 0 {
				return genuine(n)
			}
			b := make([]byte, n)
			for i := range b {
				b[i] = alphabet[w.render.random.rng.IntN(len(alphabet))]
			}
			return string(b)
		}
	}
	w.addDates(f)
	w.addCertificates(f)
}

// addDates binds the functions that ask for the present.
func (w *worker) addDates(f template.FuncMap) {
	now := func() time.Time {
		if r := w.render.random; r != nil {
			return r.now
		}
		return time.Now()
	}
	f["now"] = now
}
