package engine

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/pkg/errors"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"
)

// Overrides are the values that a user gives beside the chart's defaults, in
// Helm's order of precedence: each list overrules those above it.
type Overrides struct {
	Files    []string         // -f: YAML files, URLs or "-"
	Maps     []map[string]any // values from Go, after the files
	JSON     []string         // --set-json
	Set      []string         // --set
	String   []string         // --set-string
	FromFile []string         // --set-file
	Literal  []string         // --set-literal

	// Helm is whose rules they are read by.
	Helm Helm
	// Getters fetch values that are named by a URL, by its scheme. What has
	// another scheme, or none, is a file.
	Getters map[string]Getter
}

// Getter fetches what a URL names.
type Getter func(url string) ([]byte, error)

// ValuesError says which of the given values could not be read.
type ValuesError struct {
	Source string // the file or flag, where known
	Err    error
}

func (e *ValuesError) Error() string { return e.Err.Error() }
func (e *ValuesError) Unwrap() error { return e.Err }

// MaxValuesFileBytes is the size from which on a values file is refused. A
// release, values included, must fit into a Secret of about a mebibyte; a file
// this large is some other file, and parsing it takes minutes and gigabytes.
const MaxValuesFileBytes = 16 << 20

// Merge reads and merges the overrides. The result may be rendered many
// times; rendering does not change it. Every error is a *ValuesError.
func (o Overrides) Merge() (merged map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil { // strvals and YAML parsers, on malicious input
			merged, err = nil, &ValuesError{Err: fmt.Errorf("reading values panicked: %v", r)}
		}
	}()
	for _, list := range [][]string{o.Files, o.filesOfSetFile()} {
		for _, file := range list {
			if info, err := os.Stat(file); err == nil && info.Size() > MaxValuesFileBytes {
				return nil, &ValuesError{Source: file, Err: fmt.Errorf("values file %s has %d bytes, more than %d: a release is stored in a Secret of one mebibyte, so this is hardly a values file", file, info.Size(), MaxValuesFileBytes)}
			}
		}
	}
	base := map[string]any{}
	for _, file := range o.Files {
		current, err := o.readValues(file)
		if err != nil {
			return nil, &ValuesError{Source: file, Err: err}
		}
		base = mergeMaps(base, current)
	}
	for _, m := range o.Maps {
		plain, err := plainMap(m)
		if err != nil {
			return nil, &ValuesError{Source: "Go values", Err: err}
		}
		base = mergeMaps(base, plain)
	}
	if len(o.JSON)+len(o.Set)+len(o.String)+len(o.FromFile)+len(o.Literal) > 0 {
		base = copyMapDeep(base) // tables of files are remembered
		for _, s := range o.JSON {
			table, ok, err := o.Helm.setJSON(s)
			if ok && err == nil {
				base = mergeMaps(base, table)
			} else if !ok && strvals.ParseJSON(s, base) != nil {
				err = errors.Errorf("failed parsing --set-json data %s", s)
			}
			if err != nil {
				return nil, &ValuesError{Err: err}
			}
		}
		if err := setInto(base, o); err != nil {
			return nil, &ValuesError{Err: err}
		}
	}
	return base, nil
}

// readValues reads a values file: "-", a URL or a path. The result must not be
// changed.
func (o Overrides) readValues(file string) (map[string]any, error) {
	text, err := o.readSource(file)
	if err != nil {
		return nil, err
	}
	key := text
	if o.Helm.four() {
		key = "4\x00" + text
	}
	if values, ok := parsed.get(key); ok {
		return values, nil
	}
	values, err := o.Helm.parseValues(text)
	if err != nil {
		return nil, errors.Wrapf(err, "failed to parse %s", file)
	}
	parsed.put(key, values)
	return values, nil
}

// parsed remembers values files by content: a test suite reads the same few
// hundreds of times.
var parsed valuesFiles

type valuesFiles struct {
	mu     sync.Mutex
	byText map[string]map[string]any
}

// maxParsed bounds the files remembered.
const maxParsed = 64

func (f *valuesFiles) get(text string) (map[string]any, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	values, ok := f.byText[text]
	return values, ok
}

func (f *valuesFiles) put(text string, values map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byText == nil || len(f.byText) >= maxParsed {
		f.byText = make(map[string]map[string]any)
	}
	if len(text) < 1<<20 {
		f.byText[text] = values
	}
}

func (o Overrides) filesOfSetFile() []string {
	var files []string
	for _, s := range o.FromFile {
		for _, pair := range strings.Split(s, ",") {
			if _, file, ok := strings.Cut(pair, "="); ok {
				files = append(files, file)
			}
		}
	}
	return files
}

// plainMap gives values built in Go the types that YAML would have given them,
// so that a chart behaves the same whatever its values come from.
func plainMap(m map[string]any) (map[string]any, error) {
	if isPlain(m) {
		return copyMapDeep(m), nil
	}
	data, err := yaml.Marshal(m)
	if err != nil {
		return nil, err
	}
	plain := map[string]any{}
	return plain, yaml.Unmarshal(data, &plain)
}

func isPlain(v any) bool {
	switch v := v.(type) {
	case nil, string, bool, float64:
		return true
	case map[string]any:
		for _, item := range v {
			if !isPlain(item) {
				return false
			}
		}
		return true
	case []any:
		for _, item := range v {
			if !isPlain(item) {
				return false
			}
		}
		return true
	}
	return false
}

// mergeMaps lays b over a, as Helm lays one values file over another.
func mergeMaps(a, b map[string]any) map[string]any {
	out := make(map[string]any, len(a)+len(b))
	for k, v := range a {
		out[k] = v
	}
	for k, v := range b {
		if bm, ok := v.(map[string]any); ok {
			if am, ok := out[k].(map[string]any); ok {
				out[k] = mergeMaps(am, bm)
				continue
			}
		}
		out[k] = v
	}
	return out
}

func setInto(base map[string]any, o Overrides) error {
	for _, s := range o.Set {
		if err := strvals.ParseInto(s, base); err != nil && !o.Helm.takesEOF(err) {
			return errors.Wrap(err, "failed parsing --set data")
		}
	}
	for _, s := range o.String {
		if err := strvals.ParseIntoString(s, base); err != nil && !o.Helm.takesEOF(err) {
			return errors.Wrap(err, "failed parsing --set-string data")
		}
	}
	for _, s := range o.FromFile {
		read := func(name []rune) (any, error) { return o.readSource(string(name)) }
		if err := strvals.ParseIntoFile(s, base, read); err != nil {
			return errors.Wrap(err, "failed parsing --set-file data")
		}
	}
	for _, s := range o.Literal {
		if err := strvals.ParseLiteralInto(s, base); err != nil {
			return errors.Wrap(err, "failed parsing --set-literal data")
		}
	}
	return nil
}

// readSource reads what --values or --set-file names: "-", a URL or a file.
func (o Overrides) readSource(name string) (string, error) {
	if strings.TrimSpace(name) == "-" {
		data, err := io.ReadAll(os.Stdin)
		return string(data), err
	}
	u, err := url.Parse(name)
	if err != nil {
		return "", err
	}
	if get := o.Getters[u.Scheme]; get != nil {
		data, err := get(name)
		return string(data), err
	}
	data, err := os.ReadFile(name)
	return string(data), err
}
