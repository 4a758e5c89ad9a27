package engine

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/BurntSushi/toml"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Helm is a major version of Helm, whose bytes a chart is rendered into. All
// that differs between them is in this file: what Helm 4.3 does otherwise than
// Helm 3.22, for charts of the formats v1 and v2.
type Helm int

// The versions that there are. The zero Helm is Helm 3.
const (
	Helm3 Helm = 3
	Helm4 Helm = 4
)

func (h Helm) four() bool { return h == Helm4 }

// LoadFor is Load for a version of Helm.
func LoadFor(helm Helm, path string) (*Chart, error) {
	if !helm.four() {
		return Load(path)
	}
	format, err := detect(path)
	if err != nil {
		return nil, &LoadError{Path: path, Err: err}
	}
	c, err := Load(path)
	if err != nil {
		var load *LoadError
		if errors.As(err, &load) {
			const was = "cannot load values.yaml: "
			if text := load.Err.Error(); strings.Contains(text, was) && !strings.Contains(text, "panicked") {
				load.Err = errors.New(strings.Replace(text, was, was+"cannot unmarshal yaml document: ", 1))
			}
		}
		return nil, err
	}
	c.helm, c.documents.helm = helm, helm
	if err := readValuesOf(c.source); err != nil {
		return nil, &LoadError{Path: path, Err: err}
	}
	if format == "v3" { // Helm 4.3 makes, lints and loads charts of this format, and renders none
		refused := "invalid chart apiVersion"
		if c.Type() == "library" {
			refused = "library charts are not installable"
		}
		return nil, &LoadError{Path: path, Err: errors.New(refused)}
	}
	return c, nil
}

// detect returns the format that Chart.yaml says, as loader.Load of Helm 4
// looks for it before it loads the chart.
func detect(path string) (format string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", nil // Load says what is wrong
	}
	var data []byte
	if info.IsDir() {
		top, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		file := filepath.Join(top, "Chart.yaml")
		if data, err = os.ReadFile(file); err != nil {
			return "", fmt.Errorf("unable to detect chart at %s: %w", file, err)
		}
	} else if data, err = archivedChartYAML(path); data == nil {
		return "", err
	}
	var base struct {
		APIVersion string `json:"apiVersion"`
	}
	if err := yaml.Unmarshal(data, &base); err != nil {
		return "", fmt.Errorf("cannot load Chart.yaml: %w", err)
	}
	switch base.APIVersion {
	case "", chart.APIVersionV1, chart.APIVersionV2, "v3":
		return base.APIVersion, nil
	}
	return "", errors.New("unsupported chart version")
}

// archivedChartYAML returns the Chart.yaml in an archive, or nothing where Load
// says what is wrong.
func archivedChartYAML(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil
	}
	defer f.Close()
	files, err := loader.LoadArchiveFiles(f)
	if err != nil {
		if _, said := Load(path); said != nil && strings.HasPrefix(said.Error(), "file '") { // no archive at all
			return nil, nil
		}
		return nil, errors.New("unable to load chart archive")
	}
	for _, f := range files {
		if f.Name == "Chart.yaml" {
			return append([]byte{}, f.Data...), nil
		}
	}
	return nil, errors.New("unable to detect chart version, no Chart.yaml found")
}

// readValuesOf reads values.yaml anew where it has several documents, which
// Helm 4 lays over each other.
func readValuesOf(ch *chart.Chart) error {
	for _, f := range ch.Raw {
		if f.Name == chartutil.ValuesfileName && bytes.Contains(f.Data, []byte("---")) {
			values, err := readDocuments(string(f.Data))
			if err != nil {
				return fmt.Errorf("cannot load values.yaml: %w", err)
			}
			ch.Values = values
		}
	}
	for _, sub := range ch.Dependencies() {
		if err := readValuesOf(sub); err != nil {
			return err
		}
	}
	return nil
}

// readDocuments is loader.LoadValues.
func readDocuments(text string) (map[string]any, error) {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	values := map[string]any{}
	for reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text))); ; {
		raw, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, fmt.Errorf("error reading yaml document: %w", err)
		}
		doc := map[string]any{}
		if err := yaml.Unmarshal(raw, &doc); err != nil {
			return nil, fmt.Errorf("cannot unmarshal yaml document: %w", err)
		}
		values = mergeMaps(values, doc)
	}
}

// parseValues reads a values file.
func (h Helm) parseValues(text string) (map[string]any, error) {
	if h.four() {
		return readDocuments(text)
	}
	values := map[string]any{}
	return values, yaml.Unmarshal([]byte(text), &values)
}

// setJSON reads a --set-json that is a table; ok is false if it is a pair, or
// for Helm 3.
func (h Helm) setJSON(text string) (table map[string]any, ok bool, err error) {
	if trimmed := strings.TrimSpace(text); h.four() && strings.HasPrefix(trimmed, "{") {
		if err := json.Unmarshal([]byte(trimmed), &table); err != nil {
			return nil, true, fmt.Errorf("failed parsing --set-json data JSON: %s", text)
		}
		return table, true, nil
	}
	return nil, false, nil
}

// cleaned is a copy of a chart's default without nulls in tables: Helm 4 takes
// them for left out.
func (h Helm) cleaned(v any) any {
	v = copyAny(v)
	if h.four() {
		dropNulls(v)
	}
	return v
}

func dropNulls(v any) {
	table, ok := v.(map[string]any)
	if !ok {
		return
	}
	for key, value := range table {
		if value == nil {
			delete(table, key)
		} else {
			dropNulls(value)
		}
	}
}

// split cuts a template's output into documents. Helm 4 keeps the white space
// at their ends, and takes any line that starts with three dashes for the end
// of one.
func (h Helm) split(stream string) []document {
	if !h.four() {
		return split(stream)
	}
	rest := strings.TrimLeft(stream, spaces)
	line := 1 + strings.Count(stream[:len(stream)-len(rest)], "\n")
	var docs []document
	emit := func(doc string) {
		if strings.TrimSpace(doc) == "" {
			return
		}
		text := strings.TrimLeft(doc, spaces)
		docs = append(docs, document{text, line + strings.Count(doc[:len(doc)-len(text)], "\n")})
	}
	start := 0
	for _, at := range separator4.FindAllStringIndex(rest, -1) {
		emit(rest[start:at[0]])
		line += strings.Count(rest[start:at[1]], "\n")
		start = at[1]
	}
	emit(rest[start:])
	return docs
}

var separator4 = regexp.MustCompile(`(?m)^---[ \t]*`)

// headError is an error of reading a document's head, which names a Go type.
func (h Helm) headError(err error) error {
	const was, is = "releaseutil.SimpleHead", "util.SimpleHead"
	if text := err.Error(); h.four() && strings.Contains(text, was) {
		return errors.New(strings.Replace(text, was, is, 1))
	}
	return err
}

// ranks are the kinds' places in the order of installation.
func (h Helm) ranks() map[string]int {
	if h.four() {
		return installOrder4()
	}
	return installOrder()
}

var installOrder4 = sync.OnceValue(func() map[string]int {
	order := make(map[string]int, len(installOrder())+2)
	for kind, rank := range installOrder() {
		order[kind] = rank
	}
	for _, kind := range []string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"} {
		order[kind] = len(order)
	}
	return order
})

// about is what templates see as .Chart: a struct in Helm 3, a table in Helm 4.
func (h Helm) about(m metadata) any {
	if !h.four() {
		return m
	}
	table := structToMap(reflect.ValueOf(m.Metadata))
	table["IsRoot"] = m.IsRoot
	return table
}

// structToMap is chart.structToMap of Helm 4.
func structToMap(v reflect.Value) map[string]any {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	table := make(map[string]any, v.NumField())
	for i := range v.NumField() {
		name, value := v.Type().Field(i).Name, v.Field(i)
		switch value.Kind() {
		case reflect.Struct:
			table[name] = structToMap(value)
		case reflect.Pointer:
			if table[name] = any(nil); !value.IsNil() {
				table[name] = structToMap(value)
			}
		case reflect.Slice:
			list := make([]any, value.Len())
			for j := range list {
				if item := value.Index(j); item.Kind() == reflect.Struct || item.Kind() == reflect.Pointer {
					list[j] = structToMap(item)
				} else {
					list[j] = item.Interface()
				}
			}
			table[name] = list
		default:
			table[name] = value.Interface()
		}
	}
	return table
}

// capabilities are what templates see as .Capabilities, and the cluster's
// version as constraints are held against it and as errors tell it.
type capabilities struct {
	dot        any
	apis       *chartutil.VersionSet // in dot
	held, told string
}

func (h Helm) capabilities(release Release) (*capabilities, error) {
	caps := chartutil.DefaultCapabilities.Copy()
	version := release.KubeVersion
	if version == "" && h.four() {
		version = defaultKube4
	}
	if version != "" {
		v, err := chartutil.ParseKubeVersion(version)
		if err != nil {
			text := fmt.Sprintf("invalid kube version '%s': %s", release.KubeVersion, err)
			return nil, &Failure{Reason: KubeOld, Message: text, text: text}
		}
		caps.KubeVersion = *v
	}
	if release.Served != nil {
		caps.APIVersions = release.Served
	}
	n := len(caps.APIVersions)
	caps.APIVersions = append(caps.APIVersions[:n:n], release.APIVersions...)
	if !h.four() {
		return &capabilities{caps, &caps.APIVersions, caps.KubeVersion.String(), caps.KubeVersion.String()}, nil
	}
	four := &capabilities4{
		KubeVersion: kubeVersion4{Version: "v" + strings.TrimPrefix(version, "v"), normalizedVersion: plainVersion(caps.KubeVersion.Version),
			Major: caps.KubeVersion.Major, Minor: caps.KubeVersion.Minor},
		APIVersions: caps.APIVersions,
		HelmVersion: buildInfo4{Version: "v4.3", GoVersion: caps.HelmVersion.GoVersion, KubeClientVersion: "v1.37"},
	}
	return &capabilities{four, &four.APIVersions, four.KubeVersion.String(), four.KubeVersion.Version}, nil
}

// defaultKube4 is what Helm 4.3 assumes of a cluster: the version of its
// Kubernetes libraries, however it was built.
const defaultKube4 = "v1.37.0"

// plainVersion is a version without its pre-release and build metadata.
func plainVersion(v string) string {
	if i := strings.IndexAny(v, "-+"); i >= 0 {
		return v[:i]
	}
	return v
}

type capabilities4 struct {
	KubeVersion kubeVersion4
	APIVersions chartutil.VersionSet
	HelmVersion buildInfo4
}

// kubeVersion4 keeps the version as it was given.
type kubeVersion4 struct {
	Version           string
	normalizedVersion string
	Major             string
	Minor             string
}

func (v *kubeVersion4) String() string { return v.normalizedVersion }

// GitVersion is the version's name in Helm 2.
func (v *kubeVersion4) GitVersion() string { return v.Version }

type buildInfo4 struct {
	Version           string `json:"version,omitempty"`
	GitCommit         string `json:"git_commit,omitempty"`
	GitTreeState      string `json:"git_tree_state,omitempty"`
	GoVersion         string `json:"go_version,omitempty"`
	KubeClientVersion string `json:"kube_client_version"`
}

// functions are the template functions without state of their own.
func (h Helm) functions() template.FuncMap {
	if h.four() {
		return functions4()
	}
	return functions()
}

var functions4 = sync.OnceValue(func() template.FuncMap {
	f := make(template.FuncMap, len(functions())+15)
	for name, fn := range functions() {
		f[name] = fn
	}
	f["mustToToml"] = func(v any) (string, error) {
		var b bytes.Buffer
		err := toml.NewEncoder(&b).Encode(v)
		return b.String(), err
	}
	f["mustToYaml"] = func(v any) (string, error) {
		data, err := yaml.Marshal(v)
		return strings.TrimSuffix(string(data), "\n"), err
	}
	f["mustToJson"] = func(v any) (string, error) {
		data, err := json.Marshal(v)
		return string(data), err
	}
	f["mustToDuration"] = asDuration
	or0 := func(v any) time.Duration {
		d, _ := asDuration(v) // 0 where it is none
		return d
	}
	f["durationSeconds"] = func(v any) float64 { return or0(v).Seconds() }
	f["durationMilliseconds"] = func(v any) int64 { return or0(v).Milliseconds() }
	f["durationMicroseconds"] = func(v any) int64 { return or0(v).Microseconds() }
	f["durationNanoseconds"] = func(v any) int64 { return or0(v).Nanoseconds() }
	f["durationMinutes"] = func(v any) float64 { return or0(v).Minutes() }
	f["durationHours"] = func(v any) float64 { return or0(v).Hours() }
	f["durationDays"] = func(v any) float64 { return or0(v).Hours() / 24.0 }
	f["durationWeeks"] = func(v any) float64 { return or0(v).Hours() / 24.0 / 7.0 }
	to := func(round func(time.Duration, time.Duration) time.Duration) func(v, m any) time.Duration {
		return func(v, m any) time.Duration {
			d, err := asDuration(v)
			if err != nil {
				return 0
			}
			multiple, err := asDuration(m)
			if err != nil {
				return d
			}
			return round(d, multiple)
		}
	}
	f["durationRoundTo"] = to(time.Duration.Round)
	f["durationTruncateTo"] = to(time.Duration.Truncate)
	return f
})

// asDuration takes durations, their texts, and seconds.
func asDuration(v any) (time.Duration, error) {
	switch x := v.(type) {
	case time.Duration:
		return x, nil
	case string:
		s := strings.TrimSpace(x)
		if s == "" {
			return 0, errors.New("empty duration")
		}
		if d, err := time.ParseDuration(s); err == nil {
			return d, nil
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return ofSeconds(f)
		}
		return 0, fmt.Errorf("could not parse duration %q", x)
	case nil:
		return 0, errors.New("invalid duration")
	}
	const most = math.MaxInt64 / int64(time.Second)
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := rv.Int(); n > most || n < -most {
			return 0, fmt.Errorf("duration seconds overflow: %d", n)
		}
		return time.Duration(rv.Int()) * time.Second, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if n := rv.Uint(); n > uint64(most) {
			return 0, fmt.Errorf("duration seconds overflow: %d", n)
		}
		return time.Duration(rv.Uint()) * time.Second, nil
	case reflect.Float32, reflect.Float64:
		return ofSeconds(rv.Float())
	}
	return 0, fmt.Errorf("unsupported duration type %T", v)
}

func ofSeconds(seconds float64) (time.Duration, error) {
	if math.IsNaN(seconds) || math.IsInf(seconds, 0) {
		return 0, fmt.Errorf("invalid duration seconds: %v", seconds)
	}
	const most = float64(math.MaxInt64) / float64(time.Second)
	if seconds > most || seconds < -most {
		return 0, fmt.Errorf("duration seconds overflow: %v", seconds)
	}
	nanos := seconds * float64(time.Second)
	if nanos > float64(math.MaxInt64) || nanos < float64(math.MinInt64) {
		return 0, fmt.Errorf("duration nanoseconds overflow: %v", nanos)
	}
	return time.Duration(nanos), nil
}

// execText is Helm's text for an error of executing a template.
func (h Helm) execText(filename string, err error) string {
	text := execText(filename, err)
	if _, isExec := err.(template.ExecError); !h.four() || !isExec || text != err.Error() {
		return text
	}
	var levels []string
	for current := err; current != nil; current = errors.Unwrap(current) {
		level, ok := levelText(current.Error())
		if !ok {
			return text
		}
		if len(levels) == 0 || levels[len(levels)-1] != level {
			levels = append(levels, level)
		}
	}
	return strings.TrimSpace(strings.Join(levels, ""))
}

// levelText tells one level of a nested error on lines of its own: where,
// executing what, and what went wrong.
func levelText(text string) (string, bool) {
	rest, ok := strings.CutPrefix(text, "template: ")
	if !ok {
		return "", false
	}
	lines := func(location, executed, message string) string {
		out := ""
		for _, part := range []struct{ text, end string }{{location, "\n  "}, {executed, "\n    "}, {message, "\n"}} {
			if part.text != "" {
				out += part.text + part.end
			}
		}
		return out
	}
	if strings.HasPrefix(rest, "no template ") {
		return lines("", "", text), true
	}
	cut := func(message string) string {
		if i := strings.Index(message, " template:"); i >= 0 {
			return message[:i]
		}
		return message
	}
	if location, after, found := strings.Cut(rest, ": executing "); found {
		if name, after, ok := strings.Cut(strings.TrimPrefix(after, `"`), `"`); ok && strings.HasPrefix(rest[len(location):], `: executing "`) {
			if at, ok := strings.CutPrefix(after, " at <"); ok {
				if where, message, ok := strings.Cut(at, ">: "); ok {
					return lines(location, `executing "`+name+`" at <`+where+">:", cut(message)), true
				}
			}
		}
	}
	if i := strings.LastIndex(rest, ": "); i >= 0 {
		return lines(rest[:i], "", cut(rest[i+2:])), true
	}
	return "", false
}

// processDependencies decides which subcharts take part, and imports values.
func (h Helm) processDependencies(ch *chart.Chart, vals map[string]any) error {
	if !h.four() {
		return chartutil.ProcessDependenciesWithMerge(ch, vals)
	}
	defer expandAliases(ch)()
	if err := chartutil.ProcessDependenciesWithMerge(ch, vals); err != nil {
		return fmt.Errorf("chart dependencies processing failed: %w", err)
	}
	return nil
}

// nameCheck is what the error about a release's name starts with.
func (h Helm) nameCheck() string {
	if h.four() {
		return "release name check failed: "
	}
	return ""
}

// takesEOF says whether a broken --set passes: Helm 4 takes an end in the midst
// of an index for the end of all.
func (h Helm) takesEOF(err error) bool { return h.four() && errors.Is(err, io.EOF) }

// expandAliases gives every alias of a dependency a chart of its own before
// dependencies are processed. In Helm 3 they share what is below them, which
// then goes by the name of whoever was last. The function that it returns puts
// the aliases back for templates to see.
func expandAliases(root *chart.Chart) (restore func()) {
	var aliased []func()
	var expand func(ch *chart.Chart)
	expand = func(ch *chart.Chart) {
		var kept []*chart.Chart
		for _, sub := range ch.Dependencies() {
			asked := false
			for _, d := range ch.Metadata.Dependencies {
				if d == nil || d.Name != sub.Name() || !chartutil.IsCompatibleRange(d.Version, sub.Metadata.Version) {
					continue
				}
				asked = true
				own := cloneChart(sub, nil, nil, false)
				if alias := d.Alias; alias != "" {
					own.Metadata.Name = alias
					d := d
					aliased = append(aliased, func() { d.Alias = alias })
				}
				kept = append(kept, own)
			}
			if !asked {
				kept = append(kept, sub)
			}
		}
		for _, d := range ch.Metadata.Dependencies {
			if d != nil && d.Alias != "" {
				d.Name, d.Alias = d.Alias, ""
			}
		}
		ch.SetDependencies(kept...)
		for _, sub := range kept {
			expand(sub)
		}
	}
	expand(root)
	return func() {
		for _, f := range aliased {
			f()
		}
	}
}
