package engine

import (
	"encoding/base64"
	"io"
	"math/rand/v2"
	"text/template"
	"time"

	"github.com/google/uuid"
)

// random is what random, certificate and date functions draw from in a render
// whose outcome is fixed.
type random struct {
	seed uint64
	now  time.Time
	rng  *rand.ChaCha8
	keys int // private keys drawn so far
}

func newRandom(seed uint64, now time.Time) *random {
	if now.IsZero() {
		now = fixedNow
	}
	return &random{seed: seed, now: now, rng: stream(seed, 0)}
}

// fixedNow is the present of a render with a seed and without a time.
var fixedNow = time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)

// stream is the n-th stream of random bytes that belongs to a seed.
func stream(seed, n uint64) *rand.ChaCha8 {
	var key [32]byte
	for i := range 8 {
		key[i], key[8+i] = byte(seed>>(8*i)), byte(n>>(8*i))
	}
	return rand.NewChaCha8(key)
}

func (r *random) intn(n int) int { return rand.New(r.rng).IntN(n) }

func (r *random) bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = io.ReadFull(r.rng, b)
	return b
}

// real returns a function of sprig's.
func real[F any](name string) F { return functions()[name].(F) }

// addRandom binds the functions that answer differently every time: to sprig's
// without a seed, to the render's random with one.
func (w *worker) addRandom(f template.FuncMap) {
	const (
		letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		digits  = "0123456789"
	)
	var printable string
	for c := ' '; c <= '~'; c++ {
		printable += string(c)
	}
	for name, alphabet := range map[string]string{
		"randAlphaNum": letters + digits, "randAlpha": letters,
		"randNumeric": digits, "randAscii": printable,
	} {
		genuine := real[func(int) string](name)
		f[name] = func(n int) string {
			if w.render.random == nil || n < 0 {
				return genuine(n)
			}
			b := make([]byte, n)
			for i := range b {
				b[i] = alphabet[w.render.random.intn(len(alphabet))]
			}
			return string(b)
		}
	}
	randBytes := real[func(int) (string, error)]("randBytes")
	f["randBytes"] = func(n int) (string, error) {
		if w.render.random == nil || n < 0 {
			return randBytes(n)
		}
		return base64.StdEncoding.EncodeToString(w.render.random.bytes(n)), nil
	}
	randInt := real[func(int, int) int]("randInt")
	f["randInt"] = func(low, high int) int {
		if w.render.random == nil || high <= low {
			return randInt(low, high)
		}
		return low + w.render.random.intn(high-low)
	}
	shuffle := real[func(string) string]("shuffle")
	f["shuffle"] = func(s string) string {
		if w.render.random == nil {
			return shuffle(s)
		}
		runes := []rune(s)
		rand.New(w.render.random.rng).Shuffle(len(runes), func(i, j int) { runes[i], runes[j] = runes[j], runes[i] })
		return string(runes)
	}
	uuidv4 := real[func() string]("uuidv4")
	f["uuidv4"] = func() string {
		if w.render.random == nil {
			return uuidv4()
		}
		return uuid.Must(uuid.NewRandomFromReader(w.render.random.rng)).String()
	}
	w.addDates(f)
	w.addCertificates(f)
	w.addCiphers(f)
}

// addDates binds the functions that ask for the present. With a seed the local
// time zone is UTC too, or the outcome would depend on the machine.
func (w *worker) addDates(f template.FuncMap) {
	f["now"] = func() time.Time {
		if r := w.render.random; r != nil {
			return r.now
		}
		return time.Now()
	}
	inZone := real[func(string, any, string) string]("dateInZone")
	ago := real[func(any) string]("ago")
	round := real[func(any) string]("durationRound")
	zone := func(name string) string {
		if w.render.random != nil && name == "Local" {
			return "UTC"
		}
		return name
	}
	f["date"] = func(layout string, d any) string { return inZone(layout, w.instant(d), zone("Local")) }
	f["htmlDate"] = func(d any) string { return inZone("2006-01-02", w.instant(d), zone("Local")) }
	f["dateInZone"] = func(layout string, d any, z string) string { return inZone(layout, w.instant(d), zone(z)) }
	f["date_in_zone"] = f["dateInZone"]
	f["htmlDateInZone"] = func(d any, z string) string { return inZone("2006-01-02", w.instant(d), zone(z)) }
	f["ago"] = func(d any) string {
		r := w.render.random
		if r == nil {
			return ago(d)
		}
		switch t := w.instant(d).(type) {
		case time.Time:
			return r.now.Sub(t).Round(time.Second).String()
		case int64:
			return r.now.Sub(time.Unix(t, 0)).Round(time.Second).String()
		case int:
			return r.now.Sub(time.Unix(int64(t), 0)).Round(time.Second).String()
		}
		return "0s"
	}
	f["durationRound"] = func(d any) string {
		if t, ok := d.(time.Time); ok && w.render.random != nil {
			return round(w.render.random.now.Sub(t).String())
		}
		return round(d)
	}
}

// instant replaces what sprig takes for the present: anything that is no time.
func (w *worker) instant(d any) any {
	if w.render.random == nil {
		return d
	}
	switch d.(type) {
	case time.Time, *time.Time, int64, int, int32:
		return d
	}
	return w.render.random.now
}
