package plainyaml

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// same checks that Marshal writes what sigs.k8s.io/yaml writes.
func same(t testing.TB, v any) bool {
	t.Helper()
	got, ok := Marshal(v)
	if !ok {
		return false
	}
	// The order of keys that mix digits and letters is not transitive, and
	// then go-yaml's depends on the order in which Go hands it the keys.
	var want string
	for range 200 {
		data, err := yaml.Marshal(v)
		require.NoError(t, err)
		if want = strings.TrimSuffix(string(data), "\n"); want == got {
			break
		}
	}
	require.Equal(t, want, got)
	return true
}

var documents = []string{
	`{"a":1,"b":[{"c":null,"d":[]},{},[1,[2,3]],"x"],"e":{"f":{"g":"h"}}}`,
	`{"cpu":"100m","memory":"1Gi","yes":"no","1":"2","a10":1,"a9":2,"a-b":3,"":4," x":"y "}`,
	`["true","null","~","1e3","0x1","- x","a: b","a #b","#","@x","'","\"","é","10.0.0.1","2020-01-01"]`,
	`{"f":1.5,"big":1e21,"small":1e-9,"neg":-3,"zero":0}`, `"x"`, `5`, `[]`, `{}`, `null`,
	`{"long":"word word word word word word word word word word word word word word word word word word"}`,
	`{"deep":{"deep":{"deep":{"k":"seventy characters with spaces so that it comes near to the edge of it"}}}}`,
}

func TestMarshal(t *testing.T) {
	for i, doc := range documents {
		var v any
		require.NoError(t, json.Unmarshal([]byte(doc), &v))
		require.Equal(t, i != 9, same(t, v), doc)
	}
	require.True(t, same(t, map[string]any{"a": int64(3), "b": 4, "n": map[string]any(nil), "l": []any(nil)}))
	_, ok := Marshal(struct{}{})
	require.False(t, ok)
	_, ok = Marshal(map[string]any{"a": "two\nlines"})
	require.False(t, ok)
}

func FuzzMarshal(f *testing.F) {
	for _, doc := range documents {
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		var v any
		if json.Unmarshal([]byte(doc), &v) == nil {
			same(t, v)
		}
	})
}
