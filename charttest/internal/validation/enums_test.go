package validation

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// told are the closed sets that no rule asks: those of a status, of fields that
// only alpha features have, and of those that a rule judges with other fields.
var told = map[string]bool{
	"core/v1.ClaimResourceStatus": true, "core/v1.PersistentVolumeClaimModifyVolumeStatus": true, "core/v1.VolumeHealthStatusType": true,
	"core/v1.PersistentVolumePhase": true, "core/v1.PersistentVolumeClaimPhase": true, "core/v1.PodPhase": true, "core/v1.PodQOSClass": true,
	"core/v1.NodePhase": true, "core/v1.NamespacePhase": true, "core/v1.HTTPProtocol": true, "core/v1.GRPCProbeMode": true, "core/v1.Signal": true,
	"core/v1.HostPathType": true, "core/v1.NodeSelectorOperator": true, "storage/v1.StorageHealthStatusType": true,
}

var enum = regexp.MustCompile(`(?m)^// ?\+enum\s*\n(?:^//.*\n)*^type (\w+) string`)

// Every closed set that Kubernetes' types declare is known, with its values but
// for those of alpha features.
func TestEveryClosedSetOfTheAPI(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/api").Output()
	require.NoError(t, err)
	known := map[string][]string{}
	for t, values := range enums {
		known[strings.TrimPrefix(t.PkgPath(), "k8s.io/api/")+"."+t.Name()] = values
	}
	packages := map[string]bool{}
	for t := range enums {
		packages[strings.TrimPrefix(reflect.Type.PkgPath(t), "k8s.io/api/")] = true
	}
	for p := range packages {
		source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), p, "types.go"))
		require.NoError(t, err)
		for _, m := range enum.FindAllStringSubmatch(string(source), -1) {
			name := p + "." + m[1]
			if told[name] {
				continue
			}
			for _, v := range regexp.MustCompile(`(?m)^\s*\w+\s+`+m[1]+`\s*=\s*"([^"]+)"`).FindAllStringSubmatch(string(source), -1) {
				alpha := name == "core/v1.TolerationOperator" && (v[1] == "Lt" || v[1] == "Gt") || name == "apps/v1.StatefulSetUpdateStrategyType" && v[1] == "Recreate"
				require.True(t, alpha || slices.Contains(known[name], v[1]), fmt.Sprintf("%s may be %q", name, v[1]))
			}
		}
	}
}
