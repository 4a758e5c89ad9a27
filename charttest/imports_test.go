package charttest_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a chart's tests compile is part of what they cost: clients of clusters
// and registries, and a command's flags, stay out of the library.
func TestImportsAreFew(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	packages := strings.Fields(string(out))
	assert.LessOrEqual(t, len(packages), 450, "packages that «import charttest» compiles, the standard library's included")
	for _, p := range packages {
		for _, heavy := range []string{"helm.sh/helm/v3/pkg/action", "helm.sh/helm/v3/pkg/registry", "helm.sh/helm/v3/pkg/kube",
			"k8s.io/client-go/rest", "k8s.io/cli-runtime", "k8s.io/kubectl", "github.com/spf13/cobra"} {
			assert.False(t, strings.HasPrefix(p, heavy), "%s", p)
		}
	}
}
