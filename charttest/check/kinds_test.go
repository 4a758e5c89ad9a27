package check_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest"
)

// TestKinds holds the checks to kinds of faults, a file of testdata/kinds for
// each. A comment at the end of a line of a section says which finding is due
// at that line; there may be no others.
//
//	-- a pull policy in other letters --
//	        imagePullPolicy: ifNotPresent #! field-valid: supported values: "Always"
func TestKinds(t *testing.T) {
	eachSection(t, "kinds", func(t *testing.T, s section) {
		var want []string
		for i, line := range strings.Split(s.text, "\n") {
			if _, due, ok := strings.Cut(line, " #! "); ok {
				want = append(want, fmt.Sprintf("%03d %s", i+1, due))
			}
		}
		s.options = append([]charttest.Option{charttest.KubeVersion("1.36")}, s.options...)
		var have []string
		for _, f := range s.findings(t) {
			require.NotEmpty(t, f.Remedy)
			have = append(have, fmt.Sprintf("%03d %s: %s", f.Place().Line, f.Check, f.Message))
		}
		slices.Sort(have)
		require.Len(t, have, len(want), "%s", strings.Join(have, "\n"))
		for i := range have {
			line, rest, _ := strings.Cut(want[i], ": ")
			require.True(t, strings.HasPrefix(have[i], line+": ") && strings.Contains(have[i], rest), "%s\nis not\n%s", have[i], want[i])
		}
	})
}
