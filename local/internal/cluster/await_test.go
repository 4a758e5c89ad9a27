package cluster

import (
	"strings"
	"testing"
)

func TestOutdatedFindsStatusesFromBeforeARestart(t *testing.T) {
	pods := `{"items":[
 {"metadata":{"name":"old"},"status":{"containerStatuses":[{"containerID":"containerd://aaa","state":{"running":{}}}]}},
 {"metadata":{"name":"present"},"status":{"containerStatuses":[{"containerID":"containerd://bbb","state":{"running":{}}}]}},
 {"metadata":{"name":"done"},"status":{"containerStatuses":[{"containerID":"containerd://ccc","state":{"terminated":{}}}]}},
 {"metadata":{"name":"new"},"status":{}}]}`
	got := outdated([]byte(pods), map[string]bool{"bbb": true})
	if len(got) != 1 || !strings.Contains(got[0], "pod old ") {
		t.Errorf("got %q", got)
	}
	if got := outdated([]byte("not JSON"), nil); len(got) != 1 {
		t.Errorf("broken input passes: %q", got)
	}
}
