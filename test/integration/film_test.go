package integration

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gruntwork-io/terratest/modules/helm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const brief = `INT. LIGHTHOUSE - NIGHT
Mara climbs the stairs of the old lighthouse with a lamp in her hand. The storm is loud outside.

EXT. HARBOUR - DAWN
Tomas rows home over the calm sea and waves to Mara.
`

// film is the API's answer, as far as the tests read it.
type film struct {
	ID     string
	State  string
	Error  json.RawMessage
	Plan   plan
	Video  struct{ Seconds float64 }
	Stages []stage
}

type plan struct {
	Seconds       float64
	FPS           int
	Width, Height int
	Scenes        []struct {
		Shots []struct{ ID string }
	}
}

type stage struct {
	Shot, Stage, Service, State string
	Attempt                     int
	Seconds                     float64
}

// make submits a brief and waits for the film.
func makeFilm(t *testing.T, settings map[string]any) film {
	t.Helper()
	var made film
	call(t, "POST", "/api/films", map[string]any{"title": t.Name(), "brief": brief, "settings": settings}, &made)
	require.NotEmpty(t, made.ID)
	host, password := installed(t).Ingress.Host, password(t)
	t.Cleanup(func() {
		if !t.Failed() { // t.Context is over by now
			_, _, _ = request(context.Background(), host, password, "DELETE", "/api/films/"+made.ID, nil)
		}
	})
	begun := time.Now()
	for made.State != "done" && made.State != "failed" && made.State != "cancelled" {
		if time.Since(begun) > 10*time.Minute {
			t.Fatalf("after 10 minutes film %s is still %s", made.ID, made.State)
		}
		time.Sleep(2 * time.Second)
		call(t, "GET", "/api/films/"+made.ID, nil, &made)
	}
	require.Equal(t, "done", made.State, "%s", made.Error)
	t.Logf("film %s of %.1f s made in %.0f s", made.ID, made.Video.Seconds, time.Since(begun).Seconds())
	return made
}

// A tiny film is made through the ingress, by all nine services, and decodes to what was planned.
func TestFilm(t *testing.T) {
	made := makeFilm(t, map[string]any{"width": 384, "height": 216, "seconds": 12, "seed": 3})

	shots := []string{"title", "end"}
	for _, scene := range made.Plan.Scenes {
		for _, shot := range scene.Shots {
			shots = append(shots, shot.ID)
		}
	}
	require.Greater(t, len(shots), 2, "shots of its own beside title and end")
	by := map[string]map[string]stage{}
	for _, s := range made.Stages {
		if by[s.Shot] == nil {
			by[s.Shot] = map[string]stage{}
		}
		by[s.Shot][s.Stage] = s
		assert.Equal(t, "done", s.State, "%s of shot %q", s.Stage, s.Shot)
	}
	for _, shot := range shots {
		want := map[string]string{"move": "blender", "finish": "opencv", "encode": "ffmpeg"}
		if shot != "title" && shot != "end" {
			want["still"] = "comfyui"
		}
		for name, service := range want {
			assert.Equal(t, service, by[shot][name].Service, "%s of shot %s", name, shot)
			assert.Positive(t, by[shot][name].Attempt, "%s of shot %s", name, shot)
		}
	}
	for name, service := range map[string]string{"plan": "langgraph", "cut": "ffmpeg", "inspect": "opencv"} {
		assert.Equal(t, service, by[""][name].Service, name)
	}

	var video []byte
	call(t, "GET", "/api/films/"+made.ID+"/video", nil, &video)
	decode(t, video, made)
}

// decode reads the video with ffprobe: of this machine, or of the pod that serves the cut.
func decode(t *testing.T, video []byte, made film) {
	t.Helper()
	var probe struct {
		Format  struct{ Duration json.Number }
		Streams []struct {
			Type       string `json:"codec_type"`
			Codec      string `json:"codec_name"`
			Pixels     string `json:"pix_fmt"`
			Rate       string `json:"r_frame_rate"`
			Frames     string `json:"nb_read_frames"`
			Width      int
			Height     int
			SampleRate string `json:"sample_rate"`
		}
	}
	file := filepath.Join(t.TempDir(), "film.mp4")
	require.NoError(t, os.WriteFile(file, video, 0o600))
	program, err := exec.LookPath("ffprobe")
	if err != nil {
		out, err := inFlask(t, `
import json, os, sys, urllib.request
request = urllib.request.Request("http://ffmpeg:8080/v1/probe", json.dumps({"video": sys.argv[1]}).encode(), {
    "Content-Type": "application/json", "Authorization": "Bearer " + os.environ["SERVICE_TOKEN"], "X-Film-Id": sys.argv[1].split("/")[2]})
last = json.loads(urllib.request.urlopen(request, timeout=120).read().splitlines()[-1])
print(json.dumps(last["result"]))`, "videos/films/"+made.ID+"/film.mp4")
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal([]byte(out), &probe), out)
	} else {
		out, err := exec.CommandContext(t.Context(), program, "-v", "error", "-count_frames", "-show_format", "-show_streams", "-of", "json", file).Output()
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(out, &probe))
	}
	seconds, err := probe.Format.Duration.Float64()
	require.NoError(t, err)
	assert.InDelta(t, made.Plan.Seconds, seconds, 0.5)
	kinds := map[string]string{}
	for _, s := range probe.Streams {
		kinds[s.Type] = s.Codec
		if s.Type == "video" {
			assert.Equal(t, "24/1", s.Rate)
			assert.Equal(t, "yuv420p", s.Pixels)
			assert.Equal(t, [2]int{384, 216}, [2]int{s.Width, s.Height})
		}
	}
	assert.Equal(t, map[string]string{"video": "h264", "audio": "aac", "subtitle": "mov_text"}, kinds)
}

// `helm test` makes a film as well, and leaves its pod to be looked at.
func TestHelmTest(t *testing.T) {
	out, err := helm.RunHelmCommandAndGetOutputContextE(t, t.Context(), helmIn(namespace), "test", release, "--logs", "--timeout", "12m")
	require.NoError(t, err, out)
	assert.Contains(t, out, "Phase:          Succeeded")
	assert.Contains(t, out, "by all services")
}
