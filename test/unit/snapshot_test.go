package unit

import (
	"testing"

	"github.com/ai-film/ai-film/charttest/diff"
)

// What each profile makes of the chart, for people to review when it changes.
func TestSnapshots(t *testing.T) {
	studio(t).Snapshots(t, "testdata/golden", profiles(t), diff.Chores...)
}
