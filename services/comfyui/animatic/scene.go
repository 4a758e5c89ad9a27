package animatic

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// scene is what the painter understood of a prompt.
type scene struct {
	text      string // the whole positive prompt
	size      string // wide, medium, close
	place     string // a key of places, "" if the prompt names none
	interior  bool
	time      string // dawn, day, dusk, night
	mood      string // calm, tense, joyful, sad, wonder
	weather   string // "", rain, snow, fog, storm, clouds
	cast      []person
	props     []string // keys of the props table, in the order they were named, each once
	crowd     bool
	grey      bool // black and white asked for, or colour refused
	described bool // any word of the prompt was understood
}

// person is one character of a shot.
type person struct {
	name    string
	gender  string // "woman", "man", or "" where the text doesn't tell
	age     string // "child", "adult", "old"
	coat    rgb
	hasCoat bool // a colour was named
	garment string
	hat     string
	hair    string
	beard   bool
	holds   string
	robot   bool
	glasses bool
}

var (
	words  = regexp.MustCompile(`[\p{L}\p{M}]+`)
	named  = regexp.MustCompile(`((?:[\p{Lu}\p{Lo}][\p{L}\p{M}'’.-]*\s*){1,3})[(（]([^()（）]*)[)）]`)
	inside = regexp.MustCompile(`[(（][^()（）]*[)）]`)
)

// read understands a prompt as far as its lexicon goes. It never fails: words it doesn't know are part of the seed.
func read(positive, negative string) scene {
	s := scene{text: positive, size: "wide", time: "", mood: "calm"}
	outside := inside.ReplaceAllString(positive, " ")
	tokens := tokenize(outside)
	all := tokenize(positive)

	s.size = lookup(all, sizes, s.size)
	s.time = lookup(tokens, times, "")
	if s.time == "" {
		s.time = lookup(all, times, "")
	}
	s.mood = lookup(tokens, moods, s.mood)
	s.weather = lookup(tokens, weathers, "")
	s.place = lookup(tokens, places, "")
	s.interior = lookup(tokens, insides, "") == "in" ||
		lookup(tokens, insides, "") == "" && slices.Contains(rooms, s.place)
	if s.interior && !slices.Contains(rooms, s.place) {
		if room, ok := roomOf[s.place]; ok {
			s.place = room
		} else {
			s.place = "room"
		}
	}
	if !s.interior && slices.Contains(rooms, s.place) {
		s.place = placeOf[s.place]
	}
	for _, m := range named.FindAllStringSubmatch(positive, 6) {
		s.cast = append(s.cast, describe(strings.TrimSpace(m[1]), m[2]))
	}
	if len(s.cast) == 0 {
		s.cast = anonymous(tokens)
	}
	held := ""
	for _, p := range s.cast {
		held += " " + p.holds
	}
	for _, t := range tokens {
		if prop, ok := props[t]; ok && !slices.Contains(s.props, prop) && prop != s.place && !strings.Contains(held, prop) {
			s.props = append(s.props, prop)
		}
	}
	s.crowd = anyOf(tokens, "crowd", "people", "villagers", "audience", "menge", "leute", "foule")
	s.grey = anyOf(tokens, "monochrome", "noir", "greyscale", "grayscale")
	s.refuse(tokenize(negative))
	s.described = s.place != "" || s.time != "" || len(s.props) > 0 || len(s.cast) > 0
	return s
}

// refuse takes out what the negative prompt names.
func (s *scene) refuse(tokens []string) {
	if anyOf(tokens, "people", "person", "human", "humans", "character", "characters", "figure", "figures") {
		s.cast, s.crowd = nil, false
	}
	for _, t := range tokens {
		if prop, ok := props[t]; ok {
			s.props = slices.DeleteFunc(s.props, func(p string) bool { return p == prop })
		}
		if weathers[t] != "" && weathers[t] == s.weather {
			s.weather = ""
		}
	}
	if anyOf(tokens, "colour", "color", "colours", "colors", "colourful", "colorful") {
		s.grey = true
	}
}

func anyOf(tokens []string, of ...string) bool {
	return slices.ContainsFunc(tokens, func(t string) bool { return slices.Contains(of, t) })
}

// tokenize gives the words in lower case, and beside each one its pair with the next ("lamp post"), so that tables can
// hold phrases. Scripts that don't part their words with spaces are given rune by rune as well.
func tokenize(text string) []string {
	const enough = 4000 // words; a longer prompt says nothing more to a painter
	found := words.FindAllString(strings.ToLower(text), enough)
	var out []string
	for i, w := range found {
		if i+1 < len(found) {
			out = append(out, w+" "+found[i+1])
		}
		out = append(out, w)
		if len(w) > 4 && strings.HasSuffix(w, "s") {
			out = append(out, strings.TrimSuffix(w, "s"))
		}
		first := []rune(w)
		if unicode.In(first[0], unicode.Han, unicode.Hiragana, unicode.Katakana) {
			for _, r := range first {
				out = append(out, string(r))
			}
		}
	}
	return out
}

// lookup returns the table's value for the first token it holds.
func lookup(tokens []string, table map[string]string, otherwise string) string {
	for _, t := range tokens {
		if v, ok := table[t]; ok {
			return v
		}
	}
	return otherwise
}

// describe reads a character from the words that stand in parentheses after the name.
func describe(name, description string) person {
	tokens := tokenize(description)
	d := newDice("person", strings.ToLower(name))
	p := person{name: name, age: "adult"}
	p.gender = lookup(tokens, genders, "")
	p.age = lookup(tokens, ages, p.age)
	p.garment = lookup(tokens, garments, pick(d, []string{"coat", "jacket", "shirt", "coat"}))
	p.hat = lookup(tokens, hats, "")
	p.hair = lookup(tokens, hairs, "")
	p.holds = lookup(tokens, holdable, "")
	p.beard = anyOf(tokens, "beard", "bearded", "bart", "barbe")
	p.glasses = anyOf(tokens, "glasses", "spectacles", "brille", "lunettes")
	p.robot = anyOf(tokens, "robot", "android", "machine", "roboter")
	p.coat = pick(d, wardrobe)
	for i, t := range tokens {
		c, ok := colours[t]
		if !ok {
			continue
		}
		next := ""
		for _, n := range tokens[i+1:] {
			if !strings.Contains(n, " ") {
				next = n
				break
			}
		}
		if next == "hair" || next == "haired" || next == "beard" {
			p.hair = t
			continue
		}
		if next == "eyes" || next == "hat" || next == "cap" {
			continue
		}
		if !p.hasCoat {
			p.coat, p.hasCoat = c, true
		}
	}
	if p.garment == "raincoat" && !p.hasCoat {
		p.coat, p.hasCoat = hex(0xe8b830), true
	}
	if p.hair == "" {
		p.hair = pick(d, []string{"brown", "black", "brown", "blond", "red", "black"})
		if p.age == "old" {
			p.hair = "white"
		}
	}
	if p.gender == "" {
		p.gender = pick(d, []string{"woman", "man"})
	}
	return p
}

// anonymous finds people that a prompt mentions without a name.
func anonymous(tokens []string) []person {
	var cast []person
	for i, t := range tokens {
		if _, ok := genders[t]; !ok || strings.Contains(t, " ") {
			continue
		}
		from, to := max(0, i-5), min(len(tokens), i+9)
		cast = append(cast, describe(t, strings.Join(tokens[from:to], " ")))
		if len(cast) == 3 {
			break
		}
	}
	return cast
}
