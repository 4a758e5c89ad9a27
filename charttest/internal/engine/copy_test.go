package engine

import (
	"testing"
	"time"

	"github.com/Masterminds/sprig/v3"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// TestDeepCopy holds the template function deepCopy to sprig's.
func TestDeepCopy(t *testing.T) {
	theirs := sprig.TxtFuncMap()["deepCopy"].(func(any) any)
	ours := deepCopy(theirs)
	for _, v := range []any{
		"a", 1, 1.5, true, []any{}, []any{nil, 1, "b", []any(nil)}, []string{"a"}, map[string]any(nil), []any(nil), chartutil.Values(nil),
		map[string]any{"a": nil, "b": map[string]any(nil), "c": []any(nil), "d": map[string]any{}, "e": int64(7), "f": map[any]any{1: "x"}},
		chartutil.Values{"Values": chartutil.Values{"a": []any{map[string]any{"b": 1}}}, "Files": files{"x": []byte("text"), "y": {}},
			"Chart": metadata{chart.Metadata{Name: "a", Keywords: []string{"k"}}, true}, "Capabilities": chartutil.DefaultCapabilities,
			"at": time.Unix(1, 0).UTC()},
	} {
		require.Equal(t, theirs(v), ours(v), "%#v", v)
	}
	require.Panics(t, func() { theirs(nil) })
	require.Panics(t, func() { ours(nil) })
	inner := map[string]any{"b": "c"}
	copied := ours(map[string]any{"a": []any{inner}}).(map[string]any)
	copied["a"].([]any)[0].(map[string]any)["b"] = "d"
	require.Equal(t, "c", inner["b"])
}
