package release

import (
	"slices"
	"testing"
)

func TestNotReady(t *testing.T) {
	pods := `{"items":[
 {"metadata":{"name":"ready"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}},
 {"metadata":{"name":"job"},"status":{"phase":"Succeeded"}},
 {"metadata":{"name":"failed-run","ownerReferences":[{"kind":"Job"}]},"status":{"phase":"Failed"}},
 {"metadata":{"name":"going","deletionTimestamp":"2026-01-01T00:00:00Z"},"status":{"phase":"Running"}},
 {"metadata":{"name":"unschedulable"},"status":{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"0/1 nodes"}]}},
 {"metadata":{"name":"crashing"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"False"}],"containerStatuses":[{"name":"main","restartCount":3,"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}},
 {"metadata":{"name":"init"},"status":{"phase":"Pending","initContainerStatuses":[{"name":"wait","state":{"running":{}}}],"containerStatuses":[{"name":"main","state":{"waiting":{"reason":"PodInitializing"}}}]}}
]}`
	want := []string{
		"crashing (main: CrashLoopBackOff, 3 restarts)",
		"init (wait: starting)",
		"unschedulable (Unschedulable: 0/1 nodes)",
	}
	if got := NotReady([]byte(pods)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := NotReady([]byte("{")); got != nil {
		t.Errorf("broken input gives %q", got)
	}
}
