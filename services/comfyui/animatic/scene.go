package animatic

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
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
	scarf   *rgb
	glasses bool
}

var (
	words  = regexp.MustCompile(`[\p{L}\p{M}]+`)
	named  = regexp.MustCompile(`((?:[\p{Lu}\p{Lo}][\p{L}\p{M}'’.-]*\s*){1,3})[(（]([^()（）]*)[)）]`)
	name   = regexp.MustCompile(`^[\p{Lu}\p{Lo}][\p{L}\p{M}'’.-]*(?: [\p{Lu}\p{Lo}][\p{L}\p{M}'’.-]*){0,2}$`)
	inside = regexp.MustCompile(`[(（][^()（）]*[)）]`)
)

// read understands a prompt as far as its lexicon goes. It never fails: words it doesn't know are part of the seed.
func read(positive, negative string) scene {
	positive, negative = start(positive), start(negative)
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
	s.cast = people(positive, outside)
	if len(s.cast) == 0 {
		s.cast = anonymous(tokens)
	}
	held := ""
	for _, p := range s.cast {
		held += " " + p.holds
	}
	phrased := map[string]bool{} // "lamp post" is not also a lamp
	for _, t := range tokens {
		if a, b, two := strings.Cut(t, " "); two && props[t] != "" {
			phrased[a], phrased[b], phrased[strings.TrimSuffix(b, "s")] = true, true, true
		} else if phrased[t] {
			continue
		}
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

// start is as much of a text as a painter reads; the rest is part of the seed only.
func start(text string) string {
	const enough = 32 << 10
	return strings.ToValidUTF8(text[:min(len(text), enough)], "")
}

// people finds the characters: a name with its description in parentheses, and names alone where a part of the prompt
// between commas consists of nothing else ("Mara (old woman) and Tom").
func people(positive, outside string) []person {
	var cast []person
	known := map[string]bool{}
	for _, m := range named.FindAllStringSubmatch(positive, 6) {
		who := strings.TrimSpace(m[1])
		known[who] = true
		cast = append(cast, describe(who, m[2]))
	}
	for part := range strings.SplitSeq(outside, ",") {
		pieces := strings.Split(strings.Join(strings.Fields(part), " "), " and ")
		if slices.ContainsFunc(pieces, func(p string) bool { return !name.MatchString(p) }) {
			continue
		}
		for _, p := range pieces {
			token := strings.ToLower(p)
			_, place := places[token]
			_, thing := props[token]
			if len(cast) < 6 && !known[p] && !place && !thing && times[token] == "" && sizes[token] == "" && moods[token] == "" && weathers[token] == "" && insides[token] == "" {
				known[p] = true
				cast = append(cast, describe(p, ""))
			}
		}
	}
	return cast
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
			for n := 2; n >= 1; n-- {
				for i := range len(first) - n + 1 {
					out = append(out, string(first[i:i+n]))
				}
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
		if next == "scarf" || next == "neckerchief" || next == "schal" || next == "tie" {
			p.scarf = &c
			continue
		}
		if slices.Contains([]string{"eyes", "hat", "cap", "lantern", "ribbon", "boots", "shoes", "umbrella", "bag", "balloon", "gloves", "trousers", "belt", "ring"}, next) {
			continue
		}
		if !p.hasCoat {
			p.coat, p.hasCoat = c, true
		}
	}
	if p.garment == "raincoat" && !p.hasCoat {
		p.coat, p.hasCoat = hex(0xe8b830), true
	}
	if p.scarf == nil && anyOf(tokens, "scarf", "schal", "écharpe", "bufanda") {
		c := pick(d, []rgb{hex(0xa8433a), hex(0x3f6795), hex(0xc9a24b)})
		p.scarf = &c
	}
	if p.hair == "" {
		p.hair = pick(d, []string{"brown", "black", "brown", "blond", "red", "black"})
		if p.age == "old" {
			p.hair = "white"
		}
	}
	if p.gender == "" {
		p.gender = genderOf(name)
	}
	return p
}

// genderOf guesses from a first name how to draw somebody whose description doesn't say.
func genderOf(name string) string {
	first, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(name)), " ")
	switch {
	case women[first] != "":
		return "woman"
	case men[first] != "":
		return "man"
	}
	for _, ending := range []string{"a", "elle", "ette", "ine", "ie", "yn", "eth"} {
		if strings.HasSuffix(first, ending) {
			return "woman"
		}
	}
	if letter, _ := utf8.DecodeRuneInString(first); !unicode.Is(unicode.Latin, letter) { // a script whose endings tell nothing here
		return pick(newDice("gender", first), []string{"woman", "man"})
	}
	return "man"
}

// anonymous finds people that a prompt mentions without a name.
func anonymous(tokens []string) []person {
	var cast []person
	for i, t := range tokens {
		if _, ok := genders[t]; !ok && !folk[t] || t == "she" || t == "he" || t == "her" || t == "his" || strings.Contains(t, " ") {
			continue
		}
		from, to := max(0, i-5), min(len(tokens), i+9)
		p := describe(t, strings.Join(tokens[from:to], " "))
		if slices.ContainsFunc(cast, func(q person) bool { return q.name == p.name }) {
			continue // "boy" among the words of "boys"
		}
		cast = append(cast, p)
		if len(cast) == 3 {
			break
		}
	}
	return cast
}
