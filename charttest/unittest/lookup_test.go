package unittest

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A suite's tests share its objects, and run side by side. Without the race
// detector Go's own check of maps finds one that is written to meanwhile.
func TestLookupsLeaveTheObjectsAlone(t *testing.T) {
	p := provider{
		Scheme: map[string]kindProperties{"v1/Secret": {GVR: schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, Namespaced: true}},
		Objects: []map[string]any{{
			"apiVersion": "v1", "kind": "Secret",
			"metadata": map[string]any{"name": "shop", "namespace": "default"},
			"data":     map[string]any{"password": "c2VjcmV0"},
		}},
	}
	before, err := json.Marshal(p.Objects)
	require.NoError(t, err)
	var side sync.WaitGroup
	for range 4 {
		side.Go(func() {
			for range 500 {
				found, err := p.lookup("v1", "Secret", "default", "shop")
				if err != nil || found["kind"] != "Secret" {
					t.Errorf("found %v, %v", found, err)
					return
				}
				found["data"].(map[string]any)["password"] = "changed" // as templates may
				if data, err := json.Marshal(p.Objects); err != nil || string(data) != string(before) {
					t.Errorf("the suite's objects are now %s (%v)", data, err)
					return
				}
			}
		})
	}
	side.Wait()
}
