package images

import (
	"slices"
	"testing"
)

func TestSupersededKeepsTheNewestAndStrangers(t *testing.T) {
	listing := `[
 {"names":["docker.io/aifilm/flask:a"],"created":1},
 {"names":["docker.io/aifilm/flask:b"],"created":5},
 {"names":["docker.io/aifilm/flask:c"],"created":3},
 {"names":["docker.io/aifilm/flask:d","docker.io/aifilm/flask:e"],"created":2},
 {"names":["docker.io/aifilm/opencv:a"],"created":1},
 {"names":["docker.io/library/postgres:17"],"created":0},
 {"names":null,"created":0}]`
	got := superseded([]byte(listing))
	// b and c are the newest; of d and e, made at once, one is third.
	if len(got) != 2 || !slices.Contains(got, "docker.io/aifilm/flask:a") {
		t.Errorf("got %q", got)
	}
	if got := superseded([]byte("nonsense")); got != nil {
		t.Errorf("broken input gives %q", got)
	}
}
