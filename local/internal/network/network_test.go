package network

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestParseResolversSkipsWhatPodsCannotReach(t *testing.T) {
	conf := "# comment\nsearch example.org\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nnameserver ::1\nnameserver nonsense\nnameserver\nnameserver 192.0.2.9 extra\n"
	if got := parseResolvers(conf); !slices.Equal(got, []string{"10.0.0.2", "192.0.2.9"}) {
		t.Errorf("got %q", got)
	}
	if got := parseResolvers(""); got != nil {
		t.Errorf("nothing gives %q", got)
	}
}

func TestPluginsIsJSON(t *testing.T) {
	var v struct{ Plugins []map[string]any }
	if err := json.Unmarshal([]byte(Plugins("/run/a \"b\"")), &v); err != nil {
		t.Fatal(err)
	}
	if got := v.Plugins[0]["ipam"].(map[string]any)["dataDir"]; got != "/run/a \"b\"" {
		t.Errorf("dataDir %q", got)
	}
}
