package check_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestClaims holds the checks to charts that stand for kinds of public ones:
// what a chart may leave to others isn't reported, and what looks like it but
// is a mistake is. A section of testdata/claims says which findings are due, in
// order:
//
//	-- a name of a port that no container has --
//	# want: service-port Service/web: targets port http
//	apiVersion: v1
func TestClaims(t *testing.T) {
	eachSection(t, "claims", func(t *testing.T, s section) {
		var have []string
		for _, f := range s.findings(t) {
			have = append(have, fmt.Sprintf("%s %s: %s", f.Check, f.Object, f.Message))
		}
		require.Len(t, have, len(s.want), "%q", have)
		for i := range have {
			require.Contains(t, have[i], s.want[i])
		}
	})
}
