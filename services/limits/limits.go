// Package limits says what a film may be: how large, how long, what its texts may hold, and the words that stand for
// its sizes, moves, grades, moods and times.
//
// The numbers are in limits.json, which the Python package in this directory reads as well, so that whatever one
// service accepts no other refuses. A service may take more than this, never less.
package limits

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"unicode/utf8"
)

//go:embed limits.json
var file []byte

// Length is how many characters (Unicode code points) a text may have.
type Length struct{ Min, Max int }

// Check returns what is wrong with the length of a text, or nil.
func (l Length) Check(text string) error {
	n := utf8.RuneCountInString(text)
	switch {
	case n < l.Min && n == 0:
		return fmt.Errorf("is empty")
	case n < l.Min || n > l.Max:
		return fmt.Errorf("has %d characters: want %d to %d", n, l.Min, l.Max)
	}
	return nil
}

// Range is the least and the greatest of a whole number, and what it is a multiple of (0: of anything).
type Range struct{ Min, Max, Step int }

// Check returns what is wrong with a number, or nil.
func (r Range) Check(n int) error {
	switch {
	case n < r.Min || n > r.Max:
		return fmt.Errorf("want %d to %d, not %d", r.Min, r.Max, n)
	case r.Step > 0 && n%r.Step != 0:
		return fmt.Errorf("want a multiple of %d, not %d", r.Step, n)
	}
	return nil
}

// Span is the least and the greatest of a length of time, seconds.
type Span struct{ Min, Max float64 }

// Limits is limits.json.
type Limits struct {
	IDs struct { // patterns of ids: of a film and a shot in any request, of scenes and shots in a plan
		Film, Shot string
		PlanScene  string `json:"plan_scene"`
		PlanShot   string `json:"plan_shot"`
	}
	Lengths struct {
		Title, Brief, Logline, Planner Length
		Edit                           Length // of a scene's new text
		PlannerNote                    Length `json:"planner_note"`
		Name, Looks                    Length // of a character
		Heading, Location              Length // of a scene
		Description, Prompt, Negative  Length // of a shot
		Subtitle                       Length
	}
	Counts  struct{ Characters, Scenes, Shots Range } // of a whole film
	Picture struct {
		Width, Height   Range // pixels
		Widest, Tallest int   // width ≤ Widest × height, height ≤ Tallest × width
	}
	Time struct {
		Seconds        Span // of a film
		ShotSeconds    Span `json:"shot_seconds"`
		StepsPerSecond int  `json:"steps_per_second"` // all times are multiples of a step; the rate of a move's frames
		FPS            int  // of the film
	}
	Seed  Range
	Words struct{ Sizes, Moves, Grades, Moods, Times []string }
}

// Film is what a film may be.
var Film = read()

// FilmID and ShotID are the patterns of a film's and of a shot's id, as they stand in X-Film-Id and X-Shot-Id.
var FilmID, ShotID = regexp.MustCompile(Film.IDs.Film), regexp.MustCompile(Film.IDs.Shot)

func read() (l Limits) {
	d := json.NewDecoder(bytes.NewReader(file))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		panic("limits.json: " + err.Error())
	}
	return l
}

// CheckPicture returns what is wrong with a picture's size, or nil.
func (l Limits) CheckPicture(width, height int) error {
	if err := l.Picture.Width.Check(width); err != nil {
		return fmt.Errorf("width: %w", err)
	}
	if err := l.Picture.Height.Check(height); err != nil {
		return fmt.Errorf("height: %w", err)
	}
	return l.CheckShape(width, height)
}

// CheckShape returns what is wrong with the shape of a picture, whatever its size, or nil.
func (l Limits) CheckShape(width, height int) error {
	if width > l.Picture.Widest*height || height > l.Picture.Tallest*width {
		return fmt.Errorf("%d×%d is no shape of a film: at most %d times as wide as high, at most %d times as high as wide",
			width, height, l.Picture.Widest, l.Picture.Tallest)
	}
	return nil
}
