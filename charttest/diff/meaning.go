package diff

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// meaning writes what a value of a type stands for: two values mean the same if
// and only if it writes the same for both. What is left out and what a type
// can't tell from it are both "".
func meaning(v any, m member) string {
	var b builder
	writer{&b, false}.value(v, m)
	return b.String()
}

// writer writes meanings. An ordered one minds the order of lists that
// Kubernetes merges by key, too.
type writer struct {
	*builder
	ordered bool
}

func (w writer) value(v any, m member) {
	switch v := v.(type) {
	case nil:
	case map[string]any:
		w.mapping(v, m)
	case []any:
		w.list(v, m)
	default:
		if s := scalar(v, m.t); optional(m.t) || !zero(v) {
			w.WriteString(s)
		}
	}
}

func (w writer) mapping(v map[string]any, m member) {
	var entries builder
	inner := writer{&entries, w.ordered}
	for _, key := range sortedKeys(v) {
		c := child(m.t, key)
		before := entries.Len()
		var entry builder
		writer{&entry, w.ordered}.value(v[key], c)
		if entry.Len() == 0 && (v[key] == nil || c.t != nil) {
			continue // left out
		}
		if before > 0 {
			inner.WriteByte(',')
		}
		inner.WriteString(strconv.Quote(key))
		inner.WriteByte(':')
		inner.WriteString(entry.String())
	}
	if entries.Len() > 0 || optional(m.t) {
		w.WriteByte('{')
		w.WriteString(entries.String())
		w.WriteByte('}')
	}
}

func (w writer) list(v []any, m member) {
	if len(v) == 0 && !optional(m.t) {
		return
	}
	items := meanings(v, m, w.ordered)
	if _, ok := keysOf(v, m); ok && !w.ordered && !sequential(m) {
		slices.Sort(items)
	}
	w.WriteByte('[')
	w.WriteString(strings.Join(items, ","))
	w.WriteByte(']')
}

func meanings(v []any, m member, ordered bool) []string {
	items := make([]string, len(v))
	for i := range v {
		var b builder
		writer{&b, ordered}.value(v[i], member{t: pointerTo(item(m.t))}) // an item is there, even if it is empty
		items[i] = b.String()
	}
	return items
}

func zero(v any) bool {
	switch v := v.(type) {
	case bool:
		return !v
	case string:
		return v == ""
	}
	n, ok := number(v)
	return ok && n == "0"
}

var (
	quantityType  = reflect.TypeFor[resource.Quantity]()
	durationType  = reflect.TypeFor[metav1.Duration]()
	timeType      = reflect.TypeFor[metav1.Time]()
	microTimeType = reflect.TypeFor[metav1.MicroTime]()
	bytesType     = reflect.TypeFor[[]byte]()
)

// scalar writes a single value. Where it doesn't suit its type it is written
// as it stands.
func scalar(v any, t reflect.Type) string {
	s, isText := v.(string)
	n, isNumber := number(v)
	switch deref(t) {
	case quantityType:
		if !isText {
			s = n
		}
		if q, err := resource.ParseQuantity(s); err == nil {
			if r, ok := new(big.Rat).SetString(q.AsDec().String()); ok {
				return r.RatString() + "q"
			}
		}
	case durationType:
		if d, err := time.ParseDuration(s); isText && err == nil {
			return d.String()
		}
	case timeType, microTimeType:
		if at, err := time.Parse(time.RFC3339Nano, s); isText && err == nil {
			return at.UTC().Format(time.RFC3339Nano)
		}
	case bytesType:
		if data, err := base64.StdEncoding.DecodeString(s); isText && err == nil {
			return strconv.Quote(base64.StdEncoding.EncodeToString(data))
		}
	}
	switch {
	case isText:
		return strconv.Quote(s)
	case isNumber:
		return n
	}
	return fmt.Sprint(v)
}

// number writes a number in one way, whatever its Go type.
func number(v any) (string, bool) {
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10), true
	case int:
		return strconv.Itoa(v), true
	case int32:
		return strconv.FormatInt(int64(v), 10), true
	case uint64:
		return strconv.FormatUint(v, 10), true
	case float32:
		return number(float64(v))
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return strconv.FormatInt(int64(v), 10), true
		}
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return strconv.FormatInt(i, 10), true
		}
		if f, err := v.Float64(); err == nil {
			return number(f)
		}
		return v.String(), true
	}
	return "", false
}

// Stored returns a copy of an object as the API server keeps it in what matters
// here: what a Secret has in stringData is in its data.
func Stored(u *unstructured.Unstructured) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: normal(u.Object)}
}

// normal is the copy that Stored makes.
func normal(content map[string]any) map[string]any {
	c := copyValue(content).(map[string]any)
	if text(c, "kind") != "Secret" || text(c, "apiVersion") != "v1" {
		return c
	}
	plain, ok := c["stringData"].(map[string]any)
	if !ok {
		return c
	}
	data, ok := c["data"].(map[string]any)
	if !ok {
		if c["data"] != nil {
			return c // no Secret that the API server takes
		}
		data = map[string]any{}
	}
	for key, value := range plain {
		s, ok := value.(string)
		if !ok {
			return c
		}
		data[key] = base64.StdEncoding.EncodeToString([]byte(s))
	}
	delete(c, "stringData")
	if len(data) > 0 {
		c["data"] = data
	}
	return c
}

func copyValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			m[key] = copyValue(value)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i := range v {
			l[i] = copyValue(v[i])
		}
		return l
	}
	return v
}
