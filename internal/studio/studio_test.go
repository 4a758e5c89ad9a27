package studio

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scripted is a studio whose answers a test writes: a list of handlers for each
// path, each taken once, the last again and again.
type scripted struct {
	mu       sync.Mutex
	handlers map[string][]http.HandlerFunc
	requests []*http.Request
	bodies   []string
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests, s.bodies = append(s.requests, r), append(s.bodies, string(body))
	key := r.Method + " " + r.URL.Path
	list := s.handlers[key]
	if len(list) > 1 {
		s.handlers[key] = list[1:]
	}
	s.mu.Unlock()
	if user, password, _ := r.BasicAuth(); user != "admin" || password != "secret" {
		problem(401, "not logged in", "wrong", "the Secret")(w, r)
		return
	}
	if len(list) == 0 {
		problem(404, "no such resource", key, "")(w, r)
		return
	}
	list[0](w, r)
}

// studioOf starts a scripted studio and returns a client of it that is quick to
// lose patience.
func studioOf(t *testing.T, handlers map[string][]http.HandlerFunc) (*Client, *scripted) {
	t.Helper()
	script := &scripted{handlers: handlers}
	server := httptest.NewServer(script)
	t.Cleanup(server.Close)
	client, err := NewClient(server.URL, "admin", "secret")
	require.NoError(t, err)
	client.Patience, client.Silence = 2*time.Second, 300*time.Millisecond
	return client, script
}

func problem(status int, title, detail, remedy string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]any{"title": title, "status": status, "detail": detail, "remedy": remedy})
	}
}

func reply(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, text)
	}
}

// breaks sends the beginning of an answer and then drops the connection.
func breaks(kind, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Length", "1000000")
		io.WriteString(w, text)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func streams(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		io.WriteString(w, text)
	}
}

const events, video = "GET /api/films/f1/events", "GET /api/films/f1/video"

func TestSubmitIsRepeatedUnderOneKey(t *testing.T) {
	seed := int64(0)
	client, script := studioOf(t, map[string][]http.HandlerFunc{"POST /api/films": {
		problem(503, "database unavailable", "postgresql does not answer", ""),
		breaks("application/json", `{"id":`),
		reply(201, `{"id":"f1","state":"submitted","created_at":"2026-11-23T01:00:00Z"}`),
	}})
	film, err := client.Submit(t.Context(), Submission{Brief: "Mara waits.", Settings: Settings{Seconds: 12, Seed: &seed}})
	require.NoError(t, err)
	assert.Equal(t, "f1", film.ID)
	require.Len(t, script.requests, 3)
	key := script.requests[0].Header.Get("Idempotency-Key")
	assert.Len(t, key, 32)
	for i, request := range script.requests {
		assert.Equal(t, key, request.Header.Get("Idempotency-Key"))
		assert.JSONEq(t, `{"brief":"Mara waits.","settings":{"seconds":12,"seed":0}}`, script.bodies[i])
	}
}

func TestSubmitRefusedIsNotRepeated(t *testing.T) {
	client, script := studioOf(t, map[string][]http.HandlerFunc{"POST /api/films": {problem(507, "the film would not fit", "92 GiB needed", "delete films")}})
	_, err := client.Submit(t.Context(), Submission{Brief: "x"})
	var refused *Problem
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, 507, refused.Status)
	assert.Equal(t, "the film would not fit: 92 GiB needed\n  what helps: delete films", err.Error())
	assert.Len(t, script.requests, 1)
}

func TestWrongPassword(t *testing.T) {
	client, _ := studioOf(t, nil)
	client.Password = "guess"
	_, err := client.List(t.Context(), 10, "")
	var refused *Problem
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, 401, refused.Status)
}

func TestNotAStudio(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"page":  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>hello") },
		"404":   http.NotFound,
		"empty": func(http.ResponseWriter, *http.Request) {},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			client, err := NewClient(server.URL, "admin", "secret")
			require.NoError(t, err)
			_, err = client.Get(t.Context(), "f1")
			var unreachable *Unreachable
			require.ErrorAs(t, err, &unreachable)
			assert.Contains(t, err.Error(), server.URL)
		})
	}
	for _, url := range []string{"", "ai-film.local", "ftp://ai-film.local", "http://", "http://[::1"} {
		_, err := NewClient(url, "admin", "secret")
		assert.ErrorContains(t, err, "http://ai-film.local", url)
	}
}

func TestListPages(t *testing.T) {
	client, script := studioOf(t, map[string][]http.HandlerFunc{"GET /api/films": {
		reply(200, `{"films":[{"id":"aa11"},{"id":"aa22"}],"next":"aa22"}`),
		reply(200, `{"films":[{"id":"bb33"}],"next":null}`),
	}})
	films, err := client.List(t.Context(), 150, "")
	require.NoError(t, err)
	assert.Len(t, films, 3)
	assert.Equal(t, "before=aa22&limit=100", script.requests[1].URL.RawQuery)
}

func TestResolve(t *testing.T) {
	list := reply(200, `{"films":[{"id":"aa11"},{"id":"aa22"},{"id":"bb33"}],"next":null}`)
	client, _ := studioOf(t, map[string][]http.HandlerFunc{"GET /api/films": {list}})
	id, err := client.Resolve(t.Context(), "BB")
	require.NoError(t, err)
	assert.Equal(t, "bb33", id)
	_, err = client.Resolve(t.Context(), "aa")
	assert.ErrorContains(t, err, "2 films begin with")
	_, err = client.Resolve(t.Context(), "cc")
	assert.ErrorContains(t, err, "no film begins with")
}

func TestFollowResumesAfterTheLastEvent(t *testing.T) {
	client, script := studioOf(t, map[string][]http.HandlerFunc{
		events: {
			breaks("text/event-stream", "retry: 2000\n\nid: 5-0\ndata: {\"shot\":\"s01-01\",\"stage\":\"move\",\"state\":\"running\",\"progress\":0.4}\n\nid: 6-0\ndata: {\"shot\""),
			problem(503, "stopping", "", ""),
			streams("data: {\"shot\":\"s01-01\",\"stage\":\"move\",\"state\":\"running\"}\n\n"), // ends politely, but too early
			streams(": still here\r\n\r\nid: 7-0\r\ndata: {\"stage\":\"film\",\r\ndata: \"state\":\"done\"}\r\n\r\n"),
		},
		"GET /api/films/f1": {reply(200, `{"id":"f1","state":"done"}`)},
	})
	var broken []string
	client.Broken = func(err error) { broken = append(broken, err.Error()) }
	var told []Event
	film, err := client.Follow(t.Context(), "f1", func(event Event) { told = append(told, event) })
	require.NoError(t, err)
	assert.Equal(t, Done, film.State)
	require.Len(t, told, 3)
	assert.Equal(t, 0.4, *told[0].Progress)
	assert.Equal(t, "5-0", told[0].ID)
	assert.Nil(t, told[1].Progress)
	assert.Len(t, broken, 3)
	var resumed []string
	for _, request := range script.requests {
		if strings.HasSuffix(request.URL.Path, "/events") {
			resumed = append(resumed, request.Header.Get("Last-Event-ID"))
		}
	}
	assert.Equal(t, []string{"", "5-0", "5-0", "5-0"}, resumed, "half an event was not seen")
}

func TestFollowNoticesSilence(t *testing.T) {
	client, _ := studioOf(t, map[string][]http.HandlerFunc{
		events: {
			func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.(http.Flusher).Flush()
				<-r.Context().Done() // a dead peer says nothing and closes nothing
			},
			streams("data: {\"stage\":\"film\",\"state\":\"failed\"}\n\n"),
		},
		"GET /api/films/f1": {reply(200, `{"id":"f1","state":"failed","error":{"title":"out of memory","stage":"move","shot":"s01-01","remedy":"more of it"}}`)},
	})
	var broken []string
	client.Broken = func(err error) { broken = append(broken, err.Error()) }
	film, err := client.Follow(t.Context(), "f1", func(Event) {})
	require.NoError(t, err)
	assert.Equal(t, "out of memory in move of s01-01\n  what helps: more of it", film.Error.Error())
	require.Len(t, broken, 1)
	assert.Contains(t, broken[0], "nothing was heard for 300ms")
}

func TestFollowEnds(t *testing.T) {
	t.Run("film deleted meanwhile", func(t *testing.T) {
		client, _ := studioOf(t, map[string][]http.HandlerFunc{events: {streams("data: {\"stage\":\"film\",\"state\":\"deleted\"}\n\n")}})
		film, err := client.Follow(t.Context(), "f1", func(Event) {})
		require.NoError(t, err)
		assert.Equal(t, Deleted, film.State)
	})
	t.Run("no such film", func(t *testing.T) {
		client, _ := studioOf(t, nil)
		_, err := client.Follow(t.Context(), "f1", func(Event) {})
		var refused *Problem
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, 404, refused.Status)
	})
	t.Run("studio gone for good", func(t *testing.T) {
		client, _ := studioOf(t, nil)
		client.URL.Host = "127.0.0.1:1"
		begun := time.Now()
		_, err := client.Follow(t.Context(), "f1", func(Event) {})
		var unreachable *Unreachable
		require.ErrorAs(t, err, &unreachable)
		assert.Less(t, time.Since(begun), 5*time.Second)
	})
	t.Run("interrupted", func(t *testing.T) {
		client, _ := studioOf(t, map[string][]http.HandlerFunc{events: {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}}})
		client.Silence = time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := client.Follow(ctx, "f1", func(Event) {})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// serves is a video as the studio serves it, with ranges; the first answers
// break off after so many bytes each.
func serves(content []byte, tag string, breakAfter ...int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"`+tag+`"`)
		w.Header().Set("Content-Type", "video/mp4")
		if len(breakAfter) > 0 {
			w = &cutOff{w, breakAfter[0]}
			breakAfter = breakAfter[1:]
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
}

type cutOff struct {
	http.ResponseWriter
	left int
}

func (c *cutOff) Write(p []byte) (int, error) {
	if len(p) > c.left {
		c.ResponseWriter.Write(p[:c.left])
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

func filmOf(content []byte) *Film {
	sum := sha256.Sum256(content)
	return &Film{ID: "f1", State: Done, Video: &Video{Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}}
}

func TestDownloadContinuesWhereItBroke(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	client, script := studioOf(t, map[string][]http.HandlerFunc{video: {serves(content, "a", 100_000, 50_000)}})
	target := filepath.Join(t.TempDir(), "film.mp4")
	require.NoError(t, os.WriteFile(target, []byte("an older one"), 0o600))
	var last int64
	require.NoError(t, client.Download(t.Context(), filmOf(content), target, func(done, total int64) {
		assert.GreaterOrEqual(t, done, last)
		assert.Equal(t, int64(len(content)), total)
		last = done
	}))
	got, err := os.ReadFile(target)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(content, got))
	require.Len(t, script.requests, 3)
	assert.Equal(t, "bytes=100000-", script.requests[1].Header.Get("Range"))
	assert.Equal(t, `"a"`, script.requests[1].Header.Get("If-Range"))
	assert.Equal(t, "bytes=150000-", script.requests[2].Header.Get("Range"))
	left, err := os.ReadDir(filepath.Dir(target))
	require.NoError(t, err)
	assert.Len(t, left, 1)
}

func TestDownloadBeginsAnewWhenTheVideoChanged(t *testing.T) {
	before, after := bytes.Repeat([]byte("a"), 100_000), bytes.Repeat([]byte("b"), 90_000)
	client, _ := studioOf(t, map[string][]http.HandlerFunc{video: {serves(before, "a", 40_000), serves(after, "b")}})
	target := filepath.Join(t.TempDir(), "film.mp4")
	require.NoError(t, client.Download(t.Context(), filmOf(after), target, nil))
	got, err := os.ReadFile(target)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(after, got))
}

func TestDownloadRefusesWhatIsNotTheFilm(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 5000)
	for name, spoil := range map[string]func(*Film){
		"SHA-256":   func(f *Film) { f.Video.SHA256 = strings.Repeat("0", 64) },
		"bytes":     func(f *Film) { f.Video.Bytes++ },
		"has no vi": func(f *Film) { f.Video = nil },
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := studioOf(t, map[string][]http.HandlerFunc{video: {serves(content, "a")}})
			target := filepath.Join(t.TempDir(), "film.mp4")
			require.NoError(t, os.WriteFile(target, []byte("an older one"), 0o600))
			film := filmOf(content)
			spoil(film)
			assert.ErrorContains(t, client.Download(t.Context(), film, target, nil), name)
			kept, err := os.ReadFile(target)
			require.NoError(t, err)
			assert.Equal(t, "an older one", string(kept))
			left, err := os.ReadDir(filepath.Dir(target))
			require.NoError(t, err)
			assert.Len(t, left, 1, "nothing half-written stays")
		})
	}
}

func TestDownloadInterruptedLeavesNothing(t *testing.T) {
	client, _ := studioOf(t, map[string][]http.HandlerFunc{video: {func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}}})
	client.Silence = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	target := filepath.Join(t.TempDir(), "film.mp4")
	err := client.Download(ctx, filmOf([]byte("begun and never ended")), target, nil)
	require.Error(t, err)
	left, err := os.ReadDir(filepath.Dir(target))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// box is an MP4 box.
func box(kind string, parts ...[]byte) []byte {
	content := bytes.Join(parts, nil)
	size := len(content) + 8
	return append([]byte{byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size), kind[0], kind[1], kind[2], kind[3]}, content...)
}

func mp4Of(seconds int, handlers ...string) (ftyp, moov, mdat []byte) {
	mvhd := make([]byte, 100)
	mvhd[14], mvhd[15] = 1000>>8, 1000&0xff
	length := seconds * 1000
	mvhd[16], mvhd[17], mvhd[18], mvhd[19] = byte(length>>24), byte(length>>16), byte(length>>8), byte(length)
	parts := [][]byte{box("mvhd", mvhd)}
	for _, handler := range handlers {
		parts = append(parts, box("trak", box("mdia", box("hdlr", make([]byte, 8), []byte(handler), make([]byte, 13)))))
	}
	return box("ftyp", []byte("isom0000")), box("moov", parts...), box("mdat", make([]byte, 500))
}

func TestReadMP4(t *testing.T) {
	ftyp, moov, mdat := mp4Of(36, "vide", "soun", "sbtl")
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	write := func(t *testing.T, content []byte) string {
		path := filepath.Join(t.TempDir(), "film.mp4")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	movie, err := ReadMP4(write(t, join(ftyp, moov, mdat)))
	require.NoError(t, err)
	assert.Equal(t, &MP4{Duration: 36 * time.Second, Tracks: []string{"vide", "soun", "sbtl"}}, movie)

	long := join(ftyp, moov, []byte{0, 0, 0, 1}, []byte("mdat"), []byte{0, 0, 0, 0, 0, 0, 0, 20}, []byte("four"))
	_, err = ReadMP4(write(t, long))
	assert.NoError(t, err, "a 64-bit size")

	whole := join(ftyp, moov, mdat)
	for text, content := range map[string][]byte{
		"moov stands after mdat":       join(ftyp, mdat, moov),
		"does not begin with ftyp":     join(moov, mdat),
		"one is missing":               join(ftyp, moov),
		"has 508 bytes, there are 408": whole[:len(whole)-100],
		"is not an MP4":                nil,
		"is not a whole MP4":           []byte("<html>"),
		"has no time scale":            join(ftyp, box("moov", box("mvhd", make([]byte, 100))), mdat),
	} {
		_, err := ReadMP4(write(t, content))
		assert.ErrorContains(t, err, text)
	}
}

func TestCheckVideo(t *testing.T) {
	film := &Film{Plan: &Plan{FPS: 24, Seconds: 36, Scenes: []Scene{{Shots: []Shot{{ID: "s01-01", Subtitle: "Mara waits."}}}}}}
	tracks := []string{"vide", "soun", "text"}
	frame := time.Second / 24
	assert.NoError(t, (&MP4{36 * time.Second, tracks}).Check(film))
	assert.NoError(t, (&MP4{36*time.Second + 3*frame, tracks}).Check(film), "a frame for each of three shots")
	assert.ErrorContains(t, (&MP4{36*time.Second + 4*frame, tracks}).Check(film), "36.00 s were planned")
	assert.ErrorContains(t, (&MP4{36 * time.Second, []string{"vide", "text"}}).Check(film), "soun")
	assert.ErrorContains(t, (&MP4{36 * time.Second, []string{"vide", "soun"}}).Check(film), "no subtitles")
	film.Plan.Scenes[0].Shots[0].Subtitle = ""
	assert.NoError(t, (&MP4{36 * time.Second, []string{"vide", "soun"}}).Check(film), "a film without words needs none")
}

func TestPassing(t *testing.T) {
	assert.True(t, passing(fmt.Errorf("x: %w", &Problem{Status: 503})))
	assert.True(t, passing(&Unreachable{"", errors.New("refused")}))
	assert.False(t, passing(&Problem{Status: 404}))
	assert.False(t, passing(os.ErrPermission))
}
