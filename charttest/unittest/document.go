package unittest

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/ai-film/ai-film/charttest/internal/plainyaml"
	"github.com/ai-film/ai-film/charttest/internal/yamlpath"
)

// raw is the key of the text in the manifest of a file that is no YAML, and of
// a failure's message.
const raw = "raw"

// document is a document that a template wrote. It is shared by all tests that
// rendered the same text, and not changed.
type document struct {
	manifest func() (map[string]any, error)

	tree struct {
		once sync.Once
		root *yaml.Node
		err  error
	}
	mu    sync.Mutex
	found map[string]found
}

type found struct {
	values []any
	err    error
}

// field is a field at the top of the document.
func (d *document) field(name string) any {
	manifest, _ := d.manifest()
	return manifest[name]
}

func of(manifest map[string]any) *document {
	return &document{manifest: func() (map[string]any, error) { return manifest, nil }}
}

// parseDocuments reads the documents of a text as helm-unittest does. Those that
// are plain, and so have no mistakes, are decoded when they are looked at: most
// never are.
func parseDocuments(text string) ([]*document, error) {
	var docs []*document
	all := parts(text)
	for _, part := range all {
		if nothing(part.text) {
			continue
		}
		n := plainyaml.Parse(part.text)
		if n == nil || n.Kind != plainyaml.Map || len(n.Pairs) == 0 {
			return decodeDocuments(all)
		}
		docs = append(docs, &document{manifest: sync.OnceValues(func() (map[string]any, error) {
			manifest := map[string]any{}
			return manifest, yaml.Unmarshal([]byte(part.text), manifest)
		})})
	}
	return docs, nil
}

// nothing says whether a text has only comments and empty lines.
func nothing(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}

func decodeDocuments(all []part) ([]*document, error) {
	texts := make([]string, len(all))
	for i, part := range all {
		texts[i] = part.text
	}
	decoder := yaml.NewDecoder(strings.NewReader(strings.Join(texts, "\n---\n")))
	var docs []*document
	for {
		manifest := map[string]any{}
		if err := decoder.Decode(manifest); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			return nil, err
		}
		if len(manifest) > 0 {
			docs = append(docs, of(manifest))
		}
	}
}

func textDocument(text string) []*document {
	return []*document{of(map[string]any{raw: text})}
}

// at returns the values at a JSONPath. They must not be changed.
func (d *document) at(path string) ([]any, error) {
	if path == "" {
		manifest, err := d.manifest()
		return []any{manifest}, err
	}
	d.mu.Lock()
	f, ok := d.found[path]
	d.mu.Unlock()
	if !ok {
		f.values, f.err = d.find(path)
		d.mu.Lock()
		if d.found == nil {
			d.found = make(map[string]found)
		}
		d.found[path] = f
		d.mu.Unlock()
	}
	return f.values, f.err
}

func (d *document) find(path string) ([]any, error) {
	d.tree.once.Do(func() {
		manifest, err := d.manifest()
		if d.tree.err = err; err == nil {
			d.tree.root, d.tree.err = nodes(manifest)
		}
	})
	if d.tree.err != nil {
		return nil, d.tree.err
	}
	p, err := parsePath(path)
	if err != nil {
		return nil, err
	}
	nodes, err := p.Find(d.tree.root)
	if err != nil {
		return nil, err
	}
	values := make([]any, 0, len(nodes))
	for _, n := range nodes {
		v, ok := value(n)
		if !ok {
			if err := n.Decode(&v); err != nil {
				return nil, err
			}
		}
		values = append(values, v)
	}
	return values, nil
}

var paths sync.Map // text → parsedPath

type parsedPath struct {
	path *yamlpath.Path
	err  error
}

func parsePath(text string) (*yamlpath.Path, error) {
	if p, ok := paths.Load(text); ok {
		return p.(parsedPath).path, p.(parsedPath).err
	}
	p, err := yamlpath.NewPath(text)
	paths.Store(text, parsedPath{p, err})
	return p, err
}

// nodes returns the manifest as the nodes that it would be after encoding and
// decoding it, which is what helm-unittest looks for paths in: keys are sorted
// and 1.0 is an integer. The trip is made only where the outcome isn't plain.
func nodes(manifest map[string]any) (*yaml.Node, error) {
	if n := node(manifest); n != nil {
		return &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{n}}, nil
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(manifest); err != nil {
		return nil, err
	}
	root := new(yaml.Node)
	return root, yaml.NewDecoder(&text).Decode(root)
}

// node returns nil for what isn't plain.
func node(v any) *yaml.Node {
	scalar := func(tag, text string) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
	}
	switch v := v.(type) {
	case nil:
		return scalar("!!null", "null")
	case bool:
		return scalar("!!bool", strconv.FormatBool(v))
	case int:
		return scalar("!!int", strconv.Itoa(v))
	case float64:
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			return scalar("!!int", text)
		}
		if strings.Trim(text, "-0123456789.") == "" {
			return scalar("!!float", text)
		}
	case string:
		if plainText(v) {
			return scalar("!!str", v)
		}
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: make([]*yaml.Node, len(v))}
		for i, item := range v {
			if n.Content[i] = node(item); n.Content[i] == nil {
				return nil
			}
		}
		return n
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: make([]*yaml.Node, 0, 2*len(v))}
		for _, key := range slices.SortedFunc(maps.Keys(v), keyOrder) {
			below := node(v[key])
			if below == nil || !plainText(key) || strings.Contains(key, "\n") {
				return nil
			}
			n.Content = append(n.Content, scalar("!!str", key), below)
		}
		return n
	}
	return nil
}

// plainText says whether a text surely comes back from YAML as it was.
func plainText(s string) bool {
	if s == "" {
		return true
	}
	if c := s[0]; c == ' ' || c == '\n' || c == '\t' {
		return !strings.Contains(s, "\n") && c != '\t'
	}
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' && c != '\n' || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
		i += size
	}
	return true
}

// value is what a node made by node decodes to.
func value(n *yaml.Node) (v any, ok bool) {
	switch n.Kind {
	case yaml.DocumentNode:
		return value(n.Content[0])
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			if list[i], ok = value(item); !ok {
				return nil, false
			}
		}
		return list, true
	case yaml.MappingNode:
		table := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Tag != "!!str" {
				return nil, false
			}
			if table[n.Content[i].Value], ok = value(n.Content[i+1]); !ok {
				return nil, false
			}
		}
		return table, true
	case yaml.ScalarNode:
		switch n.Tag {
		case "!!null":
			return nil, true
		case "!!str":
			return n.Value, true
		case "!!bool":
			return n.Value == "true", n.Value == "true" || n.Value == "false"
		case "!!int":
			i, err := strconv.Atoi(n.Value)
			return i, err == nil && (n.Value == "0" || n.Value[0] != '0')
		case "!!float":
			f, err := strconv.ParseFloat(n.Value, 64)
			return f, err == nil && strings.Trim(n.Value, "-0123456789.") == ""
		}
	}
	return nil, false
}

// keyOrder is the order in which go-yaml v3 writes keys: numbers in them by
// value, other characters before letters.
func keyOrder(a, b string) int {
	if keyLess(a, b) {
		return -1
	}
	if keyLess(b, a) {
		return 1
	}
	return 0
}

func keyLess(a, b string) bool {
	ar, br := []rune(a), []rune(b)
	digits := false
	for i := 0; i < len(ar) && i < len(br); i++ {
		if ar[i] == br[i] {
			digits = unicode.IsDigit(ar[i])
			continue
		}
		al, bl := unicode.IsLetter(ar[i]), unicode.IsLetter(br[i])
		switch {
		case al && bl:
			return ar[i] < br[i]
		case (al || bl) && digits:
			return al
		case al || bl:
			return bl
		}
		zeros := (ar[i] == '0' || br[i] == '0') && strings.Trim(digitsBefore(ar, i), "0") != ""
		an, ai := number(ar, i, zeros)
		bn, bi := number(br, i, zeros)
		switch {
		case an != bn:
			return an < bn
		case ai != bi:
			return ai < bi
		}
		return ar[i] < br[i]
	}
	return len(ar) < len(br)
}

func digitsBefore(r []rune, i int) string {
	j := i
	for j > 0 && unicode.IsDigit(r[j-1]) {
		j--
	}
	return string(r[j:i])
}

// number reads the digits from i on, after a 1 if there was some number before.
func number(r []rune, i int, one bool) (n int64, end int) {
	if one {
		n = 1
	}
	for end = i; end < len(r) && unicode.IsDigit(r[end]); end++ {
		n = n*10 + int64(r[end]-'0')
	}
	return n, end
}
