// Package conformance holds every job service, Go and Python, to the job protocol of docs/contracts.md by asking it over
// HTTP. Whoever serves is not known to it: it takes a URL, the token, and a sample of the service's requests.
//
// A service's own tests start it and call Run. A service that runs somewhere is asked by
//
//	go test ./conformance -run URL -args -url http://127.0.0.1:9876 -token … -sample blender.json [-management … -data … -pid …]
//
// where sample is a file in samples/ or elsewhere. What the suite can't reach it leaves out: without the data directory
// there are no inputs and nothing is seen of the files, without a process id nothing is stopped.
package conformance

import (
	"embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Target is a service to be tested. It runs one job at a time (WORKERS=1) and lets one wait (QUEUE_LIMIT=1).
type Target struct {
	URL        string // of the main port
	Management string // URL of the management port; "" if it can't be reached
	Token      string
	Data       string // its DATA_DIR; "" if it can't be reached
	Small      bool   // DATA_DIR is a file system of its own that may be filled up
	PID        int    // of its process, which ends last of all; 0 to leave it alive
	Ended      func() (status int, err error)
	Sample     Sample
}

// Sample is what the suite must know of a service.
type Sample struct {
	Service    string           `json:"service"`
	Inputs     map[string]Input `json:"inputs"` // path → what lies there
	Operations []Operation      `json:"operations"`
}

// Input is a file, or a directory of frames, to be made before a service is asked.
type Input struct {
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	Frames int    `json:"frames,omitempty"` // of a directory; 0 for a picture
	File   string `json:"file,omitempty"`   // in samples/, to be copied
}

// Operation is one of a service's operations. In its texts {film} and {shot} stand for the ids of this run.
type Operation struct {
	Name     string         `json:"name"`
	Body     map[string]any `json:"body"`               // a request that is done in seconds
	Long     map[string]any `json:"long,omitempty"`     // what makes it take some seconds more
	Optional []string       `json:"optional,omitempty"` // fields that may be missing
	Output   string         `json:"output,omitempty"`   // the field that names the output; "" where nothing is made
	Paths    []string       `json:"paths,omitempty"`    // fields that name inputs
	Any      []string       `json:"any,omitempty"`      // objects that may hold anything
}

//go:embed samples
var samples embed.FS

// ReadSample reads a sample of samples/ by name, or else of the file system.
func ReadSample(name string) (s Sample, err error) {
	b, err := samples.ReadFile("samples/" + name)
	if err != nil {
		b, err = os.ReadFile(name)
	}
	if err != nil {
		return s, err
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	return s, d.Decode(&s)
}

// suite is a run against one target.
type suite struct {
	Target
	film, shot string
}

// Run holds a service to the protocol.
func Run(t *testing.T, target Target) {
	s := &suite{target, fmt.Sprintf("conformance-%08x", rand.Uint32()), "s01-01"}
	s.prepare(t)
	t.Run("knows its callers by the token", s.token)
	t.Run("has a management port", s.management)
	t.Run("has its paths and methods only", s.routes)
	t.Run("works for a film", s.subject)
	t.Run("takes JSON only", s.bodies)
	t.Run("names the fields that are wrong", s.fields)
	t.Run("keeps outputs in their place", s.outputs)
	t.Run("keeps inputs inside the film", s.inputs)
	t.Run("does the work once", s.work)
	t.Run("replaces only what it made", s.ownership)
	t.Run("ends with who hangs up", s.cancel)
	t.Run("has a bounded queue", s.queue)
	t.Run("survives a full disk", s.disk)
	t.Run("ends when it is told", s.stop)
}

// fill puts this run's ids into a sample's text.
func (s *suite) fill(text string) string {
	return strings.NewReplacer("{film}", s.film, "{shot}", s.shot).Replace(text)
}

// prepare makes the inputs.
func (s *suite) prepare(t *testing.T) {
	t.Helper()
	if s.Data == "" {
		return
	}
	for place, in := range s.Sample.Inputs {
		file := s.path(s.fill(place))
		if err := os.MkdirAll(filepath.Dir(file), 0o770); err != nil {
			t.Fatal(err)
		}
		if err := in.make(file); err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() == 0 { // the service may be another user
		filepath.Walk(s.Data, func(p string, info os.FileInfo, err error) error {
			if err == nil && info.IsDir() {
				return os.Chmod(p, 0o777)
			}
			return err
		})
	}
}

// path is a path on the volumes as the operating system takes it.
func (s *suite) path(p string) string { return filepath.Join(s.Data, filepath.FromSlash(p)) }

// each runs a test for every operation whose inputs are there.
func (s *suite) each(t *testing.T, test func(t *testing.T, o Operation)) {
	for _, o := range s.Sample.Operations {
		t.Run(o.Name, func(t *testing.T) {
			if len(o.Paths) > 0 && s.Data == "" {
				t.Skip("its inputs can't be made: no data directory is given")
			}
			test(t, o)
		})
	}
}
