package verify_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Clusters report a patch version, so templates may count on it.
func TestVersionsHaveAPatch(t *testing.T) {
	dir := write(t, map[string]string{"templates/a.yaml": `apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  containers:
    - name: a
      image: kubectl:{{ regexFind "[0-9]+\\.[0-9]+\\.[0-9]+" .Capabilities.KubeVersion.Version }}
`})
	result := run(t, dir)
	require.Empty(t, result.Findings)
	require.Equal(t, []string{"1.34", "1.35", "1.36", "1.37"}, result.Versions)
}
