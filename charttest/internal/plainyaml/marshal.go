package plainyaml

import (
	"math"
	"sort"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"sigs.k8s.io/yaml"
)

// Marshal writes a value as sigs.k8s.io/yaml does, without the newline at the
// end. It is not ok for values of other types than YAML and template functions
// yield, and for text that takes several lines.
func Marshal(v any) (text string, ok bool) {
	w := writer{}
	if !w.top(v) {
		return "", false
	}
	return strings.TrimSuffix(w.String(), "\n"), true
}

type writer struct{ strings.Builder }

// width is where YAML's emitter starts to fold text at spaces.
const width = 80

func (w *writer) top(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		if len(v) > 0 {
			return w.mapping(v, 0, false)
		}
	case []any:
		if len(v) > 0 {
			return w.list(v, 0, false)
		}
	}
	return w.inline(v, 0)
}

// mapping writes a mapping's entries at indent. If it is inline its first
// entry continues a line.
func (w *writer) mapping(m map[string]any, indent int, inline bool) bool {
	if indent > 2*maxDepth {
		return false
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	if len(keys) > 1 {
		sort.Slice(keys, func(i, j int) bool { return natural(keys[i], keys[j]) })
	}
	for i, k := range keys {
		if i > 0 || !inline {
			w.indent(indent)
		}
		key, ok := keyText(k)
		if !ok {
			return false
		}
		w.WriteString(key)
		w.WriteByte(':')
		switch v := m[k].(type) {
		case map[string]any:
			if len(v) > 0 {
				w.WriteByte('\n')
				if !w.mapping(v, indent+2, false) {
					return false
				}
				continue
			}
		case []any:
			if len(v) > 0 {
				w.WriteByte('\n')
				if !w.list(v, indent, false) {
					return false
				}
				continue
			}
		}
		w.WriteByte(' ')
		if !w.inline(m[k], indent+len(key)+2) {
			return false
		}
	}
	return true
}

func (w *writer) list(l []any, indent int, inline bool) bool {
	if indent > 2*maxDepth {
		return false
	}
	for i, item := range l {
		if i > 0 || !inline {
			w.indent(indent)
		}
		w.WriteString("- ")
		ok := true
		switch v := item.(type) {
		case map[string]any:
			if len(v) > 0 {
				ok = w.mapping(v, indent+2, true)
			} else {
				ok = w.inline(v, indent+2)
			}
		case []any:
			if len(v) > 0 {
				ok = w.list(v, indent+2, true)
			} else {
				ok = w.inline(v, indent+2)
			}
		default:
			ok = w.inline(item, indent+2)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (w *writer) indent(n int) {
	for range n {
		w.WriteByte(' ')
	}
}

// inline writes what fits on the rest of a line that has column columns.
func (w *writer) inline(v any, column int) bool {
	switch v := v.(type) {
	case nil:
		w.WriteString("null")
	case bool:
		w.WriteString(strconv.FormatBool(v))
	case int:
		w.WriteString(strconv.Itoa(v))
	case int64:
		w.WriteString(strconv.FormatInt(v, 10))
	case float64:
		if v != math.Trunc(v) || math.Abs(v) >= 1e15 || v == 0 && math.Signbit(v) {
			text, ok := written.ask(strconv.FormatFloat(v, 'g', -1, 64), v)
			if !ok {
				return false
			}
			w.WriteString(text)
			break
		}
		w.WriteString(strconv.FormatInt(int64(v), 10))
	case string:
		text, ok := v, bare(v)
		if !ok {
			if len(v) > 1<<10 {
				return false
			}
			if text, ok = written.ask("\""+v, v); !ok {
				return false
			}
		}
		if column+len(text) > width && strings.IndexByte(text, ' ') >= 0 {
			return false
		}
		w.WriteString(text)
	case map[string]any:
		if v == nil {
			w.WriteString("null")
		} else {
			w.WriteString("{}")
		}
	case []any:
		if v == nil {
			w.WriteString("null")
		} else {
			w.WriteString("[]")
		}
	default:
		return false
	}
	w.WriteByte('\n')
	return true
}

// bare says whether a string is written as it is: a word of harmless
// characters.
func bare(s string) bool {
	if !word(s) || s[0] == '$' || s[0] == '(' {
		return false
	}
	for i := range len(s) {
		if !keyChar(s[i]) {
			return false
		}
	}
	return true
}

func keyText(k string) (string, bool) {
	if bare(k) && len(k) < 128 {
		return k, true
	}
	if len(k) > 100 {
		return "", false
	}
	text, ok := written.ask(":"+k, map[string]any{k: 0})
	return strings.TrimSuffix(text, ": 0"), ok && strings.HasSuffix(text, ": 0")
}

// written are the texts of scalars that the general implementation was asked
// about.
var written = texts{answers: make(map[string]string)}

type texts struct {
	mu      sync.RWMutex
	answers map[string]string
}

// ask returns the text of v, remembered under key; it is not ok if it takes
// several lines.
func (t *texts) ask(key string, v any) (string, bool) {
	t.mu.RLock()
	text, ok := t.answers[key]
	t.mu.RUnlock()
	if !ok {
		data, err := yaml.Marshal(v)
		if err != nil {
			return "", false
		}
		text = strings.TrimSuffix(string(data), "\n")
		t.mu.Lock()
		if len(t.answers) >= maxAsked {
			clear(t.answers)
		}
		t.answers[strings.Clone(key)] = text
		t.mu.Unlock()
	}
	return text, !strings.Contains(text, "\n")
}

// natural is the order in which go-yaml writes keys: numbers in them by value,
// other characters before letters.
func natural(a, b string) bool {
	ar, br := []rune(a), []rune(b)
	for i := 0; i < len(ar) && i < len(br); i++ {
		if ar[i] == br[i] {
			continue
		}
		al, bl := unicode.IsLetter(ar[i]), unicode.IsLetter(br[i])
		if al && bl {
			return ar[i] < br[i]
		}
		if al || bl {
			return bl
		}
		var an, bn int64
		if ar[i] == '0' || br[i] == '0' {
			for j := i - 1; j >= 0 && unicode.IsDigit(ar[j]); j-- {
				if ar[j] != '0' {
					an, bn = 1, 1
					break
				}
			}
		}
		ai, bi := i, i
		for ; ai < len(ar) && unicode.IsDigit(ar[ai]); ai++ {
			an = an*10 + int64(ar[ai]-'0')
		}
		for ; bi < len(br) && unicode.IsDigit(br[bi]); bi++ {
			bn = bn*10 + int64(br[bi]-'0')
		}
		if an != bn {
			return an < bn
		}
		if ai != bi {
			return ai < bi
		}
		return ar[i] < br[i]
	}
	return len(ar) < len(br)
}
