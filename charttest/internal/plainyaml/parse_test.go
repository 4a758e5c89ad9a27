package plainyaml

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// agree checks that what Parse accepts, sigs.k8s.io/yaml reads in the same way.
func agree(t testing.TB, text string) bool {
	t.Helper()
	n := Parse(text)
	if n == nil {
		return false
	}
	want, err := yaml.YAMLToJSONStrict([]byte(text))
	require.NoError(t, err, "%q", text)
	var wantValue, gotValue any
	require.NoError(t, json.Unmarshal(want, &wantValue))
	got := n.AppendJSON(nil)
	require.NoError(t, json.Unmarshal(got, &gotValue), "%q gave %s", text, got)
	require.Equal(t, wantValue, gotValue, "%q", text)
	require.Equal(t, wantValue, n.Value(false), "%q", text)
	return true
}

var accepted = []string{
	"a: b", "a: 1\nb:\n  c: true\n  d: null\ne:\n- x\n- k: z\n  w: 1.5\n- - nested\n  - list\n",
	"a: |\n  one\n    two\n\n  three\nb: x", "a: |-\n  one\n", "a: |\n  one", "a: |\n  one\n\n\nb: c\n",
	"a: \"q\\n\\\"x\\\"\" # comment\nb: 'it''s'\n", "a: []\nb: {}\nc: [1, two, \"three\", {d: e}]\nd: {\"a\":1,\"b\":[true]}\n",
	"# only\n\na:   b   # c\n\n  # deeper\nc: d\n", "a:\n  # c\n  b: c\n", "a:\n\n    b: c\n    d: e\n",
	"a: 100m\nb: 1e3\nc: 0x1f\nd: 010\ne: 1.10\nf: .5\ng: 2020-01-02\nh: 10.0.0.1\ni: -5\nj: +3\nk: 1_000\nl: 12:30\n",
	"a: yes\nb: No\nc: y\nd: on\ne: ~\nf: NULL\ng: True\nh: none\n", "a:\n  - |\n    x\n  - b\n",
	"\"quoted key\": 1\n'other': 2\n", "- a\n- b\n", "-\n  a: b\n-\n  - c\n", "a: http://x/y?z=#frag\n",
	"a: ünï\n", "a: -x\nb: :y\n", "a: \"\"\nb: ''\n", "key/with.dots-and_more: v\n", "a:\n- b\nc: d\n",
	"a: |\n   x\n  \nb: c\n", "a: |\n  x\n   \n  y\n", "a: x#y\n", "a: |\n  \tx\nb: y\n",
}

func TestAcceptsPlainDocuments(t *testing.T) {
	for _, text := range accepted[:len(accepted)-1] {
		require.True(t, agree(t, text), "declined: %q", text)
	}
}

func TestDeclines(t *testing.T) {
	for _, text := range []string{
		"", "# nothing", "a: &x b\nc: *x", "a: !!str 1", "a: >\n  folded", "a: b\na: c", "a: b: c", "a: [1,\n 2]",
		"a: \"two\n lines\"", "a: plain\n  continued", "1: a", "yes: a", "<<: {a: b}", "? a\n: b", "a: \tb", "a:\n b: c\n  d: e",
		"a: {b: c, b: d}", "--- a", "a: b\n---\nc: d", "a: |2\n  x", "just text", "\x00", "a: \xff", "a: b\r\nc: d", "a: @b", "a: [a b: c]",
	} {
		require.Nil(t, Parse(text), "%q", text)
	}
}

func TestLines(t *testing.T) {
	n := Parse("a: b\nc:\n  - d: |\n      x\n      y\n    e: f\n")
	require.Equal(t, 2, n.Pairs[1].Line)
	item := n.Get("c").Items[0]
	require.Equal(t, 3, item.Line)
	require.Equal(t, 6, item.Pairs[1].Line)
}

func FuzzParse(f *testing.F) {
	for _, text := range accepted {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { agree(t, text) })
}
