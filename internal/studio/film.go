// Package studio is a client of the film studio's API: it submits briefs,
// follows films while they are made, and brings the videos home.
package studio

import (
	"fmt"
	"strings"
	"time"
)

// States a film ends in. It passes submitted, planning, shooting and cutting
// before.
const (
	Done      = "done"
	Failed    = "failed"
	Cancelled = "cancelled"
	// Deleted is told by events only: the film is gone.
	Deleted = "deleted"
)

// Over tells whether a film in this state has ended.
func Over(state string) bool {
	return state == Done || state == Failed || state == Cancelled || state == Deleted
}

// Settings of a film. What is zero is left for the studio to choose.
type Settings struct {
	Width   int     `json:"width,omitempty"`  // pixels
	Height  int     `json:"height,omitempty"` // pixels
	Seconds float64 `json:"seconds,omitempty"`
	Seed    *int64  `json:"seed,omitempty"`
}

// A Submission asks for a film.
type Submission struct {
	Brief    string   `json:"brief"`
	Title    string   `json:"title,omitempty"`
	Settings Settings `json:"settings"`
}

// A Film as the API tells it. List leaves out Brief, Plan, Video and Stages.
type Film struct {
	ID              string     `json:"id"`
	Title           string     `json:"title"`
	PlannedTitle    string     `json:"planned_title"`
	Opening         string     `json:"opening"`
	Brief           string     `json:"brief"`
	Settings        Settings   `json:"settings"`
	State           string     `json:"state"`
	Error           *Problem   `json:"error"`
	Plan            *Plan      `json:"plan"`
	Video           *Video     `json:"video"`
	CreatedAt       time.Time  `json:"created_at"`
	StartedAt       *time.Time `json:"started_at"`
	FinishedAt      *time.Time `json:"finished_at"`
	CancelRequested bool       `json:"cancel_requested"`
	Seconds         float64    `json:"seconds"`
	Stages          []Stage    `json:"stages"`
}

// Name is the film's title: the plan's, the one asked for, or how the brief
// begins.
func (f *Film) Name() string {
	switch {
	case f.Plan != nil && f.Plan.Title != "":
		return f.Plan.Title
	case f.Title != "":
		return f.Title
	case f.PlannedTitle != "":
		return f.PlannedTitle
	}
	opening, _, _ := strings.Cut(strings.TrimSpace(f.Opening+f.Brief), "\n")
	if runes := []rune(opening); len(runes) > 50 {
		opening = string(runes[:50]) + "…"
	}
	return opening
}

// A Plan is what LangGraph made of the brief.
type Plan struct {
	Title   string  `json:"title"`
	Logline string  `json:"logline"`
	FPS     float64 `json:"fps"`
	Seconds float64 `json:"seconds"`
	Scenes  []Scene `json:"scenes"`
}

// A Scene of a plan.
type Scene struct {
	ID      string `json:"id"`
	Heading string `json:"heading"`
	Shots   []Shot `json:"shots"`
}

// A Shot of a scene.
type Shot struct {
	ID       string  `json:"id"`
	Size     string  `json:"size"`
	Move     string  `json:"move"`
	Seconds  float64 `json:"seconds"`
	Subtitle string  `json:"subtitle"`
}

// Shots of the film in order, the title and the end card among them; nil while
// there is no plan.
func (f *Film) Shots() []string {
	if f.Plan == nil {
		return nil
	}
	shots := []string{"title"}
	for _, scene := range f.Plan.Scenes {
		for _, shot := range scene.Shots {
			shots = append(shots, shot.ID)
		}
	}
	return append(shots, "end")
}

// A Video is the finished film.
type Video struct {
	Path    string  `json:"path"`
	Seconds float64 `json:"seconds"`
	Frames  int     `json:"frames"`
	Width   int     `json:"width"`
	Height  int     `json:"height"`
	Bytes   int64   `json:"bytes"`
	SHA256  string  `json:"sha256"`
}

// A Stage is one service's work on a shot; Shot is empty where it is on the
// whole film.
type Stage struct {
	Shot       string     `json:"shot"`
	Stage      string     `json:"stage"`
	Service    string     `json:"service"`
	State      string     `json:"state"` // running, done, failed, cancelled
	Attempt    int        `json:"attempt"`
	Cached     bool       `json:"cached"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Seconds    *float64   `json:"seconds"`
	Error      *Problem   `json:"error"`
}

// An Event tells of a stage, or with Stage "film" of the film itself. Progress
// is from 0 to 1, nil where it is not known.
type Event struct {
	ID       string   `json:"-"`
	Shot     string   `json:"shot"`
	Stage    string   `json:"stage"`
	Service  string   `json:"service"`
	State    string   `json:"state"`
	Progress *float64 `json:"progress"`
}

// A Problem is an error as the studio tells it (RFC 9457).
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy"`
	Shot   string `json:"shot"`
	Stage  string `json:"stage"`
}

func (p *Problem) Error() string {
	text := p.Title
	if p.Stage != "" {
		text += " in " + strings.TrimSpace(p.Stage+" of "+p.Shot)
	}
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	if p.Remedy != "" {
		text += fmt.Sprintf("\n  what helps: %s", p.Remedy)
	}
	return text
}
