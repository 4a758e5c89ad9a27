package limits

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPictures(t *testing.T) {
	for _, c := range []struct {
		width, height int
		wrong         string
	}{
		{640, 360, ""}, {160, 96, ""}, {1920, 1080, ""}, {384, 96, ""}, {160, 320, ""},
		{1920, 96, "shape"}, {160, 1080, "shape"}, {392, 96, "shape"}, {160, 328, "shape"},
		{152, 96, "width"}, {1928, 1080, "width"}, {641, 360, "width"}, {640, 88, "height"}, {640, 1088, "height"},
	} {
		err := Film.CheckPicture(c.width, c.height)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%d×%d: %v", c.width, c.height, err)
		}
	}
}

func TestLengthsCountCharacters(t *testing.T) {
	l := Length{Min: 1, Max: 3}
	for text, right := range map[string]bool{"": false, "灯台守": true, "灯台守り": false, "abc": true} {
		if err := l.Check(text); (err == nil) != right {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestIDs(t *testing.T) {
	for id, right := range map[string]bool{"a": true, "0-_": true, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false, "": false, "-a": false, "a\n": false, "../a": false, "é": false} {
		if FilmID.MatchString(id) != right || ShotID.MatchString(id) != right {
			t.Errorf("%q: %v", id, !right)
		}
	}
	for _, pattern := range []string{Film.IDs.PlanScene, Film.IDs.PlanShot} {
		regexp.MustCompile(pattern)
	}
}

// A number that the file lacks would be 0 here, and a limit of nothing.
func TestNothingIsMissing(t *testing.T) {
	b, err := json.Marshal(Film)
	if err != nil {
		t.Fatal(err)
	}
	var mine, theirs any
	if json.Unmarshal(b, &mine) != nil || json.Unmarshal(file, &theirs) != nil {
		t.Fatal("not JSON")
	}
	var count func(any) (n int)
	count = func(v any) (n int) {
		switch v := v.(type) {
		case map[string]any:
			for key, entry := range v {
				if !slices.Contains([]string{"step", "Step"}, key) { // optional
					n += count(entry)
				}
			}
		case []any:
			n = len(v)
		default:
			n = 1
		}
		return n
	}
	if count(mine) != count(theirs) {
		t.Errorf("limits.json has %d numbers and words, Limits has %d", count(theirs), count(mine))
	}
}
